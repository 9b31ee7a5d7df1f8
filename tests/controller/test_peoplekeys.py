"""Keys under passphrases: what opens them, what does not, which passphrases are refused, and what a person signs."""

import unicodedata
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.passphrases import check_passphrase, suggest_passphrase
from controller.peoplekeys import COST, Cost, approve, seal_seed, unseal_seed
from devices.protocol import cbor, cose
from devices.protocol.envelope import encode
from devices.protocol.keys import signature_holds
from devices.protocol.refusal import Malformed
from loa.entropy import Entropy, system_entropy
from loa.errors import Refused
from tests.people import AS_SHIPPED
from tests.protocol import world

LIGHT = Cost(memory_kib=8, passes=1, lanes=1)
WORDS = "thuyền về bến cũ"
SEED = bytes(range(32))
BODY = encode(world.body_for(world.order()))


def counting() -> Entropy:
    numbers = count(1)
    return lambda length: next(numbers).to_bytes(length, "big")


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(Refused) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_what_a_password_costs_is_what_the_rfc_recommends() -> None:
    """RFC 9106, section 4: the second recommended option; tests elsewhere hash lightly."""
    assert AS_SHIPPED.hash("một mật khẩu").startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_what_it_costs_is_what_the_rfc_recommends() -> None:
    """RFC 9106 section 4, second option; the figures travel with the blob, so a costlier one can follow."""
    assert Cost(memory_kib=64 * 1024, passes=3, lanes=4) == COST
    blob = seal_seed(SEED, WORDS, counting())
    assert cbor.loads(blob, max_bytes=512)[1:4] == [65536, 3, 4]  # type: ignore[index]
    assert unseal_seed(blob, WORDS) == SEED
    assert code_of(unseal_seed, blob, WORDS + "!") == "wrong_passphrase"


def test_only_its_passphrase_opens_it() -> None:
    blob = seal_seed(SEED, WORDS, counting(), cost=LIGHT)
    assert unseal_seed(blob, WORDS) == SEED
    for wrong in ("", WORDS[:-1], WORDS.upper(), WORDS + " ", "thuyen ve ben cu"):
        assert code_of(unseal_seed, blob, wrong) == "wrong_passphrase"
    assert SEED not in blob


def test_it_does_not_matter_how_a_keyboard_makes_a_letter() -> None:
    together, apart = (unicodedata.normalize(form, WORDS) for form in ("NFC", "NFD"))
    assert together != apart
    assert unseal_seed(seal_seed(SEED, apart, counting(), cost=LIGHT), together) == SEED


def test_the_same_seed_is_sealed_differently_each_time() -> None:
    entropy = counting()
    assert seal_seed(SEED, WORDS, entropy, cost=LIGHT) != seal_seed(SEED, WORDS, entropy, cost=LIGHT)


def test_any_bit_changed_opens_nothing() -> None:
    blob = seal_seed(SEED, WORDS, counting(), cost=LIGHT)
    for bit in range(8 * len(blob)):
        spoiled = bytearray(blob)
        spoiled[bit // 8] ^= 1 << bit % 8
        assert code_of(unseal_seed, bytes(spoiled), WORDS) in ("wrong_passphrase", "bad_key_file"), bit


@given(st.binary(max_size=300))
def test_junk_is_refused_and_nothing_else(junk: bytes) -> None:
    assert code_of(unseal_seed, junk, WORDS) == "bad_key_file"


@pytest.mark.parametrize("figures", [(1 << 21, 1, 1), (7, 1, 1), (64, 0, 1), (64, 65, 1), (1024, 1, 17), (64, 1, 0)])
def test_a_spoiled_file_does_not_take_the_machine_down(figures: tuple[int, int, int]) -> None:
    with pytest.raises(Malformed):
        Cost(*figures)


@pytest.mark.parametrize(
    "weak",
    [
        "", "short", "elevenchars", "aaaaaaaaaaaaaaaa", "123456789012", "abcdefghijklmnop", "qwertyuiop12",
        "matkhau123456", "mật khẩu khẩn cấp", "passwordpassword", "QuangNinh2026", "zyxwvutsrqpo", "            ",
        "abcabcabcabcabc",
    ],
)  # fmt: skip
def test_what_all_try_first_is_too_weak(weak: str) -> None:
    assert code_of(check_passphrase, weak) == "weak_passphrase"
    assert code_of(seal_seed, SEED, weak, counting()) == "weak_passphrase"


@pytest.mark.parametrize("good", [WORDS, "correct horse battery", "tr0ub4dor&3xy", "Ếch ngồi đáy giếng"])
def test_words_of_ones_own_are_good_enough(good: str) -> None:
    check_passphrase(good)


def test_ones_own_name_says_nothing() -> None:
    check_passphrase("nguyenthilan k7")
    with pytest.raises(Refused, match="weak_passphrase"):
        check_passphrase("nguyenthilan k7", known=("nguyenthilan",))
    assert code_of(check_passphrase, "x1" * 200) == "too_large"


def test_a_suggested_one_is_good_enough_and_never_the_same() -> None:
    suggested = {suggest_passphrase(system_entropy) for _ in range(50)}
    assert len(suggested) == 50
    for one in suggested:
        check_passphrase(one)


def test_an_approval_covers_the_very_bytes() -> None:
    approval = approve(BODY, world.PERSON)
    protected, unprotected, payload, signature = cbor.loads(approval, max_bytes=512).value  # type: ignore[attr-defined]
    assert (unprotected, payload) == ({}, None)
    covered = cbor.dumps_in_order(["Signature1", protected, b"", BODY])
    assert signature_holds(world.PERSON.public_key, signature, covered)
    assert not signature_holds(world.PERSON.public_key, signature, covered[:-1] + b"y")


def test_a_person_s_key_approves_bodies_and_nothing_else() -> None:
    """With its payload put back, a detached signature over an order would be that order, signed."""
    order = encode(world.order())
    for other in (order, b"", b"\xa0", cbor.dumps([20]), BODY + b"\0", BODY[:-1]):
        assert code_of(approve, other, world.PERSON) == "not_an_alert_body"
    assert cose.sign1(order, world.PERSON)[-64:] != approve(BODY, world.PERSON)[-64:]
