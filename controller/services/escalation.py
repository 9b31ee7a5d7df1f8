"""Escalation: steps that the province sets, addresses that are kept sealed, notices that wait in the tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller import escalating
from controller.escalating import StepRule
from controller.ladder import Place
from controller.ladder_words import place_words
from controller.permissions import Permission
from controller.sealing import Sealing
from controller.services.boards import Board
from controller.services.context import Context, note_deed
from controller.services.looked_at import content_hash, demand_looked_at
from controller.tables import Alert, AlertEscalation, EscalationStep, Notice, NoticeAddress
from loa.errors import Refused
from loa.precedence import Kind
from loa.units import InstantMs


@dataclass(frozen=True)
class StepForm:
    """One step as the province sets it."""

    rule: StepRule
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class DueNotice:
    """A notice to be delivered now, with its address in the clear: never to be stored or shown."""

    id: str
    title: str
    body: str
    sealed: bytes
    address: str
    attempts: int
    over: bool = False
    """Its alert was taken back or replaced meanwhile: nobody is to be told of it any more."""


# What the province sets


def add_address(session: Session, ctx: Context, *, name: str, url: str, shown: str, sealing: Sealing) -> NoticeAddress:
    """Keep an address that was checked; only `shown` is shown from here on. Raises Refused(too_many, not_permitted)."""
    ctx.demand(Permission.SETTINGS_MANAGE, ctx.province)
    if len(addresses(session)) >= escalating.MOST_ADDRESSES:
        raise Refused("too_many", field="url", limit=escalating.MOST_ADDRESSES)
    made = ctx.entropy(8).hex()
    row = NoticeAddress(
        id=made, name=name.strip(), shown=shown, sealed=sealing.seal(url.encode(), f"notice {made}", ctx.entropy),
        created_by=ctx.account, created_at=ctx.now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    note_deed(session, ctx, "add", "notice_address", made, detail=f"{row.name} {shown}")
    return row


def addresses(session: Session) -> list[NoticeAddress]:
    """Those in use, by name."""
    query = select(NoticeAddress).where(col(NoticeAddress.removed_at).is_(None))
    return list(session.exec(query.order_by(NoticeAddress.name, NoticeAddress.id)))


def address_named(session: Session, name: str, *, field: str = "address") -> NoticeAddress:
    """Raises Refused(not_found)."""
    row = session.get(NoticeAddress, name)
    if row is None or row.removed_at is not None:
        raise Refused("not_found", field=field, value=name[:64])
    return row


def remove_address(session: Session, ctx: Context, name: str) -> None:
    """Its secret is wiped; steps do not tell it any more. Raises Refused(not_found, not_permitted)."""
    ctx.demand(Permission.SETTINGS_MANAGE, ctx.province)
    row = address_named(session, name)
    row.removed_at, row.sealed = ctx.now, b""
    session.add(row)
    for step in steps(session):
        step.addresses = [one for one in step.addresses if one != name]
        session.add(step)
    for notice in session.exec(select(Notice).where(Notice.address == name, col(Notice.next_at).is_not(None))):
        notice.next_at, notice.trouble = None, "the address was removed"
        session.add(notice)
    note_deed(session, ctx, "remove", "notice_address", name, detail=row.name)


def steps(session: Session) -> list[EscalationStep]:
    """In their order."""
    return list(session.exec(select(EscalationStep).order_by(col(EscalationStep.place))))


def hash_of_steps(rows: Sequence[EscalationStep]) -> str:
    """By which whoever changes them says what they looked at; "" of none."""
    return content_hash([[*vars(_rule_of(row)).items(), sorted(row.addresses)] for row in rows])


def set_steps(
    session: Session, ctx: Context, forms: Sequence[StepForm], *, seen: str | None = None
) -> list[EscalationStep]:
    """Replace the province's list. A step that stays as it was keeps its id, so that it is not told twice of an alert.

    seen: the hash of what was looked at; None where nobody asks.
    Raises Refused(too_many, not_found, field_required, not_permitted, content_changed).
    """
    ctx.demand(Permission.SETTINGS_MANAGE, ctx.province)
    demand_looked_at(seen, hash_of_steps(steps(session)))
    if len(forms) > escalating.MOST_STEPS:
        raise Refused("too_many", field="steps", limit=escalating.MOST_STEPS)
    before = {(_rule_of(row), tuple(row.addresses)): row.id for row in steps(session)}
    for row in steps(session):
        session.delete(row)
    session.flush()
    for place, form in enumerate(forms):
        field = f"steps.{place}"
        if form.rule.below_percent is None and not form.rule.village_unreached:
            raise Refused("field_required", field=f"{field}.below_percent")
        if not form.addresses:
            raise Refused("field_required", field=f"{field}.addresses")
        for name in form.addresses:
            address_named(session, name, field=f"{field}.addresses")
        kept = before.pop((form.rule, form.addresses), None)
        session.add(
            EscalationStep(
                id=kept or ctx.entropy(8).hex(), place=place, after_s=form.rule.after_s,
                below_percent=form.rule.below_percent, village_unreached=form.rule.village_unreached,
                drills=form.rule.drills, addresses=list(form.addresses),
            )
        )  # fmt: skip
    session.flush()
    note_deed(session, ctx, "set", "escalation", "steps", detail="; ".join(_in_short(form.rule) for form in forms))
    return steps(session)


def _rule_of(row: EscalationStep) -> StepRule:
    return StepRule(
        after_s=row.after_s, below_percent=row.below_percent, village_unreached=row.village_unreached,
        drills=row.drills,
    )  # fmt: skip


def _in_short(rule: StepRule) -> str:
    few = f"< {rule.below_percent} %" if rule.below_percent is not None else ""
    village = "a village unreached" if rule.village_unreached else ""
    return f"{rule.after_s} s: {' or '.join(one for one in (few, village) if one)}"


# As time goes by


def next_step_at(session: Session, board: Board) -> InstantMs | None:
    """When the next step is due for this alert; one that was missed is due in the past."""
    instants = [_rule_of(row).due_at(_began(board)) for row in _coming(session, board)]
    return min(instants, default=None)


def escalate(session: Session, ctx: Context, board: Board) -> int:
    """Decide what is due: once a step, whatever is restarted; how many notices that makes."""
    count = 0
    for row in _coming(session, board):
        rule = _rule_of(row)
        if rule.due_at(_began(board)) > ctx.now:
            continue
        told = rule.wanted(board.totals, board.places)
        session.add(
            AlertEscalation(
                alert=board.alert.id, step=row.id, at=ctx.now, told=told, reached=board.totals.reached,
                nodes=board.totals.nodes, villages_unreached=len(escalating.unreached(board.places)),
            )
        )  # fmt: skip
        if told:
            count += _tell(session, ctx, board, row)
    session.flush()
    return count


def escalations_of(session: Session, alert: str) -> list[AlertEscalation]:
    """What came due for an alert, in order."""
    query = select(AlertEscalation).where(AlertEscalation.alert == alert)
    return list(session.exec(query.order_by(col(AlertEscalation.at), AlertEscalation.step)))


def _began(board: Board) -> int:
    return board.alert.released_at or board.broadcast.created_at


def _coming(session: Session, board: Board) -> list[EscalationStep]:
    """Steps that apply and were not decided yet; none of an alert that is over."""
    if board.closed is not None or board.facts.recalled or board.facts.expires_at <= board.facts.now:
        return []
    decided = {one.step for one in escalations_of(session, board.alert.id)}
    drill = board.alert.kind == int(Kind.DRILL)
    return [row for row in steps(session) if row.id not in decided and _rule_of(row).applies(drill=drill)]


def _tell(session: Session, ctx: Context, board: Board, step: EscalationStep) -> int:
    title, body = words_of(board, step.after_s)
    for address in step.addresses:
        queue(session, ctx, address, title, body, alert=board.alert.id)
    totals = board.totals
    note_deed(
        session, ctx, "escalate", "alert", board.alert.id,
        detail=f"after {step.after_s} s {totals.reached} of {totals.nodes} nodes reached: {len(step.addresses)} told",
    )  # fmt: skip
    return len(step.addresses)


def words_of(board: Board, after_s: int) -> tuple[str, str]:
    """Title and body of a notice, Vietnamese first."""
    totals, silent = board.totals, escalating.unreached(board.places)
    drill = board.alert.kind == int(Kind.DRILL)
    mark = "[DIỄN TẬP / DRILL]" if drill else "[KHẨN CẤP / EMERGENCY]"
    title = f"{mark} {board.alert.title}: {totals.reached}/{totals.nodes} loa đã phát, {len(silent)} thôn chưa nghe"
    lines = [
        f"Cảnh báo: {board.alert.title} ({board.alert.id[:12]})",
        f"Sau {after_s} giây: {totals.reached} trên {totals.nodes} bộ thu đã phát, {len(silent)} thôn chưa nghe.",
        *(f"- {one.name} ({one.population or '?'} người): {place_words(one, 'vi')}" for one in _first(silent)),
        "",
        f"Alert: {board.alert.title} ({board.alert.id[:12]}){' - A DRILL' if drill else ''}",
        f"After {after_s} s {totals.reached} of {totals.nodes} nodes sounded; {len(silent)} villages heard nothing.",
        *(f"- {one.name} ({one.population or '?'} people): {place_words(one, 'en')}" for one in _first(silent)),
    ]
    return title, "\n".join(lines)


def _first(places: Sequence[Place]) -> Sequence[Place]:
    return places[: escalating.MOST_VILLAGES_TOLD]


# Notices


def queue(
    session: Session, ctx: Context, address: str, title: str, body: str, *, alert: str | None, waits: bool = True
) -> str:
    """A notice to be delivered as soon as possible; its id. waits: False where whoever asks delivers it now."""
    made = ctx.entropy(16).hex()
    next_at = ctx.now if waits else None
    session.add(
        Notice(id=made, alert=alert, address=address, title=title, body=body, created_at=ctx.now, next_at=next_at)
    )
    session.flush()
    return made


def due_notices(session: Session, now: int, *, limit: int = 20) -> tuple[DueNotice, ...]:
    """Those to be tried now, the oldest first."""
    query = (
        select(Notice, NoticeAddress, Alert.status)
        .join(NoticeAddress, col(NoticeAddress.id) == col(Notice.address))
        .outerjoin(Alert, col(Alert.id) == col(Notice.alert))
        .where(col(Notice.next_at) <= now)
        .order_by(col(Notice.next_at))
        .limit(limit)
    )
    return tuple(
        DueNotice(
            row.id, row.title, row.body, address.sealed, address.id, row.attempts, status in ("cancelled", "updated")
        )
        for row, address, status in session.exec(query)
    )


def next_notice_at(session: Session) -> InstantMs | None:
    found = session.exec(
        select(Notice.next_at).where(col(Notice.next_at).is_not(None)).order_by(col(Notice.next_at)).limit(1)
    ).first()
    return None if found is None else InstantMs(found)


def drop_notice(session: Session, ctx: Context, notice: str) -> None:
    """It is not told any more: its alert is over."""
    row = session.get(Notice, notice)
    if row is not None and row.next_at is not None:
        row.next_at, row.trouble = None, "the alert is over"
        session.add(row)
        note_deed(session, ctx, "notice_failed", "alert", row.alert or "", detail=f"to {row.address}: {row.trouble}")


def note_delivery(session: Session, ctx: Context, notice: str, trouble: str) -> None:
    """What became of an attempt; trouble "": it was delivered. Each end is in the record."""
    row = session.get(Notice, notice)
    if row is None or row.sent_at is not None:
        return
    row.attempts += 1
    row.trouble = trouble[:500]
    if not trouble:
        row.sent_at, row.next_at = ctx.now, None
    elif row.alert is None or row.attempts >= escalating.GIVE_UP_AFTER:
        row.next_at = None
    else:
        row.next_at = ctx.now + escalating.wait_ms(row.attempts)
    session.add(row)
    if row.next_at is None:
        verb = "notice_sent" if row.sent_at else "notice_failed"
        kind, object_id = ("alert", row.alert) if row.alert else ("notice_address", row.address)
        detail = f"to {row.address}, attempt {row.attempts}{f': {row.trouble}' if trouble else ''}"
        note_deed(session, ctx, verb, kind, object_id, detail=detail)


def notices_of(session: Session, alert: str) -> list[tuple[Notice, NoticeAddress]]:
    """Who was told of an alert, in order."""
    query = (
        select(Notice, NoticeAddress)
        .join(NoticeAddress, col(NoticeAddress.id) == col(Notice.address))
        .where(Notice.alert == alert)
        .order_by(col(Notice.created_at), Notice.id)
    )
    return list(session.exec(query))
