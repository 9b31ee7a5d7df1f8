"""One request for each operation of the API and its variants, about a thing in a place; its answer as a letter."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest

from api.concern import Concerns
from controller.accounts import caller_of
from tests.api.office import recording
from tests.api.province import OTHER, OWN, PROVINCE, THIRD, Make, Province, Visitor, found, letter
from tests.api.watched import status_of_stream
from tests.people import PASSWORD, code_now

T = TypeVar("T")
Ask = Callable[[Province, Visitor, str], Awaitable[str]]
ASKED: dict[str, Ask] = {}
V1 = "/api/v1"


def ask(name: str) -> Callable[[Ask], Ask]:
    def known(one: Ask) -> Ask:
        ASKED[name] = one
        return one

    return known


def simple(name: str, method: str, path: str, body: Callable[[Province, str], Any] | None = None) -> None:
    """An operation about no stored thing."""

    async def one(p: Province, v: Visitor, place: str) -> str:
        json = None if body is None else body(p, place)
        return letter(await v.client.request(method, V1 + path, json=json))

    ASKED[name] = one


async def _of_node(p: Province, place: str) -> str:
    return await p.node(place)


async def _of_sound(p: Province, place: str) -> str:
    return (await p.bulletin(place)).renditions[0].digest.hex()


async def _of_draft(p: Province, place: str) -> str:
    return (await p.bulletin(place, approved=False)).id


async def _of_bulletin(p: Province, place: str) -> str:
    return (await p.bulletin(place)).id


async def _rundown(p: Province, place: str) -> str:
    return (await p.bulletin(place)).id


async def _of_programme(p: Province, place: str) -> str:
    return await p.programme(place, await p.thing(_rundown, PROVINCE))


async def _of_broadcast(p: Province, place: str) -> str:
    return await p.broadcast(place)


async def _elsewhere(p: Province, place: str) -> str:
    """A broadcast of the province that Cô Tô does not hear."""
    del place
    return await p.broadcast(OTHER, THIRD)


async def _at_a_node(p: Province, place: str) -> str:
    return await p.broadcast(at=await p.node(place))


async def _of_station(p: Province, place: str) -> str:
    return await p.station(place)


async def _of_receipt(p: Province, place: str) -> str:
    return await p.receipt(place)


async def _of_area(p: Province, place: str) -> str:
    del p
    return place


async def _of_person(p: Province, place: str) -> str:
    del place
    return await p.person()


def listed(name: str, path: str, make: Make, key: str = "id") -> None:
    async def one(p: Province, v: Visitor, place: str) -> str:
        thing = await p.thing(make, place)
        return found(await v.client.get(V1 + path), key, thing)

    ASKED[name] = one


def about(name: str, method: str, path: str, make: Make, body: Callable[[str], Any] | None = None) -> None:
    """An operation on one stored thing: `{}` in the path is its id; body: of a place."""

    async def one(p: Province, v: Visitor, place: str) -> str:
        url = V1 + path.format(await p.thing(make, place))
        got = letter(await v.client.request(method, url, json=None if body is None else body(place)))
        if got == "y" and method != "GET":
            p.used_up(make, place)
        return got

    ASKED[name] = one


def _someone_new(p: Province, place: str) -> Any:
    return {"name": p.name("new"), "password": PASSWORD, "roles": [{"role": "reader", "area": place}]}


def _feature(p: Province, place: str) -> Any:
    del p
    one = {"type": "Feature", "properties": {"path": place, "population": 5}, "geometry": None}
    return {"type": "FeatureCollection", "features": [one]}


simple("list_accounts", "GET", "/accounts")
simple("add_account", "POST", "/accounts", _someone_new)
simple("add_area", "POST", "/areas", lambda p, place: {"path": f"{place}/{p.name('a')}", "name": "x"})
simple("import_areas", "POST", "/areas/import", _feature)
simple("add_station", "POST", "/stations", lambda p, place: {"id": p.name("s"), "area": place})
simple("list_tokens", "GET", "/tokens")
simple("who_am_i", "GET", "/session")
simple("add_token", "POST", "/tokens", lambda _, place: {"name": "x", "permissions": ["area.read"], "area": place})
simple("preview_programme", "POST", "/occurrences", lambda p, _: {"starts_on": p.later()})
simple(
    "enrol_node", "POST", "/nodes",
    lambda p, place: {"id": p.name("n"), "area": place, "public_key": f"{p.count:064x}"},
)  # fmt: skip

listed("list_areas", "/areas", _of_area, "path")
listed("list_nodes", "/nodes", _of_node)
listed("list_stations", "/stations", _of_station)
listed("list_bulletins", "/bulletins?limit=200", _of_bulletin)
listed("list_bulletins:draft", "/bulletins?limit=200", _of_draft)
listed("list_programmes", "/programmes?limit=200", _of_programme)
listed("list_broadcasts", "/broadcasts?limit=200", _of_broadcast)
listed("list_broadcasts:elsewhere", "/broadcasts?limit=200", _elsewhere)
listed("list_receipts", "/receipts?limit=200", _of_receipt, "node")

about("get_account", "GET", "/accounts/{}", _of_person)
about("set_roles", "PUT", "/accounts/{}/roles", _of_person, lambda at: {"roles": [{"role": "reader", "area": at}]})
about("disable_account", "POST", "/accounts/{}/disable", _of_person)
about("enable_account", "POST", "/accounts/{}/enable", _of_person)
about("reset_account", "POST", "/accounts/{}/reset", _of_person, lambda _: {})
about("get_area", "GET", "/areas/{}", _of_area)
about("get_node", "GET", "/nodes/{}", _of_node)
about("move_node", "POST", "/nodes/{}/move", _of_node, lambda place: {"area": place})
about("retire_node", "POST", "/nodes/{}/retire", _of_node)
about("set_volume", "POST", "/nodes/{}/volume", _of_node, lambda _: {"volume": 5})
about("test_tone", "POST", "/nodes/{}/test-tone", _of_node, lambda _: {})
about("get_bulletin", "GET", "/bulletins/{}", _of_bulletin)
about("get_bulletin:draft", "GET", "/bulletins/{}", _of_draft)
about("withdraw_bulletin", "POST", "/bulletins/{}/withdraw", _of_bulletin)
about("get_programme", "GET", "/programmes/{}", _of_programme)
about("change_programme", "PATCH", "/programmes/{}", _of_programme, lambda _: {"title": "y"})
about("stop_programme", "POST", "/programmes/{}/stop", _of_programme)
about("timetable", "GET", "/timetable?area={}", _of_area)
about("get_broadcast", "GET", "/broadcasts/{}", _of_broadcast)
about("get_broadcast:elsewhere", "GET", "/broadcasts/{}", _elsewhere)
about("get_broadcast:at_a_node", "GET", "/broadcasts/{}", _at_a_node)
about("get_coverage", "GET", "/broadcasts/{}/coverage", _of_broadcast)
about("recall_broadcast", "POST", "/broadcasts/{}/recall", _of_broadcast)
about("stop_broadcast", "POST", "/broadcasts/{}/stop", _of_broadcast)


@ask("move_node:into")
async def _move_into(p: Province, v: Visitor, place: str) -> str:
    node = await p.node(OWN)
    return letter(await v.client.post(f"{V1}/nodes/{node}/move", json={"area": place}))


@ask("approve_bulletin")
async def _approve(p: Province, v: Visitor, place: str) -> str:
    made = await p.thing(_of_draft, place)
    seen = await p.office.client.get(f"{V1}/bulletins/{made}")
    body = {"content_hash": seen.json()["content_hash"]}
    got = letter(await v.client.post(f"{V1}/bulletins/{made}/approve", json=body))
    if got == "y":
        p.used_up(_of_draft, place)
    return got


@ask("hear")
async def _hear(p: Province, v: Visitor, place: str) -> str:
    digest = await p.thing(_of_sound, place)
    return letter(await v.client.get(f"{V1}/renditions/{digest}/audio"))


async def _upload(client: httpx.AsyncClient, place: str) -> httpx.Response:
    form, files = {"title": "x", "area": place}, {"file": ("a.mp3", b"PK\x03\x04" + bytes(99))}
    return await client.post(f"{V1}/bulletins?wait=30", data=form, files=files)


@ask("add_bulletin")
async def _add_bulletin(p: Province, v: Visitor, place: str) -> str:
    del p
    return letter(await _upload(v.client, place))


# About themselves: somebody new of the same role, since these end or change sessions; no place has a part in it.


def once(one: Ask) -> Ask:
    """The same answer for every place, asked for once a role: passwords take their time."""
    answers: dict[Visitor, str] = {}

    async def known(p: Province, v: Visitor, place: str) -> str:
        if v not in answers:
            answers[v] = await one(p, v, place)
        return answers[v]

    return known


async def _of_import(p: Province, place: str) -> str:
    return str((await _upload(p.office.lan, place)).json()["id"])


@ask("get_import")
async def _import(p: Province, v: Visitor, place: str) -> str:
    theirs = await p.thing(_of_import, OWN)
    return letter(await v.client.get(f"{V1}/imports/{theirs}"))


@ask("get_import:own")
@once
async def _own_import(p: Province, v: Visitor, place: str) -> str:
    begun = await _upload(v.client, OWN)
    name = begun.json()["id"] if begun.status_code == 202 else "0" * 32
    return letter(await v.client.get(f"{V1}/imports/{name}"))


@ask("cancel_import")
async def _cancel(p: Province, v: Visitor, place: str) -> str:
    theirs = await p.thing(_of_import, OWN)
    return letter(await v.client.delete(f"{V1}/imports/{theirs}"))


@ask("cancel_import:own")
@once
async def _cancel_own(p: Province, v: Visitor, place: str) -> str:
    """While the machine has had no time for it yet."""
    turn, aside = asyncio.Event(), p.office.centre.aside

    async def in_turn(work: Callable[[], T]) -> T:
        await turn.wait()
        return await aside(work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(p.office.centre, "aside", in_turn)
        form, files = {"title": "x", "area": OWN}, {"file": ("a.wav", recording(0.5))}
        begun = await v.client.post(f"{V1}/bulletins", data=form, files=files)
        way = f"{V1}/imports/{begun.json().get('id', '0' * 32)}"
        got = letter(await v.client.delete(way))
        turn.set()
        if got == "y":
            assert (await v.client.get(f"{way}?wait=30")).json()["status"] == "cancelled"
    return got


@ask("add_programme")
async def _add_programme(p: Province, v: Visitor, place: str) -> str:
    rundown = [await p.thing(_rundown, PROVINCE)]
    body = {"title": "x", "area": place, "starts_on": p.later(), "rundown": rundown}
    return letter(await v.client.post(f"{V1}/programmes", json=body))


@ask("issue_broadcast")
async def _issue(p: Province, v: Visitor, place: str) -> str:
    body = {"bulletins": [await p.thing(_rundown, PROVINCE)], "target_areas": [place]}
    return letter(await v.client.post(f"{V1}/broadcasts", json=body))


async def _whole(p: Province, place: str) -> str:
    """A broadcast to the whole province."""
    return await p.broadcast(PROVINCE)


@ask("get_coverage:lines")
async def _lines(p: Province, v: Visitor, place: str) -> str:
    """Whether a provincial broadcast's coverage shows the line of a node in this place."""
    node = await p.thing(_of_node, place)
    broadcast = await p.thing(_whole, place)  # after the node: it was meant too
    reply = await v.client.get(f"{V1}/broadcasts/{broadcast}/coverage")
    shown = reply.json()
    assert shown["nodes"] == len(shown["detail"]) == shown["waiting"]
    return "y" if node in [line["node"] for line in shown["detail"]] else "x"


@ask("health")
async def _health(p: Province, v: Visitor, place: str) -> str:
    return letter(await v.client.get("/healthz"))


@ask("metrics")
async def _metrics(p: Province, v: Visitor, place: str) -> str:
    return letter(await v.client.get("/metrics"))


async def _told(p: Province, v: Visitor, kind: str, name: str, **data: Any) -> str:
    """Whether the stream lets them in, and the event concerns them."""
    status = await status_of_stream(v.app, f"{V1}/events", v.who.token)
    if status != 200:
        return "n" if status == 403 else str(status)
    centre = p.office.centre
    caller = await centre.reading(lambda db: caller_of(db, centre, v.who.token))
    concern = await Concerns(centre).of(kind, name, data)
    return "y" if concern.includes(caller.authority) else "x"


@ask("listen")
async def _listen(p: Province, v: Visitor, place: str) -> str:
    return await _told(p, v, "node", await p.thing(_of_node, place))


@ask("listen:broadcast")
async def _listen_broadcast(p: Province, v: Visitor, place: str) -> str:
    return await _told(p, v, "coverage", await p.thing(_of_broadcast, place))


@ask("listen:draft")
async def _listen_draft(p: Province, v: Visitor, place: str) -> str:
    return await _told(p, v, "bulletin", await p.thing(_of_draft, place), status="draft")


def own(name: str, method: str, path: str, body: Callable[[Province, Any], Any] | None = None) -> None:
    async def one(p: Province, v: Visitor, place: str) -> str:
        someone = await p.fresh(v)
        json = None if body is None else body(p, someone.who)
        return letter(await someone.client.request(method, V1 + path, json=json))

    ASKED[name] = once(one)


def _code(p: Province, who: Any) -> str:
    return code_now(who.secret, p.office.centre.clock.now_ms())


own("sign_out", "DELETE", "/session")
own("step_up", "POST", "/session/step-up", lambda p, who: {"code": _code(p, who)})
own("begin_code", "POST", "/session/code")
own("renew_recovery_codes", "POST", "/session/recovery-codes")
own("sign_in", "POST", "/session", lambda p, who: {"account": who.name, "password": PASSWORD, "code": _code(p, who)})
own("change_password", "POST", "/session/password", lambda *_: {"old_password": PASSWORD, "new_password": PASSWORD})


@ask("confirm_code")
@once
async def _confirm(p: Province, v: Visitor, place: str) -> str:
    someone = await p.fresh(v)
    secret = await p.secret_begun(someone.who)
    body = {"code": code_now(secret, p.office.centre.clock.now_ms())}
    return letter(await someone.client.post(f"{V1}/session/code/confirm", json=body))


@ask("revoke_token")
@once
async def _revoke(p: Province, v: Visitor, place: str) -> str:
    someone = await p.fresh(v)
    return letter(await someone.client.delete(f"{V1}/tokens/{await p.token(someone.who)}"))
