"""Parts that the API's requests and replies share: instants with their zone, ids, words for numbers, pages."""

import base64
import binascii
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from loa.errors import Refused
from loa.precedence import Interruption, Precedence
from loa.units import InstantMs

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_000
T = TypeVar("T")


def _only_text(value: object) -> object:
    if not isinstance(value, str) or "T" not in value.upper():
        raise PydanticCustomError("instant_text", "an instant is RFC 3339 text with a zone")
    return value


def whole(value: object) -> object:
    """JSON knows one kind of number: 5.0 is a whole one; true and "5" are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("whole_number", "a whole number is wanted")
    if isinstance(value, float):
        if not value.is_integer():
            raise PydanticCustomError("whole_number", "a whole number is wanted")
        return int(value)
    return value


def volume_within(least: int) -> BeforeValidator:
    """A whole number from `least` to 100; what is refused says so."""

    def check(value: object) -> object:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if not least <= number <= 100 or number != int(number):
            raise PydanticCustomError("volume_range", "a volume is a whole number", {"limit": f"{least}–100"})
        return int(number)

    return BeforeValidator(check)


def _plain_text(value: object) -> object:
    """Text without control characters: they have no place in a name and upset terminals and databases."""
    if isinstance(value, str) and any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF or c == "\x7f" for c in value):
        raise PydanticCustomError("plain_text", "text without control characters is wanted")
    return value


def _countable(moment: datetime) -> datetime:
    if moment < _EPOCH:
        raise PydanticCustomError("too_early", "it is too early", {"least": "1970"})
    return moment


InstantIn = Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(_countable)]
"""RFC 3339 with a zone; refused as `timezone_required` without one."""
# The bounds come first: behind a validator they would be kept, but not described.
Volume = Annotated[int, Field(ge=0, le=100), volume_within(0)]
AccountText = Annotated[str, Field(max_length=64), BeforeValidator(_plain_text)]
"""An account's name as somebody claims it, whether or not there is one."""
Text = Annotated[str, Field(max_length=200), BeforeValidator(_plain_text)]
Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S"), BeforeValidator(_plain_text)]
Hex16 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
AREA_PATTERN = r"^[a-z0-9-]{1,32}(/[a-z0-9-]{1,32}){0,2}$"
NAME_PATTERN = r"^[a-z0-9-]{1,32}$"
AreaText = Annotated[str, Field(pattern=AREA_PATTERN, max_length=98)]
NameText = Annotated[str, Field(pattern=NAME_PATTERN, max_length=32)]
LookedAt = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] | None
"""The hash of what somebody looked at before they change it; empty: there was nothing. None: nobody asks."""

PrecedenceWord = Literal["ordinary", "priority", "emergency"]
InterruptionWord = Literal["drop", "restart", "resume"]


class Asked(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """A reply's body."""

    model_config = ConfigDict(from_attributes=False)


class Page(BaseModel, Generic[T]):
    """Some of a list, and where it goes on."""

    items: list[T]
    next_cursor: str | None = Field(default=None, description="Give it as `cursor` for the next page; null at the end")


def instant_ms(moment: datetime) -> InstantMs:
    """Milliseconds since 1970, of what came in as `InstantIn`."""
    return InstantMs((moment - _EPOCH) // timedelta(milliseconds=1))


def moment(ms: int) -> datetime:
    """An instant as a datetime in UTC."""
    return _EPOCH + timedelta(milliseconds=max(0, min(ms, _LAST_MS)))


def moment_or_none(ms: int | None) -> datetime | None:
    return None if ms is None else moment(ms)


def word_of(value: int, of: type[Precedence] | type[Interruption]) -> Any:
    """ordinary, priority, …"""
    return of(value).name.lower()


def precedence_of(word: str) -> Precedence:
    return Precedence[word.upper()]


def interruption_of(word: str) -> Interruption:
    return Interruption[word.upper()]


def to_cursor(*key: str | int) -> str:
    """A page's end as opaque text."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def from_cursor(cursor: str | None, *kinds: type[str] | type[int]) -> tuple[Any, ...] | None:
    """The key that `to_cursor` was given. Raises Refused(bad_cursor)."""
    if cursor is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise Refused("bad_cursor", field="cursor") from error
    if not isinstance(key, list) or len(key) != len(kinds):
        raise Refused("bad_cursor", field="cursor")
    for part, kind in zip(key, kinds, strict=True):
        if type(part) is not kind or (isinstance(part, int) and abs(part) >= 1 << 62):
            raise Refused("bad_cursor", field="cursor")
    return tuple(key)
