"""`loa cap check`: one line an alert, JSON, exit codes, and what is wrong usage."""

import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from typer.testing import CliRunner

from loa.cli.cap import app
from tests.cap.base import BASE, added, base, put, spoiled
from tests.cap.test_areas import CSV
from tests.cap.test_signature import ec_key, pem, public_pem, rsa_key, signed

LINE = "vn.kttv.2026.bao-5.1 | CAP 1.2 | Actual/Alert | 2 infos (vi-VN, en-US) | expires 2026-09-07T13:00:00Z"
UNPLACED = "4 of our places have no coordinates"
AT = ("--at", "2026-09-07T10:00:00+07:00")


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["check", *(str(one) for one in arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def as_json(*arguments: object) -> list[dict[str, Any]]:
    found = json.loads(run(*arguments, "--json")[1])
    assert isinstance(found, list)
    return found


@pytest.fixture
def alert(tmp_path: Path) -> Path:
    path = tmp_path / "bao-5.xml"
    path.write_text(BASE)
    return path


@pytest.fixture
def places(tmp_path: Path) -> Path:
    path = tmp_path / "quang-ninh.csv"
    path.write_text(CSV)
    return path


def test_a_line_for_an_alert_of_ours(alert: Path, places: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "dai-kttv.pem").write_bytes(pem(rsa_key("a")))
    (keys / "other.pub").write_bytes(public_pem(ec_key("a")))
    (keys / "README").write_text("not a key")
    alert.write_bytes(etree.tostring(signed(base(), rsa_key("a"))))
    assert run(alert, *AT, "--areas", places, "--keys", keys) == (
        0,
        f"{alert}: {LINE} | areas quang-ninh/co-to; {UNPLACED} | verified (dai-kttv) | accepted\n",
        "",
    )


def test_a_file_of_places_that_is_not_named_after_a_province(alert: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp_8x.csv").write_text(CSV)
    code, text, _ = run(alert, *AT, "--areas", tmp_path / "tmp_8x.csv")
    assert (code, "| areas co-to; " in text) == (0, True)


def test_a_line_for_an_alert_known_by_name_alone(alert: Path, places: Path) -> None:
    first = BASE[: BASE.index("</info>")] + "</info></alert>"
    start, end = first.index("<polygon>"), first.index("</area>")
    alert.write_text((first[:start] + first[end:]).replace("đặc khu Cô Tô", "Thành phố Móng Cái"))
    _, text, _ = run(alert, *AT, "--areas", places)
    assert 'areas named only "Thành phố Móng Cái", proposed: quang-ninh/mong-cai-1, quang-ninh/mong-cai-2 |' in text


def test_a_feed_has_a_line_for_each_and_its_exit_code_is_that_of_the_worst(alert: Path) -> None:
    wrong = spoiled(put("identifier", "two"), put("info.urgency", "Now"))
    test = spoiled(put("identifier", "three\u202e"), put("status", "Exercise")).replace(b"\xe2\x80\xae", b"")
    alert.write_bytes(b"<alerts>" + BASE.encode() + wrong + test + b"</alerts>")
    code, text, _ = run(alert, *AT)
    assert code == 1
    assert [(line.split(": ")[0], line.split(" | ")[-1]) for line in text.splitlines()] == [
        (f"{alert}#1", "accepted"),
        (f"{alert}#2", "refused: bad_value info.urgency"),
        (f"{alert}#3", "accepted: accepted_exercise"),
    ]


def test_nothing_in_an_alert_moves_the_terminal(alert: Path) -> None:
    alert.write_bytes(spoiled(put("identifier", "a\x9b31m\u202eb\nc | accepted"), added("", "scope", "Private")))
    code, text, _ = run(alert, *AT)
    assert code == 1
    (line,) = text.splitlines()
    assert line.isprintable()
    assert line.count("|") == 7
    assert line.endswith("refused: bad_value identifier")


def test_a_file_that_cannot_be_read_has_its_line_too(tmp_path: Path, alert: Path) -> None:
    (tmp_path / "empty.xml").write_bytes(b"")
    code, text, _ = run(tmp_path / "empty.xml", alert, *AT)
    assert code == 1
    first, second = text.splitlines()
    assert first == (
        f"{tmp_path / 'empty.xml'}: - | CAP ? | -/- | 0 infos | expires - | areas not judged | signature not looked at"
        " | refused: not_xml"
    )
    assert second.endswith("| accepted")


def test_found_again(alert: Path, tmp_path: Path) -> None:
    other = tmp_path / "other-version.xml"
    other.write_text(BASE.replace("cấp 15", "cấp 12"))
    code, text, _ = run(alert, alert, other, *AT)
    assert code == 0
    assert [line.split(" | ")[-1] for line in text.splitlines()] == ["accepted", "accepted: already_known", "accepted"]


def test_json(alert: Path, places: Path) -> None:
    (one,) = as_json(alert, *AT, "--areas", places)
    assert one == {
        "file": str(alert),
        "place": 1,
        "identifier": "vn.kttv.2026.bao-5.1",
        "sender": "kttv@example.vn",
        "sent": "2026-09-07T08:00:00+07:00",
        "version": "1.2",
        "status": "Actual",
        "msg_type": "Alert",
        "infos": 2,
        "languages": ["vi-VN", "en-US"],
        "expires": "2026-09-07T13:00:00Z",
        "expires_by_default": False,
        "areas": {
            "matched": ["quang-ninh/co-to"],
            "named": [],
            "elsewhere": [],
            "places_without_coordinates": 4,
            "unknown_codes": [],
        },
        "signature": {"state": "unsigned", "signer": None, "method": None, "reason": None},
        "verdict": "accepted",
        "code": "accepted",
        "kind": "live",
        "field": None,
        "words": {"vi": "Cảnh báo hợp lệ", "en": "A valid alert"},
        "remedy": {
            "vi": "Soạn cảnh báo khẩn cấp từ nội dung này rồi chờ người có thẩm quyền ký phát.",
            "en": "Compose an alert from it, to be released by people who are appointed to.",
        },
    }
    (late,) = as_json(alert)
    assert (late["verdict"], late["code"], late["kind"]) == ("refused", "expired", None)
    alert.write_bytes(b"<!DOCTYPE alert>" + BASE.encode())
    (unread,) = as_json(alert)
    assert (unread["code"], unread["identifier"], unread["signature"]) == ("dtd_forbidden", None, None)


WRONG: dict[str, tuple[object, ...]] = {
    "no file": (),
    "a file that is not there": ("absent.xml",),
    "a folder": (".",),
    "no such instant": ("ALERT", "--at", "yesterday"),
    "an instant without a zone": ("ALERT", "--at", "2026-09-07T10:00:00"),
    "no such places": ("ALERT", "--areas", "absent.csv"),
    "places that are none": ("ALERT", "--areas", "ALERT"),
    "no such keys": ("ALERT", "--keys", "absent"),
    "a folder without keys": ("ALERT", "--keys", "EMPTY"),
    "a key that is none": ("ALERT", "--keys", "BAD"),
    "no such option": ("ALERT", "--fast"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_usage_is_2_and_says_what(name: str, alert: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.pem").write_text("junk")
    stand_ins = {"ALERT": alert, "EMPTY": tmp_path / "empty", "BAD": tmp_path / "bad"}
    code, out, err = run(*(stand_ins.get(str(one), one) for one in WRONG[name]))
    assert (code, out) == (2, "")
    assert "Error" in err or "Missing" in err


def test_the_help_has_examples() -> None:
    text = CliRunner().invoke(app, ["check", "--help"]).output
    for words in ("loa cap check warning.xml --areas quang-ninh.csv", "--at sent", "Exit code 0", "already_known"):
        assert words in text
