"""Orders given by local input: made at the station, judged at each node. Pure, and no centre in it."""

from devices.protocol.authority import Authority
from devices.protocol.envelope import Sealed, open_sealed, seal
from devices.protocol.grants import Grant
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.local import LONGEST_LOCAL_MS, MAX_MANDATE_BYTES, LocalMark, StationMandate
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import Malformed, RefusalReason, WireRefusal
from devices.protocol.roots import check_roots
from devices.protocol.topics import PREFIX
from devices.protocol.trust import Power, RootSet
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import DurationMs, Id16, InstantMs

LOCAL_TOPIC = f"{PREFIX}/local/order"
"""Of what a local input gives; no broker has it, and what comes from a broker under it does not count."""
START_AFTER_MS = 500
"""All on a line begin together, and nothing of the beginning is lost."""


def read_mandate(payload: bytes) -> StationMandate:
    """Unchecked. Raises Malformed."""
    return _mandate(open_sealed(payload, max_bytes=MAX_MANDATE_BYTES))


def open_mandate(payload: bytes, roots: RootSet) -> StationMandate:
    """As the roots signed it. Raises WireRefusal(malformed, untrusted_key, bad_signature)."""
    sealed = open_sealed(payload, max_bytes=MAX_MANDATE_BYTES)
    check_roots(sealed.signatures, roots)
    return _mandate(sealed)


def local_play(  # noqa: PLR0917 - what an order says
    key: SigningKey, mandate: bytes, siren: int, id_: Id16, now: InstantMs, lasts_ms: int = LONGEST_LOCAL_MS
) -> bytes:
    """A stored message, again and again until it is ended or over. Sealed."""
    area, kind = _of(mandate)
    order = Order(
        id=id_, action=OrderAction.PLAY, areas=(area,), precedence=Precedence.EMERGENCY, kind=kind, issued_at=now,
        start_at=InstantMs(now + START_AFTER_MS), expires_at=InstantMs(now + min(lasts_ms, LONGEST_LOCAL_MS)),
        siren=siren, repeats=0,
        gap_ms=DurationMs(2000), station=mandate,
    )  # fmt: skip
    return seal(order, key)


def local_stop(key: SigningKey, mandate: bytes, subject: Id16, id_: Id16, now: InstantMs) -> bytes:
    """Ends what was sounded locally, and nothing else. Sealed."""
    area, kind = _of(mandate)
    order = Order(
        id=id_, action=OrderAction.STOP, areas=(area,), precedence=Precedence.EMERGENCY, kind=kind, issued_at=now,
        start_at=now, expires_at=InstantMs(now + LONGEST_LOCAL_MS), subject=subject, station=mandate,
    )  # fmt: skip
    return seal(order, key)


def check_station(sealed: Sealed, order: Order, authority: Authority) -> Grant:
    """By which mandate a local order was signed; whether that covers it is `check_local`.

    Raises WireRefusal: malformed, untrusted_key, bad_signature.
    """
    assert order.station is not None
    mandate = open_mandate(order.station, authority.roots)
    signer = key_id(mandate.public_key)
    if sealed.signature.key_id != signer:
        raise WireRefusal(RefusalReason.UNTRUSTED_KEY, "signed by another key than its station's")
    if not sealed.signature.holds_under(mandate.public_key):
        raise WireRefusal(RefusalReason.BAD_SIGNATURE, f"does not hold under the key of {mandate.holder}")
    return Grant(
        key_id=signer, public_key=mandate.public_key, holder=mandate.holder, appointment=mandate.id,
        mandate=mandate.id, powers=Power(0), ceiling=Precedence.EMERGENCY, area=mandate.area, kind=mandate.kind,
        not_before=mandate.not_before, until=mandate.until, appointed_area=mandate.area, sole=False,
    )  # fmt: skip


def check_local(order: Order, grant: Grant, authority: Authority, now_ms: InstantMs) -> None:
    """Its commune only, its kind only, in date, not revoked, freshly given.

    Raises WireRefusal: revoked, expired, mandate_exceeded, drill_mismatch.
    """
    if authority.is_revoked(*grant.basis):
        raise WireRefusal(RefusalReason.REVOKED, f"{grant.holder}: revoked")
    if not grant.not_before <= now_ms < grant.until:
        raise WireRefusal(RefusalReason.EXPIRED, f"{grant.holder}: the mandate is not in date")
    if not all(grant.area.covers(area) for area in order.areas):
        raise WireRefusal(RefusalReason.MANDATE_EXCEEDED, f"{grant.holder}: {grant.area} alone")
    if order.kind is not grant.kind:
        raise WireRefusal(RefusalReason.DRILL_MISMATCH, f"{grant.holder}: signs {grant.kind.name.lower()} only")
    if order.issued_at > now_ms + LONGEST_LOCAL_MS:
        raise WireRefusal(RefusalReason.EXPIRED, "made by a clock that is far ahead")


def mark_of(order: Order, grant: Grant) -> LocalMark:
    """What is told of it."""
    return LocalMark(
        key=grant.key_id, mandate=grant.mandate, holder=grant.holder, area=order.areas[0], kind=order.kind,
        siren=order.siren, repeats=order.repeats, expires_at=order.expires_at, ends=order.subject,
    )  # fmt: skip


def _mandate(sealed: Sealed) -> StationMandate:
    if not isinstance(sealed.message, StationMandate):
        raise Malformed(f"a {type(sealed.message).__name__} where a station's mandate belongs")
    return sealed.message


def _of(mandate: bytes) -> tuple[AreaPath, Kind]:
    one = read_mandate(mandate)
    return one.area, one.kind
