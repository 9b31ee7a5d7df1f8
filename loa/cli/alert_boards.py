"""`loa alert board`, `again`, `close`, `report`: who heard it, and what to do about those who did not."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live

from loa.cli.alerts import app
from loa.cli.client import Json, Server, find, local, print_table, segment, show, table
from loa.errors import Refused

_VILLAGES = ("VILLAGE", "NAME", "PEOPLE", "REACHED", "WHAT TO DO NEXT")
_NODES = ("NODE", "AREA", "RUNG", "RECEIVED", "STARTED", "FINISHED", "SENT AGAIN", "END", "WHAT TO DO NEXT")
_MOST_WATCHED = 20
Nodes = Annotated[bool, typer.Option("--nodes", help="Node by node, those that did not begin to sound.")]


def _village(one: Any) -> tuple[object, ...]:
    people = "?" if one["population"] is None else one["population"]
    words = one["step_words"]
    said = " / ".join(part for part in (words["vi"], words["en"]) if part)
    return one["path"], one["name"], people, f"{one['reached']}/{one['nodes']}", said


def _node(one: Any) -> tuple[object, ...]:
    again = f"{one['attempts']}×" if one["attempts"] else ""
    return (
        one["node"], one["area"], one["rung"], local(one["received_at"])[11:], local(one["started_at"])[11:],
        local(one["finished_at"])[11:], again, one["end_words"]["en"], one["step_words"]["en"],
    )  # fmt: skip


def headline(board: Any) -> str:
    """One line: how far it has come."""
    totals, rungs = board["totals"], board["totals"]["rungs"]
    people = "" if totals["people"] is None else f", {totals['people_reached']} of {totals['people']} people"
    ends = ", ".join(f"{count} {end}" for end, count in sorted(totals["ends"].items()))
    state = "closed" if board["closed_at"] else f"{totals['open']} open"
    counts = f"sent {rungs['sent']}, received {rungs['received']}, finished {rungs['finished']}"
    return (
        f"{board['kind'].upper()} {board['title']}: {totals['reached']} of {totals['nodes']} nodes sounded{people}; "
        f"{totals['villages_unreached']} of {totals['villages']} villages not reached ({counts}; "
        f"{ends + '; ' if ends else ''}{state})"
    )


@app.command()
def board(
    alert: str,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Until it is closed.")] = False,
    nodes: Nodes = False,
    as_json: Json = False,
) -> None:
    """Who heard it: villages where nobody was reached first, with what to do next.

    \b
    loa alert board c86f
    loa alert board c86f --watch
    loa alert board c86f --nodes          those that did not begin to sound, one by one
    """
    server = Server.known()
    path = f"/alerts/{segment(find(server, '/alerts', alert, 'alert')['id'])}/board"
    if watch:
        try:
            _follow(server, path)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
    seen = server.ask("GET", path, query={"limit": 200})
    if nodes:
        lines = server.pages(f"{path}/nodes", {"unreached": True})
        show(lines, as_json, lambda: print_table(_NODES, [_node(one) for one in lines], none="Every node sounded."))
        return

    def plain() -> None:
        if not seen["link_up"]:
            typer.echo("THE CENTRE HAS LOST ITS BROKER / TRUNG TÂM MẤT KẾT NỐI", err=True)
        print_table(_VILLAGES, [_village(one) for one in seen["villages"]["items"]], none="It means no village.")
        for one in seen["routes"]:
            typer.echo(
                f"by {one['route']} {one['name']}: {one['times']}× from {local(one['first_at'])} to "
                f"{local(one['last_at'])[11:]}"
            )
        typer.echo(headline(seen))

    show(seen, as_json, plain)


def _follow(server: Server, path: str) -> None:
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:

        def look() -> Any:
            seen = server.ask("GET", path, query={"limit": _MOST_WATCHED})
            rows = [_village(one) for one in seen["villages"]["items"]]
            live.update(Group(table(_VILLAGES, rows), headline(seen)), refresh=True)
            return seen

        seen = look()
        if seen["closed_at"]:
            return
        for kind, _ in server.events():
            if kind in ("board", "alert", "resync"):
                seen = look()
            if seen["closed_at"]:
                return


@app.command()
def again(
    alert: str,
    area: Annotated[str | None, typer.Option(help="Only there.")] = None,
    as_json: Json = False,
) -> None:
    """Send it again now to whoever has not confirmed it, by all routes. It also does so by itself.

    \b
    loa alert again c86f --area quang-ninh/co-to
    """
    server = Server.known()
    name = find(server, "/alerts", alert, "alert")["id"]
    done = server.ask("POST", f"/alerts/{segment(name)}/send-again", body={"area": area})
    show(done, as_json, lambda: typer.echo(f"Sent again to {done['nodes']} nodes."))


@app.command()
def close(alert: str, as_json: Json = False) -> None:
    """Close its board: each node is confirmed, cancelled, expired or unreachable. It also closes by itself."""
    server = Server.known()
    name = find(server, "/alerts", alert, "alert")["id"]
    done = server.ask("POST", f"/alerts/{segment(name)}/board/close")
    show(done, as_json, lambda: typer.echo(headline(done)))


@app.command()
def report(
    alert: str,
    out: Annotated[Path, typer.Option("--out", "-o", help="A file that ends with .html or .csv.")],
) -> None:
    """The report of an alert or a drill: a page to be printed, or a table node by node.

    \b
    loa alert report c86f --out bao-cao.html
    loa alert report c86f --out bao-cao.csv
    """
    kind = out.suffix.lower()
    if kind not in (".html", ".csv"):
        raise Refused("bad_argument", field="--out", reason="it ends with .html or .csv")
    server = Server.known()
    name = find(server, "/alerts", alert, "alert")["id"]
    server.download(f"/api/v1/alerts/{segment(name)}/report{kind}", out)
    typer.echo(str(out))
