"""A small certificate authority of the centre's own, for the broker's TLS listener and for the API.

Boxes pin the authority (or, of the API, the server's key), and look at no dates: a box whose clock is lost must still
connect. So certificates live long, and a wrong one is ended by a new authority, not by its date.
"""

import hashlib
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devices.protocol.label import PIN_BYTES
from loa.errors import Refused
from loa.units import InstantMs

AUTHORITY_DAYS = 365 * 20
SERVER_DAYS = 365 * 5
_BEFORE = timedelta(days=2)
"""Clocks of centres differ too."""


@dataclass(frozen=True)
class Certified:
    """A certificate with its private key, both PEM."""

    certificate: bytes
    key: bytes


def make_authority(name: str, now: InstantMs) -> Certified:
    """A certificate authority that signs servers and nothing else (path length 0)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    made = (
        _builder(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .sign(key, SHA256())
    )
    return Certified(made.public_bytes(Encoding.PEM), _pem(key))


def make_server(authority: Certified, hosts: Sequence[str], now: InstantMs) -> Certified:
    """A server's certificate for these host names and addresses."""
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signer = load_pem_private_key(authority.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder(_name(hosts[0]), issuer.subject, key.public_key(), now, SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, SHA256())
    )  # fmt: skip
    return Certified(made.public_bytes(Encoding.PEM), _pem(key))


def key_pin(certificate: bytes) -> bytes:
    """What a label carries of a server: the start of the SHA-256 of the key in its certificate (PEM)."""
    public = x509.load_pem_x509_certificate(certificate).public_key()
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()[:PIN_BYTES]


def ensure_server(folder: Path, hosts: Sequence[str], now: InstantMs) -> tuple[Path, Path]:
    """ca.pem, ca.key, server.pem and server.key in this folder, made where they are missing.

    Returns the paths of the server's certificate and key. A certificate that lacks one of `hosts` is made anew, by the
    same authority. Raises Refused(bad_certificate).
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _held(folder, "ca")
    if authority is None:
        authority = make_authority(f"Loa {hosts[0]}", now)
        _keep(folder, "ca", authority)
    server = _held(folder, "server")
    if server is None or not names_all(server.certificate, hosts):
        _keep(folder, "server", make_server(authority, hosts, now))
    return folder / "server.pem", folder / "server.key"


def names_all(certificate: bytes, hosts: Sequence[str]) -> bool:
    """Whether a certificate is for all of these hosts. Raises Refused(bad_certificate)."""
    try:
        held = x509.load_pem_x509_certificate(certificate)
        named = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Refused("bad_certificate", field="certificate", reason=str(error)[:100]) from error
    return all(_host(host) in named for host in hosts)


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """The whole or nothing, durable; readable by its owner alone unless told otherwise."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _held(folder: Path, name: str) -> Certified | None:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    if not (certificate.exists() and key.exists()):
        return None
    return Certified(certificate.read_bytes(), key.read_bytes())


def _keep(folder: Path, name: str, made: Certified) -> None:
    write_private(folder / f"{name}.key", made.key)
    write_private(folder / f"{name}.pem", made.certificate, 0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: InstantMs, days: int
) -> x509.CertificateBuilder:
    at = datetime.fromtimestamp(now / 1000, tz=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _BEFORE)
        .not_valid_after(at + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=sign, crl_sign=sign, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return x509.DNSName(text)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
