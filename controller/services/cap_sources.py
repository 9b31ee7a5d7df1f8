"""Whose alerts are taken: sources, for whom each may speak, and the keys by which they sign."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlmodel import Session, col, delete, select

from controller.cap.signature import PinnedKeys, pinned_key
from controller.permissions import Permission
from controller.services.cap_alerts import Origin
from controller.services.context import Context, note_deed
from controller.services.looked_at import content_hash, demand_looked_at
from controller.tables import CapLink, CapSource
from loa.errors import Refused

MOST_SOURCES, MOST_SENDERS, MOST_PINS, MOST_HOSTS = 64, 64, 16, 16
LEAST_INTERVAL_S, LONGEST_INTERVAL_S = 20, 3600
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z")


@dataclass(frozen=True)
class Pin:
    """A signer's name, and its certificate or public key as a file has it, PEM or DER."""

    name: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class SourceForm:
    """url: of its feed; "" for one that posts. senders: for whom it may speak. hosts: where its redirects and links may
    lead besides its own host. is_local: plain HTTP and private addresses are allowed.
    """

    name: str
    url: str = ""
    senders: Sequence[str] = ()
    pins: Sequence[Pin] = ()
    hosts: Sequence[str] = ()
    is_local: bool = False
    interval_s: int = 60


def hash_of_source(row: CapSource | None) -> str:
    """By which whoever changes it says what they looked at; "" where there is none."""
    return content_hash(row and [row.url, row.senders, row.pins, row.hosts, row.is_local, row.interval_s])


def put_source(session: Session, ctx: Context, form: SourceForm, *, seen: str | None = None) -> CapSource:
    """Add a source, or put it in the place of the one of this name; a feed is then asked at once.

    seen: the hash of what was looked at; None where nobody asks. Raises Refused(not_permitted, content_changed,
    bad_source_name, bad_source_url, bad_value, field_required, too_many, bad_key_file).
    """
    ctx.demand(Permission.SETTINGS_MANAGE, ctx.province)
    check_source(form)
    pins = [{"name": one.name.strip()[:80], "key": pinned_key(one.data).hex()} for one in form.pins]
    row = session.get(CapSource, form.name)
    demand_looked_at(seen, hash_of_source(row))
    if row is None:
        if len(sources(session)) >= MOST_SOURCES:
            raise Refused("too_many", field="name", limit=MOST_SOURCES)
        row = CapSource(name=form.name, created_by=ctx.account, created_at=ctx.now)
    if row.url != form.url:
        _forget(session, row)
    row.url, row.senders, row.pins = form.url, list(form.senders), pins
    row.hosts, row.is_local, row.interval_s = list(form.hosts), form.is_local, form.interval_s
    row.next_at = ctx.now
    session.add(row)
    session.flush()
    keys = ", ".join(f"{one['name']} {one['key'][-16:]}" for one in pins) or "no key"
    note_deed(session, ctx, "put", "cap_source", row.name, detail=f"{row.url or 'post'} {keys}"[:200])
    return row


def remove_source(session: Session, ctx: Context, name: str, *, seen: str | None = None) -> None:
    """Its keys count no more and its feed is not asked; what came from it stays.

    Raises Refused(not_found, content_changed, …).
    """
    ctx.demand(Permission.SETTINGS_MANAGE, ctx.province)
    row = source_row(session, name)
    demand_looked_at(seen, hash_of_source(row))
    session.execute(delete(CapLink).where(col(CapLink.source) == row.name))
    session.delete(row)
    note_deed(session, ctx, "remove", "cap_source", name, detail=row.url)


def source_row(session: Session, name: str) -> CapSource:
    """Raises Refused(not_found)."""
    row = session.get(CapSource, name)
    if row is None:
        raise Refused("not_found", field="source", value=name[:64])
    return row


def sources(session: Session) -> list[CapSource]:
    """All, by name."""
    return list(session.exec(select(CapSource).order_by(col(CapSource.name))))


def origin_of(session: Session, name: str, *, fetched: bool = False) -> Origin:
    """What comes from a source; from nobody known for "". Raises Refused(not_found)."""
    if not name:
        return Origin()
    return Origin(name, frozenset(source_row(session, name).senders), fetched)


def pinned(session: Session) -> PinnedKeys:
    """The keys of all sources, each for the senders that its sources may speak for."""
    names: dict[bytes, str] = {}
    senders: dict[bytes, frozenset[str]] = {}
    for row in sources(session):
        for pin in row.pins:
            key = bytes.fromhex(pin["key"])
            names.setdefault(key, pin["name"])
            senders[key] = senders.get(key, frozenset()) | frozenset(row.senders)
    return PinnedKeys(names, senders)


def check_source(form: SourceForm) -> None:
    """Raises Refused as `put_source`."""
    if not _NAME.match(form.name) or len(form.name) > 32:
        raise Refused("bad_value", field="name", limit="[a-z0-9-]{1,32}", reason=form.name[:40])
    for field, values, most in (
        ("senders", form.senders, MOST_SENDERS), ("pins", form.pins, MOST_PINS), ("hosts", form.hosts, MOST_HOSTS)
    ):  # fmt: skip
        if len(values) > most:
            raise Refused("too_many", field=field, limit=most)
    if not form.senders:
        raise Refused("field_required", field="senders")
    for sender in form.senders:
        if not sender.strip() or len(sender) > 500 or not sender.isprintable():
            raise Refused("bad_value", field="senders", limit="1–500", reason=sender[:40])
    for host in form.hosts:
        if not _HOST.match(host):
            raise Refused("bad_value", field="hosts", limit="cap.example.vn", reason=host[:40])
    if not LEAST_INTERVAL_S <= form.interval_s <= LONGEST_INTERVAL_S:
        limit = f"{LEAST_INTERVAL_S}–{LONGEST_INTERVAL_S}"
        raise Refused("bad_value", field="interval_s", limit=limit, reason=form.interval_s)
    if form.url:
        _check_url(form)


def _check_url(form: SourceForm) -> None:
    try:
        parts = urlsplit(form.url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_good = urlsplit(""), False
    allowed = ("https", "http") if form.is_local else ("https",)
    wrong = parts.scheme not in allowed or not parts.hostname or parts.username is not None or not port_is_good
    if wrong or len(form.url) > 1000 or not form.url.isascii() or not form.url.isprintable() or " " in form.url:
        raise Refused("bad_source_url", field="url", limit=" / ".join(allowed), value=form.url[:200])


def _forget(session: Session, row: CapSource) -> None:
    """Of another address nothing is known."""
    row.etag = row.last_modified = row.trouble = row.trouble_detail = ""
    row.tried_at = row.good_at = None
    row.failures, row.is_stale = 0, False
    session.execute(delete(CapLink).where(col(CapLink.source) == row.name))
