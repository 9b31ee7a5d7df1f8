"""Bugs put in on purpose, one at a time, to see that the worlds find them."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import update

from controller import restored
from controller.services import coverage, planning, receipts
from controller.tables import OwedOrder
from controller.wire.transmitter import Transmitter
from devices.node import ordering, plan, records
from devices.node.conductor import Conductor
from devices.node.ledger import Ledger, Play
from devices.node.ordering import Ordering
from devices.node.records import Records
from devices.protocol import approval, judge, record
from devices.protocol.reports import Receipt
from loa.units import Id16
from scheduler.rules import air

Plant = Callable[[pytest.MonkeyPatch], None]


def started_not_durable(patch: pytest.MonkeyPatch) -> None:
    """A box notes STARTED in memory only, and sounds."""
    mark = Ledger.mark

    def forgetful(self: Ledger, play: Play, *subjects: Id16) -> None:
        if play is Play.BEGUN:
            self._plays.update(dict.fromkeys(subjects, play))
        else:
            mark(self, play, *subjects)

    patch.setattr(Ledger, "mark", forgetful)


def replanned_under_new_ids(patch: pytest.MonkeyPatch) -> None:
    """Each planning forgets what was planned before and gives every slot a fresh id."""
    count = iter(range(1 << 30))
    patch.setattr(planning, "_planned", lambda session, since: ([], frozenset()))
    patch.setattr(planning, "broadcast_id", lambda slot, generation: Id16(next(count).to_bytes(16, "big")))


def owed_forgotten_at_a_restart(patch: pytest.MonkeyPatch) -> None:
    """A centre that starts takes everything that is owed as done."""
    start = Transmitter.start

    async def forgetful(self: Transmitter) -> None:
        now = self.wire.clock.now_ms()
        await self.wire.db.unit_of_work(
            lambda session: session.execute(update(OwedOrder).values(confirmed_at=now)) and None
        )
        await start(self)

    patch.setattr(Transmitter, "start", forgetful)


def stop_not_remembered(patch: pytest.MonkeyPatch) -> None:
    """A box acts on a stop and forgets it."""
    patch.setattr(Records, "keep_ending", lambda self, subject, order, kept: None)


def one_half_is_enough(patch: pytest.MonkeyPatch) -> None:
    """Nodes and centre let one person of the province release an emergency."""
    patch.setattr(approval, "is_enough_alone", lambda grant: True)


def received_taken_for_started(patch: pytest.MonkeyPatch) -> None:
    """The centre takes RECEIVED for STARTED."""
    advance = coverage.advance

    def boastful(line: Any, receipt: Receipt) -> Any:
        done = advance(line, receipt)
        return replace(done, started_at=done.started_at or receipt.at)

    patch.setattr(receipts, "advance", boastful)


def heads_before_not_compared(patch: pytest.MonkeyPatch) -> None:
    """A box looks at the number of a head alone, not at those that it names."""
    check = record.check_head
    patch.setattr(judge, "check_head", lambda head, held: check(replace(head, after=()), held))


def restore_not_told(patch: pytest.MonkeyPatch) -> None:
    """A restored centre goes on as if nothing had been."""
    patch.setattr(restored, "write_restore", lambda session, ctx, *, backup, detail: False)


def old_branch_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A box that is told of a new branch keeps that alone."""
    patch.setattr(records, "with_head", lambda head, held: (*(one for one in held if one.forks == head.forks), head))


def cancel_that_came_first_ignored(patch: pytest.MonkeyPatch) -> None:
    """A box sounds what was ended before it came."""
    patch.setattr(Ordering, "was_ended", lambda self, plan: False)


def drill_not_announced(patch: pytest.MonkeyPatch) -> None:
    """A box sounds a drill without saying that it is one."""
    patch.setattr(plan, "_announced", lambda kind, settings, parts: parts)


def expiry_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """A box goes on with an alert until somebody ends it."""
    plan_of_order = plan.plan_of_order
    patch.setattr(ordering, "plan_of_order", lambda *given: replace(plan_of_order(*given), expires_at=None))


def drill_as_good_as_live(patch: pytest.MonkeyPatch) -> None:
    """A live alert does not take the air from a drill."""
    patch.setattr(air, "rank", lambda claim: (int(claim.precedence), 0))


def update_beside_what_it_updates(patch: pytest.MonkeyPatch) -> None:
    """A box sounds an update, and the alert that it takes the place of after it."""
    patch.setattr(Conductor, "_withdraw", lambda self, ancestor, successor: None)
    patch.setattr(Records, "keep_ending", lambda self, subject, order, kept: None)


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        started_not_durable, replanned_under_new_ids, owed_forgotten_at_a_restart,
        stop_not_remembered, received_taken_for_started, one_half_is_enough,
        heads_before_not_compared, restore_not_told, old_branch_forgotten,
        cancel_that_came_first_ignored, drill_not_announced, expiry_not_looked_at, drill_as_good_as_live,
        update_beside_what_it_updates,
    )
}  # fmt: skip

if __name__ == "__main__":  # how many seeds of a scenario it takes: python -m tests.world.planted PLANT SCENARIO A-B
    from loa.cli.simulate import seeds_of
    from loa.cli.simulation.runs import run_scenario
    from loa.cli.simulation.scenarios import all_scenarios

    with pytest.MonkeyPatch.context() as patch:
        PLANTS[sys.argv[1]](patch)
        for seed in seeds_of(None, sys.argv[3]):
            found = run_scenario(all_scenarios()[sys.argv[2]], seed, boxes=int(os.environ.get("BOXES", "0")) or None)
            print(sys.argv[1], sys.argv[2], seed, *{breach.rule for breach in found.breaches}, *found.breaches[:1])
