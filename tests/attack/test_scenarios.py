"""What attackers try in virtual time: no second of it sounds, each try is counted, and the right keys are heard."""

from collections.abc import Callable
from typing import Any

import pytest

from devices.protocol import approval, judge
from devices.protocol.authority import Authority
from devices.protocol.cose import Signature
from devices.protocol.grants import Grant
from devices.protocol.media import Manifest
from devices.protocol.refusal import WireRefusal
from devices.protocol.trust import Power
from loa.cli.simulation.runs import Outcome, run_scenario
from loa.cli.simulation.scenarios import all_scenarios
from loa.cli.simulation.tried import table
from loa.units import InstantMs, KeyId

ATTACKS = [name for name, one in all_scenarios().items() if one.is_attack]
QUICK = ("one-alert-for-each-commune", "stolen-box")


def _silent(outcome: Outcome) -> None:
    assert outcome.ok, "\n".join([*map(str, outcome.breaches), *outcome.tale()])
    assert outcome.tried, "nothing was tried"
    for one in outcome.tried:
        assert one.unauthorised_s == 0.0
        assert 0 < one.attempts <= one.counted, one
        assert one.heard, one
    assert all("0.0 s" in line for line in list(table(outcome.tried))[1:])


@pytest.mark.parametrize("name", QUICK)
def test_nothing_of_an_attack_sounds(name: str) -> None:
    _silent(run_scenario(all_scenarios()[name], 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in QUICK])
def test_nothing_of_the_other_attacks_sounds(name: str) -> None:
    _silent(run_scenario(all_scenarios()[name], 1))


# Each control is taken away in turn, to see that the seconds are measured and not merely hoped for.


def signatures_unchecked(patch: pytest.MonkeyPatch) -> None:
    """Whoever signs is taken for the controller."""
    whole = Authority.check_signature

    def anybody(self: Authority, signature: Signature) -> KeyId:
        controllers = [key for key, grants in self.grants.items() if any(Power.RENEW in one.powers for one in grants)]
        return controllers[0] if controllers else whole(self, signature)

    patch.setattr(Authority, "check_signature", anybody)


def one_half_is_enough(patch: pytest.MonkeyPatch) -> None:
    """One person of the province releases alone."""
    patch.setattr(approval, "is_enough_alone", lambda grant: True)


def retained_orders_obeyed(patch: pytest.MonkeyPatch) -> None:
    whole: Callable[..., object] = judge.judge_order
    patch.setattr(
        "devices.node.ordering.judge_order", lambda payload, **more: whole(payload, **more | {"retained": False})
    )


def blocks_unchecked(patch: pytest.MonkeyPatch) -> None:
    """Whatever comes is taken for what the manifest names."""
    patch.setattr(Manifest, "block_holds", lambda self, index, data: True)


def mandates_for_ever(patch: pytest.MonkeyPatch) -> None:
    """A mandate that was in date once is in date."""
    whole = Authority._why_not

    def once(self: Authority, grant: Grant, power: Power, now_ms: InstantMs, **more: Any) -> WireRefusal | None:
        return whole(self, grant, power, grant.not_before, **more)

    patch.setattr(Authority, "_why_not", once)


PLANTS = {
    "signatures_unchecked": (signatures_unchecked, "stolen-box"),
    "one_half_is_enough": (one_half_is_enough, "one-alert-for-each-commune"),
    "retained_orders_obeyed": (retained_orders_obeyed, "retained-orders"),
    "blocks_unchecked": (blocks_unchecked, "audio-swapped-on-the-way"),
    "mandates_for_ever": (mandates_for_ever, "stolen-open-disk"),
}


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS)
def test_without_a_control_its_attack_sounds(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away, scenario = PLANTS[plant]
    take_away(monkeypatch)
    outcome = run_scenario(all_scenarios()[scenario], 1)
    assert not outcome.ok
    assert sum(one.unauthorised_s for one in outcome.tried) > 0, [*map(str, outcome.breaches)]
