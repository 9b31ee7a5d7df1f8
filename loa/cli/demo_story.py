"""The story of `loa demo --once`: one scheduled broadcast over a cut link, one immediate one, and the proof of both."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from controller.centre import Centre
from controller.services import broadcasts, coverage
from controller.services.broadcasts import BroadcastView, IssueForm
from controller.services.bulletins import BulletinView
from controller.services.coverage import Coverage
from controller.services.programmes import ProgrammeForm
from loa.cli.demo_scene import ACCOUNT, NODES
from loa.cli.demo_screen import Screen, Step
from loa.cli.demo_waiting import until
from loa.clock import Clock, wait_until
from loa.errors import Fault
from loa.units import InstantMs, NodeId
from simulators.places import ISLAND, PROVINCE
from simulators.relay import Cut
from simulators.tap import AudioTap
from simulators.village import Village

VIETNAM = timezone(timedelta(hours=7))
_BUS_BYTES_A_SECOND = 2_700.0
"""What is left of 38,400 baud for audio, with room for repairs."""
_PLAN_LEAD_S = 14.0
_LEAST_LEAD_S = 30.0
_CUT_BEFORE_S = 3.0
_SETTLE_S = 6.0
_RECONNECT_S = 30.0
_RECEIPTS_S = 30.0


@dataclass
class StoryFacts:
    """What came of it."""

    scheduled: BroadcastView | None = None
    immediate: BroadcastView | None = None
    coverage: dict[str, Coverage] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def broadcasts(self) -> list[BroadcastView]:
        return [one for one in (self.scheduled, self.immediate) if one is not None]


class Story:
    """Told step by step on the screen. A step that falls short is noted as a failure, and the story goes on."""

    def __init__(
        self, centre: Centre, village: Village, tap: AudioTap, *, bulletin: BulletinView, screen: Screen, clock: Clock
    ) -> None:
        self._centre, self._village, self._tap = centre, village, tap
        self._bulletin, self._screen, self._words, self._clock = bulletin, screen, screen.words, clock
        self.facts = StoryFacts()

    async def tell(self, how: Cut) -> StoryFacts:
        """All of it. `how` is the way in which the island's link is cut."""
        planned = await self._plan()
        await self._prefetch(planned)
        await self._cut(how, planned)
        await self._scheduled(planned)
        await self._mend()
        issued = await self._immediate()
        await self._receipts([planned, issued])
        self.facts.failures += self._village.failures
        return self.facts

    # The steps.

    async def _plan(self) -> BroadcastView:
        """Put the recording in the timetable, as soon as its audio can be everywhere."""
        length = sum(one.length_bytes for one in self._bulletin.renditions)
        lead_s = max(_LEAST_LEAD_S, _PLAN_LEAD_S + length / _BUS_BYTES_A_SECOND)
        start = -(-(self._clock.now_ms() + round(lead_s * 1000)) // 1000) * 1000
        with self._screen.step("plan") as step:
            form = ProgrammeForm(
                title=self._bulletin.title,
                area=PROVINCE,
                starts_on=local_time(InstantMs(start)).strftime("%Y-%m-%dT%H:%M:%S"),
                rundown=[self._bulletin.id],
            )
            programme = await self._centre.add_programme(form, account=ACCOUNT)
            listed = await self._centre.reading(broadcasts.list_broadcasts)
            planned = next((one for one in listed if one.programme == programme.id and one.status == "planned"), None)
            if planned is None:
                raise Fault("demo_failed", what="the broadcast was not planned")
            step.finish(self._words("plan_done", time=clock_text(planned.start_at)))
        self.facts.scheduled = planned
        return planned

    async def _prefetch(self, planned: BroadcastView) -> None:
        began_s = self._clock.monotonic_s()
        with self._screen.step("audio") as step:
            ready = 0

            async def everywhere() -> bool:
                nonlocal ready
                ready = sum(1 for one in (await self._coverage(planned)).nodes if one.ready_at is not None)
                step.update(self._words("audio_wait", ready=ready, nodes=NODES), ready / NODES)
                return ready == NODES

            left_s = (planned.start_at - self._clock.now_ms()) / 1000 - _CUT_BEFORE_S - 0.5
            if await self._until(everywhere, left_s):
                seconds = self._clock.monotonic_s() - began_s
                kilobytes = self._tap.count.all_bytes / 1000
                step.finish(self._words("audio_done", nodes=NODES, seconds=seconds, kilobytes=kilobytes))
            else:  # not yet a failure: it may still come in time, and the recordings will tell
                step.finish(self._words("audio_late", ready=ready, nodes=NODES), good=False)

    async def _cut(self, how: Cut, planned: BroadcastView) -> None:
        with self._screen.step("cut") as step:
            await self._count_down(step, InstantMs(planned.start_at - round(_CUT_BEFORE_S * 1000)), planned.start_at)
            self._village.cut_island(how)
            step.finish(self._words("cut_done", how=self._words(how.value), nodes=len(self._village.boxes_in(ISLAND))))

    async def _scheduled(self, planned: BroadcastView) -> None:
        with self._screen.step("scheduled") as step:
            await self._count_down(step, planned.start_at, planned.start_at)
            heard = await self._heard_out(step, planned)
            island = {box.plan.node for box in self._village.boxes_in(ISLAND)}
            finished: set[NodeId] = set()

            async def told() -> bool:
                nonlocal finished
                lines = (await self._coverage(planned)).nodes
                finished = {line.node for line in lines if line.finished_at is not None}
                return len(finished) >= NODES - len(island)

            await self._until(told, _SETTLE_S)
            if finished & island:
                self.facts.failures.append("receipts came over the cut link")
            words = self._words(
                "scheduled_done", finished=len(heard), nodes=NODES, island=len(heard & island), receipts=len(finished)
            )
            if len(heard) < NODES:
                self._fall_short(step, words)
            else:
                step.finish(words)

    async def _mend(self) -> None:
        began_ms, began_s = self._clock.now_ms(), self._clock.monotonic_s()
        island = {box.plan.node for box in self._village.boxes_in(ISLAND)}
        with self._screen.step("mend") as step:
            self._village.mend_island()
            back: set[NodeId] = set()

            async def all_back() -> bool:
                nonlocal back
                views = await self._centre.nodes()
                back = {view.id for view in views if view.id in island and (view.health_at or 0) > began_ms}
                step.update(self._words("mend_wait", up=len(back), nodes=len(island)), len(back) / len(island))
                return back == island

            good = await self._until(all_back, _RECONNECT_S)
            seconds = self._clock.monotonic_s() - began_s
            words = self._words("mend_done", up=len(back), nodes=len(island), seconds=seconds)
            if good:
                step.finish(words)
            else:
                self._fall_short(step, words)

    async def _immediate(self) -> BroadcastView:
        with self._screen.step("immediate") as step:
            form = IssueForm(bulletins=[self._bulletin.id], target_areas=[PROVINCE])
            issued = await self._centre.issue_now(form, account=ACCOUNT)
            view = await self._centre.broadcast(issued.broadcast_id.hex())
            self.facts.immediate = view
            await self._count_down(step, view.start_at, view.start_at)
            heard = await self._heard_out(step, view)
            words = self._words("immediate_done", finished=len(heard), nodes=NODES)
            if len(heard) < NODES:
                self._fall_short(step, words)
            else:
                step.finish(words)
        return view

    async def _receipts(self, both: list[BroadcastView]) -> None:
        with self._screen.step("receipts") as step:
            counts = [0, 0]
            sure: set[NodeId] = set()

            async def all_in() -> bool:
                nonlocal sure
                finished = []
                for one in both:
                    told = await self._coverage(one)
                    finished.append({line.node for line in told.nodes if line.finished_at is not None})
                counts[:] = [len(one) for one in finished]
                sure = set.intersection(*finished)
                words = self._words("receipts_wait", first=counts[0], second=counts[1], nodes=NODES)
                step.update(words, sum(counts) / (2 * NODES))
                return len(sure) == NODES

            good = await self._until(all_in, _RECEIPTS_S)
            words = self._words("receipts_done", count=len(sure), nodes=NODES)
            if good:
                step.finish(words)
            else:
                self._fall_short(step, words)
            for one in both:
                self.facts.coverage[one.id] = await self._coverage(one)

    # Waiting.

    async def _heard_out(self, step: Step, one: BroadcastView) -> set[NodeId]:
        """Wait until every loudspeaker has sounded the broadcast to its end, or should have; those that did."""
        finished: set[NodeId] = set()

        async def over() -> bool:
            nonlocal finished
            finished = {node for node, label in self._village.ears.finished if label == one.id}
            started = {start.node for start in self._village.ears.starts_of(one.id)}
            done = (self._clock.now_ms() - one.start_at) / max(1, one.duration_ms)
            step.update(self._words("heard_wait", started=len(started), finished=len(finished)), done)
            return len(finished) == NODES

        left_s = (one.start_at + one.duration_ms - self._clock.now_ms()) / 1000
        await self._until(over, max(0.0, left_s) + _SETTLE_S)
        return finished

    async def _until(self, holds: Callable[[], Awaitable[bool]], within_s: float) -> bool:
        return await until(self._clock, holds, within_s)

    async def _count_down(self, step: Step, until: InstantMs, start: InstantMs) -> None:
        while (left_ms := until - self._clock.now_ms()) > 0:
            seconds = max(0.0, (start - self._clock.now_ms()) / 1000)
            step.update(self._words("waiting_for", time=clock_text(start), seconds=seconds))
            await wait_until(self._clock, InstantMs(self._clock.now_ms() + min(500, left_ms)))

    async def _coverage(self, one: BroadcastView) -> Coverage:
        return await self._centre.reading(lambda session: coverage.coverage(session, one.id))

    def _fall_short(self, step: Step, text: str) -> None:
        step.finish(text, good=False)
        self.facts.failures.append(f"{step.label}: {text}")


def local_time(instant: InstantMs) -> datetime:
    """In Vietnam."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)).astimezone(VIETNAM)


def clock_text(instant: InstantMs) -> str:
    return local_time(instant).strftime("%H:%M:%S")


def recording_path(folder: Path, node: NodeId, broadcast: str) -> Path:
    """Where a loudspeaker leaves what it sounded."""
    return folder / f"{node}-{broadcast}.wav"
