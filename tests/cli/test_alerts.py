"""`loa alert` against a running server, as people type it."""

from pathlib import Path

import pytest

from controller import keyfiles
from controller.keydisk import write_locked_key
from devices.protocol.keys import SigningKey
from devices.protocol.trust import Power
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from tests.api.server import Served
from tests.cli.test_verbs import Shell
from tests.controller.wire.waiting import eventually
from tests.receivers import webhook

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
AREA = "quang-ninh/co-to"
WORDS = "thuyền về bến cũ"


def appoint(served: Served, holder: str, public_key: bytes) -> None:
    keyfiles.appoint(
        served.data / "keys", holder=holder, public_key=public_key, area=AreaPath(AREA),
        ceiling=Precedence.EMERGENCY, powers=Power.APPROVE, kind=Kind.LIVE, now_ms=SystemClock().now_ms(),
        entropy=system_entropy,
    )  # fmt: skip


def await_closing(shell: Shell, name: str, folder: Path) -> None:
    """Nobody was reached: seen, sent again, reported, closed."""
    seen = shell.loa("alert", "board", name)
    assert "Call the village head." in seen
    assert "0 of 1 nodes sounded; 1 of 1 villages not reached" in seen
    assert "by area quang-ninh/co-to: 1× from " in seen
    assert "never heard from" in shell.loa("alert", "board", name, "--nodes")
    assert "Sent again to 1 nodes." in shell.loa("alert", "again", name)
    assert "closed" in shell.loa("alert", "close", name)
    assert "closed" in shell.loa("alert", "board", name, "--watch")
    shell.loa("alert", "report", name, "--out", "bao-cao.html")
    shell.loa("alert", "report", name, "--out", "bao-cao.csv")
    assert "CẢNH BÁO THẬT" in (folder / "bao-cao.html").read_text()
    assert (folder / "bao-cao.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert "[bad_argument]" in shell.loa("alert", "report", name, "--out", "bao-cao.txt", expect=1)


async def test_an_alert_from_its_composing_to_its_end(served: Served, tmp_path: Path) -> None:
    admin = Shell(served, tmp_path)
    admin.loa("area", "add", AREA, "Cô Tô")
    admin.loa("nodes", "enrol", "co-to-1", "--area", AREA, "--public-key", "ab" * 32)
    mai = served.join("mai", ("approver", AREA))
    made = served.ask("POST", "/api/v1/people-keys", {"area": AREA, "passphrase": WORDS}, token=mai.token)
    appoint(served, "mai", bytes.fromhex(made["public_key"]))
    device = SigningKey(system_entropy(32))
    write_locked_key(
        tmp_path / "mai.json", device, "person", "mai", passphrase="cá lên bờ ăn trăng", entropy=system_entropy
    )
    appoint(served, "mai", device.public_key)
    (tmp_path / "words").write_text(WORDS + "\n")
    (tmp_path / "device-words").write_text("cá lên bờ ăn trăng\n")
    admin.loa("nodes", "test-tone", "co-to-1")  # the centre looks at its keys again
    shell = admin.as_somebody(LOA_TOKEN=mai.token)

    form = ("--title", "Bão số 9", "--to", AREA, "--siren", "1")
    assert "Missing option '--live'" in shell.loa("alert", "compose", *form, expect=2)
    assert "[not_permitted]" in shell.loa("alert", "compose", "--live", *form[:2], "--to", "quang-ninh", "--siren", "1",
                                          expect=1)  # fmt: skip
    first = shell.json("alert", "compose", "--live", *form, "--until-cancelled")
    name = first["id"][:8]

    async def can_be_approved() -> bool:
        return "1 more to approve it, of: mai (quang-ninh/co-to, alone)" in shell.loa("alert", "show", name)

    await eventually(can_be_approved, within_s=40, every_s=0.5)
    assert "CẢNH BÁO THẬT" in shell.loa("alert", "show", name)
    assert name in shell.loa("alert", "list", "--waiting")
    by_words = ("--passphrase-file", "words", "--yes")
    assert "Type yes: Aborted!" in shell.loa("alert", "approve", name, "--live", "--passphrase-file", "words", expect=1)
    assert "[drill_mismatch]" in shell.loa("alert", "approve", name, "--drill", *by_words, expect=1)
    wrong = ("--passphrase-file", "device-words")
    assert "[wrong_passphrase]" in shell.loa("alert", "approve", name, "--live", "--yes", *wrong, expect=1)
    assert "[alert_not_released]" in shell.loa("alert", "cancel", name, "--passphrase-file", "words", expect=1)
    assert "Released." in shell.loa("alert", "approve", name, "--live", *by_words)
    assert shell.json("broadcast", "show", first["id"])["precedence"] == "emergency"
    assert "cancelled" in shell.loa("alert", "cancel", name, "--with", "mai.json", *wrong)

    second = shell.json("alert", "compose", "--live", *form)
    with webhook() as hook:
        (tmp_path / "address").write_text(f"json://127.0.0.1:{hook.port}/s3cret-path\n")
        told = admin.json("escalation", "add", "Trực ban", "--url-file", "address")["id"]
        assert "Sent." in admin.loa("escalation", "test", told[:6])
        assert "below 100 %" in admin.loa("escalation", "steps", f"5:100:{told[:8]}")
        assert "s3cret" not in admin.loa("escalation", "show")
        (tmp_path / "empty").write_text("")
        assert "[bad_notice_address]" in admin.loa("escalation", "add", "x", "--url-file", "empty", expect=1)
        assert "[file_missing]" in admin.loa("escalation", "add", "x", "--url-file", "nowhere", expect=1)
        assert "[bad_argument]" in admin.loa("escalation", "steps", "5:many:x", expect=1)
        approved = shell.loa("alert", "approve", second["id"], "--live", "--with", "mai.json", "--yes", *wrong)
        assert "Released." in approved

        async def somebody_was_told() -> bool:
            return len(hook.posts) == 2

        await eventually(somebody_was_told, within_s=40)
    admin.loa("escalation", "remove", told[:6])
    assert "No addresses." in admin.loa("escalation", "show")
    await_closing(shell, second["id"][:8], tmp_path)
    third = shell.json("alert", "compose", "--drill", *form)
    assert "withdrawn" in shell.loa("alert", "withdraw", third["id"][:8])
    assert [one["status"] for one in shell.json("alert", "list")] == ["withdrawn", "released", "cancelled"]
    assert "loa alert compose" in shell.loa("alert", "--help")
