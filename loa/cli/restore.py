"""`loa restore`: a backup into an empty folder."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from controller.backup.archive import Unpacked
from controller.backup.making import look_into, restore

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    "restore",
    help="""Restore a centre from a backup, into an empty or new folder. What is there is never touched.

\b
loa restore loa.age --key backup.key --dry-run           read and check all of it, show what is in it
loa restore loa.age --key backup.key --data /var/lib/loa
loa restore loa.age --key backup.key --data /var/lib/loa --database postgresql://loa:secret@host/loa

Afterwards start the centre as before. It says in its record that it goes on from this backup; nodes obey it, and send
again the receipts that it does not hold. What was issued after the backup and has sounded is told as `unknown`.""",
)
def restore_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `loa backup` wrote it.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="The private key, as `loa backup-key new` wrote it.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The centre's new data folder.")] = None,
    database: Annotated[
        str, typer.Option(help="An empty PostgreSQL database for the tables.", show_default=False)
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; show what is in it.")] = False,
) -> None:
    if dry_run or data is None:
        found = look_into(file, key)
        for one in found.files:
            typer.echo(f"{one.size:>12}  {one.name}")
        _say(file, found)
        typer.echo("It is whole. To restore it: --data DIR" if data is None else "It is whole. Nothing was written.")
        return
    found = restore(file, key=key, data=data, database_url=database)
    _say(file, found)
    typer.echo(f"Restored into {data}. Now start the centre on it: loa serve --data {data}")


def _say(file: Path, found: Unpacked) -> None:
    heading = found.heading
    made = datetime.fromtimestamp(heading.made_at / 1000, UTC)
    typer.echo(f"{file}: made {made:%Y-%m-%d %H:%M:%S} UTC, province {heading.province}, tables {heading.revision}")
    typer.echo(f"{len(found.files)} files, {sum(one.size for one in found.files)} bytes")
    if heading.record:
        typer.echo(f"The record's head then: {heading.record}")
