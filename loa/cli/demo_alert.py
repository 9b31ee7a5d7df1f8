"""`loa demo --alert`: people, province, the story, the proof, the report."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from controller.accounts import FirstAccount
from controller.centre import Centre
from loa.cli.demo_alert_story import ISLAND_NODES, PAGE_NAME, TABLE_NAME, AlertFacts, AlertStory, People
from loa.cli.demo_people import OFFICERS, Api, administrator, duty_officer
from loa.cli.demo_proof import Heard, Verdict, compare_beginnings
from loa.cli.demo_report import AlertReport
from loa.cli.demo_scene import NODES, SceneOptions
from loa.cli.demo_screen import AlertLine, Screen, alert_table
from loa.cli.demo_stage import centre_up, province_up
from loa.cli.demo_storm import FILE_NAME, storm_map
from loa.cli.demo_story import recording_path
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import Fault, Refused
from loa.names import AreaPath
from loa.units import NodeId
from simulators.places import BORDER, ISLAND, LOUDSPEAKERS, NAMES, TOWN
from simulators.relay import Cut
from simulators.village import Village


async def run_alert(
    options: SceneOptions, folder: Path, *, how: Cut, screen: Screen, clock: Clock, entropy: Entropy
) -> AlertReport:
    """All of it; CAP file and reports go into `folder`. Raises what set-up and the centre's API raise."""
    words, began_s = screen.words, clock.monotonic_s()
    async with contextlib.AsyncExitStack() as stack:
        centre, url, first = await stack.enter_async_context(centre_up(options, screen, clock, entropy))
        people = await stack.enter_async_context(_people(centre, url, first, screen))
        village, _ = await stack.enter_async_context(province_up(centre, options.heard, screen, clock, entropy))
        await people.admin.api.post("/areas/import", storm_map())
        facts = await AlertStory(people, village, folder=folder, screen=screen, clock=clock).tell(how)
        screen.phase("phase_proof")
        verdicts = await _compared(centre, facts, options.heard, screen)
        report = _report(facts, village, verdicts, seconds=clock.monotonic_s() - began_s)
    screen.line(alert_table(words, [_line(commune, facts, village, verdicts) for commune in (BORDER, ISLAND, TOWN)]))
    screen.line(
        words(
            "alert_figures",
            first=report.first_sound_ms / 1000,
            silent=report.silent_ms / 1000,
            seconds=report.seconds,
        )
    )
    screen.line(
        words(
            "alert_files",
            heard=options.heard,
            page=folder / PAGE_NAME,
            table=folder / TABLE_NAME,
            cap=folder / FILE_NAME,
        )
    )
    return report


@contextlib.asynccontextmanager
async def _people(centre: Centre, url: str, first: FirstAccount | None, screen: Screen) -> AsyncIterator[People]:
    """The administrator and two duty officers, each signed in over HTTP. Raises Refused(already_exists)."""
    words = screen.words
    if first is None:
        raise Refused("already_exists", field="--keep", value=centre.config.data)
    async with contextlib.AsyncExitStack() as stack:
        with screen.step("officers") as step:
            api = await stack.enter_async_context(Api(url, words.language))
            admin = await administrator(centre, api, first)
            officers = []
            for account, full_name in OFFICERS:
                step.update(words("officers_wait", name=full_name))
                api = await stack.enter_async_context(Api(url, words.language))
                officers.append(await duty_officer(centre, admin, api, account, full_name=full_name))
            step.finish(words("officers_done", names=", ".join(one.full_name for one in officers)))
        yield People(admin, (officers[0], officers[1]))


async def _compared(centre: Centre, facts: AlertFacts, heard: Path, screen: Screen) -> tuple[Verdict, ...]:
    """Whether each loudspeaker's recording begins with the siren."""
    if facts.siren is None:
        raise Fault("demo_failed", what="no siren")
    siren = await asyncio.to_thread(centre.media.open_path(facts.siren).read_bytes)
    recordings = [Heard(plan.node, facts.alert, recording_path(heard, plan.node, facts.alert)) for plan in LOUDSPEAKERS]
    with screen.step("sirens_compare") as step:
        verdicts = await asyncio.to_thread(compare_beginnings, recordings, siren)
        good = sum(verdict.ok for verdict in verdicts)
        text = screen.words("sirens_compared", good=good, all=len(verdicts), siren=facts.siren_code)
        step.finish(text, good=good == len(verdicts))
    facts.failures += [f"{one.heard.node}: {one.reason}" for one in verdicts if not one.ok]
    return verdicts


def _firsts(facts: AlertFacts, village: Village) -> dict[NodeId, float]:
    """By node, when its first sample left the loudspeaker."""
    firsts: dict[NodeId, float] = {}
    for start in village.ears.starts_of(facts.alert):
        firsts.setdefault(start.node, start.true_ms)
    return firsts


def _silences(facts: AlertFacts, village: Village) -> dict[NodeId, float]:
    """By node that sounded and does no more, when it fell silent."""
    going = village.ears.sounding(facts.alert)
    return {end.node: end.true_ms for end in village.ears.ends if end.label == facts.alert and end.node not in going}


def _report(facts: AlertFacts, village: Village, verdicts: tuple[Verdict, ...], *, seconds: float) -> AlertReport:
    firsts, silences = _firsts(facts, village), _silences(facts, village)
    in_reach = [at - facts.released_ms for node, at in firsts.items() if node not in facts.cut_off]
    back = [at - facts.mended_ms for node, at in firsts.items() if node in facts.cut_off and at >= facts.mended_ms]
    return AlertReport(
        nodes=NODES,
        in_reach=NODES - len(facts.cut_off),
        started=len(in_reach),
        started_after_link_back=len(back),
        sounding_at_cancel=facts.sounding_at_cancel,
        silent=len(silences),
        sirens=sum(verdict.ok for verdict in verdicts),
        board_closed=facts.board_closed,
        first_sound_ms=round(min(in_reach, default=0.0), 1),
        last_in_reach_ms=round(max(in_reach, default=0.0), 1),
        link_back_ms=round(max(back, default=0.0), 1),
        silent_ms=round(max([*silences.values(), facts.cancelled_ms]) - facts.cancelled_ms, 1),
        seconds=round(seconds, 1),
        failures=tuple(facts.failures),
    )


def _line(commune: AreaPath, facts: AlertFacts, village: Village, verdicts: tuple[Verdict, ...]) -> AlertLine:
    here = {plan.node for plan in LOUDSPEAKERS if plan.commune == commune}
    firsts = {node: at for node, at in _firsts(facts, village).items() if node in here}
    silences = [at for node, at in _silences(facts, village).items() if node in here]
    was_cut_off = here <= ISLAND_NODES
    since = facts.mended_ms if was_cut_off else facts.released_ms
    return AlertLine(
        name=NAMES[commune],
        nodes=len(here),
        started=len(firsts),
        first_s=(max(firsts.values(), default=since) - since) / 1000,
        silent=len(silences),
        silent_s=(max([*silences, facts.cancelled_ms]) - facts.cancelled_ms) / 1000,
        sirens=sum(verdict.ok for verdict in verdicts if verdict.heard.node in here),
        was_cut_off=was_cut_off,
    )
