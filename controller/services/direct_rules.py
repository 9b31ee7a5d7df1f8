"""For which alert of a verified source an alert that people approved beforehand sounds by itself.

Nothing here trusts the server with more than people signed: the words, the places and the window are in the body that
enough of them approved, and every node checks that (`devices.protocol.approval`). The rule only says when.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import Session, col, select

from controller.cap.judgement import Kind, Verdict, expiry_of
from controller.cap.model import Alert as CapMessage
from controller.cap.model import MsgType
from controller.cap.signature import SignatureState
from controller.services.cap_alerts import is_spoken_of
from controller.services.context import widest
from controller.tables import Alert, CapAlert, CapSource
from loa import precedence
from loa.errors import Refused
from loa.names import AreaPath
from loa.units import DurationMs, InstantMs

MOST_EVENTS, LONGEST_EVENT = 16, 80
SEVERITIES = ("Extreme", "Severe", "Moderate", "Minor", "Unknown")
LEAST_LEFT_MS = 60_000
"""What has less than this left starts nothing."""
CLOCKS_MS = 600_000
"""How far a source's clock may be behind ours: what it sent longer than this before the arming is what people knew."""


@dataclass(frozen=True)
class DirectRule:
    """source: a source of alerts, whose own pinned key must have signed. events: CAP's `event`, however it is written
    (case and spaces do not count). severities: CAP's.
    """

    source: str
    events: tuple[str, ...]
    severities: tuple[str, ...]

    def names(self, event: str, severity: str) -> bool:
        """Whether this is meant."""
        return severity in self.severities and plain(event) in {plain(one) for one in self.events}


@dataclass(frozen=True)
class HeardInfo:
    """One `info` of it, in force: what happens, in which of our places, until when."""

    event: str
    severity: str
    areas: tuple[AreaPath, ...]
    expires_at: InstantMs


@dataclass(frozen=True)
class Heard:
    """A verified alert of others, as far as rules ask. key: SubjectPublicKeyInfo by which its signature holds."""

    cap: str
    """Id of the row that it is kept in."""
    key: bytes
    sender: str
    identifier: str
    infos: tuple[HeardInfo, ...]


@dataclass(frozen=True)
class Within:
    """The part of an approved alert that goes out: these places of its own, and no longer than this."""

    areas: tuple[AreaPath, ...]
    expires_at: InstantMs


def plain(words: str) -> str:
    return " ".join(words.casefold().split())


def heard_from(
    verdict: Verdict, cap: str, *, where: Callable[[CapMessage], Iterable[AreaPath]], default_life_ms: DurationMs
) -> Heard | None:
    """where: our places that an alert is for.

    None where nothing may sound by it: unsigned, signed by somebody else, over SHA-1, an exercise, a cancel. What is
    past, or says that all is clear, is left out.
    """
    alert, report = verdict.alert, verdict.signature
    if alert is None or verdict.refused or verdict.kind is not Kind.LIVE:
        return None
    if report is None or report.state is not SignatureState.VERIFIED or report.weak or not report.key:
        return None
    if alert.msg_type not in (MsgType.ALERT, MsgType.UPDATE):
        return None
    infos = tuple(
        HeardInfo(
            one.event, one.severity, tuple(where(replace(alert, infos=(one,)))), expiry_of(one, alert, default_life_ms)
        )
        for one in alert.infos
        if one.urgency != "Past" and "AllClear" not in one.response_types
    )
    return Heard(cap, report.key, alert.sender, alert.identifier, infos)


def check_rule(
    session: Session, rule: DirectRule, *, kind: precedence.Kind, nodes: Sequence[str], updates: int
) -> None:
    """Raises Refused(not_found, field_required, bad_value, too_many, source_unsigned, drill_mismatch)."""
    source = session.get(CapSource, rule.source)
    if source is None:
        raise Refused("not_found", field="direct.source", value=rule.source[:64])
    if not source.pins:
        raise Refused("source_unsigned", field="direct.source", value=rule.source)
    _check_words(rule)
    if kind is not precedence.Kind.LIVE:
        raise Refused("drill_mismatch", field="direct", reason="a drill is released by people")
    for field, count in (("target_nodes", len(nodes)), ("updates", updates)):
        if count:  # whom it means, and what it ends, is known when it goes out
            raise Refused("too_many", field=field, limit=0)


def _check_words(rule: DirectRule) -> None:
    for field, values, most in (("direct.events", rule.events, MOST_EVENTS), ("direct.severities", rule.severities, 5)):
        if not values:
            raise Refused("field_required", field=field)
        if len(values) > most:
            raise Refused("too_many", field=field, limit=most)
    for event in rule.events:
        if not plain(event) or len(event) > LONGEST_EVENT or not event.isprintable():
            raise Refused("bad_value", field="direct.events", limit=f"1–{LONGEST_EVENT}", reason=event[:40])
    for severity in rule.severities:
        if severity not in SEVERITIES:
            raise Refused("bad_value", field="direct.severities", limit=", ".join(SEVERITIES), reason=severity[:40])


def kept(rule: DirectRule | None) -> dict[str, Any] | None:
    """As the table holds it."""
    if rule is None:
        return None
    return {"source": rule.source, "events": list(rule.events), "severities": list(rule.severities)}


def rule_of(row: Alert) -> DirectRule | None:
    """Of an alert that waits for a source; None for one that goes out when it is approved, or whose rule was spoilt."""
    match row.direct:
        case {"source": str(source), "events": [*events], "severities": [*severities]}:
            return DirectRule(source, tuple(map(str, events)), tuple(map(str, severities)))
    return None


def has_keys(session: Session, rule: DirectRule) -> bool:
    """Whether its source is still one of ours and can be verified."""
    source = session.get(CapSource, rule.source)
    return source is not None and bool(source.pins)


def meant_by(session: Session, heard: Heard, now: InstantMs) -> dict[str, Within]:
    """Armed alerts that this one starts, each with the part of it that goes out: of several for one source, in each
    place the one that was armed last.

    Not by what came before they were armed, which people knew; nor by what its source has taken back or replaced; nor
    where another that waited for just this has gone out and is not over: what the source says after that, people have.
    """
    cap = session.get(CapAlert, heard.cap)
    if cap is None or cap.state != "waiting" or is_spoken_of(session, cap):
        return {}
    query = select(Alert).where(Alert.status == "armed", Alert.expires_at >= now + LEAST_LEFT_MS)
    given = {
        row.direct["source"]: [AreaPath(path) for path in row.target_areas]
        for row in session.exec(select(Alert).where(Alert.released_by_cap == cap.id))
        if row.direct is not None
    }
    out = _out_already(session, now)
    found: dict[str, Within] = {}
    for row in session.exec(query.order_by(col(Alert.armed_at).desc(), col(Alert.id))):
        rule, armed_at = rule_of(row), row.armed_at or now
        if rule is None or cap.received_at < armed_at or (cap.sent or 0) < armed_at - CLOCKS_MS:
            continue
        infos = [one for one in heard.infos if rule.names(one.event, one.severity)]
        infos = [one for one in infos if one.expires_at >= now + LEAST_LEFT_MS]
        if not infos or not _speaks(session, rule, heard):
            continue
        theirs = widest(path for one in infos for path in one.areas if not _is_said(out, rule.source, one, path))
        before = given.setdefault(rule.source, [])
        areas = tuple(
            one for one in shared([AreaPath(path) for path in row.target_areas], theirs)
            if not any(other.covers(one) for other in before)
        )  # fmt: skip
        if areas:
            before += areas
            found[row.id] = Within(areas, InstantMs(min(row.expires_at, max(one.expires_at for one in infos))))
    return found


def _out_already(session: Session, now: InstantMs) -> list[tuple[DirectRule, tuple[AreaPath, ...]]]:
    """What went out by itself and is not over, or was updated by people meanwhile: its rule, and where."""
    query = select(Alert).where(
        col(Alert.released_by_cap).is_not(None),
        col(Alert.status).in_(("released", "updated")),
        Alert.expires_at > now,
    )
    rows = [(rule_of(row), tuple(map(AreaPath, row.target_areas))) for row in session.exec(query)]
    return [(rule, areas) for rule, areas in rows if rule is not None]


def _is_said(
    out: Iterable[tuple[DirectRule, tuple[AreaPath, ...]]], source: str, info: HeardInfo, path: AreaPath
) -> bool:
    return any(
        rule.source == source and rule.names(info.event, info.severity) and any(one.covers(path) for one in areas)
        for rule, areas in out
    )


def shared(ours: Iterable[AreaPath], theirs: Iterable[AreaPath]) -> tuple[AreaPath, ...]:
    """The places that lie in both, the widest of them."""
    theirs = tuple(theirs)
    inside = {one for one in ours if any(other.covers(one) for other in theirs)}
    inside |= {other for other in theirs if any(one.covers(other) for one in ours)}
    return widest(inside)


def _speaks(session: Session, rule: DirectRule, heard: Heard) -> bool:
    """By this very source's key, for a sender of its own."""
    source = session.get(CapSource, rule.source)
    return (
        source is not None and heard.sender in source.senders and heard.key.hex() in {pin["key"] for pin in source.pins}
    )
