"""`loa cap`: judge alerts in CAP before anything is made of them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.cap.areas import AreaMatch, KnownAreas
from controller.cap.judgement import Terms, Verdict, judge_file
from controller.cap.memory import Name, Seen, content_digest, seen
from controller.cap.model import MsgType
from controller.cap.places import known_areas
from controller.cap.reading import MAX_BYTES
from controller.cap.signature import PinnedKeys, SignatureReport, SignatureState, pinned_key
from controller.cap.values import instant
from loa.clock import SystemClock
from loa.errors import LoaError, Refused
from loa.problems import explain
from loa.units import Digest, InstantMs

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Judge alerts in CAP, the Common Alerting Protocol: files and feeds.",
)
KEY_SUFFIXES = (".pem", ".crt", ".cer", ".der", ".pub", ".key")
NAMING = ("required_missing", "bad_value", "bad_date", "timezone_required", "duplicate_element", "not_an_alert")
"""Codes that say little without the element's name."""
SIGNATURES = {
    SignatureState.UNSIGNED: "unsigned",
    SignatureState.VERIFIED: "verified",
    SignatureState.UNTRUSTED: "intact but untrusted",
    SignatureState.UNPROVEN: "signed, not provable",
    SignatureState.BROKEN: "broken",
}


@app.callback()
def _group() -> None:
    """Keeps `check` a verb of its own."""


Readable = Annotated[
    list[Path], typer.Argument(metavar="FILE…", exists=True, dir_okay=False, readable=True, help="Alerts or feeds.")
]


@app.command()
def check(
    files: Readable,
    at: Annotated[
        str, typer.Option("--at", metavar="INSTANT|sent", help="Judge as of then; `sent`: as of each alert's own day.")
    ] = "now",
    areas: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Our places, CSV or GeoJSON, named after their province: quang-ninh.csv.",
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", exists=True, file_okay=False, help="Certificates and public keys that we trust: NAME.pem."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON: an array with an object an alert.")] = False,
) -> None:
    """Judge alerts, one line an alert, also for those that are refused.

    \b
    FILE: identifier | version | status/msgType | infos (languages) | expires | areas | signature | verdict: code

    \b
    loa cap check warning.xml --areas quang-ninh.csv
    loa cap check feed.atom --keys trusted-senders
    loa cap check archive/*.xml --at sent --json
    loa cap check warning.xml --at 2026-09-07T12:00:00+07:00

    The order of judgement: XML, DTD, namespace, required, values, references, geometry, signature, kind, expiry, area;
    the first that is wrong is what is said. An alert found again is `already_known`; so that a folder of versions can
    be looked at, other content under the same name is a conflict only within one FILE.

    Exit code 0: all accepted. 1: some refused. 2: wrong usage.
    """
    terms = Terms(at=_instant(at), known=_places(areas), pinned=_pinned(keys))
    earlier: dict[Name, Digest] = {}
    verdicts: list[tuple[str, Verdict, bool]] = []
    for file in files:
        judged = judge_file(_content(file), terms)
        verdicts += [(_label(file, one, len(judged)), one, _seen_earlier(one, earlier)) for one in judged]
        for one in judged:
            if one.alert is not None and not one.refused:
                earlier.setdefault(one.alert.name, content_digest(one.alert))
    if as_json:
        rows = ",\n".join(json.dumps(_as_json(*row), ensure_ascii=False) for row in verdicts)
        typer.echo(f"[\n{rows}\n]")
    else:
        for row in verdicts:
            typer.echo(_line(*row))
    if any(verdict.refused for _, verdict, _ in verdicts):
        raise typer.Exit(1)


def _seen_earlier(verdict: Verdict, earlier: dict[Name, Digest]) -> bool:
    """Whether an earlier FILE held this very alert."""
    return verdict.alert is not None and not verdict.refused and seen(verdict.alert, earlier) is Seen.KNOWN


def _content(file: Path) -> bytes:
    """No more of a file than shows that it is too large."""
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def _instant(text: str) -> InstantMs | None:
    if text == "sent":
        return None
    if text == "now":
        return SystemClock().now_ms()
    try:
        return instant(text, "--at")
    except Refused as problem:
        raise _usage(problem, "--at") from problem


def _places(file: Path | None) -> KnownAreas | None:
    if file is None:
        return None
    try:
        return known_areas(file.read_bytes(), file.name.split(".")[0].lower(), "")
    except Refused as problem:
        raise _usage(problem, "--areas") from problem


def _pinned(folder: Path | None) -> PinnedKeys:
    if folder is None:
        return PinnedKeys()
    names: dict[bytes, str] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in KEY_SUFFIXES or not file.is_file():
            continue
        try:
            names.setdefault(pinned_key(file.read_bytes()), file.stem)
        except Refused as problem:
            raise typer.BadParameter(f"{file}: {explain(problem, 'en').title}", param_hint="--keys") from problem
    if not names:
        raise typer.BadParameter(f"no key in {folder} ({', '.join(KEY_SUFFIXES)})", param_hint="--keys")
    return PinnedKeys(names)


def _usage(problem: LoaError, option: str) -> typer.BadParameter:
    words = explain(problem, "en")
    return typer.BadParameter(f"{words.title}. {words.remedy}", param_hint=option)


def _label(file: Path, verdict: Verdict, count: int) -> str:
    return file.name if count == 1 else f"{file.name}#{verdict.place}"


def _line(label: str, verdict: Verdict, known: bool) -> str:
    sketch = verdict.sketch
    version = f"CAP {sketch.version}" if sketch.version else "CAP ?"
    return f"{label}: " + " | ".join(
        (
            sketch.identifier or "-",
            version,
            f"{sketch.status or '-'}/{sketch.msg_type or '-'}",
            _infos(sketch.languages),
            f"expires {utc(verdict.expires)}{' (by default)' if verdict.by_default else ''}",
            _areas(verdict),
            _signature(verdict.signature),
            _verdict(verdict, known),
        )
    )


def _infos(languages: tuple[str, ...]) -> str:
    if not languages:
        return "0 infos"
    return f"{len(languages)} info{'s' if len(languages) > 1 else ''} ({', '.join(dict.fromkeys(languages))})"


def _areas(verdict: Verdict) -> str:
    areas = verdict.areas
    if areas is None:
        return "areas not judged"
    if verdict.alert is not None and verdict.alert.msg_type is MsgType.CANCEL and not _mentioned(areas):
        return "areas of what it cancels"
    found = [", ".join(areas.matched)] if areas.matched else []
    found += [f'named only "{_shown(one.description)}"{_proposed(one.proposed)}' for one in areas.named if one.proposed]
    if areas.unplaced:
        found.append(f"{areas.unplaced} of our places have no coordinates")
    if not areas.anywhere:
        found.insert(0, "none")
    return "areas " + "; ".join(found)


def _mentioned(areas: AreaMatch) -> bool:
    return bool(areas.matched or areas.named or areas.elsewhere)


def _proposed(paths: tuple[str, ...]) -> str:
    return f", proposed: {', '.join(paths)}" if paths else ""


def _signature(report: SignatureReport | None) -> str:
    if report is None:
        return "signature not looked at"
    words = SIGNATURES[report.state]
    if report.state is SignatureState.VERIFIED:
        words += f" ({report.signer}{', SHA-1' if report.weak else ''})"
    return words


def _verdict(verdict: Verdict, known: bool) -> str:
    if verdict.problem is not None:
        named = f" {verdict.problem.field}" if verdict.code in NAMING else ""
        return f"refused: {verdict.code}{named}"
    code = "already_known" if known else verdict.code
    return "accepted" if code == "accepted" else f"accepted: {code}"


def _shown(text: str) -> str:
    return " ".join(text.split())[:80]


def utc(instant_ms: InstantMs | None) -> str:
    """An instant as text to the second, "-" for none."""
    if instant_ms is None:
        return "-"
    try:
        there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant_ms)
    except OverflowError:
        return f"{instant_ms} ms"
    return there.isoformat(timespec="seconds").replace("+00:00", "Z")


def _as_json(label: str, verdict: Verdict, known: bool) -> dict[str, Any]:
    return dict(_json_items(label, verdict, known))


def _json_items(label: str, verdict: Verdict, known: bool) -> Iterator[tuple[str, Any]]:
    sketch, problem = verdict.sketch, verdict.problem
    yield "file", label.partition("#")[0]
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
    yield "areas", _areas_json(verdict.areas)
    yield "signature", _signature_json(verdict.signature)
    yield "verdict", "refused" if problem else "accepted"
    yield "code", "already_known" if known and not problem else verdict.code
    yield "kind", str(verdict.kind) if verdict.kind else None
    yield "field", problem.field if problem else None
    words = problem or Refused(verdict.code)
    yield "words", {language: explain(words, language).title for language in ("vi", "en")}


def _areas_json(areas: AreaMatch | None) -> dict[str, Any] | None:
    if areas is None:
        return None
    return {
        "matched": list(areas.matched),
        "named": [{"description": one.description, "proposed": list(one.proposed)} for one in areas.named],
        "elsewhere": list(areas.elsewhere),
        "places_without_coordinates": areas.unplaced,
    }


def _signature_json(report: SignatureReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "state": str(report.state),
        "signer": report.signer or None,
        "method": report.method or None,
        "reason": report.reason or None,
    }
