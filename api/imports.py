"""Recordings on their way to becoming bulletins: each an import that can be watched, waited for and cancelled."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from loa.clock import Bell
from loa.errors import Fault, LoaError, OperatorNeeded, Refused
from loa.units import InstantMs

if TYPE_CHECKING:
    from controller.centre import Centre

_log = logging.getLogger("loa.api")
REMEMBERED = 200
Status = Literal["running", "done", "failed", "cancelled"]


@dataclass
class Import:
    """One recording's way in. `progress` is 0 to 1; `bulletin` its id once done; `error` why it failed."""

    id: str
    account: str
    title: str
    file_name: str
    begun_at: InstantMs
    status: Status = "running"
    progress: float = 0.0
    stage: str = "reading"
    bulletin: str | None = None
    error: LoaError | None = None
    over: Bell = field(default_factory=Bell)
    cancelled: bool = False
    work: "asyncio.Task[None] | None" = None


class Imports:
    """The imports of this process. At most `at_once` run; the last ones that ended are remembered."""

    def __init__(self, centre: "Centre", at_once: int) -> None:
        self._centre = centre
        self._at_once = at_once
        self._known: dict[str, Import] = {}
        for left_over in centre.incoming_folder.glob("upload-*"):
            _remove(left_over)  # of a process that died: the folder is ours alone

    def check_room(self) -> None:
        """Raises OperatorNeeded(busy) where another import would be one too many."""
        if sum(item.status == "running" for item in self._known.values()) >= self._at_once:
            raise OperatorNeeded("busy", limit=self._at_once)

    def begin(self, path: Path, *, account: str, file_name: str, asked: dict[str, Any]) -> Import:
        """Start importing the file at `path`, which is removed at the end. Raises OperatorNeeded(busy)."""
        self.check_room()
        item = Import(
            id=self._centre.entropy(16).hex(),
            account=account,
            title=str(asked["title"]),
            file_name=file_name,
            begun_at=self._centre.clock.now_ms(),
        )
        self._known[item.id] = item
        for old in [i.id for i in self._known.values() if i.status != "running"][:-REMEMBERED]:
            del self._known[old]
        item.work = asyncio.create_task(self._run(item, path, asked), name=f"import-{item.id[:8]}")
        return item

    def get(self, import_id: str, account: str) -> Import:
        """Raises Refused(not_found); other people's imports are not found either."""
        item = self._known.get(import_id)
        if item is None or item.account != account:
            raise Refused("not_found", field="import", value=import_id[:100])
        return item

    async def wait(self, item: Import, seconds: float) -> None:
        """Until it is over, but no longer than this."""
        await item.over.rings_within(self._centre.clock, seconds)

    def cancel(self, item: Import) -> None:
        """Stop it at its next step. Raises Refused(import_over)."""
        if item.status != "running":
            raise Refused("import_over", field="import")
        item.cancelled = True

    async def close(self) -> None:
        """Cancel what is under way and wait for it."""
        for item in self._known.values():
            item.cancelled = True
        works = [item.work for item in self._known.values() if item.work is not None]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    async def _run(self, item: Import, path: Path, asked: dict[str, Any]) -> None:
        def progress(done: float, stage: str) -> None:
            item.progress, item.stage = done, stage

        try:
            bulletin = await self._centre.import_bulletin(
                path,
                account=item.account,
                name=item.file_name,
                progress=progress,
                cancelled=lambda: item.cancelled,
                **asked,
            )
            item.bulletin, item.status, item.progress = bulletin.id, "done", 1.0
        except LoaError as error:
            item.error, item.status = error, "cancelled" if error.code == "cancelled" else "failed"
        except asyncio.CancelledError:
            item.error, item.status = Refused("cancelled"), "cancelled"
            raise
        except Exception as error:  # noqa: BLE001 - nobody awaits this task: its outcome is the import's own
            _log.error("import %s failed", item.id, exc_info=error)
            item.error, item.status = Fault("internal", value=item.id[:12]), "failed"
        finally:
            item.over.set()
            _remove(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
