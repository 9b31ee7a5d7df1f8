"""Any payload as text for people: every field by name, and what its signatures are worth."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from typing import Any

from devices.protocol import cose
from devices.protocol.alerts import AlertBody
from devices.protocol.approval import MAX_APPROVAL_BYTES, read_body
from devices.protocol.envelope import Message, Sealed, decode, encode, open_any
from devices.protocol.fields import Form, plan_of
from devices.protocol.media import Manifest, digest_of
from devices.protocol.orders import Order
from devices.protocol.refusal import Malformed, WireRefusal
from devices.protocol.trust import Power
from loa.units import KeyId

KnownKeys = Mapping[KeyId, tuple[str, bytes]]
"""Key id to whose it is and the public key."""
_VIETNAM = timezone(timedelta(hours=7))
_LONGEST_HEX = 48
_UNITS = {"_bytes": "bytes", "_s": "s", "_ppm": "ppm", "_min": "min", "_minute": "min after midnight"}


@dataclass(frozen=True)
class Readable:
    """A payload in words. `sound` is False where a signature does not hold."""

    lines: tuple[str, ...]
    sound: bool

    def __str__(self) -> str:
        return "\n".join(self.lines)


def readable(payload: bytes, keys: KnownKeys) -> Readable:
    """Raises Malformed where the bytes are no message of this wire."""
    opened = _opened(payload)
    if not isinstance(opened, Sealed):
        head = [f"{type(opened).__name__}, {len(payload)} bytes, protocol version 1", *_unsigned(opened)]
        return Readable((*head, *_fields(opened, "  ", keys)), sound=True)
    lines = [f"{type(opened.message).__name__}, {len(payload)} bytes, protocol version 1"]
    sound = True
    for signature in opened.signatures:
        words, holds = _verdict(signature, keys)
        lines.append(f"signature: {words}")
        sound &= holds
    lines += _fields(opened.message, "  ", keys)
    if isinstance(opened.message, Order) and opened.message.alert_body is not None:
        more, holds = _approved(opened.message.alert_body, opened.message.approvals, keys)
        lines += more
        sound &= holds
    return Readable(tuple(lines), sound)


def _opened(payload: bytes) -> Sealed | Message:
    """What comes over the wire, or an alert body, which comes inside an order only."""
    try:
        return open_any(payload)
    except Malformed:
        message = decode(payload)
        if not isinstance(message, AlertBody):
            raise
        return message


def _approved(data: bytes, approvals: Iterable[bytes], keys: KnownKeys) -> tuple[list[str], bool]:
    """The alert body inside an order, and what each approval of it is worth."""
    try:
        body = read_body(data)
    except Malformed as refusal:
        return [f"  alert_body: {data[:_LONGEST_HEX].hex()}  ({refusal})"], False
    lines, sound = [f"  alert_body: {type(body).__name__}, {len(data)} bytes", *_fields(body, "    ", keys)], True
    for approval in approvals:
        try:
            words, holds = _verdict(cose.read_detached(approval, data, max_bytes=MAX_APPROVAL_BYTES), keys)
        except Malformed as refusal:
            words, holds = str(refusal), False
        lines.append(f"  approval: {words}")
        sound &= holds
    return lines, sound


def message_lines(message: Message) -> tuple[str, ...]:
    """Every field of a message by name."""
    return (type(message).__name__, *_fields(message, "  ", {}))


def _unsigned(message: Message) -> list[str]:
    name = type(message).__name__
    if isinstance(message, AlertBody):
        return ["signature: none of its own, approvals come beside it"]
    lines = [f"signature: none, as a {name} may come" + (" as a Last Will" if name == "Presence" else "")]
    if isinstance(message, Manifest):
        lines.append(f"names the rendition {digest_of(encode(message)).hex()}")
    return lines


def _verdict(signature: cose.Signature, keys: KnownKeys) -> tuple[str, bool]:
    known = keys.get(signature.key_id)
    if known is None:
        return f"unknown key {signature.key_id.hex()}, not checked", True
    whose, public_key = known
    holds = signature.holds_under(public_key)
    return f"{'holds' if holds else 'DOES NOT HOLD'} under {whose} ({signature.key_id.hex()})", holds


def _fields(value: object, indent: str, keys: KnownKeys) -> Iterator[str]:
    for plan in plan_of(type(value)):
        item: Any = getattr(value, plan.name)
        if isinstance(value, Order) and plan.name in ("alert_body", "approvals") and value.alert_body is not None:
            continue  # taken apart below
        left_out = not plan.required and item == plan.default
        if left_out and item in (None, (), b"", False, 0, ""):
            continue
        yield from _field(plan.name, plan.form, item, indent, keys, " (default)" if left_out else "")


def _field(name: str, form: Form, item: Any, indent: str, keys: KnownKeys, note: str = "") -> Iterator[str]:  # noqa: PLR0917
    if isinstance(item, tuple):
        yield f"{indent}{name}: {len(item)}"
        element = form.words.partition("(")[2]
        for one in item:
            if hasattr(type(one), "__dataclass_fields__"):
                yield f"{indent}  {type(one).__name__}"
                yield from _fields(one, indent + "    ", keys)
            else:
                yield from _inner(one, element, indent + "  ", keys)
    elif hasattr(type(item), "__dataclass_fields__"):
        yield f"{indent}{name}: {type(item).__name__}"
        yield from _fields(item, indent + "  ", keys)
    else:
        yield f"{indent}{name}: {_plain(name, form.words, item)}{note}"


def _inner(item: Any, words: str, indent: str, keys: KnownKeys) -> Iterator[str]:
    """An element of an array: what is itself a signed message is taken apart too."""
    if isinstance(item, bytes) and item[:1] in (b"\xd2", b"\xd8"):
        try:
            for line in readable(item, keys).lines:
                yield indent + line
        except WireRefusal as refusal:
            yield f"{indent}{_plain('', words, item)}  ({refusal})"
    else:
        yield indent + _plain("", words, item)


def _plain(name: str, words: str, item: Any) -> str:
    if item is None:
        return "none"
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, IntEnum):
        return f"{item.name.lower()} ({int(item)})"
    if isinstance(item, bytes):
        hexed = item[:_LONGEST_HEX].hex()
        return hexed if len(item) <= _LONGEST_HEX else f"{hexed}… ({len(item)} bytes)"
    if isinstance(item, str):
        return item if item.isprintable() else ascii(item)
    return _number(name, words, item)


def _number(name: str, words: str, item: int) -> str:
    if words.startswith("instant"):
        return f"{item}  {instant_words(item)}"
    if words.startswith("duration") or name.endswith("_ms"):
        return f"{item} ms"
    if name == "powers":
        return f"{item}  {', '.join((power.name or '').lower() for power in Power if power & item)}"
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{item} {unit}"
    return str(item)


def instant_words(instant: int) -> str:
    """UTC and Vietnam's time, to the millisecond."""
    try:
        utc = datetime.fromtimestamp(instant // 1000, tz=UTC)
        local = utc.astimezone(_VIETNAM)
    except (ValueError, OverflowError, OSError):
        return "beyond the calendar"
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{instant % 1000:03d}Z, in Vietnam {local:%Y-%m-%d %H:%M:%S}"
