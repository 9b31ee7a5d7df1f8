"""The centre's events as server-sent events: numbered, resumable from a short memory, never holding up the centre."""

import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.concern import EVERYBODY, Concern
from loa.clock import Bell, Clock

_log = logging.getLogger("loa.api")
REMEMBERED = 1000
KEEPALIVE_S = 15.0


@dataclass(frozen=True)
class Told:
    """One event as it goes out."""

    number: int
    kind: str
    data: str
    concern: Concern = EVERYBODY


Still = Callable[[], Awaitable[bool]]


def _all(_concern: Concern) -> bool:
    return True


async def _always() -> bool:
    return True


class EventBoard:
    """The last events, and a bell for those who wait for the next.

    An event's id is `boot-number`. Who asks to go on after an id that is not remembered is told `resync`: read the
    lists again, then go on from here.
    """

    def __init__(self, clock: Clock, boot: str) -> None:
        self._clock = clock
        self._boot = boot
        self._told: deque[Told] = deque(maxlen=REMEMBERED)
        self._number = 0
        self._bell = Bell()
        self.listeners = 0
        self.closed = False

    def tell(self, kind: str, data: Mapping[str, Any], concern: Concern = EVERYBODY) -> None:
        """A new event for everyone who listens and whom it concerns."""
        self._number += 1
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        self._told.append(Told(self._number, kind, text, concern))
        self._ring()

    def close(self) -> None:
        """Let go of all listeners."""
        self.closed = True
        self._ring()

    def _ring(self) -> None:
        self._bell.set()
        self._bell = Bell()

    def _position(self, last_event_id: str | None) -> int | None:
        """The number after which to go on, or None where that is not known any more."""
        boot, _, number = (last_event_id or "").partition("-")
        if boot != self._boot or not number.isdecimal() or len(number) > 15:
            return None
        oldest = self._told[0].number if self._told else self._number + 1
        return int(number) if oldest - 1 <= int(number) <= self._number else None

    async def stream(
        self, last_event_id: str | None, concerns: Callable[[Concern], bool] = _all, still: Still = _always
    ) -> AsyncIterator[bytes]:
        """The event stream of one listener, until it goes away or the board is closed.

        concerns: which events this listener hears of. still: whether they are signed in yet, asked every 15 s.
        """
        self.listeners += 1
        asked_s = self._clock.monotonic_s()
        try:
            yield b"retry: 2000\n\n"
            position = self._position(last_event_id)
            if position is None:
                position = self._number
                yield self._frame(Told(position, "resync", "{}"))
            while not self.closed:
                bell = self._bell
                if self._told and self._told[0].number > position + 1:
                    position = self._number  # too slow: events were forgotten
                    yield self._frame(Told(position, "resync", "{}"))
                for told in [t for t in self._told if t.number > position]:
                    position = told.number
                    if concerns(told.concern):
                        yield self._frame(told)
                if self._clock.monotonic_s() - asked_s >= KEEPALIVE_S:
                    asked_s = self._clock.monotonic_s()
                    if not await still():
                        return
                if bell is self._bell and not await bell.rings_within(self._clock, KEEPALIVE_S):
                    yield b": still here\n\n"
        finally:
            self.listeners -= 1

    def _frame(self, told: Told) -> bytes:
        return f"id: {self._boot}-{told.number}\nevent: {told.kind}\ndata: {told.data}\n\n".encode()
