"""What an order leaves out because the alert body inside it says the same: an emergency has to go down slow lines.

Wire maps in, wire maps out. The order in memory is always whole.
"""

from collections.abc import Iterator

from devices.protocol import cbor
from devices.protocol.alerts import MAX_BODY_BYTES, AlertBody
from devices.protocol.common import MessageType
from devices.protocol.fields import KEY_TYPE, plan_of
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import Malformed

_ORDER = {plan.name: plan for plan in plan_of(Order)}
_BODY = {plan.name: plan.key for plan in plan_of(AlertBody)}
_ALWAYS = ("kind", "expires_at")
_OF_PLAY = ("id", "renditions", "repeats", "gap_ms", "siren")
_TARGET = ("areas", "nodes")


def shortened(raw: dict[int, object]) -> dict[int, object]:
    """An order's map without what its body says; where the two differ, with its own value even at its default."""
    body = _body_in(raw)
    if body is None:
        return raw
    short = dict(raw)
    for names in _said(raw, body):
        if all(raw.get(_ORDER[name].key) == value for name, value in names.items()):
            for name in names:
                short.pop(_ORDER[name].key, None)
        else:
            for name in names:
                plan = _ORDER[name]
                if plan.key not in raw and name not in _TARGET:
                    short[plan.key] = plan.form.write(plan.default)
    return dict(sorted(short.items()))


def completed(raw: dict[int, object]) -> dict[int, object]:
    """An order's map with what its body says in place of what it leaves out."""
    body = _body_in(raw)
    if body is None:
        return raw
    whole = dict(raw)
    for names in _said(raw, body):
        if all(_ORDER[name].key not in raw for name in names):
            whole |= {_ORDER[name].key: value for name, value in names.items() if value is not None}
    return whole


def _said(raw: dict[int, object], body: dict[int, object]) -> Iterator[dict[str, object]]:
    """What the body says, by the order's names for it; what belongs together is left out together."""
    action = raw.get(_ORDER["action"].key)
    is_play = action == OrderAction.PLAY
    for name in (*_ALWAYS, *(_OF_PLAY if is_play else ())):
        if _BODY[name] in body:
            yield {name: body[_BODY[name]]}
    if any(_BODY[name] in body for name in _TARGET):
        yield {name: body.get(_BODY[name]) for name in _TARGET}
    references = body.get(_BODY["references"])
    if is_play and references is not None:
        yield {"replaces": references}
    elif action == OrderAction.STOP and isinstance(references, list) and len(references) == 1:
        yield {"subject": references[0]}


def _body_in(raw: dict[int, object]) -> dict[int, object] | None:
    data = raw.get(_ORDER["alert_body"].key)
    if not isinstance(data, bytes):
        return None
    try:
        body = cbor.loads(data, max_bytes=MAX_BODY_BYTES)
    except Malformed:
        return None
    return body if isinstance(body, dict) and body.get(KEY_TYPE) == MessageType.ALERT_BODY else None
