"""Acts on the rule of who has the air: begins, interrupts and ends broadcasts, and writes down what it did.

Everything happens in `reconsider`, which is called whenever something changed and at the instants that it asks for.
Without trusted time nothing begins.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence

from devices.node.airing import LEAD_MS, Airing
from devices.node.crew import Alarm
from devices.node.ledger import Play
from devices.node.limits import hours_allow, longest
from devices.node.plan import Plan
from devices.node.stage import Parts, Stage
from devices.protocol.documents import Settings
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from loa.errors import Fault
from loa.precedence import Precedence
from loa.units import Id16, InstantMs, Percent
from scheduler.rules.air import Place, who_has_the_air

OVERRUN_MS = 5000
"""A sound that has not ended this long after it should have is cut off."""
MAX_AIRINGS = 64


class Conductor:
    """The one thing in a node that makes sound."""

    def __init__(self, parts: Parts, *, volume: Callable[[], Percent], settings: Callable[[], Settings | None]) -> None:
        self._clock, self._time, self._store = parts.clock, parts.time, parts.store
        self._ledger, self._notes, self._after = parts.ledger, parts.notes, parts.after
        self._settings = settings
        self.stage = Stage(parts, volume=volume, settings=settings)
        self.stage.reconsider = self.reconsider
        self.stage.left = self._left
        self._alarm = Alarm(parts.clock, parts.crew, self.reconsider)
        self._coming: list[Plan] = []
        self._airings: dict[Id16, Airing] = {}
        self._left_out: dict[Id16, Plan] = {}
        """Over by a clock that does not stand yet, and planned no more: told once it stands, if it is over then."""

    # What is to be played

    def set_timetable(self, plans: Iterable[Plan]) -> None:
        """All coming broadcasts of all timetables that hold here, in place of what was before."""
        wanted = {plan.id: plan for plan in plans}
        self._take_out(lambda plan: plan.scheduled and plan.id not in wanted)
        self._left_out = {one: plan for one, plan in self._left_out.items() if one not in wanted}
        fresh = {one: plan for one, plan in wanted.items() if not self._done(one) and one not in self._airings}
        self._coming = sorted(fresh.values(), key=lambda plan: (plan.start_at, plan.id))
        self.audio_changed()

    def _take_out(self, is_gone: Callable[[Plan], bool]) -> None:
        """What a timetable planned and has not begun is forgotten, not ended: a later timetable may plan it again.

        But a slot that passed in silence has its reason: back after days, by a clock that was just set, a box gives up
        nothing yet, and the next timetable leaves out what it had told to be ready.
        """
        now = self._time.now()
        if now is not None and not self._time.stands:
            self._left_out |= {plan.id: plan for plan in self.plans if is_gone(plan) and plan.is_past(now)}
        self._coming = [plan for plan in self._coming if not is_gone(plan)]
        for plan in [airing.plan for airing in self._airings.values()]:
            if plan.scheduled and not self._done(plan.id) and is_gone(plan):
                self._left(plan.id)

    def add(self, plan: Plan) -> None:
        """An accepted order. An emergency is given the air before anything is written down."""
        if plan.id in self._airings or plan.id in self.stage.ending or self._ledger.over(plan.id):
            return
        self._airings[plan.id] = Airing(plan)
        if not self._heard_before(plan):
            for ancestor in plan.replaces:
                self._withdraw(ancestor, plan)
        self.reconsider()

    def resume(self, plan: Plan, *, ended: bool = False) -> None:
        """An order that was under way before a restart; an emergency that had begun goes on in phase. `ended`: by an
        order that was written down when its own end was not."""
        airing = Airing(plan)
        airing.told_start = airing.kept_off = airing.resumed = self._ledger.begun(plan.id)
        self._airings[plan.id] = airing
        if ended:
            self.cancel(plan.id, ReceiptCause.ORDERED)
        else:
            self.reconsider()

    def replan(self, plan: Plan) -> None:
        """The same order with other sounds, where nothing of it has been heard."""
        airing = self._airings.get(plan.id)
        if airing is not None and not airing.on_air and not airing.told_start:
            airing.plan = plan

    def find(self, subject: Id16) -> Plan | None:
        airing = self._airings.get(subject)
        return airing.plan if airing else next((plan for plan in self._coming if plan.id == subject), None)

    def cancel(self, subject: Id16, cause: ReceiptCause) -> bool:
        """End a broadcast now, or before it begins. False where it is not known here."""
        airing = self._airings.get(subject)
        if airing is None:
            plan = next((plan for plan in self._coming if plan.id == subject), None)
            if plan is None:
                return False
            airing = Airing(plan)
        self.stage.end(airing, self._cancelled(airing, cause), cause)
        self.reconsider()
        return True

    def _left(self, subject: Id16) -> None:
        self._airings.pop(subject, None)
        self._coming = [one for one in self._coming if one.id != subject]

    @staticmethod
    def _cancelled(airing: Airing, cause: ReceiptCause) -> ReceiptEvent:
        if airing.told_start:
            return ReceiptEvent.STOPPED
        return ReceiptEvent.SKIPPED if cause is not ReceiptCause.ORDERED else ReceiptEvent.STOPPED

    def cancel_all(self, is_withdrawn: Callable[[Plan], bool], cause: ReceiptCause) -> None:
        """End whatever no longer has leave to sound."""
        self._take_out(is_withdrawn)
        for plan in [airing.plan for airing in self._airings.values()]:
            if is_withdrawn(plan):
                self.cancel(plan.id, cause)

    def _withdraw(self, ancestor: Id16, successor: Plan) -> None:
        plan = self.find(ancestor)
        if plan is not None and plan.kind is successor.kind and plan.precedence <= successor.precedence:
            self.cancel(ancestor, ReceiptCause.WITHDRAWN)

    # What is going on

    @property
    def plans(self) -> list[Plan]:
        """All that may still sound, those that are due first."""
        return [*(airing.plan for airing in self._airings.values()), *self._coming]

    @property
    def playing(self) -> Airing | None:
        """What sounds, or is placed to sound within a moment."""
        return next((airing for airing in self._airings.values() if airing.on_air), None)

    def audio_changed(self) -> None:
        """More audio is here, or other audio is wanted."""
        ready = [plan for plan in self.plans if self._ledger.play(plan.id) is None and self._is_complete(plan)]
        if any(plan.is_emergency for plan in ready):
            self._after.leave(lambda: self._tell_ready(ready))  # after its order is written down, of no later one
        elif ready:
            self._tell_ready(ready)
        self.reconsider()

    def _tell_ready(self, ready: Sequence[Plan]) -> None:
        for precedence in Precedence:
            subjects = [
                plan.id for plan in ready if plan.precedence is precedence and self._ledger.play(plan.id) is None
            ]
            if subjects:
                self._notes.note(ReceiptEvent.READY, *subjects, precedence=precedence)
                with contextlib.suppress(Fault):
                    self._ledger.mark(Play.READY, *subjects)

    def shut_down(self) -> None:
        """Silence, with the reason written down. An emergency goes on when the box is back before its expiry."""
        self._alarm.set(None)
        self.stage.closed = True
        for airing in list(self._airings.values()):
            if airing.sounding_since_s is not None:
                position, again = airing.off_air(self._clock.monotonic_s()), airing.plan.is_emergency
                event = ReceiptEvent.INTERRUPTED if again else ReceiptEvent.STOPPED
                self.stage.note(airing, event, ReceiptCause.SHUTDOWN, position)
                if not again:
                    self.stage.mark_over(airing.plan.id, ReceiptCause.SHUTDOWN)
            else:
                airing.off_air(self._clock.monotonic_s())
        self._airings.clear()

    # Deciding

    def reconsider(self) -> None:
        """Bring what sounds in line with the rules, and say when to look again."""
        now = self._time.now()
        if now is None or self.stage.closed:
            return
        self._promote(now)
        for airing in list(self._airings.values()):
            self._settle(airing, now)
        places = self._places(now)
        holder = self.playing
        winner = who_has_the_air(
            [self._airings[one].claim() for one in places],
            holder.plan.id if holder is not None else None,
            pausing=[
                airing.claim()
                for airing in self._airings.values()
                if airing.is_pausing(now) and self._can_sound(airing.plan)
            ],
        )
        if holder is not None and winner != holder.plan.id:
            urgently = winner is not None and self._airings[winner].plan.is_emergency
            self.stage.interrupt(holder, now, urgently=urgently)
        for other in places.keys() & self._airings.keys():
            if other != winner:
                self._airings[other].kept_off = True
        if winner is not None and not self._airings[winner].on_air:
            place = places[winner]
            assert place is not None
            self.stage.begin(self._airings[winner], place)
        self._alarm.set(self._next_look(now))

    def _places(self, now: InstantMs) -> dict[Id16, Place | None]:
        """Those that are on the air or could be now, with where they would begin."""
        found: dict[Id16, Place | None] = {}
        for airing in self._airings.values():
            if airing.on_air:
                found[airing.plan.id] = airing.place
                continue
            place = airing.next_place(now)
            if place is not None and place.at - LEAD_MS <= now and self._can_sound(airing.plan):
                found[airing.plan.id] = place
        return found

    def _promote(self, now: InstantMs) -> None:
        """Timetable entries whose time has come."""
        if self._left_out and self._time.stands:
            missed = [plan for plan in self._left_out.values() if plan.is_past(now)]
            self._coming, self._left_out = [*missed, *self._coming], {}
        later = []
        for plan in self._coming:
            if plan.start_at - LEAD_MS > now:
                later.append(plan)
            elif self._done(plan.id):
                continue
            elif plan.is_past(now) and not self._time.stands:
                later.append(plan)  # by a battery clock alone, or one that was just set, nothing is given up
            elif len(self._airings) < MAX_AIRINGS:
                self._airings[plan.id] = Airing(plan)
            else:
                later.append(plan)
        self._coming = later

    def _settle(self, airing: Airing, now: InstantMs) -> None:
        """End what is over, and tell of what is not ready."""
        plan = airing.plan
        if airing.on_air:
            self._check_limits(airing, now)
            return
        if now >= plan.start_at and not airing.told_not_ready and not airing.told_start and not self._is_complete(plan):
            airing.told_not_ready = True
            self.stage.note(airing, ReceiptEvent.NOT_READY, self._why_not_ready(plan))
        if not airing.told_start and self._forbidden(airing, now):
            return
        if plan.scheduled and not airing.told_start:
            if plan.is_past(now):
                self.stage.end(airing, ReceiptEvent.SKIPPED, self._why_missed(airing))
        elif airing.next_place(now) is None:
            self._nothing_left(airing, now)

    def _nothing_left(self, airing: Airing, now: InstantMs) -> None:
        """It is over while it is off the air. "Finished" is said of what has sounded to an end, and of nothing else."""
        plan = airing.plan
        expired = plan.expires_at is not None and now >= plan.expires_at
        if not airing.told_start:
            self.stage.end(airing, ReceiptEvent.SKIPPED, self._why_missed(airing))
        elif airing.heard_to_an_end:
            self.stage.end(airing, ReceiptEvent.FINISHED, ReceiptCause.EXPIRED if expired else ReceiptCause.NONE)
        elif airing.resumed:
            self.stage.end(airing, ReceiptEvent.UNCONFIRMED, ReceiptCause.POWER_FAILED)
        else:
            self.stage.end(airing, ReceiptEvent.STOPPED, ReceiptCause.EXPIRED if expired else ReceiptCause.PRE_EMPTED)

    def _forbidden(self, airing: Airing, now: InstantMs) -> bool:
        """Out of hours, or an ancestor has been heard here: ended, and told."""
        plan = airing.plan
        if self._heard_before(plan):
            self.stage.end(airing, ReceiptEvent.SKIPPED, ReceiptCause.ALREADY_STARTED)
            return True
        if not hours_allow(self._settings(), plan.precedence, InstantMs(max(now, plan.start_at))):
            self.stage.end(airing, ReceiptEvent.SKIPPED, ReceiptCause.OUT_OF_HOURS)
            return True
        return False

    def _why_missed(self, airing: Airing) -> ReceiptCause:
        if airing.failures:
            return ReceiptCause.SPEAKER_FAILED
        if airing.kept_off:
            return ReceiptCause.PRE_EMPTED
        return ReceiptCause.TOO_LATE if self._can_sound(airing.plan) else self._why_not_ready(airing.plan)

    def _why_not_ready(self, plan: Plan) -> ReceiptCause:
        return ReceiptCause.NO_AUDIO if self._announces(plan) else ReceiptCause.NO_ANNOUNCEMENT

    def _check_limits(self, airing: Airing, now: InstantMs) -> None:
        plan = airing.plan
        if plan.is_emergency and plan.expires_at is not None and now >= plan.expires_at:
            self.stage.end(airing, ReceiptEvent.STOPPED, ReceiptCause.EXPIRED)
            return
        local = self._clock.monotonic_s()
        limit = longest(self._settings(), plan.precedence)
        if limit is not None and airing.on_for_ms(local) >= limit:
            self.stage.end(airing, ReceiptEvent.STOPPED, ReceiptCause.LONGEST_REACHED)
        elif local >= self._overrun_at(airing):
            self.stage.failed(airing, "overrun")

    def _overrun_at(self, airing: Airing) -> float:
        """When a sound that has not begun or not ended is given up."""
        assert airing.place is not None
        if airing.sounding_since_s is None:
            return self._time.local_s(airing.place.at) + OVERRUN_MS / 1000
        rest = airing.plan.length_ms - airing.place.offset_ms + OVERRUN_MS
        return airing.sounding_since_s + rest / 1000

    def _next_look(self, now: InstantMs) -> float | None:
        """The monotonic second of the next instant at which something may have to change."""
        first = next((plan.start_at - LEAD_MS for plan in self._coming if plan.start_at - LEAD_MS > now), None)
        instants = [] if first is None else [self._time.local_s(InstantMs(first))]
        stands_at_s = self._time.stands_at_s
        if stands_at_s is not None and not self._time.stands:
            instants.append(stands_at_s)
        for airing in self._airings.values():
            plan = airing.plan
            if airing.on_air:
                limit = longest(self._settings(), plan.precedence)
                instants.append(self._overrun_at(airing))
                if limit is not None and airing.sounding_since_s is not None:
                    instants.append(airing.sounding_since_s + (limit - airing.sounded_ms) / 1000)
            else:
                place = airing.next_place(now)
                ends = [plan.start_at, plan.run.end_at, place.at - LEAD_MS if place else None]
                ends += [plan.start_at + plan.grace_ms + 1] if plan.grace_ms is not None else []
                instants += [self._time.local_s(InstantMs(end)) for end in ends if end is not None and end > now]
            if plan.expires_at is not None and plan.expires_at > now:
                instants.append(self._time.local_s(plan.expires_at))
        # Never for the whole of a long wait: the estimate of the controller's clock moves.
        soonest = min(instants, default=None)
        if soonest is None:
            return None
        local = self._clock.monotonic_s()
        return min(max(soonest, local + 0.001), local + max(30.0, (soonest - local) / 2))

    # Asking

    def _done(self, subject: Id16) -> bool:
        return self._ledger.done(subject)

    def _heard_before(self, plan: Plan) -> bool:
        """Under another id, before it was moved. An emergency's update is heard all the same."""
        if plan.is_repeat or plan.is_emergency:
            return False
        return any(self._ledger.begun(ancestor) for ancestor in plan.replaces)

    def _is_complete(self, plan: Plan) -> bool:
        return bool(plan.parts) and all(self._store.complete(digest) for digest in plan.digests)

    def _announces(self, plan: Plan) -> bool:
        """Whether a drill can be told to be one; what is none need not be."""
        return not plan.is_drill or any(self._store.complete(digest) for digest in plan.digests[:1])

    def _can_sound(self, plan: Plan) -> bool:
        if not self._announces(plan):
            return False
        if plan.is_emergency:  # it does not wait for its audio: the siren first, the rest as it comes in
            return plan.tone_hz is not None or any(self._store.begun(digest) for digest in plan.digests)
        return self._is_complete(plan)
