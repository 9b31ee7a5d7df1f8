"""The mark that `loa restore` leaves in a data folder, and that the centre writes into the record at its next start."""

import contextlib
import json
from pathlib import Path

from sqlmodel import Session

from controller.services.context import Context
from controller.services.record import write_restore
from controller.store import Database

MARK = "restored.json"


def leave_mark(folder: Path, *, backup: str, detail: str) -> None:
    """backup: what names the backup for ever. detail: from when it is, in words."""
    (folder / MARK).write_text(json.dumps({"backup": backup, "detail": detail}) + "\n")


async def tell_first(db: Database, ctx: Context, folder: Path) -> None:
    """Before the deeds that waited in a backup are written: the centre that went on then has written them too, and the
    record must not hold two entries under one number."""
    if (folder / MARK).exists():
        await db.unit_of_work(lambda session: tell(session, ctx, folder))
        told(folder)


def tell(session: Session, ctx: Context, folder: Path) -> bool:
    """Record that this centre goes on from a backup; before anything else is recorded."""
    try:
        words = json.loads((folder / MARK).read_text())
        backup, detail = str(words["backup"]), str(words["detail"])
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError):
        backup, detail = "unreadable", "the mark of the restore cannot be read"
    return write_restore(session, ctx, backup=backup, detail=detail)


def told(folder: Path) -> None:
    """It is committed."""
    with contextlib.suppress(FileNotFoundError):
        (folder / MARK).unlink()
