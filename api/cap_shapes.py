"""What alerts of others look like over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool

from api.problems import status_of
from api.shapes import AreaText, Asked, LookedAt, NameText, Shown, Text, moment, moment_or_none, whole
from controller.services.cap_alerts import Kept
from controller.services.cap_sources import (
    LEAST_INTERVAL_S,
    LONGEST_INTERVAL_S,
    MOST_HOSTS,
    MOST_PINS,
    MOST_SENDERS,
    Pin,
    SourceForm,
    hash_of_source,
)
from controller.tables import CapAlert, CapSource
from loa.errors import Refused
from loa.problems import Explained, Language, explain
from loa.units import InstantMs

StateWord = Literal["kept", "waiting", "composed", "needs_area", "not_composed", "cancel_asked", "done"]
_ACCEPTED = {"accepted": 201, "accepted_exercise": 202, "accepted_test": 202, "already_known": 200}


class NamedArea(Shown):
    description: str
    proposed: list[str] = Field(description="Places of ours that may be meant: a person decides")


class AreasShown(Shown):
    matched: list[str] = Field(default_factory=list, description="Places of ours, by code or shape")
    named: list[NamedArea] = Field(default_factory=list, description="Areas that it only names")
    elsewhere: list[str] = Field(default_factory=list, description="Areas that are nowhere here")
    unplaced: int = Field(default=0, description="Places of ours that could not be held against its shapes")
    unknown: list[str] = Field(
        default_factory=list,
        description="Codes like ours, of schemes not known to be ours (name=value); not counted",
    )


class CapAnswer(Shown):
    """What became of one alert in what was sent."""

    place: int = Field(description="Its number in what was sent, from 1")
    http_status: int = Field(description="What it alone would have been answered with")
    code: str = Field(description="accepted, accepted_exercise, accepted_test, already_known, or why it is refused")
    title: str = Field(description="The code in words, in the language asked for")
    remedy: str
    field: str | None
    sender: str
    identifier: str
    sent: str
    status: str
    msg_type: str
    kind: Literal["live", "exercise", "test"] | None = Field(description="What may become of it; null: nothing")
    signature: str | None = Field(description="unsigned, verified, untrusted, unproven, broken")
    signer: str | None
    expires_at: datetime | None
    areas: AreasShown | None
    cap: str | None = Field(description="Under which it is kept: GET /api/v1/cap/{cap}")
    alert: str | None = Field(description="What was composed of it and waits for people")
    withdrawn: list[str] = Field(description="Alerts that nobody had released, ended by it")
    cancel_asked: list[str] = Field(description="Released alerts that it wants cancelled: people decide")


class CapAnswers(Shown):
    items: list[CapAnswer]


class CapShown(Shown):
    id: str
    source: str = Field(description="By whom it came; empty where that is nobody known")
    sender_is_expected: bool = Field(description="Its sender is one for whom that source may speak")
    sender: str
    identifier: str
    sent: datetime | None
    version: str
    status: str
    msg_type: str
    title: str
    code: str
    field: str | None
    refused: bool
    kind: str | None
    signature: str
    signer: str | None
    expires_at: datetime | None
    areas: AreasShown
    state: str = Field(
        description="kept (nothing is to be made of it), waiting (being composed), composed, needs_area (a person "
        "chooses where), not_composed (see trouble), cancel_asked (people decide), done"
    )
    trouble: str | None = Field(description="Code of why nothing was composed")
    verdict: str = Field(description="That code, or else `code`, in words, in the language asked for")
    remedy: str
    alert: str | None
    before: list[str] = Field(description="Our alerts that it updates or cancels")
    withdrew: list[str]
    received_at: datetime
    received_by: str
    origin: str


class CapDetail(CapShown):
    xml: str = Field(description="As it came")


class CapAreas(Asked):
    target_areas: Annotated[list[AreaText], Field(min_length=1, max_length=64)]


class PinAsked(Asked):
    name: Text = Field(examples=["Đài KTTV 2026"])
    certificate: Annotated[str, Field(max_length=20_000)] = Field(description="X.509 certificate or public key, PEM")


class NewCapSource(Asked):
    """Whose alerts are taken."""

    url: Annotated[str, Field(max_length=1000)] = Field(
        default="", description="Its feed: Atom, RSS, EDXL-DE or CAP, by HTTPS. Empty: it posts"
    )
    senders: Annotated[list[Annotated[str, Field(max_length=500)]], Field(min_length=1, max_length=MOST_SENDERS)] = (
        Field(
            description="For whom it may speak, exactly as alerts have it in `sender`", examples=[["kttv@example.vn"]]
        )
    )
    pins: Annotated[list[PinAsked], Field(max_length=MOST_PINS)] = Field(
        default_factory=list, description="Its signers: an alert is verified by these and for those senders alone"
    )
    hosts: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=MOST_HOSTS)] = Field(
        default_factory=list, description="Where its redirects and links may lead besides its own host"
    )
    is_local: StrictBool = Field(default=False, description="Plain HTTP and private addresses are allowed")
    interval_s: Annotated[int, Field(ge=LEAST_INTERVAL_S, le=LONGEST_INTERVAL_S), BeforeValidator(whole)] = 60
    content_hash: LookedAt = Field(default=None, description="Of what you looked at, empty for a new one")

    def form(self, name: str) -> SourceForm:
        return SourceForm(
            name=name, url=self.url, senders=self.senders, hosts=self.hosts, is_local=self.is_local,
            pins=[Pin(one.name, one.certificate.encode()) for one in self.pins], interval_s=self.interval_s,
        )  # fmt: skip


class PinShown(Shown):
    name: str
    key: str = Field(description="SubjectPublicKeyInfo, DER, hex")


class CapSourceShown(Shown):
    name: NameText
    url: str
    senders: list[str]
    pins: list[PinShown]
    hosts: list[str]
    is_local: bool
    interval_s: int
    state: Literal["posts", "new", "good", "failing", "stale"]
    tried_at: datetime | None
    good_at: datetime | None = Field(description="When it was last read whole")
    next_at: datetime | None
    failures: int = Field(description="In a row")
    trouble: str | None = Field(description="Code of what the last try met")
    trouble_detail: str | None
    trouble_words: str | None = Field(description="The same and what to do, in the language asked for")
    content_hash: str = Field(description="Of what is set; given back, it keeps what others set meanwhile")


def answer(kept: Kept, language: Language) -> CapAnswer:
    verdict, sketch = kept.verdict, kept.verdict.sketch
    problem = verdict.problem
    words = explain(problem or Refused(verdict.code), language)
    return CapAnswer(
        place=verdict.place,
        http_status=status_of(problem) if problem else _ACCEPTED[verdict.code],
        code=verdict.code,
        title=words.title,
        remedy=words.remedy,
        field=problem.field if problem else None,
        sender=sketch.sender,
        identifier=sketch.identifier,
        sent=sketch.sent,
        status=sketch.status,
        msg_type=sketch.msg_type,
        kind=None if verdict.kind is None else verdict.kind.value,
        signature=None if verdict.signature is None else str(verdict.signature.state),
        signer=(verdict.signature.signer or None) if verdict.signature else None,
        expires_at=moment_or_none(verdict.expires),
        areas=None if verdict.areas is None else _areas_of(verdict),
        cap=kept.id,
        alert=kept.alert,
        withdrawn=[*kept.withdrawn],
        cancel_asked=[*kept.asked],
    )


def _areas_of(verdict: Any) -> AreasShown:
    areas = verdict.areas
    return AreasShown(
        matched=[str(path) for path in areas.matched],
        named=[NamedArea(description=one.description, proposed=[str(p) for p in one.proposed]) for one in areas.named],
        elsewhere=list(areas.elsewhere),
        unplaced=areas.unplaced,
        unknown=list(areas.unknown),
    )


def cap_shown(row: CapAlert, language: Language) -> CapShown:
    return CapShown(**_shown(row, language, None))


def cap_detail(row: CapAlert, problem: Refused | None, language: Language) -> CapDetail:
    """problem: why it was refused, with all that is to be said of it, where that is known."""
    return CapDetail(**_shown(row, language, problem), xml=row.xml.decode("utf-8", "replace"))


def _in_words(code: str, field: str, language: Language, reason: str = "…") -> Explained:
    """What a kept code means; of what is not kept beside it nothing is said."""
    return explain(Refused(code, field=field or "…", limit="…", value="…", reason=reason), language)


def _shown(row: CapAlert, language: Language, problem: Refused | None) -> dict[str, Any]:
    words = explain(problem, language) if problem else _in_words(row.trouble or row.code, row.field, language)
    return {
        "id": row.id,
        "source": row.source,
        "sender_is_expected": row.is_expected,
        "sender": row.sender,
        "identifier": row.identifier,
        "sent": moment_or_none(row.sent),
        "version": row.version,
        "status": row.status,
        "msg_type": row.msg_type,
        "title": row.title,
        "code": row.code,
        "field": row.field or None,
        "refused": row.is_refused,
        "kind": row.kind or None,
        "signature": row.signature,
        "signer": row.signer or None,
        "expires_at": moment_or_none(row.expires_at),
        "areas": AreasShown.model_validate(row.areas),
        "state": row.state,
        "trouble": row.trouble or None,
        "verdict": words.title,
        "remedy": words.remedy,
        "alert": row.alert,
        "before": list(row.before),
        "withdrew": list(row.withdrew),
        "received_at": moment(row.received_at),
        "received_by": row.received_by,
        "origin": row.origin,
    }


def source_shown(row: CapSource, language: Language) -> CapSourceShown:
    words = _in_words(row.trouble, "url", language, row.trouble_detail.partition("reason=")[2] or "…")
    return CapSourceShown(
        name=row.name,
        url=row.url,
        senders=list(row.senders),
        pins=[PinShown(name=one["name"], key=one["key"]) for one in row.pins],
        hosts=list(row.hosts),
        is_local=row.is_local,
        interval_s=row.interval_s,
        state=state_of(row),
        tried_at=moment_or_none(row.tried_at),
        good_at=moment_or_none(row.good_at),
        next_at=moment(InstantMs(row.next_at)) if row.url else None,
        failures=row.failures,
        trouble=row.trouble or None,
        trouble_detail=row.trouble_detail or None,
        trouble_words=f"{words.title} — {words.remedy}" if row.trouble else None,
        content_hash=hash_of_source(row),
    )


def state_of(row: CapSource) -> Literal["posts", "new", "good", "failing", "stale"]:
    """How a source is doing."""
    if not row.url:
        return "posts"
    if row.is_stale:
        return "stale"
    if row.failures:
        return "failing"
    return "good" if row.good_at is not None else "new"
