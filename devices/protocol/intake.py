"""How a node gets its audio: joins shared streams, asks for what it lacks, lets only checked blocks through.

Pure: no clock and no I/O. `now_s` is any monotonic clock in seconds, always the same one; `now_ms` the controller's
clock as the node estimates it. The caller publishes what `wants` returns (signed), subscribes to what `streams`
returns, and calls `wants` again after every piece and at `next_at_s`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from devices.protocol.assembly import Ask, Assembly, as_ranges
from devices.protocol.common import BLOCK_BYTES
from devices.protocol.envelope import decode
from devices.protocol.media import Manifest, Piece, Want, digest_of
from devices.protocol.meter import QUEUE_S, LinkMeter
from devices.protocol.needs import Need, Traffic, VerifiedBlock, merged
from devices.protocol.refusal import RefusalReason, WireRefusal
from loa.entropy import Entropy, fraction
from loa.precedence import Precedence
from loa.units import Digest, InstantMs, NodeId

__all__ = ["Intake", "Need", "Traffic", "VerifiedBlock"]
JOIN_SHARE = 0.6
"""A stream whose pace is at most this share of the link's rate is joined."""
MODEST_PACE = 16_000.0
"""Bytes a second. While the link's rate is not known, only streams up to this pace are joined."""
FAST_RATE = 1_000_000.0
"""Bytes a second from which on a stream without a pace is joined too."""
JOIN_AHEAD_MS = 10_000
STREAM_GRACE_S = 3.0
"""A stream may start this much late before the node begins to ask by itself."""
RELAYED_QUEUE_S = 3.0
"""How much audio may wait at a station: its bus lets orders pass between two frames, and a node's turn to ask for
more may take a second to come."""
URGENT_MS = 60_000
"""A rendition that sounds within this time has its holes filled while its stream still runs."""
_BEHIND_BLOCKS = 8
_RANGES = 64
_OVERTAKEN = 3


@dataclass(slots=True)
class _Rendition:
    need: Need
    blocks: Assembly = field(default_factory=Assembly)
    last_piece_s: float | None = None
    """Of the pieces that came without being asked for: the stream's."""
    waiting_since_s: float | None = None
    stream_over: bool = False
    asks_from_s: float | None = None
    """Drawn once with jitter when asking becomes allowed."""
    manifest_asked_s: float | None = None
    manifest_tries: int = 0
    manifest_overdue: bool = False
    """A piece came and there was no manifest to check it by."""


class Intake:
    """One node's intake over one link.

    relays_streams: a station paces the streams, so the node joins all of them and waits while pieces trickle in.
    nominal_rate: the link's known rate in bytes a second, none where it is to be measured.
    """

    def __init__(
        self, node: NodeId, *, entropy: Entropy, relays_streams: bool = False, nominal_rate: float | None = None
    ) -> None:
        self.traffic = Traffic()
        self._node = node
        self._entropy = entropy
        self._relays = relays_streams
        self._meter = LinkMeter(nominal_rate, queue_s=RELAYED_QUEUE_S if relays_streams else QUEUE_S)
        self._renditions: dict[Digest, _Rendition] = {}
        self._down_since_s: float | None = None
        """None while the link is up."""
        self._last_answer_s = 0.0
        self._asks = 0
        self._last_audio_s: float | None = None
        self._wake: float | None = None

    def set_needs(self, needs: Sequence[Need]) -> None:
        """Everything this node should hold from now on; what is not among it is forgotten."""
        wanted: dict[Digest, Need] = {}
        for need in needs:
            known = wanted.get(need.digest)
            wanted[need.digest] = need if known is None else merged(known, need)
        self._renditions = {digest: self._renditions.get(digest) or _Rendition(need) for digest, need in wanted.items()}
        for digest, need in wanted.items():
            rendition = self._renditions[digest]
            if need != rendition.need:
                if need.stream_at != rendition.need.stream_at:
                    rendition.stream_over, rendition.waiting_since_s = False, None
                rendition.need, rendition.asks_from_s = need, None
        self._wake = 0.0

    def resume(self, digest: Digest, manifest: Manifest, have: Collection[int]) -> None:
        """Blocks of a needed rendition that are on disk and were checked; after a restart."""
        rendition = self._renditions.get(digest)
        if rendition is not None:
            rendition.blocks.begin(manifest, have)
            self._wake = 0.0

    def on_manifest(self, encoded: bytes, now_s: float, *, expected: Digest | None = None) -> Manifest | None:
        """Take a manifest in; None where nobody here needs it, or it is here already.

        expected: the digest in the topic it came by, if any. Raises WireRefusal: WRONG_BLOCK where the manifest is
        not that rendition's or contradicts what was signed about it; MALFORMED.
        """
        digest = digest_of(encoded)
        if expected is not None and digest != expected:
            raise WireRefusal(RefusalReason.WRONG_BLOCK, "a manifest under another rendition's name")
        rendition = self._renditions.get(digest)
        if rendition is None or rendition.blocks.manifest is not None:
            return None
        manifest = decode(encoded)
        if not isinstance(manifest, Manifest) or manifest.length_bytes != rendition.need.length_bytes:
            raise WireRefusal(RefusalReason.WRONG_BLOCK, "a manifest that contradicts the order's length")
        rendition.blocks.begin(manifest, ())
        rendition.manifest_asked_s = None
        self._last_audio_s = self._wake = now_s
        return manifest

    def on_piece(self, piece: Piece, now_s: float) -> VerifiedBlock | None:
        """Take a piece in; the block that it completes, once its hash was checked.

        Raises WireRefusal(WRONG_BLOCK): the piece or the block is not the rendition's; its parts are dropped and
        asked for again.
        """
        self._last_audio_s = now_s
        rendition = self._renditions.get(piece.rendition)
        if rendition is None:
            return None
        self.traffic.received += len(piece.data)
        self._meter.arrived(len(piece.data))
        blocks = rendition.blocks
        if blocks.manifest is None:
            rendition.last_piece_s, rendition.manifest_overdue = now_s, True
            self._wake = now_s
            return None
        index = piece.offset // BLOCK_BYTES
        ask = blocks.asks.get(index)
        if ask is None:
            rendition.last_piece_s = now_s
            blocks.frontier = max(blocks.frontier, index)
        else:
            self._last_answer_s = now_s
        try:
            _, new, data = blocks.take(piece)
        except WireRefusal:
            self.traffic.wasted += len(piece.data)
            blocks.failed(index, now_s, self._meter.timeout_s)
            self._wake = now_s
            raise
        self.traffic.wasted += len(piece.data) - new
        if ask is not None:
            self._answered(blocks, index, ask, new, now_s, whole=data is not None)
        if data is None:
            return None
        self.traffic.verified += len(data)
        self._wake = now_s
        return VerifiedBlock(piece.rendition, index, index * BLOCK_BYTES, data)

    def _answered(self, blocks: Assembly, index: int, ask: Ask, new: int, now_s: float, *, whole: bool) -> None:
        if not ask.begun and new:
            ask.begun = True
            self._meter.first_part(ask.mark, now_s, new)
        ask.remaining = max(0, ask.remaining - new)
        self._wake = now_s
        if whole:
            self._meter.answered(ask.mark, now_s)
            blocks.asks.pop(index, None)
            self._pass_by(ask.number, now_s)

    def _pass_by(self, number: int, now_s: float) -> None:
        """Answers come in the order of the asks: one that several later answers overtook is lost."""
        for rendition in self._renditions.values():
            for index, ask in list(rendition.blocks.asks.items()):
                if ask.number < number:
                    ask.passed += 1
                    if ask.passed >= _OVERTAKEN:
                        rendition.blocks.failed(index, now_s, self._meter.timeout_s)

    def streams(self, now_ms: InstantMs) -> frozenset[Digest]:
        """Renditions whose shared stream should be subscribed to now."""
        return frozenset(
            digest
            for digest, rendition in self._renditions.items()
            if rendition.need.stream_at is not None
            and not rendition.blocks.complete
            and not rendition.stream_over
            and now_ms >= rendition.need.stream_at - JOIN_AHEAD_MS
            and self._joins(rendition.need)
        )

    def _joins(self, need: Need) -> bool:
        rate = self._meter.rate
        if self._relays:
            return True
        if need.pace is None:
            return rate is None or rate >= FAST_RATE
        return need.pace <= (MODEST_PACE if rate is None else JOIN_SHARE * rate)

    def wants(self, now_s: float, now_ms: InstantMs) -> tuple[Want, ...]:
        """What to ask the controller for now; publish each, signed. May be empty, and `next_at_s` says until when."""
        self._wake = None
        if self._down_since_s is not None:
            return ()
        self._lose_overdue(now_s)
        result: list[Want] = []
        free = self._meter.window_bytes - sum(r.blocks.outstanding_bytes for r in self._renditions.values())
        ordered = sorted(self._renditions.values(), key=_urgency)
        emergency = any(r.need.precedence is Precedence.EMERGENCY and not r.blocks.complete for r in ordered)
        for rendition in ordered:
            if rendition.blocks.complete:
                continue
            if emergency and rendition.need.precedence is not Precedence.EMERGENCY:
                break
            below = self._allowed(rendition, now_s, now_ms)
            if below == 0:
                continue
            if rendition.blocks.manifest is None:
                result += self._manifest_want(rendition, now_s)
            else:
                want, free = self._block_want(rendition, now_s, free, below)
                result += want
        return tuple(result)

    def _allowed(self, rendition: _Rendition, now_s: float, now_ms: InstantMs) -> int | None:
        """Which blocks may be asked for: 0 none yet, None all, else those below."""
        need = rendition.need
        if self._stream_may_come(rendition, now_s, now_ms):
            if rendition.manifest_overdue and rendition.blocks.manifest is None:
                return None
            urgent = need.needed_at is not None and need.needed_at - now_ms < URGENT_MS
            return max(0, rendition.blocks.frontier - _BEHIND_BLOCKS) if urgent else 0
        if rendition.asks_from_s is None:
            hurry = need.precedence is Precedence.EMERGENCY or (
                need.needed_at is not None and need.needed_at - now_ms < 10_000
            )
            rendition.asks_from_s = now_s + fraction(self._entropy) * (0.2 if hurry else 2.0)
        if now_s < rendition.asks_from_s:
            self._wake_at(rendition.asks_from_s)
            return 0
        return None

    def _stream_may_come(self, rendition: _Rendition, now_s: float, now_ms: InstantMs) -> bool:
        """Whether the stream is still to be waited for, or running."""
        need = rendition.need
        if need.stream_at is None or rendition.stream_over or not self._joins(need):
            return False
        if need.needed_at is not None and need.stream_at >= need.needed_at > now_ms:
            return False
        wait_s = (need.stream_at - now_ms) / 1000
        if wait_s > 0:
            self._wake_at(
                now_s + max(0.0, wait_s - JOIN_AHEAD_MS / 1000) if wait_s > JOIN_AHEAD_MS / 1000 else now_s + wait_s
            )
            rendition.waiting_since_s = None
            return True
        if rendition.waiting_since_s is None:
            rendition.waiting_since_s = now_s
        running_s = need.length_bytes / need.pace if need.pace else 0.0
        if rendition.last_piece_s is None:
            last, quiet = rendition.waiting_since_s, STREAM_GRACE_S
            heard = self._last_audio_s
            if self._relays and heard is not None and heard > now_s - 2 * STREAM_GRACE_S:
                last, quiet = max(last, heard), 2 * STREAM_GRACE_S  # the bus is busy, with another rendition perhaps
            elif wait_s < -running_s - STREAM_GRACE_S:
                quiet = 0.0  # it was over before this node looked
            elif self._relays:
                quiet = 2 * STREAM_GRACE_S
        else:
            last = rendition.last_piece_s
            quiet = 10.0 if -wait_s < running_s else 5.0 if self._relays else 1.5
        if now_s - last < quiet:
            self._wake_at(last + quiet)
            return True
        rendition.stream_over = True
        return False

    def _manifest_want(self, rendition: _Rendition, now_s: float) -> list[Want]:
        asked = rendition.manifest_asked_s
        if asked is not None:
            again = asked + min(60.0, self._meter.timeout_s * 2 ** min(rendition.manifest_tries - 1, 6))
            if now_s < again:
                self._wake_at(again)
                return []
        rendition.manifest_asked_s = now_s
        rendition.manifest_tries += 1
        self._wake_at(now_s + self._meter.timeout_s * 2 ** min(rendition.manifest_tries - 1, 6))
        return [Want(node=self._node, rendition=rendition.need.digest, manifest=True)]

    def _block_want(self, rendition: _Rendition, now_s: float, free: int, below: int | None) -> tuple[list[Want], int]:
        """Ask for as many blocks as the window has room for; the room that is left."""
        blocks = rendition.blocks
        manifest = blocks.manifest
        window = self._meter.window_bytes
        room = free + (BLOCK_BYTES // 2 if window > BLOCK_BYTES else 0)  # to the nearest whole block
        if manifest is None or room < BLOCK_BYTES or (room < window // 4 and room < 8 * BLOCK_BYTES):
            return [], free
        chosen: list[int] = []
        for index in blocks.askable(now_s, below):
            if room < manifest.block_length(index):
                break
            chosen.append(index)
            room -= manifest.block_length(index)
        ranges = as_ranges(chosen, _RANGES)
        asked = [index for r in ranges for index in range(r.first, r.first + r.count)]
        for later in blocks.not_before_s.values():
            if later > now_s:
                self._wake_at(later)
        if not asked:
            return [], free
        total = sum(manifest.block_length(index) for index in asked)
        outstanding = window - free + total
        for index in asked:
            self._asks += 1
            mark = self._meter.asked(now_s, outstanding)
            blocks.asks[index] = Ask(mark, self._asks, manifest.block_length(index))
        self.traffic.asked += total
        self._last_answer_s = max(self._last_answer_s, now_s)
        self._wake_at(now_s + self._meter.timeout_s)
        want = Want(
            node=self._node, rendition=rendition.need.digest, blocks=ranges, piece_bytes=self._meter.piece_bytes
        )
        return [want], free - total

    def _lose_overdue(self, now_s: float) -> None:
        """With no answer to anything for a while, all that is unanswered counts as lost."""
        if not any(r.blocks.asks for r in self._renditions.values()):
            return
        due = self._last_answer_s + self._meter.timeout_s
        if now_s < due:
            self._wake_at(due)
            return
        for rendition in self._renditions.values():
            for index in list(rendition.blocks.asks):
                rendition.blocks.failed(index, now_s, self._meter.timeout_s)

    def on_link(self, up: bool, now_s: float) -> None:
        """The link went down or came up: what is on the way is forgotten, what is here stays."""
        began_s = now_s if self._down_since_s is None else self._down_since_s
        self._down_since_s = None if up else began_s
        self._meter.restart()
        for rendition in self._renditions.values():
            rendition.blocks.forget_asks()
            rendition.manifest_asked_s, rendition.asks_from_s, rendition.waiting_since_s = None, None, None
            if up and rendition.last_piece_s is not None:
                # Without a link nothing can be heard: that is no silence of the stream.
                rendition.last_piece_s += now_s - began_s
        self._wake = now_s if up else None

    def _wake_at(self, at_s: float) -> None:
        self._wake = at_s if self._wake is None else min(self._wake, at_s)

    def next_at_s(self) -> float | None:
        """When to call `wants` (and look at `streams`) again without anything coming in; None: not needed."""
        return self._wake

    def complete(self, digest: Digest) -> bool:
        rendition = self._renditions.get(digest)
        return rendition is not None and rendition.blocks.complete

    def missing(self, digest: Digest) -> int:
        """Blocks that are not here; all of them while there is no manifest."""
        rendition = self._renditions.get(digest)
        if rendition is None:
            return 0
        if rendition.blocks.manifest is None:
            return -(-rendition.need.length_bytes // BLOCK_BYTES)
        return len(rendition.blocks.missing)

    @property
    def link_rate(self) -> float | None:
        """Measured, bytes of audio a second; none before the first answer."""
        return self._meter.rate


def _urgency(rendition: _Rendition) -> tuple[int, int, bytes]:
    needed_at = rendition.need.needed_at
    return -rendition.need.precedence, needed_at if needed_at is not None else 1 << 62, rendition.need.digest
