"""Codes that change every 30 s (TOTP, RFC 6238) and recovery codes; their secrets, sealed for the tables.

The key that seals them lies outside the tables, so that a stolen database makes no codes.
"""

import base64
import hashlib
import hmac
import os
from pathlib import Path

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from controller.keydisk import Ask, read_secret
from loa.entropy import Entropy
from loa.errors import Fault, Refused
from loa.units import InstantMs

STEP_MS = 30_000
WINDOW = 1
"""A code counts this many steps early or late (RFC 6238, section 5.2): people type slowly, clocks differ."""
RECOVERY_CODES = 10
_ISSUER = "Loa"
_KEY_FILE = "accounts.key"
_NONCE_BYTES = 12


def accounts_key(folder: Path, given: str, entropy: Entropy, ask: Ask | None = None) -> bytes:
    """The key that seals people's secrets: 32 bytes in hex, `given` or in a file of `folder`, made where it is missing.

    ask: gives the passphrase under which the centre's keys lie, where they do. Raises Refused(bad_accounts_key,
    bad_key_file, wrong_passphrase).
    """
    if given:
        return _key_of(given, "LOA_ACCOUNTS_KEY")
    path = folder / _KEY_FILE
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(entropy(32).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return read_secret(path, ask, entropy)


def _key_of(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Refused("bad_accounts_key", field="accounts_key", limit="32 bytes in hex", value=where)
    return key


def new_secret(entropy: Entropy) -> str:
    """160 random bits in base32, as authenticator apps take them (RFC 4226, section 4)."""
    return base64.b32encode(entropy(20)).decode()


def address_of(secret: str, account: str) -> str:
    """The otpauth:// address that a QR code holds."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=_ISSUER)


def step_at(now: InstantMs) -> int:
    """The number of the 30 s step that an instant lies in."""
    return now // STEP_MS


def code_of(secret: str, step: int) -> str:
    """The code of a step: six digits."""
    return pyotp.TOTP(secret).at(step * (STEP_MS // 1000))


def step_taken(secret: str, code: str, now: InstantMs, last_step: int) -> int:
    """The step whose code this is; to be kept as the last one, so that no code counts twice.

    Raises Refused(bad_code), and Refused(code_used) for one of a step that was taken already.
    """
    given = "".join(code.split())
    around = range(step_at(now) - WINDOW, step_at(now) + WINDOW + 1)
    fitting = [
        step for step in around if hmac.compare_digest(code_of(secret, step).encode(), given.encode("utf-8", "replace"))
    ]
    if not fitting:
        raise Refused("bad_code", field="code")
    fresh = [step for step in fitting if step > last_step]
    if not fresh:
        raise Refused("code_used", field="code")
    return fresh[0]


def seal_secret(secret: str, account: str, key: bytes, entropy: Entropy) -> bytes:
    """A secret as it lies in the tables: nonce, then ChaCha20-Poly1305 with the account's name bound to it."""
    nonce = entropy(_NONCE_BYTES)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, secret.encode(), account.encode())


def open_secret(sealed: bytes, account: str, key: bytes) -> str:
    """Raises Fault(accounts_key_wrong)."""
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], account.encode()).decode()
    except InvalidTag as error:
        raise Fault("accounts_key_wrong", field="accounts_key", value=account) from error


def new_recovery_codes(entropy: Entropy) -> tuple[str, ...]:
    """Ten codes of 50 random bits, for when the device is lost: abcde-fghij."""
    drawn = (base64.b32encode(entropy(7)).decode().lower()[:10] for _ in range(RECOVERY_CODES))
    return tuple(f"{one[:5]}-{one[5:]}" for one in drawn)


def is_recovery_code(code: str) -> bool:
    """Whether it has the form of one, rather than of six digits."""
    return len(_plain(code)) == 10


def recovery_hash(code: str, account: str, key: bytes) -> str:
    """What is kept of a recovery code. Keyed, so that a stolen database cannot be searched for 50 bits."""
    return hmac.new(
        key, f"loa recovery\0{account}\0{_plain(code)}".encode("utf-8", "replace"), hashlib.sha256
    ).hexdigest()


def _plain(code: str) -> str:
    return "".join(one for one in code.lower() if one.isalnum())
