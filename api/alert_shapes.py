"""What alerts look like over HTTP."""

import base64
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from api.shapes import (
    AreaText,
    Asked,
    Hex16,
    NameText,
    Shown,
    Text,
    Title,
    Volume,
    moment,
    moment_or_none,
    whole,
)  # fmt: skip
from audio.voices import LONGEST_TEXT
from controller.services.alert_bodies import LONGEST_GAP_MS
from controller.services.alert_views import AlertView, Given, Reach, Releaser, Village
from controller.services.alerts import digest_of_body
from controller.services.direct_rules import MOST_EVENTS, DirectRule, rule_of
from controller.tables import Alert, CapAlert
from devices.protocol.alerts import LONGEST_ALERT_MS, AlertAction
from devices.protocol.common import RenditionRef
from loa.precedence import Kind

KindWord = Literal["live", "drill"]
StatusWord = Literal["composed", "armed", "released", "updated", "cancelled", "withdrawn", "expired"]
_MINUTE_MS = 60_000


SeverityWord = Literal["Extreme", "Severe", "Moderate", "Minor", "Unknown"]
UrgencyWord = Literal["Immediate", "Expected", "Future", "Past", "Unknown"]
LanguageText = Annotated[str, Field(pattern=r"^[a-zA-Z]{2,8}(-[a-zA-Z0-9]{1,8}){0,3}$", max_length=35)]
BlankName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,29}(\.[a-zA-Z0-9-]{1,35})?$")]


class WordsAsked(Asked):
    language: LanguageText = Field(examples=["vi"], description="BCP 47")
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] = Field(
        examples=["Bão số 9 sẽ đến lúc 19 giờ. Tàu thuyền về bờ ngay."]
    )


class DirectAsked(Asked):
    """Approved, it does not go out but waits for this source's alert, and goes out by the first."""

    source: NameText = Field(description="One of /cap/sources, with pinned keys: only what they signed counts")
    events: Annotated[list[Text], Field(max_length=MOST_EVENTS)] = Field(
        description="CAP's `event`; case and spaces do not count", examples=[["Sóng thần", "Tsunami"]]
    )
    severities: Annotated[list[SeverityWord], Field(max_length=5)] = Field(
        default=["Extreme", "Severe"], description="CAP's severity"
    )

    def rule(self) -> DirectRule:
        return DirectRule(self.source, tuple(self.events), tuple(self.severities))


class NewAlert(Asked):
    kind: KindWord = Field(description="Live or drill. It has no default and cannot be changed afterwards")
    title: Title | None = Field(default=None, examples=["Bão số 9: về bờ ngay"], description="A template has its own")
    target_areas: Annotated[list[AreaText], Field(max_length=64)] = Field(
        default_factory=list, examples=[["quang-ninh/co-to"]]
    )
    target_nodes: Annotated[list[NameText], Field(max_length=32)] = Field(default_factory=list)
    bulletins: Annotated[list[Hex16], Field(max_length=8)] = Field(
        default_factory=list, description="Approved bulletins, played one after another"
    )
    siren: Annotated[int, Field(ge=0, le=254), BeforeValidator(whole)] | None = Field(
        default=None, description="Code of a stored sound that comes first; 0 for none"
    )
    repeats: Annotated[int, Field(ge=0, le=255), BeforeValidator(whole)] | None = Field(
        default=None, description="How often all of it is played; 0: until it is cancelled or expires. 1 unless given"
    )
    gap_ms: Annotated[int, Field(ge=0, le=LONGEST_GAP_MS), BeforeValidator(whole)] | None = Field(
        default=None, description="Silence between; 0 unless given"
    )
    volume: Volume | None = Field(
        default=None, description="Up to what each place allows an emergency; as loud as that unless given"
    )
    lasts_ms: Annotated[int, Field(ge=_MINUTE_MS, le=LONGEST_ALERT_MS), BeforeValidator(whole)] | None = Field(
        default=None,
        description="Its window, from now: approved within it, over with it. Half an hour unless given; with `direct` "
        "31 days, which is the longest",
    )
    direct: DirectAsked | None = Field(
        default=None, description="Approved beforehand, for a source's alert; live, for areas, updating nothing"
    )
    updates: Annotated[list[Hex16], Field(max_length=16)] = Field(
        default_factory=list, description="Released alerts of the same kind whose place it takes"
    )
    event: Text | None = Field(default=None, description="What it is about", examples=["Bão"])
    severity: SeverityWord | None = Field(
        default=None,
        description="CAP 1.2. With urgency it decides siren, repeats, gap, volume and window (/alert-levels)",
    )
    urgency: UrgencyWord | None = Field(default=None, description="CAP 1.2")
    words: Annotated[list[WordsAsked], Field(max_length=8)] = Field(
        default_factory=list, description="Spoken here, before anybody approves it"
    )
    template: NameText | None = Field(default=None, description="One of /alert-templates, with its `blanks` filled")
    blanks: Annotated[dict[BlankName, Text], Field(max_length=64)] = Field(
        default_factory=dict, description="By name; `name.en` for one language alone",
        examples=[{"place": "vùng biển Cô Tô", "time": "19 giờ"}],
    )  # fmt: skip
    languages: Annotated[list[LanguageText], Field(max_length=8)] | None = Field(
        default=None, description="Of the template; those spoken where it is for, Vietnamese always, unless given"
    )

    @property
    def is_worded(self) -> bool:
        """Whether it says what it is about, so that the table of levels and the voices have their part in it."""
        said = self.words, self.template, self.blanks, self.languages, self.severity, self.urgency, self.event
        return any(said)


class CancelAsked(Shown):
    """Somebody else's Cancel in CAP. It ends nothing by itself: people look, and cancel or not."""

    cap: str = Field(description="GET /api/v1/cap/{cap}")
    sender: str
    signature: str = Field(description="verified: it is theirs; otherwise call them")
    at: datetime


class DirectShown(Shown):
    """It waits, or waited, for a source's alert."""

    source: str
    events: list[str]
    severities: list[str]
    ready: bool | None = Field(description="It would go out by it now: approvals and source count. Null in lists")


class AlertShown(Shown):
    id: str
    kind: KindWord
    title: str
    area: str = Field(description="The narrowest that holds all of the target")
    status: str = Field(
        description="composed, armed (approved, and waits for a source), released, updated, cancelled, withdrawn, "
        "expired; altered: do not approve"
    )
    target_areas: list[str]
    target_nodes: list[str]
    bulletins: list[str]
    updates: list[str]
    composed_by: str
    composed_at: datetime
    expires_at: datetime
    released_at: datetime | None
    released_alone_by: str | None = Field(description="By a sole appointment")
    direct: DirectShown | None
    released_by_cap: str | None = Field(
        description="The source's alert that put it out: GET /api/v1/cap/{cap}. Target and end are of what went out"
    )
    ended_by: str | None
    ended_at: datetime | None
    cancel_asked: CancelAsked | None = Field(description="Its source wants it cancelled, and nobody has decided yet")


class ApprovalShown(Shown):
    account: str
    holder: str
    key: str
    at: datetime
    action: Literal["release", "cancel"]
    counts: bool = Field(description="It would still do so now: in date, not revoked")


class ReleaserShown(Shown):
    holder: str
    area: str
    alone: bool = Field(description="Theirs is enough; otherwise two different ones are needed")
    sole: bool
    has_approved: bool


class VillageShown(Shown):
    path: str
    name: str
    population: int | None
    nodes: int = Field(description="0: nobody hears it there")


class NodeMeant(Shown):
    node: str
    area: str


class ReachShown(Shown):
    """Whom it means, as nodes are placed now."""

    nodes: int
    villages: int
    people: int | None = Field(description="By the populations of areas, where they are known")
    node_list: list[NodeMeant] = Field(description="Those that you may see, at most 500")
    village_list: list[VillageShown] = Field(description="The same")


class SoundShown(Shown):
    """What will be heard in one language, after the siren. The very bytes that people sign, by their digest."""

    digest: str
    language: str
    duration_ms: int
    text: str | None = Field(description="What was spoken; null for a bulletin, and for a recording without a text")
    voice: str | None = Field(description="What spoke it; `recording` for one that lies at the nodes; null: a bulletin")
    audio: str = Field(description="Where to hear it; ranges are served")
    loudness_centi_lufs: int | None = Field(
        description="With the peak, the sound's bytes and its duration this makes the manifest whose hash is the digest"
    )
    peak_centi_db: int | None


class AlertDetail(AlertShown):
    siren: int
    siren_missing: bool = Field(description="Somewhere it is for, nodes keep no sound of this code, and leave it out")
    announcement_missing: bool = Field(
        description="A drill, and somewhere it is for, nodes keep no drill announcement: there it will not sound at all"
    )
    replaced_until: datetime | None = Field(
        description="Where what it takes the place of would last longer: until when. Nothing of that sounds again"
    )
    repeats: int
    gap_ms: int
    volume: int | None = Field(description="Null: as loud as each place allows an emergency to be")
    event: str | None
    severity: str | None
    urgency: str | None
    template: str | None
    source: str | None = Field(description="Where it came from, if nobody here thought of it")
    sounds: list[SoundShown] = Field(description="One after another, in each repeat")
    words: dict[str, list[str]] = Field(description="The body in words, vi and en, read from its bytes")
    body: str = Field(description="Exactly what is signed, base64")
    body_sha256: str
    cancel_body: str = Field(description="What one person signs to end it, base64")
    reach: ReachShown
    approvals: list[ApprovalShown]
    could_approve: list[ReleaserShown] = Field(description="Those appointed over all of the target, for this kind")
    people_needed: int = Field(description="How many more have to approve it")
    broadcast_status: str | None = Field(description="Of the broadcast with the same id, once it is released")


class ApprovalTaken(Shown):
    """What became of an approval."""

    outcome: Literal["released", "armed", "second_person_required"]
    words: str = Field(description="The same in the language asked for")
    alert: AlertDetail


def kind_of(word: KindWord) -> Kind:
    return Kind[word.upper()]


def _kind_word(value: int) -> KindWord:
    return "live" if value == int(Kind.LIVE) else "drill"


def alert_shown(row: Alert, status: str, asked: CapAlert | None = None) -> AlertShown:
    return AlertShown(
        id=row.id,
        kind=_kind_word(row.kind),
        title=row.title,
        area=row.area,
        status=status,
        target_areas=row.target_areas,
        target_nodes=row.target_nodes,
        bulletins=row.bulletins,
        updates=row.updates,
        composed_by=row.composed_by,
        composed_at=moment(row.composed_at),
        expires_at=moment(row.expires_at),
        released_at=moment_or_none(row.released_at),
        released_alone_by=row.sole or None,
        direct=_direct(row),
        released_by_cap=row.released_by_cap,
        ended_by=row.ended_by,
        ended_at=moment_or_none(row.ended_at),
        cancel_asked=_asked(asked) if asked is not None and status in ("composed", "released") else None,
    )


def alert_detail(view: AlertView, asked: CapAlert | None = None) -> AlertDetail:
    row, body = view.row, view.body
    shown = alert_shown(row, view.status, asked)
    if shown.direct is not None:
        shown.direct.ready = view.direct_ready
    return AlertDetail(
        **shown.model_dump(),
        siren=body.siren if body else 0,
        siren_missing=view.siren_missing,
        announcement_missing=view.announcement_missing,
        replaced_until=moment_or_none(view.replaced_until),
        repeats=body.repeats if body else 0,
        gap_ms=body.gap_ms if body else 0,
        volume=body.volume if body else None,
        event=row.event or None,
        severity=row.severity or None,
        urgency=row.urgency or None,
        template=row.template,
        source=row.source,
        sounds=_sounds(view),
        words={language: list(lines) for language, lines in view.words.items()},
        body=base64.b64encode(row.body).decode(),
        body_sha256=digest_of_body(row.body),
        cancel_body=base64.b64encode(row.cancel_body).decode(),
        reach=_reach(view.reach),
        approvals=[_approval(one) for one in view.approvals],
        could_approve=[_releaser(one) for one in view.could_approve],
        people_needed=view.people_needed,
        broadcast_status=view.broadcast_status,
    )


def _direct(row: Alert) -> DirectShown | None:
    rule = rule_of(row)
    if rule is None:
        return None
    return DirectShown(source=rule.source, events=[*rule.events], severities=[*rule.severities], ready=None)


def _asked(row: CapAlert) -> CancelAsked:
    return CancelAsked(cap=row.id, sender=row.sender, signature=row.signature, at=moment(row.received_at))


def _sounds(view: AlertView) -> list[SoundShown]:
    spoken = {one["digest"]: one for one in view.row.words}
    return [_sound(view, ref, spoken.get(ref.digest.hex(), {})) for ref in (view.body.renditions if view.body else ())]


def _sound(view: AlertView, ref: RenditionRef, said: dict[str, Any]) -> SoundShown:
    manifest = view.manifests.get(ref.digest)
    return SoundShown(
        digest=ref.digest.hex(),
        language=ref.language,
        duration_ms=ref.duration_ms,
        text=said.get("text") or None,
        voice=said.get("voice"),
        audio=f"/api/v1/alerts/{view.row.id}/audio?rendition={ref.digest.hex()}",
        loudness_centi_lufs=manifest.loudness_centi_lufs if manifest else None,
        peak_centi_db=manifest.peak_centi_db if manifest else None,
    )


def _reach(reach: Reach) -> ReachShown:
    return ReachShown(
        nodes=reach.nodes,
        villages=reach.villages,
        people=reach.people,
        node_list=[NodeMeant(node=name, area=area) for name, area in reach.node_names],
        village_list=[_village(one) for one in reach.village_list],
    )


def _village(one: Village) -> VillageShown:
    return VillageShown(path=one.path, name=one.name, population=one.population, nodes=one.nodes)


def _approval(one: Given) -> ApprovalShown:
    return ApprovalShown(
        account=one.account,
        holder=one.holder,
        key=one.key,
        at=moment(one.at),
        action="release" if one.action is AlertAction.RELEASE else "cancel",
        counts=one.counts,
    )


def _releaser(one: Releaser) -> ReleaserShown:
    return ReleaserShown(
        holder=one.holder, area=one.area, alone=one.alone, sole=one.sole, has_approved=one.has_approved
    )
