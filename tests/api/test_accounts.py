"""Who may ask: sign-in, tokens, sessions with their CSRF token; and no route is open but the public ones."""

import re
from pathlib import Path

import httpx
import pytest
from sqlmodel import select

from api.gate import COOKIE, PUBLIC, ApiLimits, is_public
from controller import accounts
from controller.tables import Account, ApiToken
from tests.api.office import AREA, Office, office_at, problem
from tests.people import code_now

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_nothing_is_answered_without_credentials_but_what_is_public(office: Office) -> None:
    asked = 0
    routes = [(method, route.path) for route in office.app.state.ways for method in route.methods]
    for method, template in routes:
        path = re.sub(r"\{[^}]*\}", "0" * 32, template)
        if is_public(method, path):
            continue
        reply = await office.stranger.request(method, path)
        problem(reply, 401, "auth_required")
        assert reply.headers["www-authenticate"].startswith("Bearer")
        asked += 1
    assert asked > 35
    assert {("GET", "/"), ("GET", "/healthz"), ("GET", "/openapi.json"), ("POST", "/api/v1/session")} == PUBLIC
    hidden = {route.path for route in office.app.state.ways if not route.include_in_schema}
    assert hidden <= {"/", "/page/{name}"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer loa_" + "A" * 43},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Authorization": "Bearer " + "x" * 5000},
        {"Cookie": f"{COOKIE}=loas_" + "A" * 43},
        {"Cookie": f'{COOKIE}="; drop table'},
    ],
)
async def test_false_credentials(office: Office, headers: dict[str, str]) -> None:
    problem(await office.stranger.get("/api/v1/nodes", headers=headers), 401, "auth_required")


async def _page(office: Office, *, steps_on: int = 0) -> tuple[httpx.AsyncClient, str]:
    """Admin at the page. Each step's code counts once: one sign-in each for 0 and 1 in one office."""
    client = httpx.AsyncClient(transport=httpx.ASGITransport(office.app), base_url="http://loa.test")
    code = code_now(office.secret, office.centre.clock.now_ms(), steps_on=steps_on)
    body = {"account": "admin", "password": office.password, "code": code}
    reply = await client.post("/api/v1/session", json=body)
    assert reply.status_code == 200, reply.text
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    return client, reply.json()["csrf_token"]


async def test_a_pages_session_needs_its_csrf_token_for_changes(office: Office) -> None:
    client, csrf = await _page(office)
    assert (await client.get("/api/v1/nodes")).status_code == 200
    assert (await client.get("/api/v1/session")).json()["csrf_token"] == csrf
    body = {"path": "quang-ninh/by-page", "name": "X"}
    problem(await client.post("/api/v1/areas", json=body), 403, "csrf")
    problem(await client.post("/api/v1/areas", json=body, headers={"X-CSRF-Token": "0" * 32}), 403, "csrf")
    assert (await client.post("/api/v1/areas", json=body, headers={"X-CSRF-Token": csrf})).status_code == 201
    assert (await client.delete("/api/v1/session", headers={"X-CSRF-Token": csrf})).status_code == 204
    problem(await client.get("/api/v1/nodes"), 401, "auth_required")


async def test_tokens_are_shown_once_listed_and_revoked(office: Office) -> None:
    body = {"name": "trạm", "lasts_days": 1, "permissions": ["node.read"], "area": "quang-ninh"}
    made = await office.ok("POST", "/api/v1/tokens", json=body)
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert (await office.stranger.get("/api/v1/nodes", headers=headers)).status_code == 200
    listed = await office.ok("GET", "/api/v1/tokens")
    assert made["token"] not in str(listed)
    assert made["id"] in [item["id"] for item in listed["items"]]
    await office.ok("DELETE", f"/api/v1/tokens/{made['id']}")
    problem(await office.stranger.get("/api/v1/nodes", headers=headers), 401, "auth_required")


async def test_only_hashes_are_kept(office: Office) -> None:
    stored = await office.centre.reading(
        lambda session: (
            list(session.exec(select(Account.password_hash))),
            list(session.exec(select(ApiToken.token_hash))),
        )
    )
    assert all(value.startswith("$argon2id$") for value in stored[0])
    assert office.token not in stored[1]
    assert office.password not in str(stored)


async def test_the_first_account_is_made_once(office: Office) -> None:
    again = await office.centre.unit_of_work(lambda session: accounts.ensure_first_account(session, office.centre))
    assert again is None


@pytest.mark.slow
async def test_a_new_password_ends_other_sessions(tmp_path: Path) -> None:
    async with office_at(tmp_path) as office:
        body = {"name": "trạm", "permissions": ["node.read"], "area": AREA}
        token = await office.ok("POST", "/api/v1/tokens", json=body)
        first, csrf = await _page(office)
        other, _ = await _page(office, steps_on=1)
        assert (await first.get("/api/v1/session")).json()["change_password"] is True
        body = {"old_password": office.password, "new_password": "short"}
        reply = await first.post("/api/v1/session/password", json=body, headers={"X-CSRF-Token": csrf})
        problem(reply, 422, "weak_password")
        body["new_password"] = "một mật khẩu dài"
        reply = await first.post("/api/v1/session/password", json=body, headers={"X-CSRF-Token": csrf})
        assert reply.status_code == 204
        assert (await first.get("/api/v1/session")).json()["change_password"] is False
        problem(await other.get("/api/v1/session"), 401, "auth_required")
        machine = office.as_(token["token"])
        assert (await machine.get("/api/v1/nodes")).status_code == 200, "API tokens stay"
        problem(await office.client.get("/api/v1/nodes"), 401, "auth_required")
        again = {"account": "admin", "password": office.password}
        problem(await office.stranger.post("/api/v1/session", json=again), 401, "bad_credentials")


@pytest.mark.slow
async def test_guessing_and_floods_are_throttled(tmp_path: Path) -> None:
    limits = ApiLimits(sign_in_rate="3/5 minutes", known_rate="30/minute", stranger_rate="40/minute")
    async with office_at(tmp_path, limits) as office:
        guess = {"account": "admin", "password": "not this one"}
        for _ in range(3):
            problem(await office.stranger.post("/api/v1/session", json=guess), 401, "bad_credentials")
        reply = await office.stranger.post("/api/v1/session", json={"account": "admin", "password": office.password})
        problem(reply, 429, "rate_limited")
        assert int(reply.headers["retry-after"]) > 0
        replies = [(await office.client.get("/api/v1/areas")).status_code for _ in range(35)]
        assert replies.count(429) >= 5
        replies = [(await office.stranger.get("/healthz")).status_code for _ in range(40)]
        assert replies[-1] == 429


async def test_an_account_of_ones_own(office: Office) -> None:
    body = {"name": "lan", "full_name": "Nguyễn Thị Lan", "password": "mật khẩu của Lan"}
    made = await office.ok("POST", "/api/v1/accounts", json=body)
    assert (made["one_time_password"], made["roles"], made["needs_code"]) == (None, [], False)
    await office.refused(409, "account_exists", "POST", "/api/v1/accounts", json=body)
    assert "lan" in [item["name"] for item in (await office.ok("GET", "/api/v1/accounts"))["items"]]
    there = httpx.AsyncClient(transport=httpx.ASGITransport(office.app), base_url="http://loa.test")
    reply = await there.post("/api/v1/session", json={"account": "lan", "password": body["password"]})
    assert (reply.json()["account"], reply.json()["may"]) == ("lan", {})
    problem(await there.get("/api/v1/nodes"), 403, "not_permitted")
