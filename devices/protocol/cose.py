"""COSE_Sign1 and COSE_Sign (RFC 9052 sections 4.1 and 4.2) with EdDSA, and nothing else of COSE."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cbor2

from devices.protocol import cbor
from devices.protocol.keys import SigningKey, signature_holds
from devices.protocol.refusal import Malformed
from loa.units import KeyId

_ALG, _KID, _EDDSA = 1, 4, -8
TAG_SIGN, TAG_SIGN1 = 98, 18
_SIGNATURE1 = b"\x84\x6aSignature1"
"""An array of four that begins with this text."""
_SIGN1, _NO_HEADER, _OF_64 = b"\xd2\x84", b"\xa0", b"\x58\x40"
"""How a COSE_Sign1 begins; an empty map; the head of 64 bytes."""
_EDDSA_BY = _SIGN1 + b"\x4d\xa2\x01\x27\x04\x48"
"""How every COSE_Sign1 of this wire begins, up to the eight bytes that name its key."""


@dataclass(frozen=True)
class Signature:
    """One signature: under which key it claims to be, and what it covers."""

    key_id: KeyId
    signature: bytes
    covered: bytes

    def holds_under(self, public_key: bytes) -> bool:
        return signature_holds(public_key, self.signature, self.covered)


@dataclass(frozen=True)
class Signed:
    """A payload with one signature (COSE_Sign1) or several (COSE_Sign), none of them checked yet."""

    payload: bytes
    signatures: tuple[Signature, ...]


@lru_cache(maxsize=256)
def _protected(key: KeyId) -> bytes:
    return cbor.dumps_in_order({_ALG: _EDDSA, _KID: key})


def _covered1(protected: bytes, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4, put together by hand: it is made for every message both ways."""
    return b"".join((_SIGNATURE1, cbor.head_of_bytes(len(protected)), protected, b"\x40",
                     cbor.head_of_bytes(len(payload)), payload))  # fmt: skip


def _covered(body_protected: bytes, protected: bytes, payload: bytes) -> bytes:
    return cbor.dumps_in_order(["Signature", body_protected, protected, b"", payload])


def sign1(payload: bytes, key: SigningKey) -> bytes:
    """A tagged COSE_Sign1 of `payload`."""
    protected = _protected(key.key_id)
    signature = key.sign(_covered1(protected, payload))
    return b"".join((_SIGN1, cbor.head_of_bytes(len(protected)), protected, _NO_HEADER,
                     cbor.head_of_bytes(len(payload)), payload, _OF_64, signature))  # fmt: skip


def sign1_detached(payload: bytes, key: SigningKey) -> bytes:
    """A tagged COSE_Sign1 of `payload` that leaves it out (RFC 9052 section 4.1: nil in its place)."""
    protected = _protected(key.key_id)
    return cbor.dumps_in_order(cbor2.CBORTag(TAG_SIGN1, [protected, {}, None, key.sign(_covered1(protected, payload))]))


def read_detached(data: bytes, payload: bytes, *, max_bytes: int) -> Signature:
    """Take a COSE_Sign1 over a `payload` that comes beside it apart. Raises Malformed; checks no signature."""
    tagged = cbor.loads(data, max_bytes=max_bytes)
    if not isinstance(tagged, cbor2.CBORTag) or tagged.tag != TAG_SIGN1 or not isinstance(tagged.value, list):
        raise Malformed("not a COSE_Sign1")
    if len(tagged.value) != 4 or tagged.value[1] != {} or tagged.value[2] is not None:
        raise Malformed("not a detached COSE_Sign1 of this wire")
    protected, signature = tagged.value[0], tagged.value[3]
    if not isinstance(protected, bytes):
        raise Malformed("not a detached COSE_Sign1 of this wire")
    return _signature(protected, signature, _covered1(protected, payload))


def sign(payload: bytes, keys: Sequence[SigningKey]) -> bytes:
    """A tagged COSE_Sign of `payload` under each of `keys`."""
    signers: list[object] = []
    for key in keys:
        protected = _protected(key.key_id)
        signers.append([protected, {}, key.sign(_covered(b"", protected, payload))])
    return cbor.dumps_in_order(cbor2.CBORTag(TAG_SIGN, [b"", {}, payload, signers]))


def joined(parts: Sequence[bytes], *, max_bytes: int) -> bytes:
    """One COSE_Sign from several of the same payload: each signer's first signature, in the order of key ids.

    A signature of a COSE_Sign does not cover the others, so those made in different places at different times come
    together. Raises Malformed; checks no signature.
    """
    signers: dict[bytes, list[object]] = {}
    payloads: set[bytes] = set()
    for part in parts:
        signed = read(part, max_bytes=max_bytes)
        payloads.add(signed.payload)
        for one in signed.signatures:
            signers.setdefault(one.key_id, [_protected(one.key_id), {}, one.signature])
    if len(payloads) != 1 or not 1 <= len(signers) <= 16:
        raise Malformed("not parts of one COSE_Sign")
    ordered = [signers[key] for key in sorted(signers)]
    return cbor.dumps_in_order(cbor2.CBORTag(TAG_SIGN, [b"", {}, payloads.pop(), ordered]))


def read(data: bytes, *, max_bytes: int) -> Signed:
    """Take a COSE_Sign1 or COSE_Sign apart. Raises Malformed; checks no signature."""
    if data.startswith(_EDDSA_BY) and len(data) <= max_bytes:
        signed = _as_written(data)
        if signed is not None:
            return signed
    return _read_any(data, max_bytes)


def _as_written(data: bytes) -> Signed | None:
    """A COSE_Sign1 of less than 64 KiB, to the byte as `sign1` writes it: nearly all that comes. None for others."""
    ends, first = len(data) - 66, data[17:18]
    begins = 18 if first < b"\x58" else 19 if first == b"\x58" else 20
    payload = data[begins:ends]
    if (
        ends < begins
        or data[16:begins] != _NO_HEADER + cbor.head_of_bytes(len(payload))
        or data[ends : ends + 2] != _OF_64
    ):
        return None
    return Signed(payload, (Signature(KeyId(data[8:16]), data[ends + 2 :], _covered1(data[3:16], payload)),))


def _read_any(data: bytes, max_bytes: int) -> Signed:
    tagged = cbor.loads(data, max_bytes=max_bytes)
    if not isinstance(tagged, cbor2.CBORTag) or not isinstance(tagged.value, list | tuple) or len(tagged.value) != 4:
        raise Malformed("not a COSE structure")
    protected, unprotected, payload, rest = tagged.value
    if unprotected != {} or not isinstance(payload, bytes) or not isinstance(protected, bytes):
        raise Malformed("not a COSE structure of this wire")
    if tagged.tag == TAG_SIGN1:
        covered = _covered1(protected, payload)
        return Signed(payload, (_signature(protected, rest, covered),))
    if protected != b"" or not isinstance(rest, list | tuple) or not 1 <= len(rest) <= 16:
        raise Malformed("not a COSE_Sign of this wire")
    return Signed(payload, tuple(_signer(item, payload) for item in rest))


def _signer(item: object, payload: bytes) -> Signature:
    if not isinstance(item, list | tuple) or len(item) != 3 or item[1] != {} or not isinstance(item[0], bytes):
        raise Malformed("not a COSE_Signature")
    return _signature(item[0], item[2], _covered(b"", item[0], payload))


def _signature(protected: bytes, signature: object, covered: bytes) -> Signature:
    kid = _key_named_in(protected)
    if not isinstance(signature, bytes) or len(signature) != 64:
        raise Malformed("signature of a wrong length")
    return Signature(kid, signature, covered)


@lru_cache(maxsize=4096)
def _key_named_in(protected: bytes) -> KeyId:
    """Raises Malformed, which is not remembered."""
    header = cbor_map(protected)
    if set(header) != {_ALG, _KID} or header[_ALG] != _EDDSA:
        raise Malformed("not an EdDSA signature with a key id")
    kid = header[_KID]
    if not isinstance(kid, bytes) or len(kid) != 8:
        raise Malformed("key id of a wrong length")
    return KeyId(kid)


def cbor_map(data: bytes) -> dict[int, object]:
    """Read a small CBOR map. Raises Malformed."""
    value = cbor.loads(data, max_bytes=64)
    if not isinstance(value, dict):
        raise Malformed("not a map")
    return value
