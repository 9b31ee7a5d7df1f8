"""Orders at a node: judged by the protocol's rules, then carried out, and remembered."""

from collections.abc import Callable
from dataclasses import replace

from devices.node.notes import Moment
from devices.node.plan import Plan, plan_of_order, plan_of_tone
from devices.node.records import Kept
from devices.node.senses import Senses
from devices.protocol.approval import body_of, whole_target
from devices.protocol.documents import Settings
from devices.protocol.judge import Standing, judge_order, may_end
from devices.protocol.local import LocalMark
from devices.protocol.local_orders import START_AFTER_MS, mark_of
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason, Repeat, WireRefusal
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from loa.errors import Fault
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import Id16, InstantMs


class Ordering:
    """Takes orders. An emergency sounds first and is written down when its sound is out."""

    def __init__(
        self, senses: Senses, *, standing: Callable[[], Standing], settings: Callable[[], Settings | None]
    ) -> None:
        self._identity, self._records = senses.identity, senses.records
        self._notes, self._conductor = senses.notes, senses.conductor
        self._standing, self._settings = standing, settings
        self.refresh_needs: Callable[[], None] = lambda: None
        self.keep_room_for: Callable[[Plan], None] = lambda _coming: None
        self._after = senses.after
        self._unwritten: dict[bytes, Id16] = {}
        """Emergencies that are carried out, and written down afterwards."""

    def take(self, payload: bytes, retained: bool, *, local: bool = False) -> Order:
        """Obey it. Raises WireRefusal, Repeat; Fault where it cannot be kept."""
        if payload in self._unwritten:
            raise Repeat(f"order {self._unwritten[payload].hex()}")
        standing, seen = self._standing(), self._records.seen
        accepted = judge_order(payload, retained=retained, standing=standing, seen=seen, local=local)
        order, kept = accepted.order, Kept(payload, accepted.basis, accepted.reach)
        if order.id in self._unwritten.values():
            raise WireRefusal(RefusalReason.REPLAY, f"order {order.id.hex()}, and not in the same bytes")
        mark = None if order.station is None else mark_of(order, accepted.signer)
        match order.action:
            case OrderAction.PLAY if accepted.over:
                self._end_replaced(order, kept)
            case OrderAction.PLAY | OrderAction.TEST_TONE:
                self._play(order, kept, mark)
            case OrderAction.STOP:
                self._stop(order, kept, mark)
            case OrderAction.VOLUME:
                self._set_volume(order, payload)
        return order

    def plan(self, order: Order, basis: tuple[bytes, ...]) -> Plan:
        if order.action is OrderAction.TEST_TONE:
            return plan_of_tone(order, basis)
        plan = replace(plan_of_order(order, self._settings(), basis), whole=self._whole_of(order))
        now = self._standing().latest_ms
        if plan.local and now is not None:  # at once, however far the station's clock is ahead
            return replace(plan, start_at=InstantMs(min(plan.start_at, now + START_AFTER_MS)))
        return plan

    def replan(self) -> None:
        """Settings changed: what has not begun sounds with the sirens and the drill announcement that hold now."""
        self._after.now()
        for order, kept in self._records.orders.values():
            self._conductor.replan(self.plan(order, kept.basis))

    def _set_volume(self, order: Order, payload: bytes) -> None:
        assert order.volume is not None
        # Never past the trusted time: one wrong instant must not shut out the orders that follow.
        now = self._standing().latest_ms or InstantMs(0)
        is_newest = order.issued_at >= min(self._records.volume_set_at, now)
        if is_newest:
            self._records.set_volume(order.volume, InstantMs(min(order.issued_at, now)))
        self._records.remember_order(order, payload)
        if is_newest:
            self._notes.note(ReceiptEvent.SET, order.id)
        else:
            self._notes.note(ReceiptEvent.SKIPPED, order.id, cause=ReceiptCause.WITHDRAWN)

    def _play(self, order: Order, kept: Kept, mark: LocalMark | None = None) -> None:
        plan = self.plan(order, kept.basis)
        if self.was_ended(plan):
            self._records.remember_order(order, kept.payload)
            self._notes.note(ReceiptEvent.SKIPPED, order.id, cause=ReceiptCause.WITHDRAWN, precedence=order.precedence)
            return
        moment = self._notes.moment()
        if not plan.is_emergency:
            self._write_down(order, kept, mark, moment)
            self._conductor.add(plan)
            self._look_for_audio()
            return
        self._check_update(order, kept)
        self.keep_room_for(plan)
        self._afterwards(order, kept, lambda: self._write_down(order, kept, mark, moment))
        self._conductor.add(plan)
        if order.replaces:  # what it ends may come in this very turn
            self._after.now()
        self._after.soon(self._look_for_audio)

    def _write_down(self, order: Order, kept: Kept, mark: LocalMark | None, moment: Moment) -> None:
        self._records.keep_order(order, kept)
        if order.precedence is Precedence.EMERGENCY:
            for updated in order.replaces:  # one that comes later does not sound any more
                self._records.keep_ending(updated, order, kept)
        self._records.remember_order(order, kept.payload)
        self._notes.note(ReceiptEvent.RECEIVED, order.id, precedence=order.precedence, local=mark, moment=moment)

    def _look_for_audio(self) -> None:
        self.refresh_needs()
        self._conductor.audio_changed()

    def _afterwards(self, order: Order, kept: Kept, write_down: Callable[[], None]) -> None:
        """What cannot be kept for want of room is taken when it comes again."""
        self._unwritten[kept.payload] = order.id

        def act() -> None:
            del self._unwritten[kept.payload]
            try:
                write_down()
            except Fault:
                self._notes.unwritten += 1

        self._after.leave(act)

    def _check_update(self, order: Order, kept: Kept) -> None:
        """What it takes the place of, as far as that is known here. Raises as `_check_ending`."""
        for updated in order.replaces:
            self._check_ending(updated, order, kept)

    def _end_replaced(self, order: Order, kept: Kept) -> None:
        """An update that comes when its own window is past: what it took the place of ends, and it does not sound."""
        for here in [one for one in order.replaces if self._check_ending(one, order, kept)]:
            self._conductor.cancel(here, ReceiptCause.WITHDRAWN)
        for updated in order.replaces:
            self._records.keep_ending(updated, order, kept)
        self._records.remember_order(order, kept.payload)
        self._notes.note(ReceiptEvent.SKIPPED, order.id, cause=ReceiptCause.EXPIRED, precedence=order.precedence)

    def _stop(self, order: Order, kept: Kept, mark: LocalMark | None = None) -> None:
        assert order.subject is not None
        subject, moment = order.subject, self._notes.moment()

        def write_down() -> None:
            self._records.keep_ending(subject, order, kept)
            self._records.remember_order(order, kept.payload)
            self._notes.note(ReceiptEvent.RECEIVED, order.id, precedence=order.precedence, local=mark, moment=moment)

        silenced = self._check_ending(subject, order, kept) and self._conductor.cancel(subject, ReceiptCause.ORDERED)
        self._afterwards(order, kept, write_down)
        if not (silenced and order.precedence is Precedence.EMERGENCY):  # what it ends may come in this very turn
            self._after.now()

    def _check_ending(self, subject: Id16, order: Order, kept: Kept) -> bool:
        """Whether there is something here to be ended. Raises WireRefusal(drill_mismatch, mandate_exceeded)."""
        plan = self._conductor.find(subject)
        if plan is None:
            return False
        if plan.kind is not order.kind:
            raise WireRefusal(RefusalReason.DRILL_MISMATCH, "live and drill do not end each other")
        if not may_end(
            order, precedence=plan.precedence, kind=plan.kind, reach=kept.reach, whole=plan.whole, local=plan.local
        ):
            raise WireRefusal(RefusalReason.MANDATE_EXCEEDED, "what was ordered by more is not ended by less")
        return True

    def was_ended(self, plan: Plan) -> bool:
        """Whether an order that came first ends this one. A revoked person's word does not keep an emergency silent."""
        authority = self._records.authority
        return any(
            may_end(
                order, precedence=plan.precedence, kind=plan.kind, reach=kept.reach, whole=plan.whole, local=plan.local
            )
            and not (plan.is_emergency and authority.is_revoked(*kept.basis))
            for order, kept in self._records.endings.get(plan.id, ())
        )

    def _whole_of(self, order: Order) -> tuple[AreaPath, ...]:
        """All places that an order's alert is for; of any other order, those of its own target."""
        body, here = body_of(order), self._records.area
        if body is None or here is None:
            return order.areas
        return whole_target(body, self._identity.node, here)
