"""`loa timetable`: what is to come."""

from typing import Annotated

import typer

from loa.cli.client import Json, Server, local, minutes, print_table, show

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    help="""The coming broadcasts heard in an area or a part of it, a week of them.

\b
loa timetable quang-ninh/co-to
loa timetable quang-ninh --from 2026-12-01T00:00:00+07:00 --to 2026-12-02T00:00:00+07:00 --json"""
)
def timetable(
    area: Annotated[str, typer.Argument(help="e.g. quang-ninh/co-to")],
    since: Annotated[str | None, typer.Option("--from", metavar="INSTANT", help="With its zone.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="INSTANT", help="With its zone.")] = None,
    as_json: Json = False,
) -> None:
    items = Server.known().ask("GET", "/timetable", query={"area": area, "from": since, "to": until})["items"]
    rows = [
        (
            local(item["start_at"]), item["title"], ", ".join([*item["target_areas"], *item["target_nodes"]]),
            minutes(item["duration_ms"]), item["precedence"], item["note"],
        )
        for item in items
    ]  # fmt: skip
    columns = ("STARTS", "TITLE", "FOR", "LENGTH", "PRECEDENCE", "")
    show(items, as_json, lambda: print_table(columns, rows, none="Nothing is planned there."))
