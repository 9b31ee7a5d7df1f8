"""Intake and outflow against each other over a link that loses, doubles, reorders, corrupts and is cut."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.protocol.common import BLOCK_BYTES
from devices.protocol.intake import MODEST_PACE, Intake
from devices.protocol.media import BlockRange, Piece, Want
from devices.protocol.outflow import Idle, Outflow, Send, Wait
from devices.protocol.refusal import RefusalReason, WireRefusal
from loa.units import ByteCount, Digest, InstantMs, NodeId
from tests.transfer.road import EMERGENCY, ORDINARY, Road, Trip, rendition

roads = st.builds(
    Road,
    rate=st.sampled_from([8_000.0, 32_000.0, 1e6]),
    delay_s=st.sampled_from([0.001, 0.05, 0.3]),
    loss=st.floats(0, 0.4),
    double=st.floats(0, 0.3),
    late=st.floats(0, 0.2),
    corrupt=st.floats(0, 0.2),
    calm_after_s=st.just(20.0),
    cuts=st.lists(st.floats(0.1, 15.0), max_size=3).map(lambda cuts: tuple(sorted(cuts))),
)


@settings(max_examples=40, deadline=None)
@given(road=roads, size=st.integers(1, 60_000), seed=st.integers(0, 9999), streamed=st.booleans())
def test_whatever_happens_on_the_road_exactly_the_right_blocks_come_out(
    road: Road, size: int, seed: int, streamed: bool
) -> None:
    what = rendition(size)
    need = what.need(stream_at=InstantMs(0), pace=MODEST_PACE) if streamed else what.need()
    trip = Trip(what, need, road, seed)
    if streamed:
        trip.outflow.add_stream(what.digest, what.encoded, size, 0.0, MODEST_PACE, ORDINARY)
    trip.run()
    assert trip.result == what.file
    assert set(trip.refused) <= {RefusalReason.WRONG_BLOCK}


@settings(max_examples=30, deadline=None)
@given(
    rate=st.sampled_from([4_000.0, 32_000.0, 1e6]),
    loss=st.floats(0, 0.3),
    seed=st.integers(0, 9999),
    size=st.integers(1, 200_000),
)
def test_asks_are_no_more_than_what_was_missed_and_what_was_lost(
    rate: float, loss: float, seed: int, size: int
) -> None:
    """On a road that loses but keeps the order, each ask beyond the first is for a block of which a part was lost."""
    what = rendition(size)
    trip = Trip(what, what.need(), Road(rate=rate, loss=loss, calm_after_s=1e9), seed)
    lost: dict[int, int] = {}
    send = trip._send

    def counting(sent: Send) -> None:
        before = len(trip._events)
        send(sent)
        if sent.kind == "piece" and len(trip._events) == before:
            lost[sent.offset // BLOCK_BYTES] = lost.get(sent.offset // BLOCK_BYTES, 0) + 1

    trip._send = counting  # type: ignore[method-assign]
    trip.run(at_most_s=36_000)
    asked = [index for _, index in trip.asked_for]
    for index in set(asked):
        assert asked.count(index) <= 1 + lost.get(index, 0)


def test_a_stream_that_all_joined_is_asked_for_nothing() -> None:
    what = rendition(200_000)
    trip = Trip(what, what.need(stream_at=InstantMs(2000), pace=MODEST_PACE), Road(), 1)
    trip.outflow.add_stream(what.digest, what.encoded, 200_000, 2.0, MODEST_PACE, ORDINARY)
    trip.run()
    assert trip.asked_for == []
    assert trip.outflow.streamed_bytes == {what.digest: 200_000}
    assert trip.outflow.repair_bytes == {}
    assert trip.now_s == pytest.approx(2.0 + 200_000 / MODEST_PACE, abs=0.6)


@pytest.mark.parametrize("cut_for_s", [0.1, 9.0, 11.0, 30.0])
def test_after_a_cut_in_the_stream_only_what_was_missed_is_asked_for(cut_for_s: float) -> None:
    """However long it was: what the stream has yet to bring comes by the stream."""
    what = rendition(400_000)
    road = Road(cuts=(5.0,), cut_for_s=cut_for_s)
    trip = Trip(what, what.need(stream_at=InstantMs(0), pace=MODEST_PACE), road, 1)
    trip.outflow.add_stream(what.digest, what.encoded, 400_000, 0.0, MODEST_PACE, ORDINARY)
    trip.run()
    missed = min(cut_for_s, 400_000 / MODEST_PACE - 5.0) * MODEST_PACE
    assert trip.result == what.file
    assert trip.intake.traffic.wasted == 0
    assert trip.outflow.repair_bytes.get(what.digest, 0) <= missed + 2 * BLOCK_BYTES
    assert len(trip.asked_for) == len({index for _, index in trip.asked_for})


class Joined:
    """A node that heard a stream of 25 s up to some time; the intake alone, asked four times a second."""

    def __init__(self, heard_s: int, *, relays: bool = False) -> None:
        self.what, self.other = rendition(400_000), rendition(400_000, seed=2)
        self.intake = Intake(NodeId("n"), entropy=random.Random(1).randbytes, relays_streams=relays)
        self.intake.set_needs([self.what.need(stream_at=InstantMs(0), pace=MODEST_PACE)])
        assert self.intake.wants(0.0, InstantMs(0)) == ()
        self.intake.on_manifest(self.what.encoded, 0.0)
        for index in range(int(heard_s * MODEST_PACE) // BLOCK_BYTES):
            now_s = (index + 1) * BLOCK_BYTES / MODEST_PACE
            self.intake.on_piece(self.what.piece(index * BLOCK_BYTES, BLOCK_BYTES), now_s)

    def cut(self, from_s: float, to_s: float) -> None:
        self.intake.on_link(False, from_s)
        self.intake.on_link(True, to_s)

    def asks_after(self, from_s: float, at_most_s: float, *, flaps: bool = False, busy: bool = False) -> float:
        """When it first asks; flaps: the link is gone for a moment each second. busy: other audio is heard."""
        for quarter in range(round(4 * (at_most_s - from_s))):
            now_s = from_s + quarter / 4
            if quarter % 4 == 0 and flaps:
                self.cut(now_s, now_s + 0.1)
            elif quarter % 4 == 0 and busy:
                self.intake.on_piece(self.other.piece(0, BLOCK_BYTES), now_s)
            elif self.intake.wants(now_s, InstantMs(int(now_s * 1000))):
                return now_s
        return at_most_s


def test_a_short_cut_in_a_pause_of_a_stream_does_not_end_it() -> None:
    joined = Joined(5)
    joined.cut(5.5, 5.6)
    assert 14.9 <= joined.asks_after(5.75, 60.0) <= 17.5


def test_a_link_that_flaps_does_not_keep_a_stream_alive_that_has_fallen_silent() -> None:
    assert 14.9 <= Joined(5).asks_after(5.5, 60.0, flaps=True) <= 20.0


def test_behind_a_busy_station_what_a_cut_took_of_a_stream_is_asked_for_although_others_go_on() -> None:
    joined = Joined(20, relays=True)
    joined.cut(20.0, 30.0)
    assert 34.0 <= joined.asks_after(30.25, 120.0, busy=True) <= 38.0


@pytest.mark.parametrize("rate", [32_000.0, 128_000.0, 2_000_000.0])
def test_a_pull_fills_the_link_and_leaves_room_for_an_order(rate: float) -> None:
    """Nothing waits longer than a quarter of a second in front of the slow link, and more than 70 % of it is used."""
    size = int(min(rate * 25, 5e6))
    what = rendition(size)
    trip = Trip(what, what.need(), Road(rate=rate, delay_s=0.2), 1)
    trip.run()
    used = size / trip.now_s / rate
    print(f"{rate:.0f} B/s: {used:.2f} of the link, worst queue {trip.worst_queue_s:.3f} s")
    assert trip.worst_queue_s <= 0.28
    assert used >= 0.7 or rate > 1e6


def test_a_slow_node_does_not_join_a_fast_stream() -> None:
    what = rendition(BLOCK_BYTES * 3)
    intake = Intake(NodeId("n"), entropy=random.Random(1).randbytes, nominal_rate=4000.0)
    intake.set_needs([what.need(stream_at=InstantMs(0), pace=4000.0)])
    assert intake.streams(InstantMs(0)) == frozenset()
    intake.set_needs([what.need(stream_at=InstantMs(0), pace=2400.0)])
    assert intake.streams(InstantMs(0)) == {what.digest}
    relayed = Intake(NodeId("n"), entropy=random.Random(1).randbytes, nominal_rate=4000.0, relays_streams=True)
    relayed.set_needs([what.need(stream_at=InstantMs(0), pace=1e6)])
    assert relayed.streams(InstantMs(0)) == {what.digest}


def test_behind_a_station_a_stream_of_long_ago_is_not_waited_for() -> None:
    """What it lacks of it is asked for at once; while the bus is busy with audio, its own may still be to come."""
    what, other = rendition(5 * BLOCK_BYTES), rendition(BLOCK_BYTES, 2)
    half_an_hour = InstantMs(1_800_000)
    for busy in (False, True):
        intake = Intake(NodeId("n"), entropy=bytes, nominal_rate=2688.0, relays_streams=True)
        if busy:
            intake.on_piece(other.piece(0), 99.0)
        intake.set_needs([what.need(stream_at=InstantMs(0), pace=4000.0)])
        asked = intake.wants(100.0, half_an_hour)
        assert [want.manifest for want in asked] == ([] if busy else [True])
    due = Intake(NodeId("n"), entropy=bytes, nominal_rate=2688.0, relays_streams=True)
    due.set_needs([what.need(stream_at=InstantMs(0), pace=4000.0)])
    assert due.wants(100.0, InstantMs(2000)) == (), "it should be running now"


def test_behind_a_station_several_blocks_are_asked_for_at_a_time() -> None:
    """A turn to ask for more may take a second to come, and orders pass what waits there."""
    what = rendition(5 * BLOCK_BYTES)
    for relays, blocks in ((True, 2), (False, 1)):
        intake = Intake(NodeId("n"), entropy=bytes, nominal_rate=2688.0, relays_streams=relays)
        intake.set_needs([what.need()])
        intake.resume(what.digest, what.manifest, ())
        (want,) = intake.wants(0.0, InstantMs(0))
        assert [one.count for one in want.blocks] == [blocks]


def test_an_emergency_is_asked_for_first_and_alone() -> None:
    ordinary, emergency = rendition(9 * BLOCK_BYTES, 1), rendition(2 * BLOCK_BYTES, 2)
    intake = Intake(NodeId("n"), entropy=bytes, nominal_rate=1e6)
    intake.set_needs([ordinary.need(), emergency.need(EMERGENCY)])
    wants = intake.wants(0.0, InstantMs(0)) + intake.wants(0.01, InstantMs(0))
    assert {want.rendition for want in wants} == {emergency.digest}
    intake.on_manifest(emergency.encoded, 0.1)
    wants = intake.wants(0.1, InstantMs(0))
    assert [(want.rendition, want.blocks) for want in wants] == [(emergency.digest, (BlockRange(first=0, count=2),))]
    for block in range(2):
        intake.on_piece(emergency.piece(block * BLOCK_BYTES), 0.2)
    assert intake.complete(emergency.digest)
    assert {want.rendition for want in intake.wants(0.3, InstantMs(0))} == {ordinary.digest}


def test_after_a_restart_only_what_is_not_on_disk_is_asked_for() -> None:
    what = rendition(5 * BLOCK_BYTES)
    intake = Intake(NodeId("n"), entropy=bytes, nominal_rate=1e6)
    intake.set_needs([what.need()])
    intake.resume(what.digest, what.manifest, {0, 1, 3})
    (want,) = intake.wants(0.0, InstantMs(0))
    assert want.blocks == (BlockRange(first=2, count=1), BlockRange(first=4, count=1))
    assert intake.missing(what.digest) == 2


def test_forged_manifests_and_pieces_are_refused() -> None:
    what, other = rendition(2 * BLOCK_BYTES + 5), rendition(BLOCK_BYTES, 2)
    intake = Intake(NodeId("n"), entropy=bytes)
    intake.set_needs([what.need()])
    assert intake.on_manifest(other.encoded, 0.0) is None
    with pytest.raises(WireRefusal) as refusal:
        intake.on_manifest(other.encoded, 0.0, expected=what.digest)
    assert refusal.value.reason is RefusalReason.WRONG_BLOCK
    assert intake.on_manifest(what.encoded, 0.0) == what.manifest
    for offset, data in (
        (0, b"x" * BLOCK_BYTES),
        (BLOCK_BYTES - 1, b"xx"),
        (2 * BLOCK_BYTES, b"x" * 6),
        (1 << 30, b"x"),
    ):
        with pytest.raises(WireRefusal):
            intake.on_piece(Piece(rendition=what.digest, offset=ByteCount(offset), data=data), 0.0)
    assert intake.on_piece(other.piece(0), 0.0) is None
    assert intake.missing(what.digest) == 3


def test_outflow_paces_without_drift_and_catches_up_at_most_a_second() -> None:
    flow = Outflow()
    flow.add_stream(Digest(bytes(32)), b"m", 1_000_000, 10.0, 10_000.0, ORDINARY)
    assert isinstance(flow.next(0.0), Wait)
    now_s = 10.0
    for _ in range(200):
        sent = flow.next(now_s)
        if isinstance(sent, Wait):
            now_s = sent.until_s + 0.003  # every wake-up is late
        elif isinstance(sent, Idle):
            break
    progress = flow.progress(Digest(bytes(32)))
    assert progress is not None
    assert progress.sent == pytest.approx((now_s - 10) * 10_000, abs=2 * BLOCK_BYTES)
    burst = 0
    while isinstance(flow.next(now_s + 30), Send):
        burst += 1
    assert burst * BLOCK_BYTES <= 10_000 + 2 * BLOCK_BYTES


def test_outflow_is_fair_sends_queued_blocks_once_and_holds_ordinary_audio() -> None:
    flow = Outflow()
    one, two = Digest(b"1" * 32), Digest(b"2" * 32)
    blocks = (BlockRange(first=0, count=50),)
    for node in ("a", "b"):
        want = Want(node=NodeId(node), rendition=one, blocks=blocks, piece_bytes=4096)
        assert flow.add_want(want, 0.0, ORDINARY, 10**6) == 50 * BLOCK_BYTES
        assert flow.add_want(want, 0.0, ORDINARY, 10**6) == 0
    sent = [flow.next(0.0) for _ in range(10)]
    assert [s.node for s in sent if isinstance(s, Send)] == ["a", "b"] * 5
    flow.add_stream(two, b"m", BLOCK_BYTES * 2, 0.0, None, EMERGENCY)
    kinds = [flow.next(0.0) for _ in range(3)]
    assert [s.digest for s in kinds if isinstance(s, Send)] == [two] * 3
    flow.pause_ordinary(True)
    assert isinstance(flow.next(0.0), Idle)
    flow.pause_ordinary(False)
    assert isinstance(flow.next(0.0), Send)
    flow.forget_node(NodeId("a"))
    flow.forget_node(NodeId("b"))
    assert isinstance(flow.next(0.0), Idle)
