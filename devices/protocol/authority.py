"""Who may sign what, as far as this node or controller knows: pinned roots, and the trust document they lead to.

Values in, values out. `Authority.pinned` is where a box starts; `accept_trust` gives the next authority;
`Authority.in_force` answers whether a key may do something now.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from devices.protocol import cbor, cose
from devices.protocol.envelope import decode, encode, open_sealed
from devices.protocol.grants import Grant, grant_of
from devices.protocol.keys import key_id
from devices.protocol.refusal import Malformed, RefusalReason, Repeat, WireRefusal
from devices.protocol.roots import check_roots, newest_roots
from devices.protocol.trust import (
    LONGEST_APPOINTMENT_MS,
    Appointment,
    Mandate,
    Power,
    Revocation,
    RootSet,
    Trust,
)
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs, KeyId

MAX_TRUST_BYTES = 1024 * 1024
NO_FLOOR = InstantMs(0)


@dataclass(frozen=True)
class Authority:
    """What is trusted. `version` is 0 until a trust document was accepted."""

    pinned_roots: RootSet
    roots: RootSet
    version: int = 0
    area: AreaPath | None = None
    issued_at: InstantMs = InstantMs(0)
    document: bytes = b""
    """The accepted trust document as it came."""
    appointments: Mapping[KeyId, tuple[Appointment, ...]] = field(default_factory=dict)
    grants: Mapping[KeyId, tuple[Grant, ...]] = field(default_factory=dict)
    revoked: Mapping[bytes, InstantMs] = field(default_factory=dict)
    """Revoked appointments, mandates and keys, and until when each is kept."""

    @classmethod
    def pinned(cls, root_set: RootSet) -> "Authority":
        """What a box knows before it has seen any trust document."""
        return cls(pinned_roots=root_set, roots=root_set)

    def public_key(self, signer: KeyId) -> bytes:
        """The key behind a key id. Raises WireRefusal(untrusted_key)."""
        appointments = self.appointments.get(signer)
        if not appointments:
            raise WireRefusal(RefusalReason.UNTRUSTED_KEY, f"no appointment for key {signer.hex()}")
        return appointments[0].public_key

    def check_signature(self, signature: cose.Signature) -> KeyId:
        """The signer's key id. Raises WireRefusal(untrusted_key or bad_signature)."""
        if not signature.holds_under(self.public_key(signature.key_id)):
            raise WireRefusal(RefusalReason.BAD_SIGNATURE, f"does not hold under key {signature.key_id.hex()}")
        return signature.key_id

    def in_force(
        self,
        signer: KeyId,
        *,
        power: Power,
        now_ms: InstantMs,
        area: AreaPath | None = None,
        precedence: Precedence | None = None,
        kind: Kind | None = None,
    ) -> Grant:
        """The grant by which `signer` may do this now; what is None is not asked about. Raises as `grants_in_force`."""
        areas = () if area is None else (area,)
        return self.grants_in_force(signer, power=power, now_ms=now_ms, areas=areas, precedence=precedence, kind=kind)[
            0
        ]

    def grants_in_force(
        self,
        signer: KeyId,
        *,
        power: Power,
        now_ms: InstantMs,
        areas: Sequence[AreaPath] = (),
        precedence: Precedence | None = None,
        kind: Kind | None = None,
    ) -> tuple[Grant, ...]:
        """All grants, each of which alone covers all of this now.

        Raises WireRefusal: untrusted_key (never appointed), revoked, expired (no mandate in date),
        mandate_exceeded (power, area or precedence) or drill_mismatch (the key signs the other kind).
        """
        appointed = self.appointments.get(signer)
        if not appointed:
            raise WireRefusal(RefusalReason.UNTRUSTED_KEY, f"no appointment for key {signer.hex()}")
        nearest = self._without_mandate(signer, appointed)
        found: list[Grant] = []
        for grant in self.grants.get(signer, ()):
            refusal = self._why_not(grant, power, now_ms, areas=areas, precedence=precedence, kind=kind)
            if refusal is None:
                found.append(grant)
            elif NEARNESS[refusal.reason] > NEARNESS[nearest.reason]:
                nearest = refusal
        if not found:
            raise nearest
        return tuple(found)

    def is_revoked(self, *ids: bytes) -> bool:
        return any(one in self.revoked for one in ids)

    def _without_mandate(self, signer: KeyId, appointed: Iterable[Appointment]) -> WireRefusal:
        if all(self.is_revoked(signer, one.id) for one in appointed):
            return WireRefusal(RefusalReason.REVOKED, f"key {signer.hex()} is revoked")
        return WireRefusal(RefusalReason.EXPIRED, f"no mandate in force for key {signer.hex()}")

    def _why_not(
        self,
        grant: Grant,
        power: Power,
        now_ms: InstantMs,
        *,
        areas: Sequence[AreaPath],
        precedence: Precedence | None,
        kind: Kind | None,
    ) -> WireRefusal | None:
        if self.is_revoked(grant.key_id, grant.appointment, grant.mandate):
            return WireRefusal(RefusalReason.REVOKED, f"{grant.holder}: revoked")
        if not grant.not_before <= now_ms < grant.until:
            return WireRefusal(RefusalReason.EXPIRED, f"{grant.holder}: the mandate is not in date")
        if power not in grant.powers:
            return WireRefusal(RefusalReason.MANDATE_EXCEEDED, f"{grant.holder}: no power to {power.name}")
        beyond = [str(area) for area in areas if not grant.area.covers(area)]
        if beyond:
            words = f"{grant.holder}: {grant.area} does not cover {beyond[0]}"
            return WireRefusal(RefusalReason.MANDATE_EXCEEDED, words)
        if kind is not None and kind is not grant.kind:
            return WireRefusal(RefusalReason.DRILL_MISMATCH, f"{grant.holder}: signs {grant.kind.name.lower()} only")
        if precedence is not None and precedence > grant.ceiling:
            return WireRefusal(RefusalReason.MANDATE_EXCEEDED, f"{grant.holder}: up to {grant.ceiling.name.lower()}")
        return None

    def kept(self) -> bytes:
        """For the store: what `restored` needs."""
        revoked = [[one, until] for one, until in sorted(self.revoked.items())]
        return cbor.dumps([encode(self.pinned_roots), self.document, revoked, encode(self.roots)])

    @classmethod
    def restored(cls, data: bytes, pinned: RootSet) -> "Authority":
        """From the store; the document is checked again, its dates apart. Raises WireRefusal.

        It is checked by the roots that were followed to: its own links may begin beyond the pinned ones.
        What was kept under other pinned roots (a box enrolled anew) is forgotten: the result is `pinned(pinned)`.
        """
        kept_roots, document, revoked, roots = _read_kept(data)
        if kept_roots != encode(pinned):
            return cls.pinned(pinned)
        authority = replace(cls.pinned(pinned), revoked=MappingProxyType(revoked), roots=roots or pinned)
        if not document:
            return authority
        return _accepted(document, authority, now_ms=None, own_memory=True)


NEARNESS = {
    RefusalReason.UNTRUSTED_KEY: 0,
    RefusalReason.EXPIRED: 1,
    RefusalReason.REVOKED: 2,
    RefusalReason.MANDATE_EXCEEDED: 3,
    RefusalReason.DRILL_MISMATCH: 4,
}
"""Of several refusals the one that came nearest to being obeyed is told."""


def accept_trust(
    payload: bytes,
    authority: Authority,
    now_ms: InstantMs | None,
    *,
    retained: bool = True,  # noqa: ARG001  state documents are retained on purpose: both ways count alike
    floor_ms: InstantMs = NO_FLOOR,
    here: AreaPath | None = None,
) -> Authority:
    """The authority after this trust document.

    `now_ms` is the trusted time; where it is None the document's own instant serves, but not one below the floor.
    `here`: where the node is placed. Raises WireRefusal: malformed, rollback, untrusted_key (too few roots, or an
    issuer not appointed), bad_signature, expired, revoked, mandate_exceeded (an issuer without the power to renew),
    wrong_target (a document of elsewhere, which would put those who serve here out of office); Repeat for the very
    document that is held.
    """
    after = _accepted(payload, authority, now_ms, floor_ms=floor_ms)
    if here is not None and after.area is not None and not after.area.covers(here):
        raise WireRefusal(RefusalReason.WRONG_TARGET, f"the trust document of {after.area}, and this is {here}")
    return after


def _accepted(
    payload: bytes,
    authority: Authority,
    now_ms: InstantMs | None,
    *,
    floor_ms: InstantMs = NO_FLOOR,
    own_memory: bool = False,
) -> Authority:
    if payload == authority.document and payload:
        raise Repeat("the trust document that is held")
    sealed = open_sealed(payload, max_bytes=MAX_TRUST_BYTES)
    trust = sealed.message
    if not isinstance(trust, Trust):
        raise Malformed("not a trust document")
    if trust.version <= authority.version:
        raise WireRefusal(RefusalReason.ROLLBACK, f"version {trust.version}, held is {authority.version}")
    roots = newest_roots(trust.root_sets, authority.roots)
    appointments = _appointments(trust.appointments, roots)
    revoked = _revoked(trust.revocations, roots, authority.revoked, appointments)
    issuer_at = now_ms if now_ms is not None else max(trust.issued_at, floor_ms)
    if own_memory:
        issuer_at = trust.issued_at
    after = Authority(
        pinned_roots=authority.pinned_roots,
        roots=roots,
        version=trust.version,
        area=trust.area,
        issued_at=trust.issued_at,
        document=payload,
        appointments=MappingProxyType(appointments),
        grants=MappingProxyType(_grants(trust.mandates, appointments, revoked)),
        revoked=MappingProxyType(_still_kept(revoked, issuer_at)),
    )
    signer = after.check_signature(sealed.signature)
    if not own_memory:
        after.in_force(signer, power=Power.RENEW, area=trust.area, now_ms=issuer_at)
    return after


def _appointments(sealed_ones: Iterable[bytes], roots: RootSet) -> dict[KeyId, tuple[Appointment, ...]]:
    found: dict[KeyId, tuple[Appointment, ...]] = {}
    ids: set[bytes] = set()
    for payload in sealed_ones:
        sealed = open_sealed(payload, max_bytes=2048)
        one = sealed.message
        if not isinstance(one, Appointment):
            raise Malformed("not an appointment")
        check_roots(sealed.signatures, roots)
        if one.id in ids:
            raise Malformed("an appointment is listed twice")
        ids.add(one.id)
        key = key_id(one.public_key)
        others = found.get(key, ())
        if others and (others[0].public_key != one.public_key or others[0].kind is not one.kind):
            raise Malformed("two keys of one id, or one key for live and drill")
        found[key] = (*others, one)
    return found


def _revoked(
    sealed_ones: Iterable[bytes],
    roots: RootSet,
    held: Mapping[bytes, InstantMs],
    appointments: Mapping[KeyId, tuple[Appointment, ...]],
) -> dict[bytes, InstantMs]:
    ends = {one.id: one.until for several in appointments.values() for one in several}
    revoked = dict(held)
    for payload in sealed_ones:
        sealed = open_sealed(payload, max_bytes=8192)
        if not isinstance(sealed.message, Revocation):
            raise Malformed("not a revocation")
        check_roots(sealed.signatures, roots)
        for one in sealed.message.ids:
            # The longest that anything under this id could last, whether or not its appointment is known here.
            end = InstantMs(max(sealed.message.at + 2 * LONGEST_APPOINTMENT_MS, ends.get(one, 0)))
            revoked[one] = max(revoked.get(one, InstantMs(0)), end)
    return revoked


def _still_kept(revoked: Mapping[bytes, InstantMs], now_ms: InstantMs) -> dict[bytes, InstantMs]:
    return {one: until for one, until in revoked.items() if until > now_ms}


def _grants(
    sealed_ones: Iterable[bytes],
    appointments: Mapping[KeyId, tuple[Appointment, ...]],
    revoked: Mapping[bytes, InstantMs],
) -> dict[KeyId, tuple[Grant, ...]]:
    by_id = {one.id: one for several in appointments.values() for one in several}
    grants: dict[KeyId, tuple[Grant, ...]] = {}
    for payload in sealed_ones:
        sealed = open_sealed(payload, max_bytes=512)
        mandate = sealed.message
        if not isinstance(mandate, Mandate):
            raise Malformed("not a mandate")
        appointment = by_id.get(mandate.appointment)
        if appointment is None or not _within(mandate, appointment):
            continue  # a wider one counts as no mandate
        if not _may_renew(sealed.signature, mandate, appointments, revoked):
            continue
        grant = grant_of(mandate, appointment)
        grants[grant.key_id] = (*grants.get(grant.key_id, ()), grant)
    return grants


def _within(mandate: Mandate, appointment: Appointment) -> bool:
    return (
        mandate.ceiling <= appointment.ceiling
        and appointment.area.covers(mandate.area)
        and appointment.not_before <= mandate.not_before
        and mandate.until <= appointment.until
    )


def _may_renew(
    signature: cose.Signature,
    mandate: Mandate,
    appointments: Mapping[KeyId, tuple[Appointment, ...]],
    revoked: Mapping[bytes, InstantMs],
) -> bool:
    """Whether the mandate's signer was appointed to renew there, for the whole of the mandate, and is not revoked."""
    for renewer in appointments.get(signature.key_id, ()):
        if (
            Power.RENEW in Power(renewer.powers)
            and renewer.area.covers(mandate.area)
            and renewer.not_before <= mandate.not_before < renewer.until
            and renewer.id not in revoked
            and signature.key_id not in revoked
        ):
            if not signature.holds_under(renewer.public_key):
                raise WireRefusal(RefusalReason.BAD_SIGNATURE, f"mandate {mandate.id.hex()}")
            return True
    return False


def _read_kept(data: bytes) -> tuple[bytes, bytes, dict[bytes, InstantMs], RootSet | None]:
    """The last is None in what was kept before it was kept."""
    raw = cbor.loads(data, max_bytes=2 * MAX_TRUST_BYTES)
    if not isinstance(raw, list) or len(raw) not in (3, 4):
        raise Malformed("not a kept authority")
    roots, document, revoked = raw[:3]
    reached = decode(raw[3]) if len(raw) == 4 and isinstance(raw[3], bytes) else None
    if not isinstance(roots, bytes) or not isinstance(document, bytes) or not isinstance(revoked, list):
        raise Malformed("not a kept authority")
    ids: dict[bytes, InstantMs] = {}
    for item in revoked:
        if not isinstance(item, list) or len(item) != 2 or type(item[0]) is not bytes or type(item[1]) is not int:
            raise Malformed("not a kept authority")
        ids[item[0]] = InstantMs(item[1])
    if not isinstance(decode(roots), RootSet):
        raise Malformed("not a kept authority")
    return roots, document, ids, reached if isinstance(reached, RootSet) else None


def fingerprint(payload: bytes) -> bytes:
    """16 bytes that tell one payload from another."""
    return hashlib.sha256(payload).digest()[:16]
