"""The ladder as the demo draws it: what the board of an alert says over HTTP, village by village, unreached first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loa.cli.demo_words import DemoWords
from loa.names import AreaPath
from simulators.places import NAMES

_ENDED = ("confirmed", "cancelled")


@dataclass(frozen=True)
class LadderRow:
    """A village; where `village` is empty, a commune's villages together.

    `sent` rests on the centre's word, all that follows on what nodes signed.
    """

    village: str
    commune: str
    people: int | None
    nodes: int
    sent: int
    received: int
    started: int
    ended: int
    """Signed how it ended: sounded to its end, or the cancel taken."""
    next_step: str

    @property
    def reached(self) -> bool:
        return self.started > 0


def ladder_rows(board: Any, lines: Sequence[Any], words: DemoWords) -> tuple[LadderRow, ...]:
    """From `GET …/board` and `GET …/board/nodes`, in the board's own order."""
    rows = []
    for place in board["villages"]["items"]:
        here = [line for line in lines if line["area"] == place["path"]]
        path = AreaPath(place["path"])
        rows.append(
            LadderRow(
                village=place["name"],
                commune="" if path.parent is None else NAMES.get(path.parent, path.parent.codes[-1]),
                people=place["population"],
                nodes=place["nodes"],
                sent=sum(line["sent_at"] is not None for line in here),
                received=sum(line["received_at"] is not None for line in here),
                started=sum(line["reached"] for line in here),
                ended=sum(line["end"] in _ENDED for line in here),
                next_step=place["step_words"][words.language],
            )
        )
    return tuple(rows)


def by_commune(rows: Sequence[LadderRow]) -> tuple[LadderRow, ...]:
    """A row a commune, in the order in which they come first."""
    found = []
    for commune in dict.fromkeys(row.commune for row in rows):
        here = [row for row in rows if row.commune == commune]
        known = [row.people for row in here if row.people is not None]
        found.append(
            LadderRow(
                village="",
                commune=commune,
                people=sum(known) if known else None,
                nodes=sum(row.nodes for row in here),
                sent=sum(row.sent for row in here),
                received=sum(row.received for row in here),
                started=sum(row.started for row in here),
                ended=sum(row.ended for row in here),
                next_step="",
            )
        )
    return tuple(found)


def ladder_table(words: DemoWords, rows: Sequence[LadderRow]) -> RenderableType:
    """A line a village (or a commune), one for all, and below what to do about those that were not reached."""
    table = Table(box=None, padding=(0, 1), header_style="dim", show_footer=True, footer_style="bold")
    has_villages = any(row.village for row in rows)
    if has_villages:
        table.add_column(words("col_village"), footer=words("all"), no_wrap=True)
    table.add_column(words("col_commune"), footer="" if has_villages else words("all"), no_wrap=True)
    people = sum(row.people or 0 for row in rows)
    table.add_column(words("col_people"), footer=thousands(people, words), justify="right")
    nodes = sum(row.nodes for row in rows)
    table.add_column(words("col_loudspeakers"), footer=str(nodes), justify="right")
    for key in ("sent", "received", "started", "ended"):
        footer = _count(sum(getattr(row, key) for row in rows), nodes)
        table.add_column(words(f"col_{key}"), footer=footer, justify="right")
    for row in rows:
        counts = (row.sent, row.received, row.started, row.ended)
        style = "" if row.reached else "bold red"
        names = [row.village, row.commune] if has_villages else [row.commune]
        table.add_row(
            *(Text(name, style=style) for name in names),
            "?" if row.people is None else thousands(row.people, words),
            str(row.nodes),
            *(_count(count, row.nodes) for count in counts),
        )
    return Padding(Group(table, *_steps(rows)), (0, 0, 0, 3), expand=False)


def _steps(rows: Sequence[LadderRow]) -> list[RenderableType]:
    by_step: dict[str, list[str]] = {}
    for row in rows:
        if row.next_step:
            by_step.setdefault(row.next_step, []).append(row.village)
    grid = Table.grid(padding=(0, 1))
    for step, villages in by_step.items():
        grid.add_row(Text(" →", style="yellow"), Text(f"{', '.join(villages)}: {step}", style="yellow"))
    return [grid] if by_step else []


def _count(count: int, nodes: int) -> Text:
    if not count:
        return Text("·", style="dim")
    return Text(str(count), style="green" if count == nodes else "yellow")


def summary(words: DemoWords, rows: Sequence[LadderRow]) -> str:
    """How far it has come, in a line."""
    return words(
        "ladder_done",
        started=sum(row.started for row in rows),
        nodes=sum(row.nodes for row in rows),
        unreached=sum(not row.reached for row in rows),
        people=thousands(sum(row.people or 0 for row in rows if row.reached), words),
        all_people=thousands(sum(row.people or 0 for row in rows), words),
    )


def thousands(count: int, words: DemoWords) -> str:
    """7,500; in Vietnamese 7.500."""
    return f"{count:,}".replace(",", "." if words.language == "vi" else ",")
