"""What the parts of the transmitter share."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from controller.events import Events
from controller.store import Database
from devices.links.port import Link
from devices.protocol.keys import SigningKey
from devices.protocol.topics import DownChannel, down_topic
from loa.clock import Bell, Clock
from loa.entropy import Entropy
from loa.errors import LoaError
from loa.units import NodeId

log = logging.getLogger("loa.wire")

_PAUSE_AFTER_FAULT_S = 1.0


@dataclass
class WireCounters:
    """What the transmitter did since it started; read by metrics."""

    refused: Counter[str] = field(default_factory=Counter)
    """Messages of nodes that were not believed, by reason."""
    received: Counter[str] = field(default_factory=Counter)
    """Messages of nodes that were believed, by channel."""
    orders_sent: int = 0
    """Publishes of orders, by area and to single nodes."""
    documents_sent: int = 0
    acknowledged: int = 0
    contested: int = 0
    """How often a node's connection was found to be fought over."""
    dropped: int = 0
    """Messages not looked at, because too many waited."""
    faults: Counter[str] = field(default_factory=Counter)
    """Turns of a part of the transmitter that failed and were tried again, by part."""


@dataclass
class WireContext:
    """The link, and all that is needed to sign, store and tell."""

    link: Link
    db: Database
    clock: Clock
    entropy: Entropy
    key: SigningKey
    events: Events
    threads: bool = True
    """Whether work may be done beside the event loop; not in a simulated world."""
    counters: WireCounters = field(default_factory=WireCounters)

    def to_node(
        self, node: str, payload: bytes, *, channel: DownChannel = DownChannel.CTL, urgent: bool = False
    ) -> bool:
        """Hand something for one node to the link. False where the link is down."""
        return self.link.publish(down_topic(NodeId(node), channel), payload, qos=1, urgent=urgent)


class Waker:
    """Wakes one loop before its time. What is said while it works counts for its next wait."""

    def __init__(self) -> None:
        self._event = Bell()

    def wake(self) -> None:
        self._event.set()

    async def wait(self, clock: Clock, seconds: float | None) -> bool:
        """Until woken (True), or until `seconds` have passed (False); None waits for being woken alone."""
        if seconds is None:
            await self._event.wait()
        else:
            await self._event.rings_within(clock, seconds)
        was_woken = self._event.is_set()
        self._event.clear()
        return was_woken


async def keep_going(name: str, wire: WireContext, turn: Callable[[], Awaitable[None]]) -> None:
    """Do `turn` again and again; a turn that fails is counted, logged and tried again after a while."""
    while True:
        try:
            await turn()
        except asyncio.CancelledError:
            raise
        except LoaError as error:
            wire.counters.faults[name] += 1
            log.error("%s failed: %s; going on", name, error)
            await wire.clock.sleep(_PAUSE_AFTER_FAULT_S)
        except Exception:
            wire.counters.faults[name] += 1
            log.exception("%s failed; going on", name)
            await wire.clock.sleep(_PAUSE_AFTER_FAULT_S)
