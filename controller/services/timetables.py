"""Timetables: the signed list of an area's coming broadcasts, from our own table of them."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlmodel import Session, col, select

from controller.services.context import Context, OutDocument, Outgoing
from controller.services.documents import issue_document
from controller.services.streams import references
from controller.tables import Broadcast, PlanMark, StateDocument
from devices.protocol.common import RenditionRef
from devices.protocol.documents import DEFAULT_GRACE_MS, MAX_ENTRIES, Entry, Timetable
from devices.protocol.envelope import open_sealed, seal
from devices.protocol.topics import AreaChannel
from loa.names import AreaPath
from loa.precedence import Interruption, Kind, Precedence
from loa.units import Id16, InstantMs, NodeId, Percent
from scheduler.rules.recurrence import local_midnight

_STILL_SOUNDING_MS = 6 * 3_600_000
"""What began this long before midnight may still be sounding after it."""


def issue_timetables(session: Session, ctx: Context, *, only: Collection[AreaPath] | None = None) -> Outgoing:
    """Sign the timetable of every area (or of these) whose coming broadcasts changed since it was signed last."""
    mark = session.get(PlanMark, str(ctx.province))
    covers_until = InstantMs(mark.planned_until if mark else ctx.now)
    by_area = _by_area(session, InstantMs(local_midnight(ctx.now) - _STILL_SOUNDING_MS), only)
    had_one = session.exec(select(StateDocument.area).where(StateDocument.channel == str(AreaChannel.TIMETABLE)))
    areas = sorted({AreaPath(path) for path in had_one} | set(by_area))
    if only is not None:
        areas = [area for area in areas if area in only]
    refs = references(session, {digest for rows in by_area.values() for row, _ in rows for digest in row.renditions})
    out: list[OutDocument] = []
    for area in areas:
        document = _issue(session, ctx, area, by_area.get(area, []), refs=refs, covers_until=covers_until)
        if document is not None:
            out.append(document)
    return Outgoing(documents=tuple(out))


def timetable(session: Session, area: str) -> Timetable | None:
    """The timetable of an area as it was signed last; None where it has none."""
    row = session.get(StateDocument, (str(AreaPath(area)), str(AreaChannel.TIMETABLE)))
    message = open_sealed(row.payload).message if row is not None else None
    return message if isinstance(message, Timetable) else None


_Row = tuple[Broadcast, tuple[NodeId, ...]]
"""A broadcast, and the nodes that it is for; none for all of the area."""


def _by_area(session: Session, since: InstantMs, only: Collection[AreaPath] | None) -> Mapping[AreaPath, list[_Row]]:
    """Scheduled broadcasts from `since` on that are to sound, by the area in whose timetable they are."""
    query = select(Broadcast).where(
        col(Broadcast.scheduled).is_(True),
        Broadcast.start_at >= since,
        col(Broadcast.status).in_(("planned", "issued", "ended")),
    )
    if only is not None:  # what is in an area's timetable was planned there or for a wider area
        query = query.where(col(Broadcast.area).in_({str(wider) for area in only for wider in area.with_ancestors()}))
    found: dict[AreaPath, list[_Row]] = defaultdict(list)
    for row in session.exec(query.order_by(col(Broadcast.start_at), col(Broadcast.id))):
        for path in row.target_areas:
            found[AreaPath(path)].append((row, ()))
        if row.target_nodes:
            found[AreaPath(row.area)].append((row, tuple(NodeId(name) for name in row.target_nodes)))
    return found


def _issue(
    session: Session,
    ctx: Context,
    area: AreaPath,
    rows: list[_Row],
    *,
    refs: Mapping[str, RenditionRef],
    covers_until: InstantMs,
) -> OutDocument | None:
    # The whole of today counts as content, so that a broadcast's end is no reason to sign anew.
    said = [str(covers_until)]
    said += [f"{row.id}{row.start_at}{nodes}{[refs[d].stream_at for d in row.renditions]}" for row, nodes in rows]

    def signed(version: int) -> bytes:
        coming = [(row, nodes) for row, nodes in rows if row.start_at + row.duration_ms + DEFAULT_GRACE_MS > ctx.now]
        until = coming[MAX_ENTRIES][0].start_at if len(coming) > MAX_ENTRIES else covers_until
        entries = tuple(_entry(row, nodes, refs) for row, nodes in coming[:MAX_ENTRIES])
        return seal(
            Timetable(area=area, version=version, issued_at=ctx.now, covers_until=InstantMs(until), entries=entries),
            ctx.keys,
        )

    return issue_document(session, ctx, area, AreaChannel.TIMETABLE, "\n".join(said).encode(), signed=signed)


def _entry(row: Broadcast, nodes: tuple[NodeId, ...], refs: Mapping[str, RenditionRef]) -> Entry:
    return Entry(
        id=Id16(bytes.fromhex(row.id)),
        start_at=InstantMs(row.start_at),
        precedence=Precedence(row.precedence),
        kind=Kind(row.kind),
        renditions=tuple(refs[digest] for digest in row.renditions),
        nodes=nodes,
        replaces=tuple(Id16(bytes.fromhex(one)) for one in row.replaces),
        volume=None if row.volume is None else Percent(row.volume),
        interruption=Interruption(row.interruption),
    )
