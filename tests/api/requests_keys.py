"""Requests, as in `requests`, about keys, enrolment and the record."""

from typing import Any

import httpx
from sqlmodel import Session

from controller.services.context import Context
from controller.tables import Enrolment, EnrolmentLabel
from devices.node.enrolled import Done
from tests.api.province import OWN, Province, Visitor, letter
from tests.api.requests import V1, about, ask, listed, once, simple
from tests.api.requests import _of_node as of_node
from tests.api.requests import _of_station as of_station

WORDS = "thuyền về bến cũ"
MAC = "A" * 43 + "="
KEY = {"passphrase": WORDS, "area": OWN}


async def _enrolment(p: Province, node: str | None) -> str:
    """One that was decided for a node, or waits."""
    p.count += 1
    name, label = f"{p.count:032x}", f"{p.count:08d}"

    def work(session: Session, ctx: Context) -> None:
        session.add(
            EnrolmentLabel(id=label, sealed_key=b"", created_by="x", created_at=ctx.now, expires_at=ctx.now + 10**9)
        )
        session.flush()
        parts: dict[str, Any] = dict.fromkeys(
            ("public_key", "exchange", "commitment", "mac", "own_exchange", "own_nonce", "roots", "welcome_mac"),
            bytes(32),
        )
        state = "pending" if node is None else "confirmed"
        session.add(
            Enrolment(id=name, label=label, sealed_session=b"", state=state, node=node, begun_at=ctx.now, **parts)
        )

    await p.change(work)
    return name


async def _waiting(p: Province, place: str) -> str:
    del place
    return await _enrolment(p, None)


async def _decided(p: Province, place: str) -> str:
    return await _enrolment(p, await p.node(place))


async def _label(p: Province, place: str) -> str:
    del place
    made = await p.visitors_client("technician").post(f"{V1}/labels", json={"address": "https://loa.example"})
    return str(made.json()["items"][0]["id"])


async def _village(p: Province, place: str) -> str:
    path = f"{place}/{p.name('v')}"
    await p.office.ok("POST", f"{V1}/areas", json={"path": path, "name": "x"})
    return path


async def _key(p: Province, place: str) -> str:
    """Of a duty officer."""
    someone = await p.fresh(p.of("duty_officer"))
    reply = await someone.client.post(f"{V1}/people-keys", json=KEY | {"area": place})
    return str(reply.json()["id"])


simple("make_labels", "POST", "/labels", lambda *_: {"address": "https://loa.example"})
simple("get_keys", "GET", "/keys")
simple("list_own_keys", "GET", "/people-keys/mine")
simple("list_record", "GET", "/record")
simple("export_record", "GET", "/record/export")
listed("list_labels", "/labels", _label)
listed("list_enrolments", "/enrolments", _waiting)
listed("list_people_keys", "/people-keys", _key)
about("revoke_label", "POST", "/labels/{}/revoke", _label)
about("reject_enrolment", "POST", "/enrolments/{}/rejection", _waiting)
about("get_enrolment", "GET", "/enrolments/{}", _decided)
about("node_broker_password", "POST", "/nodes/{}/broker-password", of_node)
about("station_broker_password", "POST", "/stations/{}/broker-password", of_station)
about("person_key_request", "GET", "/people-keys/{}/request", _key)
about("retire_person_key", "POST", "/people-keys/{}/retire", _key)
about(
    "change_key_passphrase", "POST", "/people-keys/{}/passphrase", _key,
    lambda _: {"old_passphrase": WORDS, "new_passphrase": "cá lên bờ ăn trăng"},
)  # fmt: skip


@ask("list_told_heads")
async def _heads(p: Province, v: Visitor, place: str) -> str:
    return letter(await v.client.get(f"{V1}/record/heads"))


@ask("begin_enrolment")
@once
async def _begin(p: Province, v: Visitor, place: str) -> str:
    """The box's first step asks both, this and how it stands."""
    box = await p.box(v.client)
    return "y" if await box.step() is None and box.code else "x"


@ask("begin_enrolment:forged")
@once
async def _begin_forged(p: Province, v: Visitor, place: str) -> str:
    """What it says is not believed, as nothing but a label's secret makes it."""
    parts = dict.fromkeys(("public_key", "exchange", "commitment", "mac"), MAC)
    return _forged(await v.client.post(f"{V1}/enrolments", json={"label": "0G4A9TRM", **parts}))


@ask("enrolment_state")
@once
async def _state(p: Province, v: Visitor, place: str) -> str:
    """Asked again, until it is confirmed."""
    box = await p.box(v.client)
    waits = await box.step() is None and await box.step() is None
    body = {"code": box.code, "name": p.name("n"), "area": OWN}
    await p.office.ok("POST", f"{V1}/enrolments/{box.label.name}/confirmation", json=body)
    return "y" if waits and await box.step() == Done(box.label.name, body["name"] or "") else "x"


@ask("enrolment_state:forged")
@once
async def _state_forged(p: Province, v: Visitor, place: str) -> str:
    body = {"nonce": "A" * 22 + "==", "fresh": "A" * 22 + "==", "mac": MAC}
    return _forged(await v.client.post(f"{V1}/enrolments/{'0' * 32}/state", json=body))


def _forged(reply: httpx.Response) -> str:
    assert (reply.status_code, reply.json()["code"]) == (403, "enrolment_forged")
    return "n"


async def _box(p: Province, place: str) -> str:
    """A box that shows its code: its label and the code."""
    del place
    box = await p.box(p.office.stranger)
    await box.step()
    return f"{box.label.name} {box.code}"


@ask("confirm_enrolment")
async def _confirm(p: Province, v: Visitor, place: str) -> str:
    """What may become of a box is what may be enrolled."""
    label, _, code = (await p.thing(_box, OWN)).partition(" ")
    body = {"code": code, "name": p.name("n"), "area": place}
    got = letter(await v.client.post(f"{V1}/enrolments/{label}/confirmation", json=body))
    if got == "y":
        p.used_up(_box, OWN)
    return got


@ask("confirm_enrolment:absent")
async def _confirm_nobody(p: Province, v: Visitor, place: str) -> str:
    body = {"code": "123456", "name": p.name("n"), "area": place}
    return letter(await v.client.post(f"{V1}/enrolments/{'0' * 32}/confirmation", json=body))


@ask("move_area")
async def _move(p: Province, v: Visitor, place: str) -> str:
    path = await p.thing(_village, place)
    reply = await v.client.post(f"{V1}/areas/{path}/move", json={"to": f"{place}/{p.name('w')}"})
    if reply.status_code < 300:
        p.used_up(_village, place)
    return letter(reply)


@ask("make_person_key")
async def _make_key(p: Province, v: Visitor, place: str) -> str:
    someone = await p.fresh(v)  # two of one kind are the most that somebody may have
    return letter(await someone.client.post(f"{V1}/people-keys", json=KEY | {"area": place}))


def _own_key(name: str, method: str, path: str, body: Any = None) -> None:
    async def one(p: Province, v: Visitor, place: str) -> str:
        client = (await p.fresh(v)).client
        made = await client.post(f"{V1}/people-keys", json=KEY)
        key = made.json().get("id", "0" * 16)
        return letter(await client.request(method, f"{V1}/people-keys/{key}{path}", json=body))

    ask(name)(once(one))


_own_key("person_key_request:own", "GET", "/request")
_own_key("retire_person_key:own", "POST", "/retire")
_own_key(
    "change_key_passphrase:own", "POST", "/passphrase",
    {"old_passphrase": WORDS, "new_passphrase": "cá lên bờ ăn trăng"},
)  # fmt: skip
