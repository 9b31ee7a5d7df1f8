"""Requests, as in `requests`, about alerts. What would have to be signed is left to test_alerts: who is let in is asked
here, and an approval that is none tells that.
"""

from typing import Any

from sqlmodel import Session

from controller import accounts, code_keeping
from controller.services import alerts
from controller.services.context import Context
from controller.services.emergencies import AlertForm
from controller.tables import Alert
from tests.api.province import Province, Visitor, letter
from tests.api.requests import V1, _told, about, ask, listed, simple

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


@ask("listen:alert")
async def _listen(p: Province, v: Visitor, place: str) -> str:
    return await _told(p, v, "alert", await p.thing(_waiting, place))


@ask("listen:released_alert")
async def _listen_released(p: Province, v: Visitor, place: str) -> str:
    return await _told(p, v, "alert", await p.thing(_released, place))
