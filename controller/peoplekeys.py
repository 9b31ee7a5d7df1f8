"""Private keys under a passphrase of their own, and what a person signs with one.

Argon2id (RFC 9106) makes the passphrase into a key, ChaCha20-Poly1305 (RFC 8439) seals the seed. What it took to make
the key lies beside it, so that it can be made costlier later without touching what is there. Values in, values out;
whoever lets strangers try passphrases counts their tries.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from controller.passphrases import check_passphrase, written
from devices.protocol import approval, cbor
from devices.protocol.alerts import AlertBody
from devices.protocol.keys import SigningKey
from devices.protocol.refusal import Malformed, WireRefusal
from loa.entropy import Entropy
from loa.errors import Fault, Refused

FORM = 1
MAX_BLOB_BYTES = 512


@dataclass(frozen=True)
class Cost:
    """What one try of a passphrase costs: Argon2id's parameters."""

    memory_kib: int
    passes: int
    lanes: int

    def __post_init__(self) -> None:
        """Raises Malformed: what a spoiled blob asks for must not take the machine down."""
        if not (1 <= self.lanes <= 16 and 1 <= self.passes <= 64 and 8 * self.lanes <= self.memory_kib <= 1 << 20):
            raise Malformed("not a possible cost")


COST = Cost(memory_kib=65536, passes=3, lanes=4)
"""RFC 9106 section 4, the second recommended option: 64 MiB, 0.3 s on a small machine."""


def seal_seed(seed: bytes, passphrase: str, entropy: Entropy, *, cost: Cost | None = None) -> bytes:
    """A seed of 32 bytes under a passphrase; about 190 bytes. Raises Refused(weak_passphrase, too_large)."""
    check_passphrase(passphrase)
    cost, public_key = cost or COST, SigningKey(seed).public_key
    salt, nonce = entropy(16), entropy(12)
    bound = _bound(cost, salt, nonce, public_key)
    sealed = ChaCha20Poly1305(_derived(passphrase, salt, cost)).encrypt(nonce, seed, bound)
    return cbor.dumps([FORM, cost.memory_kib, cost.passes, cost.lanes, salt, nonce, public_key, sealed])


def unseal_seed(blob: bytes, passphrase: str) -> bytes:
    """The seed again. Raises Refused(wrong_passphrase) and, for what is no such blob, Refused(bad_key_file)."""
    try:
        cost, salt, nonce, public_key, sealed = _taken_apart(blob)
    except Malformed as error:
        raise Refused("bad_key_file", field="sealed_seed", limit="loa-key-1", detail=error.detail) from error
    try:
        return ChaCha20Poly1305(_derived(passphrase, salt, cost)).decrypt(
            nonce, sealed, _bound(cost, salt, nonce, public_key)
        )
    except InvalidTag as error:
        raise Refused("wrong_passphrase", field="passphrase") from error


def opens(blob: bytes, passphrase: str) -> bool:
    """Whether this would be the passphrase of the key in the blob."""
    try:
        unseal_seed(blob, passphrase)
    except Refused:
        return False
    return True


def approve(body: bytes, key: SigningKey) -> bytes:
    """A person's approval of an alert body: a COSE_Sign1 that leaves out its payload, the exact bytes of `body`.

    Raises Refused(not_an_alert_body): with its payload put back, a signature over an order's bytes would be an order.
    """
    alert_in(body)
    return approval.approve(body, key)


def alert_in(body: bytes) -> AlertBody:
    """What these bytes would have a person approve. Raises Refused(not_an_alert_body)."""
    try:
        return approval.read_body(body)
    except WireRefusal as error:
        raise Refused("not_an_alert_body", field="body") from error


def _bound(cost: Cost, salt: bytes, nonce: bytes, public_key: bytes) -> bytes:
    """What stands beside the sealed seed and cannot be changed without breaking it."""
    return b"loa seed" + cbor.dumps([FORM, cost.memory_kib, cost.passes, cost.lanes, salt, nonce, public_key])


def _derived(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    try:
        derivation = Argon2id(
            salt=salt, length=32, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib
        )
    except UnsupportedAlgorithm as error:
        raise Fault("argon2_missing") from error
    return derivation.derive(written(passphrase))


def _taken_apart(blob: bytes) -> tuple[Cost, bytes, bytes, bytes, bytes]:
    match cbor.loads(blob, max_bytes=MAX_BLOB_BYTES):
        case [int(form), int(memory), int(passes), int(lanes), bytes(salt), bytes(nonce), bytes(public), bytes(sealed)]:
            if form == FORM and (len(salt), len(nonce), len(public), len(sealed)) == (16, 12, 32, 48):
                return Cost(memory, passes, lanes), salt, nonce, public, sealed
    raise Malformed("not a sealed seed")
