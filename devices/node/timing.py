"""A box's sense of time: the controller's clock as estimated, on top of a local clock that only ever counts on."""

from devices.protocol.media import TimeReply
from devices.protocol.timekeeping import STEADY_WAIT_S, TimeKeeper
from loa.clock import Clock
from loa.units import InstantMs

RTC_ERROR_MS = 2000
MOST_AWAY_MS = 400 * 86_400_000
"""A battery clock that is further than this past the newest signed instant is not believed."""


class NodeTime:
    """Instants of the controller and back. The wall clock of the box is looked at once, if it is trusted at all."""

    def __init__(self, clock: Clock, *, steady_wait_s: float = STEADY_WAIT_S) -> None:
        self._clock = clock
        self.keeper = TimeKeeper(steady_wait_s=steady_wait_s)
        self.floor_ms = InstantMs(0)
        """The newest signed instant taken so far; never goes back."""

    @property
    def local_ms(self) -> float:
        return self._clock.monotonic_s() * 1000

    def trust_rtc(self) -> bool:
        """Begin with the box's own clock, where it is plausible: not before what was signed, nor absurdly after it."""
        now = self._clock.now_ms()
        if not self.floor_ms <= now <= self.floor_ms + MOST_AWAY_MS:
            return False
        self.keeper.start_from(now, self.local_ms, RTC_ERROR_MS)
        return True

    def take(self, reply: TimeReply) -> bool:
        return self.keeper.take(reply, self.local_ms)

    @property
    def confirmed(self) -> bool:
        """Whether the controller itself has said what time it is, since this box was switched on."""
        return self.keeper.exchanges > 0

    @property
    def stands(self) -> bool:
        """Whether that is borne out, so that what cannot be taken back may rest on it (`TimeKeeper.stands`)."""
        return self.keeper.stands(self.local_ms)

    @property
    def stands_at_s(self) -> float | None:
        """The monotonic second from which it would be, if nothing changes; None where no time was told."""
        at = self.keeper.stands_at
        return None if at is None else at / 1000

    def now(self) -> InstantMs | None:
        """The controller's clock; None while time is not trusted."""
        return self.keeper.now_ms(self.local_ms)

    def best_guess(self) -> InstantMs:
        """For receipts that must bear an instant even without trusted time: never before the floor."""
        now = self.now()
        return max(now if now is not None else self._clock.now_ms(), self.floor_ms)

    def error_ms(self) -> int | None:
        return self.keeper.error_ms(self.local_ms)

    def offset_ms(self) -> int | None:
        """The controller's clock minus the box's own wall clock."""
        now = self.now()
        return None if now is None else now - self._clock.now_ms()

    def local_s(self, instant: InstantMs) -> float:
        """The monotonic second at which the controller's clock shows `instant`. Only where time is trusted."""
        local = self.keeper.local_ms(instant)
        assert local is not None
        return local / 1000

    def instant_at(self, monotonic_s: float) -> InstantMs | None:
        return self.keeper.now_ms(monotonic_s * 1000)
