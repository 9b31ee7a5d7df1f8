"""docs/keys.md, run as it stands: three machines, sticks between them, people who type. At the end a real node."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller import keyfiles
from controller.keyfiles import CentreKeys
from devices.node.memory import MemoryStorage
from devices.protocol.envelope import seal_with
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.refusal import RefusalReason
from devices.protocol.renewal import trust_document
from devices.protocol.topics import DownChannel
from devices.protocol.trust import Appointment
from loa.clock import SystemClock
from loa.units import InstantMs
from tests.cli.desk import at_a_terminal
from tests.node import rig as rigging
from tests.node.rig import Rig, recording
from tests.protocol.world import NODE, NODE_KEY

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parents[2] / "docs" / "keys.md"
_BLOCK = re.compile(r"^```sh\n# at ([^\n]+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPOKEN = {
    "root-1": "thuyền về bến cũ",
    "root-2": "mưa rào tháng sáu",
    "root-3-sealed": "lá đa rụng sân đình",
    "root-4": "gió bấc thổi qua đồi",
    "lan": "cá lên bờ ăn trăng",
}


@dataclass
class Page:
    """The blocks of the page by section, and the machines that they are run at."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def at(cls, folder: Path) -> "Page":
        sticks = {name: folder / name.lower() for name in ("STICK", "HOLDER_A", "HOLDER_B", "SAFE")}
        for path in sticks.values():
            path.mkdir()
        tools = Path(sys.executable).parent
        environment = {
            "PATH": f"{tools}:/usr/bin:/bin", "LANG": "C.UTF-8", "KEYS": str(folder / "centre" / "keys"),
            **{name: str(path) for name, path in sticks.items()},
        }  # fmt: skip
        return cls(folder, environment)

    def run(self, section: str) -> str:
        """Every block of a section, each at its machine; the screens."""
        text = PAGE.read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
        blocks = _BLOCK.findall(text)
        assert len(blocks) == text.count("```sh\n") > 0, section
        said = ""
        for machine, script in blocks:
            place = self.folder / re.sub(r"[^a-z]+", "-", machine.lower().removeprefix("the "))
            said += at_a_terminal(script, place, self.environment, SPOKEN)
        return said

    @property
    def keys(self) -> CentreKeys:
        return keyfiles.load_centre(Path(self.environment["KEYS"]))


async def test_the_page_from_the_ceremony_to_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page.at(tmp_path)
    said = page.run("The ceremony")
    assert "1. APPOINT (bổ nhiệm) controller  quang-ninh  up to priority" in said
    first = page.keys
    assert (len(first.roots.roots), first.roots.threshold, first.roots_here) == (3, 2, ())
    for secret in SPOKEN.values():
        assert secret not in said, "what is typed does not show"

    page.run("Appointing a person")
    page.run("Every year")
    assert [one.holder for one in _people(page)] == ["lan", "lan"]
    page.run("A duty officer is replaced")
    assert page.keys.revoked == {key_id(_people(page)[0].public_key)}
    page.run("A passphrase is forgotten, or a root's stick is lost")
    assert page.keys.roots.version == 2
    stolen = page.keys.controller
    page.run("The controller's key is lost or stolen")
    after = page.keys
    assert after.controller != stolen

    # A box that was enrolled on the first day.
    now = SystemClock().now_ms()
    rig = _box(tmp_path / "box", first, now, monkeypatch)
    await rig.open()
    await rig.boot(MemoryStorage(), identity=NodeIdentity(NODE, NODE_KEY, first.roots))
    rig.say(DownChannel.CTL, first.trust(version=now, now_ms=now))
    rig.place()
    await rig.clock.advance(5)
    assert await _heard(rig, "before", first.controller)
    assert not await _heard(rig, "stranger", IMPOSTOR)
    assert rig.node.status().refusals == {RefusalReason.UNTRUSTED_KEY: 1}

    # It slept through all the rest: one document brings it there.
    rig.say(DownChannel.CTL, after.trust(version=now + 1, now_ms=now))
    await rig.clock.advance(1)
    monkeypatch.setattr(rigging, "CONTROLLER", after.controller)
    await rig.clock.advance(1)
    before = rig.node.status().refusals
    assert not await _heard(rig, "stolen", stolen)
    assert rig.node.status().refusals[RefusalReason.REVOKED] == before.get(RefusalReason.REVOKED, 0) + 1
    assert await _heard(rig, "after", after.controller)

    # A controller that the roots did not appoint: its document is refused, and so is whatever it says.
    before = rig.node.status().refusals
    rig.say(DownChannel.CTL, _not_appointed(after, now))
    await rig.clock.advance(1)
    assert not await _heard(rig, "impostor", IMPOSTOR)
    assert rig.node.status().refusals[RefusalReason.UNTRUSTED_KEY] == before[RefusalReason.UNTRUSTED_KEY] + 2
    assert await _heard(rig, "again", after.controller)


def _people(page: Page) -> list[Appointment]:
    return [one for one in keyfiles.read_appointments(page.keys.appointments) if one.holder != "controller"]


def _box(folder: Path, keys: CentreKeys, now: InstantMs, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Where a real node is tried; its desk answers as this controller."""
    for name, value in (("CONTROLLER", keys.controller), ("NOW", now)):
        monkeypatch.setattr(rigging, name, value)
    return Rig(folder)


async def _heard(rig: Rig, name: str, key: SigningKey) -> bool:
    """Whether an order under this key makes a sound."""
    rig.give(rig.order(name, recording(), in_ms=500), key)
    await rig.clock.advance(8)
    return bool(rig.heard(name).any())


IMPOSTOR = SigningKey(bytes(range(32)))


def _not_appointed(keys: CentreKeys, now: int) -> bytes:
    """A trust document of a controller that somebody who is no root has appointed."""
    wished = keys.appointment
    changed = Appointment(**{**vars(wished), "public_key": IMPOSTOR.public_key, "id": bytes(8)})
    return trust_document(
        area=keys.area,
        version=now + 50,
        now_ms=InstantMs(now),
        key=IMPOSTOR,
        appointments=[*keys.appointments, seal_with(changed, [SigningKey(bytes(32))])],
        revocations=keys.revocations,
        root_sets=keys.root_sets,
    )
