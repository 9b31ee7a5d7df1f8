"""What is said of keys that are not as they should be, and when."""

from dataclasses import replace
from pathlib import Path

import pytest

from controller import keyfiles
from controller.keydisk import lock_key
from controller.keyfiles import CentreKeys
from controller.keywatch import WARNING_CODES, days_left, in_office, key_warnings
from controller.peoplekeys import Cost
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.refusal import WireRefusal
from devices.protocol.trust import Power
from loa.entropy import system_entropy
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.problems import PROBLEMS
from loa.units import InstantMs
from tests.controller.test_peoplekeys import WORDS, counting

NOW = InstantMs(1_790_000_000_000)
DAY = 86_400_000
PROVINCE = AreaPath("quang-ninh")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CentreKeys:
    """A centre whose roots were moved away, and whose own key lies under a passphrase."""
    monkeypatch.setattr("controller.peoplekeys.COST", Cost(8, 1, 1))
    keyfiles.create_centre(tmp_path, PROVINCE, NOW, counting())
    lock_key(tmp_path / "controller.json", WORDS, system_entropy)
    for path in (tmp_path / "roots").iterdir():
        path.rename(tmp_path / f"away-{path.name}")
    return keyfiles.load_centre(tmp_path, lambda _: WORDS)


def codes(keys: CentreKeys, after_days: float = 0) -> list[tuple[str, str]]:
    return [(one.code, one.subject) for one in key_warnings(keys, InstantMs(NOW + round(after_days * DAY)))]


def roots_of(keys: CentreKeys) -> list[Path]:
    return sorted(keys.directory.glob("away-*.json"))


def appoint(keys: CentreKeys, holder: str, day: int, days: int = 365, key: int = 7) -> CentreKeys:
    keyfiles.appoint(
        keys.directory, holder=holder, public_key=bytes([key]) * 32, area=PROVINCE, ceiling=Precedence.EMERGENCY,
        powers=Power.APPROVE, now_ms=InstantMs(NOW + day * DAY), entropy=lambda n: bytes([day % 250 + 1, key] * n)[:n],
        days=days, root_files=roots_of(keys),
    )  # fmt: skip
    return keyfiles.load_centre(keys.directory, lambda _: WORDS)


def test_each_warning_has_words() -> None:
    assert set(WARNING_CODES) <= set(PROBLEMS)


def test_roots_on_the_machine_are_a_standing_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.peoplekeys.COST", Cost(8, 1, 1))
    keys = keyfiles.create_centre(tmp_path, PROVINCE, NOW, counting())
    own = ("controller_plain", "controller")
    assert codes(keys) == [("roots_plain", "root-1, root-2, root-3-sealed"), own]
    lock_key(tmp_path / "controller.json", WORDS, counting())
    lock_key(tmp_path / "roots" / "root-1.json", WORDS, counting())
    keys = keyfiles.load_centre(tmp_path, lambda _: WORDS)
    assert codes(keys) == [("roots_plain", "root-2, root-3-sealed"), ("roots_here", "root-1")]
    for path in (tmp_path / "roots").iterdir():
        path.unlink()
    assert codes(keyfiles.load_centre(tmp_path, lambda _: WORDS)) == []


def test_an_appointment_s_end_is_told_a_month_before(keys: CentreKeys) -> None:
    assert codes(keys, 334.9) == []
    assert codes(keys, 335) == [("appointment_ends", "controller")]
    assert codes(keys, 365) == [("appointment_ended", "controller")]
    assert codes(keys, 900) == [("appointment_ended", "controller")], "without the controller nothing goes"


def test_a_person_s_end_is_told_for_a_month_and_then_left_alone(keys: CentreKeys) -> None:
    keys = appoint(keys, "lan", 0, days=100)
    assert codes(keys, 69) == []
    assert codes(keys, 70) == [("appointment_ends", "lan")]
    assert codes(keys, 100) == codes(keys, 129) == [("appointment_ended", "lan")]
    assert codes(keys, 130) == []


def test_what_was_renewed_or_revoked_is_not_told(keys: CentreKeys) -> None:
    keys = appoint(appoint(keys, "lan", 0, days=100), "lan", 80)
    assert codes(keys, 90) == []
    assert [days_left(one, NOW) for one in in_office(keys) if one.holder == "lan"] == [445]
    other = appoint(keys, "binh", 0, days=100, key=8)
    assert codes(other, 90) == [("appointment_ends", "binh")]
    keyfiles.revoke(keys.directory, [_id_of(other, "binh")], now_ms=NOW, reason="left", root_files=roots_of(keys))
    assert codes(keyfiles.load_centre(keys.directory, lambda _: WORDS), 90) == []


def test_a_narrower_renewal_does_not_hide_an_end(keys: CentreKeys) -> None:
    keys = appoint(keys, "lan", 0, days=100)
    longer = keyfiles.read_appointments(appoint(keys, "lan", 80).appointments)[-1]
    assert longer.holder == "lan"
    keyfiles.appoint(
        keys.directory, holder="binh", public_key=bytes([9]) * 32, area=PROVINCE, ceiling=Precedence.EMERGENCY,
        powers=Power.APPROVE, now_ms=NOW, entropy=lambda n: b"\x61" * n, days=100, root_files=roots_of(keys),
    )  # fmt: skip
    keyfiles.appoint(
        keys.directory, holder="binh", public_key=bytes([9]) * 32, area=AreaPath("quang-ninh/co-to"),
        ceiling=Precedence.EMERGENCY, powers=Power.APPROVE, now_ms=InstantMs(NOW + DAY), entropy=lambda n: b"\x62" * n,
        root_files=roots_of(keys),
    )  # fmt: skip
    assert codes(keyfiles.load_centre(keys.directory, lambda _: WORDS), 90) == [("appointment_ends", "binh")]


def test_what_these_roots_did_not_sign_is_left_out_and_told(keys: CentreKeys, tmp_path: Path) -> None:
    """A backup from before a new root set: one such file, and nodes would refuse the whole document."""
    keys = appoint(keys, "lan", 0)
    other = tmp_path / "elsewhere"
    keyfiles.create_centre(other, PROVINCE, NOW, system_entropy)
    stranger = next((other / "appointments").glob("*.cose"))
    (keys.directory / "appointments" / "00.cose").write_bytes(stranger.read_bytes())
    (keys.directory / "revocations").mkdir()
    (keys.directory / "revocations" / "torn.cose").write_bytes(b"torn")
    spoiled = keyfiles.load_centre(keys.directory, lambda _: WORDS)
    assert codes(spoiled) == [("left_out", "00, torn")]
    assert spoiled.appointments == keys.appointments
    node = Authority.pinned(keys.roots)
    assert accept_trust(spoiled.trust(version=1, now_ms=NOW), node, NOW).grants
    whole = replace(spoiled, appointments=(*spoiled.appointments, stranger.read_bytes()))
    with pytest.raises(WireRefusal, match="untrusted_key"):
        accept_trust(whole.trust(version=1, now_ms=NOW), node, NOW)


def _id_of(keys: CentreKeys, holder: str) -> bytes:
    return next(one.id for one in keyfiles.read_appointments(keys.appointments) if one.holder == holder)
