"""Emergencies over HTTP, at real nodes: who approves, what sounds, what does not; taken back."""

import asyncio
import base64
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.peoplekeys import approve
from controller.permissions import Role
from devices.protocol.keys import SigningKey
from loa.entropy import system_entropy
from loa.precedence import Kind
from tests.api.duty import ALERTS, ANNOUNCEMENT, CO_TO, MONG_CAI, PROVINCE, TALK, Duty, samples
from tests.api.office import problem

pytestmark = pytest.mark.slow


def outcome(reply: Any, status: int, word: str) -> Any:
    assert (reply.status_code, reply.json()["outcome"]) == (status, word), reply.text
    return reply.json()


def half_a_second_after(instant: str) -> str:
    return (datetime.fromisoformat(instant) + timedelta(seconds=0.5)).isoformat().replace("+00:00", "Z")


async def test_two_of_the_province_make_it_sound_everywhere(duty: Duty) -> None:
    thu, hai = duty.people["thu"], duty.people["hai"]
    alert = await duty.compose(thu, PROVINCE)
    assert (alert["status"], alert["people_needed"], alert["broadcast_status"]) == ("composed", 2, None)
    first = outcome(await duty.approve(thu, alert), 202, "second_person_required")
    assert first["words"].startswith("A second person has to approve it")
    assert first["alert"]["people_needed"] == 1
    assert [one["holder"] for one in first["alert"]["approvals"]] == ["thu"]
    assert await duty.silent()
    released = outcome(await duty.approve(hai, alert), 200, "released")
    assert released["words"] == "Released."
    await duty.clock.advance(3.0)
    for box in duty.boxes.values():
        assert box.sounds(alert["id"])
    seen = await duty.get(duty.people["lan"], alert)
    assert (seen["status"], seen["broadcast_status"], seen["released_alone_by"]) == ("released", "issued", None)
    sent = (await thu.client.get(f"/api/v1/broadcasts/{alert['id']}")).json()
    assert (sent["title"], sent["start_at"]) == ("Bão số 9", half_a_second_after(seen["released_at"]))
    assert [who for _, who, _ in await duty.deeds("approve")][-2:] == ["thu", "hai"]
    assert [detail for _, _, detail in await duty.deeds("release")] == ["thu, hai"]


async def test_one_person_of_the_province_is_not_enough(duty: Duty) -> None:
    """Not twice, not with a second key, not under the same name written otherwise."""
    thu = duty.people["thu"]
    alert = await duty.compose(thu, PROVINCE)
    for _ in range(2):
        outcome(await duty.approve(thu, alert), 202, "second_person_required")
    other = SigningKey(system_entropy(32))
    duty.appoint("THU", other.public_key, PROVINCE, Kind.LIVE)
    await duty.look_again()
    by_hand = base64.b64encode(approve(base64.b64decode(alert["body"]), other)).decode()
    again = await duty.approve(thu, alert, passphrase=None, approval=by_hand)
    assert len(outcome(again, 202, "second_person_required")["alert"]["approvals"]) == 2
    assert await duty.silent()


async def test_the_commune_releases_for_itself_alone_and_not_for_others(duty: Duty) -> None:
    mai = duty.people["mai"]
    alert = await duty.compose(mai, CO_TO)
    assert alert["people_needed"] == 1
    assert {one["holder"]: one["alone"] for one in alert["could_approve"]} == {
        "hai": False, "lan": True, "mai": True, "thu": False,
    }  # fmt: skip
    outcome(await duty.approve(mai, alert), 200, "released")
    await duty.clock.advance(3.0)
    assert duty.boxes["co-to-1"].sounds(alert["id"])
    assert not duty.boxes["mong-cai-1"].any_sound

    form = {"kind": "live", "title": "x", "bulletins": [duty.bulletin]}
    problem(await mai.client.post(ALERTS, json=form | {"target_areas": [PROVINCE]}), 403, "not_permitted")
    problem(await mai.client.post(ALERTS, json=form | {"target_areas": [MONG_CAI]}), 404, "not_found")
    wide = await duty.compose(duty.people["thu"], PROVINCE)
    problem(await duty.approve(mai, wide), 404, "not_found")
    # A role that is too wide is no help where the roots appointed less.
    who = await duty.person("nam", Role.DUTY_OFFICER, PROVINCE)
    key = SigningKey(system_entropy(32))
    duty.appoint("nam", key.public_key, CO_TO, Kind.LIVE)
    await duty.look_again()
    by_hand = base64.b64encode(approve(base64.b64decode(wide["body"]), key)).decode()
    problem(await duty.approve(who, wide, passphrase=None, approval=by_hand), 403, "mandate_exceeded")
    assert (await duty.get(duty.people["thu"], wide))["approvals"] == []


async def test_on_ones_own_device(duty: Duty) -> None:
    """A detached approval counts as one's own, in one's own session alone."""
    thu, hai = duty.people["thu"], duty.people["hai"]
    alert = await duty.compose(thu, PROVINCE)
    key = SigningKey(system_entropy(32))
    duty.appoint("hai", key.public_key, PROVINCE, Kind.LIVE)
    await duty.look_again()
    by_hand = base64.b64encode(approve(base64.b64decode(alert["body"]), key)).decode()
    stolen = await duty.approve(thu, alert, passphrase=None, approval=by_hand)
    assert problem(stolen, 403, "not_your_key")["title"] == "This is the key of hai, not yours"
    outcome(await duty.approve(thu, alert), 202, "second_person_required")
    for bad in (
        "AAAA",
        "!",
        base64.b64encode(approve(base64.b64decode(alert["body"]), SigningKey(bytes(32)))).decode(),
    ):
        refused = await duty.approve(hai, alert, passphrase=None, approval=bad)
        assert refused.status_code in (403, 422)
    outcome(await duty.approve(hai, alert, passphrase=None, approval=by_hand), 200, "released")


async def test_a_drill_sounds_as_one(duty: Duty) -> None:
    lan = duty.people["lan"]
    alert = await duty.compose(lan, CO_TO, kind="drill", repeats=1)
    assert alert["words"]["vi"][0] == "DIỄN TẬP, không phải cảnh báo thật"
    outcome(await duty.approve(lan, alert), 200, "released")
    await duty.clock.advance(8.0)
    assert duty.boxes["co-to-1"].heard(alert["id"]) == samples(ANNOUNCEMENT, TALK)


async def test_cancelled_by_one_and_by_who_comes_back_later(duty: Duty) -> None:
    thu, hai, lan = (duty.people[name] for name in ("thu", "hai", "lan"))
    alert = await duty.compose(thu, PROVINCE)
    await duty.approve(thu, alert)
    away = duty.boxes["mong-cai-1"]
    outcome(await duty.approve(hai, alert), 200, "released")
    await duty.clock.advance(3.0)
    assert away.sounds(alert["id"])
    away.link.drop()
    path = f"{ALERTS}/{alert['id']}/cancel"
    await duty.clock.advance(400)  # no fresh code is wanted for silence
    problem(await lan.client.post(path, json={"passphrase": lan.words}), 403, "not_permitted")
    problem(await hai.client.post(path, json={"passphrase": thu.words}), 403, "wrong_passphrase")
    problem(await hai.client.post(path, json={}), 422, "field_required")
    done = await hai.client.post(path, json={"passphrase": hai.words})
    assert (done.status_code, done.json()["status"], done.json()["ended_by"]) == (200, "cancelled", "hai")
    await duty.clock.advance(1.0)
    assert not duty.boxes["co-to-1"].sounds(alert["id"])
    assert away.sounds(alert["id"]), "it does not know yet"
    away.link.restore()
    await duty.clock.advance(5.0)
    assert not away.sounds(alert["id"])
    again = await thu.client.post(path, json={"passphrase": thu.words})
    assert again.json()["ended_by"] == "hai"
    assert [who for _, who, _ in await duty.deeds("cancel")] == ["hai", "thu"]
    problem(await duty.approve(thu, alert), 409, "alert_over")


async def test_an_update_takes_its_place(duty: Duty) -> None:
    thu, hai = duty.people["thu"], duty.people["hai"]
    alert = await duty.compose(thu, PROVINCE)
    early = {"kind": "live", "title": "x", "target_areas": [PROVINCE], "siren": 1, "updates": [alert["id"]]}
    problem(await thu.client.post(ALERTS, json=early), 409, "alert_not_released")
    for person in (thu, hai):
        await duty.approve(person, alert)
    await duty.clock.advance(3.0)
    update = await duty.compose(hai, PROVINCE, updates=[alert["id"]])
    assert update["words"]["en"][-1] == f"In place of: Bão số 9 ({alert['id'][:12]})"
    outcome(await duty.approve(hai, update), 202, "second_person_required")
    assert duty.boxes["co-to-1"].sounds(alert["id"])
    outcome(await duty.approve(thu, update), 200, "released")
    await duty.clock.advance(3.0)
    for box in duty.boxes.values():
        assert box.sounds(update["id"])
    assert (await duty.get(thu, alert))["status"] == "updated"
    cancel = await thu.client.post(f"{ALERTS}/{alert['id']}/cancel", json={"passphrase": thu.words})
    problem(cancel, 409, "alert_over")


async def test_an_update_that_ends_first_leaves_nothing_of_the_old_behind(duty: Duty) -> None:
    """Its author is told; and who was away for all of its window is silent once back, at the first word."""
    thu, hai, away = duty.people["thu"], duty.people["hai"], duty.boxes["mong-cai-1"]
    first = await duty.compose(thu, PROVINCE)
    assert first["replaced_until"] is None
    for person in (thu, hai):
        await duty.approve(person, first)
    await duty.clock.advance(3.0)
    away.link.drop()
    second = await duty.compose(hai, PROVINCE, updates=[first["id"]], lasts_ms=60_000)
    assert second["replaced_until"] == first["expires_at"]
    for person in (thu, hai):
        await duty.approve(person, second)
    await duty.clock.advance(3.0)
    third = await duty.compose(hai, PROVINCE, updates=[second["id"]], lasts_ms=60_000)
    assert third["updates"] == [second["id"], first["id"]], "of a box that missed the second, the first is ended too"
    assert third["replaced_until"] == first["expires_at"]
    for person in (thu, hai):
        await duty.approve(person, third)
    await duty.clock.advance(90.0)
    assert away.sounds(first["id"])
    assert not duty.boxes["co-to-1"].sounds(first["id"])
    away.link.restore()
    await duty.clock.advance(15.0)
    assert not away.sounds(first["id"])
    assert not away.heard(second["id"])
    assert not away.heard(third["id"])
    board = (await thu.client.get(f"{ALERTS}/{third['id']}/board")).json()
    assert board["totals"]["ends"] == {"confirmed": 1, "expired": 1}
    again = await thu.client.post(f"{ALERTS}/{first['id']}/cancel", json={"passphrase": thu.words})
    assert again.status_code == 200, "a box may be away yet: it can be said once more"


async def test_what_waits_expires_or_is_withdrawn_by_its_author(duty: Duty) -> None:
    thu, hai = duty.people["thu"], duty.people["hai"]
    kept, dropped = await duty.compose(thu, PROVINCE), await duty.compose(thu, PROVINCE)
    listed = await hai.client.get(f"{ALERTS}?status=composed")
    assert [one["id"] for one in listed.json()["items"]] == sorted([kept["id"], dropped["id"]], reverse=True)
    assert (await duty.people["lan"].client.get(ALERTS)).json()["items"] == []
    path = f"{ALERTS}/{dropped['id']}/withdraw"
    problem(await hai.client.post(path), 403, "not_permitted")
    assert (await thu.client.post(path)).json()["status"] == "withdrawn"
    assert (await thu.client.post(path)).status_code == 200
    problem(await duty.approve(hai, dropped), 409, "alert_over")
    problem(await thu.client.post(f"{ALERTS}/{kept['id']}/cancel", json={"passphrase": thu.words}), 409,
            "alert_not_released")  # fmt: skip
    outcome(await duty.approve(thu, kept), 202, "second_person_required")
    await duty.clock.advance(600)
    problem(await duty.approve(hai, kept), 409, "alert_expired")
    assert (await duty.get(hai, kept))["status"] == "expired"
    assert [one["id"] for one in (await hai.client.get(f"{ALERTS}?status=expired")).json()["items"]] == [kept["id"]]
    assert await duty.silent()


async def test_a_sole_appointment_is_told_to_everyone(duty: Duty) -> None:
    sole = await duty.person("dem", Role.DUTY_OFFICER, PROVINCE, Kind.LIVE, sole=True)
    await duty.look_again()
    alert = await duty.compose(sole, PROVINCE)
    assert {"holder": "dem", "area": PROVINCE, "alone": True, "sole": True, "has_approved": False} in alert[
        "could_approve"
    ]
    with duty.centre.events.subscribed() as told:
        outcome(await duty.approve(sole, alert), 200, "released")
        changes = [await told.next() for _ in range(3)]
    assert [(one.kind, dict(one.data).get("by")) for one in changes][-1] == ("sole_release", "dem")
    assert (await duty.get(duty.people["lan"], alert))["released_alone_by"] == "dem"
    assert await duty.deeds("release_alone") == [("release_alone", "dem", f"dem {PROVINCE}")]


async def test_two_at_the_same_moment_are_one_order(duty: Duty) -> None:
    thu, hai = duty.people["thu"], duty.people["hai"]
    alert = await duty.compose(thu, PROVINCE)
    await duty.fresh(thu)
    await duty.fresh(hai)
    replies = await asyncio.gather(*(duty.approve(one, alert, fresh=False) for one in (thu, hai, thu, hai)))
    assert sorted(reply.status_code for reply in replies)[-1] in (200, 202)
    assert {reply.json()["outcome"] for reply in replies} <= {"released", "second_person_required"}
    assert await duty.orders() == [alert["id"]]
    assert len(await duty.deeds("release")) == 1


async def test_what_it_means_before_anybody_approves(duty: Duty) -> None:
    alert = await duty.compose(duty.people["thu"], PROVINCE, repeats=3, gap_ms=5000)
    reach = alert["reach"]
    assert (reach["nodes"], reach["villages"], reach["people"]) == (2, 3, 7500)
    assert {one["path"]: one["nodes"] for one in reach["village_list"]} == {
        f"{CO_TO}/thon-1": 1, f"{CO_TO}/thon-2": 0, f"{MONG_CAI}/thon-1": 1,
    }  # fmt: skip
    assert alert["words"]["en"][:4] == [
        "A LIVE ALERT", "Where: quang-ninh (quang-ninh)", "Bulletin: Về bờ ngay, vi, 0:02", "Played 3 times, 5 s apart",
    ]  # fmt: skip
    assert alert["words"]["vi"][0] == "CẢNH BÁO THẬT"


async def test_who_missed_an_update_falls_silent_when_that_is_cancelled(duty: Duty) -> None:
    """It knows of the first alert alone, and nobody will ever tell it the second."""
    thu, hai, away = duty.people["thu"], duty.people["hai"], duty.boxes["mong-cai-1"]

    async def out(**changes: Any) -> dict[str, Any]:
        alert: dict[str, Any] = await duty.compose(thu, PROVINCE, **changes)
        for person in (thu, hai):
            await duty.approve(person, alert)
        await duty.clock.advance(3.0)
        return alert

    first = await out()
    assert away.sounds(first["id"])
    away.link.drop()
    second = await out(updates=[first["id"]])
    third = await out(updates=[second["id"]])
    done = await hai.client.post(f"{ALERTS}/{third['id']}/cancel", json={"passphrase": hai.words})
    assert done.status_code == 200
    away.link.restore()
    await duty.clock.advance(5.0)
    assert not away.sounds(first["id"])
    assert not duty.boxes["co-to-1"].sounds(third["id"])
