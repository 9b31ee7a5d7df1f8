"""What nodes say: believed by their signature, kept in groups, acknowledged only after the commit."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from controller.wire.common import WireContext, log
from controller.wire.registry import Enrolled, NodeRegistry
from devices.protocol.judge import Report, judge_report
from devices.protocol.refusal import WireRefusal
from devices.protocol.topics import UpChannel, UpTopic
from loa.errors import Fault, OperatorNeeded
from loa.units import InstantMs

MOST_A_GROUP = 200
GATHER_S = 0.03
MOST_WAITING = 20_000
_IN_THREAD_FROM = 12
"""Below this many, checking signatures takes less than 2 ms and stays on the loop."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Bytes from a node's topic, not believed yet."""

    at: InstantMs
    topic: UpTopic
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Believed:
    """A report whose signature holds (or a Last Will, which is a hint only)."""

    at: InstantMs
    node: Enrolled
    report: Report
    payload: bytes
    retained: bool


@dataclass
class Group:
    """What came in within one gathering."""

    believed: list[Believed] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Node's name as the topic gives it, and the reason."""


def judge_group(arrived: list[tuple[Arrived, Enrolled | None]]) -> Group:
    """Check every signature; plain work that a thread may do."""
    group = Group()
    for one, node in arrived:
        if node is None:
            group.refused.append((one.topic.node[:40], "untrusted_key"))
            continue
        try:
            report = judge_report(
                one.payload, topic_node=one.topic.node, public_key=node.public_key, retained=one.retained
            )
        except WireRefusal as refusal:
            group.refused.append((node.id, refusal.reason.code))
            continue
        group.believed.append(Believed(one.at, node, report, one.payload, one.retained))
    return group


class ReportDesk:
    """Gathers reports for 30 ms or up to 200 of them, then hands the believed ones to `keep` as one group."""

    def __init__(
        self, wire: WireContext, registry: NodeRegistry, keep: Callable[[list[Believed]], Awaitable[None]]
    ) -> None:
        self._wire, self._registry, self._keep = wire, registry, keep
        self._waiting: asyncio.Queue[Arrived] = asyncio.Queue(MOST_WAITING)
        self._again: list[Believed] = []
        """Believed, but the tables could not take them."""

    def add(self, arrived: Arrived) -> None:
        """Never waits; where too many wait already, it is dropped and counted: the node will send it again."""
        try:
            self._waiting.put_nowait(arrived)
        except asyncio.QueueFull:
            self._wire.counters.dropped += 1

    async def turn(self) -> None:
        """One group."""
        if self._again:
            await self._keep(self._again)
            self._again = []
        arrived = [await self._waiting.get()]
        if self._waiting.qsize() < MOST_A_GROUP:
            await self._wire.clock.sleep(GATHER_S)
        while len(arrived) < MOST_A_GROUP and not self._waiting.empty():
            arrived.append(self._waiting.get_nowait())
        known = [(one, await self._registry.find(one.topic.node)) for one in arrived]
        if len(known) < _IN_THREAD_FROM or not self._wire.threads:
            group = judge_group(known)
        else:
            group = await asyncio.get_running_loop().run_in_executor(None, judge_group, known)
        for node, reason in group.refused:
            self.refuse(node, reason)
        for one in group.believed:
            self._wire.counters.received[type(one.report).__name__.lower()] += 1
        if group.believed:
            try:
                await self._keep(group.believed)
            except (OperatorNeeded, Fault):  # a busy, absent or full database: they are kept as soon as it is well
                self._again = group.believed
                raise

    def refuse(self, node: str, reason: str) -> None:
        """Count it, and say it once for each power of ten."""
        self._wire.counters.refused[reason] += 1
        count = self._wire.counters.refused[reason]
        if str(count).strip("0") == "1":
            log.warning("refused %s from the topic of %s (%d so far)", reason, node, count)


REPORT_CHANNELS = frozenset({UpChannel.PRESENCE, UpChannel.HEALTH, UpChannel.RECEIPT})
"""Channels that are kept in groups; wants and clock questions are answered at once."""
