"""`loa backup-key`: the key that backups are encrypted to."""

from pathlib import Path
from typing import Annotated

import typer

from controller.backup.sealing import new_key, read_key

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""The key of backups. Its private half never needs to be on the server.

\b
loa backup-key new backup.key      on a machine that is offline; prints the public half
loa backup-key show backup.key     prints the public half again

Keep the file at two places that do not burn down together: without it no backup can be read by anybody.""",
)


@app.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private half goes; never replaced.")],
) -> None:
    """Make a key pair; print the public half."""
    public = new_key(file)
    typer.echo(public)
    typer.echo(
        f"The private half is in {file}. Take it away from the server, twice; the public half goes there:", err=True
    )
    typer.echo(f"     echo {public} > /var/lib/loa/backup.recipient", err=True)


@app.command()
def show(file: Annotated[Path, typer.Argument(metavar="FILE", help="As `new` wrote it.")]) -> None:
    """Print the public half of a key."""
    typer.echo(str(read_key(file).to_public()))
