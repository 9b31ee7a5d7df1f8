"""Signatures as RFC 8032 has them, whoever computes them."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from devices.protocol.keys import SigningKey, signature_holds

Seeds = st.binary(min_size=32, max_size=32)


@given(Seeds, st.binary(max_size=300))
def test_another_library_makes_the_same_signatures(seed: bytes, data: bytes) -> None:
    ours, theirs = SigningKey(seed), Ed25519PrivateKey.from_private_bytes(seed)
    assert ours.public_key == theirs.public_key().public_bytes_raw()
    assert ours.sign(data) == theirs.sign(data)
    assert signature_holds(ours.public_key, ours.sign(data), data)


@given(Seeds, st.binary(min_size=1, max_size=40), st.integers(0, 10_000))
def test_one_bit_more_or_less_holds_nowhere(seed: bytes, data: bytes, bit: int) -> None:
    key = SigningKey(seed)
    whole = bytearray(key.public_key + key.sign(data) + data)
    whole[bit // 8 % len(whole)] ^= 1 << bit % 8
    assert not signature_holds(bytes(whole[:32]), bytes(whole[32:96]), bytes(whole[96:]))


@pytest.mark.parametrize("moved", [1, 7, 63, -1])
def test_bytes_of_the_text_are_none_of_the_signature(moved: int) -> None:
    key = SigningKey(bytes(32))
    both = key.sign(b"what was signed") + b"what was signed"
    assert not signature_holds(key.public_key, both[: 64 + moved], both[64 + moved :])
    assert not signature_holds(key.public_key[:31], both[:64], both[64:])


def test_a_seed_of_another_length_is_none() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        SigningKey(bytes(31))


def test_a_key_of_small_order_signs_nothing() -> None:
    identity, nothing = (1).to_bytes(32, "little"), (1).to_bytes(32, "little") + bytes(32)
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(identity).verify(nothing[::-1], b"any")
    Ed25519PublicKey.from_public_bytes(identity).verify(nothing, b"any")  # which some take for any text at all
    assert not signature_holds(identity, nothing, b"any")
    assert not signature_holds(identity, nothing, b"any other")
