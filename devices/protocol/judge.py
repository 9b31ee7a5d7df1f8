"""Whether a node, or the controller, obeys what came over the wire. Pure: the state comes in, a message comes out.

Each judge returns the message, or raises WireRefusal with the reason to be counted, or Repeat where the very same
bytes were taken before (nothing to do, nothing to count).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from devices.protocol import cose
from devices.protocol.approval import body_of, check_approvals, check_within, counts_until, covers_all, whole_target
from devices.protocol.authority import NO_FLOOR, Authority, fingerprint
from devices.protocol.common import MessageType
from devices.protocol.documents import Placement, Settings, Timetable
from devices.protocol.envelope import Sealed, open_any, open_sealed
from devices.protocol.grants import Grant
from devices.protocol.keys import key_id
from devices.protocol.local_orders import check_local, check_station
from devices.protocol.media import TimeReply, TimeRequest, Want
from devices.protocol.orders import MAX_ORDER_BYTES, Order
from devices.protocol.record import RecordHead, check_head
from devices.protocol.refusal import Malformed, RefusalReason, Repeat, WireRefusal
from devices.protocol.reports import Acknowledgement, Health, Presence, PresenceState, Receipt
from devices.protocol.seen import Look, SeenOrders
from devices.protocol.trust import Power
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs, KeyId, NodeId

MAX_CTL_BYTES = 4096
Report = Receipt | Health | Presence | Want | TimeRequest


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a node stands when something comes in."""

    node: NodeId
    area: AreaPath | None
    """From its placement; None before the first."""
    authority: Authority
    now_ms: InstantMs | None
    """The controller's clock as estimated here; None while time is not trusted."""
    floor_ms: InstantMs = InstantMs(0)
    """The newest signed instant taken so far; never goes back, survives reboots."""
    timetable_issuer: KeyId | None = None
    """Who signed the timetables that are held; None before the first."""

    @property
    def latest_ms(self) -> InstantMs | None:
        """The trusted time, never before the floor; None where time is not trusted."""
        return None if self.now_ms is None else max(self.now_ms, self.floor_ms)


@dataclass(frozen=True)
class Held:
    """A state document that is held: its version, and what tells its bytes from others."""

    version: int
    mark: bytes

    @classmethod
    def of(cls, version: int, payload: bytes) -> "Held":
        return cls(version, fingerprint(payload))


HeldDocuments = Mapping[tuple[MessageType, AreaPath], Held]
"""By type (TIMETABLE or SETTINGS) and area."""


@dataclass(frozen=True)
class Accepted:
    """An order that is obeyed, and by whose permission."""

    order: Order
    signer: Grant
    """By which its key signs orders here."""
    approvers: tuple[Grant, ...] = ()
    """Of an emergency: by which people released it, or cancel one."""
    over: bool = False
    """An alert's update whose own window is past: it ends what it takes the place of, and sounds no more."""

    @property
    def basis(self) -> tuple[bytes, ...]:
        """Ids of all that it rests on; when one of them is revoked, it ends."""
        return tuple(one for grant in (self.signer, *self.approvers) for one in grant.basis)

    @property
    def reach(self) -> tuple[AreaPath, ...]:
        """The areas of those who approved: an emergency is ended by who has all of its target in one of them."""
        return tuple(grant.area for grant in self.approvers)


def judge_order(
    payload: bytes, *, retained: bool, standing: Standing, seen: SeenOrders, local: bool = False
) -> Accepted:
    """An order that this node obeys. After obeying, remember it: `seen.adding(order, payload, floor)`.

    local: it came by this box's own input or its station's, not from the broker.
    Raises WireRefusal: retained_forbidden, malformed, untrusted_key, bad_signature, replay, wrong_target,
    expired, time_unknown, approval_missing, beyond_approval, revoked, mandate_exceeded, drill_mismatch; Repeat.
    """
    if retained:
        raise WireRefusal(RefusalReason.RETAINED_FORBIDDEN, "an order is never retained")
    sealed = open_sealed(payload, max_bytes=MAX_ORDER_BYTES)
    order = sealed.message
    if not isinstance(order, Order):
        raise Malformed(f"a {type(order).__name__} where an order belongs")
    look = seen.look(order.id, payload)
    if look is Look.REPEAT:
        raise Repeat(f"order {order.id.hex()}")
    if order.station is not None and not local:
        raise WireRefusal(RefusalReason.MANDATE_EXCEEDED, "a station's key counts by local input alone")
    station = None if order.station is None else check_station(sealed, order, standing.authority)
    signer = station.key_id if station is not None else standing.authority.check_signature(sealed.signature)
    if look is Look.REPLAY:
        raise WireRefusal(RefusalReason.REPLAY, f"other bytes under the id {order.id.hex()}")
    _check_target(order, standing)
    now_ms = _check_order_time(order, standing)
    if station is not None:
        check_local(order, station, standing.authority, now_ms)
        accepted = Accepted(order, station, (station,))
    else:
        accepted = _permitted(order, signer, standing)
    seen.check_room(order.precedence, standing.floor_ms)
    return replace(accepted, over=order.expires_at <= now_ms)


def _check_target(order: Order, standing: Standing) -> None:
    if standing.area is None:
        raise WireRefusal(RefusalReason.WRONG_TARGET, "this node has no placement yet")
    here = standing.area
    if not (standing.node in order.nodes or any(area.covers(here) for area in order.areas)):
        raise WireRefusal(RefusalReason.WRONG_TARGET, f"neither {standing.node} nor {here} is in the target")


def _check_order_time(order: Order, standing: Standing) -> InstantMs:
    until, now_ms = counts_until(order), standing.latest_ms
    if until <= standing.floor_ms:
        raise WireRefusal(RefusalReason.EXPIRED, "expired before the newest signed instant known here")
    if now_ms is None:
        raise WireRefusal(RefusalReason.TIME_UNKNOWN, "an order counts only once the time is known")
    if until <= now_ms:
        raise WireRefusal(RefusalReason.EXPIRED, f"expired {now_ms - until} ms ago")
    return now_ms


def _permitted(order: Order, signer: KeyId, standing: Standing) -> Accepted:
    """By whose permission an order is obeyed: its signer's, and for an emergency that of the people who approved it."""
    now_ms = standing.latest_ms
    if now_ms is None or standing.area is None:  # both were checked before
        raise WireRefusal(RefusalReason.TIME_UNKNOWN)
    if order.precedence < Precedence.EMERGENCY:
        return Accepted(order, _carried(order, signer, standing, order.precedence, order.kind, now_ms))
    body = body_of(order)
    if order.alert_body is None or body is None:
        raise WireRefusal(RefusalReason.APPROVAL_MISSING, "nobody approved this emergency")
    check_within(order, body, standing.node, standing.area)
    # Who carries an approved emergency releases nothing, so a live key carries drills too; a drill key nothing live.
    kind = Kind.LIVE if order.kind is Kind.LIVE else None
    carrier = _carried(order, signer, standing, Precedence.PRIORITY, kind, now_ms)
    approvers = check_approvals(
        order.alert_body,
        order.approvals,
        standing.authority,
        whole=whole_target(body, standing.node, standing.area),
        now_ms=now_ms,
        carrier=signer,
    )
    return Accepted(order, carrier, approvers)


def _carried(  # noqa: PLR0917
    order: Order, signer: KeyId, standing: Standing, precedence: Precedence, kind: Kind | None, now_ms: InstantMs
) -> Grant:
    """The mandate covers the whole target of an order by areas; of an order by nodes, this node's place."""
    assert standing.area is not None
    grants = [
        standing.authority.in_force(
            signer, power=Power.ORDER, area=area, precedence=precedence, kind=kind, now_ms=now_ms
        )
        for area in order.areas or (standing.area,)
    ]
    here = [grant for grant in grants if grant.area.covers(standing.area)]
    return (here or grants)[0]


def may_end(
    ending: Order,
    *,
    precedence: Precedence,
    kind: Kind,
    reach: Iterable[AreaPath] = (),
    whole: Iterable[AreaPath] = (),
    local: bool = False,
) -> bool:
    """Whether an accepted order (a STOP, or an alert's update) may end a broadcast: same kind, at least its precedence.

    local: the broadcast was sounded by local input. A station ends nothing else: what people released is theirs.

    An emergency is ended by people alone: `reach` is that of the order, `whole` all places that the alert is for.
    Ask again when a broadcast arrives whose end came first.
    """
    if ending.kind is not kind or ending.precedence < precedence:
        return False
    if ending.station is not None and not local:
        return False
    return precedence < Precedence.EMERGENCY or covers_all(reach, whole)


def judge_document(payload: bytes, standing: Standing, held: HeldDocuments) -> Timetable | Settings:
    """A timetable or settings document that this node takes in place of what it holds.

    Raises WireRefusal: malformed, untrusted_key, bad_signature, wrong_target, rollback, time_unknown, revoked,
    expired, mandate_exceeded, drill_mismatch; Repeat.
    """
    sealed = open_sealed(payload)
    document = sealed.message
    if not isinstance(document, Timetable | Settings):
        raise Malformed(f"a {type(document).__name__} where a timetable or settings belong")
    message_type = MessageType.TIMETABLE if isinstance(document, Timetable) else MessageType.SETTINGS
    mine = held.get((message_type, document.area))
    if mine is not None and mine == Held.of(document.version, payload):
        raise Repeat(f"version {document.version} of {document.area}")
    signer = standing.authority.check_signature(sealed.signature)
    if standing.area is None or not document.area.covers(standing.area):
        raise WireRefusal(RefusalReason.WRONG_TARGET, f"{document.area} is not where this node is")
    if mine is not None and document.version <= mine.version:
        raise WireRefusal(RefusalReason.ROLLBACK, f"version {document.version}, held is {mine.version}")
    now_ms = standing.latest_ms
    if now_ms is None:
        raise WireRefusal(RefusalReason.TIME_UNKNOWN, "a document counts only once the time is known")
    grant = standing.authority.in_force(signer, power=Power.DOCUMENTS, area=document.area, now_ms=now_ms)
    if isinstance(document, Timetable):
        _check_issuer(signer, standing, now_ms)
        _check_entries(document, grant)
    return document


def _check_issuer(signer: KeyId, standing: Standing, now_ms: InstantMs) -> None:
    """One issuer of timetables, for as long as its key is in force here."""
    issuer = standing.timetable_issuer
    if issuer is None or issuer == signer:
        return
    try:
        standing.authority.in_force(issuer, power=Power.DOCUMENTS, area=standing.area, now_ms=now_ms)
    except WireRefusal:
        return
    raise WireRefusal(RefusalReason.UNTRUSTED_KEY, f"timetables come from key {issuer.hex()} here")


def _check_entries(timetable: Timetable, grant: Grant) -> None:
    for entry in timetable.entries:
        if entry.kind is not grant.kind:
            raise WireRefusal(RefusalReason.DRILL_MISMATCH, f"entry {entry.id.hex()}")
        if entry.precedence > min(grant.ceiling, Precedence.PRIORITY):  # no timetable releases an emergency
            raise WireRefusal(RefusalReason.MANDATE_EXCEEDED, f"entry {entry.id.hex()}: {entry.precedence.name}")


def judge_record_head(payload: bytes, standing: Standing, held: Sequence[RecordHead]) -> RecordHead:
    """The record's head, which this node remembers after those that it holds.

    Raises WireRefusal: malformed, untrusted_key, bad_signature, wrong_target, record_fork, rollback, time_unknown,
    revoked, expired, mandate_exceeded; Repeat.
    """
    sealed = open_sealed(payload, max_bytes=MAX_CTL_BYTES)
    head = sealed.message
    if not isinstance(head, RecordHead):
        raise Malformed(f"a {type(head).__name__} where a head of the record belongs")
    signer = standing.authority.check_signature(sealed.signature)
    if standing.area is None or not head.area.covers(standing.area):
        raise WireRefusal(RefusalReason.WRONG_TARGET, f"{head.area} is not where this node is")
    check_head(head, held)
    now_ms = standing.latest_ms
    if now_ms is None:
        raise WireRefusal(RefusalReason.TIME_UNKNOWN, "a head counts only once the time is known")
    standing.authority.in_force(signer, power=Power.DOCUMENTS, area=head.area, now_ms=now_ms)
    return head


def issuer_of(payload: bytes) -> KeyId:
    """The key id that a signed payload names. Raises Malformed."""
    return open_sealed(payload).signature.key_id


def judge_placement(
    payload: bytes,
    *,
    node: NodeId,
    public_key: bytes,
    authority: Authority,
    held_version: int,
    now_ms: InstantMs | None,
    floor_ms: InstantMs = NO_FLOOR,
) -> Placement:
    """Where this node is from now on. Without trusted time, the placement's own instant serves for the mandate.

    Raises WireRefusal: malformed, untrusted_key, bad_signature, wrong_target, rollback, expired, revoked,
    mandate_exceeded; Repeat for the version that is held.
    """
    sealed = open_sealed(payload, max_bytes=MAX_CTL_BYTES)
    placement = sealed.message
    if not isinstance(placement, Placement):
        raise Malformed(f"a {type(placement).__name__} where a placement belongs")
    signer = authority.check_signature(sealed.signature)
    if placement.node != node or placement.public_key != public_key:
        raise WireRefusal(RefusalReason.WRONG_TARGET, "a placement of another box")
    if placement.version == held_version:
        raise Repeat(f"placement {held_version}")
    if placement.version < held_version:
        raise WireRefusal(RefusalReason.ROLLBACK, f"version {placement.version}, held is {held_version}")
    at = max(now_ms if now_ms is not None else placement.issued_at, floor_ms)
    authority.in_force(signer, power=Power.PLACEMENT, area=placement.area, now_ms=at)
    return placement


def judge_acknowledgement(
    payload: bytes,
    *,
    node: NodeId,
    epoch: bytes,
    authority: Authority,
    now_ms: InstantMs | None,
    area: AreaPath | None = None,
    newest_ms: InstantMs = NO_FLOOR,
) -> Acknowledgement:
    """What the controller holds of this node's journal. `newest_ms`: `issued_at` of the newest one taken so far.

    Raises WireRefusal: malformed, untrusted_key, bad_signature, wrong_target (node or epoch), rollback (older than
    the newest taken: an old statement must not make the node send everything again), and the mandate's; Repeat.
    """
    sealed = open_sealed(payload, max_bytes=MAX_CTL_BYTES)
    statement = sealed.message
    if not isinstance(statement, Acknowledgement):
        raise Malformed(f"a {type(statement).__name__} where an acknowledgement belongs")
    signer = authority.check_signature(sealed.signature)
    if statement.node != node or statement.epoch != epoch:
        raise WireRefusal(RefusalReason.WRONG_TARGET, "an acknowledgement of another journal")
    if statement.issued_at < newest_ms:
        raise WireRefusal(RefusalReason.ROLLBACK, "an older acknowledgement")
    at = now_ms if now_ms is not None else statement.issued_at
    authority.in_force(signer, power=Power.SERVICE, area=area, now_ms=at)
    return statement


def judge_time_reply(
    payload: bytes,
    *,
    node: NodeId,
    outstanding: Collection[bytes],
    authority: Authority,
    area: AreaPath | None = None,
    floor_ms: InstantMs = NO_FLOOR,
) -> TimeReply:
    """The controller's clock, fresh because it answers one of the `outstanding` nonces.

    Needs no trusted time: the mandate must be in date at the reply's own instant, which the roots' appointment
    bounds, and at the floor: a key whose time is past does not turn the clock back to it. Raises WireRefusal:
    malformed, untrusted_key, bad_signature, wrong_target, replay, and the mandate's.
    """
    sealed = open_sealed(payload, max_bytes=MAX_CTL_BYTES)
    reply = sealed.message
    if not isinstance(reply, TimeReply):
        raise Malformed(f"a {type(reply).__name__} where a time reply belongs")
    signer = authority.check_signature(sealed.signature)
    if reply.node != node:
        raise WireRefusal(RefusalReason.WRONG_TARGET, "a time reply to another node")
    if reply.nonce not in outstanding:
        raise WireRefusal(RefusalReason.REPLAY, "no such nonce is outstanding")
    authority.in_force(signer, power=Power.SERVICE, area=area, now_ms=InstantMs(max(reply.replied_at, floor_ms)))
    return reply


def judge_report(payload: bytes, *, topic_node: str, public_key: bytes, retained: bool = False) -> Report:
    """What a node says, on the controller's side. `public_key` is that of the node enrolled under the topic's name.

    An unsigned Presence is allowed when it says OFFLINE (a Last Will, a hint). Raises WireRefusal: malformed,
    wrong_target (the topic names another node), untrusted_key, bad_signature, retained_forbidden.
    """
    opened = open_any(payload)
    message = opened.message if isinstance(opened, Sealed) else opened
    if not isinstance(message, Report):
        raise Malformed(f"a {type(message).__name__} where a node's report belongs")
    if message.node != topic_node:
        raise WireRefusal(RefusalReason.WRONG_TARGET, f"{message.node} on a topic of {topic_node[:40]}")
    if retained and not isinstance(message, Presence):
        raise WireRefusal(RefusalReason.RETAINED_FORBIDDEN, "only presence is retained")
    if isinstance(opened, Sealed):
        _check_node_signature(opened.signature, public_key)
    elif not isinstance(message, Presence) or message.state is not PresenceState.OFFLINE:
        raise Malformed("only a Last Will comes without a signature")
    return message


def _check_node_signature(signature: cose.Signature, public_key: bytes) -> None:
    if signature.key_id != key_id(public_key):
        raise WireRefusal(RefusalReason.UNTRUSTED_KEY, f"key {signature.key_id.hex()} is not this node's")
    if not signature.holds_under(public_key):
        raise WireRefusal(RefusalReason.BAD_SIGNATURE, "does not hold under the node's key")
