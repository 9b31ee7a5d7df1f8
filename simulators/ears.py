"""Ears at the foot of each pole: what a loudspeaker really did, by the true clock, whatever its node claims."""

from dataclasses import dataclass

from devices.node.ports import Clip, Playback, PlaybackEvents, Speaker
from loa.units import NodeId
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


class Ears:
    """Every start at every loudspeaker, in the order in which they were heard."""

    def __init__(self) -> None:
        self.starts: list[HeardStart] = []
        self.finished: list[tuple[NodeId, str]] = []

    def starts_of(self, label: str) -> list[HeardStart]:
        return [start for start in self.starts if start.label == label]


class OverheardSpeaker:
    """A Speaker with an ear before it."""

    def __init__(self, inner: Speaker, clock: SkewedClock, node: NodeId, ears: Ears) -> None:
        self._inner, self._clock, self._node, self._ears = inner, clock, node, ears

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
        def started(monotonic_s: float) -> None:
            true_ms = self._clock.true_instant_ms(monotonic_s)
            self._ears.starts.append(HeardStart(self._node, clip.label, true_ms, clip.offset_ms))
            events.started(monotonic_s)

        def finished() -> None:
            self._ears.finished.append((self._node, clip.label))
            events.finished()

        return self._inner.play(clip, at_monotonic_s, PlaybackEvents(started, finished, events.failed))
