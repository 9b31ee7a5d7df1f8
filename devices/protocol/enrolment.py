"""How a box and a centre come to know each other by a label's one-time secret. Values in, values out.

    box → centre   Hello: label, the box's public key, an X25519 key for this once, H(nonce); MAC under the label's key
    centre → box   Welcome: id, the centre's X25519 key, its nonce, the roots; MAC under the session key
    box → centre   Question: the nonce, something fresh; MAC under the session key      (again until it is decided)
    centre → box   State: pending, rejected, or confirmed with name, area and broker; MAC over the fresh thing too

The session key comes from the label's key *and* the exchange, over all that was said: who has no label can take part
on neither side, and who finds the label afterwards learns nothing of what was said. Who has the label *before* the box
uses it can stand in the middle: against that, a person compares six digits at the box with those at the centre. The box
commits itself to its nonce before it hears the centre's, so that nobody can try nonces until the digits agree (as in
ZRTP, RFC 6189, 4.4.1.1: one chance in a million, once a label).
"""

import hmac
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from devices.protocol.crockford import base32
from loa.errors import Refused
from loa.units import InstantMs

FORM = 1
"""Version of this exchange; inside every MAC."""
KEY_BYTES = 32
NONCE_BYTES = 16


class EnrolmentState(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Hello:
    """Lengths: label 5, the others 32 bytes. `commitment` is the SHA-256 of the box's nonce."""

    label: bytes
    public_key: bytes
    exchange: bytes
    commitment: bytes

    def said(self) -> bytes:
        return _joined(b"hello", self.label, self.public_key, self.exchange, self.commitment)


@dataclass(frozen=True)
class Welcome:
    """`enrolment` and `nonce` 16 bytes, `exchange` 32, `roots` the encoded root set."""

    enrolment: bytes
    exchange: bytes
    nonce: bytes
    roots: bytes

    def said(self) -> bytes:
        return _joined(b"welcome", self.enrolment, self.exchange, self.nonce, self.roots)


@dataclass(frozen=True)
class Question:
    """The box's nonce (16 bytes), and 16 bytes that were never said before."""

    enrolment: bytes
    nonce: bytes
    fresh: bytes

    def said(self) -> bytes:
        return _joined(b"question", self.enrolment, self.nonce, self.fresh)


@dataclass(frozen=True)
class Decision:
    """What a technician decided. `broker` and `authority` (PEM) are empty for a wired node, or for one without TLS."""

    state: EnrolmentState
    node: str = ""
    area: str = ""
    broker: str = ""
    authority: str = ""
    at: InstantMs = InstantMs(0)
    """When it is, by the centre's clock, of a confirmed one: the box believes nothing that was signed as of before."""

    def said(self) -> bytes:
        parts = (self.state, self.node, self.area, self.broker, self.authority, str(self.at))
        return _joined(b"state", *(part.encode() for part in parts))


def label_key(secret: bytes) -> bytes:
    """What the centre keeps of a label's secret, sealed."""
    return _derived(secret, b"", b"loa label key")


def commit(nonce: bytes) -> bytes:
    """A Hello's `commitment`."""
    return sha256(b"loa enrolment nonce\0" + nonce).digest()


def session_key(key: bytes, own: X25519PrivateKey, hello: Hello, welcome: Welcome) -> bytes:
    """The same at both ends; `own` is the private half of either X25519 key. Raises Refused(enrolment_forged)."""
    public = own.public_key().public_bytes_raw()
    other = welcome.exchange if public == hello.exchange else hello.exchange
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(other))
    except (ValueError, InvalidKey) as error:  # a point of small order
        raise Refused("enrolment_forged", field="exchange") from error
    return _derived(key + shared, sha256(hello.said() + welcome.said()).digest(), b"loa enrolment session")


def mac(key: bytes, *said: bytes) -> bytes:
    """HMAC-SHA256 over the whole of what was said."""
    return hmac.new(key, _joined(b"loa enrolment", *said), sha256).digest()


def check_mac(given: bytes, key: bytes, *said: bytes) -> None:
    """In constant time. Raises Refused(enrolment_forged)."""
    if not hmac.compare_digest(given, mac(key, *said)):
        raise Refused("enrolment_forged", field="mac")


def comparison_code(hello: Hello, welcome: Welcome, nonce: bytes) -> str:
    """Six digits, ``482 913``, that box and centre show alike if nobody stands between them."""
    number = int.from_bytes(sha256(_joined(b"code", hello.said(), welcome.said(), nonce)).digest()[:8], "big") % 10**6
    return f"{number // 1000:03d} {number % 1000:03d}"


def broker_password(session: bytes) -> str:
    """The node's password at the broker, known to both ends without being sent: 26 symbols, 128 bits."""
    return base32(_derived(session, b"", b"loa broker password")[:16])


def _derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info + bytes([FORM])).derive(key)


def _joined(*parts: bytes) -> bytes:
    """Each part behind its length, so that no two lists read alike."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in (bytes([FORM]), *parts))
