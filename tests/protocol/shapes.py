"""Hypothesis strategies for every message, made from the very words that the protocol page prints."""

import re
from dataclasses import replace
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from devices.protocol import alerts, common, documents, local, media, orders, record, reports, trust
from devices.protocol.documents import Hours
from devices.protocol.fields import plan_of
from devices.protocol.media import Manifest
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import Malformed
from loa.names import AreaPath
from loa.precedence import Precedence

CLASSES: dict[str, type[Any]] = {
    name: cls
    for module in (alerts, common, documents, local, media, orders, record, reports, trust)
    for name, cls in vars(module).items()
    if isinstance(cls, type) and hasattr(cls, "__dataclass_fields__")
}
CODE = st.from_regex(r"[a-z0-9]{1,6}(-[a-z0-9]{1,4})?", fullmatch=True).filter(
    lambda code: code not in ("order", "trust", "settings", "timetable", "record")
)
AREA = st.lists(CODE, min_size=1, max_size=3).map(lambda codes: AreaPath("/".join(codes)))
PERCENT = st.integers(0, 100)
INSTANT = st.integers(0, 2**50)


def of_words(words: str) -> st.SearchStrategy[Any]:
    """Values for a form, from its words."""
    if words.startswith("area path"):
        return AREA
    if words.startswith("node name"):
        return CODE
    if found := re.match(r"array of at most (\d+) \((.*)\)$", words):
        return st.lists(of_words(found[2]), max_size=min(3, int(found[1]))).map(tuple)
    if found := re.match(r"map: (\w+)$", words):
        return message(CLASSES[found[1]])
    if found := re.match(r"bytes, (\d+)(?: to (\d+))?$", words):
        least = int(found[1])
        return st.binary(min_size=least, max_size=min(int(found[2] or least), least + 40))
    if found := re.match(r"text, at most (\d+)$", words):
        return st.text(st.characters(codec="utf-8"), max_size=int(found[1]))
    if words == "bool":
        return st.booleans()
    return _of_number_words(words)


def _of_number_words(words: str) -> st.SearchStrategy[Any]:
    if found := re.search(r"\buint, (\d+) bits", words):
        return st.integers(0, 2 ** int(found[1]) - 1)
    if found := re.match(r"int, (\d+) bits", words):
        return st.integers(-(2 ** int(found[1])) + 1, 2 ** int(found[1]) - 1)
    if words.startswith("uint: "):
        return st.sampled_from([int(part.split()[0]) for part in words[6:].split(", ")])
    raise AssertionError(f"words that say no form: {words}")


def message(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Valid values of a message or a part of one."""
    return _made(cls, _SPECIAL.get(cls.__name__, lambda: st.fixed_dictionaries({}))())


@st.composite
def _made(draw: st.DrawFn, cls: type[Any], special: st.SearchStrategy[dict[str, Any]]) -> Any:
    values = draw(special)
    for plan in plan_of(cls):
        if plan.name not in values and (plan.required or draw(st.booleans())):
            raw = draw(of_words(plan.form.words))
            values[plan.name] = plan.form.read(raw) if plan.form.words.startswith("uint: ") else raw
    try:
        return cls(**values)
    except Malformed:
        return assume(False)


def _dates(longest: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(INSTANT, st.integers(1, longest)).map(lambda d: {"not_before": d[0], "until": d[0] + d[1]})


def _order() -> st.SearchStrategy[dict[str, Any]]:
    target = st.one_of(
        st.lists(AREA, min_size=1, max_size=3).map(lambda areas: {"areas": tuple(areas), "nodes": ()}),
        st.lists(CODE, min_size=1, max_size=3).map(lambda nodes: {"areas": (), "nodes": tuple(nodes)}),
    )
    times = st.tuples(INSTANT, st.integers(0, 10**9), st.integers(1, 10**9)).map(
        lambda t: {"issued_at": t[0], "start_at": t[0] + t[1], "expires_at": t[0] + t[1] + t[2]}
    )
    what = st.fixed_dictionaries(
        {
            "action": st.sampled_from(OrderAction),
            "renditions": st.lists(message(common.RenditionRef), min_size=1, max_size=2).map(tuple),
            "subject": st.binary(min_size=16, max_size=16),
            "volume": PERCENT,
            "precedence": st.just(Precedence.EMERGENCY),
            "siren": st.integers(0, 254),
        }
    )
    return st.tuples(target, times, what).map(lambda parts: parts[0] | parts[1] | parts[2])


def _alert() -> st.SearchStrategy[dict[str, Any]]:
    times = st.tuples(INSTANT, st.integers(0, 10**9), st.integers(1, 10**9)).map(
        lambda t: {"composed_at": t[0], "not_before": t[0] + t[1], "expires_at": t[0] + t[1] + t[2]}
    )
    refs = st.lists(message(common.RenditionRef), min_size=1, max_size=2).map(
        lambda refs: tuple(replace(ref, stream_at=None, pace=None) for ref in refs)
    )
    release = st.fixed_dictionaries(
        {"action": st.just(alerts.AlertAction.RELEASE), "renditions": refs, "siren": st.integers(0, 254)}
    )
    cancel = st.fixed_dictionaries(
        {
            "action": st.just(alerts.AlertAction.CANCEL),
            "renditions": st.just(()),
            "siren": st.just(0),
            "references": st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=2).map(tuple),
        }
    )
    areas = st.lists(AREA, min_size=1, max_size=3).map(lambda areas: {"areas": tuple(areas)})
    return st.tuples(times, st.one_of(release, cancel), areas).map(lambda parts: parts[0] | parts[1] | parts[2])


def _manifest() -> st.SearchStrategy[dict[str, Any]]:
    return st.integers(1, 40_000).map(
        lambda length: {"length_bytes": length, "block_bytes": 4096, "block_hashes": bytes(32 * -(-length // 4096))}
    )


def _root_set() -> st.SearchStrategy[dict[str, Any]]:
    return st.integers(1, 9).flatmap(
        lambda count: st.fixed_dictionaries(
            {
                "threshold": st.integers(1, count),
                "roots": st.just(
                    tuple(trust.Root(public_key=bytes([n]) * 32, sealed=n > 0 and n % 2 == 0) for n in range(count))
                ),
            }
        )
    )


_SPECIAL: dict[str, Any] = {
    Order.__name__: _order,
    "AlertBody": _alert,
    Manifest.__name__: _manifest,
    "RootSet": _root_set,
    "Appointment": lambda: _dates(trust.LONGEST_APPOINTMENT_MS),
    "Mandate": lambda: _dates(trust.LONGEST_MANDATE_MS),
    Hours.__name__: lambda: (
        st.tuples(st.integers(0, 1439), st.integers(1, 1440))
        .filter(lambda span: span[0] < span[1])
        .map(lambda span: {"from_minute": span[0], "to_minute": span[1]})
    ),
    "Entry": lambda: st.fixed_dictionaries(
        {"volume": PERCENT, "renditions": st.lists(message(common.RenditionRef), min_size=1, max_size=2).map(tuple)}
    ),
    "Settings": lambda: st.fixed_dictionaries(
        {
            "ordinary_cap": PERCENT,
            "priority_cap": PERCENT,
            "emergency_volume": PERCENT,
            "health_interval_s": st.integers(1, 65535),
        }
    ),
    "Health": lambda: st.fixed_dictionaries({"volume": PERCENT}),
    "Receipt": lambda: st.fixed_dictionaries({"number": st.integers(1, 2**53 - 1)}),
    "Want": lambda: st.fixed_dictionaries({"piece_bytes": st.integers(256, 4096)}),
    "TimeReply": lambda: st.tuples(INSTANT, st.integers(0, 10_000)).map(
        lambda t: {"received_at": t[0], "replied_at": t[0] + t[1]}
    ),
}
