"""The signing side of trust, for the controller: mandates renewed inside appointments, and the document of all."""

import hashlib
from collections.abc import Iterable, Sequence

from devices.protocol.envelope import open_sealed, seal
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.refusal import Malformed
from devices.protocol.roots import check_roots
from devices.protocol.trust import (
    LONGEST_APPOINTMENT_MS,
    LONGEST_MANDATE_MS,
    Appointment,
    Mandate,
    Revocation,
    RootSet,
    Trust,
)
from loa.names import AreaPath
from loa.units import InstantMs

BACKDATED_MS = 3_600_000
"""A mandate begins an hour ago, so that a box whose clock lags a little takes it at once."""
KEPT_AFTER_MS = 30 * 86_400_000
"""An appointment that has ended is listed for so long, so that nodes say `expired` of its key and not `untrusted`."""
MOST_LINKS = 16
"""Of the chain of root sets, the newest: a box that slept through more of them must be enrolled anew."""
RENEW_AFTER_MS = 86_400_000
"""Renew daily, so that a mandate always has days to run."""


def next_version(last: int, now_ms: InstantMs) -> int:
    """The version of the next state document: max(last + 1, instant of issue)."""
    return max(last + 1, now_ms)


def read_appointment(payload: bytes, roots: RootSet | None = None) -> Appointment:
    """A signed appointment, checked against the roots where they are given. Raises WireRefusal."""
    sealed = open_sealed(payload, max_bytes=2048)
    if not isinstance(sealed.message, Appointment):
        raise Malformed("not an appointment")
    if roots is not None:
        check_roots(sealed.signatures, roots)
    return sealed.message


def read_revocation(payload: bytes, roots: RootSet | None = None) -> Revocation:
    """A signed revocation, checked against the roots where they are given. Raises WireRefusal."""
    sealed = open_sealed(payload, max_bytes=8192)
    if not isinstance(sealed.message, Revocation):
        raise Malformed("not a revocation")
    if roots is not None:
        check_roots(sealed.signatures, roots)
    return sealed.message


def renewed_mandate(
    appointment: Appointment, key: SigningKey, now_ms: InstantMs, life_ms: int = LONGEST_MANDATE_MS
) -> bytes | None:
    """A mandate over the whole of the appointment, signed by `key`; None where the appointment is not in date."""
    not_before = max(now_ms - BACKDATED_MS, appointment.not_before)
    until = min(not_before + min(life_ms, LONGEST_MANDATE_MS), appointment.until)
    if not not_before <= now_ms < until:
        return None
    mandate = Mandate(
        id=hashlib.sha256(appointment.id + key.key_id + not_before.to_bytes(8, "big")).digest()[:8],
        appointment=appointment.id,
        ceiling=appointment.ceiling,
        area=appointment.area,
        not_before=InstantMs(not_before),
        until=InstantMs(until),
    )
    return seal(mandate, key)


def renewed_mandates(
    appointments: Iterable[bytes], key: SigningKey, now_ms: InstantMs, *, revoked: Iterable[bytes] = ()
) -> tuple[bytes, ...]:
    """Mandates of all appointments (as signed) that are in date and not revoked, nor their keys."""
    gone = set(revoked)
    read = (read_appointment(payload) for payload in appointments)
    mandates = (
        renewed_mandate(one, key, now_ms) for one in read if one.id not in gone and key_id(one.public_key) not in gone
    )
    return tuple(mandate for mandate in mandates if mandate is not None)


def trust_document(
    *,
    area: AreaPath,
    version: int,
    now_ms: InstantMs,
    key: SigningKey,
    appointments: Sequence[bytes],
    revocations: Sequence[bytes] = (),
    root_sets: Sequence[bytes] = (),
) -> bytes:
    """The province's trust document, with fresh mandates, signed by `key` (which must be appointed to renew).

    What ended long ago is left out: it could fill the document, and there is nothing left that it could do.
    """
    appointments = [one for one in appointments if read_appointment(one).until > now_ms - KEPT_AFTER_MS]
    revocations = [one for one in revocations if read_revocation(one).at > now_ms - 2 * LONGEST_APPOINTMENT_MS]
    revoked = [one for payload in revocations for one in read_revocation(payload).ids]
    trust = Trust(
        area=area,
        version=version,
        issued_at=now_ms,
        root_sets=tuple(root_sets)[-MOST_LINKS:],
        appointments=tuple(appointments),
        mandates=renewed_mandates(appointments, key, now_ms, revoked=revoked),
        revocations=tuple(revocations),
    )
    return seal(trust, key)
