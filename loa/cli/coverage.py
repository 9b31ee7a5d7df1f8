"""`loa coverage`: who heard a broadcast."""

from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live

from loa.cli.client import Json, Server, find, local, print_table, segment, show, table

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_COLUMNS = ("NODE", "AREA", "OUTCOME", "WHY", "READY", "STARTED", "LATE", "FINISHED")
_UNDECIDED = frozenset({"waiting", "reached", "ready", "started", "sounded"})


def summary(coverage: Any) -> str:
    """One line: how many of how many."""
    parts = [f"{coverage['finished']} of {coverage['nodes']} finished"]
    parts += [
        f"{coverage[name]} {name.replace('_', ' ')}"
        for name in ("stopped", "unconfirmed", "skipped", "refused", "not_ready", "waiting")
        if coverage[name]
    ]
    return ", ".join(parts)


def _rows(coverage: Any) -> list[tuple[object, ...]]:
    return [
        (
            one["node"], one["area"], one["outcome"], "" if one["cause"] == "none" else one["cause"],
            local(one["ready_at"])[11:], local(one["started_at"])[11:],
            "" if one["late_ms"] is None else f"{one['late_ms']} ms", local(one["finished_at"])[11:],
        )
        for one in coverage["detail"]
    ]  # fmt: skip


def settled(coverage: Any) -> bool:
    """Whether every node has said how it ended."""
    return not any(one["outcome"] in _UNDECIDED for one in coverage["detail"])


def follow(server: Server, broadcast: Any) -> Any:
    """Watch until every node has said how it ended, or the broadcast is taken back; the last coverage."""
    path = f"/broadcasts/{segment(broadcast['id'])}/coverage"
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:

        def look() -> Any:
            seen = server.ask("GET", path)
            live.update(Group(table(_COLUMNS, _rows(seen)), summary(seen)), refresh=True)
            return seen

        coverage = look()
        for kind, _ in server.events():
            if kind in ("coverage", "broadcast", "air", "resync"):
                coverage = look()
            if settled(coverage):
                break
    return coverage


@app.command(
    help="""Who heard a broadcast, by the nodes' own signed receipts.

\b
loa coverage c86f              the beginning of an id is enough
loa coverage c86f --watch      until every node has said how it ended
loa coverage c86f --json"""
)
def coverage(
    broadcast: str,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Until every node has said how it ended.")] = False,
    as_json: Json = False,
) -> None:
    server = Server.known()
    found = find(server, "/broadcasts", broadcast, "broadcast")
    if watch:
        try:
            seen = follow(server, found)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
    else:
        seen = server.ask("GET", f"/broadcasts/{segment(found['id'])}/coverage")

    def plain() -> None:
        print_table(_COLUMNS, _rows(seen), none="It was for no node.")
        typer.echo(summary(seen))

    show(seen, as_json, plain)
