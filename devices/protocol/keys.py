"""Ed25519 keys (RFC 8032) as values."""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from loa.units import KeyId

PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SEED_BYTES = 32, 64, 32


@lru_cache(maxsize=4096)
def key_id(public_key: bytes) -> KeyId:
    """The first 8 bytes of the SHA-256 of the raw public key."""
    return KeyId(hashlib.sha256(public_key).digest()[:8])


@dataclass(frozen=True)
class SigningKey:
    """A private key from its 32-byte seed. Its repr shows the public half only. Raises ValueError (length)."""

    seed: bytes = field(repr=False)
    public_key: bytes = field(init=False)
    key_id: KeyId = field(init=False)
    _private: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise ValueError(f"a seed of {len(self.seed)} bytes, where {SEED_BYTES} are needed")
        public, private = crypto_sign_seed_keypair(self.seed)
        object.__setattr__(self, "_private", private)
        object.__setattr__(self, "public_key", public)
        object.__setattr__(self, "key_id", key_id(public))

    def sign(self, data: bytes) -> bytes:
        """A 64-byte signature."""
        return crypto_sign(data, self._private)[:SIGNATURE_BYTES]


def signature_holds(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` over `data` was made with the private half of `public_key`.

    Keys and points of small order, under which one signature holds over many texts, are never taken.
    """
    # The two are handed over in one piece: with other lengths, bytes of one would count as bytes of the other.
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + data, public_key)
    except BadSignatureError:
        return False
    return True
