"""The verdict on an alert, in one order: XML → DTD → namespace → required → values → references → geometry →
signature → kind → expiry → area, then whether it was seen before. The first thing that is wrong is what is said.
"""

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from lxml import etree

from controller.cap.areas import AreaMatch, KnownAreas, match
from controller.cap.elements import Node
from controller.cap.memory import Name, Seen, content_digest, seen
from controller.cap.model import Alert, Info, MsgType, Scope, Status
from controller.cap.parsing import parsed
from controller.cap.reading import read
from controller.cap.signature import PinnedKeys, SignatureReport, SignatureState, examine
from controller.cap.sketch import Sketch, sketched
from controller.cap.splitting import Found, alerts_in
from loa.errors import Refused
from loa.units import Digest, DurationMs, InstantMs

DEFAULT_LIFE_MS: Final = DurationMs(24 * 3600 * 1000)
"""How long an alert holds that does not say, where the province's table does not say either."""


class Kind(StrEnum):
    """What may become of it. Only a live one can ever be composed into a live alert."""

    LIVE = "live"
    EXERCISE = "exercise"
    TEST = "test"


@dataclass(frozen=True)
class Terms:
    """What an alert is held against. at: the instant to judge as of, None for each alert's own `sent`."""

    at: InstantMs | None
    known: KnownAreas | None = None
    pinned: PinnedKeys = field(default_factory=PinnedKeys)
    default_life_ms: DurationMs = DEFAULT_LIFE_MS


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one alert, refused or not.

    code: accepted, accepted_exercise, accepted_test, already_known, or the problem's. alert: what was read from the
    element that is acted upon, None where it could not be read. place: its number in its file, from 1.
    """

    place: int
    sketch: Sketch
    code: str
    problem: Refused | None = None
    alert: Alert | None = None
    signature: SignatureReport | None = None
    areas: AreaMatch | None = None
    expires: InstantMs | None = None
    by_default: bool = False
    element: etree._Element | None = field(default=None, compare=False, repr=False)
    """The alert as it came, signatures and all: to be kept. Acted upon is `signature.element` alone."""

    @property
    def xml(self) -> bytes:
        """The alert as a document of its own, b"" where there is none."""
        return b"" if self.element is None else etree.tostring(self.element, encoding="utf-8", with_tail=False)

    @property
    def refused(self) -> bool:
        return self.problem is not None

    @property
    def kind(self) -> Kind | None:
        """What it may become, None for what is refused."""
        if self.alert is None or self.problem is not None:
            return None
        return kind_of(self.alert)


def judge_file(data: bytes, terms: Terms, memory: Mapping[Name, Digest] | None = None) -> tuple[Verdict, ...]:
    """The verdicts on all alerts in a file, at least one; a file that cannot be read at all has one for itself.

    memory: digests by name of alerts accepted earlier; what this file has accepted counts for what follows in it.
    """
    return in_order(judge_alone(data, terms), memory or {})


def judge_alone(data: bytes, terms: Terms) -> tuple[Verdict, ...]:
    """As `judge_file`, each alert as if it were the first that was ever seen: what takes long of a judgement."""
    try:
        found = alerts_in(read(data))
    except Refused as problem:
        return (Verdict(1, Sketch(), problem.code, problem),)
    return tuple(judge(one, terms, place) for place, one in enumerate(found, start=1))


def in_order(verdicts: tuple[Verdict, ...], memory: Mapping[Name, Digest]) -> tuple[Verdict, ...]:
    """Verdicts of `judge_alone`, held against what was seen before: last in the order of the judgement."""
    known: MutableMapping[Name, Digest] = ChainMap({}, dict(memory))
    return tuple(_recalled(one, known) for one in verdicts)


def judge(found: Found, terms: Terms, place: int = 1) -> Verdict:
    """The verdict on one alert, whatever was seen before it."""
    if found.element is None:
        problem = found.problem or Refused("not_xml", field="alert", reason="empty")
        return Verdict(place, Sketch(), problem.code, problem)
    signature = _examined(found.element, terms.pinned)
    node = Node(signature.element)
    base = Verdict(place, sketched(node), "", signature=signature, element=found.element)
    expires, by_default = base.sketch.expires(terms.default_life_ms)
    base = replace(base, expires=expires, by_default=by_default)
    try:
        alert = parsed(node)
    except Refused as problem:
        return replace(base, code=problem.code, problem=problem)
    areas = match(alert, terms.known) if terms.known is not None else None
    base = replace(base, alert=alert, areas=areas)
    try:
        _check_signature(signature)
        kind = _check_kind(alert)
        _check_expiry(alert, terms)
        _check_area(alert, areas)
    except Refused as problem:
        return replace(base, code=problem.code, problem=problem)
    return replace(base, code="accepted" if kind is Kind.LIVE else f"accepted_{kind}")


def kind_of(alert: Alert) -> Kind:
    """What an alert may become: by its status alone."""
    return {Status.EXERCISE: Kind.EXERCISE, Status.TEST: Kind.TEST}.get(alert.status, Kind.LIVE)


def expiry_of(info: Info, alert: Alert, default_life_ms: DurationMs) -> InstantMs:
    """Until when an info holds: what it says, else a table's default from `sent`."""
    return info.expires if info.expires is not None else InstantMs(alert.sent + default_life_ms)


def _examined(element: etree._Element, pinned: PinnedKeys) -> SignatureReport:
    """Under the keys that may speak for this alert's sender; that others are pinned too is said and does not count."""
    report = examine(element, pinned.speaking_for(sketched(Node(element)).sender))
    if report.state is SignatureState.UNTRUSTED and report.key in pinned.names:
        return replace(report, reason="its key is pinned for other senders")
    return report


def _recalled(verdict: Verdict, known: MutableMapping[Name, Digest]) -> Verdict:
    """The same with what memory says; an accepted one is remembered."""
    if verdict.alert is None or verdict.refused:
        return verdict
    try:
        if _check_memory(verdict.alert, known):
            return replace(verdict, code="already_known")
    except Refused as problem:
        return replace(verdict, code=problem.code, problem=problem)
    known[verdict.alert.name] = content_digest(verdict.alert)
    return verdict


def _check_signature(report: SignatureReport) -> None:
    if report.state is SignatureState.BROKEN:
        raise Refused("signature_invalid", field="Signature", reason=report.reason)


def _check_kind(alert: Alert) -> Kind:
    """Drafts, messages between systems and receipts are no alerts; what is not public is not for a loudspeaker."""
    if alert.status in (Status.DRAFT, Status.SYSTEM):
        raise Refused("not_an_alert", field="status", limit="Actual, Exercise, Test", value=alert.status.value)
    if alert.msg_type in (MsgType.ACK, MsgType.ERROR):
        raise Refused("not_an_alert", field="msgType", limit="Alert, Update, Cancel", value=alert.msg_type.value)
    if alert.scope is not Scope.PUBLIC:
        raise Refused("not_public", field="scope", limit="Public", value=alert.scope.value)
    return kind_of(alert)


def _check_expiry(alert: Alert, terms: Terms) -> None:
    """Past when every info is past. A Cancel is never too late: what it takes back may sound longer than it says."""
    if alert.msg_type is MsgType.CANCEL:
        return
    at = alert.sent if terms.at is None else terms.at
    last = max(expiry_of(info, alert, terms.default_life_ms) for info in alert.infos)
    if last <= at:
        raise Refused("expired", field="info.expires", limit=at, value=last)


def _check_area(alert: Alert, areas: AreaMatch | None) -> None:
    """Somewhere of ours, or a name that may be. A Cancel goes where what it takes back went."""
    if areas is None or alert.msg_type is MsgType.CANCEL or areas.anywhere:
        return
    raise Refused("area_unknown", field="info.area", value="; ".join(areas.elsewhere or _names(areas))[:200])


def _names(areas: AreaMatch) -> tuple[str, ...]:
    return tuple(one.description for one in areas.named)


def _check_memory(alert: Alert, memory: Mapping[Name, Digest]) -> bool:
    found = seen(alert, memory)
    if found is Seen.OTHER:
        raise Refused("alert_conflict", field="identifier", value=alert.identifier[:200])
    return found is Seen.KNOWN
