"""Decoded sound on its way to a sound card: filled by a thread that decodes ahead, taken by the card's own thread."""

import threading

from audio.decode import RATE
from devices.node.ports import Clip
from devices.node.sound import FRAME_BYTES, ClipSound
from loa.errors import Fault

AHEAD_FRAMES = 3 * RATE
"""Decoded ahead at most; 288 kB, so that a disk that stands still for a while is not heard."""
_STEP_FRAMES = RATE // 10
_STARVING_FRAMES = RATE // 4
"""With less than this decoded, missing audio becomes silence; before that it is waited for."""
_WAIT_S = 0.02


class DecodedAhead:
    """The frames of one clip by their number, from 0 at its offset. What is not taken in time is left out."""

    def __init__(self, clip: Clip) -> None:
        self._sound = ClipSound(clip)
        self._frames = bytearray()
        self._first = 0
        self._ended = False
        self._stopped = False
        self._changed = threading.Condition()
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._decode, name="decode", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self, first: int, count: int) -> bytes | None:
        """Frames `first` to `first + count`, or what of them is left before the end; None where it cannot go on.

        Missing frames are silence. Called by the card's thread: never blocks for long.
        """
        with self._changed:
            drop = min(max(0, first - self._first), len(self._frames) // FRAME_BYTES)
            del self._frames[: drop * FRAME_BYTES]
            self._first += drop
            lead = self._first - first  # frames before what is here, when the reader is behind
            here = bytes(self._frames[: count * FRAME_BYTES]) if lead == 0 else b""
            del self._frames[: len(here)]
            self._first += len(here) // FRAME_BYTES
            over = self._ended and not self._frames
            self._changed.notify_all()
        if self.failure is not None and not here:
            return None
        missing = count - len(here) // FRAME_BYTES
        if missing == 0 or (over and self.failure is None):
            return here
        return here + bytes(missing * FRAME_BYTES)

    def _decode(self) -> None:
        try:
            while self._room():
                part = self._next_part()
                if part is None:
                    with self._changed:
                        self._changed.wait(_WAIT_S)
                    continue
                with self._changed:
                    self._frames += part
                    if not part:
                        self._ended = True
                        return
        except Fault as error:
            self.failure = error.code
        except Exception as error:
            self.failure = repr(error)
            raise
        finally:
            with self._changed:
                self._ended = True

    def _room(self) -> bool:
        """Wait until more may be decoded; False once nobody wants it."""
        with self._changed:
            while len(self._frames) >= AHEAD_FRAMES * FRAME_BYTES and not self._stopped:
                self._changed.wait(1.0)
            return not self._stopped

    def _next_part(self) -> bytes | None:
        part = self._sound.read_ahead(_STEP_FRAMES)
        if part is None and len(self._frames) < _STARVING_FRAMES * FRAME_BYTES:
            return self._sound.read(_STEP_FRAMES // 5)
        return part
