"""Evidence that sound came out, measured at the loudspeaker itself: without it no node says "sounded".

What counts is how much louder it is than it was in the silence before, not how loud it is: sensors differ. A sensor
that hears something else as well, a market beside the pole, proves less; one of the line's current proves most.
"""

from typing import Protocol

from devices.node.afterwards import Afterwards
from devices.node.airing import Airing
from devices.node.crew import Alarm, Crew
from devices.node.notes import Notes
from devices.protocol.reports import ReceiptEvent
from loa.clock import Clock

WINDOW_S = 0.5
"""Of which a sensor tells the level."""
LEAST_RISE_DB = 10.0
LEAST_DB = -60.0
"""Below this a sensor hears its own noise."""
_QUIET_AFTER_S = 1.0
"""What a loudspeaker leaves in the air, and a sensor in its window, is gone by then."""
_EAGER_S = 60.0
_RARELY_S = 10.0


class Sensor(Protocol):
    """Line current, or a microphone before the loudspeaker. Real implementations: an input of the sound card
    (`devices.node.capture`), and what a recording speaker writes."""

    async def keep(self) -> None:
        """Measure, again and again where the device was lost, until cancelled."""
        ...

    def level_db(self) -> float | None:
        """Of the last `WINDOW_S`, below the most that it can measure; None where nothing can be said."""
        ...


def has_sounded(quiet_db: float | None, level_db: float | None) -> bool:
    """Whether a level is evidence, beside that of the silence before."""
    if quiet_db is None or level_db is None:
        return False
    return level_db >= LEAST_DB and level_db >= quiet_db + LEAST_RISE_DB


class Witness:
    """Compares the level while something sounds with that of the silence before, and tells it once a broadcast."""

    def __init__(self, sensor: Sensor | None, clock: Clock, crew: Crew, notes: Notes, after: Afterwards) -> None:
        self._sensor, self._clock, self._notes, self._after = sensor, clock, notes, after
        self._alarm = Alarm(clock, crew, self._look)
        self._quiet_db: float | None = None
        self._silent_since_s: float | None = None
        self._airing: Airing | None = None

    def before_sound(self) -> None:
        """Something is about to be placed on the speaker. What follows another sound at once is measured beside the
        silence before that."""
        if self._sensor is None or self._airing is not None:
            return
        now = self._clock.monotonic_s()
        if self._silent_since_s is None or now - self._silent_since_s >= _QUIET_AFTER_S:
            self._quiet_db = self._sensor.level_db()

    def started(self, airing: Airing) -> None:
        """The first sample has left the speaker."""
        if self._sensor is not None:
            self._airing = airing
            self._alarm.set(None if airing.told_sounded else self._clock.monotonic_s() + WINDOW_S)

    def silent(self) -> None:
        """Nothing sounds any more."""
        self._airing = None
        self._silent_since_s = self._clock.monotonic_s()
        self._alarm.set(None)

    def _look(self) -> None:
        airing = self._airing
        if self._sensor is None or airing is None or airing.sounding_since_s is None or airing.playback is None:
            return
        level = self._sensor.level_db()
        if has_sounded(self._quiet_db, level):
            airing.told_sounded = True
            self._after.now()  # that it began comes first
            self._notes.note(
                ReceiptEvent.SOUNDED,
                airing.plan.id,
                precedence=airing.plan.precedence,
                position_ms=airing.playback.position_ms,
                repeat=airing.place.repeat if airing.place is not None else 0,
                evidence=f"{level:.1f} dB, {self._quiet_db:.1f} dB before".encode(),
            )
            return
        now = self._clock.monotonic_s()
        self._alarm.set(now + (WINDOW_S if now - airing.sounding_since_s < _EAGER_S else _RARELY_S))
