"""The Link port: how bytes get to topics and back, whatever carries them.

Real implementations: `devices.links.mqtt` (paho), `devices.links.serial` (a drop on a station's bus) and
`devices.links.loopback` (in memory). One contract suite runs against all of them.

A link promises little, since brokers promise little: what it delivers was published by somebody, perhaps twice,
perhaps late, perhaps never. Everything that must arrive is confirmed above this port.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from loa.units import BytesPerSecond


@dataclass(frozen=True, slots=True)
class Delivery:
    """Bytes that arrived. `retained` is true where the broker kept them from before the subscription."""

    topic: str
    payload: bytes
    retained: bool = False
    local: bool = False
    """From an input at this box or at its station. A link to a broker never says so."""


@dataclass(frozen=True, slots=True)
class LastWill:
    """What the broker publishes for us when our connection dies. MQTT only; other links ignore it."""

    topic: str
    payload: bytes
    retain: bool = True


class LinkListener(Protocol):
    """Told what happens on a link; always called on the event loop, and must not block."""

    def link_up(self) -> None:
        """Connected, and everything in `listen` is subscribed."""
        ...

    def link_down(self, reason: str) -> None: ...

    def delivered(self, delivery: Delivery) -> None: ...


class Link(Protocol):
    """A connection that keeps itself up, with jittered back-off, from `start` until `stop`."""

    async def start(self, listener: LinkListener) -> None:
        """Begin connecting; returns at once, `link_up` follows. Called once."""
        ...

    async def stop(self) -> None:
        """Close in an orderly way; no listener call comes after it returns."""
        ...

    def listen(self, topics: Iterable[str]) -> None:
        """The whole set of topics wanted from now on; kept over reconnections. Wildcards as in MQTT 3.1.1."""
        ...

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, urgent: bool = False) -> bool:
        """Hand bytes to the link. False where it is down or full: nothing was sent, and nothing will be.

        `urgent` goes ahead of what is still waiting here. qos 1 asks the next hop to confirm; it proves nothing.
        """
        ...

    async def drained(self, most_bytes: int = 16_384) -> None:
        """Wait until no more than `most_bytes` wait here to be sent. Returns at once while the link is down."""
        ...

    def set_last_will(self, will: LastWill | None) -> None:
        """Takes effect at the next connection."""
        ...

    @property
    def is_up(self) -> bool: ...

    @property
    def nominal_rate(self) -> BytesPerSecond | None:
        """Known rate of the medium, e.g. a bus's baud rate / 10; None where it must be measured."""
        ...

    @property
    def relays_streams(self) -> bool:
        """Whether something between (a station) paces shared streams for this link, so that it may always join."""
        ...
