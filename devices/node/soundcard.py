"""The sound card as a speaker (miniaudio): one stream that stays open, silence in it, clips placed by sample number.

Which instant a sample leaves at follows from when the card asked for it: samples are asked for late at times, never
early, so the least delay over a while is the card's own; it is let rise slowly, since cards' clocks drift. Asked for
later than its buffer is deep, the card has run dry: its samples are late from then on, and a clip skips as much.
"""

import array
import asyncio
import threading
from collections.abc import Generator
from typing import Any

import miniaudio

from audio.decode import RATE
from devices.node.ports import Clip, PlaybackEvents
from devices.node.ring import DecodedAhead
from devices.node.sound import FRAME_BYTES
from loa.clock import Clock
from loa.errors import Fault
from loa.units import DurationMs

BUFFER_MS = 100
"""What the card asks for at a time."""
_FADE_FRAMES = RATE * 5 // 1000
_DRIFT = 200e-6
_LOST_AFTER_S = 3.0
_WATCH_S = 0.5
_SETTLE_S = 5.0
_STEADY_REQUESTS = 4
_BURST_S = 0.01
_BACKENDS = [miniaudio.Backend.PULSEAUDIO, miniaudio.Backend.ALSA, miniaudio.Backend.JACK]


class SoundCardSpeaker:
    """Plays on the card whose name contains `device`; on the system's own choice where it is None."""

    def __init__(self, clock: Clock, device: str | None = None, *, buffer_ms: int = BUFFER_MS) -> None:
        self._clock = clock
        self._device_name = device
        self._buffer_ms = buffer_ms
        self._device: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self._lost = asyncio.Event()
        self._asked = 0
        self._asked_s: float | None = None
        self._zero_s: float | None = None
        self._requests = 0
        self._depth = 0
        """Frames asked for in one go at the beginning: what the card's buffer holds."""
        self._current: CardPlayback | None = None
        self._fading: CardPlayback | None = None

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._close_device()
        try:
            self._device = await asyncio.to_thread(self._open_device)
        except (miniaudio.MiniaudioError, OSError, ValueError) as error:
            raise Fault("speaker_unavailable", reason=str(error)) from error
        if self._watch is None:
            self._watch = self._loop.create_task(self._watch_device(), name="sound card")
        for _ in range(round(_SETTLE_S / 0.05)):  # until the first buffers tell where the card is
            if self.ready:
                return
            await self._clock.sleep(0.05)

    def _open_device(self) -> Any:
        device_id = None
        if self._device_name is not None:
            cards = miniaudio.Devices(_BACKENDS).get_playbacks()
            found = [card for card in cards if self._device_name in card["name"]]
            if not found:
                raise ValueError(f"no card named {self._device_name}; there are {[card['name'] for card in cards]}")
            device_id = found[0]["id"]
        device = miniaudio.PlaybackDevice(
            output_format=miniaudio.SampleFormat.SIGNED16,
            nchannels=1,
            sample_rate=RATE,
            buffersize_msec=self._buffer_ms,
            device_id=device_id,
            backends=_BACKENDS,
            app_name="loa",
        )
        with self._lock:
            self._asked, self._asked_s, self._zero_s, self._requests, self._depth = 0, None, None, 0, 0
        feed = self._feed()
        next(feed)
        device.start(feed)
        return device

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._current is not None:
            self._current.stop()
            await self._clock.sleep((_FADE_FRAMES / RATE) + self._buffer_ms / 1000)
        await self._close_device()

    async def _close_device(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            await asyncio.to_thread(device.close)

    @property
    def ready(self) -> bool:
        return self._device is not None and self._requests >= _STEADY_REQUESTS and not self._silent_card

    async def lost(self) -> None:
        if self.ready:
            self._lost.clear()
            await self._lost.wait()

    @property
    def _silent_card(self) -> bool:
        """The card has stopped asking for samples: it is gone."""
        return self._asked_s is None or self._clock.monotonic_s() - self._asked_s > _LOST_AFTER_S

    async def _watch_device(self) -> None:
        while True:
            await self._clock.sleep(_WATCH_S)
            current = self._current
            if self._device is not None and self._asked_s is not None and self._silent_card:
                self._requests = 0
                self._lost.set()
                if current is not None:
                    current.fail("device_lost")

    def play(self, clip: Clip, at_monotonic_s: float, events: PlaybackEvents) -> "CardPlayback":
        if self._current is not None:
            self._current.stop()
        assert self._loop is not None
        with self._lock:
            zero_s = self._zero_s if self._zero_s is not None else self._clock.monotonic_s()
            first = round((at_monotonic_s - zero_s) * RATE)
            late = max(0, self._asked - first)
        # Whole milliseconds are left out of a clip whose beginning has passed, so that the rest is in phase.
        late_ms = -(-late * 1000 // RATE)
        placed = Clip(
            label=clip.label,
            sources=clip.sources,
            durations_ms=clip.durations_ms,
            offset_ms=DurationMs(clip.offset_ms + late_ms),
            gain=clip.gain,
            tone_hz=clip.tone_hz,
        )
        self._current = CardPlayback(self, placed, first + late_ms * RATE // 1000, events, self._loop)
        return self._current

    def leaves_at(self, frame: int) -> float:
        """The monotonic second at which a frame of the stream leaves the card."""
        return (self._zero_s or 0.0) + frame / RATE

    @property
    def clock(self) -> Clock:
        return self._clock

    def begin_fade(self, playback: "CardPlayback") -> None:
        with self._lock:
            if self._current is playback:
                self._current, self._fading = None, playback

    def ended(self, playback: "CardPlayback") -> None:
        with self._lock:
            if self._current is playback:
                self._current = None

    # In the card's own thread

    def _feed(self) -> Generator[bytes, int, None]:
        frames = yield b""
        while True:
            frames = yield self._next(frames)

    def _next(self, frames: int) -> bytes:
        now = self._clock.monotonic_s()
        with self._lock:
            first = self._asked
            self._asked += frames
            self._requests += 1
            self._follow(now, first, frames)
            current, fading, self._fading = self._current, self._fading, None
        out = bytes(frames * FRAME_BYTES)
        if fading is not None:
            out = fading.faded(frames)
        if current is not None:
            sound, at = current.give(first, frames)
            if sound:
                out = out[: at * FRAME_BYTES] + sound + out[at * FRAME_BYTES + len(sound) :]
        return out

    def _follow(self, now: float, first: int, frames: int) -> None:
        """Learn from a request when frames leave the card."""
        if self._asked_s is None or (self._depth == first and now - self._asked_s < _BURST_S):
            self._depth = first + frames
        queued_s = max(frames, self._depth - frames) / RATE
        heard_s = now + queued_s - first / RATE
        if self._zero_s is None or self._asked_s is None:
            self._zero_s = heard_s
        elif heard_s > self._zero_s + queued_s:
            if self._current is not None:
                self._current.skip(round((heard_s - self._zero_s) * RATE))
            self._zero_s = heard_s
        else:
            self._zero_s = min(self._zero_s + _DRIFT * (now - self._asked_s), heard_s)
        self._asked_s = now


class CardPlayback:
    """A clip whose frame 0 is the stream's frame `first`."""

    def __init__(
        self,
        speaker: SoundCardSpeaker,
        clip: Clip,
        first: int,
        events: PlaybackEvents,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._speaker = speaker
        self._clip = clip
        self._first = first
        self._events = events
        self._loop = loop
        self._ahead = DecodedAhead(clip)
        self._given = 0
        self._over = False
        self._told: list[str] = []

    @property
    def position_ms(self) -> DurationMs:
        since = self._speaker.clock.monotonic_s() - self._speaker.leaves_at(self._first)
        heard = min(max(0.0, since), self._given / RATE)
        return DurationMs(self._clip.offset_ms + round(heard * 1000))

    def stop(self) -> None:
        if not self._over:
            self._over = True
            self._speaker.begin_fade(self)
            self._ahead.stop()

    def fail(self, reason: str) -> None:
        """On the event loop."""
        if not self._over:
            self._over = True
            self._ahead.stop()
            self._speaker.ended(self)
            self._events.failed(reason)

    # In the card's own thread

    def skip(self, frames: int) -> None:
        """The card is late by so much: leave that out, so that the rest is in phase."""
        self._first -= frames

    def give(self, first: int, frames: int) -> tuple[bytes, int]:
        """What of the stream's frames `first` to `first + frames` is this clip's, and where among them it begins."""
        at = max(0, self._first - first)
        if at >= frames or self._over:
            return b"", 0
        number = first + at - self._first
        sound = self._ahead.take(number, frames - at)
        if sound is None:
            self._loop.call_soon_threadsafe(self.fail, self._ahead.failure or "decode_failed")
            return b"", 0
        if sound and self._given == 0:
            self._loop.call_soon_threadsafe(self._tell_started)
        self._given = number + len(sound) // FRAME_BYTES
        if len(sound) < (frames - at) * FRAME_BYTES:
            ends_s = self._speaker.leaves_at(first + at + len(sound) // FRAME_BYTES)
            self._loop.call_soon_threadsafe(self._tell_finished, ends_s)
        return sound, at

    def faded(self, frames: int) -> bytes:
        """A few more frames, softer and softer, so that a cut makes no click; then silence."""
        sound = self._ahead.take(self._given, min(frames, _FADE_FRAMES)) or b""
        samples = array.array("h", sound)
        for index in range(len(samples)):
            samples[index] = samples[index] * (len(samples) - index) // (len(samples) + 1)
        return samples.tobytes() + bytes(frames * FRAME_BYTES - len(sound))

    # On the event loop

    def _tell_started(self) -> None:
        if not self._over:
            self._events.started(self._speaker.leaves_at(self._first))

    def _tell_finished(self, ends_s: float) -> None:
        if not self._told:
            self._told.append("finished")
            self._speaker.ended(self)
            self._finish = self._loop.create_task(self._finish_at(ends_s))

    async def _finish_at(self, ends_s: float) -> None:
        """When the last frame has left the card, not when it was handed over."""
        await self._speaker.clock.sleep(ends_s - self._speaker.clock.monotonic_s())
        if not self._over:
            self._over = True
            self._ahead.stop()
            self._events.finished()
