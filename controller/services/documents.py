"""State documents: versions that never go back, and nothing issued anew where nothing changed."""

import hashlib
from collections import defaultdict
from collections.abc import Callable

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from controller.services.context import Context, OutDocument
from controller.tables import StateDocument
from devices.protocol.renewal import next_version
from devices.protocol.topics import AreaChannel
from loa.names import AreaPath

_OF_PLACES = (
    select(StateDocument.area, StateDocument.channel, StateDocument.version, StateDocument.payload)
    .where(
        col(StateDocument.area).in_(bindparam("areas", expanding=True)),
        StateDocument.channel != str(AreaChannel.RECORD),
    )
    .order_by(col(StateDocument.channel))
)


def issue_document(
    session: Session,
    ctx: Context,
    area: AreaPath,
    channel: AreaChannel,
    content: bytes,
    *,
    signed: Callable[[int], bytes],
    force: bool = False,
) -> OutDocument | None:
    """Store and return a new version, or None where `content` is what was issued last.

    content: what matters of the document, without version and instant. signed: the payload for a version.
    """
    row = session.get(StateDocument, (str(area), str(channel)))
    body_hash = hashlib.sha256(content).hexdigest()
    if row is not None and row.body_hash == body_hash and not force:
        return None
    version = next_version(row.version if row else 0, ctx.now)
    payload = signed(version)
    if row is None:
        row = StateDocument(
            area=area, channel=str(channel), version=version, issued_at=ctx.now, payload=payload, body_hash=body_hash
        )
    else:
        row.version, row.issued_at, row.payload, row.body_hash = version, ctx.now, payload, body_hash
    session.add(row)
    session.flush()
    return OutDocument(area, channel, payload)


def documents_for(session: Session, area: AreaPath) -> tuple[tuple[int, OutDocument], ...]:
    """Versions and documents of a place and those above it, widest first; the record's head apart."""
    places = area.with_ancestors()
    rows = session.connection().execute(_OF_PLACES, {"areas": [str(path) for path in places]})
    by_area: dict[str, list[tuple[int, OutDocument]]] = defaultdict(list)
    for of, channel, version, payload in rows:
        by_area[of].append((version, OutDocument(AreaPath(of), AreaChannel(channel), payload)))
    return tuple(one for path in places for one in by_area[str(path)])
