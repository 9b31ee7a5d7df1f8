"""Keeps the record going: where broadcasts were heard, and its head for the nodes. Apart from what is urgent."""

from collections.abc import Awaitable, Callable

from sqlmodel import Session

from controller.services import record
from controller.services.context import Context, Outgoing
from controller.store import Database
from loa.units import InstantMs


class RecordKeeper:
    """One a centre; remembers how far it has looked."""

    def __init__(self, db: Database, send: Callable[[Outgoing], Awaitable[None]], now: InstantMs) -> None:
        self._db, self._send = db, send
        self._looked_at = InstantMs(now - 2 * record.DAY_MS)
        """Receipts that came in by then are of broadcasts that the tables know, or were told of."""
        self._compared_at = self._looked_at
        """Receipts that came in by then were compared with what was recorded of their broadcasts."""

    async def keep(self, ctx: Context) -> InstantMs | None:
        """Write down what is untold, and issue the head where it is due; when it is due again."""
        since, now = self._looked_at, ctx.now

        def look(session: Session) -> tuple[tuple[record.Told, ...], InstantMs | None]:
            due_at = record.head_due(session, ctx)
            late_since = self._compared_at if due_at is not None and due_at <= now else None
            return record.untold(session, now, since, late_since=late_since), due_at

        told, due_at = await self._db.reading(look)
        is_due = due_at is not None and due_at <= now
        if told or is_due:

            def write(session: Session) -> tuple[Outgoing, InstantMs | None]:
                record.write_told(session, ctx, told)
                return record.issue_head(session, ctx), record.head_due(session, ctx)

            outgoing, due_at = await self._db.unit_of_work(write)
            await self._send(outgoing)
        self._looked_at = now
        if is_due:
            self._compared_at = now
        return due_at
