"""`loa say`: broadcast at once."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from loa.cli.bulletins import add_recording, form_of
from loa.cli.client import Json, Server, find, local, minutes, show
from loa.cli.coverage import follow, summary
from loa.errors import Refused

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_ID = re.compile(r"[0-9a-f]{4,32}\Z")


@app.command(
    help="""Say an approved bulletin at once.

\b
loa say 5d6c --to quang-ninh/co-to --to quang-ninh/hong-gai --priority
loa say 5d6c --node co-to-1 --wait                    until every loudspeaker has signed for its end
loa say warning.mp3 --to quang-ninh/co-to             uploads it as a draft, and says who may go on

What is said was approved by somebody other than its author, and you give a code that is at most five minutes old.

Prints the broadcast's id: `loa broadcast recall ID` takes it back, `loa coverage ID` shows who heard it."""
)
def say(  # noqa: PLR0917 - options, all of them given by name
    what: Annotated[str, typer.Argument(metavar="FILE|BULLETIN", help="A file, or a bulletin's id or its beginning.")],
    to: Annotated[list[str] | None, typer.Option(metavar="AREA", help="Who is to hear it; may be repeated.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="Single nodes; may be repeated.")] = None,
    priority: Annotated[bool, typer.Option("--priority", help="Interrupts an ordinary broadcast.")] = False,
    volume: Annotated[int | None, typer.Option(min=0, max=100, help="For this broadcast only.")] = None,
    title: Annotated[str | None, typer.Option(help="Of a file; its name unless given.")] = None,
    chime: Annotated[bool, typer.Option("--chime/--no-chime", help="Chimes around a file.")] = True,
    accept_part: Annotated[bool, typer.Option("--accept-part", help="The part that plays of a damaged file.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end, and show who heard it.")] = False,
    as_json: Json = False,
) -> None:
    if not to and not node:
        raise Refused("empty_target", field="--to")
    server = Server.known()
    bulletin = _bulletin(server, what, title, to[0] if to else None, chime=chime, accept_part=accept_part)
    issued = server.ask(
        "POST",
        "/broadcasts",
        sounds=True,
        body={
            "bulletins": [bulletin["id"]],
            "target_areas": to or [],
            "target_nodes": node or [],
            "precedence": "priority" if priority else "ordinary",
            "volume": volume,
        },
    )
    if not wait:
        show(issued, as_json, lambda: _said(issued))
        return
    if not as_json:
        _said(issued)
    coverage = follow(server, issued)
    show(coverage, as_json, lambda: typer.echo(summary(coverage)))


def _said(issued: Any) -> None:
    typer.echo(
        f"{issued['id']}  {issued['title']}  starts {local(issued['start_at'])}, {minutes(issued['duration_ms'])} long"
    )


def _bulletin(server: Server, what: str, title: str | None, area: str | None, *, chime: bool, accept_part: bool) -> Any:
    path = Path(what)
    if not path.exists():
        if _ID.match(what) is None:
            raise Refused("no_such_file", field="FILE", value=what)
        return find(server, "/bulletins", what, "bulletin")
    home = area or server.ask("GET", "/areas")["items"][0]["path"]
    fields = form_of(title or path.stem, home, "vi", chime=chime, accept_part=accept_part)
    draft = add_recording(server, path, fields)
    typer.echo(f"{draft['id']}  {draft['title']}  draft; somebody else runs: loa bulletin approve {draft['id'][:8]}")
    raise Refused("second_person_required", field="bulletin", limit=2, value=draft["title"])
