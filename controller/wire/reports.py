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
MOST_JUDGED = 2000
"""At once, while the tables cannot be written."""
GATHER_S = 0.03
MOST_WAITING = 20_000
AGAIN_S = 0.5
"""While the tables cannot be written, what waits for them is tried again this often."""
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
    """Gathers reports for 30 ms or up to 200 of them, then hands the believed ones to `keep` as one group.

    What the tables cannot take now is handed to it again with what came meanwhile, all in the order in which it came.
    """

    def __init__(
        self,
        wire: WireContext,
        registry: NodeRegistry,
        keep: Callable[[list[Believed]], Awaitable[None]],
        meanwhile: Callable[[list[Believed]], None],
    ) -> None:
        """meanwhile: told all that waits for the tables, whenever there is more of it."""
        self._wire, self._registry, self._keep, self._meanwhile = wire, registry, keep, meanwhile
        self._waiting: asyncio.Queue[Arrived] = asyncio.Queue(MOST_WAITING)
        self._unkept: list[Believed] = []
        """Believed, but the tables could not take them."""

    def add(self, arrived: Arrived) -> None:
        """Never waits; where too many wait already, it is dropped and counted: the node will send it again."""
        try:
            self._waiting.put_nowait(arrived)
        except asyncio.QueueFull:
            self._wire.counters.dropped += 1

    async def turn(self) -> None:
        """One group."""
        fresh = await self._judged(await self._gathered())
        self._unkept += fresh
        over = len(self._unkept) - MOST_WAITING
        if over > 0:  # the newest: what a node says later, it says after what it said before
            self._wire.counters.dropped += over
            del self._unkept[MOST_WAITING:]
        one_by_one = 0
        while self._unkept:
            group = self._unkept[: 1 if one_by_one else MOST_A_GROUP]
            try:
                await self._keep(group)
            except (OperatorNeeded, Fault) as error:  # a busy, absent or full database
                self._wire.counters.faults["reports"] += 1
                log.error("reports are not kept yet: %s", error)
                if fresh:
                    self._meanwhile(self._unkept)
                return
            except Exception:  # noqa: BLE001 - whatever it is: nodes say what they like
                if len(group) > 1:  # one of them: what cannot be kept must not stand in the way of others
                    one_by_one = len(group)
                    continue
                self._cannot_be_kept(group[0])
            one_by_one = max(0, one_by_one - 1)
            del self._unkept[: len(group)]

    def _cannot_be_kept(self, one: Believed) -> None:
        """It is given up; its node may say it again. Told once for each power of ten."""
        self._wire.counters.faults["reports"] += 1
        count = self._wire.counters.faults["reports"]
        if str(count).strip("0") == "1":
            log.exception("what %s says cannot be kept (%d so far)", one.node.id, count)

    async def _gathered(self) -> list[Arrived]:
        """What came in within one gathering; nothing where something else is to be kept and nobody speaks."""
        arrived: list[Arrived] = []
        most = MOST_A_GROUP
        if self._unkept:
            most = MOST_JUDGED
            await self._wire.clock.sleep(AGAIN_S)
        else:
            arrived.append(await self._waiting.get())
            if self._waiting.qsize() < MOST_A_GROUP:
                await self._wire.clock.sleep(GATHER_S)
        while len(arrived) < most and not self._waiting.empty():
            arrived.append(self._waiting.get_nowait())
        return arrived

    async def _judged(self, arrived: list[Arrived]) -> list[Believed]:
        known = [(one, await self._registry.find(one.topic.node)) for one in arrived]
        if len(known) < _IN_THREAD_FROM or not self._wire.threads:
            group = judge_group(known)
        else:
            group = await asyncio.get_running_loop().run_in_executor(None, judge_group, known)
        for node, reason in group.refused:
            self.refuse(node, reason)
        for one in group.believed:
            self._wire.counters.received[type(one.report).__name__.lower()] += 1
        return group.believed

    def refuse(self, node: str, reason: str) -> None:
        """Count it, and say it once for each power of ten."""
        self._wire.counters.refused[reason] += 1
        count = self._wire.counters.refused[reason]
        if str(count).strip("0") == "1":
            log.warning("refused %s from the topic of %s (%d so far)", reason, node, count)


REPORT_CHANNELS = frozenset({UpChannel.PRESENCE, UpChannel.HEALTH, UpChannel.RECEIPT})
"""Channels that are kept in groups; wants and clock questions are answered at once."""
