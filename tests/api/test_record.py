"""The record over HTTP: pages, filters, an export that proves itself, for those who may read it."""

import httpx
import pytest

from controller.audit import verify
from controller.permissions import ROLES, Permission, Role
from controller.recordfile import KnownHead
from tests.api.office import Office, problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_entries_come_newest_first_page_after_page(office: Office) -> None:
    made = await office.bulletin("Tin ghi sổ")
    first = await office.ok("GET", "/api/v1/record?limit=2")
    numbers = [one["number"] for one in first["items"]]
    assert numbers == [numbers[0], numbers[0] - 1]
    second = await office.ok("GET", f"/api/v1/record?limit=2&cursor={first['next_cursor']}")
    assert [one["number"] for one in second["items"]] == [numbers[0] - 2, numbers[0] - 3]
    found = (await office.ok("GET", f"/api/v1/record?object_id={made['id']}"))["items"]
    assert [one["verb"] for one in found] == ["approve", "draft"]
    (approval,) = (await office.ok("GET", f"/api/v1/record?object_id={made['id']}&verb=approve"))["items"]
    assert (approval["account"], approval["object_kind"]) == ("admin", "bulletin")
    assert (await office.ok("GET", "/api/v1/record?account=nobody"))["items"] == []


async def test_an_entry_says_from_where_and_under_which_key(office: Office) -> None:
    made = await office.bulletin("Tin từ xa")
    (one, _) = (await office.ok("GET", f"/api/v1/record?object_id={made['id']}"))["items"]
    assert one["origin"] == "127.0.0.1"
    assert one["key"] == office.centre.keys.controller.key_id.hex()
    (*_, own) = (await office.ok("GET", "/api/v1/record?account=roots"))["items"]  # as it was started
    assert own["origin"] == "local"


async def test_an_export_proves_itself_against_the_roots(office: Office) -> None:
    await office.bulletin()
    reply = await office.client.get("/api/v1/record/export")
    assert reply.status_code == 200
    assert "loa-record.jsonl" in reply.headers["content-disposition"]
    (newest,) = (await office.ok("GET", "/api/v1/record?limit=1"))["items"]
    known = KnownHead(newest["number"], bytes.fromhex(newest["hash"]), newest["forks"])
    verdict = verify(reply.text.splitlines(keepends=True), [known], office.centre.keys.roots)
    assert (verdict.findings, verdict.entries) == ([], newest["number"])
    assert verdict.heads >= 1
    altered = reply.text.replace('"account":"admin"', '"account":"someone"', 1)
    assert altered != reply.text
    assert "entry_changed" in {one.code for one in verify(altered.splitlines(keepends=True)).findings}


async def test_what_nodes_were_told_is_empty_without_nodes_on_the_wire(office: Office) -> None:
    assert await office.ok("GET", "/api/v1/record/heads") == []


@pytest.mark.parametrize("path", ["/api/v1/record", "/api/v1/record/export", "/api/v1/record/heads"])
async def test_not_for_strangers(office: Office, path: str) -> None:
    transport = httpx.ASGITransport(app=office.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://loa.test") as nobody:
        problem(await nobody.get(path), 401, "auth_required")


async def test_it_is_read_by_auditors_and_administrators_alone() -> None:
    assert {role for role in Role if Permission.RECORD_READ in ROLES[role]} == {Role.AUDITOR, Role.PROVINCE_ADMIN}
