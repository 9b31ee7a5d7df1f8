"""Which audio the controller sends next: shared streams once and paced, then what single nodes asked for, fairly.

Pure: nothing is sent, read or timed in here. The caller asks `next`, reads the bytes, builds the Piece, publishes it,
waits for its link to drain, and asks again.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Literal

from devices.protocol.common import BLOCK_BYTES
from devices.protocol.media import Want
from devices.protocol.meter import LEAST_PIECE_BYTES
from devices.protocol.topics import DownChannel, down_topic, stream_topic
from loa.precedence import Precedence
from loa.units import Digest, NodeId

CATCH_UP_S = 1.0
"""A stream that fell behind its pace may catch up this much; the rest of its delay moves its end."""
MAX_QUEUED_BLOCKS = 2048
"""A node that asks for more has the rest dropped; it will ask again."""


@dataclass(frozen=True, slots=True)
class Send:
    """Publish this now: a manifest as it is, or bytes `offset` to `offset + length` as one Piece. QoS as given."""

    topic: str
    kind: Literal["manifest", "piece"]
    digest: Digest
    offset: int
    length: int
    node: NodeId | None
    """None for a shared stream."""
    qos: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due before this instant (the caller's monotonic seconds)."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to send until a stream or a want is added."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a shared stream went out, in bytes."""

    sent: int
    total: int

    @property
    def done(self) -> bool:
        return self.sent >= self.total


@dataclass(slots=True)
class _Stream:
    digest: Digest
    length: int
    begins_s: float
    pace: float | None
    precedence: Precedence
    manifest_sent: bool = False
    sent: int = 0

    @property
    def due_s(self) -> float:
        """From the stream's beginning, so that rounding and late wake-ups never add up."""
        return self.begins_s if self.pace is None else self.begins_s + self.sent / self.pace

    @property
    def done(self) -> bool:
        return self.manifest_sent and self.sent >= self.length


@dataclass(slots=True)
class _Asked:
    digest: Digest
    block: int | None
    """None: the manifest."""
    piece_bytes: int
    at: int
    end: int


@dataclass(slots=True)
class _Queue:
    """What one node asked for and did not get yet, in order."""

    items: deque[_Asked] = field(default_factory=deque)
    keys: set[tuple[Digest, int | None]] = field(default_factory=set)


class Outflow:
    """Decides which bytes leave next. Counters: `streamed_bytes` and `repair_bytes` per rendition, audio only."""

    def __init__(self) -> None:
        self.streamed_bytes: dict[Digest, int] = {}
        self.repair_bytes: dict[Digest, int] = {}
        self._lengths: dict[Digest, int] = {}
        self._streams: dict[Digest, _Stream] = {}
        self._finished: dict[Digest, int] = {}
        self._queues: dict[Precedence, OrderedDict[NodeId, _Queue]] = {p: OrderedDict() for p in Precedence}
        self._paused = False
        self._streams_turn = True
        self._held_since_s: float | None = None

    def add_stream(  # noqa: PLR0917 - the order of the words is the order of the wire
        self,
        digest: Digest,
        encoded_manifest: bytes,
        length: int,
        starts_at_s: float,
        pace: float | None,
        precedence: Precedence,
        *,
        already_sent: int = 0,
    ) -> bool:
        """Announce a shared stream: manifest, then each block once. False where it was streamed or is planned already.

        already_sent: bytes that went out before a restart; the stream goes on from there, at whole blocks.

        pace in bytes of audio a second, None for as fast as the link takes it. `encoded_manifest` is only looked at
        for being there: `next` names it by the digest.
        """
        if not encoded_manifest or length <= 0:
            raise ValueError("a stream has a manifest and at least one byte")
        self._lengths[digest] = length
        if digest in self._streams or digest in self._finished:
            return False
        stream = _Stream(digest, length, starts_at_s, pace, precedence)
        stream.sent = min(already_sent, length) // BLOCK_BYTES * BLOCK_BYTES
        self._streams[digest] = stream
        return True

    def stream_again(self, digest: Digest) -> None:
        """Allow a rendition to be streamed once more (for a later broadcast); a running stream is dropped."""
        self._streams.pop(digest, None)
        self._finished.pop(digest, None)

    def add_want(
        self,
        want: Want,
        now_s: float,  # noqa: ARG002 - kept for a queue that ages
        precedence: Precedence,
        length: int | None = None,
    ) -> int:
        """Queue what a node asked for; how many bytes of audio that added. What is queued already is sent once.

        length: of the rendition's file; may be left out where it was streamed here. Unknown renditions add nothing.
        """
        length = length if length is not None else self._lengths.get(want.rendition)
        if length is None:
            return 0
        self._lengths[want.rendition] = length
        queue = self._queues[precedence].setdefault(want.node, _Queue())
        if want.manifest and (want.rendition, None) not in queue.keys:
            queue.keys.add((want.rendition, None))
            queue.items.appendleft(_Asked(want.rendition, None, 0, 0, 0))
        added = 0
        piece_bytes = min(BLOCK_BYTES, max(LEAST_PIECE_BYTES, want.piece_bytes))
        blocks = -(-length // BLOCK_BYTES)
        for wanted in want.blocks:
            for block in range(wanted.first, min(blocks, wanted.first + wanted.count)):
                key = (want.rendition, block)
                if key in queue.keys or len(queue.items) >= MAX_QUEUED_BLOCKS:
                    continue
                queue.keys.add(key)
                end = min(length, (block + 1) * BLOCK_BYTES)
                queue.items.append(_Asked(want.rendition, block, piece_bytes, block * BLOCK_BYTES, end))
                added += end - block * BLOCK_BYTES
        if not queue.items:
            del self._queues[precedence][want.node]
        return added

    def forget_node(self, node: NodeId) -> None:
        """The node is gone: what it asked for is not sent; back again, it asks for what it lacks."""
        for queues in self._queues.values():
            queues.pop(node, None)

    def forget(self, digest: Digest) -> None:
        """The rendition is withdrawn: its stream stops and nothing of it is sent any more."""
        self.stream_again(digest)
        self._lengths.pop(digest, None)
        for queues in self._queues.values():
            for node, queue in list(queues.items()):
                queue.items = deque(item for item in queue.items if item.digest != digest)
                queue.keys = {key for key in queue.keys if key[0] != digest}
                if not queue.items:
                    del queues[node]

    def pause_ordinary(self, paused: bool) -> None:
        """Hold everything below an emergency back, e.g. from the release of an order on; streams go on afterwards."""
        self._paused = paused

    def progress(self, digest: Digest) -> Progress | None:
        """Of a shared stream; None where none was added."""
        if digest in self._finished:
            return Progress(self._finished[digest], self._finished[digest])
        stream = self._streams.get(digest)
        return None if stream is None else Progress(stream.sent, stream.length)

    def next(self, now_s: float) -> Send | Wait | Idle:
        """What leaves next. A `Send` counts as sent once it is returned."""
        emergency = self._serve([Precedence.EMERGENCY], now_s)
        if isinstance(emergency, Send):
            self._hold(now_s)
            return emergency
        if self._paused or self._emergency_runs(now_s):
            self._hold(now_s)
            return emergency
        self._release(now_s)
        ordinary = self._serve([Precedence.PRIORITY, Precedence.ORDINARY], now_s)
        if isinstance(ordinary, Send) or isinstance(emergency, Idle):
            return ordinary
        return emergency if isinstance(ordinary, Idle) else Wait(min(emergency.until_s, ordinary.until_s))

    def _emergency_runs(self, now_s: float) -> bool:
        return any(
            s.precedence is Precedence.EMERGENCY and not s.done and s.begins_s <= now_s for s in self._streams.values()
        )

    def _hold(self, now_s: float) -> None:
        if self._held_since_s is None:
            self._held_since_s = now_s

    def _release(self, now_s: float) -> None:
        """Held streams continue where they stopped, at their pace, instead of catching up."""
        if self._held_since_s is None:
            return
        for stream in self._streams.values():
            if stream.precedence is not Precedence.EMERGENCY and not stream.done and stream.begins_s < now_s:
                stream.begins_s += now_s - max(self._held_since_s, stream.begins_s)
        self._held_since_s = None

    def _serve(self, precedences: list[Precedence], now_s: float) -> Send | Wait | Idle:
        """Streams that are due and nodes that wait take turns, so that neither starves the other."""
        due, wait_s = self._due_stream(precedences, now_s)
        asking = next((p for p in precedences if self._queues[p]), None)
        if due is not None and (asking is None or self._streams_turn):
            self._streams_turn = False
            return self._stream_part(due, now_s)
        if asking is not None:
            self._streams_turn = True
            return self._repair(self._queues[asking])
        return Idle() if wait_s is None else Wait(wait_s)

    def _due_stream(self, precedences: list[Precedence], now_s: float) -> tuple[_Stream | None, float | None]:
        best: _Stream | None = None
        for stream in self._streams.values():
            if stream.precedence in precedences and not stream.done:
                rank = (stream.due_s > now_s, -stream.precedence if stream.due_s <= now_s else 0, stream.due_s)
                if best is None or rank < (
                    best.due_s > now_s,
                    -best.precedence if best.due_s <= now_s else 0,
                    best.due_s,
                ):
                    best = stream
        if best is None:
            return None, None
        return (best, None) if best.due_s <= now_s else (None, best.due_s)

    def _stream_part(self, stream: _Stream, now_s: float) -> Send:
        topic = stream_topic(stream.digest)
        if not stream.manifest_sent:
            stream.manifest_sent = True
            return Send(topic, "manifest", stream.digest, 0, 0, None, 0)
        if stream.pace is not None and (late_s := now_s - stream.due_s - CATCH_UP_S) > 0:
            stream.begins_s += late_s
        offset = stream.sent
        length = min(BLOCK_BYTES, stream.length - offset)
        stream.sent += length
        self.streamed_bytes[stream.digest] = self.streamed_bytes.get(stream.digest, 0) + length
        if stream.done:
            del self._streams[stream.digest]
            self._finished[stream.digest] = stream.length
        return Send(topic, "piece", stream.digest, offset, length, None, 0)

    def _repair(self, queues: OrderedDict[NodeId, _Queue]) -> Send:
        """One part for the node whose turn it is."""
        node, queue = next(iter(queues.items()))
        queues.move_to_end(node)
        item = queue.items[0]
        if item.block is None:
            self._take(queues, node, queue)
            return Send(down_topic(node, DownChannel.CTL), "manifest", item.digest, 0, 0, node, 1)
        offset = item.at
        length = min(item.piece_bytes, item.end - offset)
        item.at += length
        self.repair_bytes[item.digest] = self.repair_bytes.get(item.digest, 0) + length
        if item.at >= item.end:
            self._take(queues, node, queue)
        return Send(down_topic(node, DownChannel.PIECE), "piece", item.digest, offset, length, node, 0)

    @staticmethod
    def _take(queues: OrderedDict[NodeId, _Queue], node: NodeId, queue: _Queue) -> None:
        item = queue.items.popleft()
        queue.keys.discard((item.digest, item.block))
        if not queue.items:
            del queues[node]
