"""A node's estimate of the controller's clock, from four timestamps an exchange. No I/O: local instants are handed in.

Each exchange bounds the controller's clock from both sides: it cannot be later than the request took no time, nor
earlier than the reply took none. Over a window we keep the least delay seen each way (which is never worse than the
exchange of the least round trip), and the drift is the likeliest slope of the lane between the two sets of bounds.

A *local instant* is in milliseconds by a clock of the box that never jumps (`Clock.monotonic_s() * 1000`).
"""

from collections import OrderedDict
from dataclasses import dataclass

from devices.protocol.media import TimeReply, TimeRequest
from loa.units import InstantMs, NodeId

SETTLED_EXCHANGES = 32
"""Before so many the figure does not count as good."""
BURST_WAIT_S = 0.5
STEADY_WAIT_S = 64.0
LONGEST_UNANSWERED_S = 30.0
"""Who gets no answer, or none that can be believed, asks less and less, but never more rarely than this."""
LONGEST_HURRIED_S = 2.0
"""Nor than this, while an order waits for the time: it may be an emergency."""
RECONNECT_EXCHANGES = 4
"""A burst for one who is settled already."""
REPLY_LIMIT_MS = 10_000.0
"""A reply later than this tells little; its nonce is forgotten."""
MAX_OUTSTANDING = 8
STANDS_AFTER_MS = 600_000.0
JUMP_MS = 60_000.0
"""Further off than this, what the controller says is another time, not the same one better known."""
_BIN_MS = 64_000.0
_BINS = 48
_MAX_RATE = 150e-6
_LIKELY_RATE = 30e-6
_UNKNOWN_RATE = 100e-6
_KNOWN_RATE = 10e-6
_KNOWN_SPAN_MS = 1_200_000.0
_RATE_STEPS = 14
_PER_SPAN = 16
_PER_LONG_SPAN = 4

_Bound = tuple[float, float]
"""Local instant before the present (negative), and what bounds the difference of the clocks there."""


@dataclass
class _Bin:
    """The least delay each way within a span of local time: where it was, and clock difference plus delay."""

    out_at: float
    out: float
    back_at: float
    back: float
    count: int
    round_trips: float
    """Sum over `count` exchanges."""
    since: float
    """Local instant of its first exchange."""


class TimeKeeper:
    """Holds the exchanges of a node. `trusted` after the first verified reply (or a start from a real-time clock)."""

    def __init__(self, *, steady_wait_s: float = STEADY_WAIT_S) -> None:
        self._outstanding: OrderedDict[bytes, float] = OrderedDict()
        self._bins: OrderedDict[int, _Bin] = OrderedDict()
        self._steady_wait_s = steady_wait_s
        self._burst_left = SETTLED_EXCHANGES
        self._in_vain = 0
        """Requests since the last answer of use."""
        self._rate = 0.0
        self._base_at = 0.0
        self._base: float | None = None
        self._lane = 0.0
        self._span = 0.0
        self._since: float | None = None
        """Local instant since which the time was told alike."""
        self.exchanges = 0
        """Verified replies that the present figure rests on."""

    # Asking

    def session_started(self) -> None:
        """A new connection: ask quickly again, for long where the figure is not settled yet."""
        self._outstanding.clear()
        self._in_vain = 0
        self._burst_left = RECONNECT_EXCHANGES if self.settled else SETTLED_EXCHANGES - self.exchanges

    def hopeful(self) -> bool:
        """Something has changed, so that an answer may be of use now: ask quickly again. Whether it had become rare."""
        was_rare = self._in_vain > MAX_OUTSTANDING
        self._in_vain = 0
        return was_rare

    def wait_s(self, *, in_hurry: bool = False) -> float:
        """How long to wait until the next request; whoever waits adds jitter. in_hurry: an order waits for the time."""
        if self._burst_left > 0:
            # Over a long way answers come when as many are outstanding already.
            doublings = min(16, max(0, self._in_vain - MAX_OUTSTANDING))
            return min(LONGEST_HURRIED_S if in_hurry else LONGEST_UNANSWERED_S, BURST_WAIT_S * 2.0**doublings)
        # Slowing down gently: drift shows only over minutes, and costs most until it is known.
        # Who is content with rare exchanges later is content with fewer on the way there.
        per_span = _PER_SPAN if self._steady_wait_s <= STEADY_WAIT_S else _PER_LONG_SPAN
        return min(self._steady_wait_s, max(BURST_WAIT_S, self._span / 1000 / per_span))

    def request(self, node: NodeId, nonce: bytes, local_ms: float) -> TimeRequest:
        """The next request; to be sent at once. `nonce` is 16 fresh random bytes."""
        self._forget_late(local_ms)
        while len(self._outstanding) >= MAX_OUTSTANDING:
            self._outstanding.popitem(last=False)
        self._outstanding[nonce] = local_ms
        self._in_vain += 1
        return TimeRequest(node=node, nonce=nonce, sent_at=round(local_ms))

    def outstanding(self, local_ms: float) -> frozenset[bytes]:
        """The nonces that a reply may still answer."""
        self._forget_late(local_ms)
        return frozenset(self._outstanding)

    def _forget_late(self, local_ms: float) -> None:
        while self._outstanding and local_ms - next(iter(self._outstanding.values())) > REPLY_LIMIT_MS:
            self._outstanding.popitem(last=False)

    # Taking

    def take(self, reply: TimeReply, local_ms: float) -> bool:
        """Count a verified reply that arrived at `local_ms`. False where its nonce is not outstanding."""
        sent_ms = self._outstanding.pop(reply.nonce, None)
        if sent_ms is None or local_ms < sent_ms:
            return False
        self._in_vain = 0
        self._burst_left = max(0, self._burst_left - 1)
        before = self.now_ms(local_ms)
        if self._since is None or before is None or abs(before - reply.replied_at) > JUMP_MS:
            self._since = local_ms
        out, back = reply.received_at - sent_ms, local_ms - reply.replied_at
        if self._contradicts(sent_ms, out, local_ms, back):
            self._bins.clear()  # the controller's clock was set: what was measured before is of no use
            self.exchanges = 0
            self._burst_left = SETTLED_EXCHANGES
        self._keep(sent_ms, out, local_ms, back)
        self.exchanges += 1
        self._estimate(local_ms)
        return True

    def start_from(self, instant: InstantMs, local_ms: float, error_ms: float) -> None:
        """Begin with the time of a real-time clock or a station; any exchange replaces it, and may bear it out."""
        if self.exchanges == 0:
            self._since = local_ms - STANDS_AFTER_MS
            self._base_at, self._base, self._lane = local_ms, instant - local_ms, 2 * error_ms

    def _contradicts(self, out_at: float, out: float, back_at: float, back: float) -> bool:
        for kept in self._bins.values():
            forth, home = out + kept.back, kept.out + back  # never negative, but for drift
            if forth < -5.0 and forth < -self._slack(out_at, kept.back_at):
                return True
            if home < -5.0 and home < -self._slack(back_at, kept.out_at):
                return True
        return False

    @staticmethod
    def _slack(one: float, other: float) -> float:
        return 5.0 + abs(one - other) * _MAX_RATE

    def _keep(self, out_at: float, out: float, back_at: float, back: float) -> None:
        number = int(back_at // _BIN_MS)
        kept = self._bins.get(number)
        if kept is None:
            self._bins[number] = _Bin(out_at, out, back_at, back, 1, out + back, out_at)
            while len(self._bins) > _BINS:
                self._bins.popitem(last=False)
            return
        kept.count += 1
        kept.round_trips += out + back
        if out - self._rate * (out_at - kept.out_at) <= kept.out:
            kept.out_at, kept.out = out_at, out
        if back + self._rate * (back_at - kept.back_at) <= kept.back:
            kept.back_at, kept.back = back_at, back

    # Estimating

    def _estimate(self, local_ms: float) -> None:
        bins = list(self._bins.values())
        outs = _that_can_bound([(kept.out_at - local_ms, kept.out) for kept in bins])
        backs = _that_can_bound([(kept.back_at - local_ms, kept.back) for kept in bins])
        self._span = local_ms - bins[0].since
        self._rate = self._likeliest_rate(bins, outs, backs)
        upper, lower = _lane(outs, backs, self._rate)
        self._base_at, self._base, self._lane = local_ms, (upper - lower) / 2, upper + lower

    def _likeliest_rate(self, bins: list[_Bin], outs: list[_Bound], backs: list[_Bound]) -> float:
        """The rate that explains the delays best, against what crystals are like.

        With delays above their least that are spread exponentially, the likelihood grows with the lane's width times
        the number of exchanges over the mean excess; the sum is concave in the rate.
        """
        count = sum(kept.count for kept in bins)
        width = sum(_lane(outs, backs, self._rate))
        excess = max(0.5, sum(kept.round_trips for kept in bins) / count - width)

        def likelihood(rate: float) -> float:
            return count * sum(_lane(outs, backs, rate)) / excess - (rate / _LIKELY_RATE) ** 2 / 2

        low, high = -_MAX_RATE, _MAX_RATE
        for _ in range(_RATE_STEPS):
            left, right = low + (high - low) * 0.4, low + (high - low) * 0.6
            if likelihood(left) < likelihood(right):
                low = left
            else:
                high = right
        return (low + high) / 2

    @property
    def trusted(self) -> bool:
        """Whether the time is known at all."""
        return self._base is not None

    @property
    def settled(self) -> bool:
        """Whether the figure counts as good."""
        return self.exchanges >= SETTLED_EXCHANGES

    def stands(self, local_ms: float) -> bool:
        """Whether the controller has told this time for a while, or a real-time clock shows the same.

        Until then it serves, but nothing is done for good on the strength of it: a controller may start with a wrong
        clock and be set right a moment later.
        """
        at = self.stands_at
        return at is not None and at <= local_ms

    @property
    def stands_at(self) -> float | None:
        """The local instant from which that is so, if nothing changes; None before the first reply."""
        return None if self._since is None or not self.exchanges else self._since + STANDS_AFTER_MS

    @property
    def rate_ppm(self) -> float:
        """How much faster the controller's clock runs than the box's, in millionths."""
        return self._rate * 1e6

    def offset_ms(self, local_ms: float) -> float | None:
        """The controller's clock minus the local instant; None while time is unknown."""
        if self._base is None:
            return None
        return self._base + self._rate * (local_ms - self._base_at)

    def now_ms(self, local_ms: float) -> InstantMs | None:
        """The controller's clock at a local instant; None while time is unknown."""
        offset = self.offset_ms(local_ms)
        return None if offset is None else InstantMs(int(local_ms + offset))

    def local_ms(self, instant: float) -> float | None:
        """The local instant at which the controller's clock shows `instant`; None while time is unknown."""
        if self._base is None:
            return None
        return (instant - self._base + self._rate * self._base_at) / (1 + self._rate)

    def error_ms(self, local_ms: float) -> int | None:
        """A bound of the error, however unlike the two ways are; None while time is unknown."""
        if self._base is None:
            return None
        rate = _KNOWN_RATE if self._span > _KNOWN_SPAN_MS else _UNKNOWN_RATE
        return round(max(0.0, self._lane) / 2 + abs(local_ms - self._base_at) * rate) + 1


def _lane(outs: list[_Bound], backs: list[_Bound], rate: float) -> tuple[float, float]:
    """Least delay plus clock difference each way, brought to the present at this rate."""
    return min([out - rate * at for at, out in outs]), min([back + rate * at for at, back in backs])


def _that_can_bound(bounds: list[_Bound]) -> list[_Bound]:
    """Those that are the least at some rate: the lower hull of the points. A few of many, and no figure changes."""
    hull: list[_Bound] = []
    for at, bound in sorted(bounds):
        while len(hull) > 1:
            (first_at, first), (last_at, last) = hull[-2], hull[-1]
            if (last - first) * (at - first_at) < (bound - first) * (last_at - first_at):
                break
            hull.pop()
        hull.append((at, bound))
    return hull
