"""A serial bus of pseudo-terminals: one pair of wires, several ports, a real baud rate, and noise.

A pty ignores its baud rate and joins two ends only. Here each end is a pty of its own, and what one end says every
other end hears, at baud / 10 bytes a second. Who speaks while another speaks spoils both. RS-485 without echo.
"""

import asyncio
import os
import random
import tty
from dataclasses import dataclass, field

from loa.clock import Clock
from simulators.noise import with_bit_errors

_TICK_S = 0.004


@dataclass
class _End:
    master: int
    slave: int
    path: str
    cut: bool = False
    waiting: bytearray = field(default_factory=bytearray)


class SerialBus:
    """`station_path` and `drop_paths` are opened like serial ports. `start` within a running loop; then `stop`.

    collisions: without them one end is heard out before the next, so that a machine too busy to answer in time spoils
    nothing: real ends answer within a millisecond.
    """

    def __init__(
        self, clock: Clock, baud: int, drops: int, *, bit_errors: float = 0.0, collisions: bool = True, seed: int = 1
    ) -> None:
        self.carried_bytes = 0
        self.collided_bytes = 0
        self.overrun_bytes = 0
        self.bit_errors = bit_errors
        self._collisions = collisions
        self._speaking: _End | None = None
        self._clock = clock
        self._rate = baud / 10
        self._random = random.Random(seed)
        self._ends = [self._open() for _ in range(drops + 1)]
        self._work = asyncio.Event()
        self._run: asyncio.Task[None] | None = None

    @staticmethod
    def _open() -> _End:
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        return _End(master, slave, os.ttyname(slave))

    @property
    def station_path(self) -> str:
        return self._ends[0].path

    @property
    def drop_paths(self) -> list[str]:
        return [end.path for end in self._ends[1:]]

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        for end in self._ends:
            loop.add_reader(end.master, self._said, end)
        self._run = loop.create_task(self._carry(), name="serial bus")

    async def stop(self) -> None:
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)
        for end in self._ends:
            asyncio.get_running_loop().remove_reader(end.master)
            os.close(end.master)
            os.close(end.slave)

    def cut(self, drop: int | None = None, *, healed: bool = False) -> None:
        """Cut a drop off (0 is the first), or the station where none is named; `healed` joins it again."""
        self._ends[0 if drop is None else drop + 1].cut = not healed

    def _said(self, end: _End) -> None:
        try:
            end.waiting += os.read(end.master, 4096)
        except OSError:
            return
        self._work.set()

    async def _carry(self) -> None:
        last_s = self._clock.monotonic_s()
        owed = 0.0
        while True:
            if not any(end.waiting for end in self._ends):
                self._work.clear()
                await self._work.wait()
                last_s, owed = self._clock.monotonic_s(), 0.0
            await self._clock.sleep(_TICK_S)
            now_s = self._clock.monotonic_s()
            owed += (now_s - last_s) * self._rate
            last_s = now_s
            count = int(owed)
            owed -= count
            self._move(count)

    def _move(self, count: int) -> None:
        speakers = [end for end in self._ends if end.waiting]
        if not self._collisions and speakers:
            if self._speaking not in speakers:
                self._speaking = speakers[0]
            speakers = [self._speaking]
        for speaker in speakers:
            data = bytes(speaker.waiting[:count])
            del speaker.waiting[:count]
            if speaker.cut:
                continue
            self.carried_bytes += len(data)
            if len(speakers) > 1:
                self.collided_bytes += len(data)
                data = self._random.randbytes(len(data))
            for hearer in self._ends:
                if hearer is not speaker and not hearer.cut:
                    self._hear(hearer, with_bit_errors(data, self.bit_errors, self._random))

    def _hear(self, end: _End, data: bytes) -> None:
        try:
            written = os.write(end.master, data)
        except BlockingIOError:
            written = 0
        self.overrun_bytes += len(data) - written
