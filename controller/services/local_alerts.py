"""What was sounded by local input, as nodes tell of it: an alert like any other, which the centre may end.

Nobody at the centre was asked. The row is made from the first signed receipt that a node took the order; what it says
of itself (who, where, which stored message) is the node's word, judged there by the roots' signature.
"""

import hashlib
from collections.abc import Sequence

from sqlalchemy import insert, literal
from sqlalchemy import select as sa_select
from sqlmodel import Session, col

from controller.services.alerts import fixed_words
from controller.services.chain import append
from controller.tables import Alert, Area, Broadcast, BroadcastNode, Node
from devices.protocol.alerts import AlertAction, AlertBody
from devices.protocol.envelope import encode
from devices.protocol.local import LocalMark
from devices.protocol.refusal import Malformed
from devices.protocol.reports import Receipt
from loa.errors import Fault
from loa.precedence import Kind, Precedence
from loa.units import Id16, InstantMs

LOCAL = "local"
"""Where such a deed came from, in the record."""


def take_local(session: Session, receipts: Sequence[Receipt], now: InstantMs) -> tuple[str, ...]:
    """Write down what these receipts tell of local input; ids of the alerts that are new or ended by it.

    Any order of receipts and any number of repeats give the same.
    """
    changed = []
    for receipt in sorted((one for one in receipts if one.local is not None), key=lambda one: one.at):
        mark, subject = receipt.local, receipt.subject
        if mark is None or subject is None or not _may_tell(session, receipt, mark):
            continue
        if mark.ends is not None:
            changed += _end(session, receipt, mark, mark.ends, now)
        elif session.get(Broadcast, subject.hex()) is None and session.get(Alert, subject.hex()) is None:
            if not _write(session, receipt, mark, subject, now):
                continue
            changed.append(subject.hex())
        _expect(session, (mark.ends or subject).hex(), receipt.node)
    session.flush()
    return tuple(dict.fromkeys(changed))


def _may_tell(session: Session, receipt: Receipt, mark: LocalMark) -> bool:
    """A node tells of its own place: one that lies makes no alert of another commune's."""
    node = session.get(Node, receipt.node)
    return node is not None and mark.area.covers(node.area) and session.get(Area, mark.area) is not None


def _bodies(receipt: Receipt, mark: LocalMark, subject: Id16) -> tuple[AlertBody, AlertBody]:
    """The alert, and the cancel that would end it. Raises Malformed where no node would have taken such an order."""
    began = InstantMs(min(receipt.at, max(0, mark.expires_at - 1)))
    body = AlertBody(
        id=subject, kind=mark.kind, areas=(mark.area,), siren=mark.siren or 1, repeats=mark.repeats,
        not_before=began, expires_at=mark.expires_at, composed_at=began,
    )  # fmt: skip
    cancel = AlertBody(
        id=Id16(hashlib.sha256(b"cancel" + subject).digest()[:16]), action=AlertAction.CANCEL, kind=mark.kind,
        areas=(mark.area,), not_before=began, expires_at=InstantMs(mark.expires_at + 300_000),
        references=(subject,), composed_at=began,
    )  # fmt: skip
    return body, cancel


def _write(session: Session, receipt: Receipt, mark: LocalMark, subject: Id16, now: InstantMs) -> bool:
    """False for what cannot have been: a node that lies makes no alert, and no trouble for what others tell."""
    try:
        body, cancel = _bodies(receipt, mark, subject)
        data, ending = encode(body), encode(cancel)
    except (Malformed, Fault):
        return False
    who, began = f"{LOCAL}:{mark.holder}", body.not_before
    title = f"Phát tại chỗ: {mark.holder}"
    session.add(
        Alert(
            id=subject.hex(), kind=int(mark.kind), title=title, area=mark.area, target_areas=[mark.area],
            status="released", composed_by=who, composed_at=began, released_at=began, expires_at=mark.expires_at,
            body=data, cancel_body=ending, sole=mark.holder,
        )
    )  # fmt: skip
    session.add(
        Broadcast(
            id=subject.hex(), scheduled=False, title=title, area=mark.area, target_areas=[mark.area],
            precedence=int(Precedence.EMERGENCY), kind=int(mark.kind), start_at=began,
            duration_ms=mark.expires_at - began, expires_at=mark.expires_at, repeats=mark.repeats,
            status="issued" if mark.expires_at > now else "ended", created_by=who, created_at=now,
        )
    )  # fmt: skip
    session.flush()
    detail = fixed_words(body, data, title)
    append(session, at=now, account=who, verb="compose", object_kind="alert", object_id=subject.hex(), detail=detail,
           origin=LOCAL, key=mark.key)  # fmt: skip
    drill = " drill" if mark.kind is Kind.DRILL else ""
    append(session, at=now, account=who, verb="sound_locally", object_kind="alert", object_id=subject.hex(),
           detail=f"stored message {mark.siren}{drill} in {mark.area}, told by {receipt.node}", origin=LOCAL,
           key=mark.key)  # fmt: skip
    return True


def _end(session: Session, receipt: Receipt, mark: LocalMark, subject: Id16, now: InstantMs) -> list[str]:
    row, sent = session.get(Alert, subject.hex()), session.get(Broadcast, subject.hex())
    if row is None or sent is None or row.status != "released" or not row.composed_by.startswith(f"{LOCAL}:"):
        return []
    if not mark.area.covers(row.area):  # a station ends what is of its own commune
        return []
    who = f"{LOCAL}:{mark.holder}"
    row.status, row.ended_by, row.ended_at = "cancelled", who, receipt.at
    sent.status, sent.recalled_by, sent.recalled_at = "recalled", who, receipt.at
    session.add(row)
    session.add(sent)
    append(session, at=now, account=who, verb="stop_locally", object_kind="alert", object_id=row.id,
           detail=f"told by {receipt.node}", origin=LOCAL, key=mark.key)  # fmt: skip
    return [row.id]


def _expect(session: Session, alert: str, node: str) -> None:
    """It was meant for the nodes on that node's line: those that say nothing are to be seen too."""
    row, told = session.get(Node, node), session.get(Alert, alert)
    if row is None or told is None or not told.composed_by.startswith(f"{LOCAL}:"):
        return
    held = sa_select(col(BroadcastNode.node)).where(
        col(BroadcastNode.broadcast) == alert, col(BroadcastNode.node) == col(Node.id)
    )
    there = col(Node.id) == node if row.station is None else col(Node.station) == row.station
    rows = sa_select(literal(alert), col(Node.id), literal("waiting"), literal(0)).where(
        there, col(Node.retired_at).is_(None), ~held.exists()
    )
    session.connection().execute(insert(BroadcastNode).from_select(["broadcast", "node", "outcome", "cause"], rows))
