"""`loa cap` at a server: alerts of others handed in, looked at and composed; their sources; our own fetched."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from loa.cli.client import Json, Server, find, local, print_table, segment, show
from loa.errors import Refused

_COLUMNS = ("ID", "RECEIVED", "STATUS", "SENDER", "TITLE", "VERDICT", "SIGNATURE", "STATE", "ALERT")
_SOURCES = ("NAME", "STATE", "READ", "SENDERS", "SIGNERS", "URL", "TROUBLE")
_WAITING = ("cancel_asked", "needs_area", "not_composed", "waiting")


def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)],
    source: Annotated[str | None, typer.Option(metavar="NAME", help="By which of the known sources it comes.")] = None,
    as_json: Json = False,
) -> None:
    """Hand a file in: what is accepted becomes an alert that waits for people, and never sounds by itself.

    \b
    loa cap submit warning.xml
    loa cap submit warning.xml --source kttv
    """
    reply = Server.known().ask(
        "POST", "/cap", query={"source": source}, content=file.read_bytes(),
    )  # fmt: skip
    show(reply, as_json, lambda: _tell_answers(reply["items"]))
    if any(item["http_status"] >= 400 for item in reply["items"]):
        raise typer.Exit(1)


def _tell_answers(items: list[Any]) -> None:
    for item in items:
        made = f", alert {item['alert'][:12]} waits for people" if item["alert"] else ""
        gone = f", withdrew {', '.join(one[:12] for one in item['withdrawn'])}" if item["withdrawn"] else ""
        asks = f", asks to cancel {', '.join(one[:12] for one in item['cancel_asked'])}" if item["cancel_asked"] else ""
        typer.echo(f"{item['identifier'] or '-'}: {item['code']} ({item['title']}){made}{gone}{asks}")
        for area in (item["areas"] or {}).get("named", ()):
            proposed = ", ".join(area["proposed"]) or "nothing of ours"
            typer.echo(f'  named only "{area["description"]}": {proposed}; `loa cap compose {item["cap"][:12]} --to …`')


def list_(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait for people.")] = False,
    refused: Annotated[bool, typer.Option("--refused", help="Only those that were refused.")] = False,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only what came by this source.")] = None,
    as_json: Json = False,
) -> None:
    """Alerts of others, the newest first."""
    server = Server.known()
    if waiting:
        items = [one for state in _WAITING for one in server.pages("/cap", {"state": state, "source": source})]
    else:
        items = server.pages("/cap", {"refused": True if refused else None, "source": source})
    show(items, as_json, lambda: print_table(_COLUMNS, [_row(item) for item in items], none="No alerts of others."))


def _row(item: Any) -> tuple[object, ...]:
    kind = f"{item['status']}/{item['msg_type']}"
    trouble = f" ({item['trouble']})" if item["trouble"] else ""
    return (
        item["id"][:12], local(item["received_at"]), kind, item["sender"], item["title"], item["code"],
        item["signature"], item["state"] + trouble, (item["alert"] or "")[:12],
    )  # fmt: skip


def show_one(cap: str, as_json: Json = False) -> None:
    """One of them, as it came."""
    server = Server.known()
    item = server.ask("GET", f"/cap/{find(server, '/cap', cap, 'cap')['id']}")
    show(item, as_json, lambda: _tell(item))


def _tell(item: Any) -> None:
    for name in ("id", "sender", "identifier", "status", "msg_type", "title", "code", "signature", "signer", "state"):
        typer.echo(f"{name}: {item[name] if item[name] is not None else '-'}")
    expected = "one of its source's" if item["sender_is_expected"] else "nobody that its source may speak for"
    typer.echo(f"came: {local(item['received_at'])} by {item['source'] or item['received_by']}; sender: {expected}")
    typer.echo(f"areas: {', '.join(item['areas']['matched']) or 'none matched'}")
    for area in item["areas"]["named"]:
        typer.echo(f'named only "{area["description"]}": {", ".join(area["proposed"]) or "nothing of ours"}')
    for name in ("trouble", "alert", "before", "withdrew"):
        if item[name]:
            typer.echo(f"{name}: {item[name] if isinstance(item[name], str) else ', '.join(item[name])}")
    typer.echo(item["xml"])


def compose(
    cap: str,
    to: Annotated[list[str], typer.Option(help="An area; repeat for more.")],
    as_json: Json = False,
) -> None:
    """Say where an alert is for that only named its areas: it is composed, and waits for people.

    \b
    loa cap compose 4f1c --to quang-ninh/co-to
    """
    server = Server.known()
    found = find(server, "/cap", cap, "cap")
    item = server.ask("POST", f"/cap/{found['id']}/compose", body={"target_areas": to})
    show(item, as_json, lambda: typer.echo(f"alert {item['id']} waits for people: `loa alert show {item['id'][:12]}`"))


def sources(as_json: Json = False) -> None:
    """Whose alerts are taken, and how their feeds are doing."""
    items = Server.known().ask("GET", "/cap/sources")["items"]
    rows = [
        (
            one["name"], one["state"], local(one["good_at"]), ", ".join(one["senders"]),
            ", ".join(pin["name"] for pin in one["pins"]), one["url"] or "(posts)",
            f"{one['trouble']} ×{one['failures']}" if one["trouble"] else "",
        )
        for one in items
    ]  # fmt: skip
    show(items, as_json, lambda: print_table(_SOURCES, rows, none="No sources: alerts come by POST alone, unverified."))


def put_source(  # noqa: PLR0917 - options, all of them given by name
    name: str,
    sender: Annotated[list[str], typer.Option(help="For whom it may speak, as in `sender`; repeat for more.")],
    url: Annotated[str, typer.Option(help="Its feed, by HTTPS; none for one that posts.")] = "",
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Certificate or public key of a signer, PEM."),
    ] = None,
    host: Annotated[list[str] | None, typer.Option(help="Where its links may lead, besides its own host.")] = None,
    is_local: Annotated[bool, typer.Option("--local", help="Plain HTTP and private addresses are allowed.")] = False,
    interval: Annotated[int, typer.Option(min=20, max=3600, help="Seconds between two looks.")] = 60,
    as_json: Json = False,
) -> None:
    """Add a source, or put it in the place of the one of this name.

    \b
    loa cap put-source kttv --url https://example.vn/cap.atom --sender kttv@example.vn --key kttv-2026.pem
    """
    pins = [{"name": file.stem, "certificate": _pem(file)} for file in key or []]
    body = {
        "url": url, "senders": sender, "pins": pins, "hosts": host or [], "is_local": is_local, "interval_s": interval,
    }  # fmt: skip
    item = Server.known().ask("PUT", f"/cap/sources/{segment(name)}", body=body)
    show(item, as_json, lambda: typer.echo(f"{item['name']}: {item['state']}, {len(item['pins'])} signers pinned"))


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="Made where it is not there.")],
    drills: Annotated[bool, typer.Option("--drills", help="Drills instead of live alerts.")] = False,
    as_json: Json = False,
) -> None:
    """Write our own alerts into a folder, a file each, and the feed that names them; what is there already stays.

    \b
    loa cap export /srv/www/cap
    loa cap export /srv/www/cap-drills --drills
    """
    server = Server.known()
    folder.mkdir(parents=True, exist_ok=True)
    feed = "out-drills.atom" if drills else "out.atom"
    _fetch(server, f"/api/v1/cap/{feed}", folder / feed)
    names = re.findall(rb"/cap/out/([0-9a-f]{32}(?:-cancel)?)\.xml", (folder / feed).read_bytes())
    fresh = []
    for name in dict.fromkeys(one.decode("ascii") for one in names):
        file = folder / f"{name}.xml"
        if not file.exists():
            _fetch(server, f"/api/v1/cap/out/{name}.xml", file)
            fresh.append(str(file))
    show(fresh, as_json, lambda: typer.echo(f"{len(fresh)} new in {folder}, {len(set(names))} in {feed}"))


def _fetch(server: Server, path: str, file: Path) -> None:
    """Whole or not at all: somebody may be serving the folder."""
    part = file.with_name(f".{file.name}.part")
    try:
        server.download(path, part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _pem(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("bad_key_file", field="--key", limit="PEM", detail=str(file)) from error


def remove_source(name: str) -> None:
    """Its keys count no more, and its feed is not read."""
    Server.known().ask("DELETE", f"/cap/sources/{segment(name)}")
    typer.echo(f"{name} removed")


def register(app: typer.Typer) -> None:
    """Give `loa cap` these verbs."""
    app.command()(submit)
    app.command("list")(list_)
    app.command("show")(show_one)
    app.command()(compose)
    app.command()(sources)
    app.command("put-source")(put_source)
    app.command("remove-source")(remove_source)
    app.command()(export)
