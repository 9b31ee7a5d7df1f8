"""What people of one commune find of another's: nothing, by no way round."""

from typing import Any

import pytest

from api.concern import Concern, Concerns
from api.routes.events import Hearing
from controller import accounts
from controller.permissions import Authority, Permission, Post, Role
from loa.names import AreaPath
from tests.api.office import AREA, KEY, Office, problem
from tests.people import join

pytestmark = pytest.mark.asyncio(loop_scope="session")
NEXT_DOOR = "quang-ninh/hong-gai"


async def _next_door(office: Office) -> None:
    if NEXT_DOOR in [area["path"] for area in (await office.ok("GET", "/api/v1/areas"))["items"]]:
        return
    await office.ok("POST", "/api/v1/areas", json={"path": NEXT_DOOR, "name": "Hồng Gai"})
    node = {"id": "hong-gai-1", "area": NEXT_DOOR, "public_key": KEY[::-1]}
    await office.ok("POST", "/api/v1/nodes", json=node)


@pytest.mark.parametrize("target", [{"target_nodes": ["hong-gai-1"]}, {"target_areas": [NEXT_DOOR + "/khu-1"]}])
async def test_a_programme_does_not_tell_whether_a_neighbours_thing_is_there(
    office: Office, target: dict[str, Any]
) -> None:
    await _next_door(office)
    bulletin = await office.bulletin()
    body = {"title": "x", "area": AREA, "rundown": [bulletin["id"]], "starts_on": "2038-01-01T05:00:00"}
    theirs = await office.lan.post("/api/v1/programmes", json=body | target)
    nobodys = {name: [value.replace("hong", "kong") for value in values] for name, values in target.items()}
    absent = await office.lan.post("/api/v1/programmes", json=body | nobodys)
    problem(theirs, 404, "not_found")
    problem(absent, 404, "not_found")
    assert (await office.lan.post("/api/v1/programmes", json=body | {"target_nodes": ["co-to-1"]})).status_code == 201


async def test_a_kept_reply_is_for_who_may_still_see_it(office: Office) -> None:
    """A key of an account's that moved to another commune, or is used by a narrower token, brings nothing back."""
    await _next_door(office)
    bulletin = await office.bulletin()
    who = await join(office.centre, "moves", (Role.OPERATOR, AREA))
    say = {"bulletins": [bulletin["id"]], "target_areas": [AREA]}
    key = {"Idempotency-Key": "moves-1"}
    client = office.as_(who.token)
    first = await client.post("/api/v1/broadcasts", json=say, headers=key)
    again = await client.post("/api/v1/broadcasts", json=say, headers=key)
    assert (first.status_code, again.status_code, again.headers["idempotency-replayed"]) == (201, 201, "true")
    scope = {"name": "x", "permissions": ["broadcast.issue"], "area": AREA}
    machine = office.as_((await client.post("/api/v1/tokens", json=scope)).json()["token"])
    problem(await machine.post("/api/v1/broadcasts", json=say, headers=key), 409, "idempotency_conflict")
    posts = {"roles": [{"role": "operator", "area": NEXT_DOOR}]}
    await office.ok("PUT", f"/api/v1/accounts/{who.name}/roles", json=posts)
    made = await office.centre.unit_of_work(
        lambda db: accounts.issue_token(
            db, office.centre, account=who.name, name="", page_session=True, lasts_ms=accounts.SESSION_MS,
            code_given=True,
        )
    )  # fmt: skip
    moved = office.as_(made.secret)
    problem(await moved.get(f"/api/v1/broadcasts/{first.json()['id']}"), 404, "not_found")
    problem(await moved.post("/api/v1/broadcasts", json=say, headers=key), 409, "idempotency_conflict")


async def test_streams_are_no_business_of_other_communes(office: Office) -> None:
    concern = await Concerns(office.centre).of("broadcast", "", {"streamed": "ab" * 32})
    assert not concern.includes(Authority((Post(Role.READER, AreaPath(AREA)),)))
    assert concern.includes(Authority((Post(Role.READER, AreaPath("quang-ninh")),)))
    everybody = await Concerns(office.centre).of("air", "broker", {"up": True})
    assert everybody.includes(Authority((Post(Role.READER, AreaPath(AREA)),)))


async def test_a_machine_that_listens_hears_what_its_owner_may_now(office: Office) -> None:
    """An API token outlives a change of its owner's posts; an open stream of events follows the change."""
    who = await join(office.centre, "listens", (Role.OPERATOR, AREA))
    scope = {"name": "x", "permissions": ["broadcast.read", "node.read"], "area": AREA}
    made = (await office.as_(who.token).post("/api/v1/tokens", json=scope)).json()
    hashed = accounts.token_hash(made["token"])
    hearing = Hearing(
        office.centre, await office.centre.reading(lambda db: accounts.caller_with(db, office.centre, hashed))
    )
    concern = Concern(Permission.NODE_READ, inside=(AREA,))
    assert hearing.includes(concern)
    assert await hearing.goes_on()
    await office.ok("PUT", f"/api/v1/accounts/{who.name}/roles", json={"roles": []})
    assert not await hearing.goes_on(), "nothing is left that it may listen to"
    assert not hearing.includes(concern)
    posts = {"roles": [{"role": "reader", "area": NEXT_DOOR}, {"role": "reader", "area": AREA + "/thon-1"}]}
    await office.ok("POST", "/api/v1/areas", json={"path": AREA + "/thon-1", "name": "Thôn 1"})
    await _next_door(office)
    await office.ok("PUT", f"/api/v1/accounts/{who.name}/roles", json=posts)
    assert await hearing.goes_on()
    assert not hearing.includes(concern)
    assert hearing.includes(Concern(Permission.NODE_READ, inside=(AREA + "/thon-1",)))
    await office.ok("POST", f"/api/v1/accounts/{who.name}/disable")
    assert not await hearing.goes_on()
