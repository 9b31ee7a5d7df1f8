"""People's keys that are kept here: made, asked to be appointed, put under another passphrase, retired.

The private half is never seen by these functions: they keep what `controller.peoplekeys` sealed.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.areas import place_for
from controller.services.context import Context, note_deed
from controller.tables import PersonKey
from devices.protocol.envelope import decode, encode
from devices.protocol.keys import key_id
from devices.protocol.trust import Appointment, Revocation
from loa.errors import Fault, Refused
from loa.precedence import Kind
from loa.units import InstantMs

MOST_OF_ONE_KIND = 2
"""A new key is made while the old one is still in office: the roots need days to appoint it."""


@dataclass(frozen=True)
class PersonKeyView:
    """A key's public half. `wished` is what the roots were asked for when it was made."""

    id: str
    account: str
    kind: Kind
    public_key: bytes
    wished: Appointment
    created_at: InstantMs
    retired_at: InstantMs | None


def keep_person_key(session: Session, ctx: Context, *, sealed_seed: bytes, wished: Appointment) -> PersonKeyView:
    """Keep a key that was made for the acting account.

    Raises Refused: not_found (the area), too_many (of one kind at once).
    """
    place_for(session, ctx, wished.area, Permission.KEY_OWN)
    mine = session.exec(
        select(PersonKey.id).where(
            PersonKey.account == ctx.account, PersonKey.kind == int(wished.kind), col(PersonKey.retired_at).is_(None)
        )
    ).all()
    if len(mine) >= MOST_OF_ONE_KIND:
        raise Refused("too_many", field="keys", limit=MOST_OF_ONE_KIND)
    row = PersonKey(
        id=key_id(wished.public_key).hex(), account=ctx.account, kind=int(wished.kind), public_key=wished.public_key,
        sealed_seed=sealed_seed, wished=encode(wished), created_at=ctx.now,
    )  # fmt: skip
    session.add(row)
    note_deed(session, ctx, "make_key", "person_key", row.id, detail=f"{wished.kind.name.lower()} {wished.area}")
    session.flush()
    return _view(row)


def list_person_keys(session: Session, *, account: str | None = None) -> tuple[PersonKeyView, ...]:
    """Public halves, oldest first; of one account where it is given."""
    query = select(PersonKey).order_by(col(PersonKey.created_at), col(PersonKey.id))
    if account is not None:
        query = query.where(PersonKey.account == account)
    return tuple(_view(row) for row in session.exec(query))


def keys_seen(session: Session, ctx: Context, *, account: str | None = None) -> tuple[PersonKeyView, ...]:
    """As `list_person_keys`, those for places that whoever acts sees; a wider area's concern them too."""
    views = list_person_keys(session, account=account)
    return tuple(view for view in views if ctx.may.sees(Permission.ALERT_READ, around=[view.wished.area]))


def own_key(session: Session, ctx: Context, key: str) -> PersonKeyView:
    """One of the acting account's. Raises Refused(not_found), for others' keys too."""
    return _view(_own(session, ctx, key))


def sealed_seed_of(session: Session, ctx: Context, key: str, *, kind: Kind | None = None) -> bytes:
    """What the passphrase opens, of a key of the acting account.

    kind: what it is to approve. Raises Refused(not_found, key_retired, drill_mismatch).
    """
    row = _own(session, ctx, key)
    if kind is not None and row.kind != int(kind):
        raise Refused("drill_mismatch", field="key", reason=f"signs {Kind(row.kind).name.lower()} only")
    if row.retired_at is not None:
        raise Refused("key_retired", field="key", value=key)
    return row.sealed_seed


def sealed_seeds_of(session: Session, account: str) -> tuple[bytes, ...]:
    """Of all keys of an account that are not retired."""
    query = select(PersonKey.sealed_seed).where(PersonKey.account == account, col(PersonKey.retired_at).is_(None))
    return tuple(session.exec(query))


def seal_anew(session: Session, ctx: Context, key: str, *, before: bytes, after: bytes) -> PersonKeyView:
    """Another passphrase. Raises Refused(not_found, key_retired, content_changed where somebody was quicker)."""
    if sealed_seed_of(session, ctx, key) != before:
        raise Refused("content_changed", field="key")
    row = _own(session, ctx, key)
    row.sealed_seed = after
    session.add(row)
    note_deed(session, ctx, "change_passphrase", "person_key", key)
    session.flush()
    return _view(row)


def retire_person_key(session: Session, ctx: Context, key: str) -> PersonKeyView:
    """Destroy the private half. Doing it twice changes nothing. The roots must still revoke its appointments.

    Raises Refused(not_found).
    """
    row = _own(session, ctx, key)
    if row.retired_at is None:
        row.retired_at, row.sealed_seed = ctx.now, b""
        session.add(row)
        note_deed(session, ctx, "retire_key", "person_key", key)
        session.flush()
    return _view(row)


def appointments_of(key: PersonKeyView, appointments: Collection[Appointment]) -> tuple[Appointment, ...]:
    """Those that the roots signed for this key."""
    return tuple(one for one in appointments if one.public_key == key.public_key)


def revocation_of(key: PersonKeyView, appointments: Collection[Appointment], now_ms: InstantMs) -> Revocation:
    """What the roots should sign once a key is retired: the key itself, and all that it was appointed to."""
    ids = [one.id for one in appointments_of(key, appointments)]
    return Revocation(ids=(key_id(key.public_key), *ids[:255]), at=now_ms, reason=f"{key.account} retired this key")


def _own(session: Session, ctx: Context, key: str) -> PersonKey:
    row = session.get(PersonKey, key)
    if row is None or row.account != ctx.account:
        raise Refused("not_found", field="key", value=key[:100])
    return row


def _view(row: PersonKey) -> PersonKeyView:
    wished = decode(row.wished)
    if not isinstance(wished, Appointment):
        raise Fault("internal", value=row.id)
    return PersonKeyView(
        id=row.id,
        account=row.account,
        kind=Kind(row.kind),
        public_key=row.public_key,
        wished=wished,
        created_at=InstantMs(row.created_at),
        retired_at=None if row.retired_at is None else InstantMs(row.retired_at),
    )
