"""`loa keys`, what the roots do: requests, signatures, and the same in one step where the roots are at hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from controller import rootwork
from controller.keydisk import (
    look_at_key,
    look_at_public_half,
    public_root,
    read_bytes,
    read_key,
    read_roots,
    write_key,
    write_locked_key,
    write_public_half,
    write_whole,
)
from controller.signing import SigningRequest, read_request, sign_request, still_wanted
from devices.protocol.keys import SigningKey
from devices.protocol.trust import Appointment, Power
from loa.cli.keys_asking import PassphraseFiles, asker, consent, new_passphrases
from loa.cli.keys_words import appointment_words, roots_lines, show_request
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs

app = typer.Typer()
requests = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Write down what the roots are asked to sign: a small file to carry to where they are.

    \b
    loa keys request controller --area quang-ninh --dir keys --out centre.request
    loa keys request appoint lan --area quang-ninh/co-to --key lan.public.json --dir keys --out lan.request
    loa keys request revoke 1f2e3d4c5b6a7988 --reason "left office" --dir keys --out revoke.request
    loa keys request roots --add root-4.public.json --remove 0123456789abcdef --dir keys --out roots.request
    """,
)
app.add_typer(requests, name="request")

DirOption = Annotated[Path, typer.Option("--dir", metavar="DIR", help="The folder of keys.")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="Write the request here.")]
RootFiles = Annotated[
    list[Path] | None, typer.Option("--root", metavar="FILE", help="A root's key file that lies elsewhere; repeat.")
]
Holder = Annotated[str, typer.Argument(help="Who it is for, e.g. chu-tich-hong-gai.")]
Area = Annotated[str, typer.Option(help="Where it counts, e.g. quang-ninh/hong-gai.")]
Ceiling = Annotated[str, typer.Option(help="Up to which precedence: ordinary, priority, emergency.")]
KeyOption = Annotated[Path | None, typer.Option(metavar="FILE", help="The key's file, its .public.json is enough.")]
Public = Annotated[str | None, typer.Option(help="Instead of a file: the public key in hex.")]
Powers = Annotated[str, typer.Option(help="Comma-separated: order, documents, placement, service, renew, approve.")]
Drill = Annotated[bool, typer.Option("--drill", help="The key signs drills only.")]
Sole = Annotated[bool, typer.Option("--sole", help="It may release an emergency alone; everybody will see that.")]
Days = Annotated[int, typer.Option(help="For how long, at most 365.")]
Ids = Annotated[list[str], typer.Argument(help="Ids of appointments, mandates or keys, in hex.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
Threshold = Annotated[int | None, typer.Option(help="A new threshold.")]
Remove = Annotated[list[str] | None, typer.Option(help="Key id of a root to be dropped, in hex; repeat.")]


def _now() -> InstantMs:
    return SystemClock().now_ms()


@app.command(name="new-root")
def new_root(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it, e.g. root-4.json.")],
    sealed: Annotated[bool, typer.Option("--sealed", help="It is a sealed spare.")] = False,
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Make one more root, under a passphrase that is asked for twice; its public half goes in a file beside it.

    \b
    loa keys new-root root-4.json
    """
    if not file.exists():
        words = new_passphrases([file.stem], passphrase_file)[file.stem]
        write_locked_key(
            file, SigningKey(system_entropy(32)), "root", file.stem,
            passphrase=words, entropy=system_entropy, sealed=sealed,
        )  # fmt: skip
    made = look_at_key(file)
    typer.echo(f"root {made.key_id.hex()}{'  sealed' if made.spare else ''}\n{write_public_half(made)}")


@requests.command(name="controller")
def request_controller(
    area: Annotated[str, typer.Option(help="The province, e.g. quang-ninh.")],
    out: Out,
    directory: DirOption = Path("keys"),
) -> None:
    """Ask for the controller's appointment. Its private key is made in DIR and stays there."""
    _put(out, rootwork.controller_request(directory, AreaPath(area), _now(), system_entropy))


@requests.command(name="appoint")
def request_appoint(  # noqa: PLR0917  the command's options
    holder: Holder,
    area: Area,
    out: Out,
    ceiling: Ceiling = "emergency",
    key: KeyOption = None,
    public: Public = None,
    powers: Powers = "approve",
    drill: Drill = False,
    sole: Sole = False,
    days: Days = 365,
    directory: DirOption = Path("keys"),
) -> None:
    """Ask for an appointment: what a key may sign, where, up to which precedence, until when."""
    wished = _appointment(holder, area, ceiling, _public(key, public), powers, drill, sole, days)
    _put(out, rootwork.appointment_request(directory, wished, _now()))


@requests.command(name="revoke")
def request_revoke(ids: Ids, out: Out, reason: Reason = "", directory: DirOption = Path("keys")) -> None:
    """Ask for a revocation of appointments, mandates or keys."""
    wanted = [hex_of(one, 8, "ids") for one in ids]
    _put(out, rootwork.revocation_request(directory, wanted, now_ms=_now(), reason=reason))


@requests.command(name="roots")
def request_roots(
    out: Out,
    add: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="A new root's .public.json; repeat.")] = None,
    remove: Remove = None,
    threshold: Threshold = None,
    directory: DirOption = Path("keys"),
) -> None:
    """Ask for a new root set; the same request holds all appointments and revocations, to be signed again."""
    added = [public_root(look_at_public_half(path)) for path in add or ()]
    gone = [hex_of(one, 8, "remove") for one in remove or ()]
    _put(
        out,
        rootwork.root_set_request(directory, add=added, remove=gone, threshold=threshold, now_ms=_now()),
    )


@app.command()
def sign(
    request: Annotated[Path, typer.Argument(metavar="REQUEST", help="The file from `loa keys request`.")],
    root: Annotated[list[Path], typer.Option("--root", metavar="FILE", help="A root's key file; repeat.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here instead of into REQUEST.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="For scripts: do not ask.")] = False,
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Show in words what is asked, and sign it with a root. It needs no net and no folder of keys.

    \b
    loa keys sign lan.request --root root-1.json
    """
    asked = _read(request)
    show_request(asked)
    for path in root:  # before anybody types a passphrase
        if (asked.roots or asked.new_roots) and asked.root(look_at_key(path).key_id) is None:
            raise Refused("not_a_root", field="root", value=look_at_key(path).key_id.hex())
    consent("Is this what you want to sign? (Đúng nội dung cần ký?)", yes)
    ask = asker(root, passphrase_file)
    for path in root:
        asked = sign_request(asked, read_key(path, ask))
    target = out or request
    write_whole(target, asked.to_text().encode(), 0o644)
    wanted = still_wanted(asked)
    typer.echo(f"{target}: signed by {', '.join(sorted(one.hex() for one in asked.signers))}")
    if wanted:
        typer.echo(f"At least {wanted} more must sign.")
    else:
        typer.echo("Take it back to the centre: loa keys install REQUEST --dir keys")


@app.command()
def install(
    request: Annotated[list[Path], typer.Argument(metavar="REQUEST...", help="Signed copies of one request.")],
    roots: Annotated[
        Path | None, typer.Option("--roots", metavar="FILE", help="At the very first time: roots.json of the ceremony.")
    ] = None,
    directory: DirOption = Path("keys"),
) -> None:
    """Take up what the roots signed, once enough have. Doing it twice changes nothing.

    \b
    loa keys install centre.request --roots roots.json --dir keys
    loa keys install from-lan.request from-binh.request --dir keys
    """
    first = None if roots is None else read_roots(roots)
    done = rootwork.install(directory, [_read(path) for path in request], first_roots=first)
    for message in done:
        if isinstance(message, Appointment):
            typer.echo(f"appointment {message.id.hex()}  {appointment_words(message)}")
        else:
            typer.echo(type(message).__name__)
    typer.echo("A running controller takes it up at its next look, within a minute.")


@app.command()
def appoint(  # noqa: PLR0917  the command's options
    holder: Holder,
    area: Area,
    ceiling: Ceiling = "priority",
    key: KeyOption = None,
    public: Public = None,
    powers: Powers = "order",
    drill: Drill = False,
    sole: Sole = False,
    days: Days = 365,
    directory: DirOption = Path("keys"),
    root: RootFiles = None,
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Have roots that are at hand appoint a key: request, sign and install in one.

    \b
    loa keys appoint lan --area quang-ninh/co-to --ceiling emergency --powers approve --key lan.public.json \\
      --dir keys --root root-1.json --root root-2.json
    """
    wished = _appointment(holder, area, ceiling, _public(key, public), powers, drill, sole, days)
    made = rootwork.appoint(
        directory, holder=holder, public_key=wished.public_key, area=wished.area, ceiling=wished.ceiling,
        powers=Power(wished.powers), kind=wished.kind, sole=sole, days=days, now_ms=_now(), entropy=system_entropy,
        root_files=root or (), ask=asker(root or (), passphrase_file),
    )  # fmt: skip
    typer.echo(f"appointment {made.id.hex()}  {appointment_words(made)}")
    typer.echo("A running controller takes it up at its next look, within a minute.")


@app.command()
def revoke(
    ids: Ids,
    reason: Reason = "",
    directory: DirOption = Path("keys"),
    root: RootFiles = None,
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Have roots that are at hand revoke appointments, mandates or keys. It never goes back.

    \b
    loa keys revoke 1f2e3d4c5b6a7988 --reason "phone lost" --dir keys --root root-1.json --root root-2.json
    """
    rootwork.revoke(
        directory, [hex_of(one, 8, "ids") for one in ids], now_ms=_now(), reason=reason, root_files=root or (),
        ask=asker(root or (), passphrase_file),
    )  # fmt: skip
    typer.echo(f"Revoked: {', '.join(ids)}. A running controller publishes it within a minute.")


@app.command()
def root(  # noqa: PLR0917  the command's options
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of keys.")],
    add: Annotated[str | None, typer.Option(help="Make a new root of this name in DIR, without a passphrase.")] = None,
    sealed: Annotated[bool, typer.Option(help="The new root is a sealed spare.")] = False,
    remove: Remove = None,
    threshold: Threshold = None,
    root: RootFiles = None,
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Replace roots that are at hand: the old ones sign the new set, and the new set signs all appointments again.

    Loudspeakers follow by the next trust document. For roots that are offline: `loa keys request roots`.

    \b
    loa keys root keys --add root-4 --remove 0123456789abcdef
    """
    added = []
    if add is not None:
        path = directory / "roots" / f"{AreaPath(add)}.json"
        if not path.exists():
            write_key(path, SigningKey(system_entropy(32)), "root", add, sealed=sealed)
        added.append(public_root(look_at_key(path)))
    new = rootwork.new_root_set(
        directory, add=added, remove=[hex_of(one, 8, "remove") for one in remove or ()], threshold=threshold,
        now_ms=_now(), root_files=root or (), ask=asker(root or (), passphrase_file),
    )  # fmt: skip
    typer.echo(f"{directory}: root set {new.version}, {new.threshold} of {len(new.roots)} must sign")
    for line in roots_lines(new):
        typer.echo(line)


def hex_of(text: str, length: int, field: str) -> bytes:
    """Raises Refused(bad_hex)."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != length:
        raise Refused("bad_hex", field=field, limit=length, value=text[:80])
    return data


def _appointment(  # noqa: PLR0917
    holder: str, area: str, ceiling: str, public_key: bytes, powers: str, drill: bool, sole: bool, days: int
) -> Appointment:
    return rootwork.new_appointment(
        holder=holder,
        public_key=public_key,
        area=AreaPath(area),
        ceiling=Precedence[_one_of(ceiling, tuple(Precedence.__members__), "ceiling")],
        powers=_powers(powers),
        kind=Kind.DRILL if drill else Kind.LIVE,
        days=days,
        sole=sole,
        now_ms=_now(),
        entropy=system_entropy,
    )


def _public(key: Path | None, public: str | None) -> bytes:
    if (key is None) == (public is None):
        raise typer.BadParameter("give the key's file, or its public key in hex", param_hint="--key or --public")
    return look_at_public_half(key).public_key if key is not None else hex_of(public or "", 32, "public")


def _put(out: Path, request: SigningRequest) -> None:
    """Never over a request that may bear signatures already. Raises Refused(already_exists)."""
    if out.exists():
        raise Refused("already_exists", field="out", value=str(out))
    write_whole(out, request.to_text().encode(), 0o644)
    show_request(request)
    typer.echo(f"{out}: have it signed by `loa keys sign`, then `loa keys install` it here.")


def _read(path: Path) -> SigningRequest:
    return read_request(read_bytes(path).decode("utf-8", "replace"))


def _one_of(word: str, words: Sequence[str], field: str) -> str:
    if word.upper() not in words:
        raise typer.BadParameter(f"{word}: one of {', '.join(one.lower() for one in words)}", param_hint=field)
    return word.upper()


def _powers(text: str) -> Power:
    powers = Power(0)
    for word in text.split(","):
        powers |= Power[_one_of(word.strip(), tuple(Power.__members__), "powers")]
    return powers
