"""Alerts of others over HTTP: the codes, what is kept, tokens that hand in and can do no more."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from controller.permissions import Role
from tests.api.cap_texts import NoVoice, alert_text, instant_text, reference
from tests.api.office import AREA, Office, office_at, problem
from tests.people import join

pytestmark = pytest.mark.asyncio(loop_scope="module")
CAP = "/api/v1/cap"
CROSSED = "<polygon>20.9,107.7 21.1,107.9 20.9,107.9 21.1,107.7 20.9,107.7</polygon>"
AROUND = "<polygon>20.9,107.7 20.9,107.9 21.1,107.9 21.1,107.7 20.9,107.7</polygon>"
FAR = "<polygon>10.0,100.0 10.0,101.0 11.0,101.0 11.0,100.0 10.0,100.0</polygon>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """An office where Cô Tô has a shape and nobody has a voice."""
    async with office_at(tmp_path_factory.mktemp("cap")) as made:
        made.centre.alerts.voice = NoVoice()
        ring = [[107.7, 20.9], [107.9, 20.9], [107.9, 21.1], [107.7, 21.1], [107.7, 20.9]]
        one = {
            "type": "Feature", "properties": {"path": AREA, "name": "Cô Tô"},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }  # fmt: skip
        await made.ok("POST", "/api/v1/areas/import", json={"type": "FeatureCollection", "features": [one]})
        yield made


class Names:
    count = 0


def name() -> str:
    Names.count += 1
    return f"bao-9.{Names.count}"


def text(here: Office, **more: Any) -> str:
    return alert_text(here.centre.clock.now_ms(), more.pop("name", None) or name(), **more)


async def post(here: Office, content: str | bytes, client: httpx.AsyncClient | None = None) -> httpx.Response:
    data = content if isinstance(content, bytes) else content.encode()
    return await (client or here.client).post(CAP, content=data)


async def answered(here: Office, content: str | bytes, status: int) -> Any:
    """The only answer."""
    reply = await post(here, content)
    assert reply.status_code == status, reply.text
    (item,) = reply.json()["items"]
    assert item["http_status"] in (status, 201)
    return item


async def kept(here: Office, item: Any) -> Any:
    return await here.ok("GET", f"{CAP}/{item['cap']}")


async def test_an_actual_alert_is_composed_and_waits(here: Office) -> None:
    item = await answered(here, text(here), 201)
    assert (item["code"], item["kind"], item["signature"], item["areas"]["matched"]) == (
        "accepted", "live", "unsigned", [AREA],
    )  # fmt: skip
    alert = await here.ok("GET", f"/api/v1/alerts/{item['alert']}")
    assert (alert["kind"], alert["status"], alert["title"], alert["composed_by"], alert["target_areas"]) == (
        "live", "composed", "Bão số 9: về bờ ngay", "loa", [AREA],
    )  # fmt: skip
    assert alert["siren"] == 1, "severe and immediate"
    one = await kept(here, item)
    assert (one["state"], one["alert"], one["sender"], one["received_by"]) == (
        "composed", item["alert"], "kttv@example.vn", "admin",
    )  # fmt: skip
    assert item["identifier"] in one["xml"]


@pytest.mark.parametrize(("status", "kind", "state"), [("Exercise", "drill", "composed"), ("Test", None, "kept")])
async def test_an_exercise_becomes_a_drill_and_a_test_nothing(
    here: Office, status: str, kind: str | None, state: str
) -> None:
    item = await answered(here, text(here, status=status), 202)
    assert item["code"] == f"accepted_{status.lower()}"
    assert (await kept(here, item))["state"] == state
    assert (item["alert"] is not None) is (kind is not None)
    if kind is not None:
        assert (await here.ok("GET", f"/api/v1/alerts/{item['alert']}"))["kind"] == kind
        return
    body = {"target_areas": [AREA]}
    await here.refused(409, "cap_not_composable", "POST", f"{CAP}/{item['cap']}/compose", json=body)


async def test_again_it_is_known_and_with_other_content_a_conflict(here: Office) -> None:
    same = text(here, name="again")
    first = await answered(here, same, 201)
    again = await answered(here, same, 200)
    assert (again["code"], again["cap"], again["alert"]) == ("already_known", first["cap"], first["alert"])
    other = same.replace("ngay</headline>", "muộn</headline>")
    assert other != same
    problem(await post(here, other), 409, "alert_conflict")
    assert (await answered(here, same, 200))["code"] == "already_known"


@pytest.mark.parametrize(
    ("status", "code", "field", "change"),
    [
        (400, "dtd_forbidden", "file", lambda t, _: f"<!DOCTYPE alert>{t}"),
        (400, "not_xml", "file", lambda t, _: t[:-9]),
        (400, "not_xml", "file", lambda _t, _: ""),
        (400, "bad_encoding", "file", lambda t, _: f"<?xml version='1.0' encoding='klingon'?>{t}"),
        (422, "no_alert", "file", lambda _t, _: "<feed xmlns='http://www.w3.org/2005/Atom'/>"),
        (422, "bad_namespace", "alert", lambda t, _: t.replace("cap:1.2", "cap:9")),
        (422, "required_missing", "info.event", lambda t, _: t.replace("<event>Bão</event>", "")),
        (422, "required_missing", "scope", lambda t, _: t.replace("<scope>Public</scope>", "")),
        (422, "bad_value", "info.severity", lambda t, _: t.replace("Severe", "Bad")),
        (422, "timezone_required", "info.expires", lambda t, _: t.replace("+07:00</expires>", "</expires>")),
        (422, "references_required", "references", lambda t, _: t.replace(">Alert<", ">Cancel<")),
        (422, "references_required", "references", lambda t, _: t.replace(">Alert<", ">Update<")),
        (422, "not_public", "scope", lambda t, _: t.replace("Public", "Restricted")),
        (422, "not_an_alert", "status", lambda t, _: t.replace("Actual", "Draft")),
        (422, "expired", "info.expires", lambda t, now: t.replace(instant_text(now + 21_600_000), instant_text(now))),
    ],
)  # fmt: skip
async def test_what_is_refused(here: Office, status: int, code: str, field: str, change: Any) -> None:
    now = here.centre.clock.now_ms()
    body = problem(await post(here, change(alert_text(now, name()), now)), status, code)
    assert body["field"] == field


@pytest.mark.parametrize(
    ("area", "description", "code"),
    [(CROSSED, "x", "bad_polygon"), (FAR, "x", "area_unknown"), ("", "Atlantis", "area_unknown")],
)
async def test_areas_that_are_refused(here: Office, area: str, description: str, code: str) -> None:
    body = problem(await post(here, text(here, area=area, description=description)), 422, code)
    (newest,) = (await here.ok("GET", f"{CAP}?refused=true&limit=1"))["items"]
    assert (newest["code"], newest["refused"], newest["kind"], newest["state"]) == (code, True, None, "kept")
    assert newest["field"] == body["field"]
    assert "?" not in newest["verdict"], "of what is not kept nothing is said"
    whole = await here.ok("GET", f"{CAP}/{newest['id']}")
    assert (whole["verdict"], whole["remedy"]) == (body["title"], body["remedy"]), "judged again, it says all"


@pytest.mark.parametrize("area", [AROUND, "<circle>21.0,107.8 5</circle>", "<circle>21.0,107.8 0</circle>"])
async def test_shapes_find_the_commune(here: Office, area: str) -> None:
    item = await answered(here, text(here, area=area, description="biển"), 201)
    assert item["areas"]["matched"] == [AREA]
    assert (await here.ok("GET", f"/api/v1/alerts/{item['alert']}"))["target_areas"] == [AREA]


async def test_an_area_known_by_name_alone_waits_for_a_person(here: Office) -> None:
    item = await answered(here, text(here, area="", description="huyện đảo Cô Tô"), 202)
    assert (item["code"], item["alert"]) == ("accepted", None)
    assert item["areas"]["named"] == [{"description": "huyện đảo Cô Tô", "proposed": [AREA]}]
    waiting = (await here.ok("GET", f"{CAP}?state=needs_area"))["items"]
    assert [one["id"] for one in waiting] == [item["cap"]]
    made = await here.ok("POST", f"{CAP}/{item['cap']}/compose", json={"target_areas": [AREA]})
    assert (made["status"], made["kind"], made["target_areas"]) == ("composed", "live", [AREA])
    assert (await kept(here, item))["alert"] == made["id"]
    body = {"target_areas": [AREA]}
    await here.refused(409, "cap_not_composable", "POST", f"{CAP}/{item['cap']}/compose", json=body)


async def test_several_at_once_have_an_answer_each(here: Office) -> None:
    twice, broken = text(here), text(here).replace("<event>Bão</event>", "")
    feed = f"<feed xmlns='http://www.w3.org/2005/Atom'><entry><content>{twice}</content></entry>{broken}{twice}</feed>"
    reply = await post(here, feed)
    assert reply.status_code == 207
    assert [(one["place"], one["http_status"], one["code"], one["field"]) for one in reply.json()["items"]] == [
        (1, 201, "accepted", None), (2, 422, "required_missing", "info.event"), (3, 200, "already_known", None),
    ]  # fmt: skip


async def test_what_is_not_released_is_withdrawn_by_its_cancel_and_replaced_by_its_update(here: Office) -> None:
    now = here.centre.clock.now_ms()
    first = await answered(here, alert_text(now, "u.1"), 201)
    update = alert_text(now, "u.2", msg_type="Update", references=reference(now, "u.1"), sent_ago_s=60)
    second = await answered(here, update, 201)
    assert second["withdrawn"] == [first["alert"]]
    gone = await here.ok("GET", f"/api/v1/alerts/{first['alert']}")
    assert (gone["status"], gone["ended_by"]) == ("withdrawn", "loa")
    of_a_drill = alert_text(
        now, "u.x", status="Exercise", msg_type="Cancel", references=reference(now, "u.2", sent_ago_s=60), info=False
    )
    assert (await answered(here, of_a_drill, 202))["withdrawn"] == [], "a drill's cancel ends no live alert"
    elsewhere = alert_text(
        now, "u.y", sender="other@example.vn", msg_type="Cancel", references=reference(now, "u.2", sent_ago_s=60),
        info=False,
    )  # fmt: skip
    said = await answered(here, elsewhere, 202)
    assert (said["withdrawn"], said["cancel_asked"]) == ([], [second["alert"]]), "another sender's word: people decide"
    cancel = alert_text(
        now, "u.3", msg_type="Cancel", references=reference(now, "u.2", sent_ago_s=60), info=False, sent_ago_s=30
    )
    assert (await answered(here, cancel, 202))["withdrawn"] == [second["alert"]]


async def test_a_cancel_that_comes_first_wins(here: Office) -> None:
    now = here.centre.clock.now_ms()
    cancel = alert_text(now, "f.2", msg_type="Cancel", references=reference(now, "f.1"), info=False, sent_ago_s=30)
    await answered(here, cancel, 202)
    late = await answered(here, alert_text(now, "f.1"), 202)
    one = await kept(here, late)
    assert (late["alert"], one["state"], one["trouble"]) == (None, "kept", "cap_over")


@pytest.mark.parametrize("named", ["old.{}/kttv@example.vn", "old.{}"])
async def test_a_cancel_in_the_short_form_of_cap_1_0(here: Office, named: str) -> None:
    now, number = here.centre.clock.now_ms(), named.count("/")
    old = ("urn:oasis:names:tc:emergency:cap:1.2", "http://www.incident.com/cap/1.0")
    area = "<geocode>loa=co-to</geocode>"
    first = await answered(here, alert_text(now, f"old.{number}", area=area).replace(*old), 201)
    cancel = alert_text(now, f"end.{number}", msg_type="Cancel", references=named.format(number), info=False)
    assert (await answered(here, cancel.replace(*old), 202))["withdrawn"] == [first["alert"]]


async def test_a_token_hands_in_and_can_do_no_more(here: Office) -> None:
    who = await join(here.centre, "truc-ban", (Role.DUTY_OFFICER, "quang-ninh"), with_code=True)
    person = here.as_(who.token)
    body = {"name": "kttv", "permissions": ["cap.submit"], "area": "quang-ninh"}
    token = here.as_((await person.post("/api/v1/tokens", json=body)).json()["token"])
    reply = await post(here, text(here), token)
    assert reply.status_code == 201, reply.text
    item = reply.json()["items"][0]
    for method, path, json in (
        ("POST", f"/api/v1/alerts/{item['alert']}/approvals", {"kind": "live", "body_sha256": "0" * 64}),
        ("POST", f"/api/v1/alerts/{item['alert']}/withdraw", None),
        ("POST", "/api/v1/alerts", {"kind": "live", "title": "x", "target_areas": [AREA], "siren": 1}),
        ("POST", f"{CAP}/{item['cap']}/compose", {"target_areas": [AREA]}),
        ("GET", CAP, None),
    ):
        problem(await token.request(method, path, json=json), 403, "not_permitted")


async def test_nobody_else_hands_in(here: Office) -> None:
    problem(await post(here, text(here), here.lan), 403, "not_permitted")
    problem(await here.stranger.post(CAP, content=text(here).encode()), 401, "auth_required")


async def test_a_source_that_others_set_meanwhile_is_kept(here: Office) -> None:
    path, none = f"{CAP}/sources/dia-chat", {"content_hash": ""}
    first = await here.ok("PUT", path, json={"senders": ["a@example.vn"]} | none)
    await here.refused(409, "content_changed", "PUT", path, json={"senders": ["b@example.vn"]} | none)
    seen = {"content_hash": first["content_hash"]}
    theirs = await here.ok("PUT", path, json={"senders": ["c@example.vn"]} | seen)
    await here.refused(409, "content_changed", "PUT", path, json={"senders": ["b@example.vn"]} | seen)
    await here.refused(409, "content_changed", "DELETE", path, params=seen)
    assert [one["senders"] for one in (await here.ok("GET", f"{CAP}/sources"))["items"]] == [["c@example.vn"]]
    gone = await here.client.delete(path, params={"content_hash": theirs["content_hash"]})
    assert gone.status_code == 204


async def test_a_source_that_is_not_known(here: Office) -> None:
    await here.refused(404, "not_found", "POST", f"{CAP}?source=nobody", content=text(here).encode())


async def test_too_large(here: Office) -> None:
    await here.refused(413, "too_large", "POST", CAP, content=b" " * (8 * 1024 * 1024 + 1))


async def test_where_no_node_is_nothing_is_composed_and_it_is_said(here: Office) -> None:
    await here.ok("POST", "/api/v1/areas", json={"path": "quang-ninh/ba-che", "name": "Ba Chẽ"})
    code = "<geocode><valueName>loa</valueName><value>ba-che</value></geocode>"
    item = await answered(here, text(here, area=code, description="xã Ba Chẽ"), 202)
    one = await kept(here, item)
    assert (item["alert"], one["state"], one["trouble"]) == (None, "not_composed", "empty_target")


async def test_areas_by_other_codes_of_theirs(here: Office) -> None:
    one = {"type": "Feature", "properties": {"path": AREA, "codes": ["07207", "VN-13-CT"]}, "geometry": None}
    await here.ok("POST", "/api/v1/areas/import", json={"type": "FeatureCollection", "features": [one]})
    for scheme, code in (("gso", "07207"), ("ISO3166-2", "vn-13-ct"), ("loa", AREA)):
        area = f"<geocode><valueName>{scheme}</valueName><value>{code}</value></geocode>"
        item = await answered(here, text(here, area=area, description="x"), 201)
        assert item["areas"]["matched"] == [AREA]
    same = "<geocode><valueName>SAME</valueName><value>07207</value></geocode>"
    reply = await post(here, text(here, area=same, description="x"))
    assert (reply.status_code, reply.json()["code"]) == (422, "area_unknown")
    newest = (await here.ok("GET", CAP))["items"][0]
    assert (newest["code"], newest["areas"]["unknown"]) == ("area_unknown", ["SAME=07207"])
    many = {"type": "Feature", "properties": {"path": AREA, "codes": ["a b"]}, "geometry": None}
    body = {"type": "FeatureCollection", "features": [many]}
    reply = await here.client.post("/api/v1/areas/import", json=body)
    assert reply.status_code == 422
