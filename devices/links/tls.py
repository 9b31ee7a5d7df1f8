"""TLS to servers that a box knows by what it pinned. No dates are looked at: a box whose clock is lost must connect.

What a date would protect from (a stolen old certificate) costs nothing here: broker and API are not trusted with
anything, since whatever makes sound is signed.
"""

import hashlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from loa.errors import Refused

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL (x509_vfy.h), for which Python has no name."""


def pinned_context(authority: str) -> ssl.SSLContext:
    """For servers whose certificate this authority (PEM) signed, whatever the date; the host's name must fit.

    Raises Refused(bad_certificate).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=authority)
    except (ssl.SSLError, ValueError) as error:
        raise Refused("bad_certificate", field="authority", reason=str(error)[:100]) from error
    context.verify_flags |= _NO_CHECK_TIME
    return context


def unverified_context() -> ssl.SSLContext:
    """For a server that is known by the key in its certificate (`check_pin`), or only by what it says afterwards."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check_pin(certificate: bytes | None, pin: bytes) -> None:
    """Whether a server's certificate (DER) holds the key with this pin. Raises Refused(wrong_server)."""
    found = b""
    if certificate:
        public = x509.load_der_x509_certificate(certificate).public_key()
        found = hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    if found[: len(pin)] != pin:
        raise Refused("wrong_server", field="centre")
