"""What the demo shows: calm phases with one moving line at a time, a live table, a coverage table at the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from loa.cli.demo_words import DemoWords
from loa.clock import Clock

_LABEL_WIDTH = 12
_LOG_WIDTH = 120


class Step:
    """One thing under way: a line that moves until it is done."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.text = ""
        self.done: float | None = None
        self.result = ""
        self.good = True
        self._spinner = Spinner("dots", style="cyan")

    def update(self, text: str, done: float | None = None) -> None:
        """What it is at; `done` from 0 to 1 shows a bar."""
        self.text, self.done = text, done

    def finish(self, text: str, *, good: bool = True) -> None:
        self.result, self.good = text, good

    def moving(self) -> RenderableType:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=2)
        row.add_column(width=_LABEL_WIDTH)
        cells: list[RenderableType] = [self._spinner, Text(self.label, style="bold")]
        if self.done is not None:
            row.add_column(width=20)
            cells.append(ProgressBar(total=1.0, completed=max(0.0, min(1.0, self.done)), width=20))
        row.add_column()
        cells.append(Text(self.text))
        row.add_row(*cells)
        return Padding(row, (0, 0, 0, 1))

    def settled(self) -> RenderableType:
        """The line that stays; a long one goes on under its own beginning."""
        row = Table.grid(padding=(0, 1))
        row.add_column(width=1)
        row.add_column(min_width=_LABEL_WIDTH, no_wrap=True)
        row.add_column(overflow="fold")
        mark = Text("✓", style="green") if self.good else Text("✗", style="bold red")
        row.add_row(mark, Text(self.label, style="bold"), Text(self.result or self.text))
        return Padding(row, (0, 0, 0, 1), expand=False)


class Screen:
    """The demo's output. Everything goes through here, so that a pipe or a log gets plain lines."""

    def __init__(self, words: DemoWords, clock: Clock, console: Console | None = None) -> None:
        self.words = words
        self.console = console or Console(highlight=False)
        if console is None and not self.console.is_terminal:
            self.console.width = _LOG_WIDTH
        self._clock = clock
        self._began_s = clock.monotonic_s()

    def title(self, subtitle: str) -> None:
        self.console.print()
        self.console.print(Text.assemble((self.words("title"), "bold cyan"), "  ", (subtitle, "dim")))

    def phase(self, key: str) -> None:
        self.console.print()
        self.console.print(Rule(Text(self.words(key), style="bold"), align="left", style="dim"))

    @contextmanager
    def step(self, key: str) -> Iterator[Step]:
        """A line that moves while inside, and stays as done afterwards; an exception marks it as failed."""
        step = Step(self.words(key))
        try:
            if self.console.is_terminal:
                with Live(get_renderable=step.moving, console=self.console, refresh_per_second=8, transient=True):
                    yield step
            else:
                yield step
        except BaseException:
            step.good = False
            self.console.print(step.settled())
            raise
        self.console.print(step.settled())

    @contextmanager
    def live(self) -> Iterator[Callable[[RenderableType], None]]:
        """A picture that changes while inside, and is gone afterwards; nothing of it in a pipe or a log."""
        if not self.console.is_terminal:
            yield lambda _picture: None
            return
        with Live(console=self.console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
            yield lambda picture: live.update(picture, refresh=True)

    def line(self, text: RenderableType) -> None:
        self.console.print(text)

    def good(self, text: str) -> None:
        self.console.print(Text(text, style="bold green"))

    def error(self, text: str, more: str) -> None:
        """What is wrong, and what to do about it or where."""
        self.console.print(Text(text, style="bold red"))
        if more:
            self.console.print(Text(more))


@dataclass(frozen=True)
class NodeLine:
    """One node in the live table."""

    commune: str
    node: str
    place: str
    way: str
    cut_off: bool
    now: str
    sounding: bool
    audio: str
    clock: str
    last: str


def live_table(words: DemoWords, lines: Sequence[NodeLine], head: str) -> Group:
    """What each node does, a line each."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for key in ("col_commune", "col_node", "col_place", "col_way", "col_now", "col_audio", "col_clock", "col_last"):
        table.add_column(words(key), no_wrap=True)
    before = ""
    for line in lines:
        style = "green" if line.sounding else "red" if line.cut_off else ""
        table.add_row(
            line.commune if line.commune != before else "",
            line.node,
            line.place,
            Text(words("cut_off") if line.cut_off else line.way, style="red" if line.cut_off else ""),
            Text(("♪ " if line.sounding else "  ") + line.now, style=style),
            line.audio,
            line.clock,
            Text(line.last, style="dim"),
        )
        before = line.commune
    return Group(Text(head, style="bold"), table)


@dataclass(frozen=True)
class CommuneLine:
    """One commune in the coverage table at the end."""

    name: str
    nodes: int
    scheduled: int
    immediate: int
    receipts: int
    matched: int
    worst_ms: float


def coverage_table(words: DemoWords, lines: Sequence[CommuneLine]) -> Table:
    """Who heard what, a line a commune and one for all."""
    table = Table(padding=(0, 1), header_style="bold", border_style="dim", show_footer=True)
    whole = CommuneLine(
        words("all"),
        sum(line.nodes for line in lines),
        sum(line.scheduled for line in lines),
        sum(line.immediate for line in lines),
        sum(line.receipts for line in lines),
        sum(line.matched for line in lines),
        max((line.worst_ms for line in lines), default=0.0),
    )
    table.add_column(words("col_commune"), footer=whole.name)
    table.add_column(words("col_nodes"), footer=str(whole.nodes), justify="right")
    for key, of in (
        ("col_scheduled", "scheduled"),
        ("col_immediate", "immediate"),
        ("col_receipts", "receipts"),
        ("col_matched", "matched"),
    ):
        table.add_column(words(key), footer=_of(getattr(whole, of), whole.nodes), justify="right")
    table.add_column(words("col_skew"), footer=f"{whole.worst_ms:.1f} ms", justify="right")
    for line in lines:
        table.add_row(
            line.name,
            str(line.nodes),
            *(_of(count, line.nodes) for count in (line.scheduled, line.immediate, line.receipts, line.matched)),
            f"{line.worst_ms:.1f} ms",
        )
    return table


@dataclass(frozen=True)
class AlertLine:
    """One commune in the table at the end of an alert."""

    name: str
    nodes: int
    started: int
    first_s: float
    """From the release to its last node's first sample."""
    silent: int
    silent_s: float
    """From the cancel until its last node was silent."""
    sirens: int
    """Recordings that begin with the siren."""
    was_cut_off: bool = False
    """Its first sample is then told from when its link was back."""


def alert_table(words: DemoWords, lines: Sequence[AlertLine]) -> RenderableType:
    """Who sounded and fell silent, a line a commune and one for all."""
    table = Table(padding=(0, 1), header_style="bold", border_style="dim", show_footer=True)
    nodes = sum(line.nodes for line in lines)
    table.add_column(words("col_commune"), footer=words("all"))
    table.add_column(words("col_nodes"), footer=str(nodes), justify="right")
    table.add_column(words("col_started"), footer=_of(sum(line.started for line in lines), nodes), justify="right")
    latest = max((line.first_s for line in lines if not line.was_cut_off), default=0.0)
    table.add_column(words("col_first_sound"), footer=f"{words.seconds(latest)} ", justify="right")
    silent = max((line.silent_s for line in lines), default=0.0)
    table.add_column(words("col_silent"), footer=words.seconds(silent), justify="right")
    table.add_column(words("col_siren"), footer=_of(sum(line.sirens for line in lines), nodes), justify="right")
    for line in lines:
        table.add_row(
            line.name,
            str(line.nodes),
            _of(line.started, line.nodes),
            words.seconds(line.first_s) + ("*" if line.was_cut_off else " "),
            Text(words.seconds(line.silent_s), style="green" if line.silent == line.nodes else "bold red"),
            _of(line.sirens, line.nodes),
        )
    cut_off = [line.name for line in lines if line.was_cut_off]
    return Group(table, words("since_link_back", names=", ".join(cut_off))) if cut_off else table


def _of(count: int, nodes: int) -> Text:
    return Text(f"{count}/{nodes}", style="green" if count == nodes else "bold red")
