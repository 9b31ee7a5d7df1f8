"""`loa nodes label`, `pending`, `confirm` and what else belongs to enrolment; `loa.cli.nodes` takes them in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from loa.cli.client import Json, Server, local, print_table, segment, show
from loa.cli.label_sheet import pdf_sheets, printed, svg_files, svg_sheets, terminal_code
from loa.cli.secret_files import reserved
from loa.errors import Refused

_COLUMNS = ("ID", "LABEL", "CODE", "FROM", "SINCE", "STATE", "NODE")
Either = Annotated[str, typer.Argument(help="The enrolment's id, or its label's.")]
Code = Annotated[
    str, typer.Option(prompt="The six digits that the box shows", help="The six digits that the box shows.")
]


def label(  # noqa: PLR0917 - options, all of them given by name
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=500, help="How many.")] = 1,
    days: Annotated[int, typer.Option(min=1, max=365, help="How long they can be used.")] = 90,
    pdf: Annotated[Path | None, typer.Option(metavar="FILE", help="Sheets of A4 to print.")] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="The same as SVG, one file a page.")] = None,
    address: Annotated[str, typer.Option(help="The centre as boxes reach it, https://host:port.")] = "",
    as_json: Json = False,
) -> None:
    """Make labels for boxes, each with a one-time secret. Keep them like keys until they are used.

    \b
    loa nodes label -n 20 --pdf labels.pdf      two by seven on a sheet
    loa nodes label                             one, on the screen
    """
    pictures = svg_files(svg, count)
    with reserved(pdf, *pictures):
        body = {"count": count, "days": days, "address": address}
        items = Server.known().ask("POST", "/labels", body=body)["items"]
        sheets = [printed(item["id"], item["text"], item["code"]) for item in items]
        if pdf is not None:
            pdf.write_bytes(pdf_sheets(sheets))
        for path, page in zip(pictures, svg_sheets(sheets), strict=False):
            path.write_text(page)

    def plain() -> None:
        if pdf is not None or svg is not None:
            typer.echo(f"{len(items)} labels in {', '.join(str(path) for path in (pdf, svg) if path is not None)}")
            return
        for item in items:
            typer.echo(f"{terminal_code(item['text'])}\n{item['text']}\n{item['code']}\n")

    show(items, as_json, plain)


def labels(
    used: Annotated[bool, typer.Option("--all", help="Used, revoked and expired ones too.")] = False,
    as_json: Json = False,
) -> None:
    """Labels that were made; never their secrets."""
    items = Server.known().ask("GET", "/labels", query={"used": used})["items"]
    rows = [(item["id"], item["state"], item["created_by"], local(item["expires_at"])) for item in items]
    show(items, as_json, lambda: print_table(("LABEL", "STATE", "MADE BY", "UNTIL"), rows, none="No labels."))


def revoke_label(name: Annotated[str, typer.Argument(help="The label's id.")], as_json: Json = False) -> None:
    """A label was lost: no box can use it any more."""
    item = Server.known().ask("POST", f"/labels/{segment(name.upper())}/revoke")
    show(item, as_json, lambda: typer.echo(f"{item['id']} is revoked"))


def pending(
    decided: Annotated[bool, typer.Option("--all", help="Those that were decided too.")] = False, as_json: Json = False
) -> None:
    """Boxes that showed a label and wait for a technician."""
    items = Server.known().ask("GET", "/enrolments", query={"decided": decided})["items"]
    rows = [
        (
            item["id"][:8],
            item["label"],
            item["code"],
            item["origin"],
            local(item["begun_at"]),
            item["state"],
            item["node"],
        )
        for item in items
    ]
    show(items, as_json, lambda: print_table(_COLUMNS, rows, none="No box waits."))


def confirm(  # noqa: PLR0917 - options, all of them given by name
    enrolment: Either,
    name: Annotated[str, typer.Option(help="The node's name: 1 to 32 of a-z, 0-9 and hyphens.")],
    area: Annotated[str, typer.Option(help="Where it stands.")],
    code: Code,
    description: Annotated[str, typer.Option(help="Which pole, which house.")] = "",
    station: Annotated[str | None, typer.Option(help="Of a wired node.")] = None,
    bus_address: Annotated[int, typer.Option(help="On the station's bus, 1 to 254.")] = 0,
    as_json: Json = False,
) -> None:
    """The box shows the same six digits: make it a node.

    \b
    loa nodes confirm 0G4A9TRM --name co-to-1 --area quang-ninh/co-to
    """
    body = {"name": name, "area": area, "description": description, "station": station, "bus_address": bus_address}
    _confirm(enrolment, body | {"code": code}, as_json, f"{name} is enrolled at {area}")


def replace(
    name: Annotated[str, typer.Argument(help="The node whose box is replaced.")],
    label: Annotated[str, typer.Option(help="The new box's label.")],
    code: Code,
    as_json: Json = False,
) -> None:
    """Another box takes a node's place. Name, place and history stay; the old box is believed no more.

    \b
    loa nodes replace co-to-1 --label 0G4A9TRM
    """
    _confirm(label, {"replaces": name, "code": code}, as_json, f"{name} has a new box")


def reject(enrolment: Either, as_json: Json = False) -> None:
    """The digits differ, or nobody knows this box: it stays out, and its label has served."""
    server = Server.known()
    item = server.ask("POST", f"/enrolments/{segment(_whole(server, enrolment))}/rejection")
    show(item, as_json, lambda: typer.echo(f"{item['label']} is rejected"))


def password(
    name: Annotated[str, typer.Argument(help="A node, or with --station a station.")],
    station: Annotated[bool, typer.Option("--station", help="The name is a station's.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there, not on the screen.")] = None,
    as_json: Json = False,
) -> None:
    """A fresh password at the broker, for a station or for a box that has no label. The old one ends at once."""
    kind = "stations" if station else "nodes"
    with reserved(out):
        item = Server.known().ask("POST", f"/{kind}/{segment(name)}/broker-password")
        if out is not None:
            out.write_text(item["password"] + "\n")
    where = item["password"] if out is None else f"password in {out}"
    show(item, as_json, lambda: typer.echo(f"username {item['username']}  {where}"))


def add_to(app: typer.Typer) -> None:
    """The commands, under `loa nodes`."""
    for command in (label, labels, pending, confirm, reject, replace, password):
        app.command()(command)
    app.command("revoke-label")(revoke_label)


def _confirm(enrolment: str, body: Mapping[str, object], as_json: bool, said: str) -> None:
    server = Server.known()
    item = server.ask("POST", f"/enrolments/{segment(_whole(server, enrolment))}/confirmation", body=body)
    show(item, as_json, lambda: typer.echo(said))


def _whole(server: Server, given: str) -> str:
    """A label's id as it stands, an enrolment's from its beginning. Raises Refused(not_found, bad_argument)."""
    known = server.ask("GET", "/enrolments", query={"decided": True})["items"]
    found = [
        str(item["id"]) for item in known if item["label"] == given.upper() or str(item["id"]).startswith(given.lower())
    ]
    if not found or not given:
        raise Refused("not_found", field="enrolment", value=given)
    if len(found) > 1:
        raise Refused("bad_argument", field="enrolment", reason=f"{given} begins {len(found)} ids; give more of it")
    return found[0]
