"""The story of `loa demo --alert`: a storm warning in, two approvals, an island that comes back, one cancel.

What is told comes from the centre's HTTP API; when each loudspeaker sounded and fell silent, from ears at its foot.
"""

import csv
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from controller.cap.writing import MEDIA_TYPE
from loa.cli.demo_board import BoardWatch
from loa.cli.demo_ladder import thousands
from loa.cli.demo_people import Person
from loa.cli.demo_scene import NODES
from loa.cli.demo_screen import Screen, Step
from loa.cli.demo_storm import FILE_NAME, storm_file
from loa.cli.demo_waiting import until
from loa.clock import Clock
from loa.errors import Fault, OperatorNeeded
from loa.units import Digest, NodeId
from simulators.ears import HeardStart
from simulators.places import ISLAND, LOUDSPEAKERS, NAMES
from simulators.relay import Cut
from simulators.village import Village

PAGE_NAME, TABLE_NAME = "alert-report.html", "alert-report.csv"
ISLAND_NODES = frozenset(plan.node for plan in LOUDSPEAKERS if plan.commune == ISLAND)
_STORED_S = 100.0
_REACH_S = 10.0
_BACK_S = 25.0
_SILENT_S = 10.0
_TOLD_S = 20.0
_INTO_WORDS_S = 3.0
"""So much of the words is heard before they are taken back."""
_INTO_PAUSE_S = 0.5


@dataclass(frozen=True)
class People:
    """Who acts."""

    admin: Person
    officers: tuple[Person, Person]


@dataclass
class AlertFacts:
    """What came of it. Instants are milliseconds since 1970 by the true clock."""

    alert: str = ""
    siren: Digest | None = None
    siren_code: int = 0
    released_ms: float = 0.0
    """When the second approval was asked for."""
    mended_ms: float = 0.0
    cancelled_ms: float = 0.0
    """When the cancel was asked for."""
    cut_off: frozenset[NodeId] = frozenset()
    sounding_at_cancel: int = 0
    starts_until_silent: int = 0
    board_closed: bool = False
    failures: list[str] = field(default_factory=list)


class AlertStory:
    """Told step by step on the screen. A step that falls short is noted as a failure, and the story goes on."""

    def __init__(self, people: People, village: Village, *, folder: Path, screen: Screen, clock: Clock) -> None:
        self._admin, (self._one, self._two) = people.admin, people.officers
        self._village, self._folder, self._clock = village, folder, clock
        self._screen, self._words = screen, screen.words
        self.watch = BoardWatch(self._one.api, screen, clock)
        self._run_s = self._gap_s = self._siren_s = 0.0
        self._sounds: list[Any] = []
        self.facts = AlertFacts()

    async def tell(self, how: Cut) -> AlertFacts:
        """All of it. `how` is the way in which the island's link is cut."""
        await self._store_sirens()
        self._screen.phase("phase_cap")
        alert = await self._compose()
        self._screen.phase("phase_release")
        self._cut(how)
        await self._release(alert)
        await self._ladder_fills()
        self._screen.phase("phase_back")
        await self._mend(alert)
        self._screen.phase("phase_cancel")
        await self._cancel()
        await self._close()
        await self._papers()
        self.facts.board_closed = self.watch.is_closed
        if again := len(self._starts()) - self.facts.starts_until_silent:
            self.facts.failures.append(f"sounded again after the cancel: {again}")
        self.facts.failures += self._village.failures
        return self.facts

    # Before anything sounds.

    async def _store_sirens(self) -> None:
        began_s = self._clock.monotonic_s()
        with self._screen.step("sirens") as step:
            try:
                await self._admin.api.post("/stored-sounds/shipped", {})
            except OperatorNeeded as error:  # no voice for the announcement of drills; the sirens are kept by then
                if error.code != "voice_unavailable":
                    raise
            self._sounds = (await self._admin.api.get("/stored-sounds"))["sounds"]
            wanted = {Digest(bytes.fromhex(one["digest"])) for one in self._sounds}
            ready, whole = 0, NODES * len(wanted)

            async def everywhere() -> bool:
                nonlocal ready
                counts = [len(wanted & set(box.node.status().renditions)) for box in self._village.boxes]
                ready, held = counts.count(len(wanted)), sum(counts)
                step.update(self._words("sirens_wait", held=held, all=whole, ready=ready, nodes=NODES), held / whole)
                return ready == NODES

            if await self._until(everywhere, _STORED_S):
                seconds = self._clock.monotonic_s() - began_s
                step.finish(self._words("sirens_done", count=len(wanted), nodes=NODES, seconds=seconds))
            else:
                self._fall_short(step, self._words("sirens_late", ready=ready, nodes=NODES))

    async def _compose(self) -> Any:
        """Hand the CAP file in, and look at what was made of it; the alert's view."""
        path = self._folder / FILE_NAME
        path.write_bytes(storm_file(self._clock.now_ms()))
        with self._screen.step("cap") as step:
            (item,) = (await self._one.api.hand_in("/cap", path.read_bytes(), MEDIA_TYPE))["items"]
            places = ", ".join(NAMES.get(one, one) for one in item["areas"]["matched"])
            signature = self._words(item["signature"])
            step.finish(
                self._words(
                    "cap_done", file=FILE_NAME, status=item["http_status"], code=item["code"], title=item["title"],
                    signature=signature, areas=places,
                )
            )  # fmt: skip
        if item["alert"] is None:
            raise Fault("demo_failed", what=f"no alert was composed of {path}: {item['code']}")
        alert = await self._one.api.get(f"/alerts/{item['alert']}")
        self.facts.alert = self.watch.alert = alert["id"]
        self._show(alert)
        return alert

    def _show(self, alert: Any) -> None:
        words, reach = self._words, alert["reach"]
        with self._screen.step("composed") as step:
            text = words(
                "composed_done", title=alert["title"], severity=alert["severity"], urgency=alert["urgency"],
                count=alert["people_needed"],
            )  # fmt: skip
            self._judge(step, text, good=alert["people_needed"] == len((self._one, self._two)))
        with self._screen.step("reach") as step:
            communes = ", ".join(NAMES.get(one, one) for one in alert["target_areas"])
            text = words(
                "reach_done", villages=reach["villages"], nodes=reach["nodes"], communes=communes,
                people=thousands(reach["people"] or 0, words),
            )  # fmt: skip
            self._judge(step, text, good=reach["nodes"] == NODES)
        with self._screen.step("said") as step:
            siren = next((one for one in self._sounds if one["code"] == alert["siren"]), None)
            if siren is None or alert["siren_missing"]:
                raise Fault("demo_failed", what=f"siren {alert['siren']} is not stored")
            self.facts.siren, self.facts.siren_code = Digest(bytes.fromhex(siren["digest"])), alert["siren"]
            speech_s = sum(one["duration_ms"] for one in alert["sounds"]) / 1000
            self._siren_s, self._gap_s = siren["duration_ms"] / 1000, alert["gap_ms"] / 1000
            self._run_s = self._siren_s + speech_s
            said = " ".join(one["text"] or "" for one in alert["sounds"]) or words("no_voice")
            step.finish(
                words(
                    "said_done", siren=alert["siren"], siren_s=self._siren_s, text=said, seconds=speech_s,
                    gap=self._gap_s,
                )
            )  # fmt: skip

    # Out to the villages.

    def _cut(self, how: Cut) -> None:
        with self._screen.step("cut") as step:
            self._village.cut_island(how)
            self.facts.cut_off = ISLAND_NODES
            step.finish(self._words("cut_done", how=self._words(how.value), nodes=len(ISLAND_NODES)))

    async def _release(self, alert: Any) -> None:
        with self._screen.step("first") as step:
            step.update(self._one.full_name)
            await self._one.step_up()
            reply = await self._one.approve(alert)
            silent = NODES - len({start.node for start in self._starts()})
            text = self._words("first_done", name=self._one.full_name, words=reply["words"], silent=silent, nodes=NODES)
            self._judge(step, text, good=reply["outcome"] == "second_person_required" and silent == NODES)
        with self._screen.step("second") as step:
            step.update(self._two.full_name)
            await self._two.step_up()
            self.facts.released_ms = self._clock.now_ms()
            reply = await self._two.approve(alert)
            wanted = NODES - len(self.facts.cut_off)

            async def all_in_reach() -> bool:
                started = {start.node for start in self._starts()} - self.facts.cut_off
                step.update(self._words("second_wait", started=len(started)), len(started) / wanted)
                return len(started) == wanted

            good = await self._until(all_in_reach, _REACH_S) and reply["outcome"] == "released"
            if early := [start.node for start in self._starts() if start.true_ms < self.facts.released_ms]:
                self.facts.failures.append(f"sounded before the second approval: {', '.join(early)}")
            after = [(start.true_ms - self.facts.released_ms) / 1000 for start in self._starts()]
            text = self._words(
                "second_done", name=self._two.full_name, words=reply["words"], first=min(after, default=0.0),
                reached=len({start.node for start in self._starts()}), last=max(after, default=0.0),
            )  # fmt: skip
            self._judge(step, text, good=good)

    async def _ladder_fills(self) -> None:
        """Through the siren and the words, into the pause before they come again."""
        began_ms = min((start.true_ms for start in self._starts()), default=self.facts.released_ms)
        await self._watch_until(began_ms + (self._run_s + _INTO_PAUSE_S) * 1000, "live_first")
        self._ladder(good=self.watch.reached == {plan.node for plan in LOUDSPEAKERS} - self.facts.cut_off)
        if too_early := {start.node for start in self._starts()} & self.facts.cut_off:
            self.facts.failures.append(f"sounded behind the cut link: {', '.join(sorted(too_early))}")

    async def _mend(self, alert: Any) -> None:
        self.facts.mended_ms = self._clock.now_ms()
        self._village.mend_island()
        wanted = len(ISLAND_NODES)

        async def all_there() -> bool:
            return len(self._back()) == wanted and len(self.watch.reached) == NODES

        good = await self.watch.watch(
            all_there,
            _BACK_S + self._gap_s,
            lambda: self._words("back_wait", started=len(self._back()), nodes=wanted),
        )
        with self._screen.step("back") as step:
            received = [
                _ms(line["received_at"])
                for line in self.watch.lines
                if line["node"] in ISLAND_NODES and line["reached"]
            ]
            sounded = [start.true_ms for start in self._starts() if start.node in self._back()]
            text = self._words(
                "back_done", started=len(self._back()), nodes=wanted,
                received=(max(received, default=self.facts.mended_ms) - self.facts.mended_ms) / 1000,
                sounded=(max(sounded, default=self.facts.mended_ms) - self.facts.mended_ms) / 1000,
                left=(_ms(alert["expires_at"]) - self._clock.now_ms()) / 60_000,
            )  # fmt: skip
            self._judge(step, text, good=good)
        self._ladder(good=good, communes=True)

    # And back.

    async def _cancel(self) -> None:
        """In the midst of the words, after a whole siren everywhere; without a voice in the midst of the next siren."""
        into_s = self._siren_s + _INTO_WORDS_S
        if into_s + _INTO_WORDS_S > self._run_s:
            into_s = self._run_s + self._gap_s + _INTO_WORDS_S
        latest = max((start.true_ms for start in self._starts()), default=self.facts.mended_ms)
        await self._watch_until(latest + into_s * 1000, "live_again")
        with self._screen.step("cancel") as step:
            self.facts.sounding_at_cancel = len(self._sounding())
            self.facts.cancelled_ms = self._clock.now_ms()
            await self._one.cancel(self.facts.alert)

            async def all_silent() -> bool:
                step.update(self._words("cancel_wait", sounding=len(self._sounding())))
                return not self._sounding() and all(box.node.status().playing is None for box in self._village.boxes)

            is_silent = await self._until(all_silent, _SILENT_S)
            self.facts.starts_until_silent = len(self._starts())
            if not is_silent:
                self._fall_short(step, self._words("cancel_late", sounding=len(self._sounding()), seconds=_SILENT_S))
                return
            ends = [end.true_ms for end in self._village.ears.ends if end.label == self.facts.alert]
            seconds = (max([*ends, self.facts.cancelled_ms]) - self.facts.cancelled_ms) / 1000
            text = self._words(
                "cancel_done", name=self._one.full_name, sounding=self.facts.sounding_at_cancel, seconds=seconds
            )
            self._judge(step, text, good=self.facts.sounding_at_cancel == NODES)

    async def _close(self) -> None:
        async def closed() -> bool:
            return self.watch.is_closed

        await self.watch.watch(closed, _TOLD_S, lambda: self._words("live_close"))
        ended = self.watch.cancelled
        self._ladder(good=ended == NODES, communes=True)
        with self._screen.step("board") as step:
            key = "board_closed" if self.watch.is_closed else "board_open"
            text = self._words(key, ended=ended, nodes=NODES, open=self.watch.board["totals"]["open"])
            self._judge(step, text, good=ended == NODES)

    async def _papers(self) -> None:
        page, table = self._folder / PAGE_NAME, self._folder / TABLE_NAME
        with self._screen.step("papers") as step:
            report = f"/alerts/{self.facts.alert}/report"
            page.write_bytes(await self._one.api.take(f"{report}.html"))
            table.write_bytes(await self._one.api.take(f"{report}.csv"))
            rows = csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"), newline=""))
            told = sum(bool(row["started_at"]) and row["end"] == "cancelled" for row in rows)
            if told == NODES:
                step.finish(self._words("papers_done", page=page, table=table))
            else:
                self._fall_short(step, self._words("papers_differ", table=table, rows=told, nodes=NODES))

    # Looking.

    def _starts(self) -> list[HeardStart]:
        return self._village.ears.starts_of(self.facts.alert)

    def _back(self) -> set[NodeId]:
        """Those of the island that sounded after the link was mended."""
        return {
            start.node
            for start in self._starts()
            if start.node in ISLAND_NODES and start.true_ms >= self.facts.mended_ms
        }

    def _sounding(self) -> set[NodeId]:
        return self._village.ears.sounding(self.facts.alert)

    async def _watch_until(self, instant_ms: float, key: str) -> None:
        def left_s() -> float:
            return max(0.0, instant_ms - self._clock.now_ms()) / 1000

        async def is_past() -> bool:
            return left_s() == 0

        await self.watch.watch(is_past, left_s() + _REACH_S, lambda: self._words(key, left=left_s()))

    def _ladder(self, *, good: bool, communes: bool = False) -> None:
        with self._screen.step("ladder") as step:
            self._judge(step, self.watch.summary(), good=good)
        self.watch.show(communes=communes)

    async def _until(self, holds: Callable[[], Awaitable[bool]], within_s: float) -> bool:
        return await until(self._clock, holds, within_s)

    def _judge(self, step: Step, text: str, *, good: bool) -> None:
        if good:
            step.finish(text)
        else:
            self._fall_short(step, text)

    def _fall_short(self, step: Step, text: str) -> None:
        step.finish(text, good=False)
        self.facts.failures.append(f"{step.label}: {text}")


def _ms(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp() * 1000
