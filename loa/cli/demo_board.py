"""The board of the demo's alert, read over HTTP again and again and drawn as a ladder."""

from collections.abc import Awaitable, Callable
from typing import Any

from rich.console import Group
from rich.text import Text

from loa.cli.demo_ladder import LadderRow, by_commune, ladder_rows, ladder_table, summary
from loa.cli.demo_people import Api
from loa.cli.demo_screen import Screen
from loa.cli.demo_waiting import until
from loa.clock import Clock
from loa.units import NodeId

_DRAW_S = 0.4
_MOST = 200


class BoardWatch:
    """What the board said last; nothing before the first `look`."""

    def __init__(self, api: Api, screen: Screen, clock: Clock) -> None:
        self._api, self._screen, self._words, self._clock = api, screen, screen.words, clock
        self.alert = ""
        self.board: Any = None
        self.lines: list[Any] = []

    @property
    def is_closed(self) -> bool:
        return self.board is not None and self.board["closed_at"] is not None

    @property
    def reached(self) -> set[NodeId]:
        """Nodes that signed that they began to sound."""
        return {NodeId(line["node"]) for line in self.lines if line["reached"]}

    @property
    def cancelled(self) -> int:
        """Nodes that signed that they took the cancel."""
        return sum(line["end"] == "cancelled" for line in self.lines)

    async def look(self) -> None:
        path = f"/alerts/{self.alert}/board"
        self.board = await self._api.get(path, limit=_MOST)
        self.lines = (await self._api.get(f"{path}/nodes", limit=_MOST))["items"]

    @property
    def rows(self) -> tuple[LadderRow, ...]:
        return ladder_rows(self.board, self.lines, self._words)

    async def watch(self, holds: Callable[[], Awaitable[bool]], within_s: float, head: Callable[[], str]) -> bool:
        """The ladder live under a line that says what is going on, until it holds or for so long; whether it holds."""
        with self._screen.live() as draw:

            async def drawn() -> bool:
                await self.look()
                draw(Group(Text(f" {head()}", style="bold cyan"), ladder_table(self._words, self.rows)))
                return await holds()

            return await until(self._clock, drawn, within_s, every_s=_DRAW_S)

    def summary(self) -> str:
        """How far it has come, in a line."""
        return summary(self._words, self.rows)

    def show(self, *, communes: bool = False) -> None:
        """The ladder as it stays: village by village, or commune by commune."""
        rows = self.rows
        self._screen.line(ladder_table(self._words, by_commune(rows) if communes else rows))
