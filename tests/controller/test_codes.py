"""Codes: against the vectors of RFC 6238, once each, one step early or late; sealed; recovery codes; the key."""

import base64
from pathlib import Path

import pytest

from controller import codes
from loa.errors import Fault, Refused
from loa.units import InstantMs

SECRET = base64.b32encode(b"12345678901234567890").decode()
# RFC 6238, appendix B, SHA-1: time in s, the last six of its eight digits.
VECTORS = [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037")]


@pytest.mark.parametrize(("at_s", "code"), VECTORS)
def test_the_vectors_of_the_standard(at_s: int, code: str) -> None:
    assert codes.code_of(SECRET, codes.step_at(InstantMs(at_s * 1000))) == code
    assert codes.step_taken(SECRET, code, InstantMs(at_s * 1000), 0) == at_s // 30


def test_a_code_counts_once_and_a_step_early_or_late() -> None:
    now = InstantMs(1_790_000_000_000)
    step = codes.step_at(now)
    for off in (-1, 0, 1):
        assert codes.step_taken(SECRET, codes.code_of(SECRET, step + off), now, 0) == step + off
    for off in (-2, 2):
        with pytest.raises(Refused, match="bad_code"):
            codes.step_taken(SECRET, codes.code_of(SECRET, step + off), now, 0)
    with pytest.raises(Refused, match="code_used"):
        codes.step_taken(SECRET, codes.code_of(SECRET, step), now, step)
    with pytest.raises(Refused, match="code_used"):
        codes.step_taken(SECRET, codes.code_of(SECRET, step - 1), now, step)
    for nonsense in ("", "12345", "1234567", "１２３４５６", "abcdef", "\ud800"):
        with pytest.raises(Refused, match="bad_code"):
            codes.step_taken(SECRET, nonsense, now, 0)


def test_secrets_are_sealed_for_one_account_under_one_key() -> None:
    key, count = bytes(32), iter(range(100))
    sealed = codes.seal_secret(SECRET, "lan", key, lambda n: next(count).to_bytes(n, "big"))
    assert SECRET.encode() not in sealed
    assert codes.open_secret(sealed, "lan", key) == SECRET
    for name, other in (("mai", key), ("lan", bytes(31) + b"x")):
        with pytest.raises(Fault, match="accounts_key_wrong"):
            codes.open_secret(sealed, name, other)


def test_recovery_codes_are_told_from_six_digits_and_kept_as_keyed_hashes() -> None:
    made = codes.new_recovery_codes(lambda n: b"\x5a" * n)
    assert len(made) == codes.RECOVERY_CODES
    assert codes.is_recovery_code(made[0])
    assert codes.is_recovery_code(made[0].upper().replace("-", " "))
    assert not codes.is_recovery_code("123456")
    kept = codes.recovery_hash(made[0], "lan", bytes(32))
    assert kept == codes.recovery_hash(made[0].upper(), "lan", bytes(32))
    assert kept != codes.recovery_hash(made[0], "mai", bytes(32))
    assert kept != codes.recovery_hash(made[0], "lan", b"k" * 32)


def test_the_key_is_made_once_and_lies_outside_the_tables(tmp_path: Path) -> None:
    made = codes.accounts_key(tmp_path / "keys", "", lambda n: b"\x07" * n)
    assert made == codes.accounts_key(tmp_path / "keys", "", lambda n: b"\x08" * n) == b"\x07" * 32
    assert (tmp_path / "keys" / "accounts.key").stat().st_mode & 0o777 == 0o600
    assert codes.accounts_key(tmp_path / "other", "ab" * 32, lambda n: b"") == b"\xab" * 32
    assert not (tmp_path / "other").exists()
    for bad in ("ab" * 31, "words"):
        with pytest.raises(Refused, match="bad_accounts_key"):
            codes.accounts_key(tmp_path, bad, lambda n: b"")
