"""Carries out what the conductor decides: places clips on the speaker, and writes down what became of them."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from devices.node.afterwards import Afterwards
from devices.node.airing import Airing
from devices.node.crew import Crew
from devices.node.evidence import Sensor, Witness
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
    after: Afterwards
    sensor: Sensor | None = None


class Stage:
    """One broadcast at a time is on it."""

    def __init__(self, parts: Parts, *, volume: Callable[[], Percent], settings: Callable[[], Settings | None]) -> None:
        self._clock, self._time, self._store = parts.clock, parts.time, parts.store
        self._speaker, self._ledger, self._notes = parts.speaker, parts.ledger, parts.notes
        self._crew, self._after = parts.crew, parts.after
        self._witness = Witness(parts.sensor, parts.clock, parts.crew, parts.notes, parts.after)
        self._volume = volume
        self._settings = settings
        self.closed = False
        self.ending: set[Id16] = set()
        """Those that are silent for good, which is being written down."""
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
        self._witness.before_sound()
        try:
            if not plan.is_emergency:
                self._ledger.mark(Play.BEGUN, plan.id)  # on disk before the amplifier is on
            self._place(airing, place)
        except Fault:
            # What cannot be written down is not sounded, but for an emergency.
            if not plan.is_emergency:
                self.retry_later(airing)
        if plan.is_emergency:
            self._after.leave(lambda: self._mark_begun(plan.id))
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
        airing.place = place
        if airing.keeps_beginning:
            at_s = max(at_s, self._clock.monotonic_s() + _PLACING_S)
        elif plan.is_drill and not place.offset_ms:
            at_s = max(at_s, self._clock.monotonic_s())
        airing.playback = self._speaker.play(clip, at_s, self._events(airing, place))

    def _off(self, airing: Airing) -> DurationMs:
        """Silence; where it was in its repeat."""
        if airing.on_air:
            self._witness.silent()
        return airing.off_air(self._clock.monotonic_s())

    def _events(self, airing: Airing, place: Place) -> PlaybackEvents:
        def current() -> bool:
            return airing.place is place and airing.playback is not None and not self.closed

        def started(at_s: float) -> None:
            if current():
                self._started(airing, at_s)

        def finished() -> None:
            if current():
                self._off(airing)
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
        self._witness.started(airing)
        instant = self._time.instant_at(at_s)
        event = ReceiptEvent.RESUMED if airing.told_start else ReceiptEvent.STARTED
        if event is ReceiptEvent.STARTED or airing.kept_off:
            airing.told_start, airing.kept_off = True, False
            late_ms = None if instant is None else instant - airing.plan.start_at
            self.note(airing, event, ReceiptCause.NONE, airing.place.offset_ms or None, late_ms=late_ms)
        self.reconsider()
        self.changed()

    def failed(self, airing: Airing, reason: str) -> None:
        """The speaker gave up on it."""
        airing.failures += 1
        cause = _CAUSES.get(reason, ReceiptCause.SPEAKER_FAILED)
        if airing.plan.is_emergency:
            self._off(airing)
            if cause is ReceiptCause.NO_AUDIO and not airing.alone:
                # Its words are not here yet: siren and recordings sound again with the next repeat, in its own time.
                airing.not_before = self._time.now() or InstantMs(0)
            else:
                self.retry_later(airing)
        else:
            self.end(airing, ReceiptEvent.STOPPED if airing.told_start else ReceiptEvent.SKIPPED, cause)
        self.reconsider()
        self.changed()

    def retry_later(self, airing: Airing) -> None:
        airing.failures += 1
        wait_ms = min(30_000, 500 * 2 ** min(airing.failures, 6))
        airing.not_before = InstantMs((self._time.now() or InstantMs(0)) + wait_ms)

    def interrupt(self, airing: Airing, now: InstantMs, *, urgently: bool) -> None:
        """It gives way. `urgently`: to an emergency, which waits for nothing that is written."""
        sounded = airing.sounding_since_s is not None
        place = airing.place
        position = self._off(airing)
        airing.kept_off = True
        if not sounded or place is None:
            return
        plan = airing.plan
        # A drill begins anew, with its announcement.
        rule = Interruption.RESTART if plan.is_drill and plan.interruption is Interruption.RESUME else plan.interruption
        again = after_interruption(rule, position)
        if plan.interruption is Interruption.DROP and not plan.is_emergency:
            self.end(airing, ReceiptEvent.STOPPED, ReceiptCause.PRE_EMPTED, position, urgently=urgently)
        else:
            self.note(airing, ReceiptEvent.INTERRUPTED, ReceiptCause.PRE_EMPTED, position, urgently=urgently)
            if not plan.is_emergency:
                airing.alone, airing.repeat, airing.offset_ms = True, place.repeat, again.offset_ms
                airing.not_before = now
        self.changed()

    def end(
        self,
        airing: Airing,
        event: ReceiptEvent,
        cause: ReceiptCause,
        position: DurationMs | None = None,
        *,
        urgently: bool = False,
    ) -> None:
        """Silence first, then the receipt, then the mark that makes it final; of an emergency in the next turn."""
        was_on = airing.on_air
        here = self._off(airing)
        plan = airing.plan
        self.left(plan.id)
        where = position if position is not None else here if was_on else None
        self.ending.add(plan.id)
        self.note(airing, event, cause, where, urgently=urgently)

        def over() -> None:
            self.ending.discard(plan.id)
            self.mark_over(plan.id, cause)
            self.ended(plan.id)
            self.changed()

        if plan.is_emergency:
            self._after.leave(over, wait_s=0)
        elif urgently:
            self._after.leave(over)
        else:
            over()

    def note(
        self,
        airing: Airing,
        event: ReceiptEvent,
        cause: ReceiptCause,
        position: DurationMs | None = None,
        *,
        late_ms: int | None = None,
        urgently: bool = False,
    ) -> None:
        """A receipt about what is on the stage; of an emergency, or because of one, when its sound is out."""
        repeat = airing.place.repeat if airing.place is not None else 0
        self._write(
            urgently or airing.plan.is_emergency,
            partial(
                self._notes.note,
                event,
                airing.plan.id,
                cause=cause,
                precedence=airing.plan.precedence,
                position_ms=position,
                late_ms=late_ms,
                repeat=repeat,
                moment=self._notes.moment(),
            ),
        )

    def _write(self, later: bool, act: Callable[[], None]) -> None:
        if later:
            self._after.leave(act)
        else:
            self._after.now()
            act()

    def mark_over(self, subject: Id16, cause: ReceiptCause) -> None:
        with contextlib.suppress(Fault):
            self._ledger.mark_over(subject, cause)

    def _mark_begun(self, subject: Id16) -> None:
        with contextlib.suppress(Fault):
            self._ledger.mark(Play.BEGUN, subject)


_CAUSES = {
    "decode_failed": ReceiptCause.BAD_AUDIO,
    "audio_missing": ReceiptCause.NO_AUDIO,
}
