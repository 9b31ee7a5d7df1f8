"""Escalation by time: whom the province wants told, told by real servers, once, tried again, and in the record."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from controller.centre import Centre
from controller.config import CentreConfig
from controller.permissions import Role
from controller.tables import NoticeAddress
from controller.wire.common import keep_going
from devices.links.loopback import LoopbackLink
from tests.api.duty import PROVINCE, Duty
from tests.api.office import problem
from tests.api.test_alert_boards import released
from tests.receivers import mailbox, webhook

pytestmark = pytest.mark.slow
V1 = "/api/v1/escalation"


@pytest_asyncio.fixture
async def duty(duty: Duty) -> AsyncIterator[Duty]:
    await duty.person("quan-tri", Role.PROVINCE_ADMIN, PROVINCE)
    async with telling(duty.centre):
        yield duty


@contextlib.asynccontextmanager
async def telling(centre: Centre) -> AsyncIterator[None]:
    """Notices go out, as they do of a centre that is no simulated one."""
    task = asyncio.create_task(keep_going("notices", centre.transmitter.wire, centre.notices.turn))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def address(duty: Duty, url: str, name: str = "Trực ban") -> str:
    reply = await duty.people["quan-tri"].client.post(f"{V1}/addresses", json={"name": name, "url": url})
    assert reply.status_code == 201, reply.text
    assert "s3cret" not in reply.text
    return str(reply.json()["id"])


async def steps(duty: Duty, *asked: Any) -> None:
    reply = await duty.people["quan-tri"].client.put(f"{V1}/steps", json={"steps": list(asked)})
    assert reply.status_code == 200, reply.text


async def test_those_are_told_whom_the_province_set(duty: Duty) -> None:
    with mailbox() as box, webhook() as hook:
        mail = await address(
            duty, f"mailto://127.0.0.1:{box.port}?to=truc@example.vn&from=loa@example.vn&mode=insecure"
        )
        web = await address(duty, f"json://127.0.0.1:{hook.port}/s3cret-path", "Phòng chống thiên tai")
        await steps(
            duty,
            {"after_s": 30, "below_percent": 60, "addresses": [mail, web]},
            {"after_s": 60, "below_percent": 50, "addresses": [mail]},
            {"after_s": 90, "village_unreached": True, "addresses": [web]},
        )
        duty.boxes["mong-cai-1"].link.drop()
        alert = await released(duty, PROVINCE)
        await duty.clock.advance(28)
        assert (box.mails, hook.posts) == ([], [])
        await duty.clock.advance(4)
        assert len(box.mails) == len(hook.posts) == 1
        subject = box.mails[0][2]["Subject"]
        assert subject == "[KHẨN CẤP / EMERGENCY] Bão số 9: 1/2 loa đã phát, 1 thôn chưa nghe"
        assert "- thon-1 (300 người): " in hook.posts[0][2]["message"]
        await duty.clock.advance(40)  # half of them: not fewer than 50 %
        assert len(box.mails) == 1
        await duty.clock.advance(40)
        assert (len(box.mails), len(hook.posts)) == (1, 2)
    assert [detail for _, _, detail in await duty.deeds("escalate")] == [
        "after 30 s 1 of 2 nodes reached: 2 told", "after 90 s 1 of 2 nodes reached: 1 told",
    ]  # fmt: skip
    assert len(await duty.deeds("notice_sent")) == 3
    shown = (await duty.people["thu"].client.get(f"/api/v1/alerts/{alert['id']}/report.html")).text
    assert shown.count("Đã báo tin (Told)") == 3
    assert "s3cret" not in shown


async def test_drills_and_what_is_over_escalate_only_where_that_was_set(duty: Duty) -> None:
    with webhook() as hook:
        web = await address(duty, f"json://127.0.0.1:{hook.port}/x")
        live, both = ({"after_s": 20, "below_percent": 100, "drills": drills, "addresses": [web]} for drills in (0, 1))
        await steps(duty, live | {"drills": False})
        duty.boxes["mong-cai-1"].link.drop()
        await released(duty, PROVINCE, kind="drill")
        await duty.clock.advance(30)
        assert hook.posts == []
        await steps(duty, both | {"drills": True})
        await duty.clock.advance(1)
        await released(duty, PROVINCE, kind="drill", title="Diễn tập hai")
        await duty.clock.advance(30)
        assert {post[2]["title"].partition("]")[0] for post in hook.posts} == {"[DIỄN TẬP / DRILL"}
        told = len(hook.posts)
        thu = duty.people["thu"]
        alert = await released(duty, PROVINCE)
        await duty.clock.advance(5)
        await thu.client.post(f"/api/v1/alerts/{alert['id']}/cancel", json={"passphrase": thu.words})
        await duty.clock.advance(60)
        assert len(hook.posts) == told


async def test_tried_again_and_not_lost_by_a_restart(duty: Duty) -> None:
    """The mail server is away; the centre is stopped and started; then it comes, once."""
    with mailbox() as box:
        port = box.port
    gone = await address(duty, f"mailto://127.0.0.1:{port}?to=a@example.vn&from=l@example.vn&mode=insecure")
    await steps(duty, {"after_s": 10, "below_percent": 100, "addresses": [gone]})
    duty.boxes["mong-cai-1"].link.drop()
    alert = await released(duty, PROVINCE)
    await duty.clock.advance(20)
    assert duty.boxes["co-to-1"].sounds(alert["id"]), "whom it tells is not in the way of whom it warns"
    assert await duty.deeds("notice_sent", "notice_failed") == []
    await duty.centre.stop()
    config = CentreConfig(data=duty.folder / "data")
    centre = await Centre.start(config, duty.clock, link=LoopbackLink(duty.broker))
    try:
        async with telling(centre):
            with mailbox(port) as box:
                await duty.clock.advance(60)
                assert len(box.mails) == 1
        duty.centre = centre
        ((_, _, detail),) = await duty.deeds("notice_sent")
        assert detail.startswith(f"to {gone}, attempt ")
        assert int(detail.rpartition(" ")[2]) >= 3
        assert len(await duty.deeds("escalate")) == 1
    finally:
        await centre.stop()


async def test_what_was_not_delivered_is_not_told_after_a_cancel(duty: Duty) -> None:
    """Nobody is sent to the villages for a false alert that was taken back while the mail server was away."""
    with webhook() as hook:
        hook.status = 500
        web = await address(duty, f"json://127.0.0.1:{hook.port}/x")
        await steps(duty, {"after_s": 10, "below_percent": 100, "addresses": [web]})
        duty.boxes["mong-cai-1"].link.drop()
        alert, thu = await released(duty, PROVINCE), duty.people["thu"]
        await duty.clock.advance(12)
        tried = len(hook.posts)
        assert tried > 0
        await thu.client.post(f"/api/v1/alerts/{alert['id']}/cancel", json={"passphrase": thu.words})
        hook.status = 200
        await duty.clock.advance(3600)
        assert len(hook.posts) == tried
    ((_, _, detail),) = await duty.deeds("notice_sent", "notice_failed")
    assert "over" in detail


async def test_a_test_and_an_end(duty: Duty) -> None:
    admin, thu = duty.people["quan-tri"].client, duty.people["thu"].client
    with webhook() as hook:
        web = await address(duty, f"json://127.0.0.1:{hook.port}/s3cret-path")
        done = (await admin.post(f"{V1}/addresses/{web}/test")).json()
        assert done == {"sent": True, "trouble": ""}
        assert hook.posts[0][2]["title"] == "Loa: thử liên lạc / a test"
        hook.status = 500
        done = (await admin.post(f"{V1}/addresses/{web}/test")).json()
        assert (done["sent"], "500" in done["trouble"]) == (False, True)
        await duty.clock.advance(3600)
        assert len(hook.posts) == 2, "a test is not tried again"
    assert [verb for verb, _, _ in await duty.deeds("notice_sent", "notice_failed")] == ["notice_sent", "notice_failed"]
    await steps(duty, {"after_s": 10, "below_percent": 100, "addresses": [web]})
    seen = (await thu.get(V1)).json()
    assert seen["addresses"][0]["shown"].endswith("/…")
    kept = await duty.centre.reading(lambda db: db.get_one(NoticeAddress, web))
    assert b"s3cret" not in kept.sealed
    assert (await admin.delete(f"{V1}/addresses/{web}")).status_code == 204
    seen = (await thu.get(V1)).json()
    assert (seen["addresses"], seen["steps"][0]["addresses"]) == ([], [])
    problem(await admin.post(f"{V1}/addresses/{web}/test"), 404, "not_found")


async def test_what_is_not_taken(duty: Duty) -> None:
    admin = duty.people["quan-tri"].client
    problem(await admin.post(f"{V1}/addresses", json={"name": "x", "url": "file:///etc/passwd"}), 422,
            "bad_notice_address")  # fmt: skip
    good = await address(duty, "json://127.0.0.1:9/x")
    step = {"after_s": 60, "below_percent": 80, "addresses": [good]}
    for bad, code in (
        (step | {"addresses": []}, "field_required"),
        (step | {"below_percent": None}, "field_required"),
        (step | {"addresses": ["0" * 16]}, "not_found"),
    ):
        reply = await admin.put(f"{V1}/steps", json={"steps": [bad]})
        problem(reply, 404 if code == "not_found" else 422, code)
        assert reply.json()["field"].startswith("steps.0.")
    assert (await admin.put(f"{V1}/steps", json={"steps": [step | {"after_s": 1}]})).status_code == 422
    first = (await admin.put(f"{V1}/steps", json={"steps": [step]})).json()["steps"][0]["id"]
    again = (await admin.put(f"{V1}/steps", json={"steps": [step | {"after_s": 9}, step]})).json()["steps"]
    assert [one["id"] == first for one in again] == [False, True], "what stays as it was is not told twice"


async def test_steps_that_others_set_meanwhile_are_kept(duty: Duty) -> None:
    admin = duty.people["quan-tri"].client
    step = {"after_s": 60, "below_percent": 80, "addresses": [await address(duty, "json://127.0.0.1:9/y")]}
    was = (await admin.get(V1)).json()["content_hash"]
    theirs = (await admin.put(f"{V1}/steps", json={"steps": [step], "content_hash": was})).json()
    late = await admin.put(f"{V1}/steps", json={"steps": [], "content_hash": was})
    problem(late, 409, "content_changed")
    assert (await admin.get(V1)).json()["steps"] == theirs["steps"]
    none = await admin.put(f"{V1}/steps", json={"steps": [], "content_hash": theirs["content_hash"]})
    assert (none.status_code, none.json()["content_hash"]) == (200, "")
