"""Small secrets in the tables, under a key that lies outside them: a copy of the tables alone tells nothing."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from controller.keydisk import Ask, read_secret
from loa.entropy import Entropy
from loa.errors import Fault

_NONCE_BYTES = 12


class Sealing:
    """Seals and opens under one key of 32 bytes. What is sealed names what it is for, and opens as nothing else."""

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)

    def seal(self, secret: bytes, name: str, entropy: Entropy) -> bytes:
        nonce = entropy(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, name.encode())

    def open(self, sealed: bytes, name: str) -> bytes:
        """Raises Fault(sealing_key_changed) where it was sealed under another key, for another name, or was altered."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except InvalidTag as error:
            raise Fault("sealing_key_changed", field=name) from error


def sealing_at(path: Path, entropy: Entropy, ask: Ask | None = None) -> Sealing:
    """The key in this file, made where it is not there yet. Raises Refused(bad_key_file)."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(entropy(32))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return Sealing(read_secret(path, ask, entropy))
