"""What a virtual box is made of: storage that tears and forgets, a loudspeaker that notes what it was given."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from devices.node.memory import MemoryStorage
from devices.node.ports import Clip, PlaybackEvents
from loa.clock import Clock
from loa.units import ByteCount, DurationMs
from simulators.world.chance import Chance


class PowerCut(BaseException):
    """The power is gone: nothing after this line happens in this box."""


class Platter:
    """The bytes that outlive a box's power, and those that only seem to: parts written without waiting for the disk."""

    def __init__(self, chance: Chance, capacity: int = 64 * 1024 * 1024) -> None:
        self.memory = MemoryStorage(capacity)
        self._random = chance.random
        self._unsynced: dict[str, dict[int, tuple[bytes, bytes]]] = {}
        """By file and offset: what was there, and what may be there now."""
        self.cut_in: int | None = None
        """The power fails in the course of the write that is this many from now."""
        self.power_failed: Callable[[], None] = lambda: None

    def power_cut(self) -> None:
        """Unsynced parts survive, vanish or are torn, each by chance."""
        for name, parts in self._unsynced.items():
            for offset, (old, new) in parts.items():
                fate = self._random.random()
                if fate < 0.5:
                    continue
                torn = new[: len(new) // 2] + old[len(new) // 2 :] if fate < 0.75 else old
                if self.memory.size(name) >= offset + len(torn):
                    self.memory.write_at(name, offset, torn)
        self._unsynced.clear()

    def write(self, name: str, data: bytes) -> None:
        if self._fails_now() and self._random.random() < 0.5:  # replaced as a whole: before or after, never half
            raise self._fail()
        self.memory.write(name, data)
        self._unsynced.pop(name, None)
        if self.cut_in == 0:
            raise self._fail()

    def append(self, name: str, data: bytes) -> None:
        if self._fails_now():
            self.memory.append(name, data[: self._random.randrange(len(data) + 1)])
            raise self._fail()
        self.memory.append(name, data)

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        old = self.memory.read_at(name, offset, len(data))
        self.memory.write_at(name, offset, data)
        self._unsynced.setdefault(name, {})[offset] = (old + bytes(len(data) - len(old)), data)
        if self._fails_now():
            raise self._fail()

    def delete(self, name: str) -> None:
        self.memory.delete(name)
        self._unsynced.pop(name, None)

    def _fails_now(self) -> bool:
        if self.cut_in is None:
            return False
        self.cut_in -= 1
        return self.cut_in <= 0

    def _fail(self) -> PowerCut:
        self.cut_in = None
        self.power_failed()
        return PowerCut()


class BoxStorage:
    """A Storage on a platter, for as long as the box has power."""

    def __init__(self, platter: Platter) -> None:
        self._platter = platter
        self.on = True

    def _check(self) -> None:
        if not self.on:
            raise PowerCut

    def read(self, name: str) -> bytes | None:
        self._check()
        return self._platter.memory.read(name)

    def write(self, name: str, data: bytes) -> None:
        self._check()
        self._platter.write(name, data)

    def append(self, name: str, data: bytes) -> None:
        self._check()
        self._platter.append(name, data)

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        self._check()
        self._platter.write_at(name, offset, data)

    def read_at(self, name: str, offset: int, length: int) -> bytes:
        self._check()
        return self._platter.memory.read_at(name, offset, length)

    def delete(self, name: str) -> None:
        self._check()
        self._platter.delete(name)

    def names(self, prefix: str = "") -> list[str]:
        self._check()
        return self._platter.memory.names(prefix)

    def size(self, name: str) -> ByteCount:
        self._check()
        return self._platter.memory.size(name)

    def free_bytes(self) -> ByteCount:
        self._check()
        return self._platter.memory.free_bytes()


@dataclass(frozen=True)
class Sounding:
    """What a loudspeaker did, by the true clock: from when to when (None while it goes on) it sounded which clip."""

    node: str
    label: str
    began_ms: int
    offset_ms: int
    limit_ms: int = 0
    """How much of the clip was left when it began."""
    ended_ms: int | None = None
    how: str = "on"
    """on, finished, stopped, starved, power."""
    parts_ms: tuple[int, ...] = ()
    """How long each of the recordings is that it is made of, one after another."""


class VirtualSpeaker:
    """Notes what was placed and when; decodes nothing. One clip at a time."""

    def __init__(self, node: str, clock: Clock, true_clock: Clock, note: Callable[[Sounding], None]) -> None:
        self._node, self._clock, self._true = node, clock, true_clock
        self._note = note
        self._current: VirtualPlayback | None = None
        self._gone = asyncio.Event()
        self.on = True

    async def open(self) -> None:
        """Always there."""

    async def close(self) -> None:
        self.silence("power")

    @property
    def ready(self) -> bool:
        return self.on

    def play(self, clip: Clip, at_monotonic_s: float, events: PlaybackEvents) -> "VirtualPlayback":
        if not self.on:
            raise PowerCut
        playback = VirtualPlayback(self, clip, at_monotonic_s, events)
        self._current = playback
        return playback

    async def lost(self) -> None:
        await self._gone.wait()

    # As a sensor of itself: it knows what was placed on it.

    async def keep(self) -> None:
        """Nothing to be kept going."""

    def level_db(self) -> float | None:
        """Of what leaves it now."""
        return -20.0 if self._current is not None and self._current.sounds else -96.0

    def silence(self, how: str) -> None:
        """Power or device gone: whatever sounded ends, and nobody is told."""
        self._gone.set()
        if self._current is not None:
            self._current.end(how)
            self._current = None

    def sounded(self, sounding: Sounding) -> None:
        self._note(sounding)

    @property
    def clocks(self) -> tuple[Clock, Clock]:
        """The box's own clock and the true one."""
        return self._clock, self._true

    @property
    def node(self) -> str:
        return self._node


class VirtualPlayback:
    """A clip on its way. Its sources are looked at once a second: sound whose bytes are not here does not count."""

    def __init__(self, speaker: VirtualSpeaker, clip: Clip, at_s: float, events: PlaybackEvents) -> None:
        self._speaker, self._clip, self._events = speaker, clip, events
        self._clock, self._true = speaker.clocks
        self._total_ms = sum(clip.durations_ms)
        self._at_s = at_s
        self._began_ms: int | None = None
        self._over = False
        self._handle = self._later(max(0.0, at_s - self._clock.monotonic_s()), self._begin)

    def _later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, act)

    @property
    def _missed_ms(self) -> float:
        return max(0.0, self._began_s - self._at_s) * 1000

    def _begin(self) -> None:
        self._began_s = self._clock.monotonic_s()
        offset_ms = self._clip.offset_ms + self._missed_ms
        if offset_ms >= self._total_ms:
            self._over = True
            self._events.finished()
            return
        self._began_ms = self._true.now_ms()
        self._offset_ms = round(offset_ms)
        self._note("on", None)
        self._handle = self._later((self._total_ms - offset_ms) / 1000, self._finish)
        self._events.started(self._began_s)

    def _finish(self) -> None:
        if not self._over:
            self.end("finished")
            self._events.finished()

    def _note(self, how: str, ended_ms: int | None) -> None:
        began = self._began_ms
        if began is not None:
            left_ms = self._total_ms - self._offset_ms
            self._speaker.sounded(
                Sounding(
                    self._speaker.node,
                    self._clip.label,
                    began,
                    self._offset_ms,
                    left_ms,
                    ended_ms,
                    how,
                    tuple(self._clip.durations_ms),
                )
            )

    @property
    def sounds(self) -> bool:
        return self._began_ms is not None and not self._over

    def end(self, how: str) -> None:
        if self._over:
            return
        self._over = True
        self._handle.cancel()
        self._note(how, self._true.now_ms())

    def stop(self) -> None:
        self.end("stopped")

    @property
    def position_ms(self) -> DurationMs:
        if self._began_ms is None:
            return self._clip.offset_ms
        played = (self._clock.monotonic_s() - self._began_s) * 1000
        return DurationMs(round(min(self._total_ms, self._offset_ms + played)))
