"""What a node needs of its box: a place to keep things and something to sound with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from loa.units import ByteCount, DurationMs


class Storage(Protocol):
    """Named byte strings that survive a power cut. Names are ``[a-z0-9./-]``; ``/`` makes folders.

    Real implementations: disk (`devices.node.disk`) and memory. Synchronous: the sizes are small. Raises
    loa.errors.Fault("storage_full") where there is no room, and leaves what was there before.
    """

    def read(self, name: str) -> bytes | None: ...

    def write(self, name: str, data: bytes) -> None:
        """Replace the whole: durable on return, and after a power cut either the old or the new."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Add to the end, durable on return; a power cut may leave a torn tail, which the reader must notice."""
        ...

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        """Write a part without waiting for the disk (blocks of audio: their hashes tell whether they survived)."""
        ...

    def read_at(self, name: str, offset: int, length: int) -> bytes:
        """At most `length` bytes; fewer at the end, none where there is nothing."""
        ...

    def delete(self, name: str) -> None: ...

    def names(self, prefix: str = "") -> list[str]: ...

    def size(self, name: str) -> ByteCount: ...

    def free_bytes(self) -> ByteCount: ...


class ByteSource(Protocol):
    """Audio that may still be coming in: an Ogg Opus file of known length whose checked bytes grow."""

    @property
    def length_bytes(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes | None:
        """The bytes where all of them are here and checked; None where they are not here yet."""
        ...


@dataclass(frozen=True)
class Clip:
    """Something to sound: renditions one after another, from a place in them on, at a gain."""

    label: str
    """The broadcast's id in hex, or what else it is (`test-tone`); names the recording."""
    sources: tuple[ByteSource, ...]
    durations_ms: tuple[DurationMs, ...]
    offset_ms: DurationMs
    """Where to begin, for joining in phase or resuming."""
    gain: float
    """Linear amplitude, 0 to 1."""
    tone_hz: float | None = None
    """Instead of sources: a test tone of `durations_ms[0]`."""


class Playback(Protocol):
    """A clip on its way through the speaker."""

    def stop(self) -> None:
        """Silence at once (within one buffer) and for good. Idempotent."""
        ...

    @property
    def position_ms(self) -> DurationMs:
        """How much of the clip, from its own beginning, has left the speaker."""
        ...


@dataclass(frozen=True)
class PlaybackEvents:
    """Called on the event loop. Exactly one of finished and failed is called, unless the playback was stopped."""

    started: Callable[[float], None]
    """Monotonic seconds of the first sample leaving the speaker."""
    finished: Callable[[], None]
    failed: Callable[[str], None]
    """No audio at its time (starved for longer than it may, or too much in all), undecodable, or the device is gone."""


class Speaker(Protocol):
    """Sounds clips. Real implementations: sound card, recording. One clip at a time; the amplifier is off between."""

    async def open(self) -> None:
        """Raises loa.errors.Fault("speaker_unavailable")."""
        ...

    async def close(self) -> None: ...

    async def lost(self) -> None:
        """Returns when it cannot sound (any more); waits while it can."""
        ...

    def play(self, clip: Clip, at_monotonic_s: float, events: PlaybackEvents) -> Playback:
        """Place the clip so that its first sample leaves at that instant of the clock given to the speaker.

        An instant already past: it starts now, with the part that would have been heard left out.
        """
        ...

    @property
    def ready(self) -> bool:
        """Whether it could sound now."""
        ...
