"""`loa demo`: from a recording to what every village heard, on this machine."""

import asyncio
import logging
import re
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from loa.cli.demo_alert import run_alert
from loa.cli.demo_once import run_once
from loa.cli.demo_report import AlertReport, DemoReport
from loa.cli.demo_scene import SceneOptions, ended_by_signals
from loa.cli.demo_screen import Screen
from loa.cli.demo_show import run_show
from loa.cli.demo_words import DemoWords
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import Fault, LoaError, OperatorNeeded, Refused
from loa.problems import Language, explain
from simulators.places import LOUDSPEAKERS
from simulators.relay import Cut

_Report = TypeVar("_Report")
app = typer.Typer(add_completion=False, rich_markup_mode=None)
_EARLIER = re.compile(rf"(?:{'|'.join(plan.node for plan in LOUDSPEAKERS)})-[0-9a-f]{{32}}(?:-\d+)?\.wav\Z")


@app.command(
    help="""A small province on this machine: 24 loudspeakers in the border commune Hoành Mô (four of them wired, behind
a station), on the island Cô Tô and in the ward Hồng Gai; a real broker, the centre with its API and page, and real
node software on simulated loudspeakers whose clocks are wrong.

A recording is imported, levelled, approved and put in the timetable; what each loudspeaker sounds is left in
heard/NODE-BROADCAST.wav. Without --once this goes on until Ctrl-C, with a live table of what each node does.

With --once the recording (its first 20 s) is broadcast twice: by the timetable, while the island's link is cut, and at
once, after it is back. Then everything that was heard is compared with what was sent, and a coverage table is printed.
Exit code 0: every node played both, and every recording matches.

With --alert a storm warning comes in as a CAP file, two people release it while the island's link is cut, the ladder
of who heard it fills in, the island gets it when its link is back, and one person takes it back; in Vietnamese, in
under three minutes. The CAP file and the alert's report are left beside heard/. Exit code 0: every node in reach
sounded, the island's after their link was back, all fell silent, and every recording begins with the siren."""
)
def demo(
    *,
    audio: Annotated[
        Path | None, typer.Option(help="Recording to broadcast; a Vietnamese announcement is made without it.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="One scheduled and one immediate broadcast, then a report.")
    ] = False,
    alert: Annotated[
        bool, typer.Option("--alert", help="A storm alert: from a CAP file to its cancel, then a report.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.json and heard/ [default: heard/ here].", show_default=False)
    ] = None,
    broker: Annotated[
        Literal["auto", "mosquitto", "amqtt"], typer.Option(help="auto takes mosquitto where it is installed.")
    ] = "auto",
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of API and page [default: 8080, or any free one].", min=0, max=65535, show_default=False
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the centre's data, in data/ beside heard/.")] = False,
    cut: Annotated[
        Literal["half-open", "dropped"], typer.Option(help="How the island's link is cut with --once or --alert.")
    ] = "half-open",
    minutes: Annotated[int, typer.Option(help="Without --once and --alert: every so many minutes.", min=1, max=60)] = 3,
    lang: Annotated[
        Literal["en", "vi"] | None,
        typer.Option(help="Language of the output [default: en; vi with --alert].", show_default=False),
    ] = None,
) -> None:
    logging.basicConfig(level=logging.CRITICAL)
    language: Language = lang or ("vi" if alert else "en")
    clock = SystemClock()
    screen = Screen(DemoWords(language), clock)
    folder = out or Path()
    heard = folder / "heard"
    options = SceneOptions(broker=broker, port=port, heard=heard, keep=folder / "data" if keep else None)
    with _told(screen, heard, stopped=130 if once or alert else 0):
        if alert:
            _check_alone(once=once, audio=audio)
        heard.mkdir(parents=True, exist_ok=True)
        _clear(heard)
        if alert:
            shown = run_alert(options, folder, how=Cut(cut), screen=screen, clock=clock, entropy=system_entropy)
            _end_alert(asyncio.run(_interruptible(shown)), screen, out)
        elif once:
            told = run_once(options, audio, how=Cut(cut), screen=screen, clock=clock, entropy=system_entropy)
            _end_once(asyncio.run(_interruptible(told)), screen, heard, out)
        else:
            show = run_show(options, audio, minutes=minutes, screen=screen, clock=clock, entropy=system_entropy)
            asyncio.run(_interruptible(show))


@contextmanager
def _told(screen: Screen, heard: Path, *, stopped: int) -> Iterator[None]:
    """What ends it early is said, and is the exit code; `stopped` for Ctrl-C."""
    try:
        yield
    except asyncio.CancelledError:
        screen.line(screen.words("stopped", heard=heard))
        raise typer.Exit(stopped) from None
    except LoaError as error:
        said = explain(error, screen.words.language)
        screen.error(f"{said.title} [{error.code}]", said.remedy)
        raise typer.Exit(4 if isinstance(error, Fault) else 3 if isinstance(error, OperatorNeeded) else 1) from None


def _check_alone(*, once: bool, audio: Path | None) -> None:
    """Raises Refused(options_exclude)."""
    for name, given in (("--once", once), ("--audio", audio is not None)):
        if given:
            raise Refused("options_exclude", field=name, value="--alert")


async def _interruptible(work: "Coroutine[object, object, _Report]") -> "_Report":
    task = asyncio.ensure_future(work)
    with ended_by_signals(task):
        return await task


def _clear(heard: Path) -> None:
    """What an earlier demo left here goes; nothing else does."""
    for path in heard.iterdir():
        if _EARLIER.match(path.name):
            path.unlink()


def _end_once(report: DemoReport | None, screen: Screen, heard: Path, out: Path | None) -> None:
    assert report is not None
    words = screen.words
    if out is not None:
        screen.line(words("files", heard=heard, report=report.write(out)))
    else:
        screen.line(words("files_heard", heard=heard))
    if report.passed:
        screen.good(words("passed"))
        return
    screen.error(words("failed"), "\n".join(report.failures[:20]))
    raise typer.Exit(1)


def _end_alert(report: AlertReport, screen: Screen, out: Path | None) -> None:
    if out is not None:
        report.write(out)
    if report.passed:
        screen.good(screen.words("alert_passed"))
        return
    screen.error(screen.words("alert_failed"), "\n".join(report.failures[:20]))
    raise typer.Exit(1)
