"""The province's trust document: appointments and revocations that the roots signed, mandates renewed daily."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from sqlmodel import Session

from controller.services.context import Context, Outgoing, note_deed
from controller.services.documents import issue_document
from controller.tables import StateDocument
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.envelope import open_sealed
from devices.protocol.refusal import RefusalReason, WireRefusal
from devices.protocol.renewal import RENEW_AFTER_MS, read_appointment, read_revocation, trust_document
from devices.protocol.topics import AreaChannel
from devices.protocol.trust import Appointment, Power, RootSet, Trust
from loa.units import InstantMs

ROOTS = "roots"
"""Who did what the roots signed, in the record."""


def renew_trust(
    session: Session,
    ctx: Context,
    *,
    appointments: Sequence[bytes],
    revocations: Sequence[bytes] = (),
    root_sets: Sequence[bytes] = (),
    roots: RootSet | None = None,
) -> Outgoing:
    """Issue the trust document where its parts changed, or where its mandates are a day old.

    roots: those in office, to check it by before it goes out. Raises WireRefusal where nodes would refuse all of it.
    """
    row = session.get(StateDocument, (str(ctx.province), str(AreaChannel.TRUST)))
    parts = [
        b"\0".join(hashlib.sha256(part).digest() for part in group) for group in (appointments, revocations, root_sets)
    ]

    def signed(version: int) -> bytes:
        payload = trust_document(
            area=ctx.province, version=version, now_ms=ctx.now, key=ctx.keys, appointments=appointments,
            revocations=revocations, root_sets=root_sets,
        )  # fmt: skip
        if roots is not None:
            _authority(payload, roots)  # and the first emergency after it finds it read
        return payload

    aged = row is not None and ctx.now - row.issued_at >= RENEW_AFTER_MS
    before = None if row is None else open_sealed(row.payload).message
    document = issue_document(
        session, ctx, ctx.province, AreaChannel.TRUST, b"|".join(parts), signed=signed, force=aged
    )
    if document is not None:
        _note_what_is_new(session, ctx, before, open_sealed(document.payload).message)
    return Outgoing(documents=(document,) if document else ())


def authority_in_force(session: Session, ctx: Context, roots: RootSet) -> Authority:
    """Who may do what by the trust document that was issued last: what a node that has it believes.

    Raises WireRefusal(untrusted_key) before the first one.
    """
    row = session.get(StateDocument, (str(ctx.province), str(AreaChannel.TRUST)))
    if row is None:
        raise WireRefusal(RefusalReason.UNTRUSTED_KEY, "no trust document was issued yet")
    return _authority(row.payload, roots)


@lru_cache(maxsize=4)
def _authority(payload: bytes, roots: RootSet) -> Authority:
    return accept_trust(payload, Authority.pinned(roots), None)


def _note_what_is_new(session: Session, ctx: Context, before: object, after: object) -> None:
    """What the roots did is on the record as soon as it goes out: above all who may release an emergency alone."""
    held = before if isinstance(before, Trust) else None
    if not isinstance(after, Trust):
        return
    for payload in after.root_sets:
        if held is None or payload not in held.root_sets:
            roots = open_sealed(payload).message
            if isinstance(roots, RootSet):
                detail = f"{roots.threshold} of {len(roots.roots)} must sign"
                note_deed(
                    session, _by_roots(ctx, payload), "replace_roots", "root_set", str(roots.version), detail=detail
                )
    known = {read_appointment(payload).id for payload in (held.appointments if held else ())}
    for payload in after.appointments:
        one = read_appointment(payload)
        if one.id not in known:
            note_deed(
                session, _by_roots(ctx, payload), "appoint", "appointment", one.id.hex(), detail=appointment_detail(one)
            )
    known_bodies = {read_revocation(payload) for payload in (held.revocations if held else ())}
    for payload in after.revocations:
        revocation = read_revocation(payload)
        if revocation not in known_bodies:
            for gone in revocation.ids:
                note_deed(
                    session, _by_roots(ctx, payload), "revoke", "appointment", gone.hex(), detail=revocation.reason
                )


def _by_roots(ctx: Context, payload: bytes) -> Context:
    """For the record: this was done by who holds the roots, under the roots' keys."""
    keys = b"".join(one.key_id for one in open_sealed(payload).signatures)
    return replace(ctx, account=ROOTS, key_id=keys)


def appointment_detail(one: Appointment) -> str:
    """Who may do what where, in a line."""
    powers = ",".join((power.name or "").lower() for power in Power if power & one.powers)
    alone = ", ALONE" if one.sole else ""
    return f"{one.holder}: {powers} in {one.area} up to {one.ceiling.name.lower()}, {one.kind.name.lower()}{alone}"


def trust_renewal_due(session: Session, ctx: Context) -> InstantMs | None:
    """When the mandates should be renewed next; None before the first trust document."""
    row = session.get(StateDocument, (str(ctx.province), str(AreaChannel.TRUST)))
    return None if row is None else InstantMs(row.issued_at + RENEW_AFTER_MS)
