"""`loa backup`: everything of a centre into one encrypted file, while it runs."""

import asyncio
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from controller.backup.making import RECIPIENT, Made, make_backup
from controller.backup.sealing import check_recipient
from controller.config import CentreConfig, load_config
from loa.clock import Clock, SystemClock
from loa.entropy import system_entropy
from loa.errors import LoaError, Refused
from loa.problems import explain

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_UNITS = {"m": 60, "h": 3600, "d": 86_400}
_AGAIN_S = 600


@app.command(
    help="""Back up a centre while it runs: tables, recordings, keys (the roots' private ones apart), settings.

\b
loa backup-key new backup.key                    once, on a machine that is offline; it prints the public half
loa backup --to /backup/loa.age --recipient age1…
loa backup --to /backup --every 24h --keep 14    until Ctrl-C; or by deploy/loa-backup.timer

The file is encrypted to the public key: this server cannot read it, nor can whoever takes the server. Without
--recipient, backup.recipient in the data folder names the key. It has its name only once it is whole.
See also: loa restore --help"""
)
def backup(  # noqa: PLR0917 - options, all of them given by name
    to: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to; with --every a folder, and files get their own names.")
    ],
    recipient: Annotated[
        list[str] | None, typer.Option(metavar="PUBLIC_KEY", help="age1…, or a file that holds it; repeat for several.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The centre's data folder [default: loa-data].", show_default=False)
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="postgresql://… [default: SQLite in the data folder].", show_default=False)
    ] = None,
    every: Annotated[str | None, typer.Option(help="Again and again: 30m, 24h, 7d.")] = None,
    keep: Annotated[int, typer.Option(min=1, help="With --every: how many of the newest stay.")] = 14,
) -> None:
    config = load_config(data=data, database=database)
    recipients = recipients_of(config, recipient or [])
    if every is None:
        told(once(config, to / name_now(config) if to.is_dir() else to, recipients))
        return
    pause_s = seconds_of(every)
    to.mkdir(parents=True, exist_ok=True)
    go_on(config, to, recipients, pause_s=pause_s, keep=keep)


def recipients_of(config: CentreConfig, given: list[str]) -> list[str]:
    """As given, or as the data folder has it. Raises Refused(recipient_missing, bad_recipient)."""
    named = config.data / RECIPIENT
    if not given and named.is_file():
        given = [str(named)]
    if not given:
        raise Refused("recipient_missing", field="recipient")
    return [check_recipient(one) for one in given]


def seconds_of(text: str) -> int:
    """30m, 24h, 7d. Raises Refused(bad_value)."""
    found = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text.strip())
    if found is None:
        raise Refused("bad_value", field="every", limit="30m, 24h, 7d", reason=text[:40])
    return int(found[1]) * _UNITS[found[2]]


def name_now(config: CentreConfig, clock: Clock | None = None) -> str:
    at = datetime.fromtimestamp((clock or SystemClock()).now_ms() / 1000, UTC)
    return f"loa-{config.province}-{at:%Y%m%dT%H%M%SZ}.age"


def once(config: CentreConfig, to: Path, recipients: list[str]) -> Made:
    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r{done / 1e6:.0f} of {total / 1e6:.0f} MB ", err=True, nl=done >= total)

    return make_backup(
        data=config.data, database_url=config.database_url, province=config.province, to=to, recipients=recipients,
        now_ms=SystemClock().now_ms(), entropy=system_entropy, broker_files=config.broker_files, progress=progress,
    )  # fmt: skip


def told(made: Made) -> None:
    record = f", the record's head {made.heading.record}" if made.heading.record else ""
    typer.echo(f"{made.path}: {made.files} files, {made.size} bytes{record}")


def pruned(folder: Path, province: str, keep: int) -> list[Path]:
    """Backups of this province beyond the newest so many; they are deleted."""
    form = re.compile(rf"loa-{re.escape(province)}-\d{{8}}T\d{{6}}Z\.age")
    made = sorted(path for path in folder.iterdir() if form.fullmatch(path.name))
    gone = made[:-keep]
    for path in [*gone, *folder.glob(f".loa-{province}-*.age.part")]:
        path.unlink()
    return gone


def go_on(
    config: CentreConfig, folder: Path, recipients: list[str], *, pause_s: int, keep: int, clock: Clock | None = None
) -> None:
    """A backup that fails is told and tried again sooner; the older ones stay until a new one is whole."""
    clock = clock or SystemClock()
    while True:
        wait_s = float(pause_s)
        try:
            told(once(config, folder / name_now(config, clock), recipients))
            pruned(folder, config.province, keep)
        except LoaError as error:
            explained = explain(error, "en")
            typer.echo(f"loa: {explained.title} [{error.code}]\n     {explained.remedy}", err=True)
            wait_s = min(wait_s, _AGAIN_S)
        sys.stdout.flush()
        try:
            asyncio.run(clock.sleep(wait_s))
        except KeyboardInterrupt:
            return
