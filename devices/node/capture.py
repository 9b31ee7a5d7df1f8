"""An input of the sound card as a sensor (miniaudio): a microphone before the horn, or the line's current through a
transformer on a line input."""

import array
import asyncio
import contextlib
import logging
import math
import operator
from collections import deque
from collections.abc import Generator
from typing import Any

import miniaudio

from devices.node.evidence import WINDOW_S
from loa.clock import Clock

_RATE = 16_000
_CHUNK_MS = 100
_FULL = 32_768
_FLOOR_DB = -96.0
_RETRY_S = 10.0
_STALE_S = 1.0
_BACKENDS = [miniaudio.Backend.PULSEAUDIO, miniaudio.Backend.ALSA, miniaudio.Backend.JACK]
_log = logging.getLogger("loa.node")


class CaptureSensor:
    """Listens at the input whose name contains `device`; at the system's own choice where it is None."""

    def __init__(self, clock: Clock, device: str | None = None) -> None:
        self._clock, self._name = clock, device
        self._device: Any = None
        self._chunks: deque[tuple[float, int, int, int]] = deque()
        """When it came, samples, their sum and the sum of their squares."""

    async def keep(self) -> None:
        """Measure, again and again where the device was lost, until cancelled."""
        told = False
        try:
            while True:
                if self.level_db() is None:
                    await self._close()
                    try:
                        self._device = await asyncio.to_thread(self._open)
                        told = False
                    except (miniaudio.MiniaudioError, OSError, ValueError) as error:
                        if not told:
                            _log.warning("the sensor cannot be heard: %s", error)
                        told = True
                await self._clock.sleep(_RETRY_S)
        finally:
            await self._close()

    def level_db(self) -> float | None:
        """Of the last half second; None where nothing came of late. A constant offset is no sound."""
        now = self._clock.monotonic_s()
        chunks = [chunk for chunk in tuple(self._chunks) if now - chunk[0] <= WINDOW_S + _CHUNK_MS / 1000]
        if not chunks and (not self._chunks or now - self._chunks[-1][0] > _STALE_S):
            return None
        chunks = chunks or [self._chunks[-1]]
        count, total, squares = (sum(chunk[part] for chunk in chunks) for part in (1, 2, 3))
        spread = squares / count - (total / count) ** 2
        return max(_FLOOR_DB, 10 * math.log10(max(spread, 1e-9) / _FULL**2))

    def _open(self) -> Any:
        found = None
        if self._name is not None:
            inputs = miniaudio.Devices(_BACKENDS).get_captures()
            found = next((one["id"] for one in inputs if self._name in one["name"]), None)
            if found is None:
                raise ValueError(f"no input named {self._name}; there are {[one['name'] for one in inputs]}")
        device = miniaudio.CaptureDevice(
            input_format=miniaudio.SampleFormat.SIGNED16, nchannels=1, sample_rate=_RATE, buffersize_msec=_CHUNK_MS,
            device_id=found, backends=_BACKENDS, app_name="loa",
        )  # fmt: skip
        hearing = self._hear()
        next(hearing)
        device.start(hearing)
        return device

    async def _close(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            with contextlib.suppress(miniaudio.MiniaudioError):
                await asyncio.to_thread(device.close)

    # In the card's own thread

    def _hear(self) -> Generator[None, bytes, None]:
        while True:
            samples = array.array("h", bytes((yield)))
            if samples:
                now = self._clock.monotonic_s()
                self._chunks.append((now, len(samples), sum(samples), sum(map(operator.mul, samples, samples))))
                while now - self._chunks[0][0] > 2 * WINDOW_S:
                    self._chunks.popleft()
