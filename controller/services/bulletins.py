"""Bulletins: drafted, approved by content, locked, withdrawn."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, col, select

from controller.permissions import Permission, is_second_person
from controller.services.areas import lies_in, place_for
from controller.services.context import Changed, Context, note_deed
from controller.services.planning import plan_week
from controller.services.sight import bulletin_row
from controller.tables import Bulletin, RecordEntry, Rendition
from devices.protocol.common import MAX_RENDITIONS
from devices.protocol.envelope import decode, encode
from devices.protocol.media import Manifest
from loa.entropy import new_id
from loa.errors import Refused
from loa.names import AreaPath
from loa.units import Digest, DurationMs, InstantMs


@dataclass(frozen=True)
class NewRendition:
    """Encoded audio to be kept: an Ogg Opus file, as bytes or as a path, with its manifest."""

    data: bytes | Path
    manifest: Manifest
    language: str = "vi"
    levelled_by: str = "loudness"


@dataclass(frozen=True)
class RenditionView:
    digest: Digest
    language: str
    length_bytes: int
    duration_ms: DurationMs
    loudness_centi_lufs: int
    peak_centi_db: int
    levelled_by: str


@dataclass(frozen=True)
class BulletinView:
    """`status`: draft, approved, withdrawn. Approval names `content_hash`."""

    id: str
    area: AreaPath
    title: str
    status: str
    content_hash: str
    author: str
    approved_by: str | None
    approved_at: InstantMs | None
    created_at: InstantMs
    source_name: str
    note: str
    renditions: tuple[RenditionView, ...]
    alert: str = ""
    """Of an alert's own words: that alert."""

    @property
    def duration_ms(self) -> DurationMs:
        return DurationMs(sum(one.duration_ms for one in self.renditions))


def draft_bulletin(
    session: Session,
    ctx: Context,
    *,
    title: str,
    area: str,
    renditions: Sequence[NewRendition],
    source_name: str = "",
    note: str = "",
) -> BulletinView:
    """Keep the renditions and make a draft of them.

    Raises Refused(field_required, not_found, too_many, content_changed), Fault(storage_full).
    """
    place = place_for(session, ctx, area, Permission.BULLETIN_DRAFT)
    if not renditions:
        raise Refused("field_required", field="renditions")
    if len(renditions) > MAX_RENDITIONS:
        raise Refused("too_many", field="renditions", limit=MAX_RENDITIONS)
    digests = [keep_rendition(session, ctx, one) for one in renditions]
    row = Bulletin(
        id=new_id(ctx.entropy).hex(),
        area=place,
        title=_title(title),
        content_hash=_content_hash(_title(title), digests),
        author=ctx.account,
        created_at=ctx.now,
        source_name=Path(source_name).name[:200],
        renditions=digests,
        note=note[:1000],
    )
    session.add(row)
    session.flush()
    note_deed(session, ctx, "draft", "bulletin", row.id, detail=row.content_hash)
    return _view(session, row)


def keep_alert_words(
    session: Session,
    ctx: Context,
    *,
    id: str,  # noqa: A002
    alert: str,
    title: str,
    area: str,
    digests: Sequence[str],
) -> None:
    """The bulletin of an alert's own words, as a draft that the alert's release approves (`approve_alert_words`)."""
    row = Bulletin(
        id=id, area=area, title=_title(title), content_hash=_content_hash(_title(title), digests), author=ctx.account,
        created_at=ctx.now, renditions=list(digests), alert=alert,
    )  # fmt: skip
    session.add(row)
    session.flush()
    note_deed(session, ctx, "draft", "bulletin", row.id, detail=row.content_hash)


def ship_bulletin(session: Session, ctx: Context, *, title: str, rendition: NewRendition) -> str:
    """A sound that comes with the program, as an approved bulletin of the province; its id."""
    digest = keep_rendition(session, ctx, rendition)
    row = Bulletin(
        id=new_id(ctx.entropy).hex(), area=ctx.province, title=_title(title), status="approved", author="loa",
        content_hash=_content_hash(_title(title), [digest]), approved_by=ctx.account, approved_at=ctx.now,
        created_at=ctx.now, renditions=[digest],
    )  # fmt: skip
    session.add(row)
    session.flush()
    note_deed(session, ctx, "ship", "bulletin", row.id, detail=row.content_hash)
    return row.id


def approve_alert_words(session: Session, ctx: Context, alert: str, ids: Sequence[str]) -> tuple[str, ...]:
    """With an alert that enough people signed, its own words are approved; the ids of the other bulletins it names.

    Raises Refused(withdrawn).
    """
    own = session.exec(select(Bulletin).where(Bulletin.alert == alert)).all()
    for row in own:
        if row.status == "withdrawn":
            raise Refused("withdrawn", field="bulletins", value=row.title)
        if row.status == "draft":
            row.status, row.approved_by, row.approved_at = "approved", ctx.account, ctx.now
            session.add(row)
            note_deed(session, ctx, "approve", "bulletin", row.id, detail=row.content_hash)
    return tuple(one for one in ids if one not in {row.id for row in own})


def retitle_bulletin(session: Session, ctx: Context, *, id: str, title: str) -> BulletinView:  # noqa: A002
    """Change a draft's title, and with it what an approval must name.

    Raises Refused(not_found, locked, field_required).
    """
    row = bulletin_row(session, ctx, id, Permission.BULLETIN_DRAFT)
    if row.status != "draft" or row.alert:
        raise Refused("locked", field="bulletin", value=row.title)
    row.title, row.author = _title(title), ctx.account  # whoever wrote it last does not approve it
    row.content_hash = _content_hash(row.title, row.renditions)
    session.add(row)
    note_deed(session, ctx, "draft", "bulletin", row.id, detail=row.content_hash)
    return _view(session, row)


def approve_bulletin(session: Session, ctx: Context, *, id: str, content_hash: str) -> BulletinView:  # noqa: A002
    """Approve exactly this content; from then on it is locked. Approving the same again changes nothing.

    Whoever had a hand in it does not approve it. Raises Refused(second_person_required, not_found, not_permitted,
    content_changed, withdrawn, alerts_own_words).
    """
    row = bulletin_row(session, ctx, id, Permission.BULLETIN_APPROVE)
    if row.content_hash != content_hash:
        raise Refused("content_changed", field="content_hash")
    if row.status == "withdrawn":
        raise Refused("withdrawn", field="bulletin", value=row.title)
    if row.status == "draft":
        if row.alert:
            raise Refused("alerts_own_words", field="bulletin", value=row.title)
        if not is_second_person(ctx.account, row.author, *_hands_in(session, id)):
            raise Refused("second_person_required", field="bulletin", limit=2, value=row.title)
        row.status, row.approved_by, row.approved_at = "approved", ctx.account, ctx.now
        session.add(row)
        note_deed(session, ctx, "approve", "bulletin", row.id, detail=content_hash)
    return _view(session, row)


def _hands_in(session: Session, name: str) -> Sequence[str]:
    """Everybody who made or changed it, as the record has it: the row names the last one only."""
    return session.exec(
        select(RecordEntry.account).where(
            RecordEntry.object_id == name, RecordEntry.object_kind == "bulletin", RecordEntry.verb == "draft"
        )
    ).all()


def withdraw_bulletin(session: Session, ctx: Context, *, id: str) -> Changed[BulletinView]:  # noqa: A002
    """Take a bulletin out of every coming broadcast. Raises Refused(not_found)."""
    row = bulletin_row(session, ctx, id, Permission.BULLETIN_WITHDRAW)
    if row.status == "withdrawn":
        return Changed(_view(session, row))
    row.status = "withdrawn"
    session.add(row)
    session.flush()
    note_deed(session, ctx, "withdraw", "bulletin", row.id)
    return Changed(_view(session, row), plan_week(session, ctx))


def list_bulletins(
    session: Session, *, within: str | None = None, status: str | None = None
) -> tuple[BulletinView, ...]:
    """Bulletins, the newest first."""
    query = select(Bulletin).order_by(col(Bulletin.created_at).desc(), col(Bulletin.id))
    if within is not None:
        query = query.where(lies_in(Bulletin.area, [AreaPath(within)]))
    if status is not None:
        query = query.where(Bulletin.status == status)
    return tuple(_view(session, row) for row in session.exec(query).all())


def bulletin(session: Session, id: str) -> BulletinView:  # noqa: A002
    """One bulletin. Raises Refused(not_found)."""
    return _view(session, _row(session, id))


def approved_bulletins(session: Session, ctx: Context, ids: Sequence[str], *, field: str) -> tuple[Bulletin, ...]:
    """The rows of bulletins that may be aired, in order. By an API token, only what somebody else has approved.

    Raises Refused(field_required, not_found, not_approved, withdrawn, alerts_own_words, too_many,
    second_person_required).
    """
    if not ids:
        raise Refused("field_required", field=field)
    rows = [bulletin_row(session, ctx, one, field=field) for one in ids]
    for row in rows:
        if row.status == "withdrawn":
            raise Refused("withdrawn", field=field, value=row.title)
        if row.alert:
            raise Refused("alerts_own_words", field=field, value=row.title)
        if row.status != "approved":
            raise Refused("not_approved", field=field, value=row.title)
        if ctx.may.by_token and not is_second_person(ctx.account, row.approved_by):
            raise Refused("second_person_required", field=field, limit=2, value=row.title)
    if sum(len(row.renditions) for row in rows) > MAX_RENDITIONS:
        raise Refused("too_many", field=field, limit=MAX_RENDITIONS)
    return tuple(rows)


def manifest_payload(session: Session, digest: Digest) -> bytes | None:
    """A rendition's manifest as it goes over the wire, or None where there is no such rendition."""
    row = session.get(Rendition, digest.hex())
    return None if row is None else row.manifest


def manifest(session: Session, digest: Digest) -> Manifest:
    """A rendition's manifest. Raises Refused(not_found)."""
    payload = manifest_payload(session, digest)
    message = decode(payload) if payload is not None else None
    if not isinstance(message, Manifest):
        raise Refused("not_found", field="rendition", value=digest.hex())
    return message


def keep_rendition(session: Session, ctx: Context, one: NewRendition) -> str:
    """Keep encoded audio, once; its digest in hex. Raises Refused(content_changed), Fault(storage_full)."""
    digest = ctx.media.put(one.data, one.manifest).hex()
    if session.get(Rendition, digest) is None:
        held = one.manifest
        row = Rendition(
            digest=digest,
            language=one.language[:35],
            length_bytes=held.length_bytes,
            duration_ms=held.duration_ms,
            loudness_centi_lufs=held.loudness_centi_lufs,
            peak_centi_db=held.peak_centi_db,
            levelled_by=one.levelled_by,
            manifest=encode(held),
            created_at=ctx.now,
        )
        session.add(row)
        session.flush()
    return digest


def _title(text: str) -> str:
    if not text.strip():
        raise Refused("field_required", field="title")
    return text.strip()[:200]


def _content_hash(title: str, digests: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([title, *digests]).encode()).hexdigest()


def _row(session: Session, name: str, *, field: str = "bulletin") -> Bulletin:
    row = session.get(Bulletin, name)
    if row is None:
        raise Refused("not_found", field=field, value=name[:64])
    return row


def _view(session: Session, row: Bulletin) -> BulletinView:
    renditions = [session.get_one(Rendition, digest) for digest in row.renditions]
    return BulletinView(
        row.id, AreaPath(row.area), row.title, row.status, row.content_hash, row.author, row.approved_by,
        None if row.approved_at is None else InstantMs(row.approved_at), InstantMs(row.created_at), row.source_name,
        row.note, tuple(_rendition(one) for one in renditions), row.alert,
    )  # fmt: skip


def _rendition(row: Rendition) -> RenditionView:
    return RenditionView(
        Digest(bytes.fromhex(row.digest)), row.language, row.length_bytes, DurationMs(row.duration_ms),
        row.loudness_centi_lufs, row.peak_centi_db, row.levelled_by,
    )  # fmt: skip
