"""`loa demo`: from a recording to what every village heard, on this machine."""

import asyncio
import logging
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Literal

import typer

from loa.cli.demo_once import run_once
from loa.cli.demo_report import DemoReport
from loa.cli.demo_scene import SceneOptions, ended_by_signals
from loa.cli.demo_screen import Screen
from loa.cli.demo_show import run_show
from loa.cli.demo_words import DemoWords
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import Fault, LoaError, OperatorNeeded
from loa.problems import explain
from simulators.places import LOUDSPEAKERS
from simulators.relay import Cut

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
Exit code 0: every node played both, and every recording matches."""
)
def demo(
    *,
    audio: Annotated[
        Path | None, typer.Option(help="Recording to broadcast; a Vietnamese announcement is made without it.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="One scheduled and one immediate broadcast, then a report.")
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
        Literal["half-open", "dropped"], typer.Option(help="How the island's link is cut with --once.")
    ] = "half-open",
    minutes: Annotated[int, typer.Option(help="Without --once: every so many minutes.", min=1, max=60)] = 3,
    lang: Annotated[Literal["en", "vi"], typer.Option(help="Language of the output.")] = "en",
) -> None:
    logging.basicConfig(level=logging.CRITICAL)
    clock, words = SystemClock(), DemoWords(lang)
    screen = Screen(words, clock)
    folder = out or Path()
    heard = folder / "heard"
    options = SceneOptions(broker=broker, port=port, heard=heard, keep=folder / "data" if keep else None)
    try:
        heard.mkdir(parents=True, exist_ok=True)
        _clear(heard)
        if once:
            told = run_once(options, audio, how=Cut(cut), screen=screen, clock=clock, entropy=system_entropy)
            _end_once(asyncio.run(_interruptible(told)), screen, heard, out)
        else:
            show = run_show(options, audio, minutes=minutes, screen=screen, clock=clock, entropy=system_entropy)
            asyncio.run(_interruptible(show))
    except asyncio.CancelledError:
        screen.line(words("stopped", heard=heard))
        raise typer.Exit(130 if once else 0) from None
    except LoaError as error:
        words_for_it = explain(error, lang)
        screen.error(f"{words_for_it.title} [{error.code}]", words_for_it.remedy)
        raise typer.Exit(4 if isinstance(error, Fault) else 3 if isinstance(error, OperatorNeeded) else 1) from None


async def _interruptible(work: "Coroutine[object, object, DemoReport | None]") -> DemoReport | None:
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
