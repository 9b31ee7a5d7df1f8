"""The worlds find bugs: each of these is put in, found by the rule it breaks, and taken out again."""

import pytest

from loa.cli.simulation.runs import run_scenario
from loa.cli.simulation.scenarios import all_scenarios
from tests.world.planted import PLANTS

FOUND_BY = {
    "started_not_durable": ("brown-out", "I3"),
    "owed_forgotten_at_a_restart": ("resent-until-confirmed", "I2"),
    "stop_not_remembered": ("cancel-comes-first", "I1"),
    "one_half_is_enough": ("one-of-two", "I1"),
    "heads_before_not_compared": ("record-written-anew", "record"),
    "restore_not_told": ("restored-from-yesterday", "record"),
    "old_branch_forgotten": ("restored-from-yesterday", "record"),
    "cancel_that_came_first_ignored": ("cancel-comes-first", "I1"),
}
IN_A_STORM = {"replanned_under_new_ids": "I3", "received_taken_for_started": "I5"}


@pytest.mark.slow
@pytest.mark.parametrize("plant", FOUND_BY)
def test_a_planted_bug_is_found_by_the_first_seed(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, rule = FOUND_BY[plant]
    PLANTS[plant](monkeypatch)
    outcome = run_scenario(all_scenarios()[scenario], 1)
    assert rule in {breach.rule for breach in outcome.breaches}
    assert any("BREACH" in line for line in outcome.tale())
    monkeypatch.undo()
    assert run_scenario(all_scenarios()[scenario], 1).ok


@pytest.mark.slow
@pytest.mark.parametrize("plant", IN_A_STORM)
def test_a_planted_bug_is_found_by_a_storm(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTS[plant](monkeypatch)
    found = (run_scenario(all_scenarios()["storm"], seed, boxes=6, days=1.0) for seed in range(1, 6))
    assert any(IN_A_STORM[plant] in {breach.rule for breach in outcome.breaches} for outcome in found)
