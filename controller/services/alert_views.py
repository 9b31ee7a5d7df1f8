"""What people see of an alert before they approve it: its words, whom it means, who has approved and who could."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import func
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from controller.services import direct
from controller.services.alert_release import approvals_of
from controller.services.alert_updates import last_end_of
from controller.services.alert_words import Names, alert_words
from controller.services.alerts import checked_body
from controller.services.areas import areas_seen, lies_in
from controller.services.bulletins import manifest
from controller.services.context import Context, widest
from controller.services.emergencies import START_AFTER_MS, enough_of, reach_needed
from controller.services.orders import Targets
from controller.services.sight import nodes_seen
from controller.services.stored_sounds import missing_at
from controller.services.trust import authority_in_force
from controller.tables import Alert, Area, Broadcast, Bulletin, Node
from devices.protocol.alerts import AlertAction, AlertBody
from devices.protocol.approval import is_enough_alone, is_same_person, read_body
from devices.protocol.common import DRILL_ANNOUNCEMENT
from devices.protocol.envelope import encode
from devices.protocol.grants import Grant
from devices.protocol.media import Manifest, digest_of
from devices.protocol.refusal import WireRefusal
from devices.protocol.trust import Power, RootSet
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import Digest, InstantMs

MOST_LISTED = 500
"""So many nodes and villages are named; the counts are of all."""
ALTERED, EXPIRED = "altered", "expired"


@dataclass(frozen=True)
class Given:
    """An approval that was given. `counts`: it would do so now."""

    account: str
    holder: str
    key: str
    at: InstantMs
    action: AlertAction
    counts: bool


@dataclass(frozen=True)
class Releaser:
    """Somebody who could approve it now. `alone`: theirs is enough; `sole` by an appointment that says so."""

    holder: str
    area: AreaPath
    alone: bool
    sole: bool
    has_approved: bool


@dataclass(frozen=True)
class Village:
    """One that an alert means. Where it has no node, nobody hears it there."""

    path: str
    name: str
    population: int | None
    nodes: int


@dataclass(frozen=True)
class Reach:
    """Whom an alert means, as nodes are placed now. Lists hold what whoever asks may see, at most `MOST_LISTED`."""

    nodes: int
    villages: int
    people: int | None
    """By the areas' populations; None where none is known."""
    node_names: tuple[tuple[str, str], ...]
    """Node and area."""
    village_list: tuple[Village, ...]


@dataclass(frozen=True)
class AlertView:
    """All of an alert. `status` as in the table, or `expired`, or `altered`; then nobody can approve it."""

    row: Alert
    status: str
    body: AlertBody | None
    """None where the bytes cannot be read."""
    words: dict[str, tuple[str, ...]]
    reach: Reach
    approvals: tuple[Given, ...]
    could_approve: tuple[Releaser, ...]
    people_needed: int
    """How many more; 0 once it is armed, released or over. Armed, and the approvals count no more: again some."""
    broadcast_status: str | None
    direct_ready: bool = False
    """It waits for a source and would go out by its word: approvals and source still count."""
    siren_missing: bool = False
    """Somewhere in its target the siren's code means nothing."""
    announcement_missing: bool = False
    """A drill, and somewhere in its target nodes have nothing to announce it with: none sounds there."""
    manifests: Mapping[Digest, Manifest] = field(default_factory=dict)
    """Of what it names: what it takes to compare a sound with the digest that is signed."""
    replaced_until: InstantMs | None = None
    """When the last of what it takes the place of would end, where that is later than its own end."""


def status_of(session: Session, row: Alert, now: int) -> str:
    """As people are told."""
    if row.status not in ("composed", "armed", "released"):
        return row.status
    try:
        checked_body(session, row)
    except Refused:
        return ALTERED
    is_late = row.expires_at <= now + START_AFTER_MS
    return EXPIRED if is_late and row.status in ("composed", "armed") else row.status


def alert_view(session: Session, ctx: Context, row: Alert, *, roots: RootSet) -> AlertView:
    """Everything about an alert that whoever acts sees."""
    try:
        body = read_body(row.body)
    except WireRefusal:
        body = None
    status = status_of(session, row, ctx.now)
    targets = Targets(tuple(AreaPath(path) for path in row.target_areas), body.nodes) if body else Targets((), ())
    names = _names(session, row, body)
    given = _given(session, ctx, row, roots)
    could = _could_approve(session, ctx, body, given, roots) if body else ()
    sent = session.get(Broadcast, row.id)
    enough, ready = direct.standing_of(session, ctx, row, roots) if status == "armed" else (False, False)
    return AlertView(
        row=row,
        status=status,
        body=body,
        words={"vi": alert_words(body, names, "vi"), "en": alert_words(body, names, "en")} if body else {},
        reach=reach_of(session, ctx, targets),
        approvals=given,
        could_approve=could,
        people_needed=_needed(given, could) if status == "composed" or (status == "armed" and not enough) else 0,
        direct_ready=ready,
        broadcast_status=None if sent is None else sent.status,
        siren_missing=body is not None and body.siren > 0 and _missing(session, ctx, body, body.siren),
        announcement_missing=(
            body is not None and body.kind is Kind.DRILL and _missing(session, ctx, body, DRILL_ANNOUNCEMENT)
        ),
        manifests=_manifests(session, body),
        replaced_until=_would_last(session, row),
    )


def sound_of(session: Session, row: Alert, *, language: str | None, rendition: str | None) -> Manifest:
    """What people hear of an alert before they sign it: a rendition that its body names, the first in a language.

    The manifest is the very one that the body's digest is of. Raises Refused(not_found, alert_altered).
    """
    for ref in checked_body(session, row).renditions:
        if rendition in (None, ref.digest.hex()) and (
            language is None or language.casefold() == ref.language.casefold()
        ):
            held = manifest(session, ref.digest)
            if digest_of(encode(held)) != ref.digest:
                raise Refused("alert_altered", field="rendition", value=row.id)
            return held
    raise Refused("not_found", field="rendition" if rendition else "language", value=rendition or language or "-")


def reach_of(session: Session, ctx: Context, targets: Targets) -> Reach:
    """Which nodes, villages and people a target means."""
    meant = targets.are_meant()
    total = session.execute(sa_select(func.count()).select_from(Node).where(meant)).scalar_one()
    names = session.exec(select(Node.id, Node.area).where(meant, nodes_seen(ctx)).order_by(Node.id).limit(MOST_LISTED))
    homes = session.exec(select(Node.area).where(col(Node.id).in_(targets.nodes)).distinct()).all()
    places = widest([*targets.areas, *homes])
    inside = select(Area).where(lies_in(Area.path, places))
    found = {area.path: area for area in session.exec(inside)}
    per_area = dict(session.exec(select(Node.area, func.count()).where(meant).group_by(Node.area)).all())
    villages = [area for path, area in sorted(found.items()) if path.count("/") == 2]
    seen = set(session.exec(select(Area.path).where(lies_in(Area.path, places), areas_seen(ctx))))
    return Reach(
        nodes=total,
        villages=len(villages),
        people=_people(places, found),
        node_names=tuple((name, area) for name, area in names),
        village_list=tuple(
            Village(one.path, one.name, one.population, per_area.get(one.path, 0))
            for one in villages
            if one.path in seen
        )[:MOST_LISTED],
    )


def _manifests(session: Session, body: AlertBody | None) -> dict[Digest, Manifest]:
    found = {}
    for ref in body.renditions if body is not None else ():
        with contextlib.suppress(Refused):
            found[ref.digest] = manifest(session, ref.digest)
    return found


def _would_last(session: Session, row: Alert) -> InstantMs | None:
    until = last_end_of(session, row.updates)
    return until if until is not None and until > row.expires_at else None


def _missing(session: Session, ctx: Context, body: AlertBody, code: int) -> bool:
    return missing_at(session, ctx, body.areas, body.nodes, code)


def _people(places: Iterable[AreaPath], found: dict[str, Area]) -> int | None:
    """An area's own figure, else the sum of what is known of those within it."""
    children: dict[str, list[str]] = {}
    for path, area in found.items():
        children.setdefault(area.parent or "", []).append(path)

    def known(path: str) -> int | None:
        own = found[path].population if path in found else None
        if own is not None:
            return own
        parts = [count for child in children.get(path, ()) if (count := known(child)) is not None]
        return sum(parts) if parts else None

    counts = [count for place in places if (count := known(place)) is not None]
    return sum(counts) if counts else None


def _given(session: Session, ctx: Context, row: Alert, roots: RootSet) -> tuple[Given, ...]:
    found = []
    for action, data in ((AlertAction.RELEASE, row.body), (AlertAction.CANCEL, row.cancel_body)):
        for one in approvals_of(session, row.id, action):
            counts = _counts(session, ctx, data, one.approval, roots)
            found.append(Given(one.account, one.holder, one.key, InstantMs(one.at), action, counts))
    return tuple(found)


def _counts(session: Session, ctx: Context, data: bytes, approval: bytes, roots: RootSet) -> bool:
    try:
        enough_of(session, ctx, data, [approval], roots=roots)
    except Refused as error:
        return error.code == "second_person_required"
    return True


def _could_approve(
    session: Session, ctx: Context, body: AlertBody, given: Sequence[Given], roots: RootSet
) -> tuple[Releaser, ...]:
    whole = reach_needed(session, body)
    try:
        authority = authority_in_force(session, ctx, roots)
    except WireRefusal:
        return ()
    found: dict[str, Grant] = {}
    for key in authority.grants:
        try:
            grants = authority.grants_in_force(
                key, power=Power.APPROVE, now_ms=ctx.now, areas=whole, precedence=Precedence.EMERGENCY, kind=body.kind
            )
        except WireRefusal:
            continue
        for grant in grants:
            if grant.holder not in found or is_enough_alone(grant):
                found[grant.holder] = grant
    approved = [one.holder for one in given if one.action is AlertAction.RELEASE and one.counts]
    return tuple(
        Releaser(
            name, grant.appointed_area, is_enough_alone(grant), grant.sole,
            any(is_same_person(name, one) for one in approved),
        )
        for name, grant in sorted(found.items())
    )  # fmt: skip


def _needed(given: Sequence[Given], could: Sequence[Releaser]) -> int:
    """How many more persons: one where somebody is enough alone, or one of two has approved."""
    if any(one.counts and one.action is AlertAction.RELEASE for one in given):
        return 1
    return 1 if any(one.alone for one in could) else 2


def _names(session: Session, row: Alert, body: AlertBody | None) -> Names:
    if body is None:
        return Names({}, {}, {})
    areas = session.exec(select(Area.path, Area.name).where(col(Area.path).in_(body.areas))).all()
    updated = [one.hex() for one in body.references]
    alerts = session.exec(select(Alert.id, Alert.title).where(col(Alert.id).in_(updated))).all() if updated else []
    bulletins = session.exec(select(Bulletin).where(col(Bulletin.id).in_(row.bulletins))).all() if row.bulletins else []
    titles = {digest: bulletin.title for bulletin in bulletins for digest in bulletin.renditions}
    return Names(dict(areas), dict(alerts), titles)
