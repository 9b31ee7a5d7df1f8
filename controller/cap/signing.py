"""Our own signature on alerts that we write: enveloped, over the whole alert, as `signature` reads those of others."""

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from loa.errors import Refused


class CapSigner:
    """A private key and its certificate. Made by `signer_of`."""

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key, self._certificate = key, certificate
        by_rsa = isinstance(key, rsa.RSAPrivateKey)
        self._method = SignatureMethod.RSA_SHA256 if by_rsa else SignatureMethod.ECDSA_SHA256

    def signed(self, alert: etree._Element) -> etree._Element:
        """The alert with our signature as its last child. It holds wherever the alert is put, in a feed too."""
        signer = XMLSigner(
            signature_algorithm=self._method,
            digest_algorithm=DigestAlgorithm.SHA256,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )
        made = signer.sign(alert, key=self._key, cert=[self._certificate])
        assert isinstance(made, etree._Element)
        return made


def signer_of(key: bytes, certificate: bytes) -> CapSigner:
    """Both PEM, the key without a passphrase: RSA of 2048 bits or more, or ECDSA. Raises Refused(bad_key_file)."""
    try:
        private = serialization.load_pem_private_key(key, password=None)
        held = x509.load_pem_x509_certificate(certificate)
    except (ValueError, TypeError) as error:
        raise _bad("not a private key without a passphrase and a certificate, in PEM") from error
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise _bad("neither RSA nor ECDSA")
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size < 2048:
        raise _bad("fewer than 2048 bits")
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != held.public_key().public_bytes(*form):
        raise _bad("the certificate is of another key")
    return CapSigner(private, held)


def _bad(detail: str) -> Refused:
    return Refused("bad_key_file", field="cap_key", limit="PEM", detail=detail)
