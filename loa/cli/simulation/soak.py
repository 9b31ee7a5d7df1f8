"""Many worlds on all cores: `./run soak`. The mixed faults of the storm, a week of a province each by default."""

import argparse
import itertools
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field

from loa.cli.simulate import seeds_of, tell
from loa.cli.simulation.runs import Outcome, run_scenario
from loa.cli.simulation.scenarios import all_scenarios
from loa.clock import SystemClock


@dataclass
class Total:
    """What all seeds gave together."""

    failed: list[int] = field(default_factory=list)
    worlds: int = 0
    node_hours: float = 0.0
    broadcasts: int = 0
    soundings: int = 0
    troubles: int = 0

    def add(self, one: Outcome) -> None:
        self.worlds += 1
        self.node_hours += one.node_hours
        self.broadcasts += one.broadcasts
        self.soundings += one.soundings
        self.troubles += one.troubles
        if not one.ok:
            self.failed.append(one.seed)


def one_world(scenario: str, seed: int, boxes: int, days: float) -> Outcome:
    """What a worker does; a world that cannot be played counts as a breach with the seed in it."""
    return run_scenario(all_scenarios()[scenario], seed, boxes=boxes, days=days)


def soak(scenario: str, seeds: Iterator[int], *, boxes: int, days: float, minutes: float | None, workers: int) -> Total:
    """Run seeds until they or the minutes are used up; every breach is told as it is found."""
    clock, total = SystemClock(), Total()
    began_s = clock.monotonic_s()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=8) as pool:
        running: dict[Future[Outcome], int] = {}

        def more() -> None:
            while len(running) < workers:
                if minutes is not None and clock.monotonic_s() - began_s > minutes * 60:
                    return
                seed = next(seeds, None)
                if seed is None:
                    return
                running[pool.submit(one_world, scenario, seed, boxes, days)] = seed

        more()
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                running.pop(future)
                outcome = future.result()
                total.add(outcome)
                tell(outcome)
                sys.stdout.flush()
            more()
    wall_s = clock.monotonic_s() - began_s
    print(
        f"soak: {total.worlds} worlds of {boxes} boxes and {days:g} days, {total.node_hours:.0f} node-hours, "
        f"{total.broadcasts} broadcasts, {total.soundings} soundings, {total.troubles} faults injected, "
        f"{wall_s:.0f} s: {len(total.failed)} with a breach {total.failed or ''}"
    )
    return total


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 where any world broke a rule."""
    parser = argparse.ArgumentParser(prog="./run soak", description=__doc__)
    parser.add_argument("--minutes", type=float, help="stop beginning new worlds after this; else when seeds end")
    parser.add_argument("--seeds", help="A-B; without it and with --minutes, from 1 on; else 1-20")
    parser.add_argument("--boxes", type=int, help="how many; 50 of the storm, of another scenario as many as it has")
    parser.add_argument("--days", type=float, help="7 of the storm, of another scenario as long as it lasts")
    parser.add_argument("--scenario", default="storm")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    if given.seeds is None and given.minutes is not None:
        seeds: Iterator[int] = itertools.count(1)
    else:
        seeds = iter(seeds_of(None, given.seeds or "1-20"))
    scenario = all_scenarios().get(given.scenario)
    if scenario is None:
        parser.error(f"no scenario {given.scenario}; `loa simulate --list` has them")
    boxes, days = (50, 7.0) if scenario.name == "storm" else (scenario.boxes, scenario.days)
    total = soak(
        scenario.name, seeds, boxes=given.boxes or boxes, days=given.days or days, minutes=given.minutes,
        workers=given.workers,
    )  # fmt: skip
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
