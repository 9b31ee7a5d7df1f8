"""Who heard an alert: a rung for each node, an end for each node, and what to do next. Values in, values out.

waiting → sent → received → started → finished → sounded. From `received` on a rung rests on what the node signed, never
on what was handed to the broker; `sounded` on evidence at the node (line current or a microphone). An end says that
nothing more is awaited: confirmed, cancelled, expired, or unreachable with the reason.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptCause
from loa.units import InstantMs, NodeId

SETTLE_MS = 120_000
"""Receipts of what ended with the alert's window come within this."""
PATIENCE_MS = 120_000
"""A village where nobody was reached for so long is not left to wait: somebody calls."""
FRESH_MS = 60_000
"""What was heard from within this is there now."""
START_LATE_MS = 15_000
FEW = 3
"""Sent again so often without a word, it is not a matter of waiting any more."""


class Rung(IntEnum):
    """How far a node has come, as far as is known."""

    WAITING = 0
    """Nothing was handed to the broker yet."""
    SENT = 1
    """Handed to the broker. It proves nothing about the node."""
    RECEIVED = 2
    """The node signed that it accepted the order."""
    STARTED = 3
    FINISHED = 4
    SOUNDED = 5
    """With evidence that sound came out."""


class End(StrEnum):
    """Why nothing more is awaited of a node."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNREACHABLE = "unreachable"


class Reason(StrEnum):
    """Why a node counts as unreachable."""

    SILENT = "silent"
    LINK_CUT = "link_cut"
    """Its broker said goodbye for it, and it has been silent since."""
    NEVER_HEARD = "never_heard"
    CONTESTED = "contested"
    """Two speak under its name."""
    REFUSED = "refused"
    NOT_PLAYED = "not_played"
    """It says that it could not: no audio, the speaker failed, something else had the air."""
    POWER_FAILED = "power_failed"
    """It began, then its power failed: nobody knows how much was heard."""
    NO_WORD = "no_word"
    """It began and is there, and never said how it ended."""
    RETIRED = "retired"


class Step(StrEnum):
    """What to do next, the most hopeful first."""

    NONE = "none"
    CENTRE_LINK = "centre_link"
    WAIT_START = "wait_start"
    WAIT_LINK_BACK = "wait_link_back"
    SEND_AGAIN = "send_again"
    SEND_AGAIN_BY_STATION = "send_again_by_station"
    STATION_KEY = "station_key"
    LOOK_AT_REFUSAL = "look_at_refusal"
    LOOK_AT_BOX = "look_at_box"
    TWO_UNDER_ONE_NAME = "two_under_one_name"
    CALL_HEAD = "call_head"
    NO_LOUDSPEAKER = "no_loudspeaker"


_HOPE = {step: rank for rank, step in enumerate(Step)}
_WAITING_STEPS = (Step.WAIT_START, Step.WAIT_LINK_BACK, Step.SEND_AGAIN, Step.SEND_AGAIN_BY_STATION)
_LATE = (ReceiptCause.TOO_LATE, ReceiptCause.EXPIRED)


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What is known of one node that an alert is for. Instants of receipts are the node's own."""

    node: NodeId
    area: str
    station: str | None = None
    """Of a wired node."""
    retired: bool = False
    outcome: str = "waiting"
    """As coverage has it."""
    cause: ReceiptCause = ReceiptCause.NONE
    sent_at: InstantMs | None = None
    """When it was first handed to the broker by any route."""
    attempts: int = 0
    """How often it was sent again on the node's own topic."""
    received_at: InstantMs | None = None
    refused_at: InstantMs | None = None
    refusal: RefusalReason | None = None
    refused_for_good: bool = False
    started_at: InstantMs | None = None
    finished_at: InstantMs | None = None
    sounded_at: InstantMs | None = None
    cancel_received: bool = False
    """It signed that it accepted the cancel."""
    health_at: InstantMs | None = None
    heard_at: InstantMs | None = None
    """Of the last signed message of any kind."""
    hinted_offline: bool = False
    silent: bool = True
    contested: bool = False
    muted: bool = False
    """It says that its speaker cannot sound."""


@dataclass(frozen=True, kw_only=True)
class AlertFacts:
    """What is known of the alert."""

    now: InstantMs
    start_at: InstantMs
    expires_at: InstantMs
    recalled: bool = False
    """Cancelled, or updated by another everywhere."""
    link_up: bool = True
    """Whether the centre itself reaches its broker."""

    @property
    def over(self) -> bool:
        """Nothing can begin any more, and what ended has had time to be told."""
        return self.now >= self.expires_at + SETTLE_MS


@dataclass(frozen=True)
class Line:
    """One node on the board."""

    facts: NodeFacts
    rung: Rung
    end: End | None = None
    final: bool = False
    """No later word of the node is awaited. An unreachable node may come back while the alert lasts: it is not."""
    reason: Reason | None = None
    since: InstantMs | None = None
    """Since when it is unreachable."""
    step: Step = Step.NONE

    @property
    def reached(self) -> bool:
        """It signed that it began to sound."""
        return self.rung >= Rung.STARTED


@dataclass(frozen=True)
class Place:
    """A village of the target, or a commune where nodes are placed in it as a whole."""

    path: str
    name: str
    population: int | None
    languages: tuple[str, ...]
    lines: tuple[Line, ...]
    step: Step = Step.NONE

    @property
    def is_village(self) -> bool:
        """Not a commune, or the province, in whose villages these nodes are not placed."""
        return self.path.count("/") == 2

    @property
    def reached(self) -> int:
        return sum(line.reached for line in self.lines)

    @property
    def state(self) -> str:
        """unreached, partly, reached."""
        if not self.reached:
            return "unreached"
        return "reached" if self.reached == len(self.lines) else "partly"

    @property
    def order(self) -> tuple[int, int, int, str]:
        """Nobody reached first; then by people where they are known, then by nodes."""
        rank = ("unreached", "partly", "reached").index(self.state)
        return rank, -(self.population or 0), -len(self.lines), self.path


@dataclass(frozen=True)
class Totals:
    """Counts over the board."""

    nodes: int = 0
    rungs: dict[str, int] = field(default_factory=dict)
    """Nodes by the rung that they have come to at least: who finished has started, and was sent it."""
    ends: dict[str, int] = field(default_factory=dict)
    open: int = 0
    """Nodes of which something is awaited yet."""
    not_final: int = 0
    """Nodes that are open, or unreachable while the alert lasts."""
    villages: int = 0
    villages_unreached: int = 0
    people: int | None = None
    """None where no population is known."""
    people_reached: int | None = None
    first_sound_at: InstantMs | None = None

    @property
    def reached(self) -> int:
        return self.rungs.get("started", 0)

    @property
    def percent(self) -> float:
        """Of the nodes, those that were reached."""
        return 100 * self.reached / self.nodes if self.nodes else 0.0


def line_of(facts: NodeFacts, alert: AlertFacts) -> Line:
    """Where a node stands."""
    rung = _rung(facts)
    line = Line(facts, rung)
    return _with_step(_by_its_word(line, alert) or _by_its_silence(line, alert) or line, alert)


def _rung(facts: NodeFacts) -> Rung:
    if facts.sounded_at is not None:
        return Rung.SOUNDED
    if facts.finished_at is not None:
        return Rung.FINISHED
    if facts.started_at is not None:
        return Rung.STARTED
    if facts.received_at is not None:
        return Rung.RECEIVED
    return Rung.WAITING if facts.sent_at is None else Rung.SENT


def _ended(line: Line, end: End, *, final: bool = True, reason: Reason | None = None, since: int | None = None) -> Line:
    return Line(line.facts, line.rung, end, final, reason, None if since is None else InstantMs(since))


def _by_its_word(line: Line, alert: AlertFacts) -> Line | None:
    """What the node itself signed about its end."""
    facts = line.facts
    match facts.outcome:
        case "finished":
            return _ended(line, End.CONFIRMED)
        case "stopped":
            return _ended(line, End.CANCELLED if facts.cause is ReceiptCause.ORDERED else End.CONFIRMED)
        case "skipped" if facts.cause is ReceiptCause.WITHDRAWN:
            return _ended(line, End.CANCELLED)
        case "skipped" if facts.cause in _LATE:
            return _ended(line, End.EXPIRED)
        case "skipped":
            return _ended(line, End.UNREACHABLE, reason=Reason.NOT_PLAYED)
        case "unconfirmed":
            return _ended(line, End.UNREACHABLE, reason=Reason.POWER_FAILED)
    if alert.recalled and facts.cancel_received:
        return _ended(line, End.CANCELLED)
    if facts.outcome == "refused" and line.rung < Rung.RECEIVED:
        if facts.refusal is RefusalReason.EXPIRED and alert.over:
            return _ended(line, End.EXPIRED)
        final = facts.refused_for_good or alert.over
        return _ended(line, End.UNREACHABLE, final=final, reason=Reason.REFUSED, since=facts.refused_at)
    return None


def _by_its_silence(line: Line, alert: AlertFacts) -> Line | None:
    facts = line.facts
    if facts.retired:
        return _ended(line, End.UNREACHABLE, reason=Reason.RETIRED)
    if facts.contested:
        return _ended(line, End.UNREACHABLE, final=alert.over, reason=Reason.CONTESTED)
    if facts.silent:
        reason = Reason.LINK_CUT if facts.hinted_offline else Reason.SILENT
        since = facts.heard_at if facts.hinted_offline else facts.health_at
        if since is None:
            reason = Reason.NEVER_HEARD
        return _ended(line, End.UNREACHABLE, final=alert.over, reason=reason, since=since)
    if alert.over:
        if line.reached:
            return _ended(line, End.UNREACHABLE, reason=Reason.NO_WORD)
        return _ended(line, End.EXPIRED)
    return None


def _with_step(line: Line, alert: AlertFacts) -> Line:
    return Line(line.facts, line.rung, line.end, line.final, line.reason, line.since, _step(line, alert))


def _step(line: Line, alert: AlertFacts) -> Step:
    facts = line.facts
    if line.reached or alert.recalled or line.end in (End.CONFIRMED, End.CANCELLED):
        return Step.NONE
    if alert.now >= alert.expires_at:
        return Step.CALL_HEAD
    if not alert.link_up:
        return Step.CENTRE_LINK
    match line.reason:
        case Reason.CONTESTED:
            return Step.TWO_UNDER_ONE_NAME
        case Reason.REFUSED:
            return Step.LOOK_AT_REFUSAL
        case Reason.NOT_PLAYED | Reason.POWER_FAILED:
            return Step.LOOK_AT_BOX
        case Reason.SILENT | Reason.LINK_CUT | Reason.NEVER_HEARD:
            return Step.STATION_KEY if facts.station else Step.CALL_HEAD
        case Reason.RETIRED:
            return Step.CALL_HEAD
    if facts.muted:
        return Step.LOOK_AT_BOX
    if line.rung is Rung.RECEIVED:
        return Step.WAIT_START if alert.now < alert.start_at + START_LATE_MS else Step.LOOK_AT_BOX
    if facts.attempts <= FEW and facts.heard_at is not None and alert.now - facts.heard_at <= FRESH_MS:
        return Step.WAIT_LINK_BACK
    return Step.SEND_AGAIN_BY_STATION if facts.station else Step.SEND_AGAIN


def place_of(
    path: str,
    name: str,
    lines: Sequence[Line],
    alert: AlertFacts,
    *,
    population: int | None = None,
    languages: Sequence[str] = (),
) -> Place:
    """A village with its nodes, and what to do about it."""
    return Place(path, name, population, tuple(languages), tuple(lines), _step_there(lines, alert))


def _step_there(lines: Sequence[Line], alert: AlertFacts) -> Step:
    if alert.recalled:
        return Step.NONE
    if not lines:
        return Step.NO_LOUDSPEAKER
    steps = sorted((line.step for line in lines if line.step is not Step.NONE), key=_HOPE.__getitem__)
    if not steps:
        return Step.NONE
    is_long_unreached = alert.now >= alert.start_at + PATIENCE_MS and not any(line.reached for line in lines)
    if is_long_unreached and steps[0] in _WAITING_STEPS:
        return Step.STATION_KEY if all(line.facts.station for line in lines) else Step.CALL_HEAD
    return steps[0]


def totals_of(places: Iterable[Place]) -> Totals:
    """Count."""
    found = list(places)
    lines = [line for place in found for line in place.lines]
    known = [place for place in found if place.population is not None]
    sounds = [at for line in lines for at in (line.facts.started_at, line.facts.sounded_at) if at is not None]
    return Totals(
        nodes=len(lines),
        rungs={rung.name.lower(): _at_least(lines, rung) for rung in Rung},
        ends=dict(Counter(str(line.end) for line in lines if line.end is not None)),
        open=sum(line.end is None for line in lines),
        not_final=sum(not line.final for line in lines),
        villages=len(found),
        villages_unreached=sum(place.state == "unreached" for place in found),
        people=sum(place.population or 0 for place in known) if known else None,
        people_reached=sum(place.population or 0 for place in known if place.reached) if known else None,
        first_sound_at=min(sounds, default=None),
    )


def _at_least(lines: Sequence[Line], rung: Rung) -> int:
    """Of `sounded` those with evidence alone; of `finished` those that said so; of the rest, who came so far."""
    match rung:
        case Rung.FINISHED:
            return sum(line.facts.finished_at is not None for line in lines)
        case Rung.WAITING:
            return sum(line.rung is Rung.WAITING for line in lines)
        case _:
            return sum(line.rung >= rung for line in lines)


def closes_by_itself(totals: Totals) -> bool:
    """Whether nothing more is awaited of any node."""
    return totals.not_final == 0


def may_be_closed(totals: Totals) -> bool:
    """Whether a person may close it: each node is confirmed, cancelled, expired or unreachable now."""
    return totals.open == 0
