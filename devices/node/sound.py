"""A clip as sound to be read: always as much as was asked for, silence where audio is missing, and then on in phase."""

import array
import math
from collections.abc import Iterator

from audio.decode import RATE, ClipDecoder, open_clip
from devices.node.ports import Clip
from loa.errors import Fault
from loa.units import DurationMs

FRAME_BYTES = 2
LONGEST_STARVATION_S = 10.0
"""Silence in place of missing audio for longer than this in one piece fails the clip."""
MOST_MISSING_S = 1.0
"""A clip of which more than this was silence for want of audio has failed: nobody says that it was heard to its end."""
_TONE_LEVEL = 0.25
_TONE_FADE_S = 0.02


class ClipSound:
    """The clip's frames, mono, signed 16 bits at 48 kHz, from its offset on. Not thread-safe.

    A clip is never longer than its durations say, whatever its files hold.
    """

    def __init__(self, clip: Clip) -> None:
        whole = sum(round(one * RATE / 1000) for one in clip.durations_ms)
        self._skipped = clip.offset_ms * RATE // 1000
        self._left = max(0, whole - self._skipped)
        self._lag = 0
        self.starved_frames = 0
        """Frames that were silence because their audio was not here, in all."""
        self._starving = 0
        self._given = 0
        self._tone = _tone(clip.tone_hz, whole, self._skipped, clip.gain) if clip.tone_hz is not None else None
        self._decoder = (
            None
            if self._tone is not None
            else open_clip(clip.sources, clip.offset_ms, durations_ms=clip.durations_ms, gain=clip.gain)
        )

    @property
    def position_ms(self) -> DurationMs:
        """Of the next frame, from the clip's own beginning."""
        return DurationMs((self._skipped + self._given) * 1000 // RATE)

    def read(self, frames: int) -> bytes:
        """Exactly `frames` frames; fewer at the end, none after it.

        Raises Fault: decode_failed; audio_missing after too long a silence, or at the end where too much was missing.
        """
        out = self._read(frames, waits=False)
        assert out is not None
        return out

    def read_ahead(self, frames: int) -> bytes | None:
        """As `read`, but None instead of silence where nothing is here yet, and less where less is here."""
        return self._read(frames, waits=True)

    def _read(self, frames: int, *, waits: bool) -> bytes | None:
        frames = min(frames, self._left)
        if frames <= 0:
            return self._end()
        out = self._from_tone(frames) if self._tone is not None else self._from_files(frames, waits=waits)
        if out is None:
            return None
        got = len(out) // FRAME_BYTES
        self._left -= got
        self._given += got
        if got == 0:
            self._left = 0
            return self._end()
        if self._left == 0 and self.starved_frames and self.starved_frames == self._given:
            raise Fault("audio_missing", limit=LONGEST_STARVATION_S)
        return out

    def _end(self) -> bytes:
        if self.starved_frames > MOST_MISSING_S * RATE:
            raise Fault("audio_missing", limit=MOST_MISSING_S)
        return b""

    def _from_tone(self, frames: int) -> bytes:
        assert self._tone is not None
        return array.array("h", (next(self._tone) for _ in range(frames))).tobytes()

    def _from_files(self, frames: int, *, waits: bool) -> bytes | None:
        assert self._decoder is not None
        parts: list[bytes] = []
        wanted = frames
        while wanted > 0:
            part = self._decoder.read(wanted) if self._catch_up(self._decoder) else None
            if part is None and waits:
                return b"".join(parts) or None
            if part is None:
                self._starve(wanted)
                parts.append(bytes(wanted * FRAME_BYTES))
                break
            if not part:
                break
            self._starving = 0
            parts.append(part)
            wanted -= len(part) // FRAME_BYTES
        return b"".join(parts)

    def _catch_up(self, decoder: ClipDecoder) -> bool:
        """Leave out what was due while silence stood in for it; False where that is not here yet."""
        while self._lag > 0:
            late = decoder.read(min(self._lag, RATE))
            if late is None:
                return False
            if not late:
                break
            self._lag -= len(late) // FRAME_BYTES
        return True

    def _starve(self, frames: int) -> None:
        self._lag += frames
        self.starved_frames += frames
        self._starving += frames
        if self._starving > LONGEST_STARVATION_S * RATE:
            raise Fault("audio_missing", limit=LONGEST_STARVATION_S)


def _tone(hz: float, whole: int, skipped: int, gain: float) -> Iterator[int]:
    """A sine with soft ends."""
    fade = max(1, round(_TONE_FADE_S * RATE))
    step = 2 * math.pi * hz / RATE
    top = 32767 * _TONE_LEVEL * gain
    for at in range(skipped, whole):
        soft = min(1.0, at / fade, (whole - at) / fade)
        yield round(top * soft * math.sin(step * at))
