"""Orders at a node: judged by the protocol's rules, then carried out, and remembered."""

from collections.abc import Callable
from dataclasses import replace

from devices.node.plan import Plan, plan_of_order, plan_of_tone
from devices.node.records import Kept
from devices.node.senses import Senses
from devices.protocol.approval import body_of, whole_target
from devices.protocol.documents import Settings
from devices.protocol.judge import Standing, judge_order, may_end
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason, WireRefusal
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from loa.names import AreaPath
from loa.units import Id16, InstantMs


class Ordering:
    """Takes orders. An emergency sounds first and is written down at once after."""

    def __init__(
        self, senses: Senses, *, standing: Callable[[], Standing], settings: Callable[[], Settings | None]
    ) -> None:
        self._identity, self._records = senses.identity, senses.records
        self._notes, self._conductor = senses.notes, senses.conductor
        self._standing, self._settings = standing, settings
        self.refresh_needs: Callable[..., None] = lambda *_coming: None

    def take(self, payload: bytes, retained: bool) -> Order:
        """Obey it. Raises WireRefusal, Repeat; Fault where it cannot be kept."""
        accepted = judge_order(payload, retained=retained, standing=self._standing(), seen=self._records.seen)
        order, kept = accepted.order, Kept(payload, accepted.basis, accepted.reach)
        match order.action:
            case OrderAction.PLAY | OrderAction.TEST_TONE:
                self._play(order, kept)
            case OrderAction.STOP:
                self._stop(order, kept)
            case OrderAction.VOLUME:
                self._set_volume(order, payload)
        return order

    def plan(self, order: Order, basis: tuple[bytes, ...]) -> Plan:
        if order.action is OrderAction.TEST_TONE:
            return plan_of_tone(order, basis)
        return replace(plan_of_order(order, self._settings(), basis), whole=self._whole_of(order))

    def replan(self) -> None:
        """Settings changed: what has not begun sounds with the sirens and the drill announcement that hold now."""
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

    def _play(self, order: Order, kept: Kept) -> None:
        plan = self.plan(order, kept.basis)
        if self.was_ended(plan):
            self._records.remember_order(order, kept.payload)
            self._notes.note(ReceiptEvent.SKIPPED, order.id, cause=ReceiptCause.WITHDRAWN, precedence=order.precedence)
            return
        if plan.is_emergency:  # sounded first, written down at once after
            self._check_update(order, kept)
            self.refresh_needs(plan)  # first, or on a full disk its own audio gives way to what is written about it
            self._conductor.add(plan)
        self._records.keep_order(order, kept)
        if plan.is_emergency:
            for updated in order.replaces:  # one that comes later does not sound any more
                self._records.keep_ending(updated, order, kept)
        self._records.remember_order(order, kept.payload)
        self._notes.note(ReceiptEvent.RECEIVED, order.id, precedence=order.precedence)
        if not plan.is_emergency:
            self._conductor.add(plan)
        self.refresh_needs()
        self._conductor.audio_changed()

    def _check_update(self, order: Order, kept: Kept) -> None:
        """What it takes the place of, as far as that is known here. Raises as `_check_ending`."""
        for updated in order.replaces:
            self._check_ending(updated, order, kept)

    def _stop(self, order: Order, kept: Kept) -> None:
        assert order.subject is not None
        if self._check_ending(order.subject, order, kept):
            self._conductor.cancel(order.subject, ReceiptCause.ORDERED)
        self._records.keep_ending(order.subject, order, kept)
        self._records.remember_order(order, kept.payload)
        self._notes.note(ReceiptEvent.RECEIVED, order.id, precedence=order.precedence)

    def _check_ending(self, subject: Id16, order: Order, kept: Kept) -> bool:
        """Whether there is something here to be ended. Raises WireRefusal(drill_mismatch, mandate_exceeded)."""
        plan = self._conductor.find(subject)
        if plan is None:
            return False
        if plan.kind is not order.kind:
            raise WireRefusal(RefusalReason.DRILL_MISMATCH, "live and drill do not end each other")
        if not may_end(order, precedence=plan.precedence, kind=plan.kind, reach=kept.reach, whole=plan.whole):
            raise WireRefusal(RefusalReason.MANDATE_EXCEEDED, "what was ordered by more is not ended by less")
        return True

    def was_ended(self, plan: Plan) -> bool:
        """Whether an order that came first ends this one. A revoked person's word does not keep an emergency silent."""
        authority = self._records.authority
        return any(
            may_end(order, precedence=plan.precedence, kind=plan.kind, reach=kept.reach, whole=plan.whole)
            and not (plan.is_emergency and authority.is_revoked(*kept.basis))
            for order, kept in self._records.endings.get(plan.id, ())
        )

    def _whole_of(self, order: Order) -> tuple[AreaPath, ...]:
        """All places that an order's alert is for; of any other order, those of its own target."""
        body, here = body_of(order), self._records.area
        if body is None or here is None:
            return order.areas
        return whole_target(body, self._identity.node, here)
