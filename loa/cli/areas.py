"""`loa area`: places."""

from typing import Annotated

import typer

from loa.cli.client import Json, Server, print_table, show, verbs

app = verbs(
    """Areas: the province, its communes, their villages.

\b
loa area add quang-ninh/co-to "Cô Tô" --kind "đặc khu"
loa area add quang-ninh/co-to/thon-1 "Thôn 1" --kind thôn
loa area list
loa area move quang-ninh/co-to/thon-1 --to quang-ninh/van-don/thon-1 --dry-run"""
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
def add(
    path: Annotated[str, typer.Argument(help="province/commune or province/commune/village.")],
    name: Annotated[str, typer.Argument(help="As people write it.")],
    kind: Annotated[str, typer.Option(help="xã, phường, đặc khu, thôn, bản, khu.")] = "",
    as_json: Json = False,
) -> None:
    """Add a commune to the province, or a village to a commune."""
    item = Server.known().ask("POST", "/areas", body={"path": path, "name": name, "kind": kind})
    show(item, as_json, lambda: typer.echo(f"{item['path']}  {item['name']}"))


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
