"""`loa alert levels`, `templates`, `sounds` and what `compose` makes of them, as people type it."""

import json
from pathlib import Path

import pytest

from tests.api.server import Served
from tests.cli.test_verbs import Shell

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto", "espeak-ng")]
PROVINCE, AREA = "quang-ninh", "quang-ninh/van-don"


def test_what_alerts_are_made_of(served: Served, tmp_path: Path) -> None:
    admin = Shell(served, tmp_path)
    admin.loa("area", "add", AREA, "Vân Đồn")
    admin.loa("nodes", "enrol", "van-don-1", "--area", AREA, "--public-key", "cd" * 32)
    officer = admin.as_somebody(LOA_TOKEN=served.join("dung", ("duty_officer", PROVINCE)).token)

    assert "as shipped" in officer.loa("alert", "levels", "list")
    assert "[not_permitted]" in officer.loa("alert", "levels", "set", "Severe", "Future", "--siren", "3", expect=1)
    assert admin.json("alert", "levels", "set", "Severe", "Future", "--siren", "3", "--gap", "12")["version"] == 1
    assert "[bad_value]" in admin.loa("alert", "levels", "set", "Big", "Future", "--siren", "3", expect=1)

    assert "storm" in officer.loa("alert", "templates", "list")
    words = json.loads(officer.loa("alert", "templates", "show", "flood"))
    (tmp_path / "mine.json").write_text(json.dumps(words | {"title": "Lũ lớn: {place}"}))
    assert "version 1" in admin.loa("alert", "templates", "keep", "flood", str(tmp_path / "mine.json"))
    assert "[file_missing]" in admin.loa("alert", "templates", "keep", "flood", str(tmp_path / "gone.json"), expect=1)
    admin.loa("alert", "templates", "keep", "own", str(tmp_path / "mine.json"))
    admin.loa("alert", "templates", "remove", "own")
    assert "[not_found]" in officer.loa("alert", "templates", "show", "own", expect=1)

    at_first = [one["code"] for one in officer.json("alert", "sounds", "list")["sounds"]]
    assert at_first == [1, 2, 3, 255], "the first start made them"
    for code in at_first:
        admin.loa("alert", "sounds", "remove", str(code), "--area", PROVINCE)
    assert "shipped" in officer.loa("alert", "sounds", "list")
    assert [one["code"] for one in admin.json("alert", "sounds", "shipped")["sounds"]] == [1, 2, 3, 255]
    assert "Còi 1" in officer.loa("alert", "sounds", "list", "--area", AREA)
    admin.loa("alert", "sounds", "remove", "2", "--area", AREA)
    assert "Còi 2" not in officer.loa("alert", "sounds", "list", "--area", AREA)

    fill = ["--fill", "place=Cái Rồng", "--fill", "river=suối Voòng Tre", "--fill", "time=5 giờ"]
    compose = ("alert", "compose", "--drill", "--to", AREA, "--template", "flood", *fill)
    assert "[blank_empty]" in officer.loa(*compose, expect=1)
    made = officer.json(*compose, "--fill", "shelter=nhà văn hoá", "--severity", "Severe", "--urgency", "Future")
    assert (made["title"], made["siren"], made["gap_ms"]) == ("Lũ lớn: Cái Rồng", 3, 12_000)
    shown = officer.loa("alert", "show", made["id"])
    assert "vi, " in shown
    assert "suối Voòng Tre đang lên nhanh" in shown
    officer.loa("alert", "hear", made["id"], "-o", str(tmp_path / "said.ogg"))
    assert (tmp_path / "said.ogg").read_bytes()[:4] == b"OggS"
    assert "[not_found]" in officer.loa(
        "alert", "hear", made["id"], "--language", "en", "-o", str(tmp_path / "x.ogg"), expect=1
    )
    spoken = officer.json(
        "alert", "compose", "--live", "--title", "Bão", "--to", AREA, "--severity", "Extreme", "--urgency", "Immediate",
        "--say", "vi=Về bờ ngay.", "--say", "en=Return to shore.", "--siren", "2",
    )  # fmt: skip
    assert [one["language"] for one in spoken["sounds"]] == ["vi", "en"]
    assert "SOME NODES HAVE NO SIREN 2" in officer.loa("alert", "show", spoken["id"])
