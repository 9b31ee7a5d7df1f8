"""Labels as text; and two ends that come to know each other by a label's secret, or do not."""

from contextlib import suppress
from dataclasses import replace

import pytest
import segno
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from devices.protocol.crockford import read_code, typed_code
from devices.protocol.enrolment import (
    Decision,
    EnrolmentState,
    Hello,
    Welcome,
    broker_password,
    check_mac,
    commit,
    comparison_code,
    label_key,
    mac,
    session_key,
)
from devices.protocol.label import Label, centre_address, read_label
from loa.errors import Refused

LABEL = Label(bytes(range(5)), bytes(range(16)), "https://loa.example.vn:8443", b"t" * 16, b"r" * 16)


@given(st.binary(min_size=21, max_size=21))
def test_a_code_is_read_back_as_people_type_it(data: bytes) -> None:
    code = typed_code(data)
    assert [len(group) for group in code.split("-")] == [4] * 9
    assert read_code(code.lower().replace("-", " ").replace("0", "o").replace("1", "l"), 21) == data


def test_a_mistyped_code_is_noticed() -> None:
    code = LABEL.code
    wrong = 0
    for at, symbol in enumerate(code):
        if symbol == "-":
            continue
        for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZ":
            if other == symbol:
                continue
            with suppress(Refused):
                read_label(code[:at] + other + code[at + 1 :], address=LABEL.address)
                continue
            wrong += 1
    assert wrong >= 36 * 31 * 0.99
    for text in ("", "LOA1+", "LOA1+HTTPS://X+A+B", code[:-1], "É" * 36):
        with pytest.raises(Refused, match="bad_label"):
            read_label(text, address=LABEL.address)


@pytest.mark.parametrize("pins", [(b"t" * 16, b"r" * 16), (None, None), (b"t" * 16, None)])
def test_a_label_is_read_back_and_fits_a_small_qr_code(pins: tuple[bytes | None, bytes | None]) -> None:
    label = replace(LABEL, tls_pin=pins[0], roots_pin=pins[1])
    assert read_label(label.to_text()) == label
    code = segno.make(label.to_text(), error="m", micro=False)
    assert code.mode == "alphanumeric"
    assert int(code.version) <= 7
    typed = read_label(label.code, address=label.address)
    assert (typed.id, typed.secret, typed.address, typed.tls_pin) == (label.id, label.secret, label.address, None)


@pytest.mark.parametrize(
    "address", ["", "loa.vn", "http://loa.vn", "https://loa.vn/path", "https://a@loa.vn", "https://", "https://x:0"]
)
def test_a_box_goes_to_https_alone(address: str) -> None:
    with pytest.raises(Refused, match="bad_centre_address"):
        centre_address(address)
    assert centre_address("http://127.0.0.1:8080/") == "http://127.0.0.1:8080"


class Ends:
    """A box and a centre with their own keys, and what each says."""

    def __init__(self, label: Label = LABEL) -> None:
        self.key = label_key(label.secret)
        self.box, self.centre = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.nonce = b"n" * 16
        self.hello = Hello(label.id, b"p" * 32, self.box.public_key().public_bytes_raw(), commit(self.nonce))
        self.welcome = Welcome(b"e" * 16, self.centre.public_key().public_bytes_raw(), b"c" * 16, b"roots")


def test_both_ends_have_the_same_key_and_code() -> None:
    ends = Ends()
    one = session_key(ends.key, ends.box, ends.hello, ends.welcome)
    other = session_key(ends.key, ends.centre, ends.hello, ends.welcome)
    assert one == other
    assert len(broker_password(one)) == 26
    code = comparison_code(ends.hello, ends.welcome, ends.nonce)
    assert len(code.replace(" ", "")) == 6


@pytest.mark.parametrize("part", ["label", "public_key", "exchange", "commitment"])
def test_a_hello_with_anything_changed_has_another_mac(part: str) -> None:
    ends = Ends()
    said = mac(ends.key, ends.hello.said())
    check_mac(said, ends.key, ends.hello.said())
    value = getattr(ends.hello, part)
    changed = replace(ends.hello, **{part: bytes([value[0] ^ 1]) + value[1:]})
    with pytest.raises(Refused, match="enrolment_forged"):
        check_mac(said, ends.key, changed.said())


@pytest.mark.parametrize("part", ["enrolment", "exchange", "nonce", "roots"])
def test_a_welcome_with_anything_changed_has_another_key_and_code(part: str) -> None:
    ends = Ends()
    key = session_key(ends.key, ends.box, ends.hello, ends.welcome)
    value = getattr(ends.welcome, part)
    changed = replace(ends.welcome, **{part: bytes([value[0] ^ 1]) + value[1:]})
    assert session_key(ends.key, ends.box, ends.hello, changed) != key
    codes = {comparison_code(ends.hello, one, ends.nonce) for one in (ends.welcome, changed)}
    assert len(codes) == 2


def test_who_has_no_label_has_no_key() -> None:
    """In the middle with an exchange of its own on each side, and another secret: neither side takes it."""
    ends, other = Ends(), Ends(replace(LABEL, secret=b"x" * 16))
    with pytest.raises(Refused, match="enrolment_forged"):
        check_mac(mac(other.key, ends.hello.said()), ends.key, ends.hello.said())
    theirs = session_key(other.key, other.centre, ends.hello, other.welcome)
    with pytest.raises(Refused, match="enrolment_forged"):
        check_mac(mac(theirs, b"w"), session_key(ends.key, ends.box, ends.hello, other.welcome), b"w")


def test_a_point_of_small_order_is_refused() -> None:
    ends = Ends()
    with pytest.raises(Refused, match="enrolment_forged"):
        session_key(ends.key, ends.box, ends.hello, replace(ends.welcome, exchange=bytes(32)))


def test_no_two_decisions_read_alike() -> None:
    one = Decision(EnrolmentState.CONFIRMED, "ab", "c").said()
    assert one != Decision(EnrolmentState.CONFIRMED, "a", "bc").said()


def test_in_the_middle_with_the_secret_the_codes_differ() -> None:
    """Who stole the label before its use and speaks to both: the digits agree by chance, one time in a million."""
    alike = 0
    for at in range(2000):
        box, centre = Ends(), Ends()
        box.nonce = at.to_bytes(16, "big")
        at_box = comparison_code(box.hello, box.welcome, box.nonce)
        alike += at_box == comparison_code(centre.hello, centre.welcome, centre.nonce)
    assert alike <= 1
