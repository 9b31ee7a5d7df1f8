"""Requests, as in `requests`, about alerts. Whoever may release where they are has a key that the roots appointed."""

import base64

from sqlmodel import Session

from controller import accounts, code_keeping, keyfiles
from controller.peoplekeys import approve
from controller.permissions import PROVINCE_ONLY, Role
from controller.services import alerts
from controller.services.alert_bodies import AlertForm
from controller.services.context import Context
from controller.services.emergencies import _row
from controller.services.orders import Targets
from controller.tables import Alert
from devices.protocol.approval import read_body
from devices.protocol.keys import SigningKey
from devices.protocol.trust import Power
from loa.names import AreaPath
from loa.precedence import Precedence
from tests.api.province import OWN, PROVINCE, Province, Visitor, letter
from tests.api.requests import V1, _told, about, ask, listed, simple

RELEASERS = (Role.DUTY_OFFICER, Role.OPERATOR, Role.APPROVER)


async def _composed(
    p: Province, place: str, *, author: str = "somebody", released: bool = False, bulletins: tuple[str, ...] = ()
) -> str:
    form = AlertForm(target_areas=[place], siren=1, lasts_ms=86_400_000, bulletins=bulletins)

    def work(session: Session, ctx: Context) -> str:
        name = alerts.compose(session, ctx, form, title="x")
        if released:
            row = session.get_one(Alert, name)
            row.status, row.released_at = "released", ctx.now
            session.add(row)
            body = read_body(row.body)
            _row(session, ctx, body, Targets(body.areas, body.nodes), title="x", bulletins=(), until=body.expires_at)
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


async def _with_sound(p: Province, place: str) -> str:
    return await _composed(p, place, bulletins=((await p.bulletin(PROVINCE)).id,))


async def _released_with_sound(p: Province, place: str) -> str:
    return await _composed(p, place, released=True, bulletins=((await p.bulletin(PROVINCE)).id,))


about("hear_alert", "GET", "/alerts/{}/audio", _with_sound)
about("hear_alert:released", "GET", "/alerts/{}/audio?language=vi", _released_with_sound)


@ask("withdraw_alert:own")
async def _withdraw(p: Province, v: Visitor, place: str) -> str:
    name = await _composed(p, place, author=v.who.name)
    return letter(await v.client.post(f"{V1}/alerts/{name}/withdraw"))


async def _signature(p: Province, v: Visitor, body: str) -> dict[str, str]:
    """By the visitor's own key, made and appointed when it is first needed."""
    known, centre = ("release key", v.who.name), p.office.centre
    if known not in p.things:
        key = SigningKey(centre.entropy(32))
        p.things[known] = key.seed.hex()
        if v.role in RELEASERS:
            keyfiles.appoint(
                centre.keys_folder, holder=v.who.name, public_key=key.public_key,
                area=AreaPath(PROVINCE if v.role in PROVINCE_ONLY else OWN), ceiling=Precedence.EMERGENCY,
                powers=Power.APPROVE, now_ms=centre.clock.now_ms(), entropy=centre.entropy,
            )  # fmt: skip
            centre._read_keys_again()
            await p.change(centre._renew_trust)
    signed = approve(base64.b64decode(body), SigningKey(bytes.fromhex(p.things[known])))
    return {"approval": base64.b64encode(signed).decode()}


@ask("approve_alert")
async def _approve(p: Province, v: Visitor, place: str) -> str:
    centre, hashed = p.office.centre, accounts.token_hash(v.who.token)
    await centre.unit_of_work(lambda db: code_keeping.step_up(db, centre, hashed, with_password=True))
    name = await _waiting(p, place)
    seen = (await p.office.client.get(f"{V1}/alerts/{name}")).json()
    body = {"kind": "live", "body_sha256": seen["body_sha256"]} | await _signature(p, v, seen["body"])
    return letter(await v.client.post(f"{V1}/alerts/{name}/approvals", json=body))


@ask("cancel_alert")
async def _cancel(p: Province, v: Visitor, place: str) -> str:
    name = await _released(p, place)
    seen = (await p.office.client.get(f"{V1}/alerts/{name}")).json()
    return letter(await v.client.post(f"{V1}/alerts/{name}/cancel", json=await _signature(p, v, seen["cancel_body"])))


@ask("listen:alert")
async def _listen(p: Province, v: Visitor, place: str) -> str:
    return await _told(p, v, "alert", await p.thing(_waiting, place))


@ask("listen:released_alert")
async def _listen_released(p: Province, v: Visitor, place: str) -> str:
    return await _told(p, v, "alert", await p.thing(_released, place))
