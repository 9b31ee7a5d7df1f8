"""Alerts of others: kept as they came, once each, with what was made of them. Nothing here sounds."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import String, cast
from sqlmodel import Session, col, delete, select

from controller.cap.judgement import Verdict, in_order
from controller.cap.memory import Name, content_digest
from controller.cap.model import Alert as CapMessage
from controller.cap.model import MsgType
from controller.cap.signature import SignatureState
from controller.cap.standing import Standing, may_speak_of, name_key
from controller.services.context import Context, note_deed
from controller.tables import Alert, CapAlert
from loa.entropy import new_id
from loa.errors import Refused
from loa.units import Digest

MOST_REFUSED = 2000
"""So many alerts that were refused are kept, the newest; those that were accepted are all kept."""


MOST_FOLLOWED = 200
"""Predecessors of one alert."""


@dataclass(frozen=True)
class Origin:
    """source: its name, "" for none; senders: for whom it may speak. fetched: we got it from there ourselves."""

    source: str = ""
    senders: frozenset[str] = frozenset()
    fetched: bool = False


@dataclass(frozen=True)
class Kept:
    """A verdict with the row that it is kept in (None for what is no alert at all), and what it ended."""

    verdict: Verdict
    id: str | None
    is_new: bool = False
    waits: bool = False
    """An alert of ours is to be composed of it."""
    withdrawn: tuple[str, ...] = ()
    """Alerts of ours that nobody had released."""
    asked: tuple[str, ...] = ()
    """Alerts of ours that its source wants cancelled; people are asked."""
    alert: str | None = None


def keep(
    session: Session, ctx: Context, alone: Sequence[Verdict], origin: Origin, *, own: str = ""
) -> tuple[Kept, ...]:
    """Hold verdicts of `judgement.judge_alone` against what was seen before, and keep what is new.

    own: our own sender; what comes back to us makes no alert.
    """
    found = in_order(tuple(alone), _remembered(session, alone))
    kept = tuple(_keep_one(session, ctx, verdict, origin, own) for verdict in found)
    if any(one.is_new and one.verdict.refused for one in kept):
        _forget_refused(session)
    return kept


def cap_row(session: Session, name: str) -> CapAlert:
    """Raises Refused(not_found)."""
    row = session.get(CapAlert, name)
    if row is None:
        raise Refused("not_found", field="cap", value=name[:64])
    return row


def asked_of(session: Session, alerts: Iterable[str]) -> dict[str, CapAlert]:
    """Alerts of ours whose source wants them cancelled → the first Cancel that says so."""
    wanted = set(alerts)
    if not wanted:
        return {}
    rows = session.exec(
        select(CapAlert).where(CapAlert.state == "cancel_asked").order_by(col(CapAlert.received_at), col(CapAlert.id))
    )
    found: dict[str, CapAlert] = {}
    for row in rows:
        for one in wanted & set(row.before) - set(row.withdrew):
            found.setdefault(one, row)
    return found


def waiting(session: Session) -> list[str]:
    """Ids of what is to be composed and is not; what failed before comes after the rest."""
    query = select(CapAlert.id).where(CapAlert.state == "waiting")
    return list(session.exec(query.order_by(col(CapAlert.trouble) != "", col(CapAlert.received_at))))


def is_untried(session: Session) -> bool:
    """Whether something waits that was never tried."""
    query = select(CapAlert.id).where(CapAlert.state == "waiting", CapAlert.trouble == "")
    return session.exec(query.limit(1)).first() is not None


def updates_of(session: Session, row: CapAlert) -> list[str]:
    """Of the alerts that it names, those of ours that are released and that it takes the place of, of its own kind; and
    what it put out itself, which had been worded beforehand."""
    kind = 1 if row.kind == "live" else 2
    found = [session.get(Alert, one) for one in {*row.before, *put_out_by(session, [row.id])}]
    return sorted(one.id for one in found if one is not None and one.status == "released" and one.kind == kind)


def was_composed(session: Session, ctx: Context, name: str, alert: str) -> tuple[str, ...]:
    """Note what was composed of it; what it takes the place of and nobody released is withdrawn: those alerts."""
    row = cap_row(session, name)
    if row.trouble == "cap_over":  # taken back while it was being spoken
        row.alert = alert
        session.add(row)
        _end(session, ctx, session.get_one(Alert, alert), f"{row.msg_type} {row.id}")
        return (alert,)
    row.alert, row.state, row.trouble = alert, "composed", ""
    row.before = _ours(session, row.refs)
    withdrawn = _withdraw(session, ctx, row, [one for one in row.before if one != alert])
    row.withdrew = [*withdrawn]
    session.add(row)
    _stop_waiting(session, row)
    note_deed(session, ctx, "compose_from", "cap", row.id, detail=f"{alert} {row.sender} {row.identifier}"[:200])
    return withdrawn


def was_not_composed(session: Session, name: str, state: str, trouble: str) -> None:
    """Note why nothing was composed of it."""
    row = cap_row(session, name)
    row.state, row.trouble = state, trouble
    session.add(row)


def settle(session: Session, ctx: Context, name: str) -> CapAlert:
    """People looked at what a source asks and decided: it is not shown as asked any more."""
    row = cap_row(session, name)
    if row.state == "cancel_asked":
        row.state = "done"
        session.add(row)
        note_deed(session, ctx, "settle", "cap", row.id, detail=row.title)
    return row


def _remembered(session: Session, verdicts: Iterable[Verdict]) -> dict[Name, Digest]:
    names = {name_key(one.alert.name): one.alert.name for one in verdicts if one.alert is not None and not one.refused}
    keys, found = list(names), {}
    for start in range(0, len(keys), 500):
        part = col(CapAlert.name_key).in_(keys[start : start + 500])
        for key, digest in session.exec(select(CapAlert.name_key, CapAlert.digest).where(part)):
            found[names[str(key)]] = Digest(digest)
    return found


def _keep_one(session: Session, ctx: Context, verdict: Verdict, origin: Origin, own: str) -> Kept:
    if verdict.element is None:
        return Kept(verdict, None)
    message = verdict.alert
    xml = verdict.xml
    xml_sha256 = hashlib.sha256(xml).hexdigest()
    before = _known_row(session, verdict, xml_sha256)
    if before is not None:
        return Kept(verdict, before.id, alert=before.alert)
    row = _row(ctx, verdict, origin, _ref_keys(session, message), xml, xml_sha256)
    session.add(row)
    session.flush()
    if message is None or verdict.refused:
        return Kept(verdict, row.id, is_new=True)
    note_deed(session, ctx, "receive", "cap", row.id, detail=f"{row.sender} {row.identifier} {row.signature}"[:200])
    if own and message.sender == own:
        row.trouble = "cap_own"
        session.add(row)
        return Kept(verdict, row.id, is_new=True)
    row.before = _ours(session, row.refs)
    if message.msg_type is MsgType.CANCEL:
        return _cancelled(session, ctx, row, verdict)
    row.state, row.trouble = _first_state(session, row, verdict)
    session.add(row)
    return Kept(verdict, row.id, is_new=True, waits=row.state == "waiting")


def _known_row(session: Session, verdict: Verdict, xml_sha256: str) -> CapAlert | None:
    """Where it is kept already: by its name and content, whatever is to be said of it today; or, for what is refused,
    by its very bytes and the same verdict.
    """
    if verdict.alert is not None:
        named = session.exec(select(CapAlert).where(CapAlert.name_key == name_key(verdict.alert.name))).first()
        if named is not None and named.digest == content_digest(verdict.alert):
            return named
    if verdict.refused:
        query = select(CapAlert).where(
            CapAlert.xml_sha256 == xml_sha256, col(CapAlert.is_refused), CapAlert.code == verdict.code
        )
        return session.exec(query.limit(1)).first()
    return None


def _row(  # noqa: PLR0917
    ctx: Context, verdict: Verdict, origin: Origin, refs: list[str], xml: bytes, xml_sha256: str
) -> CapAlert:
    sketch, message, report = verdict.sketch, verdict.alert, verdict.signature
    accepted = message is not None and not verdict.refused
    return CapAlert(
        id=new_id(ctx.entropy).hex(),
        name_key=name_key(message.name) if message is not None and accepted else None,
        digest=content_digest(message) if message is not None else b"",
        xml=xml,
        xml_sha256=xml_sha256,
        source=origin.source,
        is_expected=sketch.sender in origin.senders,
        sender=sketch.sender,
        identifier=sketch.identifier,
        sent=None if message is None else message.sent,
        version=sketch.version,
        status=sketch.status,
        msg_type=sketch.msg_type,
        code=verdict.code,
        field=(verdict.problem.field or "")[:200] if verdict.problem else "",
        is_refused=verdict.refused,
        kind=str(verdict.kind or ""),
        signature=str(report.state) if report else "",
        signer=report.signer if report else "",
        title=_title(message),
        expires_at=_storable(verdict.expires),
        areas=_areas(verdict),
        refs=refs,
        received_at=ctx.now,
        received_by=ctx.account,
        origin="feed" if origin.fetched else ctx.origin,
    )


def _ref_keys(session: Session, message: CapMessage | None) -> list[str]:
    """`name_key` of each alert that it names; by the short form of CAP 1.0, of those that we know."""
    keys: dict[str, None] = {}
    if message is None:
        return []
    for one in message.references:
        if one.sent is not None:
            keys[name_key((one.sender, one.identifier, one.sent))] = None
            continue
        query = select(CapAlert.name_key).where(
            CapAlert.identifier == one.identifier, CapAlert.sender == (one.sender or message.sender)
        )
        keys |= dict.fromkeys(key for key in session.exec(query.limit(20)) if key is not None)
    return list(keys)


def _storable(instant: int | None) -> int | None:
    return None if instant is None else max(-(2**62), min(instant, 2**62))


def _title(message: CapMessage | None) -> str:
    if message is None or not message.infos:
        return ""
    first = next((one for one in message.infos if one.language.casefold().startswith("vi")), message.infos[0])
    text = " ".join((first.headline or first.event).split())
    return "".join(one for one in text if one.isprintable())[:200]


def _areas(verdict: Verdict) -> dict[str, object]:
    if verdict.areas is None:
        return {}
    said = asdict(verdict.areas)
    return {
        "matched": [str(one) for one in said["matched"]],
        "named": [
            {"description": one["description"][:500], "proposed": [str(path) for path in one["proposed"]]}
            for one in said["named"][:50]
        ],
        "elsewhere": [one[:500] for one in said["elsewhere"][:50]],
        "unplaced": said["unplaced"],
        "unknown": [one[:200] for one in said["unknown"][:50]],
    }


def _first_state(session: Session, row: CapAlert, verdict: Verdict) -> tuple[str, str]:
    """State, and why nothing is composed of it."""
    if row.kind == "test":
        return "kept", ""
    later = _spoken_of(session, row)
    if later is not None:
        return "kept", "cap_over"
    if verdict.areas is None or not verdict.areas.matched:
        return "needs_area", ""
    return "waiting", ""


def is_spoken_of(session: Session, row: CapAlert) -> bool:
    """Whether its source has taken it back or replaced it."""
    return _spoken_of(session, row) is not None


def _spoken_of(session: Session, row: CapAlert) -> CapAlert | None:
    """A Cancel or Update that came before the alert that it is about."""
    if row.name_key is None:
        return None
    named = cast(col(CapAlert.refs), String).like(f'%"{row.name_key}"%')
    rows = session.exec(select(CapAlert).where(named, ~col(CapAlert.is_refused), CapAlert.id != row.id))
    return next((one for one in rows if may_speak_of(_standing(one), _standing(row))), None)


def _standing(row: CapAlert) -> Standing:
    return Standing(
        sender=row.sender,
        source=row.source,
        kind=row.kind,
        verified=row.signature == SignatureState.VERIFIED,
        fetched=row.origin == "feed" and row.is_expected,
    )


def _ours(session: Session, refs: Sequence[str]) -> list[str]:
    """What was composed of the alerts with these names, and of those that these took the place of."""
    rows = _spoken_about(session, refs)
    return sorted(
        {*(row.alert for row in rows if row.alert is not None), *put_out_by(session, [row.id for row in rows])}
    )


def put_out_by(session: Session, caps: Sequence[str]) -> list[str]:
    """Alerts of ours that had been approved beforehand and went out by these."""
    return list(session.exec(select(Alert.id).where(col(Alert.released_by_cap).in_(caps)))) if caps else []


def _spoken_about(session: Session, refs: Sequence[str]) -> list[CapAlert]:
    """The alerts with these names, and what those name, and so on: many an Update names its predecessor alone."""
    found: dict[str, CapAlert] = {}
    wanted = list(refs)
    while wanted and len(found) < MOST_FOLLOWED:
        query = select(CapAlert).where(col(CapAlert.name_key).in_(wanted[:500])).order_by(col(CapAlert.id))
        fresh = [row for row in session.exec(query) if row.name_key not in found]
        found |= {str(row.name_key): row for row in fresh}
        wanted = sorted({key for row in fresh for key in row.refs} - found.keys())
    return list(found.values())


def _cancelled(session: Session, ctx: Context, row: CapAlert, verdict: Verdict) -> Kept:
    """What it takes back: withdrawn where nobody released it yet, asked of people where they did."""
    if row.kind == "test":
        row.state = "kept"
        session.add(row)
        return Kept(verdict, row.id, is_new=True)
    _stop_waiting(session, row)
    withdrawn = _withdraw(session, ctx, row, row.before)
    left = [session.get(Alert, one) for one in row.before]
    asked = [
        one.id for one in left
        if one is not None and one.kind == (1 if row.kind == "live" else 2) and one.status in ("composed", "released")
    ]  # fmt: skip
    row.withdrew, row.state = [*withdrawn], "cancel_asked" if asked else "done"
    session.add(row)
    return Kept(verdict, row.id, is_new=True, withdrawn=withdrawn, asked=tuple(asked))


def _stop_waiting(session: Session, later: CapAlert) -> None:
    """What is not composed yet need not be any more."""
    for row in _spoken_about(session, later.refs):
        if row.state in ("waiting", "needs_area") and may_speak_of(_standing(later), _standing(row)):
            row.state, row.trouble = "kept", "cap_over"
            session.add(row)


def _withdraw(session: Session, ctx: Context, later: CapAlert, alerts: Sequence[str]) -> tuple[str, ...]:
    """Take back what nobody released, where this source's word is enough for that."""
    done = []
    for name in alerts:
        alert = session.get(Alert, name)
        earlier = session.exec(select(CapAlert).where(CapAlert.alert == name)).first()
        if alert is None or earlier is None or alert.status != "composed":
            continue
        if not may_speak_of(_standing(later), _standing(earlier)):
            continue
        _end(session, ctx, alert, f"{later.msg_type} {later.id}")
        done.append(name)
    return tuple(done)


def _end(session: Session, ctx: Context, alert: Alert, why: str) -> None:
    alert.status, alert.ended_by, alert.ended_at = "withdrawn", ctx.account, ctx.now
    session.add(alert)
    note_deed(session, ctx, "withdraw", "alert", alert.id, detail=why)


def _forget_refused(session: Session) -> None:
    query = select(CapAlert.id).where(col(CapAlert.is_refused)).order_by(col(CapAlert.received_at).desc())
    gone = list(session.exec(query.offset(MOST_REFUSED).limit(500)))
    if gone:
        session.execute(delete(CapAlert).where(col(CapAlert.id).in_(gone)))


def made_of(session: Session, source: str) -> str | None:
    """The alert of ours that was composed of this source already, where noting that was cut short."""
    return session.exec(select(Alert.id).where(Alert.source == source).limit(1)).first()
