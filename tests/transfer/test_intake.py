"""Intake and outflow against each other over a link that loses, doubles, reorders, corrupts and is cut."""

import heapq
import itertools
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.protocol.common import BLOCK_BYTES
from devices.protocol.envelope import encode
from devices.protocol.intake import MODEST_PACE, Intake, Need
from devices.protocol.media import BlockRange, Manifest, Piece, Want, digest_of, manifest_for
from devices.protocol.outflow import Idle, Outflow, Send, Wait
from devices.protocol.refusal import RefusalReason, WireRefusal
from loa.precedence import Precedence
from loa.units import ByteCount, Digest, DurationMs, InstantMs, NodeId

ORDINARY, EMERGENCY = Precedence.ORDINARY, Precedence.EMERGENCY


@dataclass
class Rendition:
    file: bytes
    manifest: Manifest = field(init=False)
    encoded: bytes = field(init=False)
    digest: Digest = field(init=False)

    def __post_init__(self) -> None:
        self.manifest = manifest_for(self.file, duration_ms=DurationMs(1000))
        self.encoded = encode(self.manifest)
        self.digest = digest_of(self.encoded)

    def need(self, precedence: Precedence = ORDINARY, **more: object) -> Need:
        return Need(self.digest, len(self.file), precedence, **more)  # type: ignore[arg-type]

    def piece(self, offset: int, length: int = BLOCK_BYTES) -> Piece:
        return Piece(rendition=self.digest, offset=ByteCount(offset), data=self.file[offset : offset + length])


def rendition(size: int, seed: int = 1) -> Rendition:
    return Rendition(random.Random(seed).randbytes(size))


@dataclass(frozen=True)
class Road:
    """What happens to messages towards the node. `rate` bytes a second, `delay_s` each way."""

    rate: float = 32_000.0
    delay_s: float = 0.1
    loss: float = 0.0
    double: float = 0.0
    late: float = 0.0
    corrupt: float = 0.0
    calm_after_s: float = 60.0
    cuts: tuple[float, ...] = ()
    cut_for_s: float = 0.1


class Trip:
    """One node, one controller, one road, in simulated time."""

    def __init__(self, what: Rendition, need: Need, road: Road, seed: int) -> None:
        self.what, self.road = what, road
        self.random = random.Random(seed)
        self.intake = Intake(NodeId("n"), entropy=self.random.randbytes)
        self.outflow = Outflow()
        self.need = need
        self.now_s = 0.0
        self.got: dict[int, bytes] = {}
        self.asked_for: list[tuple[float, int]] = []
        self.delivered_bytes = 0
        self.refused: list[RefusalReason] = []
        self.worst_queue_s = 0.0
        self.subscribed = False
        self.down = False
        self._events: list[tuple[float, int, str, object]] = []
        self._numbers = itertools.count()
        self._free_s = 0.0

    def run(self, at_most_s: float = 3600.0) -> None:
        self.intake.set_needs([self.need])
        for cut_s in self.road.cuts:
            self._later(cut_s, "cut", None)
        while not self.intake.complete(self.what.digest):
            assert self.now_s < at_most_s, f"{self.intake.missing(self.what.digest)} blocks are still missing"
            self._turn()

    def _later(self, at_s: float, kind: str, what: object) -> None:
        heapq.heappush(self._events, (at_s, next(self._numbers), kind, what))

    def _turn(self) -> None:
        now_ms = InstantMs(int(self.now_s * 1000))
        self.subscribed = self.what.digest in self.intake.streams(now_ms)
        for want in self.intake.wants(self.now_s, now_ms):
            blocks = [i for r in want.blocks for i in range(r.first, r.first + r.count)]
            self.asked_for += [(self.now_s, index) for index in blocks]
            self._later(self.now_s + self.road.delay_s, "want", want)
        wait_s = None
        while isinstance(sent := self.outflow.next(self.now_s), Send):
            self._send(sent)
        if isinstance(sent, Wait):
            wait_s = sent.until_s
        next_s = [self.intake.next_at_s(), self._events[0][0] if self._events else None, wait_s]
        self.now_s = max(self.now_s + 1e-4, min(at for at in next_s if at is not None))
        while self._events and self._events[0][0] <= self.now_s:
            _, _, kind, what = heapq.heappop(self._events)
            self._happen(kind, what)

    def _send(self, sent: Send) -> None:
        if self.down or (sent.node is None and not self.subscribed):
            return
        size = 60 + (len(self.what.encoded) if sent.kind == "manifest" else sent.length)
        self._free_s = max(self._free_s, self.now_s) + size / self.road.rate
        self.worst_queue_s = max(self.worst_queue_s, self._free_s - self.now_s)
        rough = self.now_s < self.road.calm_after_s
        if rough and self.random.random() < self.road.loss:
            return
        for _ in range(2 if rough and self.random.random() < self.road.double else 1):
            late_s = self.random.random() if rough and self.random.random() < self.road.late else 0.0
            self._later(self._free_s + self.road.delay_s + late_s, sent.kind, sent)

    def _happen(self, kind: str, what: object) -> None:
        if kind == "cut":
            self._events = [event for event in self._events if event[2] in ("cut", "back")]
            heapq.heapify(self._events)
            self.outflow.forget_node(NodeId("n"))
            self.down = True
            self.intake.on_link(False, self.now_s)
            self._later(self.now_s + self.road.cut_for_s, "back", None)
        elif kind == "back":
            self.down = False
            self.intake.on_link(True, self.now_s)
        elif isinstance(what, Want):
            self.outflow.add_want(what, self.now_s, ORDINARY, len(self.what.file))
        elif kind == "manifest":
            self.intake.on_manifest(self.what.encoded, self.now_s)
        elif isinstance(what, Send):
            self._deliver(what)

    def _deliver(self, sent: Send) -> None:
        piece = self.what.piece(sent.offset, sent.length)
        if self.now_s < self.road.calm_after_s and self.random.random() < self.road.corrupt:
            spoilt = bytearray(piece.data)
            spoilt[self.random.randrange(len(spoilt))] ^= 0x40
            piece = Piece(rendition=piece.rendition, offset=piece.offset, data=bytes(spoilt))
        self.delivered_bytes += len(piece.data)
        try:
            block = self.intake.on_piece(piece, self.now_s)
        except WireRefusal as refusal:
            self.refused.append(refusal.reason)
            return
        if block is not None:
            assert block.index not in self.got
            self.got[block.index] = block.data

    @property
    def result(self) -> bytes:
        return b"".join(self.got[index] for index in sorted(self.got))


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
    road = Road(rate=64_000, cuts=(5.0,), cut_for_s=cut_for_s)
    trip = Trip(what, what.need(stream_at=InstantMs(0), pace=MODEST_PACE), road, 1)
    trip.outflow.add_stream(what.digest, what.encoded, 400_000, 0.0, MODEST_PACE, ORDINARY)
    trip.run()
    missed = min(cut_for_s, 400_000 / MODEST_PACE - 5.0) * MODEST_PACE
    assert trip.result == what.file
    assert trip.intake.traffic.wasted == 0
    assert trip.outflow.repair_bytes.get(what.digest, 0) <= missed + 3 * BLOCK_BYTES
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
