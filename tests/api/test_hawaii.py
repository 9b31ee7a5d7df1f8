"""The morning of 13 January 2018 in Hawaii: a drill, every way to send it live, a false alert taken back.

There one person chose "missile alert" for "test missile alert" on one screen; nothing asked again, no cancel was
prepared, and for 38 minutes people hid in storm drains. Each attempt below is one way to the same, and each is refused.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlmodel import Session

from controller import accounts
from controller.tables import Alert, AlertApproval, ApiToken, Broadcast
from devices.protocol.approval import read_body
from devices.protocol.envelope import encode, open_sealed
from devices.protocol.orders import Order
from devices.protocol.topics import AreaChannel, area_topic
from loa.names import AreaPath
from loa.precedence import Kind
from tests.api.duty import ALERTS, PROVINCE, Duty, Person, on_duty
from tests.api.test_alert_attacks import TRIES, _given, _payload

pytestmark = [pytest.mark.slow, pytest.mark.needs("espeak-ng")]
EXERCISE = {"number": "số 0", "place": "toàn tỉnh", "force": "12", "time": "8 giờ", "shelter": "nhà văn hoá"}
CANCELLED_WITHIN_S = 10.0


@pytest_asyncio.fixture
async def duty(tmp_path: Path, in_no_time: None) -> AsyncIterator[Duty]:
    async with on_duty(tmp_path, limits=TRIES) as world:
        yield world


async def composed(person: Person, kind: str, **more: Any) -> Any:
    form = {"kind": kind, "template": "storm", "blanks": EXERCISE, "target_areas": [PROVINCE]} | more
    reply = await person.client.post(ALERTS, json=form)
    assert reply.status_code == 201, reply.text
    return reply.json()


def code_of(reply: httpx.Response) -> str:
    return str(reply.json().get("code", reply.json().get("outcome")))


def turned(alert: Any, **changes: Any) -> bytes:
    return encode(replace(read_body(base64.b64decode(alert["body"])), kind=Kind.LIVE, **changes))


class Morning:
    """A drill that waits for its second person, the live twin that nobody should approve, and the two officers."""

    def __init__(self, duty: Duty, drill: Any, live: Any) -> None:
        self.duty, self.drill, self.live = duty, drill, live
        self.thu, self.hai = duty.people["thu"], duty.people["hai"]

    async def edited(self, **columns: Any) -> str:
        """Rows of the drill as somebody with the database in hand leaves them; put right again afterwards."""
        before = await self.duty.centre.reading(
            lambda session: session.get_one(Alert, self.drill["id"]).model_dump(include=set(columns))
        )
        await self.duty.edit(self.drill, **columns)
        seen = await self.duty.get(self.hai, self.drill)
        got = code_of(await self.duty.approve(self.hai, seen))
        await self.duty.edit(self.drill, **before)
        return got

    async def api_says_live(self) -> str:
        return code_of(await self.duty.approve(self.hai, self.drill, kind="live"))

    async def api_leaves_it_out(self) -> str:
        return code_of(await self.duty.approve(self.hai, self.drill, kind=None))

    async def composed_without_a_kind(self) -> str:
        form = {"template": "storm", "blanks": EXERCISE, "target_areas": [PROVINCE]}
        return code_of(await self.hai.client.post(ALERTS, json=form))

    async def patched(self) -> str:
        return code_of(await self.hai.client.patch(f"{ALERTS}/{self.drill['id']}", json={"kind": "live"}))

    async def live_key(self) -> str:
        return code_of(await self.duty.approve(self.hai, self.drill, key=self.hai.keys[Kind.LIVE]))

    async def drill_key_for_the_twin(self) -> str:
        return code_of(await self.duty.approve(self.hai, self.live, key=self.hai.keys[Kind.DRILL]))

    async def digest_of_the_twin(self) -> str:
        return code_of(await self.duty.approve(self.hai, self.drill, body_sha256=self.live["body_sha256"]))

    async def signed_elsewhere_as_live(self) -> str:
        signed = await self.duty.centre.approve_body(
            self.hai.keys[Kind.LIVE], passphrase=self.hai.words, body=turned(self.drill), account=self.hai.name
        )
        approval = base64.b64encode(signed).decode()
        return code_of(await self.duty.approve(self.hai, self.drill, passphrase=None, approval=approval))

    async def by_an_api_token(self) -> str:
        form = {"name": "máy", "permissions": ["alert.read"], "area": PROVINCE}
        token = (await self.hai.client.post("/api/v1/tokens", json=form)).json()["token"]

        def widened(session: Session) -> None:
            row = session.get_one(ApiToken, accounts.token_hash(token))
            row.permissions, row.code_at = ["alert.read", "alert.release"], self.duty.clock.now_ms()
            row.password_at = row.code_at
            session.add(row)

        await self.duty.centre.unit_of_work(widened)
        body = {"kind": "live", "body_sha256": self.live["body_sha256"], "passphrase": self.hai.words}
        return code_of(await self.duty.client(token).post(f"{ALERTS}/{self.live['id']}/approvals", json=body))

    async def row_says_live(self) -> str:
        return await self.edited(kind=int(Kind.LIVE))

    async def row_and_bytes_say_live(self) -> str:
        return await self.edited(kind=int(Kind.LIVE), body=turned(self.drill))

    async def row_says_released(self) -> str:
        return await self.edited(status="released", released_at=1)

    async def row_has_other_words(self) -> str:
        return await self.edited(words=[{"language": "vi", "text": "x", "digest": "00", "voice": "x"}])

    async def drill_approval_under_the_twin(self) -> str:
        """The first officer's word for the drill, moved to the live one; with the second's that makes one, not two."""

        def move(session: Session) -> None:
            row = session.get_one(AlertApproval, (self.drill["id"], 1, self.thu.keys[Kind.DRILL]))
            session.add(AlertApproval(**(row.model_dump() | {"alert": self.live["id"]})))

        await self.duty.centre.unit_of_work(move)
        return code_of(await self.duty.approve(self.hai, self.live))

    async def race(self) -> str:
        """Drill and twin approved at the same moment with each other's digest: neither is taken."""
        both = await asyncio.gather(
            self.duty.approve(self.thu, self.drill, body_sha256=self.live["body_sha256"]),
            self.duty.approve(self.thu, self.live | {"kind": "drill"}),
        )
        return " ".join(code_of(one) for one in both)


ATTEMPTS: tuple[tuple[str, Callable[[Morning], Awaitable[str]], str], ...] = (
    ("the API is told live", Morning.api_says_live, "drill_mismatch"),
    ("the API is not told which", Morning.api_leaves_it_out, "field_required"),
    ("composed without saying which", Morning.composed_without_a_kind, "field_required"),
    ("changed afterwards", Morning.patched, "method_not_allowed"),
    ("the live key on the drill", Morning.live_key, "drill_mismatch"),
    ("the drill key on the live twin", Morning.drill_key_for_the_twin, "drill_mismatch"),
    ("the twin's digest for the drill", Morning.digest_of_the_twin, "content_changed"),
    ("signed elsewhere with one bit turned", Morning.signed_elsewhere_as_live, "bad_approval"),
    ("an API token, its row widened", Morning.by_an_api_token, "not_permitted"),
    ("the row edited to live", Morning.row_says_live, "alert_altered"),
    ("row and bytes edited to live", Morning.row_and_bytes_say_live, "alert_altered"),
    ("the row edited to released", Morning.row_says_released, "alert_altered"),
    ("the words exchanged", Morning.row_has_other_words, "alert_altered"),
    ("two releases at one moment, crossed", Morning.race, "content_changed drill_mismatch"),
    ("the drill's approval moved to the twin", Morning.drill_approval_under_the_twin, "second_person_required"),
)


async def test_the_morning_of_the_drill(duty: Duty) -> None:
    thu, hai = duty.people["thu"], duty.people["hai"]
    # 8:00. The drill is composed, its live twin too, with the same words; the first officer approves the drill.
    drill, live = await composed(thu, "drill"), await composed(thu, "live")
    assert [one["digest"] for one in drill["sounds"]] == [one["digest"] for one in live["sounds"]]
    assert (await duty.approve(thu, drill)).status_code == 202
    morning = Morning(duty, drill, live)
    for what, attempt, code in ATTEMPTS:
        assert await attempt(morning) == code, what
        assert await duty.silent(1.0), what
        # As if five minutes had gone by: more than ten tries are refused for that alone.
        duty.app.state.throttle.forgive(TRIES.sign_in_rate, "passphrase", hai.name)

    # 8:05. The second officer approves it for what it is: it sounds everywhere, the announcement first.
    assert (await duty.approve(hai, drill)).json()["outcome"] == "released"
    await duty.clock.advance(2.0)
    for box in duty.boxes.values():
        assert box.sounds(drill["id"])
        assert box.node.status().playing is not None

    # 8:06. What is out is not turned: by an update, by an edited row, by its own order with bits changed.
    form = {"kind": "live", "updates": [drill["id"]], "title": "x", "target_areas": [PROVINCE], "siren": 1}
    assert code_of(await hai.client.post(ALERTS, json=form)) == "drill_mismatch"

    def as_live(session: Session) -> None:
        row = session.get_one(Broadcast, drill["id"])
        row.kind = int(Kind.LIVE)
        session.add(row)

    await duty.centre.unit_of_work(as_live)
    assert code_of(await hai.client.post(ALERTS, json=form)) == "drill_mismatch"
    await duty.edit(drill, kind=int(Kind.LIVE))
    assert code_of(await hai.client.post(ALERTS, json=form)) == "alert_altered"
    await every_bit_of_the_order(duty, drill)


async def every_bit_of_the_order(duty: Duty, drill: Any) -> None:
    """To a box that never had it: each bit of the signed order flipped, then what the controller itself could sign."""
    payload = await duty.centre.reading(_payload)
    order = open_sealed(payload).message
    assert isinstance(order, Order)
    late = await duty.box("late", "quang-ninh/co-to/thon-2")
    await duty.clock.advance(10.0)
    topic = area_topic(AreaPath(PROVINCE), AreaChannel.ORDER)
    heard = sum(late.node.status().refusals.values())
    for bit in range(0, len(payload) * 8, 3):
        flipped = bytearray(payload)
        flipped[bit // 8] ^= 1 << bit % 8
        duty.centre.link.publish(topic, bytes(flipped), qos=1)
    await duty.clock.advance(2.0)
    assert sum(late.node.status().refusals.values()) - heard == len(range(0, len(payload) * 8, 3))
    for one in (replace(order, kind=Kind.LIVE), replace(order, alert_body=turned(drill), kind=Kind.LIVE)):
        await duty.centre.put_out(await duty.centre.unit_of_work(_given(duty, one)))
        await duty.clock.advance(2.0)
    assert not late.any_sound


async def test_the_false_alert_is_taken_back(duty: Duty) -> None:
    """8:07. Two officers do release the live one. Whoever sees it first ends it, alone, with what was prepared."""
    thu, hai, lan = (duty.people[name] for name in ("thu", "hai", "lan"))
    live = await composed(thu, "live")
    assert (await duty.approve(thu, live)).status_code == 202
    assert (await duty.approve(hai, live)).json()["outcome"] == "released"
    await duty.clock.advance(3.0)
    assert all(box.sounds(live["id"]) for box in duty.boxes.values())
    away = duty.boxes["mong-cai-1"]
    away.link.drop()
    seen = await duty.get(hai, live)
    assert seen["cancel_body"] == live["cancel_body"], "as it was prepared"
    refused = await lan.client.post(f"{ALERTS}/{live['id']}/cancel", json={"passphrase": lan.words})
    assert code_of(refused) == "not_permitted", "nobody of one commune ends what is for all"
    ended = await hai.client.post(f"{ALERTS}/{live['id']}/cancel", json={"passphrase": hai.words})
    assert ended.json()["status"] == "cancelled"
    waited = 0.0
    while duty.boxes["co-to-1"].sounds(live["id"]):
        await duty.clock.advance(0.25)
        waited += 0.25
        assert waited <= CANCELLED_WITHIN_S
    assert away.sounds(live["id"]), "it cannot know yet"
    away.link.restore()
    await duty.clock.advance(CANCELLED_WITHIN_S)
    assert not away.sounds(live["id"])
    await duty.clock.advance(60)
    assert not any(box.sounds(live["id"]) for box in duty.boxes.values())
    assert [detail for _, _, detail in await duty.deeds("cancel")] == ["hai"]
