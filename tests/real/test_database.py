"""Another process holds the database for a while: what was accepted goes on, and the rest is told in time."""

import asyncio
import sqlite3

import pytest

from tests.brokers import Mosquitto
from tests.controller.wire.waiting import eventually
from tests.real.field import CLOCK, CentreProcess, Field, pause

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]

ANSWER_WITHIN_S = 8.0
"""The database's own 5 s, and what a busy machine adds."""


@pytest.mark.parametrize("locked_s", [15, pytest.param(30, marks=pytest.mark.soak)])
async def test_locked_by_somebody_else(locked_s: float, field: Field, mosquitto: Mosquitto) -> None:
    centre = field.centre
    await field.open()
    for name in ("loa-1", "loa-2", "loa-late"):
        (await field.enrol(name, mosquitto.url)).launch()
    await field.ready()
    late = field.boxes["loa-late"]
    long, short = await centre.bulletin(9, "Dài"), await centre.bulletin(2, "Ngắn", pitch=11)
    await field.told([await centre.say(long, "before")], within_s=40)
    slot = await centre.schedule(short, "slot", in_s=16)
    await eventually(lambda: _planned(centre, "slot"), every_s=0.2)
    await pause(1)  # the timetable reaches the boxes; its audio will only be asked for behind the lock
    late.kill()
    accepted = await centre.say(long, "accepted")
    other = sqlite3.connect(centre.data / "loa.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun_s = CLOCK.monotonic_s()
    late.launch()
    try:
        refusals = await asyncio.gather(*(_refused(field, long, f"in-vain-{n}") for n in range(6)))
        print(f"six requests refused after {min(refusals):.1f} to {max(refusals):.1f} s")
        assert max(refusals) < ANSWER_WITHIN_S
        await eventually(lambda: bool(late.recordings(accepted)), within_s=20)
        assert (await centre.ask("GET", "/broadcasts"))["items"], "reading goes on"
        async with centre.client() as client:
            assert (await client.get("/healthz")).json()["database"] == "failed"
        planned = next(one for one in await centre.broadcasts() if one["programme"] == slot["id"])
        await eventually(lambda: all(box.recordings(planned["id"]) for box in field.boxes.values()), within_s=30)
        await pause(max(0.0, locked_s - (CLOCK.monotonic_s() - begun_s)))
    finally:
        other.execute("ROLLBACK")
        other.close()
    freed_s = CLOCK.monotonic_s()
    found = await field.told([accepted, planned["id"]], within_s=30)
    assert all(outcome == "finished" for one in found.values() for outcome in one.values()), found
    after = await centre.say(short, "after")
    print(f"all recorded and the next one accepted {CLOCK.monotonic_s() - freed_s:.1f} s after the lock was gone")
    await field.told([after])
    titles = [one["title"] for one in await centre.broadcasts()]
    assert not [title for title in titles if title.startswith("in-vain")], "what was refused was not done"
    for box in field.boxes.values():
        assert len(box.recordings(accepted)) == len(box.recordings(planned["id"])) == 1
    async with centre.client() as client:
        assert (await client.get("/healthz")).json()["database"] == "ok"


async def _planned(centre: CentreProcess, title: str) -> bool:
    return any(one["title"] == title for one in await centre.broadcasts())


async def _refused(field: Field, bulletin: str, title: str) -> float:
    """How long the centre took to say that it cannot."""
    begun_s = CLOCK.monotonic_s()
    body = {"bulletins": [bulletin], "target_areas": ["quang-ninh/co-to"], "title": title}
    reply = await field.centre.reply("POST", "/broadcasts", json=body, headers={"Idempotency-Key": title})
    assert (reply.status_code, reply.json()["code"]) == (503, "database_busy"), reply.text
    return CLOCK.monotonic_s() - begun_s
