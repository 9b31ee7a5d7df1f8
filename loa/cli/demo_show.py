"""`loa demo`: the province goes on, with a live table of what each node does, until Ctrl-C."""

import asyncio
from datetime import timedelta
from pathlib import Path

from rich.console import Group
from rich.live import Live

from controller.services import broadcasts
from controller.services.broadcasts import BroadcastView
from controller.services.nodes import NodeView
from controller.services.programmes import ProgrammeForm
from loa.cli.demo_once import Stage, prepared_recording, set_up
from loa.cli.demo_report import DemoReport
from loa.cli.demo_scene import ACCOUNT, SceneOptions
from loa.cli.demo_screen import NodeLine, Screen, live_table
from loa.cli.demo_story import clock_text, local_time
from loa.clock import Clock
from loa.entropy import Entropy
from loa.units import Digest, InstantMs
from simulators.places import LOUDSPEAKERS, NAMES, PROVINCE, LoudspeakerPlan

_LOOK_S = 0.5
_LEAST_LEAD_S = 45
_KEPT_BROADCASTS = 3
_BUS_BYTES_A_SECOND = 2_700
_PAUSE_MS = 5_000
_AHEAD = 12
"""Broadcasts planned at a time: a week of them every few minutes would fill the station's bus with timetables."""
_DIVISORS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
"""Of an hour, so that the minutes come again in the next one."""


async def run_show(
    options: SceneOptions, audio: Path | None, *, minutes: int, screen: Screen, clock: Clock, entropy: Entropy
) -> DemoReport | None:
    """Runs until cancelled. Raises Refused for a recording that cannot be taken, and what set-up raises."""
    words = screen.words
    async with (
        prepared_recording(audio, None, screen) as recording,
        set_up(options, recording, screen, clock, entropy) as stage,
    ):
        screen.line("")
        screen.line(words("again", minutes=minutes))
        show = _Show(stage, screen, clock, heard=options.heard, minutes=minutes)
        with Live(
            console=screen.console, auto_refresh=False, transient=True, vertical_overflow="crop", screen=False
        ) as live:
            try:
                while True:
                    live.update(await show.table(), refresh=True)
                    await clock.sleep(_LOOK_S)
            except asyncio.CancelledError:
                live.stop()
                screen.line(words("stopping"))
                raise
    return None


async def _plan(stage: Stage, minutes: int, clock: Clock) -> None:
    """A programme every few minutes, from as soon as the audio can be everywhere."""
    made = stage.bulletin.renditions[0]
    lead_s = max(_LEAST_LEAD_S, 12 + made.length_bytes // _BUS_BYTES_A_SECOND)
    wanted = max(minutes, -(-(made.duration_ms + _PAUSE_MS) // 60_000))
    every = next((one for one in _DIVISORS if one >= wanted), 60)
    start = local_time(InstantMs(clock.now_ms() + lead_s * 1000)).replace(microsecond=0) + timedelta(seconds=1)
    form = ProgrammeForm(
        title=stage.bulletin.title,
        area=PROVINCE,
        starts_on=start.strftime("%Y-%m-%dT%H:%M:%S"),
        recurrence=f"FREQ=HOURLY;BYMINUTE={','.join(map(str, range(start.minute % every, 60, every)))};COUNT={_AHEAD}",
        rundown=[stage.bulletin.id],
    )
    await stage.centre.add_programme(form, account=ACCOUNT)


class _Show:
    """The live table, read anew each time."""

    def __init__(self, stage: Stage, screen: Screen, clock: Clock, *, heard: Path, minutes: int) -> None:
        self._stage, self._words, self._clock = stage, screen.words, clock
        self._heard, self._minutes = heard, minutes
        self._swept: set[str] = set()

    async def table(self) -> Group:
        views = {view.id: view for view in await self._stage.centre.nodes()}
        now = self._clock.now_ms()
        near = await self._stage.centre.reading(
            lambda session: broadcasts.list_broadcasts(
                session, since=InstantMs(now - 900_000), until=InstantMs(now + 7_200_000), limit=50
            )
        )
        self._sweep([one for one in near if one.start_at + one.duration_ms < now])
        coming = [one for one in near if one.start_at > now and one.status == "planned"]
        if not coming and not any(one.start_at + one.duration_ms > now for one in near):
            await _plan(self._stage, self._minutes, self._clock)
        head = self._words("next", time=clock_text(coming[0].start_at)) if coming else self._words("none")
        return live_table(self._words, [self._line(plan, views.get(plan.node)) for plan in LOUDSPEAKERS], head)

    def _line(self, plan: LoudspeakerPlan, view: NodeView | None) -> NodeLine:
        words, health = self._words, view.health if view is not None else None
        playing = health.playing if health is not None else None
        digest = Digest(self._stage.bulletin.renditions[0].digest)
        error = health.time_error_ms if health is not None else None
        return NodeLine(
            commune=NAMES[plan.commune],
            node=plan.node,
            place=NAMES[plan.area],
            way=words("wired" if plan.wired else "wireless"),
            cut_off=view is None or view.state == "silent",
            now=words("on_air") if playing is not None else words("silent"),
            sounding=playing is not None,
            audio=words("ready") if health is not None and digest in health.renditions else words("none"),
            clock=f"±{error} ms" if error is not None else words("none"),
            last=clock_text(view.last_heard_at) if view is not None and view.last_heard_at else words("none"),
        )

    def _sweep(self, over: list[BroadcastView]) -> None:
        """Keep the recordings of the last few broadcasts: they are 100 MB each minute of sound."""
        for one in over[:-_KEPT_BROADCASTS]:
            if one.id not in self._swept:
                self._swept.add(one.id)
                for path in self._heard.glob(f"*-{one.id}.wav"):
                    path.unlink(missing_ok=True)
