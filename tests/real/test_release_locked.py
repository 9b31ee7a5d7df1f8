"""Another process holds the tables, and an alert is released: heard as soon as ever, and nothing of it is lost."""

import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from controller import keyfiles
from devices.protocol.trust import Power
from loa.entropy import system_entropy
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from tests.brokers import Mosquitto
from tests.controller.wire.waiting import eventually
from tests.foreign import locked
from tests.people import App
from tests.real.field import CLOCK, COMMUNE, CentreProcess, Field

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
WORDS = "thuyền về bến cũ của lan"
ALERTS = 5
LATER_S = 0.75
"""What the lock may add; how long the rest takes is the machine's."""


@dataclass
class Officer:
    """Somebody who may release alone in the commune."""

    centre: CentreProcess
    token: str
    password: str
    app: App

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        return await self.centre.ask(method, path, headers={"Authorization": f"Bearer {self.token}"}, **more)

    async def step_up(self) -> None:
        await self.ask("POST", "/session/step-up", json={"code": self.app.code(), "password": self.password})


async def officer(centre: CentreProcess) -> Officer:
    asked = {"name": "lan", "roles": [{"role": "operator", "area": COMMUNE}]}
    password = str((await centre.ask("POST", "/accounts", json=asked))["one_time_password"])
    made = Officer(centre, "", password, App(""))
    body = {"account": "lan", "password": password, "token_name": "tests"}
    made.token = str((await centre.ask("POST", "/session", json=body))["token"])
    made.app = App((await made.ask("POST", "/session/code"))["secret"])
    await made.ask("POST", "/session/code/confirm", json={"code": made.app.code()})
    key = await made.ask("POST", "/people-keys", json={"area": COMMUNE, "passphrase": WORDS, "kind": "live"})
    keyfiles.appoint(
        centre.data / "keys", holder="lan", public_key=bytes.fromhex(key["public_key"]), area=AreaPath(COMMUNE),
        ceiling=Precedence.EMERGENCY, powers=Power.APPROVE, kind=Kind.LIVE, now_ms=CLOCK.now_ms(),
        entropy=system_entropy,
    )  # fmt: skip
    centre.stop()  # what the roots signed is read at the start
    await centre.start(known=True)
    return made


async def released(who: Officer, alert: Any) -> float:
    """Releases; the instant at which that was asked for, in seconds."""
    body = {"kind": "live", "body_sha256": alert["body_sha256"], "passphrase": WORDS}
    asked_s = CLOCK.now_ms() / 1000
    reply = await who.ask("POST", f"/alerts/{alert['id']}/approvals", json=body)
    assert (reply["outcome"], reply["alert"]["status"]) == ("released", "released"), reply
    return asked_s


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
async def test_a_release_is_not_held_up(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, field: Field, mosquitto: Mosquitto
) -> None:
    centre = field.centre
    url = f"sqlite:///{centre.data / 'loa.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").fresh_url()
        monkeypatch.setenv("LOA_DATABASE", url)
    await field.open()
    for name in ("loa-1", "loa-2"):
        (await field.enrol(name, mosquitto.url)).launch()
    await field.ready()
    lan = await officer(centre)
    await field.ready()
    warning = await centre.bulletin(1, "Cảnh báo")
    await field.told([await centre.say(warning, "before")])
    form = {"kind": "live", "title": "Bão", "target_areas": [COMMUNE], "bulletins": [warning], "repeats": 1}
    alerts = [await lan.ask("POST", "/alerts", json=form) for _ in range(2 * ALERTS)]
    await lan.step_up()
    asked = {alert["id"]: await _heard(field, lan, alert) for alert in alerts[:ALERTS]}
    with locked(url):
        behind = {alert["id"]: await _heard(field, lan, alert) for alert in alerts[ALERTS:]}
        centre.kill()  # what was acknowledged is in the log alone
    await centre.start(known=True)
    await field.told([*asked, *behind])
    usual, took = await _took(centre, asked), await _took(centre, behind)
    print(f"{kind}: release to sound {_figures(usual)}, behind the lock {_figures(took)}")
    assert len(took) == len(usual) == 2 * ALERTS
    assert statistics.median(took) < statistics.median(usual) + LATER_S
    entries = (await centre.ask("GET", "/record?limit=200"))["items"]
    said = [one["object_id"] for one in entries if one["verb"] == "release"]
    assert sorted(said) == sorted([*asked, *behind]), "each once"


async def _heard(field: Field, who: Officer, alert: Any) -> float:
    """Releases, and waits for the sound; when that was asked for."""
    asked_s = await released(who, alert)
    boxes = field.boxes.values()
    await eventually(lambda: all(box.recordings(alert["id"]) for box in boxes), within_s=20)
    return asked_s


async def _took(centre: CentreProcess, asked: dict[str, float]) -> list[float]:
    """Seconds from the request to the sound at each node, by what the nodes measured."""
    found = []
    for alert, asked_s in asked.items():
        shown = await centre.ask("GET", f"/broadcasts/{alert}/coverage")
        found += [datetime.fromisoformat(one["started_at"]).timestamp() - asked_s for one in shown["detail"]]
    return found


def _figures(took: list[float]) -> str:
    return f"{statistics.median(took):.2f} s (at most {max(took):.2f})"
