"""A small province: real nodes on simulated loudspeakers, with clocks of their own, on links that can be cut."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from devices.links.mqtt import MqttLink
from devices.node.config import NodeConfig
from devices.node.memory import MemoryStorage
from devices.node.node import Node
from devices.node.recording import RecordingSpeaker
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey
from devices.protocol.trust import RootSet
from loa.clock import Clock
from loa.entropy import Entropy, fraction
from loa.names import AreaPath
from simulators.clocks import SkewedClock, random_skew
from simulators.ears import Ears, OverheardSpeaker
from simulators.places import ISLAND, LOUDSPEAKERS, LoudspeakerPlan
from simulators.relay import Cut, CutRelay
from simulators.station import StationBus

_KEEPALIVE_S = 20.0
_BACKOFF_S = (0.3, 3.0)
_STORAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Box:
    """One loudspeaker set: where it is, who it is, and the node in it."""

    plan: LoudspeakerPlan
    identity: NodeIdentity
    clock: SkewedClock
    node: Node


def make_identities(roots: RootSet, entropy: Entropy) -> dict[str, NodeIdentity]:
    """What each box of the province is given at enrolment, by its name."""
    return {plan.node: NodeIdentity(plan.node, SigningKey(entropy(32)), roots) for plan in LOUDSPEAKERS}


class Village:
    """All boxes of the demo in this event loop, from `start` to `stop`.

    heard: folder in which each loudspeaker leaves ``<node>-<broadcast>.wav``. bus: for the wired nodes.
    """

    def __init__(
        self,
        broker_url: str,
        identities: dict[str, NodeIdentity],
        bus: StationBus,
        *,
        heard: Path,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        parts = urlsplit(broker_url)
        self._url, self._bus, self._entropy, self._clock = broker_url, bus, entropy, clock
        self.relay = CutRelay(parts.hostname or "127.0.0.1", parts.port or 1883)
        self.ears = Ears()
        self.heard = heard
        self._identities = identities
        self.boxes: list[Box] = []
        self._closing = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Switch everything on, not quite at the same moment."""
        await self.relay.start()
        self._closing.push_async_callback(self.relay.stop)
        await self._bus.start()
        self._closing.push_async_callback(self._bus.stop)
        for plan in LOUDSPEAKERS:
            box = self._box(plan)
            self.boxes.append(box)
            await box.node.start()
            await self._clock.sleep(0.02 * fraction(self._entropy))

    async def stop(self) -> None:
        """Silence, farewells, and the links closed."""
        await asyncio.gather(*(box.node.stop() for box in self.boxes), return_exceptions=True)
        await self._closing.aclose()

    def _box(self, plan: LoudspeakerPlan) -> Box:
        clock = SkewedClock(self._clock, random_skew(self._entropy))
        identity = self._identities[plan.node]
        recorder = RecordingSpeaker(self.heard, clock, plan.node)
        node = Node(
            identity=identity,
            link=self._bus.link(plan, clock) if plan.wired else self._wireless(plan, clock),
            storage=MemoryStorage(_STORAGE_BYTES),
            speaker=OverheardSpeaker(recorder, clock, plan.node, self.ears),
            clock=clock,
            entropy=self._entropy,
            config=NodeConfig(),
        )
        return Box(plan, identity, clock, node)

    def _wireless(self, plan: LoudspeakerPlan, clock: Clock) -> MqttLink:
        url = f"mqtt://127.0.0.1:{self.relay.port}" if plan.commune == ISLAND else self._url
        return MqttLink(url, plan.node, clock, self._entropy, keepalive_s=_KEEPALIVE_S, backoff_s=_BACKOFF_S)

    def cut_island(self, how: Cut) -> None:
        self.relay.cut(how)

    def mend_island(self) -> None:
        self.relay.mend()

    def boxes_in(self, commune: AreaPath) -> Sequence[Box]:
        return [box for box in self.boxes if box.plan.commune == commune]

    @property
    def failures(self) -> list[str]:
        """Nodes that cannot go on, and why."""
        return [f"{box.plan.node}: {box.node.failure!r}" for box in self.boxes if box.node.failure is not None]
