"""Units of work that only rehearse: what they would do is found out while nobody may write.

Temporary tables hide the real ones from one connection. They begin as copies of the few rows that matter, take what is
written, and are gone with the transaction; all other tables are read where they are. Readers do not wait for a lock
that keeps writers out, and temporary tables are a connection's own: so this works behind such a lock, and on a full
disk. On both databases a bare table name means the temporary one first.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import ColumnElement, Table, literal_column, or_, select, true
from sqlalchemy import func as sql
from sqlmodel import Session, SQLModel, col

from controller.tables import (
    Alert,
    AlertApproval,
    Broadcast,
    BroadcastNode,
    Bulletin,
    OwedOrder,
    RecordEntry,
    Rendition,
)
from loa.precedence import Precedence
from loa.units import InstantMs

WRITTEN: Final[tuple[type[SQLModel], ...]] = (
    Alert, AlertApproval, Bulletin, Broadcast, BroadcastNode, OwedOrder, RecordEntry, Rendition,
)  # fmt: skip
"""All that approving or cancelling an alert writes. A table that is missing here would have to wait for the lock: the
release would fail where it must not. `tests/controller/services/test_rehearsal.py` finds it out."""
_NOTHING: ColumnElement[bool] = literal_column("1 = 0")


def hide(session: Session, since: InstantMs, renditions: Iterable[str]) -> None:
    """Let the session write what alerts write, without writing it. The first thing in a session that is rolled back.

    since: alerts that were over by then cannot be meant. renditions: digests, in hex, that may be streamed.
    """
    standing = select(col(Alert.id)).where(col(Alert.expires_at) > since)
    last = select(sql.max(RecordEntry.number)).scalar_subquery()
    wanted: dict[type[SQLModel], ColumnElement[bool]] = {
        Alert: true(),
        AlertApproval: true(),
        Bulletin: true(),
        Broadcast: col(Broadcast.precedence) == int(Precedence.EMERGENCY),
        BroadcastNode: _NOTHING,
        OwedOrder: _NOTHING,
        RecordEntry: or_(col(RecordEntry.object_id).in_(standing), col(RecordEntry.number) == last),
        Rendition: col(Rendition.digest).in_(sorted(renditions)),
    }
    dialect = session.get_bind().dialect
    plain = dialect.name == "sqlite"
    if not plain:
        session.connection().exec_driver_sql("SET LOCAL client_min_messages = warning")
    home = "main" if plain else str(session.connection().exec_driver_sql("SELECT current_schema()").scalar_one())
    dropped = "" if plain else " ON COMMIT DROP"
    quote = dialect.identifier_preparer.quote
    for model in WRITTEN:
        which = wanted[model]
        whole: Table = model.__table__  # type: ignore[attr-defined]
        source = f"{quote(home)}.{quote(whole.name)}"
        # Bare columns of a subquery's alias would name the real table; here they name the one that is copied.
        condition = str(which.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        text = f"SELECT * FROM {source} WHERE {condition}"  # noqa: S608 - ids and digests, all in hex
        session.connection().exec_driver_sql(f"CREATE TEMPORARY TABLE {quote(whole.name)}{dropped} AS {text}")
