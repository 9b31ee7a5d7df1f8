"""The ladder's rules: what is claimed of a node, when nothing more is awaited, and what to do next."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import escalating, ladder
from controller.ladder import AlertFacts, End, NodeFacts, Reason, Rung, Step, line_of, place_of, totals_of
from controller.ladder_words import ENDS, REASONS, RUNGS, STEPS, end_words, place_words
from controller.services.coverage import OUTCOMES
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptCause
from loa.units import InstantMs, NodeId

T = 1_800_000_000_000
ALERT = AlertFacts(now=InstantMs(T + 5000), start_at=InstantMs(T), expires_at=InstantMs(T + 600_000))


def at(offset: int) -> InstantMs:
    return InstantMs(T + offset)


def node(**more: Any) -> NodeFacts:
    """One that is there and was sent the order."""
    there = {"sent_at": at(-400), "silent": False, "health_at": at(-9000), "heard_at": at(-9000)}
    return NodeFacts(node=NodeId("a"), area="p/c/v", **(there | more))


def later(seconds: int, **more: Any) -> AlertFacts:
    return replace(ALERT, now=at(seconds * 1000), **more)


@pytest.mark.parametrize(
    ("facts", "rung"),
    [
        (node(sent_at=None), Rung.WAITING),
        (node(), Rung.SENT),
        (node(outcome="refused", refused_at=at(1)), Rung.SENT),
        (node(received_at=at(1)), Rung.RECEIVED),
        (node(received_at=at(1), started_at=at(2)), Rung.STARTED),
        (node(started_at=at(2), outcome="started"), Rung.STARTED),  # its RECEIVED is still on the way
        (node(finished_at=at(3), outcome="finished"), Rung.FINISHED),
        (node(sounded_at=at(3), outcome="sounded"), Rung.SOUNDED),
    ],
)
def test_a_rung_rests_on_what_was_signed(facts: NodeFacts, rung: Rung) -> None:
    line = line_of(facts, ALERT)
    assert line.rung is rung
    assert line.reached is (rung >= Rung.STARTED)


@pytest.mark.parametrize(
    ("facts", "alert", "end", "reason", "final"),
    [
        (node(), ALERT, None, None, False),
        (node(outcome="finished", finished_at=at(1)), ALERT, End.CONFIRMED, None, True),
        (node(outcome="stopped", cause=ReceiptCause.EXPIRED, started_at=at(1)), ALERT, End.CONFIRMED, None, True),
        (node(outcome="stopped", cause=ReceiptCause.ORDERED, started_at=at(1)), ALERT, End.CANCELLED, None, True),
        (node(outcome="skipped", cause=ReceiptCause.WITHDRAWN), ALERT, End.CANCELLED, None, True),
        (node(outcome="skipped", cause=ReceiptCause.TOO_LATE), ALERT, End.EXPIRED, None, True),
        (node(outcome="skipped", cause=ReceiptCause.NO_AUDIO), ALERT, End.UNREACHABLE, Reason.NOT_PLAYED, True),
        (node(outcome="unconfirmed", started_at=at(1)), ALERT, End.UNREACHABLE, Reason.POWER_FAILED, True),
        (node(cancel_received=True), later(9, recalled=True), End.CANCELLED, None, True),
        (node(cancel_received=True), ALERT, None, None, False),  # of another cancel: this one is not recalled
        (node(), later(9, recalled=True), None, None, False),  # the cancel has not come there: it is awaited
        (node(silent=True), ALERT, End.UNREACHABLE, Reason.SILENT, False),
        (node(silent=True, hinted_offline=True), ALERT, End.UNREACHABLE, Reason.LINK_CUT, False),
        (node(silent=True, health_at=None, heard_at=None), ALERT, End.UNREACHABLE, Reason.NEVER_HEARD, False),
        (node(hinted_offline=True), ALERT, None, None, False),  # a Last Will proves nothing
        (node(contested=True), ALERT, End.UNREACHABLE, Reason.CONTESTED, False),
        (node(retired=True), ALERT, End.UNREACHABLE, Reason.RETIRED, True),
        (
            node(outcome="refused", refused_at=at(1), refusal=RefusalReason.UNTRUSTED_KEY),
            ALERT, End.UNREACHABLE, Reason.REFUSED, False,
        ),
        (
            node(outcome="refused", refused_at=at(1), refusal=RefusalReason.MALFORMED, refused_for_good=True),
            ALERT, End.UNREACHABLE, Reason.REFUSED, True,
        ),
        (
            # Refused first, taken when it came again: coverage ranks the refusal higher, the ladder does not.
            node(outcome="refused", refusal=RefusalReason.UNTRUSTED_KEY, received_at=at(5)),
            ALERT, None, None, False,
        ),
        (node(), later(600 + 119), None, None, False),
        (node(), later(600 + 120), End.EXPIRED, None, True),
        (node(silent=True), later(600 + 120), End.UNREACHABLE, Reason.SILENT, True),
        (node(started_at=at(1), outcome="started"), later(600 + 120), End.UNREACHABLE, Reason.NO_WORD, True),
        (
            node(outcome="refused", refused_at=at(1), refusal=RefusalReason.EXPIRED),
            later(600 + 120), End.EXPIRED, None, True,
        ),
    ],
)  # fmt: skip
def test_how_it_ends(facts: NodeFacts, alert: AlertFacts, end: End | None, reason: Reason | None, final: bool) -> None:
    line = line_of(facts, alert)
    assert (line.end, line.reason, line.final) == (end, reason, final)


@pytest.mark.parametrize(
    ("facts", "alert", "step"),
    [
        (node(heard_at=at(1)), ALERT, Step.WAIT_LINK_BACK),
        (node(heard_at=at(1), attempts=4), ALERT, Step.SEND_AGAIN),
        (node(heard_at=at(1), attempts=4, station="s"), ALERT, Step.SEND_AGAIN_BY_STATION),
        (node(heard_at=at(-80_000)), ALERT, Step.SEND_AGAIN),
        (node(received_at=at(1)), ALERT, Step.WAIT_START),
        (node(received_at=at(1)), later(60), Step.LOOK_AT_BOX),
        (node(received_at=at(1), muted=True), ALERT, Step.LOOK_AT_BOX),
        (node(silent=True), ALERT, Step.CALL_HEAD),
        (node(silent=True, station="s"), ALERT, Step.STATION_KEY),
        (node(silent=True), later(5, link_up=False), Step.CENTRE_LINK),
        (node(contested=True), ALERT, Step.TWO_UNDER_ONE_NAME),
        (node(started_at=at(1)), ALERT, Step.NONE),
        (node(silent=True, started_at=at(1)), ALERT, Step.NONE),
        (node(silent=True), later(9, recalled=True), Step.NONE),
        (node(silent=True), later(600), Step.CALL_HEAD),
    ],
)
def test_what_to_do_next(facts: NodeFacts, alert: AlertFacts, step: Step) -> None:
    assert line_of(facts, alert).step is step


def village(path: str, *facts: NodeFacts, people: int | None = None, alert: AlertFacts = ALERT) -> ladder.Place:
    return place_of(path, path, [line_of(one, alert) for one in facts], alert, population=people)


def test_nobody_reached_first_then_by_people_then_by_nodes() -> None:
    heard, silent = node(started_at=at(1)), node(silent=True)
    places = [
        village("reached", heard, people=9000),
        village("partly", heard, silent, people=50),
        village("unknown-two", silent, silent),
        village("unknown-one", silent),
        village("few", silent, people=10),
        village("many", silent, people=400),
        village("no-loudspeaker", people=20),
    ]
    found = sorted(places, key=lambda place: place.order)
    assert [one.path for one in found] == [
        "many", "no-loudspeaker", "few", "unknown-two", "unknown-one", "partly", "reached",
    ]  # fmt: skip
    totals = totals_of(found)
    assert (totals.people, totals.people_reached) == (9000 + 50 + 10 + 400 + 20, 9000 + 50)
    assert (totals.villages_unreached, totals.reached, totals.nodes) == (5, 2, 8)
    assert totals.rungs == {"waiting": 0, "sent": 8, "received": 2, "started": 2, "finished": 0, "sounded": 0}


def test_a_village_is_not_left_to_wait() -> None:
    online = node(heard_at=at(1))
    assert village("v", online).step is Step.WAIT_LINK_BACK
    # A station that is there is more hopeful than a box that is not.
    assert village("v", node(silent=True), node(heard_at=at(1), attempts=9, station="s")).step is (
        Step.SEND_AGAIN_BY_STATION
    )
    late = later(121)
    assert village("v", node(heard_at=at(119_000)), alert=late).step is Step.CALL_HEAD
    assert village("v", node(heard_at=at(119_000), station="s"), alert=late).step is Step.STATION_KEY
    assert village("v", node(heard_at=at(119_000)), node(started_at=at(1)), alert=late).step is Step.WAIT_LINK_BACK
    assert village("v").step is Step.NO_LOUDSPEAKER


def test_when_a_board_closes() -> None:
    done, silent, waiting = node(outcome="finished", finished_at=at(1)), node(silent=True), node()

    def closes(*facts: NodeFacts, alert: AlertFacts = ALERT) -> tuple[bool, bool]:
        totals = totals_of([village("v", *facts, alert=alert)])
        return ladder.closes_by_itself(totals), ladder.may_be_closed(totals)

    assert closes(done) == (True, True)
    assert closes(done, waiting) == (False, False)
    assert closes(done, silent) == (False, True)  # a person may; by itself it waits while that node may come back
    assert closes(done, silent, alert=later(720)) == (True, True)
    assert closes() == (True, True)


def test_escalation_asks_what_the_province_set() -> None:
    heard, silent = node(started_at=at(1)), node(silent=True)
    places = [village("a", heard, heard, heard), village("b", silent), village("no-loudspeaker")]
    totals = totals_of(places)  # 75 %
    rule = escalating.StepRule
    assert not rule(after_s=60, below_percent=75).wanted(totals, places)
    assert rule(after_s=60, below_percent=76).wanted(totals, places)
    assert rule(after_s=60, village_unreached=True).wanted(totals, places)
    assert not rule(after_s=60, village_unreached=True).wanted(totals, [places[0], places[2]])
    assert not rule(after_s=60, below_percent=50).applies(drill=True)
    assert [escalating.wait_ms(n) for n in (1, 2, 3, 8, 12)] == [5000, 10_000, 20_000, 600_000, 600_000]


instants = st.none() | st.integers(-10_000, 900_000).map(at)
any_node = st.builds(
    NodeFacts, node=st.just(NodeId("a")), area=st.just("p/c/v"), station=st.none() | st.just("s"),
    retired=st.booleans(), outcome=st.sampled_from(OUTCOMES), cause=st.sampled_from(ReceiptCause), sent_at=instants,
    attempts=st.integers(0, 9), received_at=instants, refused_at=instants,
    refusal=st.none() | st.sampled_from(RefusalReason), refused_for_good=st.booleans(), started_at=instants,
    finished_at=instants, sounded_at=instants, cancel_received=st.booleans(), health_at=instants, heard_at=instants,
    hinted_offline=st.booleans(), silent=st.booleans(), contested=st.booleans(), muted=st.booleans(),
)  # fmt: skip
any_alert = st.builds(
    AlertFacts, now=st.integers(0, 900_000).map(at), start_at=st.just(at(0)), expires_at=st.just(at(600_000)),
    recalled=st.booleans(), link_up=st.booleans(),
)  # fmt: skip


@given(any_node, any_alert)
def test_nothing_is_claimed_without_a_signed_word(facts: NodeFacts, alert: AlertFacts) -> None:
    line = line_of(facts, alert)
    signed = (facts.received_at, facts.started_at, facts.finished_at, facts.sounded_at)
    if line.rung >= Rung.RECEIVED:
        assert any(one is not None for one in signed)
    if line.reached:
        assert any(one is not None for one in signed[1:])
    if line.rung is Rung.SOUNDED:
        assert facts.sounded_at is not None
    if line.end is End.CONFIRMED:
        assert facts.outcome in ("finished", "stopped")
    if alert.over:
        assert line.final  # each node comes to an end
    assert (line.reason is not None) is (line.end is End.UNREACHABLE)
    for language in ("vi", "en"):
        assert bool(end_words(line, language)) is (line.end is not None)
        assert "{" not in place_words(village("v", facts, alert=alert), language)


def test_there_are_words_for_everything() -> None:
    assert (set(RUNGS), set(ENDS), set(REASONS), set(STEPS)) == (set(Rung), set(End), set(Reason), set(Step))
