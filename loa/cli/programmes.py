"""`loa programme`: recurring slots."""

import re
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import typer

from loa.cli.client import Json, Server, find, local, print_table, segment, show, verbs
from loa.clock import SystemClock
from loa.errors import Refused

app = verbs(
    """Programmes: what is broadcast again and again, by the village's clock (Asia/Ho_Chi_Minh).

\b
loa programme add --area quang-ninh/co-to --at 05:00,17:00 5d6c
loa programme add --area quang-ninh/co-to --at 06:30 --days mon-fri --title "Bản tin sáng" 5d6c 77ab
loa programme add --area quang-ninh/co-to --on 2026-12-01 --at 07:00 5d6c          once
loa programme add --area quang-ninh/co-to --at 05:00 --rrule "FREQ=MONTHLY;BYDAY=1SU" 5d6c
loa programme list
loa programme stop 4de6"""
)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RULE_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\Z")
_VIETNAM = timezone(timedelta(hours=7))


def days_of(text: str) -> list[str]:
    """``mon-fri``, ``sat,sun``, ``fri-mon`` as RRULE days. Raises Refused(bad_argument)."""
    chosen: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.strip().partition("-")
        try:
            begin = _DAYS.index(first[:3])
            end = _DAYS.index(last[:3]) if dash else begin
        except ValueError as error:
            raise Refused(
                "bad_argument", field="--days", reason=f"{part.strip()!r} is not a day, e.g. mon-fri"
            ) from error
        chosen |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return [_RULE_DAYS[number] for number in sorted(chosen)]


def times_of(text: str) -> list[tuple[int, int]]:
    """``05:00,17:30`` as hours and minutes, ascending. Raises Refused(bad_argument)."""
    found = [_TIME.match(part.strip()) for part in text.split(",")]
    if not all(found):
        raise Refused("bad_argument", field="--at", reason=f"{text!r} are not times, e.g. 05:00,17:00")
    return sorted({(int(one[1]), int(one[2])) for one in found if one})


def slots_of(at: str, days: str | None, rrule: str | None, on: str | None, today: str) -> list[tuple[str, str]]:
    """The slots (start, rule) that the friendly flags mean: one for each minute of the hour that is used."""
    times = times_of(at)
    first_day = on or today
    if rrule is not None:
        if len(times) != 1 or days is not None:
            raise Refused("bad_argument", field="--rrule", reason="with it give one --at, and no --days")
        return [(f"{first_day}T{times[0][0]:02d}:{times[0][1]:02d}:00", rrule.removeprefix("RRULE:"))]
    if on is not None and days is None:
        return [(f"{first_day}T{hour:02d}:{minute:02d}:00", "") for hour, minute in times]
    base = f"FREQ=WEEKLY;BYDAY={','.join(days_of(days))}" if days is not None else "FREQ=DAILY"
    slots: list[tuple[str, str]] = []
    for minute in sorted({minute for _, minute in times}):
        hours = [hour for hour, other in times if other == minute]
        rule = f"{base};BYHOUR={','.join(map(str, hours))};BYMINUTE={minute}"
        slots.append((f"{first_day}T{hours[0]:02d}:{minute:02d}:00", rule))
    return slots


@app.command()
def add(  # noqa: PLR0917 - options, all of them given by name
    bulletins: Annotated[list[str], typer.Argument(help="Approved bulletins in order; beginnings of ids are enough.")],
    area: Annotated[str, typer.Option(help="Who hears it.")],
    at: Annotated[str, typer.Option(help="Times of day, e.g. 05:00,17:00.")],
    days: Annotated[str | None, typer.Option(help="e.g. mon-fri or sat,sun; every day otherwise.")] = None,
    on: Annotated[str | None, typer.Option(metavar="DATE", help="First day; without --days the only one.")] = None,
    rrule: Annotated[str | None, typer.Option(help="An RFC 5545 rule instead of --days.")] = None,
    excluded: Annotated[list[str] | None, typer.Option("--except", metavar="DATE", help="Not on this date.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="Only these nodes.")] = None,
    priority: Annotated[bool, typer.Option("--priority", help="Interrupts ordinary broadcasts.")] = False,
    volume: Annotated[int | None, typer.Option(min=0, max=100)] = None,
    title: Annotated[str | None, typer.Option(help="The first bulletin's unless given.")] = None,
    as_json: Json = False,
) -> None:
    """Put bulletins in the timetable. Loudspeakers keep a week of it and play it by themselves."""
    server = Server.known()
    rundown = [find(server, "/bulletins", one, "bulletin") for one in bulletins]
    today = datetime.fromtimestamp(SystemClock().now_ms() / 1000, _VIETNAM).strftime("%Y-%m-%d")
    made = [
        server.ask(
            "POST",
            "/programmes",
            sounds=True,
            body={
                "title": title or rundown[0]["title"],
                "area": area,
                "starts_on": starts_on,
                "recurrence": rule,
                "excluded": excluded or [],
                "rundown": [item["id"] for item in rundown],
                "target_nodes": node or [],
                "precedence": "priority" if priority else "ordinary",
                "volume": volume,
            },
        )
        for starts_on, rule in slots_of(at, days, rrule, on, today)
    ]
    show(made if len(made) > 1 else made[0], as_json, lambda: _say(made))


def _say(made: list[Any]) -> None:
    for item in made:
        typer.echo(f"{item['id']}  {item['title']}  {item['starts_on']} {item['recurrence']}".rstrip())
    typer.echo(f"`loa timetable {made[0]['area']}` shows when it is heard.")


@app.command("list")
def list_(
    area: Annotated[str | None, typer.Option(help="Only of this place.")] = None,
    stopped: Annotated[bool, typer.Option("--stopped", help="Stopped ones too.")] = False,
    as_json: Json = False,
) -> None:
    """All programmes."""
    items = Server.known().pages("/programmes", {"area": area, "stopped": stopped})
    rows = [
        (
            item["id"][:12], item["title"], item["area"], item["starts_on"], item["recurrence"], item["precedence"],
            "stopped " + local(item["stopped_at"]) if item["stopped_at"] else "",
        )
        for item in items
    ]  # fmt: skip
    columns = ("ID", "TITLE", "AREA", "FIRST", "RULE", "PRECEDENCE", "")
    show(items, as_json, lambda: print_table(columns, rows, none="No programmes yet."))


@app.command()
def stop(programme: str, as_json: Json = False) -> None:
    """No more broadcasts of a programme."""
    server = Server.known()
    found = find(server, "/programmes", programme, "programme")
    item = server.ask("POST", f"/programmes/{segment(found['id'])}/stop", sounds=True)
    show(item, as_json, lambda: typer.echo(f"{item['id']}  {item['title']}  stopped"))
