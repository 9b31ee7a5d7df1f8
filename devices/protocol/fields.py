"""Messages as frozen dataclasses whose fields say their key and form on the wire.

A message is a CBOR map with small integer keys. 0, 1 and 2 are the message type, the protocol version and the list of
critical keys; a reader ignores keys it does not know unless they are listed there. A field at its default is left out.
"""

import dataclasses
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from devices.protocol.refusal import Malformed
from loa.errors import LoaError

KEY_TYPE, KEY_VERSION, KEY_CRITICAL = 0, 1, 2
PROTOCOL_VERSION = 1
_NO_DEFAULT = dataclasses.MISSING
T = TypeVar("T")


class Form(Protocol):
    """How one field is written and read."""

    @property
    def words(self) -> str:
        """The form in words, for the protocol page."""
        ...

    def write(self, value: Any) -> object: ...

    def read(self, raw: object) -> Any:
        """Raises Malformed."""
        ...


@dataclasses.dataclass(frozen=True)
class _Form:
    words: str
    write: Callable[[Any], object]
    read: Callable[[object], Any]


def _same(value: Any) -> object:
    return cast(object, value)


def uint(bits: int = 53) -> Form:
    """An unsigned integer below 2**bits; 53 by default, so that every language holds it exactly."""
    end = 1 << bits

    def read(raw: object) -> int:
        if type(raw) is not int or not 0 <= raw < end:
            raise Malformed(f"not an unsigned integer of {bits} bits")
        return raw

    return _Form(f"uint, {bits} bits", int, read)


def sint(bits: int = 53) -> Form:
    """A signed integer whose magnitude is below 2**bits."""
    end = 1 << bits

    def read(raw: object) -> int:
        if type(raw) is not int or not -end < raw < end:
            raise Malformed(f"not an integer of {bits} bits")
        return raw

    return _Form(f"int, {bits} bits", int, read)


def flag() -> Form:
    def read(raw: object) -> bool:
        if not isinstance(raw, bool):
            raise Malformed("not a boolean")
        return raw

    return _Form("bool", bool, read)


def blob(least: int, most: int | None = None) -> Form:
    """A byte string of `least` to `most` bytes; of exactly `least` where `most` is not given."""
    top = least if most is None else most

    def read(raw: object) -> bytes:
        if not isinstance(raw, bytes) or not least <= len(raw) <= top:
            raise Malformed(f"not a byte string of {least} to {top} bytes")
        return raw

    return _Form(f"bytes, {least}" if top == least else f"bytes, {least} to {top}", bytes, read)


def text(most: int, check: Callable[[str], Any] | None = None) -> Form:
    """Text of at most `most` characters; `check` may refuse it or turn it into a richer type."""

    def read(raw: object) -> Any:
        if not isinstance(raw, str) or len(raw) > most:
            raise Malformed(f"not text of at most {most} characters")
        if check is None:
            return raw
        try:
            return check(raw)
        except LoaError as error:
            raise Malformed(str(error)) from error

    return _Form(f"text, at most {most}", str, read)


def choice(of: type[IntEnum]) -> Form:
    def read(raw: object) -> IntEnum:
        if type(raw) is not int:
            raise Malformed(f"not a {of.__name__}")
        try:
            return of(raw)
        except ValueError as error:
            raise Malformed(f"{raw} is not a {of.__name__}") from error

    words = ", ".join(f"{member.value} {member.name.lower()}" for member in of)
    return _Form(f"uint: {words}", int, read)


def worded(form: Form, words: str) -> Form:
    """The same form under other words."""
    return _Form(words, form.write, form.read)


def many(form: Form, most: int) -> Form:
    """An array of at most `most`, read as a tuple."""

    def read(raw: object) -> tuple[Any, ...]:
        if not isinstance(raw, list | tuple) or len(raw) > most:
            raise Malformed(f"not an array of at most {most}")
        return tuple([read_one(item) for item in raw])

    read_one, write_one = form.read, form.write
    return _Form(f"array of at most {most} ({form.words})", lambda items: [write_one(i) for i in items], read)


def nested(cls: type[Any]) -> Form:
    """A map with the fields of another dataclass."""
    return _Form(f"map: {cls.__name__}", to_map, partial(from_map, cls))


def wire(key: int, form: Form, *, default: Any = _NO_DEFAULT) -> Any:
    """Declare a dataclass field that goes on the wire under `key`."""
    if default is _NO_DEFAULT:
        return dataclasses.field(metadata={"key": key, "form": form})
    return dataclasses.field(default=default, metadata={"key": key, "form": form})


@dataclasses.dataclass(frozen=True)
class FieldPlan:
    """One field as the wire sees it."""

    name: str
    key: int
    form: Form
    required: bool
    default: object


@dataclasses.dataclass(frozen=True)
class _Steps:
    """A plan as the loops of reading and writing take it: they run for every message."""

    fields: tuple[tuple[str, int, Callable[[object], Any], Callable[[Any], object], object], ...]
    """Name, key, how to read it, how to write it, and its default, or `_NO_DEFAULT`."""
    check: Callable[[Any], None] | None
    """What a class asks of its fields together."""


class _AllSteps(dict[Any, _Steps]):
    """Of every class that was met."""

    def __missing__(self, cls: Any) -> _Steps:
        fields = tuple(
            (plan.name, plan.key, plan.form.read, plan.form.write, _NO_DEFAULT if plan.required else plan.default)
            for plan in plan_of(cls)
        )
        found = self[cls] = _Steps(fields, getattr(cls, "__post_init__", None))
        return found


_STEPS = _AllSteps()


def plan_of(cls: Any) -> tuple[FieldPlan, ...]:
    """The wire fields of a message class, by key. Raises ValueError where two share a key."""
    found = _PLANS.get(cls)
    if found is None:
        found = _PLANS[cls] = _make_plan(cls)
    return found


_PLANS: dict[Any, tuple["FieldPlan", ...]] = {}


def _make_plan(cls: Any) -> tuple[FieldPlan, ...]:
    plans = [
        FieldPlan(f.name, f.metadata["key"], f.metadata["form"], f.default is _NO_DEFAULT, f.default)
        for f in dataclasses.fields(cls)
        if "key" in f.metadata
    ]
    keys = [plan.key for plan in plans]
    if len(set(keys)) != len(keys):
        raise ValueError(f"{cls.__name__} gives a key twice")
    return tuple(sorted(plans, key=lambda plan: plan.key))


def to_map(value: object) -> dict[int, object]:
    """The wire map of a dataclass, without the type header."""
    result: dict[int, object] = {}
    held = vars(value)
    for name, key, _, write, default in _STEPS[type(value)].fields:
        item = held[name]
        if default is _NO_DEFAULT or item != default:
            result[key] = write(item)
    return result


def from_map(cls: type[T], raw: object, *, header: bool = False) -> T:
    """Read a dataclass from its wire map. Only a whole message has the `header` keys 0 to 2. Raises Malformed."""
    if not isinstance(raw, dict):
        raise Malformed(f"{cls.__name__} is not a map")
    steps = _STEPS[cls]
    # As `cls(**found)` with every field given, but without the call for each that a frozen class makes.
    made = object.__new__(cls)
    found, name = vars(made), ""
    try:
        for name, key, read, _, default in steps.fields:
            if key in raw:
                found[name] = read(raw[key])
            elif default is _NO_DEFAULT:
                raise Malformed("missing")
            else:
                found[name] = default
    except Malformed as error:
        raise Malformed(f"{cls.__name__}.{name}: {error.detail}") from error
    if header and KEY_CRITICAL in raw:
        _check_critical(cls, raw[KEY_CRITICAL])
    if steps.check is not None:
        steps.check(made)
    return made


def _check_critical(cls: type[Any], critical: object) -> None:
    known = {KEY_TYPE, KEY_VERSION, KEY_CRITICAL, *(plan.key for plan in plan_of(cls))}
    if not isinstance(critical, list | tuple) or len(critical) > 32:
        raise Malformed(f"{cls.__name__}: the list of critical keys")
    unknown = [key for key in critical if type(key) is not int or key not in known]
    if unknown:
        raise Malformed(f"{cls.__name__}: critical keys {unknown[:4]} are not known here")
