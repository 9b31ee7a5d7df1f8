"""`loa alert`: emergencies, from composing to cancelling."""

import base64
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from devices.protocol.refusal import Malformed
from loa.cli.alert_making import levels, sounds, templates
from loa.cli.client import Json, Server, find, local, print_table, segment, show, verbs
from loa.cli.keys_asking import asker, consent, passphrase_in
from loa.cli.proving import give_code
from loa.errors import Refused

app = verbs(
    """Emergencies: one composes, people approve with keys of their own, then it sounds; one person cancels.

\b
loa alert compose --live --title "Bão số 9" --to quang-ninh/co-to --siren 1 --bulletin 5d6c --until-cancelled
loa alert compose --drill --to quang-ninh/co-to --template storm --fill number="số 9" --fill place="Cô Tô" …
loa alert hear c86f -o c86f.ogg       what will be said, before anybody approves it
loa alert list --waiting              what waits for people
loa alert show c86f                   its words, whom it means, who has approved it, who could
loa alert approve c86f --live         asks for your release passphrase
loa alert approve c86f --live --with lan.json      with a key on this device
loa alert cancel c86f                 ends it everywhere, by one person's passphrase
loa alert withdraw c86f               yours, before it is released
loa alert levels|templates|sounds     how alerts sound, what they say, what lies at the nodes
loa alert board c86f --watch          who heard it, and what to do about those who did not
loa alert again c86f                  sent again now to whoever has not confirmed it
loa alert report c86f --out bao-cao.html"""
)
app.add_typer(levels, name="levels")
app.add_typer(templates, name="templates")
app.add_typer(sounds, name="sounds")
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
    if item["siren_missing"]:
        typer.echo(f"SOME NODES HAVE NO SIREN {item['siren']}: see `loa alert sounds list`, `loa alert sounds shipped`")
    if item["announcement_missing"]:
        typer.echo("SOME NODES WILL NOT SOUND THIS DRILL, they have no drill announcement: `loa alert sounds shipped`")
    if item["replaced_until"]:
        typer.echo(
            f"IT ENDS EARLIER, at {local(item['expires_at'])}, than what it takes the place of, at"
            f" {local(item['replaced_until'])}: from its end on there is silence"
        )
    for sound in item["sounds"]:
        said = f": {sound['text']}" if sound["text"] else ""
        typer.echo(f"{sound['language']}, {sound['duration_ms'] / 1000:.0f} s, {sound['voice'] or 'bulletin'}{said}")
    typer.echo(f"Body sha256: {item['body_sha256']}")
    typer.echo(f"Id: {item['id']}, {item['status']}")
    for one in item["approvals"]:
        typer.echo(f"{one['action']} approved by {one['account']} at {local(one['at'])}, key {one['key']}")
    if item["released_alone_by"]:
        typer.echo(f"RELEASED BY ONE PERSON ALONE: {item['released_alone_by']}")
    if item["direct"]:
        rule = item["direct"]
        waits = f"{rule['source']}: {', '.join(rule['events'])} ({', '.join(rule['severities'])})"
        typer.echo(f"Out by the alert of {waits}{'' if rule['ready'] or item['status'] != 'armed' else ' - NOT READY'}")
    if item["released_by_cap"]:
        typer.echo(f"Put out by a source's alert: loa cap show {item['released_by_cap']}")
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
    title: Annotated[str | None, typer.Option(help="What people call it; a template has its own.")] = None,
    to: Annotated[list[str] | None, typer.Option(help="An area; repeat for more.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="A node; repeat for more.")] = None,
    bulletin: Annotated[list[str] | None, typer.Option(help="An approved bulletin, the beginning of its id.")] = None,
    template: Annotated[str | None, typer.Option(help="One of `loa alert templates list`.")] = None,
    fill: Annotated[list[str] | None, typer.Option(help="A blank of the template: name=text; name.en=text.")] = None,
    say: Annotated[list[str] | None, typer.Option(help="Words to speak: language=text, as vi=…; repeat.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Of the template; else those of the place.")] = None,
    event: Annotated[str | None, typer.Option(help="What it is about.")] = None,
    severity: Annotated[str | None, typer.Option(help="CAP: Extreme, Severe, Moderate, Minor, Unknown.")] = None,
    urgency: Annotated[str | None, typer.Option(help="CAP: Immediate, Expected, Future, Past, Unknown.")] = None,
    siren: Annotated[int | None, typer.Option(min=0, max=254, help="A stored sound that comes first.")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, max=255, help="How often all of it is played.")] = None,
    until_cancelled: Annotated[bool, typer.Option("--until-cancelled", help="Again and again.")] = False,
    gap: Annotated[float | None, typer.Option(min=0, max=30, help="Seconds between repeats.")] = None,
    volume: Annotated[int | None, typer.Option(min=0, max=100, help="As far as each place allows it.")] = None,
    minutes: Annotated[int | None, typer.Option(min=1, max=44_640, help="Its window, from now.")] = None,
    updates: Annotated[list[str] | None, typer.Option(help="A released alert whose place it takes.")] = None,
    source: Annotated[str | None, typer.Option(help="Approved beforehand: out by this source's alert.")] = None,
    on_event: Annotated[list[str] | None, typer.Option(help="Of which event of the source; repeat.")] = None,
    on_severity: Annotated[
        list[str] | None, typer.Option(help="And severity; Extreme and Severe unless given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write an alert down. It makes no sound before people have approved it.

    \b
    loa alert compose --live --title "Bão số 9" --to quang-ninh --siren 1 --until-cancelled --minutes 120
    loa alert compose --live --title "Bão" --to quang-ninh --severity Extreme --urgency Expected --say vi="Về bờ ngay."
    loa alert compose --live --template tsunami --fill … --to quang-ninh --source kttv --on-event "Sóng thần"
    """
    server = Server.known()
    body = {
        "kind": "live" if live else "drill", "title": title, "target_areas": to or [], "target_nodes": node or [],
        "bulletins": [find(server, "/bulletins", one, "bulletin")["id"] for one in bulletin or []], "siren": siren,
        "repeats": 0 if until_cancelled else repeats, "gap_ms": None if gap is None else round(gap * 1000),
        "lasts_ms": None if minutes is None else minutes * 60_000, "volume": volume, "template": template,
        "blanks": dict(_pair("fill", one) for one in fill or []), "languages": language, "event": event,
        "severity": severity, "urgency": urgency,
        "words": [dict(zip(("language", "text"), _pair("say", one), strict=True)) for one in say or []],
        "updates": [find(server, "/alerts", one, "alert")["id"] for one in updates or []],
        "direct": _direct(source, on_event, on_severity),
    }  # fmt: skip
    item = server.ask("POST", "/alerts", body=body, sounds=True)
    show(item, as_json, lambda: _tell(item))


def _direct(source: str | None, events: list[str] | None, severities: list[str] | None) -> dict[str, object] | None:
    if source is None:
        if events or severities:
            raise Refused("field_required", field="source")
        return None
    return {"source": source, "events": events or [], **({"severities": severities} if severities else {})}


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
    data = b""
    if key is not None:
        data, words = to_release(item, live=live)
        typer.echo("\n".join(("You sign (bạn ký):", *words)), err=True)
    consent(f"Do you release this {item['kind'].upper()} alert? (Đồng ý phát?)", yes)
    body = {
        "kind": "live" if live else "drill", "body_sha256": item["body_sha256"],
        **_signed(data, key, passphrase_file),
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
    if item["updates"]:
        typer.echo(f"And what that took the place of: {', '.join(one[:12] for one in item['updates'])}", err=True)
    data = b"" if key is None else to_cancel(item)
    done = server.ask("POST", f"/alerts/{segment(item['id'])}/cancel", body=_signed(data, key, passphrase_file))
    show(done, as_json, lambda: typer.echo(f"{done['id']}  {done['title']}  {done['status']}"))


@app.command()
def hear(
    alert: str,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it (Ogg Opus).")],
    language: Annotated[str | None, typer.Option(help="In which language; the first one unless given.")] = None,
) -> None:
    """Get what will be said, as the loudspeakers get it, and compare it here with what the body names."""
    server = Server.known()
    item = _found(server, alert)
    sounds_of = [one for one in item["sounds"] if language in (None, one["language"])]
    if not sounds_of:
        raise Refused("not_found", field="language", value=language or "-")
    came = output.with_name(f"{output.name}.part")
    try:
        server.download(sounds_of[0]["audio"], came)
        check_sound(item, sounds_of[0], came.read_bytes())
        came.replace(output)
    finally:
        came.unlink(missing_ok=True)
    typer.echo(str(output))


@app.command()
def withdraw(alert: str, as_json: Json = False) -> None:
    """Take back what you composed and nobody has released."""
    server = Server.known()
    item = _found(server, alert)
    done = server.ask("POST", f"/alerts/{segment(item['id'])}/withdraw")
    show(done, as_json, lambda: typer.echo(f"{done['id']}  {done['title']}  {done['status']}"))


def _pair(option: str, given: str) -> tuple[str, str]:
    name, equals, text = given.partition("=")
    if not equals:
        raise Refused("bad_value", field=option, limit="name=text", reason=given[:60])
    return name.strip(), text


def _taken(reply: Any) -> None:
    typer.echo(reply["words"])
    if reply["outcome"] != "released":
        _tell(reply["alert"])


def _found(server: Server, given: str) -> Any:
    """All of the alert whose id begins like this."""
    return server.ask("GET", f"/alerts/{segment(find(server, '/alerts', given, 'alert')['id'])}")


def check_sound(item: Any, sound: Any, heard: bytes) -> None:
    """Whether these bytes are what the body that people sign names: hashed here, the centre's word is not enough.

    Raises Refused(not_an_alert_body, alert_altered, content_changed).
    """
    from controller.peoplekeys import alert_in
    from devices.protocol.envelope import encode
    from devices.protocol.media import digest_of, manifest_for

    body = alert_in(base64.b64decode(item["body"]))
    ref = next((one for one in body.renditions if one.digest.hex() == sound["digest"]), None)
    if body.id.hex() != item["id"] or ref is None or ref.language != sound["language"]:
        raise Refused("alert_altered", field="body", value=item["id"])
    loudness, peak = sound["loudness_centi_lufs"] or 0, sound["peak_centi_db"] or 0
    try:
        manifest = manifest_for(
            heard, duration_ms=ref.duration_ms, loudness_centi_lufs=loudness, peak_centi_db=peak
        )  # fmt: skip
    except Malformed as error:
        raise Refused("content_changed", field="rendition") from error
    if digest_of(encode(manifest)) != ref.digest:
        raise Refused("content_changed", field="rendition")


def to_release(item: Any, *, live: bool) -> tuple[bytes, tuple[str, ...]]:
    """The bytes by which this very alert is released, and what they say, read here: the centre's word is not enough.

    Raises Refused(not_an_alert_body, alert_altered, drill_mismatch).
    """
    from controller.peoplekeys import alert_in
    from controller.services.alert_words import Names, alert_words

    data = base64.b64decode(item["body"])
    body = alert_in(data)
    if body.action.name != "RELEASE" or body.id.hex() != item["id"]:
        raise Refused("alert_altered", field="body", value=item["id"])
    if (body.kind.name == "LIVE") is not live:
        raise Refused("drill_mismatch", field="kind", reason=f"this is {body.kind.name.lower()}")
    return data, alert_words(body, Names({}, {}, {}), "vi")


def to_cancel(item: Any) -> bytes:
    """The bytes by which this very alert is ended, and no others. Raises Refused(not_an_alert_body, alert_altered)."""
    from controller.peoplekeys import alert_in

    data = base64.b64decode(item["cancel_body"])
    body = alert_in(data)
    first, *others = [one.hex() for one in body.references] or [""]
    own = alert_in(base64.b64decode(item["body"])) if others else body
    # With it ends what it took the place of: a box that missed it may sound that yet.
    replaced = {one.hex() for one in own.references} if own.id.hex() == item["id"] else set()
    if body.action.name != "CANCEL" or first != item["id"] or not replaced.issuperset(others):
        raise Refused("alert_altered", field="cancel_body", value=item["id"])
    return data


def _signed(data: bytes, key: Path | None, passphrase_file: Path | None) -> dict[str, str]:
    """The part of a request by which somebody signs these bytes: here, or at the centre by a passphrase."""
    if key is None:
        given = passphrase_in(passphrase_file) if passphrase_file else None
        return {"passphrase": given or typer.prompt("Release passphrase", hide_input=True, err=True)}
    from controller.keydisk import read_key
    from controller.peoplekeys import approve as approve_body

    files = [passphrase_file] if passphrase_file else None
    approval = approve_body(data, read_key(key, asker([key], files)))
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
