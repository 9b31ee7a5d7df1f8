"""Ears at the foot of each pole: what a loudspeaker really did, by the true clock, whatever its node claims."""

from collections import Counter
from dataclasses import dataclass

from devices.node.ports import Clip, Playback, PlaybackEvents, Speaker
from loa.units import DurationMs, NodeId
from simulators.clocks import SkewedClock


@dataclass(frozen=True)
class HeardStart:
    """A first sample that left a loudspeaker."""

    node: NodeId
    label: str
    """The broadcast's id in hex."""
    true_ms: float
    """Milliseconds since 1970 by the true clock."""
    offset_ms: int
    """How far into the broadcast it began: 0 unless it joined in phase or went on."""


@dataclass(frozen=True)
class HeardEnd:
    """When a loudspeaker that had sounded fell silent, at the end of its clip or before."""

    node: NodeId
    label: str
    true_ms: float


class Ears:
    """Every start and every end at every loudspeaker, in the order in which they were heard."""

    def __init__(self) -> None:
        self.starts: list[HeardStart] = []
        self.ends: list[HeardEnd] = []
        self.finished: list[tuple[NodeId, str]] = []
        """Those that came to the end of their clip."""

    def starts_of(self, label: str) -> list[HeardStart]:
        return [start for start in self.starts if start.label == label]

    def sounding(self, label: str) -> set[NodeId]:
        """Loudspeakers out of which it comes now."""
        count = Counter(start.node for start in self.starts if start.label == label)
        count.subtract(end.node for end in self.ends if end.label == label)
        return {node for node, left in count.items() if left > 0}


class _Overheard:
    """A playback whose end is heard, whatever brings it."""

    def __init__(self, clock: SkewedClock, node: NodeId, label: str, ears: Ears) -> None:
        self._clock, self._node, self._label, self._ears = clock, node, label, ears
        self._inner: Playback | None = None
        self._sounds = False

    def of(self, inner: Playback) -> "_Overheard":
        self._inner = inner
        return self

    def started(self, monotonic_s: float, offset_ms: int) -> None:
        self._sounds = True
        true_ms = self._clock.true_instant_ms(monotonic_s)
        self._ears.starts.append(HeardStart(self._node, self._label, true_ms, offset_ms))

    def ended(self) -> None:
        if self._sounds:
            self._sounds = False
            true_ms = self._clock.true_instant_ms(self._clock.monotonic_s())
            self._ears.ends.append(HeardEnd(self._node, self._label, true_ms))

    def stop(self) -> None:
        assert self._inner is not None
        self._inner.stop()
        self.ended()

    @property
    def position_ms(self) -> DurationMs:
        assert self._inner is not None
        return self._inner.position_ms


class OverheardSpeaker:
    """A Speaker with an ear before it."""

    def __init__(self, inner: Speaker, clock: SkewedClock, node: NodeId, ears: Ears) -> None:
        self._inner, self._clock, self._node, self._ears = inner, clock, node, ears
        self._last: _Overheard | None = None

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    @property
    def ready(self) -> bool:
        return self._inner.ready

    async def lost(self) -> None:
        await self._inner.lost()

    def play(self, clip: Clip, at_monotonic_s: float, events: PlaybackEvents) -> Playback:
        if self._last is not None:
            self._last.ended()  # a speaker sounds one clip at a time
        overheard = self._last = _Overheard(self._clock, self._node, clip.label, self._ears)

        def started(monotonic_s: float) -> None:
            overheard.started(monotonic_s, clip.offset_ms)
            events.started(monotonic_s)

        def finished() -> None:
            overheard.ended()
            self._ears.finished.append((self._node, clip.label))
            events.finished()

        def failed(reason: str) -> None:
            overheard.ended()
            events.failed(reason)

        return overheard.of(self._inner.play(clip, at_monotonic_s, PlaybackEvents(started, finished, failed)))
