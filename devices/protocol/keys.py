"""Ed25519 keys (RFC 8032) as values."""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from loa.units import KeyId


def key_id(public_key: bytes) -> KeyId:
    """The first 8 bytes of the SHA-256 of the raw public key."""
    return KeyId(hashlib.sha256(public_key).digest()[:8])


@dataclass(frozen=True)
class SigningKey:
    """A private key from its 32-byte seed. Its repr shows the public half only."""

    seed: bytes = field(repr=False)
    public_key: bytes = field(init=False)
    key_id: KeyId = field(init=False)
    _private: Ed25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        object.__setattr__(self, "_private", private)
        object.__setattr__(self, "public_key", private.public_key().public_bytes_raw())
        object.__setattr__(self, "key_id", key_id(self.public_key))

    def sign(self, data: bytes) -> bytes:
        """A 64-byte signature."""
        return self._private.sign(data)


def signature_holds(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` over `data` was made with the private half of `public_key`."""
    try:
        _read(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=4096)
def _read(public_key: bytes) -> Ed25519PublicKey:
    """Raises ValueError, which is not remembered."""
    return Ed25519PublicKey.from_public_bytes(public_key)
