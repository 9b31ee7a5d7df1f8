"""XML signatures: verified, untrusted, unproven, broken, unsigned; and only what was signed is acted upon."""

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from controller.cap import judgement
from controller.cap.judgement import Terms, Verdict
from controller.cap.model import Status
from controller.cap.reading import read
from controller.cap.signature import PinnedKeys, SignatureReport, SignatureState, examine, pinned_key
from loa.errors import Refused
from tests.cap.base import BASE, CAP, NOW, at, base, put, sample, verdict, verdicts

DS = "{http://www.w3.org/2000/09/xmldsig#}"
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    del name
    return ec.generate_private_key(ec.SECP256R1())


@cache
def certificate(key: Private) -> x509.Certificate:
    """Run out years ago: it is the key that is pinned."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Đài KTTV")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(7).not_valid_before(start).not_valid_after(start + timedelta(days=1))
    return made.sign(key, hashes.SHA256())


def pem(key: Private) -> bytes:
    return certificate(key).public_bytes(serialization.Encoding.PEM)


def public_pem(key: Private) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed(
    alert: etree._Element,
    key: Private,
    *,
    bring: str = "certificate",
    canonical: CanonicalizationMethod = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    digest: DigestAlgorithm = DigestAlgorithm.SHA256,
    uri: str | None = None,
) -> etree._Element:
    """With an enveloped signature that brings its certificate, its key, or nothing."""
    method = SignatureMethod.RSA_SHA256 if isinstance(key, rsa.RSAPrivateKey) else SignatureMethod.ECDSA_SHA256
    signer = XMLSigner(signature_algorithm=method, digest_algorithm=digest, c14n_algorithm=canonical)
    made = signer.sign(
        alert,
        key=key,
        cert=[certificate(key)] if bring == "certificate" else None,
        reference_uri=uri,
        id_attribute="Id",
    )
    assert isinstance(made, etree._Element)
    if bring == "nothing":
        signature = made.find(f"{DS}Signature")
        assert signature is not None
        for info in signature.findall(f"{DS}KeyInfo"):
            signature.remove(info)
    return made


def pinned(**keys: Private) -> PinnedKeys:
    return PinnedKeys({pinned_key(pem(key)): name for name, key in keys.items()})


def judged(alert: etree._Element, keys: PinnedKeys | None = None) -> Verdict:
    return verdict(etree.tostring(alert, encoding="utf-8"), Terms(at=NOW, pinned=keys or PinnedKeys()))


def state(alert: etree._Element, keys: PinnedKeys | None = None) -> tuple[str, str]:
    one = judged(alert, keys)
    assert one.signature is not None
    return str(one.signature.state), one.code


KEYS: dict[str, Private] = {"rsa": rsa_key("a"), "ec": ec_key("a")}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("bring", ["certificate", "key"])
@pytest.mark.parametrize(
    "canonical",
    [
        CanonicalizationMethod.CANONICAL_XML_1_0,
        CanonicalizationMethod.CANONICAL_XML_1_0_WITH_COMMENTS,
        CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    ],
)
def test_verified_under_a_pinned_key_untrusted_without(
    kind: str, bring: str, canonical: CanonicalizationMethod
) -> None:
    alert = signed(base(), KEYS[kind], bring=bring, canonical=canonical)
    one = judged(alert, pinned(kttv=KEYS[kind]))
    assert one.signature is not None
    assert (one.signature.state, one.signature.signer, one.code) == ("verified", "kttv", "accepted")
    assert state(alert) == ("untrusted", "accepted")
    assert state(alert, pinned(other=rsa_key("b"), third=ec_key("b"))) == ("untrusted", "accepted")


def test_a_key_is_pinned_by_certificate_or_by_itself() -> None:
    key = rsa_key("a")
    der = certificate(key).public_bytes(serialization.Encoding.DER)
    assert pinned_key(pem(key)) == pinned_key(public_pem(key)) == pinned_key(der)
    for junk in (b"", b"key", pem(key)[:-60]):
        with pytest.raises(Refused, match="bad_key_file"):
            pinned_key(junk)


def test_without_a_key_in_it_the_pinned_ones_are_tried() -> None:
    alert = signed(base(), rsa_key("a"), bring="nothing")
    assert state(alert, pinned(other=ec_key("b"), kttv=rsa_key("a"))) == ("verified", "accepted")
    assert state(alert, pinned(other=rsa_key("b"))) == ("unproven", "accepted")
    assert state(alert) == ("unproven", "accepted")


ALTERED = ["identifier", "sent", "status", "msgType", "info.severity", "info.description", "info.area.geocode.value"]
TEXTS = {"status": "Test", "msgType": "Update", "sent": "2026-09-07T08:00:01+07:00", "info.severity": "Minor"}


@pytest.mark.parametrize("path", ALTERED)
def test_altered_is_broken(path: str) -> None:
    alert = signed(base(), rsa_key("a"))
    put(path, TEXTS.get(path, "khác"))(alert)
    assert state(alert, pinned(kttv=rsa_key("a"))) == ("broken", "signature_invalid")


@pytest.mark.parametrize("part", ["SignatureValue", "SignedInfo/{}Reference/{}DigestValue"])
def test_an_altered_signature_is_broken(part: str) -> None:
    alert = signed(base(), rsa_key("a"))
    element = alert.find(f"{DS}Signature/{DS}" + part.replace("{}", DS))
    assert element is not None
    assert element.text is not None
    element.text = ("B" if element.text.strip()[0] != "B" else "C") + element.text.strip()[1:]
    assert state(alert, pinned(kttv=rsa_key("a"))) == ("broken", "signature_invalid")


def test_a_key_put_into_a_signature_does_not_make_it_another_s() -> None:
    """Signed by b, with a's certificate inside."""
    alert, other = signed(base(), rsa_key("b")), signed(base(), rsa_key("a"))
    signature = alert.find(f"{DS}Signature")
    mine, theirs = alert.find(f"{DS}Signature/{DS}KeyInfo"), other.find(f"{DS}Signature/{DS}KeyInfo")
    assert signature is not None
    assert mine is not None
    assert theirs is not None
    signature.replace(mine, theirs)
    assert state(alert, pinned(kttv=rsa_key("a"))) == ("broken", "signature_invalid")


def test_stripped_is_unsigned() -> None:
    alert = signed(base(), rsa_key("a"))
    signature = alert.find(f"{DS}Signature")
    assert signature is not None
    alert.remove(signature)
    assert state(alert, pinned(kttv=rsa_key("a"))) == ("unsigned", "accepted")


def test_a_signature_elsewhere_is_not_the_alert_s() -> None:
    alert = signed(base(), rsa_key("a"))
    signature = alert.find(f"{DS}Signature")
    assert signature is not None
    at(alert, "info").append(signature)
    assert state(alert, pinned(kttv=rsa_key("a"))) == ("unsigned", "accepted")


def evil() -> etree._Element:
    alert = base()
    alert.set("Id", "evil")
    put("identifier", "evil")(alert)
    put("info.description", "Mọi người ra biển.")(alert)
    return alert


def test_wrapping_never_passes_for_signed() -> None:
    """The signed original, moved somewhere it is still found by its id, lends nothing to the alert around it."""
    original = base()
    original.set("Id", "good")
    original = signed(original, rsa_key("a"), uri="good")
    keys = pinned(kttv=rsa_key("a"))
    assert state(original, keys) == ("verified", "accepted")
    for number, place in enumerate(("object", "info", "unknown", "same id", "first")):
        alert = evil()
        inner = read(etree.tostring(original))[0]
        signature = inner.find(f"{DS}Signature")
        assert signature is not None
        inner.remove(signature)
        alert.append(signature)
        if place == "object":
            etree.SubElement(signature, f"{DS}Object").append(inner)
        elif place == "info":
            at(alert, "info").append(inner)
        elif place == "first":
            alert.insert(0, inner)
        else:
            etree.SubElement(alert, "{urn:else}box").append(inner)
        if place == "same id":
            alert.set("Id", "good")
        found = verdicts(etree.tostring(alert), Terms(at=NOW, pinned=keys))
        assert [(one.code, one.sketch.identifier) for one in found] == [("signature_invalid", "evil")], number


def test_a_reference_to_part_of_the_alert_is_not_one_to_all_of_it() -> None:
    alert = base()
    at(alert, "info").set("Id", "info-1")
    alert = signed(alert, rsa_key("a"), uri="info-1")
    assert state(alert, pinned(kttv=rsa_key("a"))) == ("broken", "signature_invalid")


def test_a_second_reference_or_transform_is_not_taken() -> None:
    for path, algorithm in (
        ("Transforms/{}Transform", "http://www.w3.org/TR/1999/REC-xpath-19991116"),
        ("Transforms/{}Transform", "http://www.w3.org/TR/1999/REC-xslt-19991116"),
        ("Transforms/{}Transform", "http://www.w3.org/2000/09/xmldsig#base64"),
    ):
        alert = signed(base(), rsa_key("a"))
        transform = alert.find(f"{DS}Signature/{DS}SignedInfo/{DS}Reference/{DS}" + path.replace("{}", DS))
        assert transform is not None
        transform.set("Algorithm", algorithm)
        assert state(alert, pinned(kttv=rsa_key("a"))) == ("broken", "signature_invalid")
    alert = signed(base(), rsa_key("a"))
    info = alert.find(f"{DS}Signature/{DS}SignedInfo")
    assert info is not None
    info.append(read(etree.tostring(info[-1]))[0])
    assert state(alert, pinned(kttv=rsa_key("a"))) == ("broken", "signature_invalid")


@pytest.mark.parametrize("method", ["http://www.w3.org/2000/09/xmldsig#hmac-sha1", "urn:quantum", ""])
def test_a_method_that_we_do_not_have_proves_nothing(method: str) -> None:
    alert = signed(base(), rsa_key("a"))
    element = alert.find(f"{DS}Signature/{DS}SignedInfo/{DS}SignatureMethod")
    assert element is not None
    element.set("Algorithm", method)
    assert state(alert, pinned(kttv=rsa_key("a"))) == ("unproven", "accepted")


def test_what_is_read_is_what_was_signed() -> None:
    """A comment is not signed by this form; what stands around it is read as one text all the same."""
    alert = signed(base(), rsa_key("a"))
    status = at(alert, "status")
    comment = etree.Comment("x")
    comment.tail, status.text = "ual", "Act"
    status.append(comment)
    one = judged(alert, pinned(kttv=rsa_key("a")))
    assert one.signature is not None
    assert (one.signature.state, one.code) == ("verified", "accepted")
    assert one.alert is not None
    assert one.alert.status is Status.ACTUAL
    assert not list(one.signature.element.iter(etree.Comment))


def test_the_alert_is_read_from_what_was_signed_and_from_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    other = base()
    put("identifier", "what was signed")(other)
    report = SignatureReport(SignatureState.VERIFIED, other, signer="kttv")
    monkeypatch.setattr(judgement, "examine", lambda *_: report)
    one = judged(base())
    assert one.alert is not None
    assert (one.alert.identifier, one.sketch.identifier) == ("what was signed", "what was signed")


def parallel(*keys: Private) -> etree._Element:
    """Signatures side by side, each over the alert without any."""
    alert = base()
    for key in keys:
        signature = signed(base(), key).find(f"{DS}Signature")
        assert signature is not None
        alert.append(signature)
    return alert


def test_several_signatures() -> None:
    a, b = rsa_key("a"), ec_key("a")
    assert state(parallel(a, b), pinned(kttv=b)) == ("verified", "accepted")
    assert state(parallel(a, b)) == ("untrusted", "accepted")
    spoilt = parallel(a, b)
    value = spoilt.findall(f"{DS}Signature/{DS}SignatureValue")[0]
    value.text = "AAAA"
    assert state(spoilt) == ("broken", "signature_invalid")
    assert state(spoilt, pinned(kttv=b)) == ("verified", "accepted")
    assert state(parallel(a, a, a, a, a), pinned(kttv=a)) == ("broken", "signature_invalid")


def test_a_signature_over_an_alert_that_was_signed_before() -> None:
    """The second signs the first along with the alert: strip the first, and the second no longer holds."""
    alert = signed(signed(base(), rsa_key("a")), ec_key("a"))
    assert len(alert.findall(f"{DS}Signature")) == 2
    assert state(alert, pinned(kttv=ec_key("a"))) == ("verified", "accepted")
    assert state(alert, pinned(kttv=rsa_key("a"))) == ("verified", "accepted")
    assert state(alert) == ("untrusted", "accepted")
    first = alert.findall(f"{DS}Signature")[0]
    alert.remove(first)
    assert state(alert, pinned(kttv=ec_key("a"))) == ("broken", "signature_invalid")


def test_an_alert_keeps_its_signature_inside_a_feed() -> None:
    for canonical in (
        CanonicalizationMethod.CANONICAL_XML_1_0,
        CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    ):
        inner = etree.tostring(signed(base(), rsa_key("a"), canonical=canonical), encoding="unicode")
        feed = (
            '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:x="urn:x"><entry><content type="application/cap+xml">'
            f"{inner}</content></entry></feed>"
        )
        (one,) = verdicts(feed.encode(), Terms(at=NOW, pinned=pinned(kttv=rsa_key("a"))))
        assert one.signature is not None
        assert one.signature.state is SignatureState.VERIFIED


def test_sha_1_is_called_weak() -> None:
    report = examine(read(sample("cap", "canada-signed.cap").read_bytes())[0], PinnedKeys())
    assert report.state is SignatureState.UNTRUSTED
    assert report.weak
    assert "dss1.pelmorex.com" in report.signer


@pytest.mark.parametrize("place", [0, 1])
def test_both_real_signatures_hold_under_their_own_certificates(place: int) -> None:
    alert = read(sample("cap", "canada-signed.cap").read_bytes())[0]
    text = alert.findall(f".//{DS}X509Certificate")[place].text or ""
    key = pinned_key(b"-----BEGIN CERTIFICATE-----\n" + text.strip().encode() + b"\n-----END CERTIFICATE-----\n")
    report = examine(alert, PinnedKeys({key: "pinned"}))
    assert (report.state, report.signer) == (SignatureState.VERIFIED, "pinned")
    at_status = alert.find(f"{{{CAP}}}status")
    assert at_status is not None
    at_status.text = "Test"
    assert examine(alert, PinnedKeys({key: "pinned"})).state is SignatureState.BROKEN


JUNK = [
    f'<Signature xmlns="{DS[1:-1]}"/>',
    f'<Signature xmlns="{DS[1:-1]}"><SignedInfo/><SignatureValue/></Signature>',
    f'<Signature xmlns="{DS[1:-1]}"><SignedInfo><Reference URI=""/></SignedInfo><SignatureValue/></Signature>',
]


@pytest.mark.parametrize("junk", JUNK)
def test_a_signature_that_is_none_is_broken(junk: str) -> None:
    assert verdict(BASE.replace("</alert>", junk + "</alert>").encode()).code == "signature_invalid"
