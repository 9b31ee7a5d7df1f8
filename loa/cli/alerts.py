"""`loa alert`: emergencies, from composing to cancelling."""

import base64
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from loa.cli.client import Json, Server, find, local, print_table, segment, show, verbs
from loa.cli.keys_asking import asker, consent, passphrase_in
from loa.cli.proving import give_code
from loa.errors import Refused

app = verbs(
    """Emergencies: one composes, people approve with keys of their own, then it sounds; one person cancels.

\b
loa alert compose --live --title "Bão số 9" --to quang-ninh/co-to --siren 1 --bulletin 5d6c --until-cancelled
loa alert compose --drill --title "Diễn tập" --to quang-ninh/co-to --siren 1
loa alert list --waiting              what waits for people
loa alert show c86f                   its words, whom it means, who has approved it, who could
loa alert approve c86f --live         asks for your release passphrase
loa alert approve c86f --live --with lan.json      with a key on this device
loa alert cancel c86f                 ends it everywhere, by one person's passphrase
loa alert withdraw c86f               yours, before it is released"""
)
_COLUMNS = ("ID", "COMPOSED", "KIND", "TITLE", "FOR", "STATUS", "BY")
Kind = Annotated[
    bool, typer.Option("--live/--drill", help="Which of the two it is; there is no default.", show_default=False)
]
KeyFile = Annotated[
    Path | None, typer.Option("--with", metavar="FILE", help="Your key's file on this device, instead of the centre's.")
]
Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="For scripts: its first line is the release passphrase."),
]


def _row(item: Any) -> tuple[object, ...]:
    where = ", ".join([*item["target_areas"], *item["target_nodes"]])
    return (
        item["id"][:12], local(item["composed_at"]), item["kind"].upper(), item["title"], where, item["status"],
        item["composed_by"],
    )  # fmt: skip


def _tell(item: Any) -> None:
    """An alert as those who approve it should see it."""
    for lines in item["words"].values():
        typer.echo("\n".join(lines) + "\n")
    reach, people = item["reach"], item["reach"]["people"]
    typer.echo(f"It means {reach['nodes']} nodes in {reach['villages']} villages, {people or 'unknown'} people")
    unheard = [one["name"] for one in reach["village_list"] if not one["nodes"]]
    if unheard:
        typer.echo(f"Nobody hears it in: {', '.join(unheard)}")
    typer.echo(f"Body sha256: {item['body_sha256']}")
    typer.echo(f"Id: {item['id']}, {item['status']}")
    for one in item["approvals"]:
        typer.echo(f"{one['action']} approved by {one['account']} at {local(one['at'])}, key {one['key']}")
    if item["released_alone_by"]:
        typer.echo(f"RELEASED BY ONE PERSON ALONE: {item['released_alone_by']}")
    if item["people_needed"]:
        could = [
            f"{one['holder']} ({one['area']}{', alone' if one['alone'] else ''})"
            for one in item["could_approve"]
            if not one["has_approved"]
        ]
        typer.echo(f"{item['people_needed']} more to approve it, of: {', '.join(could) or 'nobody is appointed'}")


@app.command()
def compose(  # noqa: PLR0917 - options, all of them given by name
    live: Kind,
    title: Annotated[str, typer.Option(help="What people call it.")],
    to: Annotated[list[str] | None, typer.Option(help="An area; repeat for more.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="A node; repeat for more.")] = None,
    bulletin: Annotated[list[str] | None, typer.Option(help="An approved bulletin, the beginning of its id.")] = None,
    siren: Annotated[int, typer.Option(min=0, max=254, help="A stored sound that comes first.")] = 0,
    repeats: Annotated[int, typer.Option(min=1, max=255, help="How often all of it is played.")] = 1,
    until_cancelled: Annotated[bool, typer.Option("--until-cancelled", help="Again and again.")] = False,
    gap: Annotated[float, typer.Option(min=0, max=3600, help="Seconds between repeats.")] = 0,
    minutes: Annotated[int, typer.Option(min=1, max=44_640, help="Its window, from now.")] = 30,
    updates: Annotated[list[str] | None, typer.Option(help="A released alert whose place it takes.")] = None,
    as_json: Json = False,
) -> None:
    """Write an alert down. It makes no sound before people have approved it.

    \b
    loa alert compose --live --title "Bão số 9" --to quang-ninh --siren 1 --until-cancelled --minutes 120
    """
    server = Server.known()
    body = {
        "kind": "live" if live else "drill", "title": title, "target_areas": to or [], "target_nodes": node or [],
        "bulletins": [find(server, "/bulletins", one, "bulletin")["id"] for one in bulletin or []], "siren": siren,
        "repeats": 0 if until_cancelled else repeats, "gap_ms": round(gap * 1000), "lasts_ms": minutes * 60_000,
        "updates": [find(server, "/alerts", one, "alert")["id"] for one in updates or []],
    }  # fmt: skip
    item = server.ask("POST", "/alerts", body=body, sounds=True)
    show(item, as_json, lambda: _tell(item))


@app.command("list")
def list_(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait for people.")] = False,
    area: Annotated[str | None, typer.Option(help="Only of this place.")] = None,
    as_json: Json = False,
) -> None:
    """The newest first."""
    items = Server.known().pages("/alerts", {"area": area, "status": "composed" if waiting else None})
    show(items, as_json, lambda: print_table(_COLUMNS, [_row(item) for item in items], none="No alerts."))


@app.command("show")
def show_one(alert: str, as_json: Json = False) -> None:
    """Its words, whom it means, who has approved it and who could."""
    item = _found(Server.known(), alert)
    show(item, as_json, lambda: _tell(item))


@app.command()
def approve(  # noqa: PLR0917 - options, all of them given by name
    alert: str,
    live: Kind,
    key: KeyFile = None,
    passphrase_file: Passphrase = None,
    yes: Annotated[bool, typer.Option("--yes", help="For scripts: do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Show an alert and approve exactly that. Where yours is enough, it sounds at once.

    \b
    loa alert approve c86f --live
    loa alert approve c86f --drill --with lan.json
    """
    server = Server.known()
    item = _found(server, alert)
    if not as_json:
        _tell(item)
    consent(f"Do you release this {item['kind'].upper()} alert? (Đồng ý phát?)", yes)
    body = {
        "kind": "live" if live else "drill", "body_sha256": item["body_sha256"],
        **_signed(item["body"], key, passphrase_file),
    }  # fmt: skip
    reply = _proven(server, f"/alerts/{segment(item['id'])}/approvals", body)
    show(reply, as_json, lambda: _taken(reply))


@app.command()
def cancel(alert: str, key: KeyFile = None, passphrase_file: Passphrase = None, as_json: Json = False) -> None:
    """End a released alert everywhere. One person is enough, who is appointed over all that it is for.

    \b
    loa alert cancel c86f
    """
    server = Server.known()
    item = _found(server, alert)
    typer.echo(f"Ends {item['kind'].upper()}: {item['title']} ({item['id'][:12]})", err=True)
    done = server.ask(
        "POST", f"/alerts/{segment(item['id'])}/cancel", body=_signed(item["cancel_body"], key, passphrase_file)
    )
    show(done, as_json, lambda: typer.echo(f"{done['id']}  {done['title']}  {done['status']}"))


@app.command()
def withdraw(alert: str, as_json: Json = False) -> None:
    """Take back what you composed and nobody has released."""
    server = Server.known()
    item = _found(server, alert)
    done = server.ask("POST", f"/alerts/{segment(item['id'])}/withdraw")
    show(done, as_json, lambda: typer.echo(f"{done['id']}  {done['title']}  {done['status']}"))


def _taken(reply: Any) -> None:
    typer.echo(reply["words"])
    if reply["outcome"] != "released":
        _tell(reply["alert"])


def _found(server: Server, given: str) -> Any:
    """All of the alert whose id begins like this."""
    return server.ask("GET", f"/alerts/{segment(find(server, '/alerts', given, 'alert')['id'])}")


def _signed(body: str, key: Path | None, passphrase_file: Path | None) -> dict[str, str]:
    """The part of a request by which somebody signs these bytes: here, or at the centre by a passphrase."""
    if key is None:
        given = passphrase_in(passphrase_file) if passphrase_file else None
        return {"passphrase": given or typer.prompt("Release passphrase", hide_input=True, err=True)}
    from controller.keydisk import read_key
    from controller.peoplekeys import approve as approve_body

    files = [passphrase_file] if passphrase_file else None
    approval = approve_body(base64.b64decode(body), read_key(key, asker([key], files)))
    return {"approval": base64.b64encode(approval).decode()}


def _proven(server: Server, path: str, body: dict[str, str]) -> Any:
    """Ask; where password and code are to be given again, give them and ask once more."""
    try:
        return server.ask("POST", path, body=body)
    except Refused as error:
        if error.code != "fresh_sign_in_required" or not (os.environ.get("LOA_PASSWORD") or sys.stdin.isatty()):
            raise
        password = os.environ.get("LOA_PASSWORD") or typer.prompt("Your password", hide_input=True, err=True)
        proof = {"password": password.strip()}
        give_code(lambda code: server.ask("POST", "/session/step-up", body=proof | {"code": code}), error)
        return server.ask("POST", path, body=body)
