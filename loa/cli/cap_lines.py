"""What `loa cap check` prints of a verdict: a line, or an object of JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from controller.cap.areas import AreaMatch
from controller.cap.judgement import Verdict
from controller.cap.model import MsgType
from controller.cap.signature import SignatureReport, SignatureState
from loa.errors import Refused
from loa.problems import explain
from loa.units import InstantMs

NAMING: Final = ("required_missing", "bad_value", "bad_date", "timezone_required", "duplicate_element", "not_an_alert")
"""Codes that say little without the element's name."""
SIGNATURES: Final = {
    SignatureState.UNSIGNED: "unsigned",
    SignatureState.VERIFIED: "verified",
    SignatureState.UNTRUSTED: "intact but untrusted",
    SignatureState.UNPROVEN: "signed, not provable",
    SignatureState.BROKEN: "broken",
}


@dataclass(frozen=True)
class Row:
    """A verdict, the file it is of, how many that file has, and whether an earlier file held the very same alert."""

    file: str
    of: int
    verdict: Verdict
    known: bool

    @property
    def code(self) -> str:
        return "already_known" if self.known and not self.verdict.refused else self.verdict.code


def line(row: Row) -> str:
    """One line, whatever is in the alert."""
    verdict, sketch = row.verdict, row.verdict.sketch
    place = f"#{verdict.place}" if row.of > 1 else ""
    return f"{_shown(row.file, 400)}{place}: " + " | ".join(
        (
            _shown(sketch.identifier, 500) or "-",
            f"CAP {sketch.version or '?'}",
            f"{_shown(sketch.status) or '-'}/{_shown(sketch.msg_type) or '-'}",
            _infos(sketch.languages),
            f"expires {utc(verdict.expires)}{' (by default)' if verdict.by_default else ''}",
            _areas(verdict),
            _signature(verdict.signature),
            _verdict(row),
        )
    )


def json_object(row: Row) -> dict[str, Any]:
    """The same for a program."""
    return dict(_items(row))


def utc(instant_ms: InstantMs | None) -> str:
    """An instant as text to the second, "-" for none."""
    if instant_ms is None:
        return "-"
    try:
        there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant_ms)
    except OverflowError:
        return f"{instant_ms} ms"
    return there.isoformat(timespec="seconds").replace("+00:00", "Z")


def _infos(languages: tuple[str, ...]) -> str:
    if not languages:
        return "0 infos"
    said = ", ".join(_shown(one) for one in dict.fromkeys(languages))
    return f"{len(languages)} info{'s' if len(languages) > 1 else ''} ({said})"


def _areas(verdict: Verdict) -> str:
    areas = verdict.areas
    if areas is None:
        return "areas not judged"
    cancels = verdict.alert is not None and verdict.alert.msg_type is MsgType.CANCEL
    if cancels and not (areas.matched or areas.named or areas.elsewhere):
        return "areas of what it cancels"
    found = [", ".join(areas.matched)] if areas.matched else []
    found += [f'named only "{_shown(one.description)}"{_proposed(one.proposed)}' for one in areas.named]
    if areas.unplaced:
        found.append(f"{areas.unplaced} of our places have no coordinates")
    found += [f"code of an unknown scheme: {_shown(one)}" for one in areas.unknown]
    if not areas.anywhere:
        found.insert(0, "none")
    return "areas " + "; ".join(found)


def _proposed(paths: tuple[str, ...]) -> str:
    return f", proposed: {', '.join(paths)}" if paths else ""


def _signature(report: SignatureReport | None) -> str:
    if report is None:
        return "signature not looked at"
    words = SIGNATURES[report.state]
    if report.state is SignatureState.VERIFIED:
        words += f" ({_shown(report.signer)}{', SHA-1' if report.weak else ''})"
    return words


def _verdict(row: Row) -> str:
    problem = row.verdict.problem
    if problem is not None:
        return f"refused: {row.code}{f' {problem.field}' if row.code in NAMING else ''}"
    return "accepted" if row.code == "accepted" else f"accepted: {row.code}"


def _shown(text: str, length: int = 120) -> str:
    """On one line, and with nothing in it that looks like our own bars or moves the terminal."""
    flat = " ".join(text[:length].split()).replace("|", "\N{BROKEN BAR}")
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in flat)


def _items(row: Row) -> Iterator[tuple[str, Any]]:
    verdict, sketch, problem = row.verdict, row.verdict.sketch, row.verdict.problem
    yield "file", row.file
    yield "place", verdict.place
    yield "identifier", sketch.identifier or None
    yield "sender", sketch.sender or None
    yield "sent", sketch.sent or None
    yield "version", sketch.version or None
    yield "status", sketch.status or None
    yield "msg_type", sketch.msg_type or None
    yield "infos", len(sketch.languages)
    yield "languages", list(dict.fromkeys(sketch.languages))
    yield "expires", None if verdict.expires is None else utc(verdict.expires)
    yield "expires_by_default", verdict.by_default
    yield "areas", _areas_object(verdict.areas)
    yield "signature", _signature_object(verdict.signature)
    yield "verdict", "refused" if problem else "accepted"
    yield "code", row.code
    yield "kind", str(verdict.kind) if verdict.kind else None
    yield "field", problem.field if problem else None
    explained = [(language, explain(problem or Refused(row.code), language)) for language in ("vi", "en")]
    yield "words", {language: one.title for language, one in explained}
    yield "remedy", {language: one.remedy for language, one in explained}


def _areas_object(areas: AreaMatch | None) -> dict[str, Any] | None:
    if areas is None:
        return None
    return {
        "matched": list(areas.matched),
        "named": [{"description": one.description, "proposed": list(one.proposed)} for one in areas.named],
        "elsewhere": list(areas.elsewhere),
        "places_without_coordinates": areas.unplaced,
        "unknown_codes": list(areas.unknown),
    }


def _signature_object(report: SignatureReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "state": str(report.state),
        "signer": report.signer or None,
        "method": report.method or None,
        "reason": report.reason or None,
    }
