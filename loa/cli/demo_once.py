"""`loa demo --once`: set-up, the story, the proof, the report."""

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from audio.excerpt import write_excerpt
from controller.centre import Centre
from controller.services.bulletins import BulletinView
from loa.cli.demo_proof import Heard, Verdict, compare_heard, compare_rendition
from loa.cli.demo_report import DemoReport, p99
from loa.cli.demo_scene import ACCOUNT, NODES, STUDIO, WIRED, SceneOptions
from loa.cli.demo_screen import CommuneLine, Screen, coverage_table
from loa.cli.demo_stage import centre_up, province_up
from loa.cli.demo_story import Story, StoryFacts, recording_path
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import Refused
from loa.names import AreaPath
from loa.units import Digest, DurationMs, NodeId
from simulators.announcement import write_announcement
from simulators.places import BORDER, ISLAND, LOUDSPEAKERS, NAMES, PROVINCE, TOWN
from simulators.relay import Cut
from simulators.tap import AudioTap
from simulators.village import Village

FIRST_MS = DurationMs(20_000)


@dataclass(frozen=True)
class Recording:
    """What goes in: the file that is imported, and what to call it."""

    path: Path
    name: str
    """For people."""
    title: str


@dataclass(frozen=True)
class Stage:
    """The set-up, done: everything runs and every node is in contact."""

    centre: Centre
    village: Village
    tap: AudioTap
    bulletin: BulletinView
    recording: Recording


@contextlib.asynccontextmanager
async def prepared_recording(
    audio: Path | None, first_ms: DurationMs | None, screen: Screen
) -> AsyncIterator[Recording]:
    """The given recording, or a generated one; only its first part where `first_ms` says so and it is longer.

    Raises Refused as an import would, and Refused(file_missing).
    """
    words = screen.words
    with tempfile.TemporaryDirectory(prefix="loa-demo-audio-") as folder:
        if audio is None:
            path = Path(folder) / "thong-bao.wav"
            made = await asyncio.to_thread(write_announcement, path)
            yield Recording(path, words(f"made_{made}"), words("bulletin"))
            return
        if not await asyncio.to_thread(audio.is_file):
            raise Refused("file_missing", field="audio", value=audio)
        if first_ms is not None:
            excerpt = Path(folder) / "excerpt.wav"
            if await asyncio.to_thread(write_excerpt, audio, excerpt, first_ms):
                yield Recording(excerpt, audio.name + words("recording_first", seconds=first_ms / 1000), audio.stem)
                return
        yield Recording(audio, audio.name, audio.stem)


async def import_and_approve(centre: Centre, recording: Recording, screen: Screen) -> BulletinView:
    """The recording as an approved bulletin."""
    words = screen.words
    with screen.step("recording") as step:
        draft = await centre.import_bulletin(
            recording.path,
            title=recording.title,
            area=PROVINCE,
            account=STUDIO,
            chime=False,
            progress=lambda done, _stage: step.update(recording.name, done),
        )
        bulletin = await centre.approve(draft.id, content_hash=draft.content_hash, account=ACCOUNT)
        made = bulletin.renditions[0]
        if made.levelled_by == "loudness":
            level = words("level_loudness", lufs=made.loudness_centi_lufs / 100)
        else:
            level = words("level_peak", peak=made.peak_centi_db / 100)
        step.finish(
            words(
                "recording_done",
                name=recording.name,
                seconds=made.duration_ms / 1000,
                kilobytes=made.length_bytes / 1000,
                level=level,
            )
        )
    return bulletin


@contextlib.asynccontextmanager
async def set_up(
    options: SceneOptions, recording: Recording, screen: Screen, clock: Clock, entropy: Entropy
) -> AsyncIterator[Stage]:
    """Start everything; returns when every node is in contact. Raises what starting a centre raises."""
    async with centre_up(options, screen, clock, entropy) as (centre, _url, _first):
        bulletin = await import_and_approve(centre, recording, screen)
        async with province_up(centre, options.heard, screen, clock, entropy) as (village, tap):
            yield Stage(centre, village, tap, bulletin, recording)


@dataclass(frozen=True)
class OnceResult:
    """The story's end: the report, and each commune's line."""

    report: DemoReport
    lines: tuple[CommuneLine, ...]


async def run_once(
    options: SceneOptions, audio: Path | None, *, how: Cut, screen: Screen, clock: Clock, entropy: Entropy
) -> DemoReport:
    """All of it. Raises Refused for a recording that cannot be taken, and what set-up raises."""
    words = screen.words
    async with (
        prepared_recording(audio, FIRST_MS, screen) as recording,
        set_up(options, recording, screen, clock, entropy) as stage,
    ):
        began_s = clock.monotonic_s()
        screen.phase("phase_story")
        story = Story(stage.centre, stage.village, stage.tap, bulletin=stage.bulletin, screen=screen, clock=clock)
        facts = await story.tell(how)
        screen.phase("phase_proof")
        result = await _prove(stage, facts, screen, options.heard)
        seconds = clock.monotonic_s() - began_s
    report = result.report
    screen.line(coverage_table(words, result.lines))
    screen.line(
        words(
            "figures",
            skew=report.start_skew_ms_p99,
            published=report.audio_bytes_published / 1000,
            repair=report.repair_bytes / 1000,
            duplicates=report.duplicates,
            seconds=seconds,
        )
    )
    return report


async def _prove(stage: Stage, facts: StoryFacts, screen: Screen, folder: Path) -> OnceResult:
    """Compare every recording, then count."""
    words = screen.words
    digest = Digest(stage.bulletin.renditions[0].digest)
    rendition = await asyncio.to_thread(stage.centre.media.open_path(digest).read_bytes)
    heard = [
        Heard(plan.node, one.id, recording_path(folder, plan.node, one.id))
        for one in facts.broadcasts
        for plan in LOUDSPEAKERS
    ]
    with screen.step("compare") as step:
        everything = len(heard)

        def tick(done: int) -> None:
            step.update(words("compare_wait", done=done, all=everything), done / everything)

        made = await asyncio.to_thread(compare_rendition, rendition, stage.recording.path)
        verdicts = await asyncio.to_thread(compare_heard, heard, rendition, tick)
        good = sum(verdict.ok for verdict in verdicts)
        step.finish(words("compare_done", good=good, all=everything), good=good == everything and made.ok)
    failures = list(facts.failures)
    if not made.ok:
        failures.append(f"the rendition is not the recording: {made.reason}")
    failures += [f"{one.heard.node} {one.heard.broadcast}: {one.reason}" for one in verdicts if not one.ok]
    return _counted(stage, facts, verdicts, failures)


def _counted(stage: Stage, facts: StoryFacts, verdicts: tuple[Verdict, ...], failures: list[str]) -> OnceResult:
    ids = [one.id for one in facts.broadcasts]
    starts_at = {one.id: one.start_at for one in facts.broadcasts}
    starts = [start for start in stage.village.ears.starts if start.label in starts_at]
    skews: dict[NodeId, list[float]] = {plan.node: [] for plan in LOUDSPEAKERS}
    for start in starts:
        skews[start.node].append(abs(start.true_ms - starts_at[start.label]))
    begun = Counter((start.node, start.label) for start in starts)
    repeated = [f"{node} began {label} {times} times" for (node, label), times in begun.items() if times > 1]
    ended = set(stage.village.ears.finished)
    receipts = {
        one: {line.node for line in told.nodes if line.finished_at is not None} for one, told in facts.coverage.items()
    }
    matching = Counter(verdict.heard.node for verdict in verdicts if verdict.ok)
    played = {
        plan.node
        for plan in LOUDSPEAKERS
        if all((plan.node, one) in ended and plan.node in receipts.get(one, ()) for one in ids) and len(ids) == 2
    }
    matched = {plan.node for plan in LOUDSPEAKERS if matching[plan.node] == 2}
    report = DemoReport(
        nodes=NODES,
        wired=WIRED,
        wireless=NODES - WIRED,
        played=len(played),
        matched=len(matched),
        start_skew_ms_p99=round(p99([skew for of in skews.values() for skew in of]), 2),
        audio_bytes_published=stage.tap.count.all_bytes,
        repair_bytes=stage.tap.count.repair_bytes,
        duplicates=sum(times - 1 for times in begun.values()),
        failures=tuple(failures + repeated),
    )
    lines = tuple(
        _line(commune, ids, ended=ended, receipts=receipts, matched=matched, skews=skews)
        for commune in (BORDER, ISLAND, TOWN)
    )
    return OnceResult(report, lines)


def _line(
    commune: AreaPath,
    ids: list[str],
    *,
    ended: set[tuple[NodeId, str]],
    receipts: dict[str, set[NodeId]],
    matched: set[NodeId],
    skews: dict[NodeId, list[float]],
) -> CommuneLine:
    here = [plan.node for plan in LOUDSPEAKERS if plan.commune == commune]
    return CommuneLine(
        name=NAMES[commune],
        nodes=len(here),
        scheduled=sum((node, ids[0]) in ended for node in here),
        immediate=sum((node, ids[1]) in ended for node in here),
        receipts=sum(all(node in receipts.get(one, ()) for one in ids) for node in here),
        matched=len(matched.intersection(here)),
        worst_ms=max((skew for node in here for skew in skews[node]), default=0.0),
    )
