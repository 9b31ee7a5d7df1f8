"""Centre, boxes and broker killed at random moments: nothing comes twice, nothing is forgotten, nothing is claimed."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from tests.brokers import Mosquitto
from tests.real.field import CLOCK, ENDS, Field, pause, sounded_s

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
KILLS = 20
SCHEDULED = 5
SECONDS = 3.0
CENTRAL = ("centre", "broker")


@dataclass
class Life:
    """When something was not running, or not yet connected again."""

    gaps: list[tuple[float, float]] = field(default_factory=list)

    def ran_through(self, begin_ms: float, end_ms: float) -> bool:
        return not any(down < end_ms and up > begin_ms for down, up in self.gaps)

    def ended_at(self, instant_ms: float) -> bool:
        """Whether it was killed about then."""
        return any(abs(down - instant_ms) < 2000 for down, _ in self.gaps)


@dataclass
class Storm:
    """Kills one thing at a time, and starts it again."""

    here: Field
    broker: Mosquitto
    dice: random.Random
    lives: dict[str, Life]
    done: list[str] = field(default_factory=list)

    async def run(self) -> None:
        kinds = ["centre"] * 7 + ["broker"] * 6 + ["box"] * 7
        self.dice.shuffle(kinds)
        for kind in kinds[:KILLS]:
            await pause(self.dice.random() * 1.5)
            down = CLOCK.now_ms()
            if kind == "broker":
                self.broker.stop()
                await pause(self.dice.random() * 1.5)
                self.broker.start()
            elif kind == "centre":
                self.here.centre.kill()
                await pause(self.dice.random())
                await self.here.centre.start()
            else:
                await self._box()
            if kind != "box":
                self.lives[kind].gaps.append((down, CLOCK.now_ms() + 6000))  # connections are back within this
            self.done.append(kind)

    async def _box(self) -> None:
        name = self.dice.choice(sorted(self.here.boxes))
        box, down = self.here.boxes[name], CLOCK.now_ms()
        box.kill()
        await pause(self.dice.random() * 2)
        box.launch()
        self.lives[name].gaps.append((down, CLOCK.now_ms() + 4000))  # it starts within this


@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(4, 10))])
async def test_kill_9_at_twenty_moments(seed: int, field_on: Callable[..., Field], mosquitto: Mosquitto) -> None:
    here, dice = field_on(mosquitto.url), random.Random(seed)
    centre = here.centre
    await here.open()
    for name in ("loa-1", "loa-2", "loa-3"):
        (await here.enrol(name, mosquitto.url)).launch()
    await here.ready()
    bulletins = [await centre.bulletin(SECONDS, f"B{n}", pitch=6 + n) for n in range(4)]
    for n in range(SCHEDULED):
        await centre.schedule(bulletins[n % 4], f"slot-{n}", in_s=14 + 8 * n)
    storm = Storm(here, mosquitto, dice, {name: Life() for name in (*here.boxes, "centre", "broker")})
    killing = asyncio.create_task(storm.run())
    said = []
    for n in range(8):
        said.append(await centre.say(bulletins[n % 4], f"now-{n}"))
        await pause(2 + dice.random() * 4)
    await killing
    await _quiet(here)
    found = await here.told([one["id"] for one in await centre.broadcasts()], within_s=60, over=("waiting",))
    broadcasts = {one["id"]: one for one in await centre.broadcasts()}
    print(f"killed {storm.done}; {_counts(found)}")
    assert sorted(one["title"] for one in broadcasts.values()) == sorted(
        [*(f"slot-{n}" for n in range(SCHEDULED)), *(f"now-{n}" for n in range(8))]
    ), "each was issued once"
    assert {one["id"] for one in broadcasts.values() if not one["scheduled"]} == set(said)
    for one in broadcasts.values():
        _check(here, storm, one, found[one["id"]])


async def _quiet(here: Field) -> None:
    """Until nothing is to come."""
    last = max([one["start_at"] for one in await here.centre.broadcasts()])
    await pause(max(0.0, datetime.fromisoformat(last).timestamp() - CLOCK.now_ms() / 1000) + SECONDS)


def _counts(found: dict[str, dict[str, str]]) -> dict[str, int]:
    every = [outcome for one in found.values() for outcome in one.values()]
    return {outcome: every.count(outcome) for outcome in sorted(set(every))}


def _check(here: Field, storm: Storm, broadcast: dict[str, str], outcomes: dict[str, str]) -> None:
    start_ms = datetime.fromisoformat(broadcast["start_at"]).timestamp() * 1000
    assert outcomes.keys() == here.boxes.keys(), "every node it was for is counted"
    for name, outcome in outcomes.items():
        what = f"{broadcast['title']} at {name}: {outcome}"
        recorded = here.boxes[name].recordings(broadcast["id"])
        undisturbed = all(storm.lives[one].ran_through(start_ms - 8000, start_ms + 5000) for one in (name, *CENTRAL))
        assert outcome in ENDS or not (undisturbed or broadcast["scheduled"]), what  # never reached while it lasted
        assert len(recorded) <= 1, f"{what}: begun twice"
        if undisturbed:
            assert outcome == "finished", what
        if outcome == "finished":
            assert recorded, f"{what}: claimed, but nothing was heard"
            assert sounded_s(recorded[0]) > 0, what  # one that came late joined in phase, so it may be short
        elif broadcast["scheduled"] and recorded:  # what came late may begin later, within its grace
            assert storm.lives[name].ended_at(recorded[0].stat().st_mtime * 1000), f"{what}: broken off while it lived"
        elif broadcast["scheduled"]:
            assert not storm.lives[name].ran_through(start_ms - 8000, start_ms + 1000 * SECONDS + 1000), what
        if outcome in ("skipped", "waiting"):
            assert not recorded, f"{what}: but it was heard"
