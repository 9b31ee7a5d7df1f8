"""Alerts in mixed weather, small: seeds that hold, and bugs that the rules about alerts find."""

import pytest

from loa.cli.simulation.alert_rules import known_at
from loa.cli.simulation.runs import Outcome, run_scenario
from loa.cli.simulation.scenarios import all_scenarios
from loa.units import InstantMs
from tests.world.planted import PLANTS

BOXES, DAYS = 14, 0.06
SEEDS = (3,)
FOUND_BY = {
    "drill_not_announced": ("drill", 1),
    "expiry_not_looked_at": ("expired", 1),
    "drill_as_good_as_live": ("live first", 7),
    "update_beside_what_it_updates": ("ended", 1),
}


def _storm(seed: int) -> Outcome:
    return run_scenario(all_scenarios()["alert-storm"], seed, boxes=BOXES, days=DAYS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_alerts_in_a_storm_hold(seed: int) -> None:
    outcome = _storm(seed)
    assert outcome.ok, "\n".join([*map(str, outcome.breaches), *outcome.tale()])
    assert outcome.soundings > 0
    assert outcome.troubles > 20


@pytest.mark.slow
@pytest.mark.parametrize("plant", FOUND_BY)
def test_a_planted_bug_about_alerts_is_found(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, seed = FOUND_BY[plant]
    PLANTS[plant](monkeypatch)
    assert rule in {breach.rule for breach in _storm(seed).breaches}


def test_from_when_a_box_could_know() -> None:
    there = [(InstantMs(0), InstantMs(50)), (InstantMs(100), InstantMs(130)), (InstantMs(200), InstantMs(900))]
    assert known_at(InstantMs(10), there, within_ms=40) == (50, 50)
    assert known_at(InstantMs(20), there, within_ms=40) == (240, 900)
    assert known_at(InstantMs(300), there, within_ms=40) == (340, 900)
    assert known_at(InstantMs(890), there, within_ms=40) is None
