"""Whose word an alert is: XML signatures (W3C XML-Signature 1.1) under keys that we pinned.

A signature counts only where it is a child of the alert and signs that whole alert, itself and its sisters left out:
anything else would let a signed text stand where nobody acts on it, beside an unsigned one on which somebody does
(signature wrapping). Certificates are taken for the keys in them alone; a key is trusted because it was pinned.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.verifier import SignatureConfiguration, XMLVerifier

from controller.cap.reading import safe_parser
from loa.errors import Refused

MAX_SIGNATURES, MAX_TRIES = 4, 64
MAX_RSA_BITS: Final = 8192
_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_DS11: Final = "{http://www.w3.org/2009/xmldsig11#}"
_ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_TRANSFORMS: Final = frozenset({_ENVELOPED, *(one.value for one in CanonicalizationMethod)})
_METHODS: Final = frozenset(
    one for one in SignatureMethod if one.name.startswith(("RSA_", "ECDSA_")) or "RSA_MGF1" in one.name
)
_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "urn:oid:1.2.840.10045.3.1.7": ec.SECP256R1(),
    "urn:oid:1.3.132.0.34": ec.SECP384R1(),
    "urn:oid:1.3.132.0.35": ec.SECP521R1(),
}
_CONFIGURATION: Final = SignatureConfiguration(
    require_x509=False,
    location="./",
    expect_references=1,
    signature_methods=_METHODS,
    digest_algorithms=frozenset(DigestAlgorithm),
)


class SignatureState(StrEnum):
    """What a signature is worth."""

    UNSIGNED = "unsigned"
    VERIFIED = "verified"
    """Intact, by a pinned key."""
    UNTRUSTED = "untrusted"
    """Intact, by a key that is not pinned: somebody signed it, nobody says who."""
    UNPROVEN = "unproven"
    """It cannot be tried: no key in it and none pinned that fits, or a method that we do not have."""
    BROKEN = "broken"
    """It does not hold, or does not sign the alert it stands in."""


@dataclass(frozen=True)
class PinnedKeys:
    """The public keys that we trust, by their SubjectPublicKeyInfo (DER) → whose they are.

    senders: for whom a key may speak, in CAP's `sender`; one that is not in it may speak for all.
    """

    names: Mapping[bytes, str] = field(default_factory=dict)
    senders: Mapping[bytes, frozenset[str]] = field(default_factory=dict)

    def speaking_for(self, sender: str) -> "PinnedKeys":
        """Only those whose word counts for this sender."""
        if not self.senders:
            return self
        return PinnedKeys({k: n for k, n in self.names.items() if k not in self.senders or sender in self.senders[k]})


@dataclass(frozen=True)
class SignatureReport:
    """A state, and what is behind it. Only `element` may be acted upon: what was signed, where something was."""

    state: SignatureState
    element: etree._Element
    signer: str = ""
    method: str = ""
    reason: str = ""
    key: bytes = b""
    """By which it holds, SubjectPublicKeyInfo (DER)."""

    @property
    def weak(self) -> bool:
        """SHA-1 is in it: whoever gets a signer to sign a prepared text can have it stand for another."""
        return "sha1" in self.method


class _Verifier(XMLVerifier):
    """signxml's own, for the signature at one place, and past a defect below it.

    libxml2, asked for the canonical form of a part of a tree, adds empty namespace declarations that are not there.
    """

    def __init__(self, place: int) -> None:
        super().__init__()
        self._place = place

    def _get_signature(self, root: etree._Element) -> etree._Element:
        return root.findall(f"{_DS}Signature")[self._place]

    def _c14n(self, nodes: object, algorithm: CanonicalizationMethod, inclusive_ns_prefixes: object = None) -> bytes:
        if isinstance(nodes, etree._Element) and nodes.getparent() is not None:
            nodes = etree.fromstring(etree.tostring(nodes, encoding="utf-8", with_tail=False), safe_parser())
        canonical: bytes = super()._c14n(nodes, algorithm, inclusive_ns_prefixes)
        return canonical


def pinned_key(data: bytes) -> bytes:
    """The SubjectPublicKeyInfo (DER) in a certificate or public key, PEM or DER. Raises Refused(bad_key_file)."""
    for read in (_certificate_pem, _certificate_der, _public_pem, _public_der):
        try:
            return read(data)
        except (ValueError, TypeError):
            continue
    raise Refused("bad_key_file", field="key", limit="PEM, DER", detail="no certificate or public key")


def examine(alert: etree._Element, pinned: PinnedKeys) -> SignatureReport:
    """Try every signature of an alert that is the root of its own document. The best one of them counts."""
    count = len(alert.findall(f"{_DS}Signature"))
    if not count:
        return SignatureReport(SignatureState.UNSIGNED, alert)
    if count > MAX_SIGNATURES:
        return SignatureReport(SignatureState.BROKEN, alert, reason=f"more than {MAX_SIGNATURES} signatures")
    reports = [_examine_one(alert, place, pinned) for place in range(count)]
    order = (SignatureState.VERIFIED, SignatureState.BROKEN, SignatureState.UNTRUSTED, SignatureState.UNPROVEN)
    return min(reports, key=lambda one: order.index(one.state))


def _examine_one(alert: etree._Element, place: int, pinned: PinnedKeys) -> SignatureReport:
    """One signature with its sisters left out, as parallel signatures are made; failing that, with them inside."""
    report = _tried(_with_one_signature(alert, place), 0, pinned, alert)
    if report.state is SignatureState.BROKEN and len(alert.findall(f"{_DS}Signature")) > 1:
        again = _tried(_copy(alert), place, pinned, alert)
        return report if again.state is SignatureState.BROKEN else again
    return report


def _tried(document: etree._Element, place: int, pinned: PinnedKeys, alert: etree._Element) -> SignatureReport:
    signature = document.findall(f"{_DS}Signature")[place]
    method = _method(signature)
    wrong = _misplaced(document, signature)
    if wrong:
        return SignatureReport(SignatureState.BROKEN, alert, method=method, reason=wrong)
    if not _supported(signature):
        return SignatureReport(SignatureState.UNPROVEN, alert, method=method, reason="a method that is not known")
    own, subject = next(_keys_inside(signature), None), _subject(signature)
    for key in list(pinned.names)[:MAX_TRIES] if own is None else [own]:
        signed = _signed_under(document, place, key)
        if signed is not None and signed.tag == alert.tag:
            name = pinned.names.get(key)
            state = SignatureState.UNTRUSTED if name is None else SignatureState.VERIFIED
            return SignatureReport(state, signed, signer=name or subject, method=method, key=key)
    if own is None:
        return SignatureReport(SignatureState.UNPROVEN, alert, method=method, reason="it brings no key, and none fits")
    return SignatureReport(SignatureState.BROKEN, alert, method=method, reason="altered")


def _signed_under(document: etree._Element, place: int, key: bytes) -> etree._Element | None:
    """What a signature signs under this key, or None where it does not hold."""
    signature = document.findall(f"{_DS}Signature")[place]
    for old in signature.findall(f"{_DS}KeyInfo"):
        signature.remove(old)
    # KeyInfo is no part of what is signed here: it gives way to the one key that is being tried.
    info = etree.SubElement(signature, f"{_DS}KeyInfo")
    etree.SubElement(info, f"{_DS11}DEREncodedKeyValue").text = base64.b64encode(key).decode()
    try:
        result = _Verifier(place).verify(document, validate_schema=False, expect_config=_CONFIGURATION)
    except Exception:  # noqa: BLE001 - whatever signxml trips over in a stranger's signature, it does not hold
        return None
    return None if isinstance(result, list) else result.signed_xml


def _misplaced(document: etree._Element, signature: etree._Element) -> str:
    """Why this signature is not one over this whole alert, or ""."""
    references = signature.findall(f"{_DS}SignedInfo/{_DS}Reference")
    if len(references) != 1 or len(signature.findall(f"{_DS}SignedInfo")) != 1:
        return "not one reference"
    if len(signature.findall(f"{_DS}SignatureValue")) != 1:
        return "not one value"
    uri = references[0].get("URI")
    if uri is None or not (uri == "" or _names_root(document, uri)):
        return "signs something else"
    transforms = [one.get("Algorithm") for one in references[0].findall(f"{_DS}Transforms/{_DS}Transform")]
    if _ENVELOPED not in transforms or not _TRANSFORMS.issuperset(transforms):
        return "signs something else"
    return ""


def _names_root(document: etree._Element, uri: str) -> bool:
    """Whether "#id" is the alert's own id and nobody else's."""
    wanted = uri[1:]
    if not uri.startswith("#") or not wanted:
        return False
    owners = [
        element
        for element in document.iter(etree.Element)
        if any(
            etree.QName(name).localname.lower() == "id" and value == wanted for name, value in element.attrib.items()
        )
    ]
    return owners == [document]


def _supported(signature: etree._Element) -> bool:
    info = f"{_DS}SignedInfo/"
    method = signature.find(f"{info}{_DS}SignatureMethod")
    digest = signature.find(f"{info}{_DS}Reference/{_DS}DigestMethod")
    canonical = signature.find(f"{info}{_DS}CanonicalizationMethod")
    if method is None or digest is None or canonical is None:
        return False
    return (
        method.get("Algorithm") in {one.value for one in _METHODS}
        and digest.get("Algorithm") in {one.value for one in DigestAlgorithm}
        and canonical.get("Algorithm") in {one.value for one in CanonicalizationMethod}
    )


def _method(signature: etree._Element) -> str:
    """Of the signature and of the digest, in short: rsa-sha256, rsa-sha256 over sha1."""
    found = [
        (one.get("Algorithm") or "").rpartition("#")[2].lower()[:40]
        for path in (f"{_DS}SignatureMethod", f"{_DS}Reference/{_DS}DigestMethod")
        for one in signature.findall(f"{_DS}SignedInfo/{path}")
    ]
    return found[0] if len(found) == 2 and found[0].endswith(found[1]) else " over ".join(found[:2])


def _with_one_signature(alert: etree._Element, place: int) -> etree._Element:
    """A copy with the other signatures left out, the text behind them kept."""
    copy = _copy(alert)
    for number, signature in enumerate(copy.findall(f"{_DS}Signature")):
        if number == place:
            continue
        before, tail = signature.getprevious(), signature.tail or ""
        if before is not None:
            before.tail = (before.tail or "") + tail
        else:
            copy.text = (copy.text or "") + tail
        copy.remove(signature)
    return copy


def _copy(alert: etree._Element) -> etree._Element:
    return etree.fromstring(etree.tostring(alert, encoding="utf-8", with_tail=False), safe_parser())


def _keys_inside(signature: etree._Element) -> Iterator[bytes]:
    """The public keys that a signature brings, its certificate's first."""
    info = signature.find(f"{_DS}KeyInfo")
    if info is None:
        return
    for element in info.iter(
        f"{_DS}X509Certificate", f"{_DS11}DEREncodedKeyValue", f"{_DS}RSAKeyValue", f"{_DS11}ECKeyValue"
    ):
        try:
            key = _key_in(element)
        except (ValueError, TypeError, binascii.Error):
            continue
        if key is not None:
            yield key


def _key_in(element: etree._Element) -> bytes | None:
    if element.tag == f"{_DS}RSAKeyValue":
        modulus, exponent = (
            int.from_bytes(_bytes_of(element.findtext(f"{_DS}{name}")), "big") for name in ("Modulus", "Exponent")
        )
        return _der(rsa.RSAPublicNumbers(exponent, modulus).public_key()) if modulus.bit_length() >= 1024 else None
    if element.tag == f"{_DS11}ECKeyValue":
        return _named_curve_key(element)
    data = _bytes_of(element.text)
    return _certificate_der(data) if element.tag == f"{_DS}X509Certificate" else _public_der(data)


def _named_curve_key(element: etree._Element) -> bytes | None:
    named = element.find(f"{_DS11}NamedCurve")
    curve = _CURVES.get((named.get("URI") or "") if named is not None else "")
    if curve is None:
        return None
    point = _bytes_of(element.findtext(f"{_DS11}PublicKey"))
    return _der(ec.EllipticCurvePublicKey.from_encoded_point(curve, point))


def _bytes_of(text: str | None) -> bytes:
    return base64.b64decode("".join((text or "").split()), validate=True)


def _subject(signature: etree._Element) -> str:
    """What the certificate in it calls itself; nobody vouches for that."""
    try:
        certificate = x509.load_der_x509_certificate(_bytes_of(signature.findtext(f".//{_DS}X509Certificate")))
        return certificate.subject.rfc4514_string()[:200]
    except (ValueError, TypeError):
        return ""


def _certificate_pem(data: bytes) -> bytes:
    return _der(x509.load_pem_x509_certificate(data).public_key())


def _certificate_der(data: bytes) -> bytes:
    return _der(x509.load_der_x509_certificate(data).public_key())


def _public_pem(data: bytes) -> bytes:
    return _der(serialization.load_pem_public_key(data))


def _public_der(data: bytes) -> bytes:
    return _der(serialization.load_der_public_key(data))


def _der(key: object) -> bytes:
    """Raises TypeError for keys of a kind or size that we do not try."""
    if isinstance(key, rsa.RSAPublicKey) and 1024 <= key.key_size <= MAX_RSA_BITS:
        return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    raise TypeError("neither RSA nor ECDSA")
