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

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
AREA = "quang-ninh/co-to"
WORDS = "thuyền về bến cũ"


def appoint(served: Served, holder: str, public_key: bytes) -> None:
    keyfiles.appoint(
        served.data / "keys", holder=holder, public_key=public_key, area=AreaPath(AREA),
        ceiling=Precedence.EMERGENCY, powers=Power.APPROVE, kind=Kind.LIVE, now_ms=SystemClock().now_ms(),
        entropy=system_entropy,
    )  # fmt: skip


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
    assert "Released." in shell.loa("alert", "approve", second["id"], "--live", "--with", "mai.json", "--yes", *wrong)
    third = shell.json("alert", "compose", "--drill", *form)
    assert "withdrawn" in shell.loa("alert", "withdraw", third["id"][:8])
    assert [one["status"] for one in shell.json("alert", "list")] == ["withdrawn", "released", "cancelled"]
    assert "loa alert compose" in shell.loa("alert", "--help")
