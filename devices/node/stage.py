"""Carries out what the conductor decides: places clips on the speaker, and writes down what became of them."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from devices.node.airing import Airing
from devices.node.crew import Crew
from devices.node.ledger import Ledger, Play
from devices.node.limits import loudness
from devices.node.notes import Notes
from devices.node.ports import Clip, PlaybackEvents, Speaker
from devices.node.store import RenditionStore
from devices.node.timing import NodeTime
from devices.protocol.documents import Settings
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from loa.clock import Clock
from loa.errors import Fault
from loa.precedence import Interruption
from loa.units import DurationMs, Id16, InstantMs, Percent
from scheduler.rules.air import Place, after_interruption

_PLACING_S = 0.1


@dataclass(frozen=True)
class Parts:
    """What a conductor needs of its box."""

    clock: Clock
    time: NodeTime
    store: RenditionStore
    speaker: Speaker
    ledger: Ledger
    notes: Notes
    crew: Crew


class Stage:
    """One broadcast at a time is on it."""

    def __init__(self, parts: Parts, *, volume: Callable[[], Percent], settings: Callable[[], Settings | None]) -> None:
        self._clock, self._time, self._store = parts.clock, parts.time, parts.store
        self._speaker, self._ledger, self._notes = parts.speaker, parts.ledger, parts.notes
        self._crew = parts.crew
        self._volume = volume
        self._settings = settings
        self.closed = False
        self.reconsider: Callable[[], None] = lambda: None
        """Told when something on the stage asks for a decision."""
        self.left: Callable[[Id16], None] = lambda _id: None
        """Told that a broadcast is silent for good, before that is written down."""
        self.changed: Callable[[], None] = lambda: None
        """Told when what sounds has changed."""
        self.ended: Callable[[Id16], None] = lambda _id: None
        """Told when a broadcast has come to its end here, and that is written down."""

    def begin(self, airing: Airing, place: Place) -> None:
        plan = airing.plan
        if not self._speaker.ready:
            self.retry_later(airing)
            return
        try:
            if not plan.is_emergency:
                self._ledger.mark(Play.BEGUN, plan.id)  # on disk before the amplifier is on
            self._place(airing, place)
            if plan.is_emergency:
                self._ledger.mark(Play.BEGUN, plan.id)
        except Fault:
            # What cannot be written down is not sounded, but for an emergency.
            if not plan.is_emergency:
                self.retry_later(airing)
        self.changed()

    def _place(self, airing: Airing, place: Place) -> None:
        plan = airing.plan
        volume = loudness(self._settings(), plan.precedence, self._volume(), plan.volume)
        clip = Clip(
            label="test-tone" if plan.tone_hz is not None else plan.id.hex(),
            sources=() if plan.tone_hz is not None else tuple(self._store.source(part) for part in plan.parts),
            durations_ms=tuple(part.duration_ms for part in plan.parts),
            offset_ms=place.offset_ms,
            gain=volume / 100,
            tone_hz=plan.tone_hz,
        )
        at_s = self._time.local_s(place.at)
        if airing.alone:  # nothing of its beginning is lost for having been placed late
            at_s = max(at_s, self._clock.monotonic_s() + _PLACING_S)
        airing.place = place
        airing.playback = self._speaker.play(clip, at_s, self._events(airing, place))

    def _events(self, airing: Airing, place: Place) -> PlaybackEvents:
        def current() -> bool:
            return airing.place is place and airing.playback is not None and not self.closed

        def started(at_s: float) -> None:
            if current():
                self._started(airing, at_s)

        def finished() -> None:
            if current():
                airing.off_air(self._clock.monotonic_s())
                airing.ended_repeat(self._time.now() or InstantMs(0))
                self.reconsider()
                self.changed()

        def failed(reason: str) -> None:
            if current():
                self.failed(airing, reason)

        guarded = self._crew.guarded
        return PlaybackEvents(started=guarded(started), finished=guarded(finished), failed=guarded(failed))

    def _started(self, airing: Airing, at_s: float) -> None:
        assert airing.place is not None
        airing.sounding_since_s = at_s
        instant = self._time.instant_at(at_s)
        event = ReceiptEvent.RESUMED if airing.told_start else ReceiptEvent.STARTED
        if event is ReceiptEvent.STARTED or airing.kept_off:
            airing.told_start, airing.kept_off = True, False
            self._notes.note(
                event,
                airing.plan.id,
                precedence=airing.plan.precedence,
                position_ms=airing.place.offset_ms or None,
                late_ms=None if instant is None else instant - airing.plan.start_at,
                repeat=airing.place.repeat,
            )
        self.reconsider()
        self.changed()

    def failed(self, airing: Airing, reason: str) -> None:
        """The speaker gave up on it."""
        airing.failures += 1
        cause = _CAUSES.get(reason, ReceiptCause.SPEAKER_FAILED)
        if airing.plan.is_emergency:
            airing.off_air(self._clock.monotonic_s())
            self.retry_later(airing)
        else:
            self.end(airing, ReceiptEvent.STOPPED if airing.told_start else ReceiptEvent.SKIPPED, cause)
        self.reconsider()
        self.changed()

    def retry_later(self, airing: Airing) -> None:
        airing.failures += 1
        wait_ms = min(30_000, 500 * 2 ** min(airing.failures, 6))
        airing.not_before = InstantMs((self._time.now() or InstantMs(0)) + wait_ms)

    def interrupt(self, airing: Airing, now: InstantMs) -> None:
        sounded = airing.sounding_since_s is not None
        place = airing.place
        position = airing.off_air(self._clock.monotonic_s())
        airing.kept_off = True
        if not sounded or place is None:
            return
        plan = airing.plan
        # A drill begins anew, with its announcement.
        rule = Interruption.RESTART if plan.is_drill and plan.interruption is Interruption.RESUME else plan.interruption
        again = after_interruption(rule, position)
        if plan.is_emergency:
            self.note(airing, ReceiptEvent.INTERRUPTED, ReceiptCause.PRE_EMPTED, position)
        elif plan.interruption is Interruption.DROP:
            self.end(airing, ReceiptEvent.STOPPED, ReceiptCause.PRE_EMPTED, position)
        else:
            self.note(airing, ReceiptEvent.INTERRUPTED, ReceiptCause.PRE_EMPTED, position)
            airing.alone, airing.repeat, airing.offset_ms = True, place.repeat, again.offset_ms
            airing.not_before = now
        self.changed()

    def end(self, airing: Airing, event: ReceiptEvent, cause: ReceiptCause, position: DurationMs | None = None) -> None:
        """Silence first, then the receipt, then the mark that makes it final."""
        was_on = airing.on_air
        here = airing.off_air(self._clock.monotonic_s())
        plan = airing.plan
        self.left(plan.id)
        self.note(airing, event, cause, position if position is not None else here if was_on else None)
        self.mark_over(plan.id)
        self.ended(plan.id)
        self.changed()

    def note(
        self, airing: Airing, event: ReceiptEvent, cause: ReceiptCause, position: DurationMs | None = None
    ) -> None:
        repeat = airing.place.repeat if airing.place is not None else 0
        self._notes.note(
            event,
            airing.plan.id,
            cause=cause,
            precedence=airing.plan.precedence,
            position_ms=position,
            repeat=repeat,
        )

    def mark_over(self, subject: Id16) -> None:
        with contextlib.suppress(Fault):
            self._ledger.mark(Play.OVER, subject)


_CAUSES = {
    "decode_failed": ReceiptCause.BAD_AUDIO,
    "audio_missing": ReceiptCause.NO_AUDIO,
}
