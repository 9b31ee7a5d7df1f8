"""No way from a drill to a live alert, and none from a password to a sound: each tried, each refused by its code."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlmodel import Session, delete, select

from api.gate import ApiLimits
from controller import accounts, keyfiles
from controller.permissions import Role
from controller.services.orders import Targets, give_order
from controller.tables import AlertApproval, ApiToken, Broadcast, OwedOrder
from devices.protocol.alerts import AlertBody
from devices.protocol.approval import read_body
from devices.protocol.envelope import encode, open_sealed
from devices.protocol.orders import Order
from devices.protocol.refusal import RefusalReason as R
from loa.entropy import new_id, system_entropy
from loa.names import AreaPath
from loa.precedence import Kind
from tests.api.duty import ALERTS, CO_TO, PROVINCE, WORDS, Duty, on_duty
from tests.api.office import problem

pytestmark = pytest.mark.slow
TRIES = ApiLimits(known_rate="1000000/minute", stranger_rate="1000000/minute")


@pytest_asyncio.fixture
async def duty(tmp_path: Path, in_no_time: None) -> AsyncIterator[Duty]:
    async with on_duty(tmp_path, limits=TRIES) as world:
        yield world


async def sounds_at_last(duty: Duty, name: str = "mai") -> None:
    """The control: the same centre, nodes and people do make a sound."""
    alert = await duty.compose(duty.people[name], CO_TO)
    assert (await duty.approve(duty.people[name], alert)).status_code == 200
    await duty.clock.advance(3.0)
    assert duty.boxes["co-to-1"].sounds(alert["id"])


def other_kind(alert: Any, **changes: Any) -> bytes:
    """The alert's body with one bit of meaning changed."""
    body: AlertBody = read_body(base64.b64decode(alert["body"]))
    return encode(replace(body, kind=Kind.LIVE, **changes))


async def test_a_drill_is_never_live(duty: Duty) -> None:
    lan = duty.people["lan"]
    drill = await duty.compose(lan, CO_TO, kind="drill")
    live_words = {"kind": "live"}

    # By a field of the API: none is left out, none has a default, none is changed.
    form = {"title": "x", "target_areas": [CO_TO], "siren": 1}
    assert problem(await lan.client.post(ALERTS, json=form), 422, "field_required")["field"] == "kind"
    assert (await lan.client.patch(f"{ALERTS}/{drill['id']}", json=live_words)).status_code == 405
    problem(await duty.approve(lan, drill, kind="live"), 409, "drill_mismatch")
    problem(await duty.approve(lan, drill, kind=None), 422, "field_required")
    # With the key for the other kind.
    problem(await duty.approve(lan, drill, key=lan.keys[Kind.LIVE]), 409, "drill_mismatch")
    live = await duty.compose(lan, CO_TO)
    problem(await duty.approve(lan, live, key=lan.keys[Kind.DRILL]), 409, "drill_mismatch")
    # An approval of one is none of the other, even of bodies that differ in nothing else.
    signed = await duty.centre.approve_body(
        lan.keys[Kind.LIVE], passphrase=lan.words, body=other_kind(drill), account=lan.name
    )
    carried = base64.b64encode(signed).decode()
    problem(await duty.approve(lan, drill, passphrase=None, approval=carried), 422, "bad_approval")
    assert await duty.silent()

    # By the database: the column, then the bytes too, then the record's words of it, which nothing lets go of.
    await duty.edit(drill, kind=int(Kind.LIVE))
    assert (await duty.get(lan, drill))["status"] == "altered"
    shown = (await lan.client.get(ALERTS)).json()["items"]
    assert {one["id"]: one["status"] for one in shown} == {drill["id"]: "altered", live["id"]: "composed"}
    for kind in ("live", "drill"):
        problem(await duty.approve(lan, drill | {"kind": kind}), 409, "alert_altered")
    await duty.edit(drill, body=other_kind(drill))
    seen = await duty.get(lan, drill)
    assert (seen["kind"], seen["status"]) == ("live", "altered")
    assert problem(await duty.approve(lan, seen), 409, "alert_altered")["field"] == "body"
    await duty.edit(drill, body=b"junk")
    problem(await duty.approve(lan, seen), 409, "alert_altered")
    assert (await duty.get(lan, drill))["words"] == {}
    assert {detail for _, _, detail in await duty.deeds("altered")} == {"kind", "body"}
    assert await duty.silent()
    await sounds_at_last(duty)


async def test_approvals_moved_in_the_database_count_for_nothing(duty: Duty) -> None:
    """A drill's approval under a live alert; an alert that is marked as released already."""
    thu, hai = duty.people["thu"], duty.people["hai"]
    drill, live = await duty.compose(thu, PROVINCE, kind="drill"), await duty.compose(thu, PROVINCE)
    assert (await duty.approve(thu, drill)).status_code == 202

    def move(session: Session) -> None:
        row = session.get_one(AlertApproval, (drill["id"], 1, thu.keys[Kind.DRILL]))
        values = row.model_dump() | {"alert": live["id"]}
        session.add(AlertApproval(**values))

    await duty.centre.unit_of_work(move)
    reply = await duty.approve(hai, live)
    assert reply.status_code == 202
    assert {one["holder"]: one["counts"] for one in reply.json()["alert"]["approvals"]} == {"thu": False, "hai": True}
    await duty.edit(live, status="released", released_at=1)
    problem(await duty.approve(hai, live), 409, "alert_altered")
    assert await duty.silent()
    await sounds_at_last(duty)


async def test_no_update_crosses(duty: Duty) -> None:
    """From drill to live or back: by the API, with the tables edited, and at the node."""
    lan = duty.people["lan"]
    drill = await duty.compose(lan, CO_TO, kind="drill")
    assert (await duty.approve(lan, drill)).status_code == 200
    await duty.clock.advance(1.0)
    form = {"title": "x", "target_areas": [CO_TO], "siren": 1, "updates": [drill["id"]]}
    problem(await lan.client.post(ALERTS, json=form | {"kind": "live"}), 409, "drill_mismatch")

    def as_live(session: Session) -> None:
        row = session.get_one(Broadcast, drill["id"])
        row.kind = int(Kind.LIVE)
        session.add(row)

    await duty.centre.unit_of_work(as_live)
    problem(await lan.client.post(ALERTS, json=form | {"kind": "live"}), 409, "drill_mismatch")
    await duty.edit(drill, kind=int(Kind.LIVE))
    problem(await lan.client.post(ALERTS, json=form | {"kind": "live"}), 409, "alert_altered")


async def test_a_released_order_is_not_turned(duty: Duty) -> None:
    """The order of a drill again: as live, with live bytes, with an id of its own; by whoever holds the controller."""
    lan, box = duty.people["lan"], duty.boxes["co-to-1"]
    drill = await duty.compose(lan, CO_TO, kind="drill", repeats=1)
    assert (await duty.approve(lan, drill)).status_code == 200
    await duty.clock.advance(10.0)
    heard = box.heard(drill["id"])
    assert heard
    order = open_sealed(await duty.centre.reading(_payload)).message
    assert isinstance(order, Order)
    turned = (
        replace(order, kind=Kind.LIVE),
        replace(order, alert_body=other_kind(drill), kind=Kind.LIVE),
        replace(order, id=new_id(system_entropy)),
        replace(order, repeats=9),
    )
    late = await duty.box("co-to-2", f"{CO_TO}/thon-2")  # it never had the order, so no memory helps it
    await duty.clock.advance(10.0)
    for one in turned:
        await duty.centre.put_out(await duty.centre.unit_of_work(_given(duty, one)))
        await duty.clock.advance(5.0)
        assert (box.node.status().playing, late.node.status().playing) == (None, None)
    assert box.heard(drill["id"]) == heard, "not once more"
    assert not late.any_sound
    assert box.node.status().refusals == {R.REPLAY: 3, R.BEYOND_APPROVAL: 1}
    assert late.node.status().refusals == {R.DRILL_MISMATCH: 1, R.BAD_SIGNATURE: 1, R.BEYOND_APPROVAL: 2}
    await duty.centre.put_out(await duty.centre.unit_of_work(_given(duty, order)))
    await duty.clock.advance(10.0)
    assert box.heard(drill["id"]) == heard
    assert late.heard(drill["id"]) == heard, "the control: untouched, it sounds where it is new, and as a drill"


def _payload(session: Session) -> bytes:
    return session.exec(select(OwedOrder.payload).limit(1)).one()


def _given(duty: Duty, order: Order) -> Any:
    """Signed by the controller and put out as it would be, without anything in the tables."""
    ctx = duty.centre.context("loa")

    def work(session: Session) -> Any:
        session.execute(delete(OwedOrder))
        outgoing = give_order(session, ctx, order, Targets((AreaPath(CO_TO),), ()))
        session.execute(delete(OwedOrder))
        return outgoing

    return work


async def test_password_and_code_release_nothing(duty: Duty) -> None:
    """All of a session and none of the passphrase; and the other way round."""
    mai = duty.people["mai"]
    alert = await duty.compose(mai, CO_TO)
    assert problem(await duty.approve(mai, alert, passphrase=None), 422, "field_required")["field"] == "passphrase"
    for guess in ("mật khẩu để thử", "", WORDS + "lan"):
        problem(await duty.approve(mai, alert, passphrase=guess), 403, "wrong_passphrase")
    problem(await duty.approve(mai, alert, key=duty.people["lan"].keys[Kind.LIVE]), 404, "not_found")
    assert [who for _, who, _ in await duty.deeds("wrong_passphrase")] == ["mai"] * 3
    await duty.fresh(mai)
    await _aged(duty, mai, password=True)
    problem(await duty.approve(mai, alert, fresh=False), 403, "fresh_sign_in_required")
    await duty.fresh(mai)
    await _aged(duty, mai, password=False)
    problem(await duty.approve(mai, alert, fresh=False), 403, "fresh_code_required")
    assert await duty.silent()
    await sounds_at_last(duty)


async def _aged(duty: Duty, person: Any, *, password: bool) -> None:
    """As if it had been given five minutes and a moment ago."""

    def work(session: Session) -> None:
        row = session.get_one(ApiToken, accounts.token_hash(person.who.token))
        old = duty.clock.now_ms() - accounts.CODE_FRESH_MS - 1000
        if password:
            row.password_at = old
        else:
            row.code_at = old
        session.add(row)

    await duty.centre.unit_of_work(work)


async def test_an_api_token_does_none_of_it(duty: Duty) -> None:
    """Not with all that a token may be given, nor with a row that was given more."""
    thu = duty.people["thu"]
    alert = await duty.compose(thu, CO_TO)
    for permission in ("alert.release", "alert.cancel", "alert.compose"):
        form = {"name": "máy", "permissions": [permission], "area": PROVINCE}
        problem(await thu.client.post("/api/v1/tokens", json=form), 403, "not_permitted")
    form = {"name": "máy", "permissions": ["alert.read"], "area": PROVINCE}
    made = await thu.client.post("/api/v1/tokens", json=form)
    assert made.status_code == 201, made.text
    machine = duty.client(made.json()["token"])
    assert (await machine.get(f"{ALERTS}/{alert['id']}")).status_code == 200

    def widened(session: Session) -> None:
        row = session.get_one(ApiToken, accounts.token_hash(made.json()["token"]))
        row.permissions = ["alert.read", "alert.release", "alert.cancel", "alert.compose"]
        row.code_at = row.password_at = duty.clock.now_ms()
        session.add(row)

    body = {"kind": "live", "body_sha256": alert["body_sha256"], "passphrase": thu.words}
    for _ in range(2):
        for path, asked in (
            (f"{ALERTS}/{alert['id']}/approvals", body),
            (f"{ALERTS}/{alert['id']}/cancel", {"passphrase": thu.words}),
            (f"{ALERTS}/{alert['id']}/withdraw", None),
            (ALERTS, {"kind": "live", "title": "x", "target_areas": [CO_TO], "siren": 1}),
        ):
            problem(await machine.post(path, json=asked), 403, "not_permitted")
        await duty.centre.unit_of_work(widened)
    assert await duty.silent()
    await sounds_at_last(duty)


async def test_tries_are_counted(duty: Duty) -> None:
    """Ten within five minutes, the key's making among them, then not even the right one; other people go on."""
    mai = duty.people["mai"]
    alert = await duty.compose(mai, CO_TO)
    for _ in range(9):
        problem(await duty.approve(mai, alert, passphrase="không phải đâu nhé"), 403, "wrong_passphrase")
    problem(await duty.approve(mai, alert), 429, "rate_limited")
    assert len(await duty.deeds("wrong_passphrase")) == 9
    assert await duty.silent()
    assert (await duty.approve(duty.people["lan"], alert)).status_code == 200


async def test_what_was_looked_at_is_what_is_approved(duty: Duty) -> None:
    thu, hai = duty.people["thu"], duty.people["hai"]
    one, other = await duty.compose(thu, PROVINCE), await duty.compose(thu, PROVINCE, repeats=9)
    problem(await duty.approve(hai, one, body_sha256=other["body_sha256"]), 409, "content_changed")
    for title in ("Chỉ thử thôi", one["title"]):
        await duty.edit(one, title=title)
        reply = await duty.approve(hai, one)
        assert reply.status_code == (202 if title == one["title"] else 409), reply.text


async def test_a_revoked_half_counts_no_more(duty: Duty) -> None:
    thu, hai = duty.people["thu"], duty.people["hai"]
    alert = await duty.compose(thu, PROVINCE)
    assert (await duty.approve(thu, alert)).status_code == 202
    gone = thu.appointments[Kind.LIVE].id
    keyfiles.revoke(duty.centre.keys_folder, [gone], now_ms=duty.clock.now_ms(), reason="left")
    await duty.look_again()
    assert (await duty.approve(hai, alert)).status_code == 202, "kept, and hers counts for one"
    problem(await duty.approve(thu, alert), 403, "key_revoked")
    assert await duty.silent()
    third = await duty.person("ba", Role.DUTY_OFFICER, PROVINCE, Kind.LIVE)
    await duty.look_again()
    assert (await duty.approve(third, alert)).status_code == 200
    assert [detail for _, _, detail in await duty.deeds("release")] == ["hai, ba"]
