"""`loa nodes`: loudspeakers."""

import base64
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from devices.protocol.documents import Placement
from devices.protocol.envelope import decode, open_sealed
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey
from devices.protocol.refusal import WireRefusal
from devices.protocol.trust import RootSet
from loa.cli import enrolment
from loa.cli.client import Json, Server, local, print_table, segment, show, table
from loa.cli.secret_files import reserved
from loa.entropy import system_entropy
from loa.errors import Refused
from loa.names import node_id
from loa.units import InstantMs

app = typer.Typer(
    help="""Nodes: what every loudspeaker does.

\b
loa nodes                                  all of them
loa nodes --area quang-ninh/co-to --watch  and how they go on
loa nodes label -n 20 --pdf labels.pdf     labels for new boxes; then, for each box that shows one,
loa nodes pending                          compare its six digits, and
loa nodes confirm 0G4A9TRM --name co-to-1 --area quang-ninh/co-to
loa nodes replace co-to-1 --label 7TRM0G4A another box takes its place
loa nodes volume co-to-1 70
loa nodes test-tone co-to-1                a short quiet tone on this one alone""",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
)
_COLUMNS = ("NODE", "AREA", "STATE", "PLAYING", "VOLUME", "LINK", "CLOCK", "LAST HEARD")


def _row(item: Any) -> tuple[object, ...]:
    health = item["health"] or {}
    link, error = health.get("link_rate"), health.get("time_error_ms")
    return (
        item["id"],
        item["area"],
        "contested" if item.get("contested") else "muted" if health.get("muted") else item["state"],
        (health.get("playing") or "")[:8],
        health.get("volume", item["volume"]),
        "" if link is None else f"{link / 1000:.0f} kB/s",
        "" if error is None else f"±{error} ms",
        local(item["last_heard_at"]),
    )


@app.callback()
def nodes(
    context: typer.Context,
    area: Annotated[str | None, typer.Option(help="Only those in this place.")] = None,
    retired: Annotated[bool, typer.Option("--retired", help="Retired ones too.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    server = Server.known()

    def items() -> list[Any]:
        found: list[Any] = server.ask("GET", "/nodes", query={"area": area, "retired": retired})["items"]
        return found

    if not watch:
        found = items()
        rows = [_row(item) for item in found]
        show(found, as_json, lambda: print_table(_COLUMNS, rows, none="No nodes yet: `loa nodes enrol` makes one."))
        return
    with Live(table(_COLUMNS, [_row(item) for item in items()]), console=Console(), auto_refresh=False) as live:
        try:
            for kind, _ in server.events():
                if kind in ("node", "air", "resync"):
                    live.update(table(_COLUMNS, [_row(item) for item in items()]), refresh=True)
        except KeyboardInterrupt:
            return


@app.command()
def enrol(  # noqa: PLR0917 - options, all of them given by name
    name: Annotated[str, typer.Argument(help="1 to 32 of a-z, 0-9 and hyphens.")],
    area: Annotated[str, typer.Option(help="Where it stands.")],
    identity_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Make its key here and write the box's identity file.")
    ] = None,
    public_key: Annotated[str | None, typer.Option(metavar="HEX", help="Of a box that made its own key.")] = None,
    description: Annotated[str, typer.Option(help="Which pole, which house.")] = "",
    station: Annotated[str | None, typer.Option(help="Of a wired node.")] = None,
    bus_address: Annotated[int, typer.Option(help="On the station's bus, 1 to 254.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a box without a label known. Take the identity file to the box, then delete it here.

    With a label (`loa nodes label`) the box makes its own key, which then never travels.
    """
    if (identity_out is None) == (public_key is None):
        raise Refused("bad_argument", field="--identity-out", reason="give either this or --public-key")
    key = SigningKey(system_entropy(32))
    body = {
        "id": name, "area": area, "public_key": public_key or key.public_key.hex(), "description": description,
        "station": station, "bus_address": bus_address,
    }  # fmt: skip
    with reserved(identity_out):
        reply = Server.known().ask("POST", "/nodes", body=body)
        if identity_out is not None:
            roots = decode(bytes.fromhex(reply["roots"]))
            if not isinstance(roots, RootSet):
                raise Refused("server_unintelligible", field="roots", value="the server")
            identity_out.write_text(NodeIdentity(node_id(name), key, roots, _placed_at(reply)).to_text())
    where = f"; identity in {identity_out}" if identity_out is not None else ""
    show(reply, as_json, lambda: typer.echo(f"{name} is enrolled at {area}{where}"))


def _placed_at(reply: Any) -> InstantMs:
    """When the centre says that it is, from the placement. Raises Refused(server_unintelligible)."""
    try:
        placement = open_sealed(base64.b64decode(str(reply["placement"]))).message
    except (KeyError, ValueError, WireRefusal) as error:
        raise Refused("server_unintelligible", field="placement", value="the server") from error
    return placement.issued_at if isinstance(placement, Placement) else InstantMs(0)


enrolment.add_to(app)


@app.command("show")
def show_node(name: Annotated[str, typer.Argument(help="The node.")], as_json: Json = False) -> None:
    """Everything known of one node."""
    item = Server.known().ask("GET", f"/nodes/{segment(name)}")
    show(item, as_json, lambda: print_table(_COLUMNS, [_row(item)], none=""))


@app.command()
def move(name: str, area: Annotated[str, typer.Argument(help="Where it stands now.")], as_json: Json = False) -> None:
    """Sign a new place for a node."""
    reply = Server.known().ask("POST", f"/nodes/{segment(name)}/move", body={"area": area})
    show(reply, as_json, lambda: typer.echo(f"{name} is at {area}"))


@app.command()
def retire(name: str, as_json: Json = False) -> None:
    """A node counts no more; what it reported stays."""
    reply = Server.known().ask("POST", f"/nodes/{segment(name)}/retire")
    show(reply, as_json, lambda: typer.echo(f"{name} is retired"))


@app.command()
def volume(
    name: str, volume: Annotated[int, typer.Argument(min=0, max=100, help="0 to 100.")], as_json: Json = False
) -> None:
    """Set a node's volume from now on."""
    reply = Server.known().ask("POST", f"/nodes/{segment(name)}/volume", body={"volume": volume}, sounds=True)
    show(reply, as_json, lambda: typer.echo(f"{name} is told: volume {volume}"))


@app.command("test-tone")
def sound_test_tone(
    name: str,
    volume: Annotated[int, typer.Option(min=0, max=100, help="Quiet unless told otherwise.")] = 30,
    as_json: Json = False,
) -> None:
    """A short tone on one loudspeaker, quiet enough not to wake the village."""
    reply = Server.known().ask("POST", f"/nodes/{segment(name)}/test-tone", body={"volume": volume}, sounds=True)
    show(reply, as_json, lambda: typer.echo(f"{name} is told: test tone at volume {volume}"))
