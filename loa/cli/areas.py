"""`loa area`: places."""

import json
from pathlib import Path
from typing import Annotated

import typer

from loa.cli.client import Json, Server, print_table, show, verbs
from loa.errors import Refused

app = verbs(
    """Areas: the province, its communes, their villages.

\b
loa area add quang-ninh/co-to "Cô Tô" --kind "đặc khu"
loa area add quang-ninh/co-to/thon-1 "Thôn 1" --kind thôn
loa area move quang-ninh/co-to/thon-1 --to quang-ninh/van-don/thon-1 --dry-run
loa area import quang-ninh.geojson --dry-run     says what would be done
loa area import quang-ninh.geojson
loa area list

A GeoJSON file is a FeatureCollection; each feature's properties name its path, and may give name, kind, population and
languages (a list, BCP 47). All of it is taken, or nothing."""
)


@app.command("list")
def list_(
    within: Annotated[str | None, typer.Argument(help="Only this place and what lies in it.")] = None,
    as_json: Json = False,
) -> None:
    """All areas, or those of one place."""
    items = Server.known().ask("GET", "/areas", query={"within": within})["items"]
    rows = [(item["path"], "  " * item["path"].count("/") + item["name"], item["kind"]) for item in items]
    show(items, as_json, lambda: print_table(("PATH", "NAME", "KIND"), rows, none="No areas yet."))


@app.command()
def add(  # noqa: PLR0917 - options, all of them given by name
    path: Annotated[str, typer.Argument(help="province/commune or province/commune/village.")],
    name: Annotated[str, typer.Argument(help="As people write it.")],
    kind: Annotated[str, typer.Option(help="xã, phường, đặc khu, thôn, bản, khu.")] = "",
    population: Annotated[int | None, typer.Option(min=0, help="How many people live there.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Spoken there, BCP 47; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Add a commune to the province, or a village to a commune."""
    body = {"path": path, "name": name, "kind": kind, "population": population, "languages": language or []}
    item = Server.known().ask("POST", "/areas", body=body)
    show(item, as_json, lambda: typer.echo(f"{item['path']}  {item['name']}"))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="GeoJSON, a FeatureCollection in WGS 84.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it and say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Add and change areas from one GeoJSON file."""
    try:
        body = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise Refused("no_such_file", field="FILE", value=str(file)) from error
    except ValueError as error:
        raise Refused("bad_json", field="FILE") from error
    done = Server.known().ask("POST", "/areas/import", query={"dry_run": str(dry_run).lower()}, body=body)

    def plain() -> None:
        for what in ("added", "changed", "unchanged"):
            typer.echo(f"{what} {len(done[what])}" + (": " + ", ".join(done[what]) if what != "unchanged" else ""))
        if dry_run:
            typer.echo("Nothing was kept: a dry run.")

    show(done, as_json, plain)


@app.command()
def move(
    path: Annotated[str, typer.Argument(help="The commune or village.")],
    to: Annotated[str, typer.Option(help="Its new path.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: Json = False,
) -> None:
    """A boundary changed: a place becomes another with all that is in it. Look at it with --dry-run first."""
    reply = Server.known().ask("POST", f"/areas/{path}/move", body={"to": to, "dry_run": dry_run})

    def plain() -> None:
        typer.echo("It would change:" if dry_run else "Changed:")
        for item in reply["areas"]:
            typer.echo(f"  {item['path']}  becomes  {item['to']}")
        typer.echo(f"  {len(reply['nodes'])} nodes are placed anew: {', '.join(reply['nodes']) or 'none'}")
        typer.echo(f"  {len(reply['stations'])} stations, {reply['bulletins']} bulletins move along")
        for item in reply["programmes"]:
            typer.echo(f"  programme {item['title']!r} is {item['fate']}: {item['area']} {item['target_areas'] or ''}")
        typer.echo("People's posts and the roots' appointments stay as they are: change them yourself.")

    show(reply, as_json, plain)
