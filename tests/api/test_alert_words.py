"""Alerts out of words over HTTP, at real nodes: composed from a template, heard before it is signed, then sounded."""

import base64
import hashlib
from typing import Any

import pytest

from audio.decode import RATE
from controller.permissions import Role
from controller.services.broadcasts import IssueForm
from controller.services.bulletins import manifest
from controller.tables import Area
from devices.protocol.approval import read_body
from devices.protocol.envelope import encode
from devices.protocol.media import manifest_for
from loa.units import Digest
from tests.api.duty import ALERTS, CO_TO, PROVINCE, Duty, Person
from tests.api.office import problem
from tests.node.rig import recording

pytestmark = [pytest.mark.slow, pytest.mark.needs("espeak-ng")]
BLANKS = {"number": "số 9", "place": "vùng biển Cô Tô", "force": "12", "time": "19 giờ", "shelter": "Trường học"}
HELD_MS = 2000
STORM = {"kind": "live", "template": "storm", "blanks": BLANKS, "target_areas": [CO_TO]}


async def composed(person: Person, **changes: Any) -> Any:
    reply = await person.client.post(ALERTS, json=STORM | changes)
    assert reply.status_code == 201, reply.text
    return reply.json()


async def test_on_how_many_nodes_a_stored_sound_lies(duty: Duty) -> None:
    async def at(area: str, code: int = 1) -> tuple[int, int]:
        reply = await duty.people["lan"].client.get(f"/api/v1/stored-sounds?held=true&area={area}")
        (found,) = [one["at_nodes"] for one in reply.json()["sounds"] if one["code"] == code]
        return found["held"], found["nodes"]

    assert await at(CO_TO) == (1, 1)
    plain = await duty.people["lan"].client.get(f"/api/v1/stored-sounds?area={CO_TO}")
    assert plain.json()["sounds"][0]["at_nodes"] is None, "composing does not wait for it"
    admin = await duty.person("quan", Role.PROVINCE_ADMIN, PROVINCE)
    other = await duty.approved(recording(4.0, 300.0), "Còi xã")
    asked = {"area": CO_TO, "code": 1, "bulletin": other.id}
    assert (await admin.client.post("/api/v1/stored-sounds", json=asked)).status_code == 200
    assert await at(CO_TO) == (0, 1), "it is not there yet"
    await duty.clock.advance(180)
    assert await at(CO_TO) == (1, 1)
    everywhere = (await admin.client.get("/api/v1/stored-sounds?held=true")).json()["sounds"]
    assert everywhere[0]["at_nodes"] == {"nodes": 1, "held": 1}, "the commune keeps its own in its place"


@pytest.mark.parametrize("volume", [None, 49, 50.5, "60", True, 101])
async def test_a_levels_volume_says_its_own_bounds(duty: Duty, volume: object) -> None:
    admin = await duty.person("quan-am-luong", Role.PROVINCE_ADMIN, PROVINCE)
    table = (await admin.client.get("/api/v1/alert-levels")).json()
    asked = {"version": table["version"], "levels": [table["levels"][0] | {"volume": volume}]}
    refused = await admin.client.put("/api/v1/alert-levels", json=asked)
    problem(refused, 422, "volume_range")
    assert (refused.json()["field"], refused.json()["limit"]) == ("levels.0.volume", "50–100")


async def test_what_a_field_may_not_be_is_said_without_english(duty: Duty) -> None:
    admin = await duty.person("quan-chu", Role.PROVINCE_ADMIN, PROVINCE)
    said, vi = [], {"Accept-Language": "vi"}
    table = (await admin.client.get("/api/v1/alert-levels")).json()
    for repeats in (256, None):
        asked = {"version": table["version"], "levels": [table["levels"][0] | {"repeats": repeats}]}
        said.append((await admin.client.put("/api/v1/alert-levels", json=asked, headers=vi)).json())
    storm = (await admin.client.get("/api/v1/alert-templates/storm")).json()
    name = storm.pop("id")
    for texts in ({"vi": "Bão {ten}"}, {"vi": "Bão"}):
        asked = storm | {"title": "Bão", "texts": texts}
        said.append((await admin.client.put(f"/api/v1/alert-templates/{name}", json=asked, headers=vi)).json())
    assert [(one["code"], one["title"]) for one in said] == [
        ("bad_value", "levels.0.repeats không hợp lệ: 256"),
        ("field_required", "Thiếu levels.0.repeats"),
        ("blank_unlisted", "Lời dùng chỗ trống chưa khai báo: ten"),
        ("blank_unused", "Chỗ trống “number” không có trong lời nào"),
    ]
    assert said[0]["limit"] == "≤ 255"


async def test_from_a_template_to_the_loudspeaker(duty: Duty) -> None:
    lan, admin = duty.people["lan"], await duty.person("quan", Role.PROVINCE_ADMIN, PROVINCE)
    stored = await admin.client.post("/api/v1/stored-sounds/shipped", json={"anew": True})
    assert [one["code"] for one in stored.json()["sounds"]] == [1, 2, 3, 255], stored.text
    await duty.clock.advance(60)
    alert = await composed(lan)
    assert (alert["title"], alert["event"], alert["severity"], alert["urgency"]) == (
        "Bão số 9", "Bão", "Extreme", "Expected",
    )  # fmt: skip
    assert (alert["siren"], alert["siren_missing"], alert["repeats"], alert["gap_ms"], alert["volume"]) == (
        1, False, 5, 20_000, 100,
    )  # fmt: skip
    (sound,) = alert["sounds"]
    assert sound["text"].startswith("Cảnh báo bão. Bão số 9 sẽ ảnh hưởng đến vùng biển Cô Tô từ 19 giờ")
    assert (sound["language"], sound["voice"]) == ("vi", "espeak-ng")
    assert (alert["reach"]["nodes"], alert["reach"]["people"]) == (1, 7200)

    heard = await lan.client.get(sound["audio"])
    assert (heard.status_code, heard.headers["content-type"]) == (200, "audio/ogg")
    signed = read_body(base64.b64decode(alert["body"])).renditions[0]
    own = manifest_for(heard.content, duration_ms=signed.duration_ms)
    by_language = await lan.client.get(f"{ALERTS}/{alert['id']}/audio?language=vi", headers={"Range": "bytes=0-99"})
    assert (by_language.status_code, by_language.content) == (206, heard.content[:100])
    assert own.block_hashes == (await _manifest(duty, sound["digest"])).block_hashes
    assert hashlib.sha256(encode(await _manifest(duty, sound["digest"]))).hexdigest() == sound["digest"]
    problem(await lan.client.get(f"{ALERTS}/{alert['id']}/audio?language=en"), 404, "not_found")

    released = await duty.approve(lan, alert)
    assert released.json()["outcome"] == "released", released.text
    siren_s = stored.json()["sounds"][0]["duration_ms"] / 1000
    box = duty.boxes["co-to-1"]
    await duty.clock.advance(0.9)
    assert box.sounds(alert["id"]), "the siren is there at once"
    await duty.clock.advance(siren_s + sound["duration_ms"] / 1000 + 1)
    played = box.heard(alert["id"])
    begins = round(siren_s * RATE)
    assert len(played) >= begins + RATE * sound["duration_ms"] // 1000
    for second in range(1, sound["duration_ms"] // 1000):  # the words, from their first second to their last
        at = begins + second * RATE
        assert any(played[at : at + RATE]), f"second {second} of the words is silent"
    assert not duty.boxes["mong-cai-1"].any_sound


async def _manifest(duty: Duty, digest: str) -> Any:
    return await duty.centre.reading(lambda session: manifest(session, Digest(bytes.fromhex(digest))))


async def test_who_may_hear_it(duty: Duty) -> None:
    alert = await composed(duty.people["thu"], target_areas=[PROVINCE])
    problem(await duty.people["lan"].client.get(alert["sounds"][0]["audio"]), 404, "not_found")
    other = await duty.person("xa", Role.READER, "quang-ninh/mong-cai")
    own = await composed(duty.people["lan"])
    problem(await other.client.get(own["sounds"][0]["audio"]), 404, "not_found")
    problem(await duty.client("loa_wrong").get(own["sounds"][0]["audio"]), 401, "auth_required")


async def test_a_file_that_was_exchanged_is_not_played(duty: Duty) -> None:
    lan = duty.people["lan"]
    alert = await composed(lan)
    file = duty.centre.media.open_path(Digest(bytes.fromhex(alert["sounds"][0]["digest"])))
    file.write_bytes(file.read_bytes()[::-1])
    problem(await lan.client.get(alert["sounds"][0]["audio"]), 409, "content_changed")


@pytest.mark.parametrize(
    ("code", "status", "field", "changes"),
    [
        ("blank_empty", 422, "blanks.shelter", {"blanks": {**BLANKS, "shelter": "  "}}),
        ("blank_empty", 422, "blanks.number", {"blanks": {}}),
        ("unknown_field", 422, "blanks.colour", {"blanks": {**BLANKS, "colour": "red"}}),
        ("not_found", 404, "template", {"template": "snow"}),
        ("field_required", 422, "template", {"template": None}),
        ("not_found", 404, "languages.1", {"languages": ["vi", "tyz"]}),
        ("field_required", 422, "languages", {"languages": []}),
        ("no_voice", 422, "words.1.language", {"words": [{"language": "tyz", "text": "x"}]}),
        ("bad_value", 422, "severity", {"severity": "Terrible"}),
        ("volume_range", 422, "volume", {"volume": 101}),
    ],
)
async def test_what_is_refused(duty: Duty, code: str, status: int, field: str, changes: dict[str, Any]) -> None:
    reply = await duty.people["lan"].client.post(ALERTS, json=STORM | changes)
    assert problem(reply, status, code)["field"] == field


async def test_languages_of_the_place(duty: Duty) -> None:
    """Vietnamese always; English where it is spoken, or asked for, with a blank of its own."""

    def english(session: Any) -> None:
        row = session.get_one(Area, CO_TO)
        row.languages = ["vi", "en"]
        session.add(row)

    lan = duty.people["lan"]
    await duty.centre.unit_of_work(english)
    alert = await composed(lan, blanks={**BLANKS, "shelter.en": "the school"})
    vi, en = alert["sounds"]
    assert (vi["language"], en["language"]) == ("vi", "en")
    assert "đến Trường học ngay" in vi["text"]
    assert "go to the school now" in en["text"]
    assert [one["language"] for one in (await composed(lan, languages=["en"]))["sounds"]] == ["en"]
    own = await composed(lan, words=[{"language": "vi", "text": "Về bờ ngay."}], languages=["vi"])
    assert [one["text"] for one in own["sounds"]] == ["Về bờ ngay."]


async def test_without_a_voice_the_siren_is_still_there(duty: Duty, monkeypatch: pytest.MonkeyPatch) -> None:
    lan = duty.people["lan"]
    monkeypatch.setattr(duty.centre.alerts.voice, "_program", "/nowhere/espeak-ng")
    reply = await lan.client.post(ALERTS, json=STORM)
    assert problem(reply, 503, "voice_unavailable")["field"] == "words.0.language"
    bare = {"kind": "live", "title": "Bão", "target_areas": [CO_TO], "severity": "Extreme", "urgency": "Immediate"}
    alert = (await lan.client.post(ALERTS, json=bare)).json()
    assert (alert["siren"], alert["repeats"], alert["sounds"]) == (1, 0, [])


async def test_a_drill_sounds_like_the_alert(duty: Duty) -> None:
    live, drill = [await composed(duty.people["lan"], kind=kind) for kind in ("live", "drill")]
    for name in ("siren", "repeats", "gap_ms", "volume", "sounds"):
        if name == "sounds":
            assert [one["digest"] for one in live[name]] == [one["digest"] for one in drill[name]]
        else:
            assert live[name] == drill[name]
    assert drill["words"]["vi"][0].startswith("DIỄN TẬP")


async def test_ordinary_audio_waits_while_an_alert_goes_out(duty: Duty) -> None:
    """A long bulletin is streaming; from the release on, for two seconds, nothing of it goes out."""
    lan, sent = duty.people["lan"], list[tuple[int, str]]()
    publish = duty.centre.link.publish

    def watched(topic: str, payload: bytes, **how: Any) -> bool:
        if "/m/" in topic or topic.endswith("/piece"):
            sent.append((duty.clock.now_ms(), topic))
        return publish(topic, payload, **how)

    duty.centre.link.publish = watched  # type: ignore[method-assign]
    long = await duty.approved(recording(60.0, 333.0), "Bản tin dài")
    form = IssueForm(target_areas=[PROVINCE], bulletins=[long.id])
    await duty.centre.issue_now(form, account="loa")
    await duty.clock.advance(2.0)
    assert sent, "it streams"
    bare = {"kind": "live", "title": "Bão", "target_areas": [CO_TO], "severity": "Extreme", "urgency": "Immediate"}
    alert = (await lan.client.post(ALERTS, json=bare)).json()
    assert (await duty.approve(lan, alert)).json()["outcome"] == "released"
    released = duty.clock.now_ms()
    sent.clear()
    for _ in range(50):
        await duty.clock.advance(0.1)
    held = [at - released for at, _ in sent if at - released < HELD_MS]
    assert held == []
    assert any(at - released >= HELD_MS for at, _ in sent), "and then goes on"
