"""The record as a file that proves itself: written by the centre, checked anywhere, with nothing but the roots.

JSON lines, each in exactly one possible spelling: a header (form, province, trust document), the entries in order, the
signed heads in order, and an end that counts and hashes all lines before it. `verify` says what is wrong and where.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from controller.chain import FORM, Entry, Heard, OutcomeCount, entry_hash
from devices.protocol.record import HeadMark
from devices.protocol.refusal import WireRefusal
from loa.units import InstantMs

MAX_LINE = 2 * 1024 * 1024


@dataclass(frozen=True)
class Header:
    area: str
    trust: bytes
    """The trust document under which the heads are signed."""


@dataclass(frozen=True)
class End:
    entries: int
    heads: int
    digest: str
    """SHA-256 of all lines before, each with its line feed."""


@dataclass(frozen=True)
class EntryLine:
    entry: Entry
    hash: bytes


@dataclass(frozen=True)
class HeadLine:
    payload: bytes


Line = Header | EntryLine | HeadLine | End


class BadLine(Exception):
    """A line that is not of this form, or not in its one spelling."""


def written(header: Header, entries: Iterable[EntryLine], heads: Iterable[bytes]) -> Iterator[str]:
    """The lines of an export, each with its line feed."""
    digest = hashlib.sha256()
    counts = [0, 0]

    def put(line: Line) -> str:
        text = spelt(line) + "\n"
        digest.update(text.encode())
        return text

    yield put(header)
    for one in entries:
        counts[0] += 1
        yield put(one)
    for payload in heads:
        counts[1] += 1
        yield put(HeadLine(payload))
    yield spelt(End(counts[0], counts[1], digest.hexdigest())) + "\n"


def spelt(line: Line) -> str:
    """The one spelling of a line, without its line feed."""
    match line:
        case Header(area, trust):
            words: dict[str, Any] = {"form": FORM, "area": area, "trust": _text(trust)}
        case EntryLine(entry, hashed):
            words = {"entry": shown(entry), "hash": hashed.hex()}
        case HeadLine(payload):
            words = {"head": _text(payload)}
        case End(entries, heads, digest):
            words = {"end": {"entries": entries, "heads": heads, "sha256": digest}}
    return json.dumps(words, ensure_ascii=False, separators=(",", ":"))


def shown(entry: Entry) -> dict[str, Any]:
    """An entry as JSON: bytes in hex, what is at its default left out."""
    words: dict[str, Any] = {
        "number": entry.number, "at": entry.at, "account": entry.account, "verb": entry.verb,
        "object_kind": entry.object_kind, "object_id": entry.object_id, "detail": entry.detail,
        "origin": entry.origin, "key": entry.key.hex(), "forks": entry.forks,
    }  # fmt: skip
    if entry.heard is not None:
        words["heard"] = {
            "outcomes": {one.outcome: one.nodes for one in entry.heard.outcomes},
            "receipts": entry.heard.receipts,
            "sha256": entry.heard.digest.hex(),
        }
    if entry.known is not None:
        words["known"] = {"number": entry.known.number, "mark": entry.known.mark.hex(), "forks": entry.known.forks}
    words["previous"] = entry.previous.hex()
    return words


def read_line(text: str) -> Line:
    """A line as it was spelt. Raises BadLine."""
    try:
        line = _line_of(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, WireRefusal) as error:
        raise BadLine("not a line of a record") from error
    if spelt(line) != text:
        raise BadLine("not in the one spelling that such a line has")
    return line


def _line_of(words: Any) -> Line:
    match words:
        case {"form": str(form), "area": str(area), "trust": str(trust)} if form == FORM:
            return Header(area, base64.b64decode(trust, validate=True))
        case {"entry": dict(entry), "hash": str(hashed)}:
            return EntryLine(_entry_of(entry), bytes.fromhex(hashed))
        case {"head": str(payload)}:
            return HeadLine(base64.b64decode(payload, validate=True))
        case {"end": {"entries": entries, "heads": heads, "sha256": str(digest)}}:
            return End(_whole(entries), _whole(heads), digest)
    raise BadLine("not a line of a record")


def _entry_of(words: dict[str, Any]) -> Entry:
    heard, known = words.get("heard"), words.get("known")
    entry = Entry(
        number=_whole(words["number"]), at=InstantMs(_whole(words["at"])), account=_str(words["account"]),
        verb=_str(words["verb"]), object_kind=_str(words["object_kind"]), object_id=_str(words["object_id"]),
        detail=_str(words["detail"]), origin=_str(words["origin"]), key=bytes.fromhex(words["key"]),
        forks=_whole(words["forks"]), previous=bytes.fromhex(words["previous"]),
        heard=None if heard is None else _heard_of(heard),
        known=None if known is None else _known_of(known),
    )  # fmt: skip
    entry_hash(entry)  # what no CBOR can hold is no entry
    return entry


def _heard_of(words: dict[str, Any]) -> Heard:
    outcomes = tuple(OutcomeCount(outcome=_str(name), nodes=_whole(n)) for name, n in words["outcomes"].items())
    return Heard(outcomes=outcomes, receipts=_whole(words["receipts"]), digest=bytes.fromhex(words["sha256"]))


def _known_of(words: dict[str, Any]) -> HeadMark:
    return HeadMark(number=_whole(words["number"]), mark=bytes.fromhex(words["mark"]), forks=_whole(words["forks"]))


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise BadLine("not a whole number")
    return value


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise BadLine("not text")
    value.encode()
    return value


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class KnownHead:
    """A head from elsewhere: a node's health, a node in hand, a printed page."""

    number: int
    hash: bytes
    """Whole, or its first 8 bytes or more."""
    forks: int = 0
    source: str = ""

    def is_of(self, hashed: bytes) -> bool:
        return hashed.startswith(self.hash)


def read_known(text: str) -> KnownHead:
    """``NUMBER:HASH`` or ``NUMBER:HASH:FORKS``, the hash in hex, 16 digits at least. Raises ValueError."""
    parts = text.strip().split(":")
    if len(parts) not in (2, 3) or len(parts[1]) < 16 or not all(one.isdigit() for one in (parts[0], *parts[2:])):
        raise ValueError(text)
    return KnownHead(int(parts[0]), bytes.fromhex(parts[1]), int(parts[2]) if len(parts) == 3 else 0, text.strip())


def heads_of(known: Sequence[KnownHead]) -> tuple[KnownHead, ...]:
    """In the order in which the record reached them."""
    return tuple(sorted(known, key=lambda one: (one.forks, one.number)))
