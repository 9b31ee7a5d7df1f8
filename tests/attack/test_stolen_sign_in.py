"""What a stolen password, session or API token can do: nothing that sounds, and each try is counted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlmodel import select

from api.gate import COOKIE, ApiLimits
from controller import accounts
from controller.accounts import csrf_token
from controller.permissions import Role
from controller.tables import OwedOrder
from devices.links.loopback import LoopbackLink
from devices.links.port import Delivery
from tests.api.office import AREA, FREE, Office, office_at
from tests.people import PASSWORD, code_now, freshen, join

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
LATER_MS = accounts.CODE_FRESH_MS + 1000


@dataclass
class Wire:
    """What goes out to boxes, as somebody on the broker sees it."""

    orders: list[Delivery] = field(default_factory=list)
    timetables: list[Delivery] = field(default_factory=list)
    owed: frozenset[bytes] = frozenset()
    """Orders of before: their boxes are silent, so they are repeated meanwhile, and none of these is meant."""

    def link_up(self) -> None: ...

    def link_down(self, reason: str) -> None: ...

    def delivered(self, delivery: Delivery) -> None:
        if delivery.payload not in self.owed:
            (self.orders if delivery.topic.endswith("/order") else self.timetables).append(delivery)

    @property
    def said(self) -> int:
        return len(self.orders) + len(self.timetables)


@dataclass
class Theft:
    """An office, what goes out of it, and a bulletin that may be said."""

    office: Office
    wire: Wire
    bulletin: Any

    async def figure(self, code: str) -> int:
        text = (await self.office.client.get("/metrics")).text
        prefix = f'loa_requests_refused_total{{code="{code}"}} '
        return sum(int(float(line[len(prefix) :])) for line in text.splitlines() if line.startswith(prefix))

    def sounding(self, bulletin: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Each request of the API that makes loudspeakers sound, now or later."""
        says = bulletin or self.bulletin["id"]
        programme = {
            "title": "x", "area": AREA, "starts_on": "2026-11-23T05:00:00", "recurrence": "FREQ=DAILY",
            "rundown": [says],
        }  # fmt: skip
        return [
            ("/api/v1/broadcasts", {"bulletins": [says], "target_areas": [AREA]}),
            ("/api/v1/programmes", programme),
            ("/api/v1/nodes/co-to-1/test-tone", {"volume": 30}),
        ]


@pytest_asyncio.fixture(loop_scope="session")
async def theft(office: Office) -> AsyncIterator[Theft]:
    broker = office.centre.link._broker  # type: ignore[attr-defined]
    link, wire = LoopbackLink(broker), Wire()
    link.listen(["loa/1/a/+/+/order", "loa/1/a/+/order", "loa/1/n/+/order", "loa/1/a/+/+/timetable"])
    made = Theft(office, wire, await office.bulletin())
    await link.start(wire)
    await office.ok("GET", "/api/v1/areas")
    wire.orders.clear()
    wire.timetables.clear()
    wire.owed = await office.centre.reading(lambda db: frozenset(db.exec(select(OwedOrder.payload)).all()))
    yield made
    await link.stop()


def page(office: Office, token: str) -> httpx.AsyncClient:
    """A browser with this session's cookie."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(office.app), base_url="http://loa.test", cookies={COOKIE: token}
    )


async def older(office: Office, token: str) -> None:
    """As if the session's code had been given longer ago than it counts."""
    from controller.tables import ApiToken

    def work(session: Any) -> None:
        row = session.get(ApiToken, accounts.token_hash(token))
        row.code_at = office.centre.clock.now_ms() - LATER_MS
        row.password_at = row.code_at
        session.add(row)

    await office.centre.unit_of_work(work)


async def refusals(theft: Theft, client: httpx.AsyncClient, code: str, **more: Any) -> None:
    """Each request that would sound is refused like this, and counted."""
    before = await theft.figure(code)
    asked = theft.sounding()
    for path, body in asked:
        reply = await client.post(path, json=body, **more)
        assert (reply.json().get("code"), reply.status_code // 100) == (code, 4), (path, reply.text)
    assert await theft.figure(code) == before + len(asked)
    assert theft.wire.said == 0


async def test_a_stolen_password_does_not_sign_in(theft: Theft) -> None:
    who = await join(theft.office.centre, "stolen-password", (Role.OPERATOR, AREA))
    codes = {"code_required": await theft.figure("code_required"), "bad_code": await theft.figure("bad_code")}
    body = {"account": who.name, "password": PASSWORD}
    reply = await theft.office.stranger.post("/api/v1/session", json=body)
    assert reply.json()["code"] == "code_required"
    right = code_now(who.secret, theft.office.centre.clock.now_ms())
    for guess in (n for n in ("000000", "123456", "999999") if n != right):
        reply = await theft.office.stranger.post("/api/v1/session", json=body | {"code": guess})
        assert reply.json()["code"] == "bad_code"
        assert COOKIE not in reply.cookies
    assert await theft.figure("code_required") == codes["code_required"] + 1
    assert await theft.figure("bad_code") >= codes["bad_code"] + 2
    reply = await theft.office.stranger.post("/api/v1/session", json=body | {"code": right})
    assert reply.status_code == 200, "with the code it signs in"
    assert theft.wire.said == 0


async def test_a_stolen_session_makes_no_sound(theft: Theft) -> None:
    office = theft.office
    who = await join(office.centre, "stolen-session", (Role.OPERATOR, AREA))
    await older(office, who.token)
    browser, csrf = page(office, who.token), {"X-CSRF-Token": csrf_token(who.token)}
    await refusals(theft, browser, "csrf")
    await refusals(theft, browser, "fresh_code_required", headers=csrf)
    for path, body in (
        ("/api/v1/session/code", {}),
        ("/api/v1/session/recovery-codes", {}),
        ("/api/v1/people-keys", {"area": AREA, "passphrase": "thuyền về bến cũ"}),
        ("/api/v1/session/password", {"old_password": "a guess of it", "new_password": "một mật khẩu khác"}),
    ):
        reply = await browser.post(path, json=body, headers=csrf)
        assert reply.status_code in (401, 403), (path, reply.text)
    assert theft.wire.said == 0
    await freshen(office.centre, who.token)
    path, body = theft.sounding()[0]
    reply = await browser.post(path, json=body, headers=csrf)
    assert reply.status_code == 201, reply.text
    await _sent(theft)


async def _sent(theft: Theft) -> None:
    """The control: what is permitted goes out to the boxes."""
    for _ in range(200):
        if theft.wire.orders:
            return
        await theft.office.ok("GET", "/api/v1/areas")
    raise AssertionError("nothing went out")


async def test_a_stolen_token_makes_no_sound_of_its_own(theft: Theft) -> None:
    """A machine's token says what a second person approved, within its scope: no tone, no emergency, no account."""
    office = theft.office
    owner = await join(office.centre, "stolen-token", (Role.DUTY_OFFICER, "quang-ninh"))
    await freshen(office.centre, owner.token)
    asked = {
        "name": "máy",
        "permissions": ["broadcast.issue", "broadcast.read", "bulletin.read", "area.read"],
        "area": AREA,
    }
    made = (await office.as_(owner.token).post("/api/v1/tokens", json=asked)).json()
    machine = office.as_(made["token"])
    own = await _approved_by(office, owner.token)
    reply = await machine.post("/api/v1/broadcasts", json={"bulletins": [own], "target_areas": [AREA]})
    assert reply.json()["code"] == "second_person_required", reply.text
    before = await theft.figure("not_permitted")
    for path, body in (*theft.sounding()[1:], ("/api/v1/accounts", {"name": "x", "password": "một mật khẩu dài"})):
        reply = await machine.post(path, json=body)
        assert reply.json()["code"] in ("not_permitted", "not_found"), (path, reply.text)
    assert await theft.figure("not_permitted") > before
    emergency = {"bulletins": [theft.bulletin["id"]], "target_areas": [AREA], "precedence": "emergency"}
    assert (await machine.post("/api/v1/broadcasts", json=emergency)).json()["code"] == "emergency_needs_release"
    elsewhere = {"bulletins": [theft.bulletin["id"]], "target_areas": ["quang-ninh"]}
    assert (await machine.post("/api/v1/broadcasts", json=elsewhere)).status_code in (403, 404)
    assert theft.wire.said == 0
    path, body = theft.sounding()[0]
    reply = await machine.post(path, json=body)
    assert reply.status_code == 201, reply.text
    await _sent(theft)
    revoked = await office.as_(owner.token).delete(f"/api/v1/tokens/{made['id']}")
    assert revoked.status_code == 204, revoked.text
    assert (await machine.post(path, json=body)).json()["code"] == "auth_required"


async def _approved_by(office: Office, token: str) -> str:
    """A bulletin that Lan made and this person approved."""
    made = await office.bulletin(approve=False)
    reply = await office.as_(token).post(
        f"/api/v1/bulletins/{made['id']}/approve", json={"content_hash": made["content_hash"]}
    )
    assert reply.status_code == 200, reply.text
    return str(made["id"])


async def test_guessing_is_throttled_and_shown(tmp_path: Path) -> None:
    """Of a password from one address and from many, and of a code by whoever has the password."""
    limits = ApiLimits(known_rate=FREE.known_rate, stranger_rate=FREE.stranger_rate, sign_in_rate="3/5 minutes")
    async with office_at(tmp_path, limits) as office:
        body = {"account": "lan-co-to", "password": "not this one"}
        codes = [(await office.stranger.post("/api/v1/session", json=body)).json()["code"] for _ in range(6)]
        assert codes == ["bad_credentials"] * 3 + ["rate_limited"] * 3
        right = body | {"password": PASSWORD}
        codes = [
            (await office.stranger.post("/api/v1/session", json=right | {"code": f"{n:06}"})).json()["code"]
            for n in range(3)
        ]
        assert set(codes) == {"rate_limited"}, "the right password does not get past a closed door"
        text = (await office.client.get("/metrics")).text
        assert 'loa_requests_refused_total{code="bad_credentials"} 3.0' in text
        assert 'loa_requests_refused_total{code="rate_limited"} 6.0' in text
