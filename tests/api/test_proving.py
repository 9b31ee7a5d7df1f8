"""A password alone makes no sound: codes, fresh ones, second persons, machines' tokens; and what ends a session."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import Session, col, select

from api.gate import ApiLimits
from controller import accounts
from controller.permissions import Role
from controller.tables import Account, ApiToken, OwedOrder, RecoveryCode
from tests.api.office import AREA, FREE, Office, office_at, problem
from tests.people import PASSWORD, code_now, join

pytestmark = pytest.mark.asyncio(loop_scope="session")
STEP_UP = "/api/v1/session/step-up"


def _code(office: Office, secret: str, steps_on: int = 0) -> str:
    return code_now(secret, office.centre.clock.now_ms(), steps_on=steps_on)


async def _stale(office: Office, token: str) -> None:
    """As if the last code of this session had been given five minutes and a moment ago."""

    def work(session: Session) -> None:
        row = session.get_one(ApiToken, accounts.token_hash(token))
        row.code_at = office.centre.clock.now_ms() - accounts.CODE_FRESH_MS - 1000
        session.add(row)

    await office.centre.unit_of_work(work)


async def _orders(office: Office) -> int:
    return len(await office.centre.reading(lambda db: list(db.exec(select(OwedOrder.order)))))


async def _sign_in(office: Office, name: str, code: str | None, password: str = PASSWORD) -> httpx.Response:
    body = {"account": name, "password": password, "token_name": "x"} | ({"code": code} if code else {})
    client = httpx.AsyncClient(transport=httpx.ASGITransport(office.app), base_url="http://loa.test")
    return await client.post("/api/v1/session", json=body)


async def test_a_stolen_password_opens_nothing(office: Office) -> None:
    who = await join(office.centre, "stolen-password", (Role.OPERATOR, AREA))
    problem(await _sign_in(office, who.name, None), 401, "code_required")
    problem(await _sign_in(office, who.name, "000000"), 401, "bad_code")
    code = _code(office, who.secret)
    assert (await _sign_in(office, who.name, code)).status_code == 200, "with the right code it does"
    problem(await _sign_in(office, who.name, code), 401, "code_used")
    assert (await _sign_in(office, who.name, _code(office, who.secret, 1))).status_code == 200


async def test_a_stolen_session_makes_no_sound(office: Office) -> None:
    who = await join(office.centre, "stolen-session", (Role.OPERATOR, AREA))
    client, bulletin = office.as_(who.token), await office.bulletin()
    await _stale(office, who.token)
    before = await _orders(office)
    say = {"bulletins": [bulletin["id"]], "target_areas": [AREA]}
    programme = {"title": "x", "area": AREA, "rundown": [bulletin["id"]], "starts_on": "2038-01-01T05:00:00"}
    for path, body in (
        ("/api/v1/broadcasts", say),
        ("/api/v1/programmes", programme),
        ("/api/v1/nodes/co-to-1/test-tone", {}),
    ):
        problem(await client.post(path, json=body), 403, "fresh_code_required")
    problem(await client.post("/api/v1/session/code"), 403, "fresh_code_required")
    problem(await client.post("/api/v1/session/recovery-codes"), 403, "fresh_code_required")
    token = {"name": "x", "permissions": ["broadcast.issue"], "area": AREA}
    problem(await client.post("/api/v1/tokens", json=token), 403, "fresh_code_required")
    assert await _orders(office) == before
    problem(await client.post(STEP_UP, json={"code": "000000"}), 401, "bad_code")
    assert (await client.post(STEP_UP, json={"code": _code(office, who.secret)})).status_code == 200
    issued = await client.post("/api/v1/broadcasts", json=say)
    assert issued.status_code == 201
    assert await _orders(office) > before
    await _stale(office, who.token)
    silenced = await client.post(f"/api/v1/broadcasts/{issued.json()['id']}/recall")
    assert silenced.status_code == 200, "silence needs no code"


async def test_nobody_approves_their_own(office: Office) -> None:
    who = await join(office.centre, "alone", (Role.OPERATOR, AREA), (Role.APPROVER, AREA))
    made = await office.bulletin(approve=False)
    path, body = f"/api/v1/bulletins/{made['id']}/approve", {"content_hash": made["content_hash"]}
    own = office.as_(who.token)

    def take_over(session: Session) -> None:
        from controller.tables import Bulletin

        row = session.get_one(Bulletin, made["id"])
        row.author = who.name
        session.add(row)

    await office.centre.unit_of_work(take_over)
    problem(await own.post(path, json=body), 409, "second_person_required")
    assert (await office.client.post(path, json=body)).json()["approved_by"] == "admin"


async def test_a_machine_says_only_what_a_second_person_approved(office: Office) -> None:
    """By its token: in its scope, in its area, and never what its owner approved."""
    owner = await join(office.centre, "owner", (Role.DUTY_OFFICER, "quang-ninh"))
    scope = {"name": "máy", "permissions": ["broadcast.issue", "bulletin.read"], "area": AREA}
    client = office.as_((await office.as_(owner.token).post("/api/v1/tokens", json=scope)).json()["token"])
    mine, theirs = await office.bulletin("a", approve=False), await office.bulletin("b")
    body = {"content_hash": mine["content_hash"]}
    assert (await office.as_(owner.token).post(f"/api/v1/bulletins/{mine['id']}/approve", json=body)).status_code == 200
    say = {"target_areas": [AREA], "bulletins": [mine["id"]]}
    problem(await client.post("/api/v1/broadcasts", json=say), 409, "second_person_required")
    assert (await client.post("/api/v1/broadcasts", json=say | {"bulletins": [theirs["id"]]})).status_code == 201
    wider = say | {"bulletins": [theirs["id"]], "target_areas": ["quang-ninh"]}
    problem(await client.post("/api/v1/broadcasts", json=wider), 404, "not_found")  # it may not read areas
    problem(await client.post("/api/v1/nodes/co-to-1/test-tone", json={}), 403, "not_permitted")
    problem(await client.post(f"/api/v1/bulletins/{theirs['id']}/approve", json=body), 403, "not_permitted")
    for method, path in (("POST", "/session/code"), ("POST", "/session/password"), ("POST", "/tokens")):
        problem(await client.request(method, f"/api/v1{path}", json=scope), 403, "person_required")


@pytest.mark.parametrize(
    ("permission", "area"),
    [("broadcast.issue", "quang-ninh"), ("area.manage", AREA), ("bulletin.approve", AREA), ("node.test", AREA)],
)
async def test_a_token_is_never_wider_than_its_owner(office: Office, permission: str, area: str) -> None:
    who = await join(office.centre, f"t-{permission}-{len(area)}", (Role.OPERATOR, AREA), (Role.APPROVER, AREA))
    body = {"name": "x", "permissions": [permission], "area": area}
    problem(await office.as_(who.token).post("/api/v1/tokens", json=body), 403, "not_permitted")


async def test_a_role_that_wants_codes_does_nothing_without(office: Office) -> None:
    made = await office.ok(
        "POST", "/api/v1/accounts", json={"name": "moi", "roles": [{"role": "operator", "area": AREA}]}
    )
    reply = await _sign_in(office, "moi", None, made["one_time_password"])
    assert reply.json()["set_up_code"] is True
    client = office.as_(reply.json()["token"])
    problem(await client.get("/api/v1/nodes"), 403, "code_enrolment_required")
    problem(await client.post("/api/v1/session/code/confirm", json={"code": "123456"}), 409, "no_code_begun")
    secret = (await client.post("/api/v1/session/code")).json()["secret"]
    done = await client.post("/api/v1/session/code/confirm", json={"code": _code(office, secret)})
    assert len(set(done.json()["recovery_codes"])) == 10
    assert (await client.get("/api/v1/nodes")).status_code == 200
    first = done.json()["recovery_codes"][0]
    assert (await _sign_in(office, "moi", first, made["one_time_password"])).status_code == 200
    problem(await _sign_in(office, "moi", first, made["one_time_password"]), 401, "code_used")
    stored = await office.centre.reading(
        lambda db: (db.get_one(Account, "moi").code_secret, list(db.exec(select(RecoveryCode.code_hash))))
    )
    assert secret not in str(stored)
    assert first.replace("-", "") not in str(stored)


async def test_a_change_of_roles_ends_sessions_and_a_disabled_account_its_tokens(office: Office) -> None:
    who = await join(office.centre, "changing", (Role.OPERATOR, AREA))
    client = office.as_(who.token)
    scope = {"name": "x", "permissions": ["node.read"], "area": AREA}
    machine = office.as_((await client.post("/api/v1/tokens", json=scope)).json()["token"])
    path = f"/api/v1/accounts/{who.name}"
    body: Any = {"roles": [{"role": "reader", "area": AREA}]}
    await office.ok("PUT", f"{path}/roles", json=body)
    problem(await client.get("/api/v1/nodes"), 401, "auth_required")
    assert (await machine.get("/api/v1/nodes")).status_code == 200
    await office.ok("PUT", f"{path}/roles", json={"roles": []})
    problem(await machine.get("/api/v1/nodes"), 403, "not_permitted")
    await office.ok("POST", f"{path}/disable")
    problem(await machine.get("/api/v1/nodes"), 401, "auth_required")
    problem(await _sign_in(office, who.name, _code(office, who.secret)), 401, "bad_credentials")
    await office.refused(409, "last_admin", "POST", "/api/v1/accounts/admin/disable")
    await office.refused(409, "last_admin", "PUT", "/api/v1/accounts/admin/roles", json=body)
    body = {"roles": [{"role": "auditor", "area": AREA}]}
    await office.refused(422, "role_needs_province", "PUT", f"{path}/roles", json=body)


async def test_a_session_that_nobody_uses_is_over(office: Office) -> None:
    who = await join(office.centre, "idle", (Role.READER, AREA))
    client = office.as_(who.token)
    assert (await client.get("/api/v1/nodes")).status_code == 200

    def asleep(session: Session) -> None:
        for row in session.exec(select(ApiToken).where(col(ApiToken.account) == who.name)):
            row.last_used_at = office.centre.clock.now_ms() - accounts.IDLE_MS - 1000
            session.add(row)

    await office.centre.unit_of_work(asleep)
    problem(await client.get("/api/v1/nodes"), 401, "auth_required")


async def test_guessing_codes_is_throttled(tmp_path: Path) -> None:
    limits = ApiLimits(known_rate=FREE.known_rate, stranger_rate=FREE.stranger_rate, code_rate="3/5 minutes")
    async with office_at(tmp_path, limits) as office:
        who = await join(office.centre, "guessed", (Role.OPERATOR, AREA))
        client = office.as_(who.token)
        for _ in range(3):
            problem(await client.post(STEP_UP, json={"code": "000000"}), 401, "bad_code")
        problem(await client.post(STEP_UP, json={"code": _code(office, who.secret)}), 429, "rate_limited")
        problem(await _sign_in(office, who.name, _code(office, who.secret)), 429, "rate_limited")


async def _from(office: Office, address: str, body: dict[str, str]) -> httpx.Response:
    """A sign-in from this address."""
    transport = httpx.ASGITransport(office.app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://loa.test") as client:
        return await client.post("/api/v1/session", json=body)


async def test_strangers_guesses_keep_nobody_out_who_shows_a_code(tmp_path: Path) -> None:
    limits = ApiLimits(known_rate=FREE.known_rate, stranger_rate=FREE.stranger_rate, sign_in_rate="1/5 minutes")
    async with office_at(tmp_path, limits) as office:
        who = await join(office.centre, "duty", (Role.DUTY_OFFICER, "quang-ninh"))
        guess = {"account": who.name, "password": "not this one"}
        for number in range(12):
            await _from(office, f"10.0.0.{number % 6}", guess)
        mine = {"account": who.name, "password": PASSWORD}
        problem(await _from(office, "10.0.0.99", mine), 429, "rate_limited")
        problem(await _from(office, "10.0.0.99", mine | {"code": "000000"}), 429, "rate_limited")
        right = _code(office, who.secret)
        problem(await _from(office, "10.0.0.99", guess | {"code": right}), 401, "bad_credentials")
        reply = await _from(office, "10.0.0.1", mine | {"code": right})
        assert reply.status_code == 200, "from where guesses came too"
        problem(await _from(office, "10.0.0.2", mine | {"code": right}), 401, "code_used")
        problem(await _from(office, "10.0.0.3", guess | {"code": right}), 401, "code_used")  # no way to the password
        client = office.as_(who.token)
        body = {"code": _code(office, who.secret, 1), "password": PASSWORD}
        assert (await client.post(STEP_UP, json=body)).status_code == 200, "who is signed in has a count of their own"


async def test_a_recovery_code_lets_in_whatever_others_guess(tmp_path: Path) -> None:
    limits = ApiLimits(
        known_rate=FREE.known_rate,
        stranger_rate=FREE.stranger_rate,
        sign_in_rate="2/5 minutes",
        code_rate="2/5 minutes",
    )
    async with office_at(tmp_path, limits) as office:
        who = await join(office.centre, "duty", (Role.DUTY_OFFICER, "quang-ninh"))
        own = (await office.as_(who.token).post("/api/v1/session/recovery-codes")).json()["recovery_codes"]
        mine = {"account": who.name, "password": PASSWORD}
        for number in range(30):  # passwords, then codes, some by who has the password
            guess = mine if number % 2 else mine | {"password": "not this one"}
            await _from(office, f"10.0.{number}.1", guess | {"code": f"{number:06}"})
        problem(await _from(office, "10.1.0.1", mine | {"code": "aaaaa-aaaaa"}), 429, "rate_limited")
        problem(await _from(office, "10.1.0.1", mine | {"code": _code(office, who.secret)}), 429, "rate_limited")
        assert (await _from(office, "10.1.0.1", mine | {"code": own[0]})).status_code == 200
        problem(await _from(office, "10.1.0.1", mine | {"code": own[0]}), 401, "code_used")
        guess = mine | {"password": "not this one", "code": own[0]}
        problem(await _from(office, "10.1.0.1", guess), 401, "code_used")


async def test_one_code_given_twice_at_once_counts_once(office: Office) -> None:
    who = await join(office.centre, "twice", (Role.OPERATOR, AREA))
    code = _code(office, who.secret)
    client = office.as_(who.token)
    asked = [client.post(STEP_UP, json={"code": code}) for _ in range(4)]
    replies = await asyncio.gather(*asked, *(_sign_in(office, who.name, code) for _ in range(3)))
    assert sorted(reply.status_code for reply in replies) == [200] + [401] * 6
