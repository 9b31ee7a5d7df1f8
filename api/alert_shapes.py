"""What alerts look like over HTTP."""

import base64
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from api.shapes import AreaText, Asked, Hex16, Hex32, NameText, Shown, Title, moment, moment_or_none, whole
from controller import passphrases
from controller.alert_desk import Detached, Hand, OwnKey
from controller.services.alert_views import AlertView, Given, Reach, Releaser, Village
from controller.services.alerts import digest_of_body
from controller.tables import Alert
from devices.protocol.alerts import LONGEST_ALERT_MS, AlertAction
from loa.errors import Refused
from loa.precedence import Kind

KindWord = Literal["live", "drill"]
StatusWord = Literal["composed", "released", "updated", "cancelled", "withdrawn", "expired"]
_MINUTE_MS = 60_000


class NewAlert(Asked):
    kind: KindWord = Field(description="Live or drill. It has no default and cannot be changed afterwards")
    title: Title = Field(examples=["Bão số 9: về bờ ngay"])
    target_areas: Annotated[list[AreaText], Field(max_length=64)] = Field(
        default_factory=list, examples=[["quang-ninh/co-to"]]
    )
    target_nodes: Annotated[list[NameText], Field(max_length=32)] = Field(default_factory=list)
    bulletins: Annotated[list[Hex16], Field(max_length=8)] = Field(
        default_factory=list, description="Approved bulletins, played one after another"
    )
    siren: Annotated[int, Field(ge=0, le=254), BeforeValidator(whole)] = Field(
        default=0, description="Code of a stored sound that comes first; 0 for none"
    )
    repeats: Annotated[int, Field(ge=0, le=255), BeforeValidator(whole)] = Field(
        default=1, description="How often all of it is played; 0: until it is cancelled or expires"
    )
    gap_ms: Annotated[int, Field(ge=0, le=3_600_000), BeforeValidator(whole)] = 0
    lasts_ms: Annotated[int, Field(ge=_MINUTE_MS, le=LONGEST_ALERT_MS), BeforeValidator(whole)] = Field(
        default=1_800_000, description="Its window, from now: approved within it, and over with it"
    )
    updates: Annotated[list[Hex16], Field(max_length=16)] = Field(
        default_factory=list, description="Released alerts of the same kind whose place it takes"
    )


class SignedBy(Asked):
    """One of the two: `passphrase` of a key that is kept here, or an `approval` made on your own device."""

    passphrase: Annotated[str, Field(max_length=passphrases.LONGEST_PASSPHRASE)] | None = Field(
        default=None, description="The release passphrase of a key of yours"
    )
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = Field(
        default=None, description="Which key; yours for this kind, unless given"
    )
    approval: Annotated[str, Field(max_length=400)] | None = Field(
        default=None, description="COSE_Sign1 over exactly those bytes, payload detached, in base64"
    )

    def hand(self) -> Hand:
        """Raises Refused(field_required, bad_approval)."""
        if (self.passphrase is None) == (self.approval is None):
            raise Refused("field_required", field="passphrase")
        if self.passphrase is not None:
            return OwnKey(self.passphrase, self.key)
        try:
            return Detached(base64.b64decode((self.approval or "").encode("ascii"), validate=True))
        except ValueError as error:
            raise Refused("bad_approval", field="approval", reason="not base64") from error


class NewApproval(SignedBy):
    kind: KindWord = Field(description="What you approve, live or drill: another than the alert's is refused")
    body_sha256: Hex32 = Field(description="Of the body that you looked at; another is refused")


class AlertShown(Shown):
    id: str
    kind: KindWord
    title: str
    area: str = Field(description="The narrowest that holds all of the target")
    status: str = Field(
        description="composed, released, updated, cancelled, withdrawn, expired; altered: do not approve"
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
    ended_by: str | None
    ended_at: datetime | None


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


class AlertDetail(AlertShown):
    siren: int
    repeats: int
    gap_ms: int
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

    outcome: Literal["released", "second_person_required"]
    words: str = Field(description="The same in the language asked for")
    alert: AlertDetail


def kind_of(word: KindWord) -> Kind:
    return Kind[word.upper()]


def _kind_word(value: int) -> KindWord:
    return "live" if value == int(Kind.LIVE) else "drill"


def alert_shown(row: Alert, status: str) -> AlertShown:
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
        ended_by=row.ended_by,
        ended_at=moment_or_none(row.ended_at),
    )


def alert_detail(view: AlertView) -> AlertDetail:
    row, body = view.row, view.body
    return AlertDetail(
        **alert_shown(row, view.status).model_dump(),
        siren=body.siren if body else 0,
        repeats=body.repeats if body else 0,
        gap_ms=body.gap_ms if body else 0,
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
