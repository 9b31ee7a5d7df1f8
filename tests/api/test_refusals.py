"""Every refusal of the API names the field, the limit and the remedy, and has its code and status."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import Strict

from api.problems import STATUS, language_of
from api.routes.bulletins import NewBulletin
from api.shapes import Asked
from loa.problems import PROBLEMS
from tests.api.office import AREA, KEY, Office, problem, recording

pytestmark = pytest.mark.asyncio(loop_scope="session")
NOBODY = "0" * 32


async def test_each_code_has_words() -> None:
    assert set(STATUS) - set(PROBLEMS) == set()


def _bodies(of: type[Asked]) -> Iterator[type[Asked]]:
    for one in of.__subclasses__():
        yield one
        yield from _bodies(one)


async def test_yes_and_no_are_no_numbers() -> None:
    """JSON has true and false: 0 and "no" are refused. A form knows text only, and is not JSON."""
    found = {
        f"{body.__name__}.{name}": Strict(strict=True) in field.metadata
        for body in _bodies(Asked)
        for name, field in body.model_fields.items()
        if field.annotation is bool and body is not NewBulletin
    }
    assert "NewLabels.drawn" in found
    assert [name for name, strict in found.items() if not strict] == []


async def test_unknown_field(office: Office) -> None:
    body = {"path": "quang-ninh/x", "name": "X", "colour": "red"}
    found = await office.refused(422, "unknown_field", "POST", "/api/v1/areas", json=body)
    assert found["field"] == "colour"


@pytest.mark.parametrize("volume", ["NaN", "Infinity", "-1", "101", "30.5", '"30"', "true", "null"])
async def test_volume_range(office: Office, volume: str) -> None:
    found = await office.refused(
        422, "volume_range", "POST", "/api/v1/nodes/co-to-1/volume",
        content=f'{{"volume": {volume}}}', headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert (found["field"], found["limit"]) == ("volume", "0–100")


async def test_times_need_their_zone(office: Office) -> None:
    bulletin = await office.bulletin()
    body = {"bulletins": [bulletin["id"]], "target_areas": [AREA], "start_at": "2026-11-23T05:00:00"}
    found = await office.refused(422, "timezone_required", "POST", "/api/v1/broadcasts", json=body)
    assert found["field"] == "start_at"
    path = f"/api/v1/timetable?area={AREA}&from=2026-11-23T05:00:00"
    await office.refused(422, "timezone_required", "GET", path)


async def test_the_end_is_after_the_start(office: Office) -> None:
    path = f"/api/v1/timetable?area={AREA}&from=2026-11-23T05:00:00Z&to=2026-11-23T04:00:00Z"
    await office.refused(422, "bad_interval", "GET", path)
    bulletin = await office.bulletin()
    body = {"bulletins": [bulletin["id"]], "target_areas": [AREA], "start_at": "2001-01-01T00:00:00Z"}
    reply = await office.client.post("/api/v1/broadcasts", json=body)
    assert (reply.status_code, reply.json()["field"]) == (422, "start_at")


async def test_targets(office: Office) -> None:
    bulletin = await office.bulletin()
    await office.refused(422, "empty_target", "POST", "/api/v1/broadcasts", json={"bulletins": [bulletin["id"]]})
    body = {"bulletins": [bulletin["id"]], "target_areas": ["quang-ninh/nowhere"]}
    await office.refused(404, "not_found", "POST", "/api/v1/broadcasts", json=body)


async def test_an_emergency_needs_its_release(office: Office) -> None:
    bulletin = await office.bulletin()
    body = {"bulletins": [bulletin["id"]], "target_areas": [AREA], "precedence": "emergency"}
    await office.refused(403, "emergency_needs_release", "POST", "/api/v1/broadcasts", json=body)


async def test_approval_names_the_content(office: Office) -> None:
    bulletin = await office.bulletin(approve=False)
    path = f"/api/v1/bulletins/{bulletin['id']}/approve"
    await office.refused(409, "content_changed", "POST", path, json={"content_hash": "0" * 64})
    body = {"bulletins": [bulletin["id"]], "target_areas": [AREA]}
    await office.refused(409, "not_approved", "POST", "/api/v1/broadcasts", json=body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/areas/quang-ninh/nowhere"),
        ("GET", "/api/v1/nodes/nobody"),
        ("POST", "/api/v1/nodes/nobody/retire"),
        ("GET", f"/api/v1/bulletins/{NOBODY}"),
        ("POST", f"/api/v1/bulletins/{NOBODY}/withdraw"),
        ("GET", f"/api/v1/programmes/{NOBODY}"),
        ("POST", f"/api/v1/programmes/{NOBODY}/stop"),
        ("GET", f"/api/v1/broadcasts/{NOBODY}"),
        ("POST", f"/api/v1/broadcasts/{NOBODY}/recall"),
        ("POST", f"/api/v1/broadcasts/{NOBODY}/stop"),
        ("GET", f"/api/v1/broadcasts/{NOBODY}/coverage"),
        ("GET", f"/api/v1/imports/{NOBODY}"),
        ("DELETE", f"/api/v1/imports/{NOBODY}"),
        ("GET", f"/api/v1/renditions/{'0' * 64}/audio"),
        ("DELETE", "/api/v1/tokens/0000000000000000"),
        ("GET", "/page/nothing.js"),
    ],
)
async def test_not_found(office: Office, method: str, path: str) -> None:
    await office.refused(404, "not_found", method, path)


async def test_routes_and_methods_that_are_not_there(office: Office) -> None:
    await office.refused(404, "no_such_route", "GET", "/api/v1/nothing")
    reply = await office.client.put("/api/v1/areas")
    problem(reply, 405, "method_not_allowed")
    assert reply.headers["allow"]


@pytest.mark.parametrize("body", ["{", "[]", "null", '"text"', "{'a': 1}", ""])
async def test_bodies_that_are_no_object(office: Office, body: str) -> None:
    reply = await office.client.post("/api/v1/areas", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code in (400, 422)
    assert reply.json()["code"] in ("bad_json", "field_required", "bad_value")


async def test_too_large(office: Office) -> None:
    body = {"path": "quang-ninh/x", "name": "x" * 2_000_000}
    await office.refused(413, "too_large", "POST", "/api/v1/areas", json=body)

    async def parts() -> Any:
        for _ in range(40):
            yield b" " * 65536

    reply = await office.client.post("/api/v1/areas", content=parts(), headers={"Content-Type": "application/json"})
    problem(reply, 413, "too_large")
    form = {"title": "x" * 2_000_000, "area": AREA}
    files = {"file": ("a.wav", b"x")}
    await office.refused(413, "too_large", "POST", "/api/v1/bulletins", data=form, files=files)


@pytest.mark.parametrize("cursor", ["!", "W10", "bnVsbA", "eyJhIjoxfQ", "WzEsMl0", "x" * 400])
async def test_bad_cursor(office: Office, cursor: str) -> None:
    await office.refused(422, "bad_cursor", "GET", f"/api/v1/bulletins?cursor={cursor}")


async def test_recurrence(office: Office) -> None:
    bulletin = await office.bulletin()
    body = {
        "title": "Sáng", "area": AREA, "rundown": [bulletin["id"]], "starts_on": "2026-11-23T05:00:00",
        "recurrence": "FREQ=SECONDLY",
    }  # fmt: skip
    await office.refused(422, "bad_recurrence", "POST", "/api/v1/programmes", json=body)
    body |= {"recurrence": "", "starts_on": "2026-13-45T05:00:00"}
    await office.refused(422, "bad_start", "POST", "/api/v1/programmes", json=body)
    body |= {"starts_on": "2026-11-23T05:00:00", "excluded": ["2026-02-30"]}
    reply = await office.client.post("/api/v1/programmes", json=body)
    assert reply.status_code == 422


async def test_a_name_is_taken_once(office: Office) -> None:
    body = {"path": AREA, "name": "Cô Tô"}
    await office.refused(409, "already_exists", "POST", "/api/v1/areas", json=body)
    node = {"id": "co-to-1", "area": AREA, "public_key": KEY[::-1]}
    await office.refused(409, "already_exists", "POST", "/api/v1/nodes", json=node)


FILES = [
    ("empty", b"", 422, "empty_audio", "a.mp3"),
    ("a playlist", b"#EXTM3U\nhttp://127.0.0.1:1/a.mp3\n", 415, "playlist_forbidden", "a.mp3"),
    ("an archive", b"PK\x03\x04" + b"\0" * 100, 415, "archive_forbidden", "a.mp3"),
    ("noise", bytes(range(256)) * 40, 422, None, "a.mp3"),
    ("silence", recording(level=0.0), 422, "silent_audio", "a.wav"),
    ("a bad name", recording(0.2), 422, "bad_name", "../../x.wav"),
    ("another bad name", recording(0.2), 422, "bad_name", "..\\x.wav"),
]


@pytest.mark.parametrize(("data", "status", "code", "name"), [row[1:] for row in FILES], ids=[row[0] for row in FILES])
async def test_files(office: Office, data: bytes, status: int, code: str | None, name: str) -> None:
    form = {"title": "x", "area": AREA}
    reply = await office.client.post("/api/v1/bulletins?wait=30", data=form, files={"file": (name, data)})
    body = reply.json()
    if reply.status_code == 202:
        assert body["status"] == "failed"
        assert body["bulletin"] is None
        body = body["problem"]
    assert (body["status"], body["code"]) == (status, code or body["code"])
    assert list(office.centre.incoming_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"area": AREA}, "field_required"),
        ({"title": "x"}, "field_required"),
        ({"title": "x", "area": AREA, "colour": "red"}, "unknown_field"),
        ({"title": " ", "area": AREA}, "bad_value"),
        ({"title": "x", "area": "A B"}, "bad_area_path"),
        ({"title": "x", "area": AREA, "chime": "perhaps"}, "bad_value"),
    ],
)
async def test_the_forms_fields(office: Office, form: dict[str, str], code: str) -> None:
    await office.refused(422, code, "POST", "/api/v1/bulletins", data=form, files={"file": ("a.wav", b"x")})
    assert list(office.centre.incoming_folder.iterdir()) == []


async def test_forms_that_are_none(office: Office) -> None:
    path = "/api/v1/bulletins"
    await office.refused(400, "bad_form", "POST", path, content=b"hello")
    cut = b"--b\r\nContent-Disposition: form-data; name=file; filename=a.wav\r\n\r\nabc"
    for body in (cut, b"", b"nonsense"):
        await office.refused(
            400, "bad_form", "POST", path, content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
        )
    found = await office.refused(
        422, "field_required", "POST", path, files={"title": (None, "x"), "area": (None, AREA)}
    )
    assert found["field"] == "file"


async def test_languages(office: Office) -> None:
    for accept, start in (("en", "There is no such node"), ("vi", "Không tìm thấy"), ("de, en;q=0.5", "There is")):
        reply = await office.client.get("/api/v1/nodes/nobody", headers={"Accept-Language": accept})
        assert reply.json()["title"].startswith(start)
    assert language_of(None) == language_of("de") == language_of("en;q=0.1, vi") == "vi"
    assert language_of("en-GB,en;q=0.9,vi;q=0.8") == "en"


async def test_an_unexpected_error_tells_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr("controller.services.areas.list_areas", broken)
    found = await office.refused(500, "internal", "GET", "/api/v1/areas")
    assert "secret" not in str(found)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("controller.services.areas.list_areas", full)
    await office.refused(507, "centre_full", "GET", "/api/v1/areas")


async def test_an_instant_before_all_instants_names_its_field(office: Office) -> None:
    bulletin = await office.bulletin()
    for early in ("0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z"):
        body = {"bulletins": [bulletin["id"]], "target_areas": [AREA], "start_at": early}
        found = await office.refused(422, "bad_value", "POST", "/api/v1/broadcasts", json=body)
        assert (found["field"], "1970" in found["limit"]) == ("start_at", True)
    found = await office.refused(422, "bad_value", "GET", f"/api/v1/timetable?area={AREA}&from=1969-01-01T00:00:00Z")
    assert found["field"] == "from"


@pytest.mark.parametrize("address", ["http://[::1", "https://[", "https://a b", "javascript:alert(1)", "https://\0"])
async def test_addresses_on_labels(office: Office, address: str) -> None:
    body = {"count": 1, "address": address}
    await office.refused(422, "bad_centre_address", "POST", "/api/v1/labels", json=body)


@pytest.mark.parametrize("name", ["a\0b", "a\nb"])
async def test_names_of_accounts_are_plain_text_wherever_they_are_given(office: Office, name: str) -> None:
    """PostgreSQL takes no NUL at all."""
    await office.refused(422, "bad_value", "POST", "/api/v1/session", json={"account": name, "password": "x"})
    reply = await office.client.get("/api/v1/people-keys", params={"account": name})
    problem(reply, 422, "bad_value")
