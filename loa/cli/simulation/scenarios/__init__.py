"""Scenarios: what goes wrong, and what must hold all the same. One function each, in plain words."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module

from loa.cli.simulation.world import World

Run = Callable[[World], Awaitable[None]]
MODULES = (
    "broker", "centre", "power", "wire", "attack", "attack_broker", "attack_keys", "attack_reports",
    "attack_time", "attack_media", "attack_disk",
    "clocks", "emergency", "wired", "restore", "mixed", "alerts",
)  # fmt: skip
ATTACKS = "attack"
"""Modules that begin with this are somebody else's doing."""


@dataclass(frozen=True)
class Scenario:
    """A named world. `fault` is its number among the thirty that the whole system is held against; 0: none of them."""

    name: str
    fault: int
    run: Run
    boxes: int
    days: float
    starts: str
    """The local instant at which the world begins."""

    @property
    def words(self) -> str:
        return " ".join((self.run.__doc__ or "").split())

    @property
    def is_attack(self) -> bool:
        return self.run.__module__.rpartition(".")[2].startswith(ATTACKS)


_SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *, fault: int = 0, boxes: int = 3, days: float = 0.0, starts: str = "2026-11-23T04:00"
) -> Callable[[Run], Run]:
    """Register a function under its own name, with hyphens."""

    def register(run: Run) -> Run:
        name = run.__name__.replace("_", "-")
        _SCENARIOS[name] = Scenario(name, fault, run, boxes, days, starts)
        return run

    return register


def all_scenarios() -> dict[str, Scenario]:
    """By name, in the order in which they are written."""
    for module in MODULES:
        import_module(f"{__name__}.{module}")
    return _SCENARIOS
