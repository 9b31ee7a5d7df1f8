"""What a node learns of its link by asking and being answered: its rate, its round trip, and how much to ask for."""

from dataclasses import dataclass

from devices.protocol.common import BLOCK_BYTES

QUEUE_S = 0.125
"""How much of the link's time may wait in front of an order: the bound is 0.25 s, the rest is for what goes wrong."""
LEAST_PIECE_BYTES = 256
_PIECE_S = 0.05
_FIRST_WINDOW_BYTES = BLOCK_BYTES
_LARGEST_WINDOW_BYTES = 512 * 1024
_STARTUP_QUEUE_S = 0.2
_FLAT_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class AskMark:
    """Taken when something is asked for; gives the samples when the answer is here."""

    asked_s: float
    delivered: int
    filled: bool
    """Whether the window was nearly full: only then does a slow answer mean a slow link."""


class LinkMeter:
    """Delivery rate as the bytes that arrived between an ask and its answer; round trip as the least one seen.

    It starts by widening its window each round trip until the rate stops growing, then keeps what the link holds in
    flight plus `QUEUE_S` of its rate. Rates are bytes a second, of audio.
    """

    def __init__(self, nominal_rate: float | None = None, *, queue_s: float = QUEUE_S) -> None:
        """queue_s: how much of the link's time may wait; more where orders pass audio that waits."""
        self.rate = nominal_rate
        self._queue_s = queue_s
        self.least_rtt_s: float | None = None
        self.answer_s: float | None = None
        self._nominal = nominal_rate
        self._delivered = 0
        self._starting_up = nominal_rate is None
        self._best = 0.0
        self._flat = 0
        self._round_ends = 0

    def restart(self) -> None:
        """The link was cut: its path may be another now. The rate is kept as a first guess."""
        self.least_rtt_s = None
        self.answer_s = None

    @property
    def window_bytes(self) -> int:
        """How much may be unanswered at a time; one block may always be."""
        if self.rate is None:
            return _FIRST_WINDOW_BYTES
        rtt = self.least_rtt_s if self.least_rtt_s is not None else 0.1
        queue_s = max(_STARTUP_QUEUE_S, self._queue_s) if self._starting_up else self._queue_s
        return int(min(_LARGEST_WINDOW_BYTES, max(_FIRST_WINDOW_BYTES, self.rate * (rtt + queue_s))))

    @property
    def piece_bytes(self) -> int:
        """The largest piece worth asking for: about 50 ms of the link, a power of two from 256 to 4096."""
        if self.rate is None:
            return 1024
        size = BLOCK_BYTES
        while size > LEAST_PIECE_BYTES and size > self.rate * _PIECE_S:
            size //= 2
        return size

    @property
    def timeout_s(self) -> float:
        """After this long without any answer, what is unanswered is lost."""
        if self.answer_s is None:
            return 4.0 if self.rate is None else max(6.0, 2 * self.window_bytes / self.rate)
        return max(1.5 if self._nominal is None else 6.0, 3 * self.answer_s + 0.5)

    def asked(self, now_s: float, outstanding_bytes: int) -> AskMark:
        return AskMark(now_s, self._delivered, outstanding_bytes >= 0.7 * self.window_bytes)

    def arrived(self, byte_count: int) -> None:
        """Any audio that came in, asked for or streamed."""
        self._delivered += byte_count

    def first_part(self, mark: AskMark, now_s: float, byte_count: int) -> None:
        """The first part of an answer: what the trip took, without the time that its own bytes took."""
        own = byte_count / self.rate if self.rate else 0.0
        trip = max(0.001, now_s - mark.asked_s - own)
        self.least_rtt_s = trip if self.least_rtt_s is None else min(self.least_rtt_s, trip)

    def answered(self, mark: AskMark, now_s: float) -> None:
        """A whole block that was asked for is here."""
        took = max(0.001, now_s - mark.asked_s)
        self.answer_s = took if self.answer_s is None else self.answer_s + 0.2 * (took - self.answer_s)
        sample = (self._delivered - mark.delivered) / took
        if self.rate is None or (self._starting_up and sample > self.rate):
            self.rate = sample
        elif sample > self.rate:
            self.rate += 0.5 * (sample - self.rate)
        elif mark.filled:
            self.rate += 0.1 * (sample - self.rate)
        if self._nominal is not None:
            self.rate = min(self.rate, self._nominal)
        self._end_round(mark)

    def _end_round(self, mark: AskMark) -> None:
        """Once a round trip: has the rate stopped growing?"""
        if not self._starting_up or mark.delivered < self._round_ends:
            return
        self._round_ends = self._delivered
        if self.rate is not None and self.rate > 1.05 * self._best:
            self._best, self._flat = self.rate, 0
            return
        self._flat += 1
        self._starting_up = self._flat < _FLAT_ROUNDS
