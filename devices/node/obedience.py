"""What comes in from the link: judged by the protocol's rules, then acted on, or refused, counted and told."""

from collections import OrderedDict, deque
from collections.abc import Callable

from devices.links.port import Delivery
from devices.node.ordering import Ordering
from devices.node.plan import Plan, plan_of_entry
from devices.node.receiving import stream_of
from devices.node.records import Kept
from devices.node.senses import Senses
from devices.protocol.authority import NO_FLOOR, accept_trust
from devices.protocol.common import RenditionRef
from devices.protocol.documents import Placement, Settings, Timetable
from devices.protocol.envelope import Sealed, open_any, open_sealed
from devices.protocol.judge import (
    Standing,
    issuer_of,
    judge_acknowledgement,
    judge_document,
    judge_placement,
    judge_record_head,
    judge_time_reply,
)
from devices.protocol.media import Manifest, Piece, TimeReply
from devices.protocol.orders import Order
from devices.protocol.refusal import Malformed, RefusalReason, Repeat, WireRefusal
from devices.protocol.reports import Acknowledgement, ReceiptCause, ReceiptEvent
from devices.protocol.topics import PREFIX, AreaChannel, DownChannel
from devices.protocol.trust import Power, Trust
from loa.errors import Fault
from loa.units import Digest, Id16, InstantMs

MAX_HELD_BACK = 32
MAX_REFUSED_AN_HOUR = 30
_HOUR_S = 3600.0
_FLOOR_STEP_MS = 600_000
_MAY_BE_TAKEN_LATER = (RefusalReason.TIME_UNKNOWN, RefusalReason.UNTRUSTED_KEY, RefusalReason.EXPIRED)
_NOT_WORTH_A_RECEIPT = (RefusalReason.WRONG_TARGET, RefusalReason.TIME_UNKNOWN)


class Obedience:
    """Takes deliveries. Nothing from the wire gets past it unjudged."""

    def __init__(self, senses: Senses, monotonic_s: Callable[[], float]) -> None:
        self._identity, self._records, self._time = senses.identity, senses.records, senses.time
        self._ledger, self._notes = senses.ledger, senses.notes
        self._conductor, self._receiving = senses.conductor, senses.receiving
        self._monotonic_s = monotonic_s
        self.ordering = Ordering(senses, standing=self._standing, settings=self.settings)
        self.ordering.refresh_needs = self.refresh_needs
        self.ordering.keep_room_for = self._keep_room_for
        self.refusals: dict[RefusalReason, int] = {}
        self.repeats = 0
        """Orders that came again to the byte: nothing to do, but something to tell."""
        self._told: deque[tuple[float, Id16, RefusalReason]] = deque(maxlen=MAX_REFUSED_AN_HOUR)
        self._held_back: OrderedDict[tuple[str, bytes], Delivery] = OrderedDict()
        self.time_wanted: Callable[[], None] = lambda: None
        """Told when something waits for trusted time: an emergency must not wait for the next request's turn."""
        self.moved: Callable[[], None] = lambda: None
        """Told when placement changed."""
        self.acknowledged: Callable[[bool], None] = lambda _again: None
        self.changed: Callable[[], None] = lambda: None

    # Taking

    def take(self, delivery: Delivery) -> None:
        """Never raises for what the wire brings; what cannot be kept for want of room is taken when it comes again."""
        try:
            self._act(delivery)
        except Repeat:
            self.repeats += delivery.topic.endswith("/order")
        except WireRefusal as refusal:
            self._refused(delivery, refusal)
        except Fault:
            self._notes.unwritten += 1

    def _act(self, delivery: Delivery) -> None:
        channel = delivery.topic.rpartition("/")[2]
        stream = stream_of(delivery.topic)
        if stream is not None or channel == DownChannel.PIECE:
            self._take_audio(delivery.payload, stream)
        elif channel == AreaChannel.ORDER:
            self._take_order(delivery)
        elif channel == AreaChannel.TRUST:
            self._take_trust(delivery.payload)
        elif channel in (AreaChannel.SETTINGS, AreaChannel.TIMETABLE):
            self._take_document(delivery.payload)
        elif channel == AreaChannel.RECORD:
            self._take_head(delivery.payload)
        elif channel == DownChannel.CTL:
            self._take_ctl(delivery.payload)

    def _take_audio(self, payload: bytes, stream: Digest | None) -> None:
        message = open_any(payload)
        if isinstance(message, Piece):
            if stream is not None and message.rendition != stream:
                raise WireRefusal(RefusalReason.WRONG_BLOCK, "a piece on another rendition's stream")
            self._receiving.on_piece(message)
        elif isinstance(message, Manifest):
            self._receiving.on_manifest(payload, stream)
        else:
            raise Malformed("neither a piece nor a manifest")

    def _take_ctl(self, payload: bytes) -> None:
        opened = open_any(payload)
        message = opened.message if isinstance(opened, Sealed) else opened
        match message:
            case TimeReply():
                self._take_time(payload)
            case Acknowledgement():
                self._take_acknowledgement(payload)
            case Placement():
                self._take_placement(payload)
            case Trust():
                self._take_trust(payload)
            case Timetable() | Settings():
                self._take_document(payload)
            case Manifest():
                self._receiving.on_manifest(payload, None)
            case Piece():
                self._receiving.on_piece(message)
            case _:
                raise Malformed(f"a {type(message).__name__} on a node's ctl")

    # Refusing

    def _refused(self, delivery: Delivery, refusal: WireRefusal) -> None:
        reason = refusal.reason
        is_order = delivery.topic.endswith("/order")
        if reason in _MAY_BE_TAKEN_LATER and (reason is RefusalReason.TIME_UNKNOWN or not is_order):
            self._hold_back(delivery)
            if reason is RefusalReason.TIME_UNKNOWN:
                self._time.keeper.hopeful()
                self.time_wanted()
                return  # not refused yet: it is judged again as soon as the time is known
            if self._records.authority.version == 0 and reason is RefusalReason.UNTRUSTED_KEY:
                return  # nobody is trusted yet: it is judged again once somebody is
        self.refusals[reason] = self.refusals.get(reason, 0) + 1
        if is_order and reason not in _NOT_WORTH_A_RECEIPT:
            self._tell_refusal(delivery.payload, reason)
        self.changed()

    def _tell_refusal(self, payload: bytes, reason: RefusalReason) -> None:
        """A receipt about a refused order; few, so that forged ones do not fill the journal."""
        try:
            order = open_sealed(payload).message
        except WireRefusal:
            return
        if not isinstance(order, Order):
            return
        now = self._monotonic_s()
        while self._told and now - self._told[0][0] > _HOUR_S:
            self._told.popleft()
        known = any(one == order.id and why is reason for _, one, why in self._told)
        if not known and len(self._told) < MAX_REFUSED_AN_HOUR:
            self._told.append((now, order.id, reason))
            self._notes.note(ReceiptEvent.REFUSED, order.id, refusal=reason)

    def _hold_back(self, delivery: Delivery) -> None:
        """An area's document by its topic, so that the newest counts; anything else by its bytes."""
        is_document = delivery.topic.startswith(f"{PREFIX}/a/") and not delivery.topic.endswith("/order")
        key = (delivery.topic, b"" if is_document else delivery.payload)
        self._held_back.pop(key, None)
        while len(self._held_back) >= MAX_HELD_BACK:
            self._held_back.popitem(last=False)
        self._held_back[key] = delivery

    @property
    def order_waits(self) -> bool:
        """Whether an order has come that cannot be judged before the time is known."""
        return any(topic.endswith("/order") for topic, _ in self._held_back)

    def look_again(self) -> None:
        """Time, trust or place have changed: what waited for that is judged again."""
        waiting, self._held_back = list(self._held_back.values()), OrderedDict()
        for delivery in waiting:
            self.take(delivery)

    # Orders

    def _standing(self) -> Standing:
        return Standing(
            node=self._identity.node,
            area=self._records.area,
            authority=self._records.authority,
            now_ms=self._time.now(),
            floor_ms=self._records.floor_ms,
            timetable_issuer=self._records.timetable_issuer,
        )

    def _basis(self, payload: bytes, power: Power) -> tuple[bytes, ...]:
        """What the permission of an accepted document rests on."""
        now = self._standing().latest_ms
        assert now is not None
        return self._records.authority.in_force(
            issuer_of(payload), power=power, area=self._records.area, now_ms=now
        ).basis

    def _take_order(self, delivery: Delivery) -> None:
        order = self.ordering.take(delivery.payload, delivery.retained, local=delivery.local)
        self._raise_floor(order.issued_at)
        self.changed()

    # Documents

    def settings(self) -> Settings | None:
        return self._records.settings_here

    def _take_document(self, payload: bytes) -> None:
        document = judge_document(payload, self._standing(), self._records.held_documents)
        self._records.set_document(document, Kept(payload, self._basis(payload, Power.DOCUMENTS)))
        self._raise_floor(document.issued_at)
        if isinstance(document, Timetable):
            self.refresh_timetable()
        else:
            self.ordering.replan()
            self.refresh_timetable()
            self._conductor.reconsider()
        self.changed()

    def refresh_timetable(self) -> None:
        """The union of the timetables that hold here; of entries with one id, the newest issue counts."""
        plans: dict[Id16, Plan] = {}
        for timetable, kept in sorted(self._records.timetables.values(), key=lambda pair: pair[0].issued_at):
            if self._records.authority.is_revoked(*kept.basis):
                continue
            for entry in timetable.entries:
                if not entry.nodes or self._identity.node in entry.nodes:
                    plan = plan_of_entry(entry, self.settings(), kept.basis)
                    if not self.ordering.was_ended(plan):
                        plans[entry.id] = plan
        self._conductor.set_timetable(plans.values())
        self.refresh_needs()

    def refresh_needs(self) -> None:
        self._receiving.set_needs(self._conductor.plans, self._sirens())

    def _keep_room_for(self, coming: Plan) -> None:
        """Before the conductor is given it: its audio gives way to nothing that is written about it."""
        self._receiving.keep([coming, *self._conductor.plans], self._sirens())

    def _sirens(self) -> tuple[RenditionRef, ...]:
        settings = self.settings()
        return tuple(siren.rendition for siren in settings.sirens) if settings else ()

    def _take_trust(self, payload: bytes) -> None:
        records = self._records
        # A wrong battery clock must not shut out the document that lets the controller's own clock in.
        now = self._time.now() if self._time.confirmed else None
        records.set_authority(
            accept_trust(payload, records.authority, now, floor_ms=records.floor_ms, here=records.area)
        )
        if not self._time.confirmed and self._time.keeper.hopeful():
            self.time_wanted()  # by this document answers may be believed that were not before
        self._conductor.cancel_all(lambda plan: records.authority.is_revoked(*plan.basis), ReceiptCause.REVOKED)
        self.refresh_timetable()
        self.changed()
        self.look_again()

    def _take_placement(self, payload: bytes) -> None:
        records = self._records
        placement = judge_placement(
            payload,
            node=self._identity.node,
            public_key=self._identity.key.public_key,
            authority=records.authority,
            held_version=records.placement.version if records.placement is not None else 0,
            now_ms=self._time.now(),
            floor_ms=records.floor_ms,
        )
        records.set_placement(placement, payload)
        self.refresh_timetable()
        self.moved()
        self.changed()
        self.look_again()

    def _take_head(self, payload: bytes) -> None:
        """Remembered, so that whoever rewrites the record later is found out. Health tells it in its own time."""
        self._records.keep_head(judge_record_head(payload, self._standing(), self._records.heads), payload)

    # Service

    def _take_acknowledgement(self, payload: bytes) -> None:
        now, newest = self._time.now(), self._ledger.newest_statement
        statement = judge_acknowledgement(
            payload,
            node=self._identity.node,
            epoch=self._ledger.epoch,
            authority=self._records.authority,
            now_ms=now,
            area=self._records.area,
            newest_ms=newest if now is None else InstantMs(min(newest, now)),
        )
        again = self._ledger.acknowledge(statement.number, statement.issued_at, self._time.best_guess())
        self.acknowledged(again)

    def _take_time(self, payload: bytes) -> None:
        reply = judge_time_reply(
            payload,
            node=self._identity.node,
            outstanding=self._time.keeper.outstanding(self._time.local_ms),
            authority=self._records.authority,
            area=self._records.area,
            floor_ms=self._records.floor_ms,
        )
        was_confirmed = self._time.confirmed
        if not self._time.take(reply):
            return
        self._raise_floor(reply.replied_at)
        self._conductor.reconsider()
        self._receiving.pump()
        if not was_confirmed:
            self.look_again()
            self.changed()

    def _raise_floor(self, instant: InstantMs) -> None:
        """Never past the trusted time, nor by a time that was told just now: one wrong instant, or a controller whose
        clock is wrong for a moment, must not shut out all that follows."""
        now, is_first = self._time.now(), self._records.floor_ms == NO_FLOOR
        if now is not None and (self._time.stands or is_first or not self._time.confirmed):
            self._records.raise_floor(InstantMs(min(instant, now)), at_least_ms=_FLOOR_STEP_MS)
            self._time.floor_ms = self._records.floor_ms
