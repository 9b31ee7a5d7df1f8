"""Every scenario holds, a seed repeats to the byte, and dozens of storms break nothing."""

import subprocess
import sys

import pytest

from loa.cli.simulation.runs import Outcome, run_scenario
from loa.cli.simulation.scenarios import all_scenarios
from loa.cli.simulation.soak import one_world

QUICK = ("brown-out", "cancel-comes-first")
LARGE = ("storm", "quiet-week")
STORMS = 24
OTHERS = [name for name, one in all_scenarios().items() if name not in (*QUICK, *LARGE) and not one.is_attack]
"""What attackers do is in tests/attack."""


def _holds(outcome: Outcome) -> None:
    assert outcome.ok, "\n".join([f"seed {outcome.seed}", *map(str, outcome.breaches), *outcome.tale()])


@pytest.mark.parametrize("name", QUICK)
def test_a_scenario_holds(name: str) -> None:
    outcome = run_scenario(all_scenarios()[name], 1)
    _holds(outcome)
    assert outcome.troubles > 0
    assert outcome.soundings > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_each_of_the_other_scenarios_holds(name: str) -> None:
    _holds(run_scenario(all_scenarios()[name], 1))


def test_every_scenario_says_in_words_what_must_hold() -> None:
    for one in all_scenarios().values():
        assert len(one.words) > 40, one.name


@pytest.mark.slow
def test_a_seed_repeats_to_the_byte_in_another_process() -> None:
    """Under another order of hashes, too."""

    def told(hashes: str) -> bytes:
        options = ["--seed", "3", "--boxes", "4", "--days", "0.2"]
        command = [sys.executable, "-c", "from loa.cli.main import main; main()", "simulate", "storm", *options]
        done = subprocess.run(
            [*command, "--story"], capture_output=True, check=True, env={"PYTHONHASHSEED": hashes, "PATH": "/usr/bin"}
        )
        return done.stdout.rpartition(b"storm, seed")[0]  # the last line says how long it took

    first = told("1")
    assert first.count(b"\n") > 60
    assert told("2") == first


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, STORMS + 1))
def test_a_day_of_storm_breaks_nothing(seed: int) -> None:
    _holds(one_world("storm", seed, 12, 1.0))
