"""Labels for boxes: made, listed, revoked. A secret is told once and kept only sealed, until its box has used it."""

from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller.sealing import Sealing
from controller.services.context import Context, note_deed
from controller.tables import EnrolmentLabel
from devices.protocol.enrolment import label_key
from devices.protocol.label import ID_BYTES, SECRET_BYTES, Label, label_name, read_label_name
from loa.errors import Refused
from loa.units import InstantMs

MOST_AT_ONCE = 500
LONGEST_DAYS = 365
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class LabelView:
    """A label as it is listed. `state`: unused, used, revoked, expired."""

    id: str
    state: str
    created_by: str
    created_at: InstantMs
    expires_at: InstantMs
    used_at: InstantMs | None


def make_labels(
    session: Session, ctx: Context, sealing: Sealing, *, count: int = 1, days: int = 90
) -> tuple[Label, ...]:
    """New labels with their secrets, which nobody can look up afterwards. Raises Refused(bad_value)."""
    if not 1 <= count <= MOST_AT_ONCE:
        raise Refused("bad_value", field="count", limit=f"1–{MOST_AT_ONCE}", reason=count)
    if not 1 <= days <= LONGEST_DAYS:
        raise Refused("bad_value", field="days", limit=f"1–{LONGEST_DAYS}", reason=days)
    made: list[Label] = []
    while len(made) < count:
        label = Label(ctx.entropy(ID_BYTES), ctx.entropy(SECRET_BYTES))
        if session.get(EnrolmentLabel, label.name) is not None:
            continue
        session.add(
            EnrolmentLabel(
                id=label.name, sealed_key=sealing.seal(label_key(label.secret), _name(label.name), ctx.entropy),
                created_by=ctx.account, created_at=ctx.now, expires_at=ctx.now + days * _DAY_MS,
            )
        )  # fmt: skip
        note_deed(session, ctx, "label", "label", label.name)
        made.append(label)
    session.flush()
    return tuple(made)


def list_labels(session: Session, ctx: Context, *, used: bool = False) -> tuple[LabelView, ...]:
    """The labels that can still be used, newest first; with `used` all of them."""
    rows = session.exec(select(EnrolmentLabel).order_by(col(EnrolmentLabel.created_at).desc(), col(EnrolmentLabel.id)))
    views = (_view(row, ctx.now) for row in rows)
    return tuple(view for view in views if used or view.state == "unused")


def revoke_label(session: Session, ctx: Context, *, id: str) -> LabelView:  # noqa: A002
    """A label that was lost: no box can use it. Raises Refused(bad_label, not_found, label_used)."""
    row = _row(session, id)
    if row.used_at is not None:
        raise Refused("label_used", field="label", value=row.id)
    if row.revoked_at is None:
        row.revoked_at, row.sealed_key = ctx.now, b""
        session.add(row)
        note_deed(session, ctx, "revoke", "label", row.id)
    return _view(row, ctx.now)


def take_label(session: Session, ctx: Context, sealing: Sealing, id: str) -> bytes | None:  # noqa: A002
    """The key of a label that can be used now; None where there is none such, revoked and overdue ones included.

    Raises Refused(label_used).
    """
    row = session.get(EnrolmentLabel, id)
    if row is None or row.revoked_at is not None or row.expires_at <= ctx.now:
        return None
    if row.used_at is not None:
        raise Refused("label_used", field="label", value=row.id)
    return sealing.open(row.sealed_key, _name(row.id))


def use_up(session: Session, ctx: Context, id: str) -> None:  # noqa: A002
    """The label has served; its key is forgotten."""
    row = session.get_one(EnrolmentLabel, id)
    row.used_at, row.sealed_key = ctx.now, b""
    session.add(row)
    session.flush()


def _row(session: Session, text: str) -> EnrolmentLabel:
    row = session.get(EnrolmentLabel, label_name(read_label_name(text)))
    if row is None:
        raise Refused("not_found", field="label", value=text[:40])
    return row


def _name(label: str) -> str:
    return f"label {label}"


def _view(row: EnrolmentLabel, now: int) -> LabelView:
    if row.used_at is not None:
        state = "used"
    elif row.revoked_at is not None:
        state = "revoked"
    else:
        state = "expired" if row.expires_at <= now else "unused"
    return LabelView(
        row.id, state, row.created_by, InstantMs(row.created_at), InstantMs(row.expires_at),
        None if row.used_at is None else InstantMs(row.used_at),
    )  # fmt: skip
