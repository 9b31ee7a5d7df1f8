"""`loa node`: run a loudspeaker box. Imports what a box has, and nothing of the centre."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from devices.node.box import read_identity, run_box
from devices.node.boxfile import EXAMPLE, BoxConfig, complete, read_box_file

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    help="""Run a loudspeaker box: it stores audio, verifies orders, keeps the timetable and plays.

\b
loa node --example > node.toml            a configuration with comments; then
loa node --config node.toml --check       try it, and
loa node --config node.toml               run it
loa node --identity co-to-01.json --broker mqtt://centre:1883 --speaker record:heard --data box

What is given on the command line goes before the file. The box is silent until the centre has told it where it is
and what time it is; from then on it plays its timetable by itself, also while the link or the centre is away. SIGTERM
or Ctrl-C stop it in order: silence at once, and a receipt that says so."""
)
def node(
    *,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="The box's file.")] = None,
    identity: Annotated[Path | None, typer.Option(metavar="FILE", help="The identity file from enrolment.")] = None,
    broker: Annotated[str | None, typer.Option(metavar="URL", help="mqtt://host:1883 or mqtts://host:8883.")] = None,
    speaker: Annotated[str | None, typer.Option(metavar="HOW", help="sound, record:DIR or none.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the box keeps things.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print an example of the file, with comments.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read and check file and identity.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
) -> None:
    if example:
        typer.echo(EXAMPLE, nl=False)
        return
    base = read_box_file(config) if config is not None else BoxConfig()
    whole = complete(base, identity=identity, broker=broker, speaker=speaker, data=data)
    assert whole.identity is not None
    if check:
        box = read_identity(whole.identity)
        typer.echo(f"{box.node}: key {box.key.key_id.hex()}, by {whole.broker or whole.bus}, speaker {whole.speaker}")
        return
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    asyncio.run(run_box(whole))
