"""Enrolments: a box with a label makes itself known, a technician confirms it, only then is there a node."""

from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.sealing import Sealing
from controller.services import broker_logins, nodes
from controller.services.context import Changed, Context, note_deed
from controller.services.labels import take_label, use_up
from controller.services.sight import nodes_seen
from controller.tables import Enrolment, Node
from devices.protocol.enrolment import (
    Decision,
    EnrolmentState,
    Hello,
    Question,
    Welcome,
    broker_password,
    check_mac,
    commit,
    comparison_code,
    mac,
    session_key,
)
from devices.protocol.label import label_name, read_label_name
from loa.errors import Refused
from loa.units import InstantMs, NodeId

MOST_WRONG_CODES = 3
PENDING_MS = 7 * 86_400_000
"""A box that nobody confirmed in this time is forgotten: its label has served."""


@dataclass(frozen=True)
class BrokerForBoxes:
    """What a confirmed box is told: where the broker is, and whose certificates it takes (PEM; empty without TLS)."""

    url: str = ""
    authority: str = ""


@dataclass(frozen=True)
class EnrolmentView:
    """A box that wants in. `code` is None until the box has told its nonce, a moment after it began."""

    id: str
    label: str
    public_key: bytes
    code: str | None
    state: str
    origin: str
    node: NodeId | None
    begun_at: InstantMs
    decided_at: InstantMs | None
    decided_by: str | None


class Verdict(StrEnum):
    """What became of a confirmation."""

    CONFIRMED = "confirmed"
    WRONG_CODE = "wrong_code"
    REJECTED = "rejected"
    """The third wrong code."""


@dataclass(frozen=True)
class Confirmation:
    """What a technician decides. Either `name` and `area`, or `replaces`: the node whose box this one takes over."""

    code: str
    name: str = ""
    area: str = ""
    description: str = ""
    station: str | None = None
    bus_address: int = 0
    replaces: str | None = None


def begin(
    session: Session, ctx: Context, sealing: Sealing, hello: Hello, given: bytes, *, roots: bytes, origin: str = ""
) -> tuple[Welcome, bytes]:
    """A box says hello; the welcome with its MAC. The same again gets the same.

    Raises Refused(enrolment_forged) where the MAC does not hold or there is no such label, Refused(label_used).
    """
    name = label_name(hello.label)
    known = session.exec(select(Enrolment).where(Enrolment.label == name)).first()
    if known is not None:
        if _hello(known) != hello or known.mac != given:
            raise Refused("label_used", field="label", value=name)
        return _welcome(known), known.welcome_mac
    key = take_label(session, ctx, sealing, name)
    # A label that is not there takes as long as a wrong MAC, and is told apart by nobody.
    check_mac(given, key if key is not None else ctx.entropy(32), hello.said())
    if key is None:
        raise Refused("enrolment_forged", field="label")
    own = X25519PrivateKey.from_private_bytes(ctx.entropy(32))
    welcome = Welcome(ctx.entropy(16), own.public_key().public_bytes_raw(), ctx.entropy(16), roots)
    key = session_key(key, own, hello, welcome)
    row = Enrolment(
        id=welcome.enrolment.hex(), label=name, public_key=hello.public_key, exchange=hello.exchange,
        commitment=hello.commitment, mac=given, own_exchange=welcome.exchange, own_nonce=welcome.nonce, roots=roots,
        welcome_mac=mac(key, hello.said(), welcome.said()),
        sealed_session=sealing.seal(key, welcome.enrolment.hex(), ctx.entropy), origin=origin[:64], begun_at=ctx.now,
    )  # fmt: skip
    use_up(session, ctx, name)
    session.add(row)
    session.flush()
    note_deed(session, ctx, "begin", "enrolment", row.id, detail=f"label {name} from {origin}")
    return welcome, row.welcome_mac


def answer(
    session: Session, ctx: Context, sealing: Sealing, question: Question, given: bytes, *, broker: BrokerForBoxes
) -> tuple[Decision, bytes, bool]:
    """How an enrolment stands, with its MAC; and whether the box told its nonce for the first time (to be committed).

    Raises Refused(enrolment_forged), also where there is no such enrolment.
    """
    row = session.get(Enrolment, question.enrolment.hex())
    if row is None:
        raise Refused("enrolment_forged", field="enrolment")
    key = sealing.open(row.sealed_session, row.id)
    check_mac(given, key, question.said())
    if commit(question.nonce) != row.commitment:
        raise Refused("enrolment_forged", field="nonce")
    first = row.nonce is None
    if first:
        row.nonce = question.nonce
        session.add(row)
        session.flush()
    decision = _decision(session, row, broker, ctx.now)
    return decision, mac(key, question.said(), decision.said()), first


def _decision(session: Session, row: Enrolment, broker: BrokerForBoxes, now: InstantMs) -> Decision:
    if row.state == EnrolmentState.PENDING and row.begun_at <= now - PENDING_MS:
        return Decision(EnrolmentState.REJECTED)
    if row.state != EnrolmentState.CONFIRMED or row.node is None:
        return Decision(EnrolmentState(row.state))
    node = session.get_one(Node, row.node)
    if node.public_key != row.public_key:  # another box took its place since
        return Decision(EnrolmentState.REJECTED)
    if node.station is not None:
        return Decision(EnrolmentState.CONFIRMED, node.id, node.area, at=now)
    return Decision(EnrolmentState.CONFIRMED, node.id, node.area, broker.url, broker.authority, now)


def confirm(
    session: Session, ctx: Context, sealing: Sealing, id: str, wanted: Confirmation  # noqa: A002
) -> Changed[tuple[Verdict, NodeId | None]]:  # fmt: skip
    """A technician has compared the codes. A wrong one counts, and the third rejects the box: commit what is returned.

    Raises Refused(not_found, enrolment_over, enrolment_not_ready) and what nodes.enrol_node or nodes.replace_box raise.
    """
    row = _row(session, id)
    _check_pending(row, ctx.now)
    code = _code(row)
    if code is None:
        raise Refused("enrolment_not_ready", field="id", value=row.id)
    if _digits(wanted.code) != _digits(code):
        row.wrong_codes += 1
        session.add(row)
        note_deed(session, ctx, "refuse", "enrolment", row.id, detail="wrong comparison code")
        if row.wrong_codes < MOST_WRONG_CODES:
            return Changed((Verdict.WRONG_CODE, None))
        _decide(session, ctx, row, EnrolmentState.REJECTED)
        return Changed((Verdict.REJECTED, None))
    if wanted.replaces is not None:
        changed = nodes.replace_box(session, ctx, id=wanted.replaces, public_key=row.public_key)
    else:
        changed = nodes.enrol_node(
            session, ctx, id=wanted.name, area=wanted.area, public_key=row.public_key,
            description=wanted.description, station=wanted.station, bus_address=wanted.bus_address,
        )  # fmt: skip
    row.node = changed.value.node
    if session.get_one(Node, row.node).station is None:
        password = broker_password(sealing.open(row.sealed_session, row.id))
        broker_logins.set_login(session, ctx, row.node, password)
    _decide(session, ctx, row, EnrolmentState.CONFIRMED)
    return Changed((Verdict.CONFIRMED, changed.value.node), changed.outgoing)


def reject(session: Session, ctx: Context, id: str) -> EnrolmentView:  # noqa: A002
    """Not our box: it is told so, and its label has served. Raises Refused(not_found, enrolment_over)."""
    row = _row(session, id)
    _check_pending(row, ctx.now)
    _decide(session, ctx, row, EnrolmentState.REJECTED)
    return _view(row)


def list_enrolments(session: Session, ctx: Context, *, decided: bool = False) -> tuple[EnrolmentView, ...]:
    """Boxes that wait for a technician, newest first; with `decided` the others too."""
    query = select(Enrolment).order_by(col(Enrolment.begun_at).desc(), col(Enrolment.id))
    if not decided:
        query = query.where(
            Enrolment.state == str(EnrolmentState.PENDING), col(Enrolment.begun_at) > ctx.now - PENDING_MS
        )
    rows = session.exec(query.limit(500)).all()
    theirs = set(session.exec(select(Node.id).where(nodes_seen(ctx, Permission.NODE_ENROL)))) if decided else set()
    return tuple(_view(row) for row in rows if row.node is None or row.node in theirs)


def enrolment(session: Session, ctx: Context, id: str) -> EnrolmentView:  # noqa: A002
    """One, by its id or its label's; of another commune's node there is none. Raises Refused(not_found)."""
    row = _row(session, id)
    node = None if row.node is None else session.get(Node, row.node)
    if node is not None and not ctx.may.may(Permission.NODE_ENROL, node.area):
        raise Refused("not_found", field="enrolment", value=id[:40])
    return _view(row)


def _row(session: Session, text: str) -> Enrolment:
    row = session.get(Enrolment, text)
    if row is None and len(text) <= 12:
        label = label_name(read_label_name(text))
        row = session.exec(select(Enrolment).where(Enrolment.label == label)).first()
    if row is None:
        raise Refused("not_found", field="enrolment", value=text[:40])
    return row


def _check_pending(row: Enrolment, now: int) -> None:
    if row.state != EnrolmentState.PENDING or row.begun_at <= now - PENDING_MS:
        raise Refused("enrolment_over", field="enrolment", value=row.id, state=row.state)


def _decide(session: Session, ctx: Context, row: Enrolment, state: EnrolmentState) -> None:
    row.state, row.decided_at, row.decided_by = str(state), ctx.now, ctx.account
    session.add(row)
    session.flush()
    verb = "confirm" if state is EnrolmentState.CONFIRMED else "reject"
    note_deed(session, ctx, verb, "enrolment", row.id, detail=f"label {row.label} node {row.node or '-'}")


def _digits(text: str) -> str:
    return "".join(symbol for symbol in text if symbol.isascii() and symbol.isdigit())


def _hello(row: Enrolment) -> Hello:
    return Hello(read_label_name(row.label), row.public_key, row.exchange, row.commitment)


def _welcome(row: Enrolment) -> Welcome:
    return Welcome(bytes.fromhex(row.id), row.own_exchange, row.own_nonce, row.roots)


def _code(row: Enrolment) -> str | None:
    return None if row.nonce is None else comparison_code(_hello(row), _welcome(row), row.nonce)


def _view(row: Enrolment) -> EnrolmentView:
    return EnrolmentView(
        row.id, row.label, row.public_key, _code(row), row.state, row.origin,
        None if row.node is None else NodeId(row.node), InstantMs(row.begun_at),
        None if row.decided_at is None else InstantMs(row.decided_at), row.decided_by,
    )  # fmt: skip
