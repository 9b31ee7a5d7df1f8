"""One broadcast at this node while it wants the air: where it stands, and where it would go on. No I/O."""

from dataclasses import dataclass

from devices.node.plan import Plan
from devices.node.ports import Playback
from loa.units import DurationMs, InstantMs
from scheduler.rules.air import Claim, Place, join_in_phase

LEAD_MS = 1000
"""A sound is placed on the speaker this long before it is due, so that decoding is ahead."""
WHOLE_WITHIN_MS = 300
"""An emergency that is late by no more than this begins with its beginning, out of phase for its first time through:
sound needs as long for a hundred metres, and a siren without its first third of a second needs as long to be known.
"""
AGAIN_WITHIN_MS = 1000
"""A drill's next repeat, which would wait for the one after it otherwise: without a gap each repeat ends as late as it
began, and was placed."""
_WHOLE_SHARE = 0.8
"""A repeat of which this share was heard counts as heard."""


@dataclass(eq=False)
class Airing:
    plan: Plan
    playback: Playback | None = None
    place: Place | None = None
    """Of the playback."""
    sounding_since_s: float | None = None
    """Monotonic; None while nothing comes out."""
    sounded_ms: int = 0
    """Of earlier stretches, for the longest allowed duration."""
    told_start: bool = False
    told_not_ready: bool = False
    told_sounded: bool = False
    """There was evidence that it sounded."""
    kept_off: bool = False
    """Wanted the air while another had it."""
    turns: int = 0
    heard_to_an_end: bool = False
    """Some repeat of it has sounded to its end, since the box was switched on."""
    resumed: bool = False
    """It had begun before the box was switched on."""
    alone: bool = False
    """Goes by itself instead of in phase with the others: after an interruption, or late within its grace."""
    repeat: int = 0
    offset_ms: DurationMs = DurationMs(0)
    not_before: InstantMs = InstantMs(0)
    failures: int = 0

    def __post_init__(self) -> None:
        self.alone = self.plan.scheduled

    @property
    def on_air(self) -> bool:
        return self.playback is not None

    def claim(self) -> Claim:
        plan = self.plan
        return Claim(plan.id, plan.precedence, plan.kind, plan.start_at, self.turns, plan.gap_ms)

    def is_pausing(self, now: InstantMs) -> bool:
        """An emergency in the silence between two of its repeats."""
        if not self.plan.is_emergency or self.on_air or not self.told_start:
            return False
        return self.next_place(now) is not None

    def next_place(self, now: InstantMs) -> Place | None:
        """Where it would sound from `now` on; None where nothing of it is left."""
        plan, at = self.plan, max(now, self.not_before)
        if plan.expires_at is not None and at >= plan.expires_at:
            return None
        if not self.alone:
            place = join_in_phase(plan.run, InstantMs(at))
            if place is not None and self._begins_whole(place):
                return Place(place.repeat, DurationMs(0), InstantMs(at))
            if place is not None and place.offset_ms and plan.is_drill:  # never past the announcement
                following = plan.start_at + (place.repeat + 1) * (plan.length_ms + plan.gap_ms)
                place = join_in_phase(plan.run, InstantMs(following))
            if place is not None or self.turns or not (plan.is_emergency or plan.is_drill):
                return place
            # An emergency is heard at least once as a whole, also where the link came back too late for that.
            self.alone, self.repeat = True, max(0, plan.repeats - 1)
        if plan.repeats and self.repeat >= plan.repeats:
            return None
        return Place(self.repeat, self.offset_ms, InstantMs(max(at, plan.start_at)))

    def _begins_whole(self, place: Place) -> bool:
        """Late, but not too late for its first sample to be the first that sounds."""
        if self.plan.is_drill and self.turns:
            return 0 < place.offset_ms <= AGAIN_WITHIN_MS
        is_first = not (self.told_start or self.turns or place.repeat)
        is_one = self.plan.is_emergency and is_first
        return (is_one or self.plan.is_drill) and 0 < place.offset_ms <= WHOLE_WITHIN_MS

    @property
    def keeps_beginning(self) -> bool:
        """Nothing of the beginning may be lost for having been placed late."""
        if self.alone:
            return True
        place = self.place
        return self.plan.is_emergency and not self.told_start and place is not None and not place.offset_ms

    def ended_repeat(self, now: InstantMs) -> None:
        """A repeat came to its end."""
        assert self.place is not None
        self.heard_to_an_end = True
        if self.place.offset_ms <= self.plan.length_ms * (1 - _WHOLE_SHARE):
            self.turns += 1
        if self.alone:
            self.repeat, self.offset_ms = self.repeat + 1, DurationMs(0)
            self.not_before = InstantMs(now + self.plan.gap_ms)

    def off_air(self, monotonic_s: float) -> DurationMs:
        """Stop the sound, if any; where it was in its repeat."""
        position = DurationMs(0)
        if self.playback is not None:
            self.playback.stop()
            position = self.playback.position_ms
        if self.sounding_since_s is not None:
            self.sounded_ms += round((monotonic_s - self.sounding_since_s) * 1000)
        self.playback, self.sounding_since_s = None, None
        return position

    def on_for_ms(self, monotonic_s: float) -> float:
        """How long the amplifier has been on for it, in all."""
        since = 0.0 if self.sounding_since_s is None else (monotonic_s - self.sounding_since_s) * 1000
        return self.sounded_ms + since
