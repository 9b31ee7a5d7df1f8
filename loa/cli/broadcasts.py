"""`loa broadcast`: airings."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from loa.cli.client import Json, Server, find, local, minutes, print_table, segment, show, verbs
from loa.clock import SystemClock

app = verbs(
    """Broadcasts: what was and is to be heard, and the way to take it back.

\b
loa broadcast list --area quang-ninh/co-to
loa broadcast show c86f
loa broadcast recall c86f      out of the timetable, and silent where it sounds
loa broadcast stop c86f        the same, said of one that sounds"""
)
_COLUMNS = ("ID", "STARTS", "TITLE", "FOR", "LENGTH", "PRECEDENCE", "STATUS", "BY")


def _row(item: Any) -> tuple[object, ...]:
    return (
        item["id"][:12], local(item["start_at"]), item["title"],
        ", ".join([*item["target_areas"], *item["target_nodes"]]), minutes(item["duration_ms"]), item["precedence"],
        item["status"], item["created_by"],
    )  # fmt: skip


@app.command("list")
def list_(
    area: Annotated[str | None, typer.Option(help="Only of this place.")] = None,
    status: Annotated[str | None, typer.Option(help="planned, issued, recalled, ended, crowded_out.")] = None,
    coming: Annotated[bool, typer.Option("--coming", help="Those that are planned for later too.")] = False,
    most: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """The latest start first."""
    now = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC)
    until = None if coming or status else (now + timedelta(minutes=1)).isoformat()
    query = {"area": area, "status": status, "limit": min(most, 200), "until": until}
    items = Server.known().pages("/broadcasts", query, most=most)
    show(items, as_json, lambda: print_table(_COLUMNS, [_row(item) for item in items], none="No broadcasts yet."))


@app.command("show")
def show_one(broadcast: str, as_json: Json = False) -> None:
    """Everything about one broadcast."""
    item = find(Server.known(), "/broadcasts", broadcast, "broadcast")

    def plain() -> None:
        for name, value in item.items():
            if value not in (None, "", []):
                shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                typer.echo(f"{name:<14} {shown}")

    show(item, as_json, plain)


@app.command()
def stop(broadcast: str, as_json: Json = False) -> None:
    """Silence a broadcast everywhere."""
    _end(broadcast, "stop", as_json)


@app.command()
def recall(broadcast: str, as_json: Json = False) -> None:
    """Take a broadcast back, before or while it sounds."""
    _end(broadcast, "recall", as_json)


def _end(broadcast: str, verb: str, as_json: bool) -> None:
    server = Server.known()
    found = find(server, "/broadcasts", broadcast, "broadcast")
    item = server.ask("POST", f"/broadcasts/{segment(found['id'])}/{verb}", sounds=True)
    show(item, as_json, lambda: typer.echo(f"{item['id']}  {item['title']}  {item['status']}"))
