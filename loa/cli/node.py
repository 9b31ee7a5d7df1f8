"""`loa node`: run a loudspeaker box. Imports what a box has, and nothing of the centre."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from devices.node.box import enrol_box, read_identity, run_box
from devices.node.boxfile import EXAMPLE, BoxConfig, complete, over, read_box_file
from devices.node.enrolled import reset, with_enrolled

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.callback(
    invoke_without_command=True,
    help="""Run a loudspeaker box: it stores audio, verifies orders, keeps the timetable and plays.

\b
loa node --enrol "LOA1+HTTPS://…" --data box      make a new box known by its label, then run it
loa node --data box                              run it again: it knows who it is
loa node --example > node.toml                   a configuration with comments; then
loa node --config node.toml --check              try it, and
loa node --config node.toml                      run it
loa node reset --data box                        forget who it is, to be enrolled anew

What is given on the command line goes before the file. A box with a label shows six digits: the technician compares
them with those at the centre (`loa nodes pending`) and confirms. The box is silent until the centre has told it where
it is and what time it is; from then on it plays its timetable by itself, also while the link or the centre is away.
SIGTERM or Ctrl-C stop it in order: silence at once, and a receipt that says so.""",
)
def node(
    context: typer.Context,
    *,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="The box's file.")] = None,
    enrol: Annotated[
        str | None, typer.Option(metavar="LABEL", help="The label's text as scanned, or its code as typed.")
    ] = None,
    centre: Annotated[
        str | None, typer.Option(metavar="URL", help="https://host:port, where the code was typed.")
    ] = None,
    identity: Annotated[Path | None, typer.Option(metavar="FILE", help="An identity file, instead of a label.")] = None,
    broker: Annotated[str | None, typer.Option(metavar="URL", help="mqtt://host:1883 or mqtts://host:8883.")] = None,
    speaker: Annotated[str | None, typer.Option(metavar="HOW", help="sound, record:DIR or none.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the box keeps things.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print an example of the file, with comments.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read and check file and identity.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    if example:
        typer.echo(EXAMPLE, nl=False)
        return
    base = read_box_file(config) if config is not None else BoxConfig()
    base = over(base, enrol=enrol, centre=centre, identity=identity, broker=broker, speaker=speaker, data=data)
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if base.enrol is not None and base.data is not None and base.identity is None and not check:
        typer.echo(f"this box is {asyncio.run(enrol_box(base, _show_code))}")
    whole = complete(with_enrolled(base))
    assert whole.identity is not None
    if check:
        box = read_identity(whole.identity)
        typer.echo(f"{box.node}: key {box.key.key_id.hex()}, by {whole.broker or whole.bus}, speaker {whole.speaker}")
        return
    asyncio.run(run_box(whole))


def _show_code(code: str) -> None:
    typer.echo(f"comparison code  {code}\nConfirm this box at the centre if it shows the same: `loa nodes pending`")
    logging.getLogger("loa.node").info("comparison code %s", code)


@app.command("reset")
def forget(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where the box keeps things.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget who this box is: its key, its label, its timetable, its journal. It needs a new label afterwards."""
    if not yes:
        typer.confirm(f"Forget who the box in {data} is?", abort=True)
    typer.echo(f"{reset(data)} is forgotten; enrol the box with a new label")
