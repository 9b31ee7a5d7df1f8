"""Shared streams: when each rendition goes out, once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, update
from sqlmodel import Session, col, select

from controller.services.context import Context
from controller.tables import Node, NodeState, Rendition
from devices.protocol.common import RenditionRef
from loa.units import ByteCount, BytesPerSecond, Digest, DurationMs, InstantMs
from scheduler.rules.spread import Need, StreamStart, spread, stream_ms

LOOK_AHEAD_MS = 3_600_000
"""Streams that begin this much later are taken up already."""
_MOST_AT_ONCE = 500  # SQL's limit of variables is far above


@dataclass(frozen=True)
class DueStream:
    """A shared stream that should be going out: bytes from `stream_at` on at `pace` a second."""

    digest: Digest
    length_bytes: ByteCount
    stream_at: InstantMs
    pace: int


def references(session: Session, digests: Collection[str]) -> Mapping[str, RenditionRef]:
    """How orders and timetables name these renditions, by hex digest."""
    return {row.digest: _reference(row) for row in _rows(session, digests)}


def plan_streams(session: Session, ctx: Context, first_use: Mapping[str, InstantMs]) -> None:
    """Give every rendition that has no stream yet its instant and pace, ahead of its first use."""
    fresh = [row for row in _rows(session, first_use) if row.stream_at is None]
    if not fresh:
        return
    needs = [
        Need(Digest(bytes.fromhex(row.digest)), ByteCount(row.length_bytes), first_use[row.digest]) for row in fresh
    ]
    starts = spread(needs, ctx.now, busy_until=_busy_until(session), slowest_rate=slowest_rate(session))
    _announce(session, starts)


def stream_now(session: Session, starts: Collection[StreamStart]) -> None:
    """Announce streams for an immediate broadcast, ahead of any later instant planned for them."""
    for start in starts:
        session.execute(
            update(Rendition)
            .where(col(Rendition.digest) == start.digest.hex(), col(Rendition.streamed_at).is_(None))
            .values(stream_at=start.stream_at, pace=start.pace)
        )
    session.expire_all()


def due_streams(session: Session, now: InstantMs) -> tuple[DueStream, ...]:
    """Streams whose start has come and whose end was not reported yet, by their start."""
    query = select(Rendition).where(
        col(Rendition.stream_at).is_not(None), col(Rendition.stream_at) <= now, col(Rendition.streamed_at).is_(None)
    )
    return tuple(_due(row) for row in session.exec(query.order_by(col(Rendition.stream_at), col(Rendition.digest))))


def stream_ended(session: Session, digest: Digest, at: InstantMs) -> None:
    """The whole rendition went out; from now on nodes ask for what they lack."""
    session.execute(update(Rendition).where(col(Rendition.digest) == digest.hex()).values(streamed_at=at))


def slowest_rate(session: Session, meant: ColumnElement[bool] | None = None) -> float | None:
    """The slowest link rate that a node reported, of all or of those that `meant` says; None where none did."""
    query = select(func.min(NodeState.link_rate)).where(col(NodeState.link_rate) > 0)
    if meant is not None:
        query = query.join(Node, col(Node.id) == col(NodeState.node)).where(meant)
    found = session.exec(query).one()
    return None if found is None else float(found)


def _announce(session: Session, starts: Collection[StreamStart]) -> None:
    for start in starts:
        session.execute(
            update(Rendition)
            .where(col(Rendition.digest) == start.digest.hex(), col(Rendition.stream_at).is_(None))
            .values(stream_at=start.stream_at, pace=start.pace)
        )
    session.expire_all()


def _busy_until(session: Session) -> int:
    query = select(Rendition).where(col(Rendition.stream_at).is_not(None), col(Rendition.streamed_at).is_(None))
    ends = [(row.stream_at or 0) + stream_ms(row.length_bytes, row.pace or 1) for row in session.exec(query)]
    return max(ends, default=0)


def _rows(session: Session, digests: Collection[str]) -> list[Rendition]:
    wanted = sorted(digests)
    found: list[Rendition] = []
    for at in range(0, len(wanted), _MOST_AT_ONCE):
        query = select(Rendition).where(col(Rendition.digest).in_(wanted[at : at + _MOST_AT_ONCE]))
        found += session.exec(query).all()
    return found


def _reference(row: Rendition) -> RenditionRef:
    return RenditionRef(
        digest=Digest(bytes.fromhex(row.digest)),
        language=row.language,
        length_bytes=ByteCount(row.length_bytes),
        duration_ms=DurationMs(row.duration_ms),
        stream_at=None if row.stream_at is None else InstantMs(row.stream_at),
        pace=None if row.pace is None else BytesPerSecond(row.pace),
    )


def _due(row: Rendition) -> DueStream:
    assert row.stream_at is not None
    return DueStream(
        Digest(bytes.fromhex(row.digest)), ByteCount(row.length_bytes), InstantMs(row.stream_at), row.pace or 1
    )
