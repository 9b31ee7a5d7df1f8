"""Roots: whether enough of them signed, and which set followed which."""

from collections.abc import Iterable

from devices.protocol import cose
from devices.protocol.envelope import open_sealed
from devices.protocol.keys import key_id
from devices.protocol.refusal import Malformed, RefusalReason, WireRefusal
from devices.protocol.trust import RootSet


def newest_roots(chain: Iterable[bytes], held: RootSet) -> RootSet:
    """Follow the chain of root sets: each is signed by the threshold of the one before, and by its own.

    Raises WireRefusal: malformed, untrusted_key, bad_signature.
    """
    current = held
    for link in chain:
        sealed = open_sealed(link, max_bytes=4096)
        if not isinstance(sealed.message, RootSet):
            raise Malformed("not a root set")
        if sealed.message.version <= current.version:
            continue
        if sealed.message.version != current.version + 1:
            raise WireRefusal(RefusalReason.UNTRUSTED_KEY, "a link of the chain of root sets is missing")
        check_roots(sealed.signatures, current)
        check_roots(sealed.signatures, sealed.message)
        current = sealed.message
    return current


def check_roots(signatures: Iterable[cose.Signature], roots: RootSet) -> None:
    """Whether enough roots signed. Raises WireRefusal(bad_signature or untrusted_key).

    A sealed root counts only together with one that is not sealed. Signatures under keys that are no roots of
    this set are passed over; one under a root's name that does not hold refuses the whole.
    """
    known = {key_id(root.public_key): root for root in roots.roots}
    signed: dict[bytes, bool] = {}
    for signature in signatures:
        root = known.get(signature.key_id)
        if root is None:
            continue
        if not signature.holds_under(root.public_key):
            raise WireRefusal(RefusalReason.BAD_SIGNATURE, f"does not hold under root {signature.key_id.hex()}")
        signed[root.public_key] = root.sealed
    if all(signed.values()):  # none at all, or sealed ones alone
        raise WireRefusal(RefusalReason.UNTRUSTED_KEY, "signed by no root that is in use")
    if len(signed) < roots.threshold:
        raise WireRefusal(RefusalReason.UNTRUSTED_KEY, f"{len(signed)} roots signed, {roots.threshold} are needed")
