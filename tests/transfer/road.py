"""Intake and outflow against each other over a road that loses, doubles, reorders, corrupts and is cut."""

import heapq
import itertools
import random
from dataclasses import dataclass, field

from devices.protocol.common import BLOCK_BYTES
from devices.protocol.envelope import encode
from devices.protocol.intake import Intake, Need
from devices.protocol.media import Manifest, Piece, Want, digest_of, manifest_for
from devices.protocol.outflow import Outflow, Send, Wait
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
