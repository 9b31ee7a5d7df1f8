"""The province's trust document: appointments and revocations that the roots signed, mandates renewed daily."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from sqlmodel import Session

from controller.services.context import Context, Outgoing
from controller.services.documents import issue_document
from controller.tables import StateDocument
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.refusal import RefusalReason, WireRefusal
from devices.protocol.renewal import RENEW_AFTER_MS, trust_document
from devices.protocol.topics import AreaChannel
from devices.protocol.trust import RootSet
from loa.units import InstantMs


def renew_trust(
    session: Session,
    ctx: Context,
    *,
    appointments: Sequence[bytes],
    revocations: Sequence[bytes] = (),
    root_sets: Sequence[bytes] = (),
) -> Outgoing:
    """Issue the trust document where its parts changed, or where its mandates are a day old. Raises WireRefusal."""
    row = session.get(StateDocument, (str(ctx.province), str(AreaChannel.TRUST)))
    parts = [
        b"\0".join(hashlib.sha256(part).digest() for part in group) for group in (appointments, revocations, root_sets)
    ]

    def signed(version: int) -> bytes:
        return trust_document(
            area=ctx.province, version=version, now_ms=ctx.now, key=ctx.keys, appointments=appointments,
            revocations=revocations, root_sets=root_sets,
        )  # fmt: skip

    aged = row is not None and ctx.now - row.issued_at >= RENEW_AFTER_MS
    document = issue_document(
        session, ctx, ctx.province, AreaChannel.TRUST, b"|".join(parts), signed=signed, force=aged
    )
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


def trust_renewal_due(session: Session, ctx: Context) -> InstantMs | None:
    """When the mandates should be renewed next; None before the first trust document."""
    row = session.get(StateDocument, (str(ctx.province), str(AreaChannel.TRUST)))
    return None if row is None else InstantMs(row.issued_at + RENEW_AFTER_MS)
