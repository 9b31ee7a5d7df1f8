"""Adding to the record, within the unit of work of what is recorded: both are kept, or neither."""

from sqlalchemy import Row, insert
from sqlmodel import Session, col, select

from controller.chain import DETAIL_CHARACTERS, FORKING, NO_HASH, Entry, Heard, entry_hash
from controller.tables import RecordEntry
from devices.protocol import cbor
from devices.protocol.fields import from_map, to_map
from devices.protocol.record import HeadMark
from loa.units import InstantMs

_LONGEST_CBOR = 4096
_TABLE = RecordEntry.__table__  # type: ignore[attr-defined]
_INSERT = insert(_TABLE)
_HEAD = (
    select(RecordEntry.number, RecordEntry.hash, RecordEntry.forks).order_by(col(RecordEntry.number).desc()).limit(1)
)


def append(
    session: Session,
    *,
    at: InstantMs,
    account: str,
    verb: str,
    object_kind: str,
    object_id: str,
    detail: str = "",
    origin: str = "",
    key: bytes = b"",
    heard: Heard | None = None,
    known: HeadMark | None = None,
) -> Entry:
    """Write the next entry. One look at the end of the chain and one insert.

    A verb of FORKING begins another branch, whose count is above that of `known` as well.

    Two units of work that append at once cannot both commit (`previous` is unique): the store does the second again.
    """
    session.flush()
    last = session.exec(_HEAD).first()
    number, previous, forks = (0, NO_HASH, 0) if last is None else last
    if verb in FORKING:
        forks = max(forks, known.forks if known else 0) + 1
    entry = Entry(
        number=number + 1, at=at, account=account[:64], verb=verb, object_kind=object_kind, object_id=object_id[:200],
        previous=previous, detail=detail[:DETAIL_CHARACTERS], origin=origin[:100], key=key,
        forks=forks, heard=heard, known=known,
    )  # fmt: skip
    session.connection().execute(_INSERT, row_of(entry))
    return entry


def row_of(entry: Entry) -> dict[str, object]:
    """An entry as the table's columns, its hash with it."""
    return {
        "number": entry.number, "at": entry.at, "account": entry.account, "verb": entry.verb,
        "object_kind": entry.object_kind, "object_id": entry.object_id, "detail": entry.detail,
        "origin": entry.origin, "key": entry.key, "forks": entry.forks,
        "heard": None if entry.heard is None else cbor.dumps_in_order(to_map(entry.heard)),
        "known": None if entry.known is None else cbor.dumps_in_order(to_map(entry.known)),
        "previous": entry.previous, "hash": entry_hash(entry),
    }  # fmt: skip


def entry_of(row: RecordEntry | Row[tuple[RecordEntry]]) -> Entry:
    """A row as an entry, whatever its hash. Raises Malformed for what no entry can hold."""
    return Entry(
        number=row.number, at=InstantMs(row.at), account=row.account, verb=row.verb, object_kind=row.object_kind,
        object_id=row.object_id, previous=row.previous, detail=row.detail, origin=row.origin, key=row.key,
        forks=row.forks,
        heard=None if row.heard is None else from_map(Heard, cbor.loads(row.heard, max_bytes=_LONGEST_CBOR)),
        known=None if row.known is None else from_map(HeadMark, cbor.loads(row.known, max_bytes=_LONGEST_CBOR)),
    )  # fmt: skip


def newest(session: Session) -> HeadMark | None:
    """The end of the chain in short; None while nothing is recorded."""
    last = session.exec(_HEAD).first()
    return None if last is None else HeadMark(number=last[0], mark=last[1][:16], forks=last[2])
