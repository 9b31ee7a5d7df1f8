"""What CAP's elements may hold: dates, enumerations, numbers, references."""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final, TypeVar

from controller.cap.model import Pair, Reference
from loa.errors import Refused
from loa.units import InstantMs

MAX_NAME: Final = 500
"""Of an identifier or sender: beyond any that was seen, and short enough to store and show."""
MAX_REFERENCES: Final = 1000

URGENCIES: Final = frozenset({"Immediate", "Expected", "Future", "Past", "Unknown"})
SEVERITIES: Final = frozenset({"Extreme", "Severe", "Moderate", "Minor", "Unknown"})
CERTAINTIES: Final = frozenset({"Observed", "Very Likely", "Likely", "Possible", "Unlikely", "Unknown"})
"""With 1.0's "Very Likely", which 1.1 and 1.2 want to be taken as "Likely" (CAP 1.2, section 3.2.2)."""
CATEGORIES: Final = frozenset(
    {"Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other"}
)
RESPONSE_TYPES: Final = frozenset(
    {"Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None"}
)
ENUMERATIONS: Final = {
    "urgency": URGENCIES,
    "severity": SEVERITIES,
    "certainty": CERTAINTIES,
    "category": CATEGORIES,
    "responseType": RESPONSE_TYPES,
}

# CAP wants seconds, no fraction and "-00:00" for UTC; real alerts write fractions, Z, +00:00 and +0700, and mean them.
_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:(Z)|([+-])(\d\d):?(\d\d))?\Z", re.ASCII
)
_NUMBER = re.compile(r"[+-]?(?:\d{1,12}(?:\.\d{0,20})?|\.\d{1,20})\Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Choice = TypeVar("Choice", bound=StrEnum)


def instant(text: str, field: str) -> InstantMs:
    """A date of CAP. Raises Refused(bad_date, timezone_required)."""
    found = _DATE.match(text)
    if found is None:
        raise _bad_date(text, field)
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, zulu, sign, hours, minutes = found.groups()[6:]
    if zulu is None and sign is None:
        raise Refused("timezone_required", field=field, value=text)
    away = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    if away > timedelta(hours=14) or int(minutes or 0) > 59:
        raise _bad_date(text, field)
    try:
        there = datetime(year, month, day, hour, minute, second, tzinfo=timezone(-away if sign == "-" else away))
        since = there - _EPOCH
    except (ValueError, OverflowError) as error:
        raise _bad_date(text, field) from error
    return InstantMs(since // timedelta(milliseconds=1) + int((fraction or "0")[:3].ljust(3, "0")))


def optional_instant(text: str, field: str) -> InstantMs | None:
    """A date of CAP, or None for no text. Raises Refused(bad_date, timezone_required)."""
    return instant(text, field) if text else None


def choice(kind: type[Choice], text: str, field: str) -> Choice:
    """One of an enumeration, as it is written. Raises Refused(bad_value)."""
    try:
        return kind(text)
    except ValueError as error:
        raise _bad_value(text, field, kind) from error


def one_of(name: str, text: str, field: str) -> str:
    """One of CAP's urgencies, severities, … Raises Refused(bad_value)."""
    allowed = ENUMERATIONS[name]
    if text not in allowed:
        raise _bad_value(text, field, sorted(allowed))
    return "Likely" if text == "Very Likely" else text


def number(text: str, field: str) -> float:
    """A plain decimal number; neither NaN nor infinity is written so. Raises Refused(bad_value)."""
    if not _NUMBER.match(text) or not math.isfinite(value := float(text)):
        raise _bad_value(text, field, ["a decimal number"])
    return value


def short(text: str, field: str) -> str:
    """A name that can be stored and shown on one line. Raises Refused(bad_value)."""
    if len(text) > MAX_NAME or not text.isprintable():
        raise _bad_value(text, field, [f"1 to {MAX_NAME} printable characters"])
    return text


def old_pair(text: str) -> Pair:
    """CAP 1.0 writes NAME=VALUE in one text."""
    name, equals, value = text.partition("=")
    return Pair(name.strip(), value.strip()) if equals else Pair("", text)


def references(text: str, version: str) -> tuple[Reference, ...]:
    """Triples sender,identifier,sent with space between them; in CAP 1.0 also identifier/sender.

    Raises Refused(bad_references).
    """
    if version == "1.0" and "," not in text:
        return tuple(_old_reference(part) for part in text.split()[:MAX_REFERENCES])
    found: list[Reference] = []
    at = 0
    while at < len(text):
        part = _TRIPLE.match(text, at)
        if part is None or len(found) == MAX_REFERENCES:
            raise _bad_references(text[at:])
        sender, identifier, sent = (group.strip() for group in part.groups())
        try:
            found.append(
                Reference(short(sender, "references"), short(identifier, "references"), instant(sent, "references"))
            )
        except Refused as problem:
            raise _bad_references(part.group()) from problem
        at = part.end()
    return tuple(found)


# A date has no space in it, so that even a sender with space in its name stays whole.
_TRIPLE = re.compile(r"\s*([^,]{1,600}),([^,]{1,600}),\s*([^\s,]{1,80})(?:\s+|\Z)")


def _old_reference(text: str) -> Reference:
    identifier, slash, sender = text.partition("/")
    if not identifier or (slash and not sender) or len(text) > MAX_NAME or not text.isprintable():
        raise _bad_references(text)
    return Reference(sender, identifier, None)


def _bad_references(text: str) -> Refused:
    return Refused("bad_references", field="references", limit="sender,identifier,sent", value=text[:200])


def _bad_date(text: str, field: str) -> Refused:
    return Refused("bad_date", field=field, limit="2026-11-23T05:00:00+07:00", value=text[:80])


def _bad_value(text: str, field: str, allowed: Iterable[str]) -> Refused:
    return Refused("bad_value", field=field, limit=", ".join(allowed), reason=text[:80], value=text[:80])
