"""A box's own clock: wrong by an offset, and running fast or slow."""

from collections.abc import Callable
from dataclasses import dataclass

from loa.clock import Clock, Timer
from loa.entropy import Entropy, fraction
from loa.units import InstantMs

WORST_OFFSET_MS = 5_000
WORST_DRIFT_PPM = 50.0


@dataclass(frozen=True)
class Skew:
    """How a clock is wrong: ahead by `offset_ms` at the beginning, and gaining `drift_ppm` from then on."""

    offset_ms: float
    drift_ppm: float


def random_skew(entropy: Entropy) -> Skew:
    """Uniform in ±5 s and ±50 ppm."""
    return Skew(
        WORST_OFFSET_MS * (2 * fraction(entropy) - 1),
        WORST_DRIFT_PPM * (2 * fraction(entropy) - 1),
    )


class SkewedClock:
    """A Clock over the true one; the simulator alone can look behind it (`true_instant_ms`)."""

    def __init__(self, true_clock: Clock, skew: Skew) -> None:
        self.skew = skew
        self._true = true_clock
        self._rate = 1.0 + skew.drift_ppm / 1e6
        self._began_ms = true_clock.now_ms()
        self._began_s = true_clock.monotonic_s()

    def now_ms(self) -> InstantMs:
        gained = (self._true.now_ms() - self._began_ms) * (self._rate - 1.0)
        return InstantMs(round(self._true.now_ms() + self.skew.offset_ms + gained))

    def monotonic_s(self) -> float:
        return self._began_s + (self._true.monotonic_s() - self._began_s) * self._rate

    async def sleep(self, seconds: float) -> None:
        await self._true.sleep(max(0.0, seconds) / self._rate)

    def call_later(self, seconds: float, act: Callable[[], object]) -> Timer:
        return self._true.call_later(max(0.0, seconds) / self._rate, act)

    def true_instant_ms(self, monotonic_s: float) -> float:
        """What the true wall clock shows when this clock's monotonic reading is `monotonic_s`."""
        true_monotonic = self._began_s + (monotonic_s - self._began_s) / self._rate
        return self._true.now_ms() + (true_monotonic - self._true.monotonic_s()) * 1000
