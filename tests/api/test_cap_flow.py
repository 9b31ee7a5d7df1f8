"""Alerts of others at a duty desk with real nodes: nothing of them sounds before people have released it."""

from pathlib import Path
from typing import Any

import pytest

from audio.voices import Espeak
from controller.permissions import Role
from tests.api.cap_texts import NoVoice, alert_text
from tests.api.duty import PROVINCE, Duty, Person, on_duty
from tests.api.office import problem
from tests.api.test_alerts import outcome

pytestmark = pytest.mark.slow
CAP = "/api/v1/cap"


@pytest.fixture
def duty(duty: Duty) -> Duty:
    duty.centre.alerts.voice = NoVoice()
    return duty


def text(duty: Duty, name: str, **more: Any) -> str:
    return alert_text(duty.clock.now_ms(), name, **more)


async def test_sirens_need_no_voice(duty: Duty) -> None:
    """Without espeak-ng the announcement cannot be made; the sirens are kept all the same, and it says what lacks."""
    duty.centre.alerts.voice = Espeak("no-such-voice")
    admin = (await duty.person("quan", Role.PROVINCE_ADMIN, PROVINCE)).client
    stored = "/api/v1/stored-sounds"
    problem(await admin.post(f"{stored}/shipped", json={}), 503, "voice_unavailable")
    assert [one["code"] for one in (await admin.get(stored)).json()["sounds"]] == [1, 2, 3, 255], "255 was there before"


async def hand_in(duty: Duty, content: str) -> Any:
    reply = await duty.people["thu"].client.post(CAP, content=content.encode())
    assert reply.status_code in (201, 202), reply.text
    return reply.json()["items"][0]


async def of(duty: Duty, item: Any) -> Any:
    return await duty.get(duty.people["thu"], {"id": item["alert"]})


async def release(duty: Duty, item: Any, *people: Person) -> None:
    alert = await of(duty, item)
    for one in people:
        reply = await duty.approve(one, alert)
        assert reply.status_code in (200, 202), reply.text
    await duty.clock.advance(3.0)


async def goes_on(duty: Duty, item: Any) -> bool:
    """Whether more of it is heard in Cô Tô within the next half minute: it is repeated after 20 s."""
    box = duty.boxes["co-to-1"]
    before = len(box.heard(item["alert"]))
    await duty.clock.advance(30.0)
    return len(box.heard(item["alert"])) > before


async def test_an_actual_alert_sounds_once_two_have_released_it_and_its_cancel_is_asked(duty: Duty) -> None:
    thu, hai, lan = (duty.people[name] for name in ("thu", "hai", "lan"))
    item = await hand_in(duty, text(duty, "b.1"))
    assert await duty.silent()
    await release(duty, item, lan)  # one of the commune is enough for its commune
    assert await goes_on(duty, item)
    assert not duty.boxes["mong-cai-1"].any_sound
    cancel = text(duty, "b.2", msg_type="Cancel", references=f"kttv@example.vn,b.1,{item['sent']}", info=False)
    asked = await hand_in(duty, cancel)
    assert (asked["withdrawn"], asked["cancel_asked"]) == ([], [item["alert"]])
    assert await goes_on(duty, item), "a cancel from outside silences nothing by itself"
    seen = await of(duty, item)
    assert seen["status"] == "released"
    assert (seen["cancel_asked"]["cap"], seen["cancel_asked"]["sender"]) == (asked["cap"], "kttv@example.vn")
    (waits,) = (await hai.client.get(f"{CAP}?state=cancel_asked")).json()["items"]
    assert (waits["id"], waits["before"]) == (asked["cap"], [item["alert"]])
    reply = await thu.client.post(f"/api/v1/alerts/{item['alert']}/cancel", json={"passphrase": thu.words})
    assert reply.status_code == 200, reply.text
    await duty.clock.advance(3.0)
    assert not await goes_on(duty, item)
    assert (await of(duty, item))["cancel_asked"] is None
    settled = await thu.client.post(f"{CAP}/{asked['cap']}/settle")
    assert settled.json()["state"] == "done"


async def test_an_update_takes_the_place_of_what_was_released(duty: Duty) -> None:
    lan = duty.people["lan"]
    first = await hand_in(duty, text(duty, "c.1"))
    await release(duty, first, lan)
    update = text(duty, "c.2", msg_type="Update", references=f"kttv@example.vn,c.1,{first['sent']}", sent_ago_s=5)
    second = await hand_in(duty, update)
    assert second["withdrawn"] == []
    assert (await of(duty, second))["updates"] == [first["alert"]]
    assert await goes_on(duty, first), "it goes on until the update is released"
    await release(duty, second, lan)
    assert await goes_on(duty, second)
    assert not await goes_on(duty, first)
    assert (await of(duty, first))["status"] == "updated"


async def test_updates_that_name_their_predecessor_alone_reach_what_sounds(duty: Duty) -> None:
    """A, released; B updates A and nobody releases it; C updates B; D cancels C: it is A that sounds."""
    first = await hand_in(duty, text(duty, "k.1"))
    await release(duty, first, duty.people["lan"])
    before, made = first, []
    for number in (2, 3):
        named = f"kttv@example.vn,k.{number - 1},{before['sent']}"
        before = await hand_in(
            duty, text(duty, f"k.{number}", msg_type="Update", references=named, sent_ago_s=9 - number)
        )
        made.append(before)
        assert (await of(duty, before))["updates"] == [first["alert"]]
    assert made[1]["withdrawn"] == [made[0]["alert"]]
    named = f"kttv@example.vn,k.3,{before['sent']}"
    cancel = await hand_in(duty, text(duty, "k.4", msg_type="Cancel", references=named, sent_ago_s=1, info=False))
    assert (cancel["withdrawn"], cancel["cancel_asked"]) == ([made[1]["alert"]], [first["alert"]])


async def test_an_exercise_is_a_drill_and_stays_one(duty: Duty) -> None:
    lan = duty.people["lan"]
    item = await hand_in(duty, text(duty, "d.1", status="Exercise"))
    alert = await of(duty, item)
    assert alert["kind"] == "drill"
    as_live = await duty.approve(lan, alert, kind="live")
    assert (as_live.status_code, as_live.json()["code"]) == (409, "drill_mismatch")
    outcome(await duty.approve(lan, alert), 200, "released")
    # The same message, now said to be Actual: another alert, live, and nobody has released it.
    live = await hand_in(duty, text(duty, "d.2", msg_type="Update", references=f"kttv@example.vn,d.1,{item['sent']}"))
    made = await of(duty, live)
    assert (made["kind"], made["status"], made["updates"]) == ("live", "composed", [])


async def test_the_whole_province_takes_two(duty: Duty) -> None:
    code = f"<geocode><valueName>loa</valueName><value>{PROVINCE}</value></geocode>"
    item = await hand_in(duty, text(duty, "e.1", area=code))
    alert = await of(duty, item)
    assert (alert["target_areas"], alert["people_needed"]) == ([PROVINCE], 2)
    outcome(await duty.approve(duty.people["thu"], alert), 202, "second_person_required")
    assert await duty.silent()


async def test_one_nobody_here_composed_is_withdrawn_by_whoever_could_have(duty: Duty) -> None:
    item = await hand_in(duty, text(duty, "g.1"))
    reply = await duty.people["lan"].client.post(f"/api/v1/alerts/{item['alert']}/withdraw")
    assert (reply.status_code, reply.json()["status"]) == (200, "withdrawn"), reply.text


@pytest.mark.needs("espeak-ng")
async def test_its_words_are_spoken_in_the_languages_that_have_a_voice(tmp_path: Path) -> None:
    async with on_duty(tmp_path) as duty:
        item = await hand_in(duty, text(duty, "h.1"))
        alert = await of(duty, item)
        said = "Bão số 9: về bờ ngay. Gió giật cấp 12. Vào bờ."
        assert any(said in line for lines in alert["words"].values() for line in lines) or alert["bulletins"]
        assert len(alert["bulletins"]) == 1
