"""A box's label: a one-time secret, where the centre is, and what the box pins of it. As text for a QR code."""

import re
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from devices.protocol.crockford import base32, read_base32, read_code, typed_code
from devices.protocol.envelope import encode
from devices.protocol.trust import RootSet
from loa.errors import Refused

ID_BYTES = 5
SECRET_BYTES = 16
"""128 bits: not to be guessed, so that a MAC under it binds both ends without a password-authenticated exchange."""
PIN_BYTES = 16
_FORM = "LOA1"
_HOST = re.compile(r"[a-z0-9.:\[\]-]+\Z")


@dataclass(frozen=True)
class Label:
    """What one label carries. A pin is None where the label does not tell, or where only its code was typed."""

    id: bytes
    secret: bytes
    address: str = ""
    """Of the centre: https://host[:port], in small letters, without a path."""
    tls_pin: bytes | None = None
    """First 16 bytes of the SHA-256 of the public key (SubjectPublicKeyInfo) that the centre's certificate holds."""
    roots_pin: bytes | None = None
    """First 16 bytes of the SHA-256 of the root set, encoded."""

    @property
    def code(self) -> str:
        """Id and secret for typing, 36 symbols, the last two a check."""
        return typed_code(self.id + self.secret)

    @property
    def name(self) -> str:
        """The id as people see it: what the label is called; no secret."""
        return label_name(self.id)

    def to_text(self) -> str:
        """Only symbols of a QR code's alphanumeric mode: a third smaller than bytes."""
        pins = ("-" if pin is None else base32(pin) for pin in (self.tls_pin, self.roots_pin))
        return "+".join((_FORM, self.address.upper(), self.code.replace("-", ""), *pins))


def label_name(label: bytes) -> str:
    """A label's id as people see it."""
    return base32(label)


def read_label_name(text: str) -> bytes:
    """Raises Refused(bad_label)."""
    return read_base32(text, ID_BYTES, field="label")


def read_label(text: str, *, address: str = "") -> Label:
    """A label's text as it was scanned, or its code as it was typed with the centre's `address`.

    Raises Refused(bad_label, bad_centre_address).
    """
    text = text.strip()
    if not text.upper().startswith(_FORM + "+"):
        both = read_code(text, ID_BYTES + SECRET_BYTES)
        return Label(both[:ID_BYTES], both[ID_BYTES:], centre_address(address))
    parts = text.upper().split("+")
    if len(parts) != 5:
        raise Refused("bad_label", field="label", limit=f"{_FORM}+address+code+pin+pin")
    both = read_code(parts[2], ID_BYTES + SECRET_BYTES)
    tls, roots = (
        None if pin == "-" else read_base32(pin, PIN_BYTES, field=field)
        for pin, field in zip(parts[3:], ("tls", "roots"), strict=True)
    )
    return Label(both[:ID_BYTES], both[ID_BYTES:], centre_address(address or parts[1]), tls, roots)


def centre_address(text: str) -> str:
    """https://host[:port] in small letters. Raises Refused(bad_centre_address) for anything else.

    http:// only to this machine itself, where a web server with TLS may stand in front of the centre.
    """
    try:
        parts = urlsplit(text.strip().lower().rstrip("/"))
        port = parts.port
    except ValueError:  # of brackets, or of the port
        parts, port = urlsplit(""), 0
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if (
        parts.scheme not in (("https", "http") if local else ("https",))
        or not parts.hostname
        or port == 0
        or parts.path
        or parts.query
        or parts.fragment
        or _HOST.match(parts.netloc) is None
    ):
        raise Refused("bad_centre_address", field="centre", limit="https://host:port", value=text[:80])
    return f"{parts.scheme}://{parts.netloc}"


def roots_pin(roots: RootSet) -> bytes:
    """What a label carries of the roots."""
    return sha256(encode(roots)).digest()[:PIN_BYTES]
