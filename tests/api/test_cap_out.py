"""Our own alerts for others: what a feed says of releases, updates, cancels and drills, at a real duty desk."""

from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import Session

from controller.cap.judgement import Kind, Terms, Verdict, judge_file
from controller.cap.signature import PinnedKeys, pinned_key
from controller.cap.signing import signer_of
from controller.services.cap_places import place_rows, places_of
from controller.services.context import Changed, Context
from controller.tables import Area
from loa.names import AreaPath
from tests.api.cap_texts import NoVoice
from tests.api.duty import CO_TO, PROVINCE, Duty
from tests.cap.test_signature import pem, rsa_key
from tests.cap.test_writing import in_schema_order, private_pem

pytestmark = pytest.mark.slow
LIVE, DRILLS = "/api/v1/cap/out.atom", "/api/v1/cap/out-drills.atom"
WORDS = [{"language": "vi", "text": "Sạt lở ở thôn 1. Rời nhà ngay."}, {"language": "en", "text": "Landslide. Leave."}]


@pytest.fixture
def duty(duty: Duty) -> Duty:
    duty.centre.alerts.voice = NoVoice()
    return duty


async def read(duty: Duty, path: str = LIVE, who: str = "thu") -> list[Verdict]:
    """What our own judgement says of a feed, newest first; [] where there is no alert in it."""
    reply = await duty.people[who].client.get(path)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/atom+xml"), reply.text
    rows = await duty.centre.reading(place_rows)
    known = places_of(rows, AreaPath(PROVINCE))
    found = judge_file(reply.content, Terms(at=duty.clock.now_ms(), known=known))
    if [one.code for one in found] == ["no_alert"]:
        return []
    for one in found:
        assert one.element is not None
        assert in_schema_order(one.element)
    return list(found)


async def release(duty: Duty, *where: str, **more: Any) -> Any:
    alert = await duty.compose(duty.people["lan"], *(where or (CO_TO,)), **more)
    reply = await duty.approve(duty.people["lan"], alert)
    assert reply.status_code == 200, reply.text
    return alert


async def test_nothing_is_told_before_it_is_released(duty: Duty) -> None:
    await duty.compose(duty.people["lan"], CO_TO)
    assert await read(duty) == []
    assert await read(duty, DRILLS) == []


async def test_a_release_its_update_and_its_cancel(duty: Duty) -> None:
    first = await release(duty)
    (one,) = await read(duty)
    assert (one.code, one.kind, one.sketch.identifier, one.sketch.sender, one.sketch.msg_type) == (
        "accepted", Kind.LIVE, f"loa-{first['id']}", "loa.quang-ninh", "Alert",
    )  # fmt: skip
    assert one.areas is not None
    assert one.areas.matched == (CO_TO,)
    assert one.alert is not None
    (info,) = one.alert.infos
    assert (info.language, info.headline, info.areas[0].description) == ("vi", "Bão số 9", "Cô Tô, quang-ninh")
    await duty.clock.advance(5)
    second = await release(duty, updates=[first["id"]], title="Bão số 9, tin 2")
    newest, _ = await read(duty)
    assert newest.alert is not None
    assert (newest.alert.msg_type, [ref.identifier for ref in newest.alert.references]) == (
        "Update", [f"loa-{first['id']}"],
    )  # fmt: skip
    assert newest.alert.references[0].sent == one.alert.sent, "a reference names it as it was sent"
    await duty.clock.advance(5)
    lan = duty.people["lan"]
    reply = await lan.client.post(f"/api/v1/alerts/{second['id']}/cancel", json={"passphrase": lan.words})
    assert reply.status_code == 200, reply.text
    cancel, update, _ = await read(duty)
    assert cancel.alert is not None
    assert update.alert is not None
    assert (cancel.code, cancel.alert.msg_type, cancel.alert.identifier) == (
        "accepted", "Cancel", f"loa-{second['id']}-cancel",
    )  # fmt: skip
    assert [(ref.sender, ref.identifier, ref.sent) for ref in cancel.alert.references] == [update.alert.name]
    assert cancel.alert.infos[0].headline == "ĐÃ HỦY: Bão số 9, tin 2"
    file = await duty.people["thu"].client.get(f"/api/v1/cap/out/{second['id']}-cancel.xml")
    assert file.headers["content-type"] == "application/cap+xml"
    (alone,) = judge_file(file.content, Terms(at=duty.clock.now_ms()))
    assert alone.alert == cancel.alert
    gone = await duty.people["thu"].client.get(f"/api/v1/cap/out/{first['id']}-cancel.xml")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


async def test_what_goes_on_elsewhere_is_not_superseded(duty: Duty) -> None:
    """An update for a part of its area: others would read a reference as the end of it everywhere."""
    thu, hai = duty.people["thu"], duty.people["hai"]
    before: list[str] = []
    for where, refers in ((PROVINCE, []), (CO_TO, []), (PROVINCE, [0])):
        alert = await duty.compose(thu, where, updates=before[:1])
        for person in (thu, hai):
            await duty.approve(person, alert)
        before.append(alert["id"])
        await duty.clock.advance(5)
        newest = (await read(duty))[0].alert
        assert newest is not None
        assert newest.msg_type == ("Update" if refers else "Alert")
        assert [ref.identifier for ref in newest.references] == [f"loa-{before[one]}" for one in refers]


async def test_drills_have_a_feed_of_their_own_and_are_exercises(duty: Duty) -> None:
    drill = await release(duty, kind="drill", title="Diễn tập")
    assert await read(duty) == []
    (one,) = await read(duty, DRILLS)
    assert (one.code, one.kind, one.sketch.status) == ("accepted_exercise", Kind.EXERCISE, "Exercise")
    assert one.sketch.identifier == f"loa-{drill['id']}"


async def test_an_unchanged_feed_is_not_sent_again(duty: Duty) -> None:
    await release(duty)
    client = duty.people["thu"].client
    first = await client.get(LIVE)
    again = await client.get(LIVE, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    await duty.clock.advance(5)
    await release(duty)
    assert (await client.get(LIVE, headers={"If-None-Match": first.headers["etag"]})).status_code == 200


async def test_what_is_our_own_and_comes_back_makes_nothing(duty: Duty) -> None:
    await release(duty)
    thu = duty.people["thu"].client
    reply = await thu.post("/api/v1/cap", content=(await thu.get(LIVE)).content)
    assert reply.status_code == 202, reply.text
    (item,) = reply.json()["items"]
    kept = (await thu.get(f"/api/v1/cap/{item['cap']}")).json()
    assert (item["alert"], kept["state"], kept["trouble"]) == (None, "kept", "cap_own")
    assert len((await thu.get("/api/v1/alerts")).json()["items"]) == 1


async def test_it_is_signed_where_a_key_is_configured(duty: Duty) -> None:
    duty.centre.cap_signer = signer_of(private_pem(rsa_key("a")), pem(rsa_key("a")))
    alert = await release(duty)
    data = (await duty.people["thu"].client.get(LIVE)).content
    terms = Terms(at=duty.clock.now_ms(), pinned=PinnedKeys({pinned_key(pem(rsa_key("a"))): "loa"}))
    (one,) = judge_file(data, terms)
    assert one.signature is not None
    assert (one.code, one.signature.state) == ("accepted", "verified")
    file = (await duty.people["thu"].client.get(f"/api/v1/cap/out/{alert['id']}.xml")).content
    assert [found.signature.state for found in judge_file(file, terms) if found.signature] == ["verified"]


async def test_words_in_each_language_and_the_shape_of_the_place(duty: Duty) -> None:
    ring = [[107.7, 20.9], [107.9, 20.9], [107.9, 21.1], [107.7, 21.1], [107.7, 20.9]]
    shape = {"type": "Polygon", "coordinates": [ring]}

    def draw(session: Session, _: Context) -> Changed[None]:
        row = session.get_one(Area, CO_TO)
        row.geometry = shape
        session.add(row)
        return Changed(None)

    await duty.change(draw)
    alert = await release(duty)
    await duty.edit(
        alert, words=WORDS, event="Sạt lở đất", severity="Extreme", urgency="Immediate", template="landslide"
    )
    (one,) = await read(duty)
    assert one.alert is not None
    said = [(info.language, info.description, info.categories, info.severity) for info in one.alert.infos]
    assert said == [
        ("vi", "Sạt lở ở thôn 1. Rời nhà ngay.", ("Geo",), "Extreme"), ("en", "Landslide. Leave.", ("Geo",), "Extreme"),
    ]  # fmt: skip
    only_shape = replace(one.alert.infos[0].areas[0], geocodes=())
    assert only_shape.polygons == (((20.9, 107.7), (20.9, 107.9), (21.1, 107.9), (21.1, 107.7), (20.9, 107.7)),)
    mine = await read(duty, who="lan")
    assert [found.sketch.identifier for found in mine] == [f"loa-{alert['id']}"]
