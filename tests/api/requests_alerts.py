"""Requests, as in `requests`, about alerts: who is let in at a place, which an approval that is none tells; and that
those who are let in succeed, by a key of theirs.
"""

from typing import Any

import httpx
from sqlmodel import Session

from controller import accounts, code_keeping, keyfiles
from controller.services import alerts
from controller.services.context import Context
from controller.services.emergencies import AlertForm
from controller.tables import Alert
from devices.protocol.trust import Power
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from tests.api.province import OWN, Province, Visitor, letter
from tests.api.requests import V1, _told, about, ask, listed, once, simple
from tests.api.requests_keys import KEY

NO_APPROVAL = {"approval": "AAAA"}


async def _composed(p: Province, place: str, *, author: str = "somebody", released: bool = False) -> str:
    def work(session: Session, ctx: Context) -> str:
        name = alerts.compose(session, ctx, AlertForm(target_areas=[place], siren=1, lasts_ms=86_400_000), title="x")
        if released:
            row = session.get_one(Alert, name)
            row.status, row.released_at = "released", ctx.now
            session.add(row)
        return name

    return await p.change(work, author)


async def _waiting(p: Province, place: str) -> str:
    return await _composed(p, place)


async def _released(p: Province, place: str) -> str:
    return await _composed(p, place, released=True)


simple(
    "compose_alert", "POST", "/alerts",
    lambda _, place: {"kind": "drill", "title": "x", "target_areas": [place], "siren": 1},
)  # fmt: skip
listed("list_alerts", "/alerts?limit=200", _waiting)
listed("list_alerts:released", "/alerts?limit=200", _released)
about("get_alert", "GET", "/alerts/{}", _waiting)
about("get_alert:released", "GET", "/alerts/{}", _released)
about("withdraw_alert", "POST", "/alerts/{}/withdraw", _waiting)


@ask("withdraw_alert:own")
async def _withdraw(p: Province, v: Visitor, place: str) -> str:
    name = await _composed(p, place, author=v.who.name)
    return letter(await v.client.post(f"{V1}/alerts/{name}/withdraw"))


def _let_in(reply: Any) -> str:
    return "y" if reply.json()["code"] == "bad_approval" else letter(reply)


@ask("approve_alert")
async def _approve(p: Province, v: Visitor, place: str) -> str:
    centre, hashed = p.office.centre, accounts.token_hash(v.who.token)
    await centre.unit_of_work(lambda db: code_keeping.step_up(db, centre, hashed, with_password=True))
    name = await p.thing(_waiting, place)
    seen = (await p.office.client.get(f"{V1}/alerts/{name}")).json()
    body = NO_APPROVAL | {"kind": "live", "body_sha256": seen["body_sha256"]}
    return _let_in(await v.client.post(f"{V1}/alerts/{name}/approvals", json=body))


@ask("cancel_alert")
async def _cancel(p: Province, v: Visitor, place: str) -> str:
    name = await p.thing(_released, place)
    return _let_in(await v.client.post(f"{V1}/alerts/{name}/cancel", json=NO_APPROVAL))


async def _signer(p: Province, v: Visitor) -> Visitor:
    """Somebody of this role whose key alone releases what concerns Cô Tô, where the role lets them have one."""
    someone = await p.fresh(v)
    made = await someone.client.post(f"{V1}/people-keys", json=KEY | {"kind": "live"})
    centre = p.office.centre
    if made.status_code == 201:
        keyfiles.appoint(
            centre.keys_folder, holder=someone.who.name, public_key=bytes.fromhex(made.json()["public_key"]),
            area=AreaPath(OWN), ceiling=Precedence.EMERGENCY, powers=Power.APPROVE, kind=Kind.LIVE,
            now_ms=centre.clock.now_ms(), entropy=centre.entropy, sole=True,
        )  # fmt: skip
        centre._read_keys_again()
        centre.look_again()
    hashed = accounts.token_hash(someone.who.token)
    await centre.unit_of_work(lambda db: code_keeping.step_up(db, centre, hashed, with_password=True))
    return someone


async def _signed(p: Province, someone: Visitor) -> tuple[str, httpx.Response]:
    name = await _composed(p, OWN)
    seen = (await p.office.client.get(f"{V1}/alerts/{name}")).json()
    body = {"passphrase": KEY["passphrase"], "kind": "live", "body_sha256": seen["body_sha256"]}
    return name, await someone.client.post(f"{V1}/alerts/{name}/approvals", json=body)


@ask("approve_alert:by_key")
@once
async def _approve_by_key(p: Province, v: Visitor, place: str) -> str:
    _, reply = await _signed(p, await _signer(p, v))
    return letter(reply)


@ask("cancel_alert:by_key")
@once
async def _cancel_by_key(p: Province, v: Visitor, place: str) -> str:
    someone = await _signer(p, v)
    name, _ = await _signed(p, someone)
    reply = await someone.client.post(f"{V1}/alerts/{name}/cancel", json={"passphrase": KEY["passphrase"]})
    return letter(reply)


@ask("listen:alert")
async def _listen(p: Province, v: Visitor, place: str) -> str:
    return await _told(p, v, "alert", await p.thing(_waiting, place))


@ask("listen:released_alert")
async def _listen_released(p: Province, v: Visitor, place: str) -> str:
    return await _told(p, v, "alert", await p.thing(_released, place))
