"""Alerts while another process holds the tables: they sound, they are told, and afterwards the tables say so."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlmodel import col, select

from controller.alert_desk import OwnKey
from controller.backup.making import make_backup, restore
from controller.backup.sealing import new_key
from controller.centre import Centre
from controller.config import CentreConfig
from controller.peoplekeys import Cost
from controller.services.alerts import Seen
from controller.tables import Alert, AlertApproval, Broadcast, OwedOrder, RecordEntry
from devices.links.loopback import LoopbackBroker, LoopbackLink
from loa.entropy import system_entropy
from loa.precedence import Kind
from tests.api.duty import ALERTS, CO_TO, PROVINCE, Duty, on_duty
from tests.api.test_alert_words import STORM
from tests.api.test_alerts import outcome
from tests.foreign import locked

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
async def duty(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Duty]:  # fmt: skip
    monkeypatch.setattr("controller.peoplekeys.COST", Cost(8, 1, 1))
    monkeypatch.setattr("controller.services.settings_changes.STORED_WITHIN_MS", 2000)
    url = request.getfixturevalue("postgres").fresh_url() if request.param == "postgresql" else ""
    async with on_duty(tmp_path, database=url) as world:
        world.centre.db._busy_ms = 1  # one thread: whoever waited for the lock would hold up all
        yield world


@contextlib.asynccontextmanager
async def away(duty: Duty) -> AsyncIterator[None]:
    """The tables are locked, after everybody has shown a fresh code."""
    for person in duty.people.values():
        await duty.fresh(person)
    with locked(duty.centre.db.engine.url):
        yield


async def rows(duty: Duty, table: Any) -> list[Any]:
    return list(await duty.centre.reading(lambda session: session.exec(select(table)).all()))


async def verbs(duty: Duty, alert: Any) -> list[str]:
    query = select(RecordEntry.verb).where(RecordEntry.object_id == alert["id"]).order_by(col(RecordEntry.number))
    return list(await duty.centre.reading(lambda session: session.exec(query).all()))


async def test_a_release_goes_out_though_nobody_waits_for_the_answer(
    duty: Duty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection of the second approver breaks in the moment of the commit."""
    thu, hai = duty.people["thu"], duty.people["hai"]
    alert = await duty.compose(thu, PROVINCE)
    outcome(await duty.approve(thu, alert), 202, "second_person_required")
    desk, work = duty.centre.alerts, duty.centre.db.unit_of_work
    asked: list[asyncio.Task[Any]] = []

    async def broken_off(*what: Any, **how: Any) -> Any:
        done = await work(*what, **how)
        if how.get("hurry"):
            asked[0].cancel()
            await asyncio.sleep(0)
        return done

    monkeypatch.setattr(duty.centre.db, "unit_of_work", broken_off)
    await duty.fresh(hai)
    seen = Seen(Kind.LIVE, alert["body_sha256"])
    asked.append(asyncio.create_task(desk.approve(alert["id"], seen, OwnKey(hai.words), account=hai.name)))
    with pytest.raises(asyncio.CancelledError):
        await asked[0]
    await duty.clock.advance(3.0)
    assert all(box.sounds(alert["id"]) for box in duty.boxes.values())


async def test_two_people_release_behind_the_lock(duty: Duty) -> None:
    thu, hai = duty.people["thu"], duty.people["hai"]
    alert = await duty.compose(thu, PROVINCE)
    async with away(duty):
        first = outcome(await duty.approve(thu, alert, fresh=False), 202, "second_person_required")
        assert [one["holder"] for one in first["alert"]["approvals"]] == ["thu"]
        released = outcome(await duty.approve(hai, alert, fresh=False), 200, "released")
        assert released["alert"]["status"] == "released"
        again = outcome(await duty.approve(hai, alert, fresh=False), 200, "released")
        assert again["alert"]["released_at"] == released["alert"]["released_at"]
        await duty.clock.advance(3.0)
        assert all(box.sounds(alert["id"]) for box in duty.boxes.values())
        assert await rows(duty, Broadcast) == []
    await duty.clock.advance(20.0)
    seen = await duty.get(thu, alert)
    assert (seen["status"], seen["released_at"]) == ("released", released["alert"]["released_at"])
    assert await verbs(duty, alert) == ["compose", "approve", "approve", "release"]
    assert len(await rows(duty, Broadcast)) == 1
    assert duty.centre.alerts._log.deeds == ()
    owed = await rows(duty, OwedOrder)
    assert {one.order for one in owed if one.action == 1} == {alert["id"]}
    assert len({one.payload for one in owed if one.order == alert["id"]}) == 1
    coverage = (await thu.client.get(f"/api/v1/broadcasts/{alert['id']}/coverage")).json()
    assert {one["outcome"] for one in coverage["detail"]} == {"started"}


async def test_two_who_release_at_the_same_moment(duty: Duty) -> None:
    thu, hai = duty.people["thu"], duty.people["hai"]
    alert = await duty.compose(thu, PROVINCE)
    async with away(duty):
        both = await asyncio.gather(*(duty.approve(one, alert, fresh=False) for one in (thu, hai, thu, hai)))
        assert sorted({one.json()["outcome"] for one in both}) == ["released", "second_person_required"]
    await duty.clock.advance(5.0)
    assert (await verbs(duty, alert)).count("release") == 1
    assert len(await rows(duty, AlertApproval)) == 2
    for box in duty.boxes.values():
        assert box.sounds(alert["id"])


async def test_a_cancel_behind_the_lock(duty: Duty) -> None:
    """One was released before, the other meanwhile: both end at once."""
    thu, hai, lan = (duty.people[name] for name in ("thu", "hai", "lan"))
    before, meanwhile = await duty.compose(lan, CO_TO), await duty.compose(thu, PROVINCE)
    outcome(await duty.approve(lan, before), 200, "released")
    await duty.clock.advance(2.0)
    async with away(duty):
        reply = await lan.client.post(f"{ALERTS}/{before['id']}/cancel", json={"passphrase": lan.words})
        assert (reply.status_code, reply.json()["status"]) == (200, "cancelled"), reply.text
        outcome(await duty.approve(thu, meanwhile, fresh=False), 202, "second_person_required")
        outcome(await duty.approve(hai, meanwhile, fresh=False), 200, "released")
        await duty.clock.advance(2.0)
        assert all(box.sounds(meanwhile["id"]) for box in duty.boxes.values())
        reply = await hai.client.post(f"{ALERTS}/{meanwhile['id']}/cancel", json={"passphrase": hai.words})
        assert (reply.status_code, reply.json()["status"]) == (200, "cancelled"), reply.text
        refused = await duty.approve(thu, meanwhile, fresh=False)
        assert (refused.status_code, refused.json()["code"]) == (409, "alert_over")
        await duty.clock.advance(12.0)
        assert [box.node.status().playing for box in duty.boxes.values()] == [None, None]
    await duty.clock.advance(5.0)
    assert {one.status for one in await rows(duty, Alert)} == {"cancelled"}
    assert (await verbs(duty, meanwhile))[:5] == ["compose", "approve", "approve", "release", "cancel"]
    assert [box.node.status().playing for box in duty.boxes.values()] == [None, None]


async def test_a_backup_behind_the_lock_has_what_only_the_log_holds(
    duty: Duty, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Restored, the centre says first that it goes on from a backup, then what was done behind the lock."""
    lan, config = duty.people["lan"], duty.centre.config
    alert = await duty.compose(lan, CO_TO)
    key = tmp_path / "backup.key"
    to, public = tmp_path / "loa.age", new_key(key)
    async with away(duty):
        outcome(await duty.approve(lan, alert, fresh=False), 200, "released")
        make_backup(
            data=config.data, database_url=config.database_url, province=PROVINCE, to=to, recipients=[public],
            now_ms=duty.clock.now_ms(), entropy=system_entropy,
        )  # fmt: skip
    await duty.clock.advance(5.0)
    assert duty.centre.alerts._log.deeds == ()
    there = tmp_path / "restored"
    url = request.getfixturevalue("postgres").fresh_url() if "postgresql" in config.database_url else ""
    restore(to, key=key, data=there, database_url=url)
    link = LoopbackLink(LoopbackBroker())
    centre = await Centre.start(CentreConfig(data=there, database=url), duty.clock, link=link)
    try:
        query = select(RecordEntry.verb).order_by(col(RecordEntry.number).desc()).limit(4)
        await duty.clock.advance(5.0)
        told = await centre.reading(lambda session: list(session.exec(query).all()))
        assert [one for one in reversed(told) if one != "trust"][-3:] == ["restore", "approve", "release"]
        assert (await centre.reading(lambda session: session.get_one(Alert, alert["id"]))).status == "released"
        assert await centre.reading(lambda session: session.get_one(Broadcast, alert["id"])) is not None
        assert centre.alerts._log.deeds == ()
    finally:
        await centre.stop()


async def test_a_box_that_boots_behind_the_lock_hears_what_only_the_log_holds(duty: Duty) -> None:
    lan, box = duty.people["lan"], duty.boxes["co-to-1"]
    alert = await duty.compose(lan, CO_TO)
    box.link.drop("away")
    await duty.clock.advance(2.0)
    async with away(duty):
        outcome(await duty.approve(lan, alert, fresh=False), 200, "released")
        await duty.clock.advance(30.0)
        assert not box.sounds(alert["id"])
        box.link.restore()
        await duty.clock.advance(3.0)
        assert box.sounds(alert["id"])
    await duty.clock.advance(5.0)


async def test_refusals_are_as_ever(duty: Duty) -> None:
    thu, lan = duty.people["thu"], duty.people["lan"]
    alert = await duty.compose(thu, PROVINCE)
    async with away(duty):
        wrong = await duty.approve(thu, alert, fresh=False, body_sha256="0" * 64)
        assert (wrong.status_code, wrong.json()["code"]) == (409, "content_changed")
        narrow = await duty.approve(lan, alert, fresh=False)
        assert narrow.status_code in (403, 404), narrow.text
        assert duty.centre.alerts._log.deeds == ()
        assert await duty.silent()


async def test_on_a_full_disk(duty: Duty) -> None:
    if duty.centre.db.engine.dialect.name != "sqlite":
        pytest.skip("a server's disk is not ours to fill")
    lan, box = duty.people["lan"], duty.boxes["co-to-1"]
    alert = await duty.compose(lan, CO_TO)
    await duty.fresh(lan)
    with duty.centre.db.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    outcome(await duty.approve(lan, alert, fresh=False), 200, "released")
    await duty.clock.advance(3.0)
    assert box.sounds(alert["id"])
    with duty.centre.db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1073741823")
    await duty.clock.advance(5.0)
    assert (await verbs(duty, alert)) == ["compose", "approve", "release"]
    assert duty.centre.alerts._log.deeds == ()


@pytest.mark.needs("espeak-ng")
async def test_words_of_its_own(duty: Duty) -> None:
    """What is spoken for this alert alone counts as approved with it, and streams behind the lock."""
    lan = duty.people["lan"]
    reply = await lan.client.post(ALERTS, json=STORM)
    assert reply.status_code == 201, reply.text
    alert = reply.json()
    async with away(duty):
        outcome(await duty.approve(lan, alert, fresh=False), 200, "released")
        await duty.clock.advance(5.0)
        assert duty.boxes["co-to-1"].sounds(alert["id"])
    await duty.clock.advance(5.0)
    assert "release" in await verbs(duty, alert)
    assert duty.centre.alerts._log.deeds == ()
