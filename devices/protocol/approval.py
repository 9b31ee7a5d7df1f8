"""Who may release or cancel an emergency. Pure, and the same at the centre and at every node.

People approve an alert body; the controller signs the order around it. Enough are: one person appointed to a commune
or less, for what lies within it; one person with a sole appointment; two distinct persons otherwise, however narrow
the alert is, so that many narrow alerts are no way round. To cancel, one person is enough, appointed over the whole
target of the alert.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations

from devices.protocol import cose
from devices.protocol.alerts import LONGEST_ALERT_MS, MAX_BODY_BYTES, AlertAction, AlertBody
from devices.protocol.authority import NEARNESS, Authority
from devices.protocol.envelope import decode
from devices.protocol.grants import Grant
from devices.protocol.keys import SigningKey
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import Malformed, RefusalReason, WireRefusal
from devices.protocol.trust import Power
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import InstantMs, KeyId, NodeId

MAX_APPROVAL_BYTES = 256
COMMUNE_DEPTH = 2
"""province/commune: an appointment at this depth or deeper is one commune's, or less."""
_ACTIONS = {AlertAction.RELEASE: OrderAction.PLAY, AlertAction.CANCEL: OrderAction.STOP}


def approve(body: bytes, key: SigningKey) -> bytes:
    """A person's approval of an encoded alert body: COSE_Sign1 with detached payload."""
    return cose.sign1_detached(body, key)


@lru_cache(maxsize=256)
def read_body(data: bytes) -> AlertBody:
    """The alert body that an order carries. Raises Malformed, which is not remembered."""
    if len(data) > MAX_BODY_BYTES:
        raise Malformed(f"an alert body of {len(data)} bytes")
    body = decode(data)
    if not isinstance(body, AlertBody):
        raise Malformed(f"a {type(body).__name__} where an alert body belongs")
    return body


def body_of(order: Order) -> AlertBody | None:
    """What people approved of this order; None where it carries nothing of the kind. Raises Malformed."""
    return None if order.alert_body is None else read_body(order.alert_body)


def remembered_until(order: Order) -> InstantMs:
    """Until when its id must be remembered: as long as what people approved could be ordered again."""
    body = body_of(order)
    until = counts_until(order)
    return until if body is None else InstantMs(max(until, body.expires_at))


def ends_until(order: Order) -> InstantMs:
    """Until when a STOP, or an update, must be remembered: as long as what it ends could come.

    An alert was composed before what names it, and lasts 31 days at most; an update or a cancel may be over sooner.
    """
    body = body_of(order)
    return order.expires_at if body is None else InstantMs(body.composed_at + LONGEST_ALERT_MS)


def counts_until(order: Order) -> InstantMs:
    """Until when an order is obeyed. An alert's update ends what it takes the place of after its own window too: a node
    that was away for all of that window would otherwise sound to its end what everybody else was told is over."""
    is_update = order.action is OrderAction.PLAY and order.precedence is Precedence.EMERGENCY and bool(order.replaces)
    return max(order.expires_at, ends_until(order)) if is_update else order.expires_at


def whole_target(body: AlertBody, node: NodeId, here: AreaPath) -> tuple[AreaPath, ...]:
    """All places that an alert is for, as far as a node can tell: areas, and where it is itself if it is named."""
    return (*body.areas, here) if node in body.nodes or not body.areas else body.areas


def check_within(order: Order, body: AlertBody, node: NodeId, here: AreaPath) -> None:
    """Whether an order lies inside what people approved. Raises WireRefusal(beyond_approval, drill_mismatch)."""
    if order.kind is not body.kind:
        raise WireRefusal(RefusalReason.DRILL_MISMATCH, f"a {order.kind.name} order of a {body.kind.name} alert")
    for holds, words in (
        (order.action is _ACTIONS[body.action], "another action"),
        (_is_inside(order, body, node, here), "another target"),
        (body.not_before <= order.start_at, "a start before its window"),
        (order.expires_at <= body.expires_at, "an end after its window"),
        (_names_the_same(order, body), "another alert"),
        (body.action is AlertAction.CANCEL or _sounds_the_same(order, body), "another content"),
    ):
        if not holds:
            raise WireRefusal(RefusalReason.BEYOND_APPROVAL, f"{words} than people approved")


def _is_inside(order: Order, body: AlertBody, node: NodeId, here: AreaPath) -> bool:
    if order.areas:
        return all(any(wider.covers(area) for wider in body.areas) for area in order.areas)
    return node in body.nodes or any(wider.covers(here) for wider in body.areas)


def _names_the_same(order: Order, body: AlertBody) -> bool:
    if body.action is AlertAction.CANCEL:
        return order.subject in body.references
    return order.id == body.id and order.replaces == body.references


def _sounds_the_same(order: Order, body: AlertBody) -> bool:
    """Whole languages may be left out, a part of one may not; a volume is nobody's to add or change."""
    languages = {ref.language for ref in order.renditions}
    approved = [ref for ref in body.renditions if ref.language in languages]
    same = len(approved) == len(order.renditions) and all(
        (ref.digest, ref.language, ref.length_bytes, ref.duration_ms)
        == (one.digest, one.language, one.length_bytes, one.duration_ms)
        for ref, one in zip(approved, order.renditions, strict=True)
    )
    return (
        same
        and bool(order.renditions) == bool(body.renditions)
        and (order.siren, order.repeats, order.gap_ms) == (body.siren, body.repeats, body.gap_ms)
        and order.volume == body.volume
    )


def check_approvals(
    data: bytes,
    approvals: Iterable[bytes],
    authority: Authority,
    *,
    whole: Sequence[AreaPath],
    now_ms: InstantMs,
    carrier: KeyId | None = None,
) -> tuple[Grant, ...]:
    """The grants by which people released or cancelled this, as few as are enough. `data` is the encoded body.

    `whole`: all places that it is for. `carrier`: the key that signs the order; it does not count as a person's.
    An approval that is not in force is passed over where the others are enough; one that does not hold refuses all.
    Raises WireRefusal: malformed, bad_signature; approval_missing where too few people approved, or what came nearest:
    untrusted_key, expired, revoked, mandate_exceeded, drill_mismatch.
    """
    body = read_body(data)
    nearest: WireRefusal | None = None
    counted: list[tuple[Grant, ...]] = []
    for approval in approvals:
        signature = cose.read_detached(approval, data, max_bytes=MAX_APPROVAL_BYTES)
        try:
            signer = authority.check_signature(signature)
            if signer == carrier:
                raise WireRefusal(RefusalReason.MANDATE_EXCEEDED, "the key of the order itself is no second person")
            counted.append(
                authority.grants_in_force(
                    signer,
                    power=Power.APPROVE,
                    now_ms=now_ms,
                    areas=whole,
                    precedence=Precedence.EMERGENCY,
                    kind=body.kind,
                )
            )
        except WireRefusal as refusal:
            if refusal.reason is RefusalReason.BAD_SIGNATURE:
                raise
            if nearest is None or NEARNESS[refusal.reason] > NEARNESS[nearest.reason]:
                nearest = refusal
    found = _enough(body.action, [grant for grants in counted for grant in grants])
    if not found:
        raise nearest or WireRefusal(RefusalReason.APPROVAL_MISSING, "a second person has to approve it")
    return found


def _enough(action: AlertAction, grants: Sequence[Grant]) -> tuple[Grant, ...]:
    """Whose word is enough, the widest appointment first; empty where nobody's is."""
    widest_first = sorted(grants, key=lambda grant: len(grant.area.codes))
    for grant in widest_first:
        if action is AlertAction.CANCEL or is_enough_alone(grant):
            return (grant,)
    return next((pair for pair in combinations(widest_first, 2) if are_two_persons(*pair)), ())


def is_enough_alone(grant: Grant) -> bool:
    """Whether one such person releases an emergency. It is the appointment that says so, not the mandate nor the alert:
    a mandate is made by the controller, and an alert by the person."""
    return grant.sole or len(grant.appointed_area.codes) >= COMMUNE_DEPTH


def are_two_persons(one: Grant, other: Grant) -> bool:
    """Not one key under two names, nor one name with two keys."""
    return one.public_key != other.public_key and not is_same_person(one.holder, other.holder)


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are one person's, however they are written."""
    return _name(one) == _name(other)


def _name(holder: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", holder).casefold().split())


def covers_all(reach: Iterable[AreaPath], whole: Iterable[AreaPath]) -> bool:
    """Whether one of the areas that somebody is appointed to holds all of an alert's target, which must be known."""
    places = list(whole)
    return bool(places) and any(all(area.covers(place) for place in places) for area in reach)
