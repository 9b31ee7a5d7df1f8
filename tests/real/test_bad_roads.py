"""Boxes behind bad roads: what they get in time, and what becomes of a road that falls silent."""

from collections.abc import AsyncIterator, Callable

import pytest

from simulators.relay import Cut, CutRelay
from simulators.slow_link import FAR_COMMUNE, LOSSY_ISLAND, SATELLITE, SlowLink
from tests.brokers import Mosquitto
from tests.controller.wire.waiting import eventually
from tests.real.field import CLOCK, Field, sounded_s

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
PROFILES = {"satellite": SATELLITE, "far-commune": FAR_COMMUNE, "lossy-island": LOSSY_ISLAND}


@pytest.fixture
async def roads(mosquitto: Mosquitto) -> AsyncIterator[dict[str, SlowLink]]:
    """One of each kind to the broker."""
    made = {
        name: SlowLink.like(profile, CLOCK, "127.0.0.1", mosquitto.port, seed=7) for name, profile in PROFILES.items()
    }
    for road in made.values():
        await road.start()
    yield made
    for road in made.values():
        await road.stop()


async def test_boxes_on_bad_roads_prefetch_and_play(field: Field, roads: dict[str, SlowLink]) -> None:
    centre = field.centre
    await field.open()
    for name, road in roads.items():
        (await field.enrol(name, f"mqtt://127.0.0.1:{road.port}")).launch()
    await field.ready(within_s=60)
    slot = await centre.schedule(await centre.bulletin(12, "Bản tin"), "slot", in_s=24)
    await eventually(lambda: _planned(field, slot["id"]), every_s=0.2)
    planned = next(one for one in await centre.broadcasts() if one["programme"] == slot["id"])
    begun_s = CLOCK.monotonic_s()

    async def all_ready() -> bool:
        return set((await centre.outcomes(planned["id"])).values()) <= {"ready", "started", "finished"}

    await eventually(all_ready, within_s=60, every_s=0.2)
    prefetched_s = CLOCK.monotonic_s() - begun_s
    now = await centre.say(await centre.bulletin(6, "Ngay", pitch=12), "now")
    found = await field.told([planned["id"], now], within_s=90)
    assert all(outcome == "finished" for one in found.values() for outcome in one.values()), found
    detail = (await centre.ask("GET", f"/broadcasts/{planned['id']}/coverage"))["detail"]
    late = {one["node"]: one["late_ms"] for one in detail}
    print(
        f"prefetched {prefetched_s:.1f} s after it was planned; late by {late} ms; {roads['lossy-island'].stalls} lost"
    )
    assert max(abs(ms) for ms in late.values()) < 500
    for name, box in field.boxes.items():
        recorded = box.recordings(planned["id"])
        assert len(recorded) == 1, name
        assert sounded_s(recorded[0]) == pytest.approx(12, abs=1.5), name


async def _planned(here: Field, programme: str) -> bool:
    return any(one["programme"] == programme for one in await here.centre.broadcasts())


@pytest.mark.soak
async def test_a_half_open_road(field: Field, mosquitto: Mosquitto) -> None:
    """Nothing passes and nobody is told: the slot is played, the order that was missed comes when the road is back."""
    centre = field.centre
    await field.open()
    relay = CutRelay("127.0.0.1", mosquitto.port)
    await relay.start()
    try:
        cut_off = await field.enrol("cut-off", f"mqtt://127.0.0.1:{relay.port}")
        near = await field.enrol("near", mosquitto.url)
        cut_off.launch()
        near.launch()
        await field.ready()
        bulletin = await centre.bulletin(3, "Bản tin")
        await field.told([await centre.say(bulletin, "before")])
        long = await centre.bulletin(12, "Dài", pitch=11)
        slot = await centre.schedule(bulletin, "slot", in_s=12)
        await eventually(lambda: _planned(field, slot["id"]), every_s=0.2)
        planned = next(one["id"] for one in await centre.broadcasts() if one["programme"] == slot["id"])
        await eventually(lambda: centre.all_have(planned, "ready"), every_s=0.2)
        relay.cut(Cut.HALF_OPEN)
        await eventually(lambda: bool(cut_off.recordings(planned)) and bool(near.recordings(planned)), within_s=30)
        missed = await centre.say(long, "missed")
        await eventually(lambda: bool(near.recordings(missed)), within_s=15)
        assert (await centre.outcomes(missed))["cut-off"] == "waiting", "nothing is claimed"
        relay.mend()
        found = await field.told([planned, missed], within_s=60)
        assert found[planned] == {"cut-off": "finished", "near": "finished"}
        assert found[missed]["near"] == "finished"
        assert found[missed]["cut-off"] in ("finished", "skipped"), "joined in phase, or too late for it; told"
        assert len(cut_off.recordings(planned)) == 1
    finally:
        await relay.stop()


@pytest.mark.soak
async def test_a_half_open_road_is_given_up_without_being_told(
    field_on: Callable[..., Field], mosquitto: Mosquitto
) -> None:
    """Nobody resets the old connection: the box itself notices within 1.5 keepalives of 30 s, and connects anew."""
    field = field_on(mosquitto.url)
    await field.open()
    relay = CutRelay("127.0.0.1", mosquitto.port)
    await relay.start()
    try:
        box = await field.enrol("cut-off", f"mqtt://127.0.0.1:{relay.port}")
        box.launch()
        await field.ready()
        relay.cut(Cut.HALF_OPEN)
        begun_s = CLOCK.monotonic_s()
        await eventually(lambda: relay.connections >= 2 or "again in" in box.log, within_s=70, every_s=0.2)
        print(f"given up after {CLOCK.monotonic_s() - begun_s:.0f} s")
        relay.mend()
        await field.ready(within_s=60)
    finally:
        await relay.stop()
