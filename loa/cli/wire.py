"""`loa wire`: read what is on the wire."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from controller import keyfiles
from devices.protocol.keys import key_id
from devices.protocol.readable import readable
from devices.protocol.refusal import WireRefusal
from loa.errors import LoaError, Refused
from loa.units import KeyId

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Read what is on the wire.",
)


@app.callback()
def _group() -> None:
    """Keeps `decode` a verb of its own."""


@app.command()
def decode(
    source: Annotated[str, typer.Argument(metavar="[FILE|HEX|-]", help="A file, hex digits, or - for stdin.")] = "-",
    keys: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder of `loa keys`, to check under.")] = None,
    public: Annotated[list[str] | None, typer.Option(metavar="HEX", help="A public key to check under.")] = None,
) -> None:
    """Print a payload as text: its type, every field, and whether its signature holds.

    \b
    loa wire decode d28452a2… --public 3707fb…
    mosquitto_sub -t 'loa/1/a/quang-ninh/trust' -C 1 -N | loa wire decode --keys keys

    Exit code 1: not a message of this wire (`malformed`), or a signature that does not hold.
    """
    known = _known_keys(keys, public or [])
    try:
        result = readable(_payload(source), known)
    except WireRefusal as refusal:
        typer.echo(str(refusal), err=True)
        raise typer.Exit(1) from None
    typer.echo(str(result))
    if not result.sound:
        raise typer.Exit(1)


def _payload(source: str) -> bytes:
    """Raw bytes, or what hex digits stand for. Raises Refused(no_such_file)."""
    if source == "-":
        data = sys.stdin.buffer.read()
    elif _is_file(source):
        data = Path(source).read_bytes()
    elif "/" in source or "." in source:
        raise Refused("no_such_file", field="FILE", value=source[:200])
    else:
        data = source.encode()
    try:
        return bytes.fromhex(data.decode("ascii"))
    except ValueError:
        return data


def _is_file(source: str) -> bool:
    try:
        return Path(source).is_file()
    except (OSError, ValueError):  # too long for a name: hex
        return False


def _known_keys(directory: Path | None, public: list[str]) -> dict[KeyId, tuple[str, bytes]]:
    known: dict[KeyId, tuple[str, bytes]] = {}
    for text in public:
        try:
            public_key = bytes.fromhex(text)
        except ValueError:
            public_key = b""
        if len(public_key) != 32:
            raise Refused("bad_hex", field="public", limit=32, value=text[:80])
        known[key_id(public_key)] = ("the key given", public_key)
    if directory is not None:
        _add_directory(known, directory)
    return known


def _add_directory(known: dict[KeyId, tuple[str, bytes]], directory: Path) -> None:
    centre = keyfiles.load_centre(directory)
    for root in centre.roots.roots:
        known[key_id(root.public_key)] = ("a sealed root" if root.sealed else "a root", root.public_key)
    for one in keyfiles.read_appointments(centre.appointments):
        known[key_id(one.public_key)] = (f"{one.holder}, appointed {one.id.hex()}", one.public_key)
    for path in sorted((directory / "nodes").glob("*.json")):
        try:
            identity = keyfiles.read_node(path)
        except LoaError:
            continue  # one spoiled file must not keep us from reading
        known[identity.key.key_id] = (f"node {identity.node}", identity.key.public_key)
