"""`loa bulletin`: recordings that become bulletins."""

from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, wrap_file

from loa.cli.client import Json, Server, find, local, minutes, print_table, problem_error, segment, show, verbs
from loa.errors import Refused

app = verbs(
    """Bulletins: add a recording, hear it, approve it.

\b
loa bulletin add cat-dien.mp3 --title "Lịch cắt điện" --area quang-ninh/co-to
loa bulletin hear 5d6c -o hear.ogg         any player plays it; the beginning of an id is enough
loa bulletin approve 5d6c                  somebody else's: nobody approves their own"""
)


def add_recording(server: Server, file: Path, fields: dict[str, str]) -> Any:
    """Upload and import a recording with a bar; the bulletin. Raises what the import was refused for."""
    try:
        source = file.open("rb")
    except OSError as error:
        raise Refused("no_such_file", field="file", value=str(file)) from error
    console = Console(stderr=True)
    with source:
        item = _upload(server, console, source, file, fields)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        line = bar.add_task(item["stage"], total=1.0)
        while item["status"] == "running":
            bar.update(line, description=item["stage"], completed=item["progress"])
            item = server.ask("GET", f"/imports/{item['id']}", query={"wait": 1})
    if item["problem"] is not None:
        raise problem_error(item["problem"], item["problem"]["status"])
    return server.ask("GET", f"/bulletins/{item['bulletin']}")


def _upload(server: Server, console: Console, source: BinaryIO, file: Path, fields: dict[str, str]) -> Any:
    length = file.stat().st_size
    with wrap_file(source, length, description="uploading", console=console, transient=True) as watched:
        return server.upload("/bulletins", fields, file.name, watched)


def _approved(server: Server, bulletin: Any) -> Any:
    return server.ask("POST", f"/bulletins/{bulletin['id']}/approve", body={"content_hash": bulletin["content_hash"]})


def form_of(title: str, area: str, language: str, *, chime: bool, accept_part: bool) -> dict[str, str]:
    """The fields that go with a recording."""
    return {
        "title": title,
        "area": area,
        "language": language,
        "chime": str(chime).lower(),
        "accept_part": str(accept_part).lower(),
    }


def _line(item: Any) -> tuple[object, ...]:
    return (
        item["id"][:12], item["title"], item["area"], item["status"], minutes(item["duration_ms"]), item["author"],
        item["approved_by"], local(item["created_at"]),
    )  # fmt: skip


_COLUMNS = ("ID", "TITLE", "AREA", "STATUS", "LENGTH", "BY", "APPROVED BY", "MADE")


@app.command()
def add(  # noqa: PLR0917 - options, all of them given by name
    file: Annotated[Path, typer.Argument(help="MP3, M4A, WAV, OGG, FLAC, AMR, 3GP.")],
    title: Annotated[str, typer.Option(help="What it is called.")],
    area: Annotated[str, typer.Option(help="Whose bulletin it is.")],
    chime: Annotated[bool, typer.Option("--chime/--no-chime", help="Chimes before and after.")] = True,
    accept_part: Annotated[
        bool, typer.Option("--accept-part", help="Take the part that plays of a damaged file.")
    ] = False,
    language: Annotated[str, typer.Option(help="BCP 47, e.g. vi, dao.")] = "vi",
    as_json: Json = False,
) -> None:
    """Upload a recording; it is levelled, trimmed and encoded at the centre. Somebody else approves it."""
    server = Server.known()
    item = add_recording(server, file, form_of(title, area, language, chime=chime, accept_part=accept_part))

    def plain() -> None:
        typer.echo(f"{item['id']}  {item['title']}  {minutes(item['duration_ms'])}  {item['status']}")
        if item["note"]:
            typer.echo(item["note"])

    show(item, as_json, plain)


@app.command("list")
def list_(area: Annotated[str | None, typer.Option(help="Only of this place.")] = None, as_json: Json = False) -> None:
    """The newest first."""
    items = Server.known().pages("/bulletins", {"area": area})
    show(items, as_json, lambda: print_table(_COLUMNS, [_line(item) for item in items], none="No bulletins yet."))


@app.command("show")
def show_one(bulletin: str, as_json: Json = False) -> None:
    """One bulletin."""
    item = find(Server.known(), "/bulletins", bulletin, "bulletin")
    show(item, as_json, lambda: print_table(_COLUMNS, [_line(item)], none=""))


@app.command()
def approve(bulletin: str, as_json: Json = False) -> None:
    """Approve what you heard of somebody else's. Content that changed since is not approved."""
    server = Server.known()
    item = _approved(server, find(server, "/bulletins", bulletin, "bulletin"))
    show(item, as_json, lambda: typer.echo(f"{item['id']}  {item['title']}  approved by {item['approved_by']}"))


@app.command()
def withdraw(bulletin: str, as_json: Json = False) -> None:
    """Take a bulletin out of every coming broadcast."""
    server = Server.known()
    found = find(server, "/bulletins", bulletin, "bulletin")
    item = server.ask("POST", f"/bulletins/{segment(found['id'])}/withdraw", sounds=True)
    show(item, as_json, lambda: typer.echo(f"{item['id']}  {item['title']}  withdrawn"))


@app.command()
def hear(
    bulletin: str,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it (Ogg Opus).")],
) -> None:
    """Get the sound as the loudspeakers get it."""
    server = Server.known()
    found = find(server, "/bulletins", bulletin, "bulletin")
    server.download(found["renditions"][0]["audio"], output)
    typer.echo(str(output))
