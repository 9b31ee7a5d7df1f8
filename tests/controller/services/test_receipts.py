"""Receipts: any order, any repeats, the same coverage; nothing claimed without one; journals acknowledged as held."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from controller.services.broadcasts import IssueForm, issue_now
from controller.services.coverage import (
    OUTCOMES,
    Coverage,
    NodeCoverage,
    advance,
    coverage,
    coverage_of,
    coverages,
)
from controller.services.journal import GAP_PATIENCE_MS, contiguous
from controller.services.receipts import record_receipts
from controller.store import Database
from controller.tables import ReceiptRow
from devices.protocol.envelope import seal
from devices.protocol.reports import NumberRange, Receipt, ReceiptCause, ReceiptEvent
from loa.units import Id16, InstantMs, NodeId
from tests.controller.services.conftest import QN, World, build, node_key

BROADCAST = Id16(b"b" * 16)
CLAIMS = {
    "ready": {ReceiptEvent.READY},
    "started": {ReceiptEvent.STARTED, ReceiptEvent.FINISHED, ReceiptEvent.SOUNDED},
    "finished": {ReceiptEvent.FINISHED},
    "sounded": {ReceiptEvent.SOUNDED},
    "unconfirmed": {ReceiptEvent.UNCONFIRMED},
    "skipped": {ReceiptEvent.SKIPPED},
    "reached": set(ReceiptEvent) - {ReceiptEvent.BOOTED, ReceiptEvent.JOURNAL_DROPPED, ReceiptEvent.SET},
}

RECEIPTS = st.lists(
    st.builds(
        lambda node, number, at, event, cause, late: Receipt(
            node=NodeId(node), epoch=b"12345678", number=number, at=InstantMs(at), event=event, subject=BROADCAST,
            cause=cause, late_ms=late,
        ),
        st.sampled_from(["n1", "n2"]),
        st.integers(1, 30),
        st.integers(1, 5),
        st.sampled_from(list(ReceiptEvent)),
        st.sampled_from(list(ReceiptCause)),
        st.one_of(st.none(), st.integers(-50, 50)),
    ),
    max_size=12,
)  # fmt: skip


def fold(receipts: list[Receipt]) -> Coverage:
    lines = {NodeId(name): NodeCoverage(NodeId(name)) for name in ("n1", "n2")}
    for receipt in receipts:
        lines[receipt.node] = advance(lines[receipt.node], receipt)
    return coverage_of("b", lines.values())


@given(RECEIPTS, st.randoms(use_true_random=False))
def test_order_and_repeats_do_not_matter(receipts: list[Receipt], random: object) -> None:
    shuffled = receipts + receipts[: len(receipts) // 2]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fold(shuffled) == fold(receipts)


@given(RECEIPTS)
def test_coverage_never_goes_back_and_claims_nothing_without_a_receipt(receipts: list[Receipt]) -> None:
    before = fold([])
    assert (before.waiting, before.started) == (2, 0)
    for count in range(1, len(receipts) + 1):
        after = fold(receipts[:count])
        for name in ("reached", "ready", "started", "finished", "sounded"):
            assert getattr(after, name) >= getattr(before, name)
        for held, now in zip(before.nodes, after.nodes, strict=True):
            assert OUTCOMES.index(now.outcome) >= OUTCOMES.index(held.outcome)
        before = after
    assert before.finished <= before.started <= before.reached <= before.total
    for name, events in CLAIMS.items():
        signed = {receipt.node for receipt in receipts if receipt.event in events}
        assert getattr(before, name) <= len(signed)


@given(st.sets(st.integers(1, 40)), st.integers(0, 10))
def test_contiguous(numbers: set[int], held: int) -> None:
    later = sorted(number for number in numbers if number > held)
    found = contiguous(held, [(number, 0) for number in later], 0)
    assert set(range(held + 1, found + 1)) <= numbers
    assert found + 1 not in numbers
    # What follows a gap long enough shows that the gap stays.
    assert contiguous(held, [(number, 0) for number in later], GAP_PATIENCE_MS) == max([held, *later])


@settings(max_examples=8, deadline=None)
@given(receipts=RECEIPTS, cuts=st.lists(st.integers(0, 12), max_size=3))
def test_the_tables_hold_what_the_rule_says(
    receipts: list[Receipt], cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any grouping of the batches, with repeats of one number: as folding the ones that were kept first."""
    db = Database("sqlite://", inline=True)
    db.upgrade()
    world = build(db, tmp_path_factory.mktemp("media"))
    issued = _issue(world)
    names = {"n1": "ct-1", "n2": "ct-2"}
    unique: dict[tuple[str, int], Receipt] = {}
    for receipt in receipts:
        unique.setdefault((receipt.node, receipt.number), receipt)
    ready = [replace(one, node=NodeId(names[one.node]), subject=issued) for one in unique.values()]
    bounds = [0, *sorted(min(cut, len(ready)) for cut in cuts), len(ready)]
    for first, last in pairwise(bounds):
        some = [(receipt, b"x") for receipt in ready[max(0, first - 1) : last]]
        world.run(lambda s, some=some: record_receipts(s, some, InstantMs(1)))  # type: ignore[misc]
    found = {one.node: one for one in world.run(lambda s: coverage(s, issued.hex())).nodes}
    for name in names.values():
        line = NodeCoverage(NodeId(name))
        for receipt in ready:
            if receipt.node == name:
                line = advance(line, receipt)
        assert found[NodeId(name)] == line
    db.close()


def _issue(world: World) -> Id16:
    view = world.bulletin()
    return world.run(
        lambda s: issue_now(s, world.ctx, IssueForm(bulletins=[view.id], target_areas=[f"{QN}/co-to"]))
    ).broadcast_id


def test_recording(world: World) -> None:
    issued = _issue(world)
    batch = [
        world.receipt("ct-1", ReceiptEvent.BOOTED),
        world.receipt("ct-1", ReceiptEvent.RECEIVED, issued),
        world.receipt("ct-1", ReceiptEvent.STARTED, issued, late_ms=4),
        world.receipt("ct-2", ReceiptEvent.RECEIVED, issued, number=3),
    ]
    held = world.run(lambda s: record_receipts(s, batch, world.clock.now_ms()))
    assert [(one.node, one.number) for one in held] == [("ct-1", 3), ("ct-2", 0)]
    assert world.run(lambda s: record_receipts(s, batch, world.clock.now_ms())) == held
    assert len(world.run(lambda s: s.exec(select(ReceiptRow)).all())) == 4
    found = world.run(lambda s: coverage(s, issued.hex()))
    assert (found.total, found.reached, found.started, found.finished, found.waiting) == (3, 2, 1, 0, 1)
    assert found.which("waiting") == ("ct-3",)
    assert world.run(lambda s: coverages(s, [issued.hex()]))[0] == found
    world.clock.at += GAP_PATIENCE_MS
    later = world.run(lambda s: record_receipts(s, batch[3:], world.clock.now_ms()))
    assert later[0].number == 3


def test_what_a_full_journal_dropped_is_not_waited_for(world: World) -> None:
    dropped = Receipt(
        node=NodeId("ct-1"), epoch=b"epoch-01", number=9, at=InstantMs(1), event=ReceiptEvent.JOURNAL_DROPPED, count=5,
        dropped=(NumberRange(first=2, count=2), NumberRange(first=5, count=3)),
    )  # fmt: skip
    batch = [world.receipt("ct-1", ReceiptEvent.BOOTED, number=n) for n in (1, 4, 8)]
    batch.append((dropped, seal(dropped, node_key("ct-1"))))
    held = world.run(lambda s: record_receipts(s, batch, world.clock.now_ms()))
    assert held[0].number == 9


def test_a_new_journal_is_counted_from_its_beginning(world: World) -> None:
    old = [world.receipt("ct-1", ReceiptEvent.BOOTED, number=n) for n in (1, 2)]
    world.run(lambda s: record_receipts(s, old, world.clock.now_ms()))
    fresh = [world.receipt("ct-1", ReceiptEvent.BOOTED, number=1, epoch=b"epoch-02")]
    held = world.run(lambda s: record_receipts(s, fresh, world.clock.now_ms()))
    assert [(one.epoch, one.number) for one in held] == [(b"epoch-02", 1)]
    again = world.run(lambda s: record_receipts(s, old[:1], world.clock.now_ms()))
    assert [(one.epoch, one.number) for one in again] == [(b"epoch-01", 2)]


def test_receipts_about_nothing_known_are_kept(world: World, tmp_path: Path) -> None:
    batch = [world.receipt("hg-1", ReceiptEvent.STARTED, b"?" * 16)]
    world.run(lambda s: record_receipts(s, batch, world.clock.now_ms()))
    assert world.run(lambda s: s.exec(select(ReceiptRow.subject)).all()) == [(b"?" * 16).hex()]
