"""What the API does: idempotent replies, pages, sound with ranges, imports, the page's files, health."""

import asyncio
import hashlib
import re
from typing import Any

import pytest

from api.routes.page import PARTS
from controller.tables import IdempotentReply
from tests.api.office import AREA, Office, problem, recording

MOST_OF_A_FIRST_LOAD = 45_000
"""Bytes: ten seconds over a line of 5 kB/s, and once, since the browser keeps them."""

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_same_key_makes_one_broadcast(office: Office) -> None:
    bulletin = await office.bulletin()
    body = {"bulletins": [bulletin["id"]], "target_areas": [AREA]}
    before = (await office.ok("GET", "/api/v1/broadcasts"))["items"]
    posts = [office.client.post("/api/v1/broadcasts", json=body, headers={"Idempotency-Key": "once"}) for _ in range(6)]
    replies = await asyncio.gather(*posts)
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.text for reply in replies}) == 1
    assert sum("idempotency-replayed" in reply.headers for reply in replies) == 5
    after = (await office.ok("GET", "/api/v1/broadcasts"))["items"]
    assert len(after) == len(before) + 1
    await office.refused(
        409, "idempotency_conflict", "POST", "/api/v1/broadcasts",
        json=body | {"volume": 5}, headers={"Idempotency-Key": "once"},
    )  # fmt: skip
    await office.refused(
        409, "idempotency_conflict", "POST", f"/api/v1/broadcasts/{after[0]['id']}/recall",
        headers={"Idempotency-Key": "once"},
    )  # fmt: skip
    await office.ok("POST", f"/api/v1/broadcasts/{after[0]['id']}/recall", headers={"Idempotency-Key": "twice"})


async def test_a_refusal_does_not_use_up_its_key(office: Office) -> None:
    headers = {"Idempotency-Key": "refused-first"}
    await office.refused(404, "not_found", "POST", "/api/v1/nodes/later/volume", json={"volume": 5}, headers=headers)
    await office.ok("POST", "/api/v1/nodes/co-to-1/volume", json={"volume": 5}, headers=headers)
    await office.refused(
        422, "bad_idempotency_key", "POST", "/api/v1/nodes/co-to-1/volume",
        json={"volume": 5}, headers={"Idempotency-Key": "x" * 129},
    )  # fmt: skip


async def test_a_request_that_was_cut_off_is_not_done_again_by_itself(office: Office) -> None:
    def half_way(session: Any) -> None:
        row = session.get(IdempotentReply, ("admin", "cut-off"))
        row.status, row.body = 0, b""
        session.add(row)

    path, headers = "/api/v1/nodes/co-to-1/test-tone", {"Idempotency-Key": "cut-off"}
    await office.ok("POST", path, json={}, headers=headers)
    await office.centre.unit_of_work(half_way)
    await office.refused(409, "idempotency_unknown", "POST", path, json={}, headers=headers)


async def test_sound_is_served_in_ranges(office: Office) -> None:
    bulletin = await office.bulletin()
    path = bulletin["renditions"][0]["audio"]
    whole = await office.client.get(path)
    assert whole.headers["content-type"] == "audio/ogg"
    assert whole.content[:4] == b"OggS"
    part = await office.client.get(path, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, whole.content[4:8])
    reply = await office.client.get(path, headers={"Range": "bytes=99999999-"})
    problem(reply, 416, "bad_range")
    problem(await office.client.get(path, headers={"Range": "lines=1-2"}), 416, "bad_range")


async def test_pages_hold_all_once(office: Office) -> None:
    for number in range(3):
        await office.bulletin(f"số {number}", approve=False)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = await office.ok("GET", f"/api/v1/bulletins?limit=2{more}")
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    everything = (await office.ok("GET", "/api/v1/bulletins?limit=200"))["items"]
    assert seen == [item["id"] for item in everything]
    assert len(set(seen)) == len(seen) >= 3


async def test_an_import_can_be_cancelled(office: Office) -> None:
    form = {"title": "dài", "area": AREA}
    files = {"file": ("a.wav", recording(25))}
    item = await office.ok("POST", "/api/v1/bulletins", data=form, files=files)
    reply = await office.client.delete(f"/api/v1/imports/{item['id']}")
    item = await office.ok("GET", f"/api/v1/imports/{item['id']}?wait=30")
    if reply.status_code == 202:
        assert item["status"] in ("cancelled", "done")
    assert list(office.centre.incoming_folder.iterdir()) == []
    await office.refused(409, "import_over", "DELETE", f"/api/v1/imports/{item['id']}")


async def test_a_programme_makes_a_timetable_and_is_changed_and_stopped(office: Office) -> None:
    bulletin = await office.bulletin("Sáng")
    body = {
        "title": "Sáng", "area": AREA, "rundown": [bulletin["id"]], "starts_on": "2026-01-01T05:00:00",
        "recurrence": "FREQ=DAILY;BYHOUR=5,17",
    }  # fmt: skip
    seen = await office.ok(
        "POST", "/api/v1/occurrences", json={k: body[k] for k in ("starts_on", "recurrence")} | {"days": 2}
    )
    assert len(seen["occurrences"]) == 4
    made = await office.ok("POST", "/api/v1/programmes", json=body)

    async def coming() -> list[Any]:
        items = (await office.ok("GET", f"/api/v1/timetable?area={AREA}"))["items"]
        return [item for item in items if item["programme"] == made["id"]]

    assert len(await coming()) == 14
    changed = await office.ok("PATCH", f"/api/v1/programmes/{made['id']}", json={"recurrence": "FREQ=DAILY"})
    assert (changed["title"], changed["recurrence"]) == ("Sáng", "FREQ=DAILY")
    assert len(await coming()) == 7
    stopped = await office.ok("POST", f"/api/v1/programmes/{made['id']}/stop")
    assert stopped["stopped_at"]
    assert await coming() == []
    listed = (await office.ok("GET", "/api/v1/programmes?stopped=true"))["items"]
    assert made["id"] in [item["id"] for item in listed]


async def test_nodes_are_enrolled_moved_and_retired(office: Office) -> None:
    body = {"id": "co-to-9", "area": AREA, "public_key": "ab" * 32}
    made = await office.ok("POST", "/api/v1/nodes", json=body)
    assert made["placement"]
    assert made["node"]["state"] == "never"
    await office.ok("POST", "/api/v1/areas", json={"path": f"{AREA}/thon-9", "name": "Thôn 9"})
    moved = await office.ok("POST", "/api/v1/nodes/co-to-9/move", json={"area": f"{AREA}/thon-9"})
    assert moved["node"]["area"] == f"{AREA}/thon-9"
    assert (await office.ok("POST", "/api/v1/nodes/co-to-9/retire"))["state"] == "retired"
    names = [item["id"] for item in (await office.ok("GET", f"/api/v1/nodes?area={AREA}"))["items"]]
    assert "co-to-9" not in names
    await office.ok("POST", "/api/v1/stations", json={"id": "dai-1", "area": AREA})
    assert "dai-1" in str(await office.ok("GET", "/api/v1/stations"))


async def test_the_pages_files_are_safe(office: Office) -> None:
    for path in ("/", *(f"/page/{name}" for name in PARTS)):
        reply = await office.stranger.get(path)
        assert reply.status_code == 200
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
    page = (await office.stranger.get("/")).text
    assert "<script>" not in page
    assert "style=" not in page
    assert not any(f" on{event}=" in page for event in ("click", "load", "error", "submit"))
    for name in PARTS:
        script = (await office.stranger.get(f"/page/{name}")).text
        assert not any(
            danger in script for danger in ("innerHTML", "outerHTML", "insertAdjacent", "eval(", "document.write")
        )


async def test_the_pages_files_are_few_small_and_kept(office: Office) -> None:
    squeezed = {"Accept-Encoding": "gzip"}
    page = await office.stranger.get("/", headers=squeezed)
    asked = re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text)
    assert len(set(asked)) == 3, "one style, one script, one picture"
    total = int(page.headers["content-length"])
    for path in set(asked):
        reply = await office.stranger.get(path, headers=squeezed)
        assert reply.headers["content-encoding"] == "gzip"
        total += int(reply.headers["content-length"])
        if not path.endswith(".svg"):
            assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert hashlib.sha256(reply.content).hexdigest()[:12] in path, "named by what is in it"
    assert total < MOST_OF_A_FIRST_LOAD
    again = await office.stranger.get("/", headers=squeezed | {"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", page.headers["etag"])
    assert page.headers["cache-control"] == "no-cache"
    plain = await office.stranger.get("/", headers={"Accept-Encoding": "gzip;q=0, br"})
    assert "content-encoding" not in plain.headers
    assert plain.text == page.text
    assert (await office.stranger.get("/page/loa.000000000000.js")).status_code == 404


async def test_what_only_some_pages_need_is_named_apart_and_kept_for_ever(office: Office) -> None:
    page = (await office.stranger.get("/")).text
    named = dict(re.findall(r'<meta name="later-([a-z]+)" content="([^"]+)">', page))
    assert sorted(named) == ["people", "settings"]
    for name, files in named.items():
        for file in files.split():
            assert f'"/page/{file}"' not in page, "it is not asked for with the page"
            reply = await office.stranger.get(f"/page/{file}", headers={"Accept-Encoding": "gzip"})
            assert (reply.status_code, reply.headers["content-encoding"]) == (200, "gzip")
            assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert file == f"loa-{name}.{hashlib.sha256(reply.content).hexdigest()[:12]}.{file.rpartition('.')[2]}"


async def test_lists_are_squeezed_and_streams_are_not(office: Office) -> None:
    for number in range(12):
        await office.ok("POST", "/api/v1/areas", json={"path": f"{AREA}/khu-{number}", "name": f"Thôn {number}"})
    small = await office.client.get("/api/v1/areas", headers={"Accept-Encoding": "gzip"})
    plain = await office.client.get("/api/v1/areas", headers={"Accept-Encoding": "identity"})
    assert small.json() == plain.json()
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    assert "content-encoding" not in plain.headers
    assert "accept-encoding" in small.headers["vary"].lower()
    bulletin = await office.bulletin()
    sound = await office.client.get(bulletin["renditions"][0]["audio"], headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in sound.headers


async def test_what_people_write_stays_text(office: Office) -> None:
    bulletin = await office.bulletin("<script>alert(1)</script>")
    reply = await office.client.get(f"/api/v1/bulletins/{bulletin['id']}")
    assert reply.json()["title"] == "<script>alert(1)</script>"
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_health_and_figures(office: Office) -> None:
    reply = await office.stranger.get("/healthz")
    assert reply.json()["database"] == "ok"
    figures = await office.client.get("/metrics")
    assert "loa_nodes{" in figures.text


async def test_the_description_is_whole(office: Office) -> None:
    spec = (await office.stranger.get("/openapi.json")).json()
    operations = [operation for path in spec["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["tags"]
        assert operation.get("description") or operation.get("summary")
        for status, reply in operation["responses"].items():
            if int(status) >= 400 and operation["operationId"] != "health":
                assert "application/problem+json" in reply["content"], (operation["operationId"], status)
