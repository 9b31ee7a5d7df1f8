"""`loa keys`: roots, appointments, mandates, revocations and nodes' identities, as files."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated

import typer

from controller import keyfiles
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.renewal import next_version
from devices.protocol.trust import Power, Root
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Make and look after the keys of a centre.

    Trust begins at the roots: private keys that are made once, kept offline, and sign rarely and together (a
    threshold). They appoint keys (the controller, people); the running controller renews those appointments by
    mandates of at most 7 days; the roots revoke. Every loudspeaker pins the roots when it is enrolled.

    \b
    loa keys init keys --area quang-ninh     roots, controller's key and appointment
    loa keys node hong-gai-01 --dir keys     an identity file for a loudspeaker box
    loa keys show keys                       what is there, until when

    `loa serve` does the first by itself. Afterwards move keys/roots/*.json to two safe places offline.
    """,
)

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of keys.")]
DirOption = Annotated[Path, typer.Option("--dir", metavar="DIR", help="The folder of keys.")]
RootFiles = Annotated[
    list[Path] | None, typer.Option("--root", metavar="FILE", help="A root's key file that lies elsewhere; repeat.")
]
_VIETNAM = timezone(timedelta(hours=7))


def _now() -> InstantMs:
    return SystemClock().now_ms()


def _day(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1000, tz=_VIETNAM).strftime("%Y-%m-%d %H:%M")


def _hex(text: str, length: int, field: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != length:
        raise Refused("bad_hex", field=field, limit=length, value=text[:80])
    return data


@app.command()
def init(
    directory: Dir,
    area: Annotated[str, typer.Option(help="The province, e.g. quang-ninh.")],
    roots: Annotated[int, typer.Option(help="How many roots to make.")] = 3,
    sealed: Annotated[int, typer.Option(help="How many of them are sealed spares.")] = 1,
    threshold: Annotated[int, typer.Option(help="How many must sign.")] = 2,
) -> None:
    """Make roots, the controller's key and its appointment. What is there already stays as it is."""
    keys = keyfiles.create_centre(
        directory, AreaPath(area), _now(), system_entropy, roots=roots, sealed=sealed, threshold=threshold
    )
    _show(keys)
    typer.echo(f"\nMove {directory / 'roots'} offline, in at least two places: whoever has them has every loudspeaker.")


@app.command()
def show(directory: Dir) -> None:
    """Print what is there: roots, appointments and until when, revocations, nodes. No secrets."""
    _show(keyfiles.load_centre(directory))


@app.command()
def appoint(  # noqa: PLR0917  the command's options
    holder: Annotated[str, typer.Argument(help="Who it is for, e.g. chu-tich-hong-gai.")],
    area: Annotated[str, typer.Option(help="Where it may order, e.g. quang-ninh/hong-gai.")],
    ceiling: Annotated[str, typer.Option(help="Up to which precedence: ordinary, priority, emergency.")] = "priority",
    public: Annotated[str | None, typer.Option(help="The public key in hex; without it a key is made here.")] = None,
    powers: Annotated[
        str, typer.Option(help="Comma-separated: order, documents, placement, service, renew, approve.")
    ] = "order",
    drill: Annotated[bool, typer.Option(help="The key signs drills only.")] = False,
    days: Annotated[int, typer.Option(help="For how long, at most 365.")] = 365,
    directory: DirOption = Path("keys"),
    root: RootFiles = None,
) -> None:
    """Have the roots appoint a key: what it may sign, where, up to which precedence, until when."""
    if public is None:
        path = directory / "people" / f"{AreaPath(holder)}.json"
        if not path.exists():
            keyfiles.write_key(path, SigningKey(system_entropy(32)), "person", holder)
        public_key = keyfiles.read_key(path).public_key
    else:
        public_key = _hex(public, 32, "public")
    appointment = keyfiles.appoint(
        directory,
        holder=holder,
        public_key=public_key,
        area=AreaPath(area),
        ceiling=Precedence[_one_of(ceiling, Precedence.__members__, "ceiling")],
        powers=_powers(powers),
        kind=Kind.DRILL if drill else Kind.LIVE,
        days=days,
        now_ms=_now(),
        entropy=system_entropy,
        root_files=root or (),
    )
    typer.echo(f"appointment {appointment.id.hex()}  {holder}  key {key_id(public_key).hex()}")
    typer.echo("A running controller takes it up at its next renewal.")


@app.command()
def mandate(
    directory: Dir,
    out: Annotated[Path | None, typer.Option(help="Write the trust document here.")] = None,
) -> None:
    """Renew all mandates now and write the trust document, as a running controller does daily."""
    keys, now = keyfiles.load_centre(directory), _now()
    document = keys.trust(version=next_version(0, now), now_ms=now)
    authority = accept_trust(document, Authority.pinned(keys.roots), now)
    path = out or directory / "trust.cose"
    path.write_bytes(document)
    for grants in authority.grants.values():
        for grant in grants:
            typer.echo(f"mandate {grant.mandate.hex()}  {grant.holder}  until {_day(grant.until)}")
    typer.echo(f"{path}: version {authority.version}, {len(document)} bytes")


@app.command()
def revoke(
    ids: Annotated[list[str], typer.Argument(help="Ids of appointments, mandates or keys, in hex.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    directory: DirOption = Path("keys"),
    root: RootFiles = None,
) -> None:
    """Have the roots revoke appointments, mandates or keys. It never goes back."""
    keyfiles.revoke(
        directory, [_hex(one, 8, "ids") for one in ids], now_ms=_now(), reason=reason, root_files=root or ()
    )
    typer.echo(f"Revoked: {', '.join(ids)}. A running controller publishes it at its next renewal.")


@app.command()
def root(  # noqa: PLR0917  the command's options
    directory: Dir,
    add: Annotated[str | None, typer.Option(help="Make a new root of this name.")] = None,
    sealed: Annotated[bool, typer.Option(help="The new root is a sealed spare.")] = False,
    remove: Annotated[list[str] | None, typer.Option(help="Key id of a root to be dropped, in hex; repeat.")] = None,
    threshold: Annotated[int | None, typer.Option(help="A new threshold.")] = None,
    root: RootFiles = None,
) -> None:
    """Replace a root: the old roots sign the new set, and the new set signs all appointments again.

    Loudspeakers follow by themselves with the next trust document.
    """
    added: list[Root] = []
    if add is not None:
        path = directory / "roots" / f"{AreaPath(add)}.json"
        if not path.exists():
            keyfiles.write_key(path, SigningKey(system_entropy(32)), "root", add, sealed=sealed)
        added.append(Root(public_key=keyfiles.read_key(path).public_key, sealed=sealed))
    gone = [_hex(one, 8, "remove") for one in remove or ()]
    keyfiles.new_root_set(directory, add=added, remove=gone, threshold=threshold, root_files=root or ())
    _show(keyfiles.load_centre(directory))


@app.command()
def node(
    name: Annotated[str, typer.Argument(help="The loudspeaker's name, e.g. hong-gai-01.")],
    directory: DirOption = Path("keys"),
) -> None:
    """Make a loudspeaker's identity: its key and the pinned roots, in one file for its box."""
    identity = keyfiles.create_node(directory, name, system_entropy)
    typer.echo(f"{directory / 'nodes' / name}.json")
    typer.echo(f"public key {identity.key.public_key.hex()}")
    typer.echo("Take the file to the box (`loa node --identity FILE`), enrol the public key, delete the file here.")


def _one_of(word: str, words: object, field: str) -> str:
    if word.upper() not in list(words):  # type: ignore[call-overload]
        raise typer.BadParameter(f"{word}: one of {', '.join(str(one).lower() for one in words)}", param_hint=field)  # type: ignore[attr-defined]
    return word.upper()


def _powers(text: str) -> Power:
    powers = Power(0)
    for word in text.split(","):
        powers |= Power[_one_of(word.strip(), Power.__members__, "powers")]
    return powers


def _show(keys: keyfiles.CentreKeys) -> None:
    roots = keys.roots
    typer.echo(f"{keys.directory}: root set {roots.version}, {roots.threshold} of {len(roots.roots)} must sign")
    for one in roots.roots:
        typer.echo(f"  root {key_id(one.public_key).hex()}{'  sealed' if one.sealed else ''}")
    typer.echo(f"  controller's key {keys.controller.key_id.hex()}")
    for each in keyfiles.read_appointments(keys.appointments):
        typer.echo(
            f"  appointment {each.id.hex()}  {each.holder}  {each.area}  up to {each.ceiling.name.lower()}"
            f"  {each.kind.name.lower()}  until {_day(each.until)}  {_power_words(each.powers)}"
        )
    for path in sorted((keys.directory / "revocations").glob("*.cose")):
        typer.echo(f"  revocation {path.stem}")
    for path in sorted((keys.directory / "nodes").glob("*.json")):
        typer.echo(f"  node {path.stem}  key {keyfiles.read_node(path).key.public_key.hex()}")


def _power_words(powers: int) -> str:
    return ",".join((power.name or "").lower() for power in Power if power & powers)
