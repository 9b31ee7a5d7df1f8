"""`loa keys station`: a station's own key, its PINs, and the mandate by which stored alerts are sounded there."""

from pathlib import Path
from typing import Annotated

import typer

from controller.keydisk import read_bytes, write_whole
from controller.station_mandates import station_mandate
from devices.local.key import StationKey, read_station_key
from devices.local.pins import LONGEST, SHORTEST, Pin
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.local_orders import read_mandate
from devices.protocol.refusal import WireRefusal
from loa.cli.keys_asking import PassphraseFiles, asker
from loa.cli.keys_roots import Days, DirOption, Drill, RootFiles, hex_of
from loa.cli.keys_words import minute, plain
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""A station's own key: its commune only, stored messages only, local input only.

    \b
    At the station:     loa keys station new station.json --name "Bà Hoa"        asks for a PIN; prints the public key
    Where the roots are: loa keys station mandate "Đài Cô Tô" --area quang-ninh/co-to --public HEX --dir keys \\
                           --root root-1.json --root root-2.json --out co-to.mandate
    At the station:     loa keys station take station.json co-to.mandate
    """,
)
PinFile = Annotated[Path | None, typer.Option("--pin-file", metavar="FILE", help="For scripts: its first line.")]
Name = Annotated[str, typer.Option(help="Whose PIN it is.")]


@app.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it, e.g. station.json.")],
    name: Name,
    pin_file: PinFile = None,
) -> None:
    """Make the station's key, or give a further person a PIN of their own for the one that is there."""
    held = read_station_key(file) if file.exists() else StationKey(SigningKey(system_entropy(32)), b"", ())
    others = tuple(one for one in held.pins if one.name != name)
    made = StationKey(held.key, held.mandate, (*others, _pin(name, pin_file)))
    write_whole(file, made.to_text().encode(), 0o600)
    typer.echo(f"station key {made.key.key_id.hex()}  public key {made.key.public_key.hex()}")
    typer.echo(f"PINs: {', '.join(plain(one.name) for one in made.pins)}")


@app.command()
def mandate(  # noqa: PLR0917  the command's options
    holder: Annotated[str, typer.Argument(help="The station, as people call it.")],
    area: Annotated[str, typer.Option(help="Its commune, e.g. quang-ninh/co-to.")],
    public: Annotated[str, typer.Option(help="The station's public key in hex.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Write the mandate here.")],
    drill: Drill = False,
    days: Days = 365,
    directory: DirOption = Path("keys"),
    root: RootFiles = None,
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Have roots that are at hand sign what the station may do. They revoke it by its id: `loa keys revoke`."""
    signed = station_mandate(
        directory, holder=holder, public_key=hex_of(public, 32, "public"), area=AreaPath(area),
        kind=Kind.DRILL if drill else Kind.LIVE, days=days, now_ms=SystemClock().now_ms(), entropy=system_entropy,
        root_files=root or (), ask=asker(root or (), passphrase_file),
    )  # fmt: skip
    write_whole(out, signed, 0o644)
    typer.echo(_words(signed))


@app.command()
def take(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The station's key file.")],
    signed: Annotated[Path, typer.Argument(metavar="MANDATE", help="What the roots signed.")],
) -> None:
    """Put the mandate into the station's key file."""
    held, payload = read_station_key(file), read_bytes(signed)
    try:
        one = read_mandate(payload)
    except WireRefusal as refusal:
        raise Refused("bad_key_file", field="mandate", limit="a mandate", detail=refusal.detail) from refusal
    if key_id(one.public_key) != held.key.key_id:
        raise Refused("bad_key_file", field="mandate", limit="a mandate", detail="it is for another key")
    write_whole(file, StationKey(held.key, payload, held.pins).to_text().encode(), 0o600)
    typer.echo(_words(payload))


def _words(payload: bytes) -> str:
    one = read_mandate(payload)
    drill = "DRILL ONLY (chỉ diễn tập)" if one.kind is Kind.DRILL else "live"
    return f"mandate {one.id.hex()}  {plain(one.holder)}  {one.area}  {drill}  until {minute(one.until)}"


def _pin(name: str, file: Path | None) -> Pin:
    if file is not None:
        digits = read_bytes(file).decode("ascii", "replace").split("\n", 1)[0].strip()
    else:
        digits = typer.prompt(f"PIN of {name}", hide_input=True, confirmation_prompt=True, err=True)
    try:
        return Pin.of(name, digits, system_entropy)
    except ValueError as error:
        raise Refused("bad_value", field="pin", limit=f"{SHORTEST}–{LONGEST}", reason="not so many digits") from error
