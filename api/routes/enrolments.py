"""Enrolment: labels are printed, boxes show that they have one, technicians confirm them."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BeforeValidator, Field, StrictBool
from pydantic_core import PydanticCustomError

from api.asking import CentreHere, DeskHere
from api.needs import needs
from api.problems import documented
from api.qr import qr_svg
from api.routes.nodes import NodeShown, node_shown
from api.shapes import AreaText, Asked, Hex16, NameText, Page, Shown, Text, moment, moment_or_none, whole
from controller.permissions import Open, Permission
from controller.services import enrolments, labels, nodes
from controller.services.enrolments import Confirmation, EnrolmentView
from controller.services.labels import LabelView
from devices.protocol.enrolment import Hello, Question
from devices.protocol.label import Label, centre_address, read_label_name, roots_pin
from loa.errors import Refused

router = APIRouter(prefix="/api/v1", tags=["enrolment"])


def _symbols(value: object) -> object:
    if not isinstance(value, str) or not value.isascii() or len(value) > 200:
        raise PydanticCustomError("base64_text", "base64 is wanted")
    return value


def _plain(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:  # pragma: no cover - the pattern has been looked at
        return b""


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


Bytes16 = Annotated[
    str, Field(pattern="^[A-Za-z0-9+/]{22}==$", description="16 bytes, base64"), BeforeValidator(_symbols)
]
Bytes32 = Annotated[
    str, Field(pattern="^[A-Za-z0-9+/]{43}=$", description="32 bytes, base64"), BeforeValidator(_symbols)
]
LabelName = Annotated[str, Field(pattern="^[0-9A-HJKMNP-TV-Z]{8}$", examples=["0G4A9TRM"])]
EnrolmentInPath = Annotated[Hex16, Path()]
Either = Annotated[
    str, Path(pattern="^([0-9a-f]{32}|[0-9A-HJKMNP-TV-Z]{8})$", description="An enrolment's id, or its label's")
]


class HelloAsked(Asked):
    """docs/protocol.md, Enrolment: what is inside the MACs."""

    form: Literal[1] = 1
    label: LabelName
    public_key: Bytes32
    exchange: Bytes32
    commitment: Bytes32
    mac: Bytes32


class WelcomeShown(Shown):
    form: int = 1
    enrolment: str
    exchange: str
    nonce: str
    roots: str = Field(description="The root set's CBOR, base64")
    mac: str


class QuestionAsked(Asked):
    form: Literal[1] = 1
    nonce: Bytes16
    fresh: Bytes16
    mac: Bytes32


class DecisionShown(Shown):
    form: int = 1
    state: str = Field(description="pending, confirmed, rejected")
    node: str
    area: str
    broker: str
    authority: str = Field(description="PEM; empty where the broker is reached without TLS")
    at: int = Field(description="When it is, by the centre's clock, ms since 1970: once confirmed; 0 before")
    mac: str


class NewLabels(Asked):
    count: Annotated[int, Field(ge=1, le=labels.MOST_AT_ONCE), BeforeValidator(whole)] = 1
    days: Annotated[int, Field(ge=1, le=labels.LONGEST_DAYS), BeforeValidator(whole)] = 90
    address: Annotated[str, Field(max_length=200)] = Field(
        default="", description="The centre as boxes reach it; as set (LOA_ADDRESS), or as you do, if it is empty"
    )
    drawn: StrictBool = Field(default=False, description="Draw the QR codes too")


class NewLabelShown(Shown):
    id: str
    text: str = Field(description="For the QR code. Shown this once: it is the secret")
    code: str = Field(description="For typing; the same secret")
    qr: str | None = Field(description="The QR code as SVG, where it was asked for")


class LabelShown(Shown):
    id: str
    state: str = Field(description="unused, used, revoked, expired")
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class EnrolmentShown(Shown):
    id: str
    label: str
    public_key: str
    code: str | None = Field(description="Six digits that the box shows too; compare them before confirming")
    state: str = Field(description="pending, confirmed, rejected")
    origin: str = Field(description="The address that the box came from")
    node: str | None
    begun_at: datetime
    decided_at: datetime | None
    decided_by: str | None


class Confirming(Asked):
    code: Annotated[Text, Field(max_length=20)] = Field(examples=["482 913"])
    name: NameText | None = Field(default=None, examples=["co-to-1"])
    area: AreaText | None = Field(default=None, examples=["quang-ninh/co-to"])
    description: Text = ""
    station: NameText | None = None
    bus_address: Annotated[int, Field(ge=0, le=254), BeforeValidator(whole)] = 0
    replaces: NameText | None = Field(default=None, description="The node whose box this one takes over, instead")


class PasswordShown(Shown):
    username: str
    password: str = Field(description="Shown this once")


def _label_shown(view: LabelView) -> LabelShown:
    return LabelShown(
        id=view.id, state=view.state, created_by=view.created_by, created_at=moment(view.created_at),
        expires_at=moment(view.expires_at), used_at=moment_or_none(view.used_at),
    )  # fmt: skip


def _shown(view: EnrolmentView) -> EnrolmentShown:
    return EnrolmentShown(
        id=view.id, label=view.label, public_key=view.public_key.hex(), code=view.code, state=view.state,
        origin=view.origin, node=view.node, begun_at=moment(view.begun_at), decided_at=moment_or_none(view.decided_at),
        decided_by=view.decided_by,
    )  # fmt: skip


@router.post(
    "/labels", operation_id="make_labels", status_code=201, responses=documented("csrf", "bad_centre_address")
)  # fmt: skip
@needs(Permission.NODE_ENROL)
async def make_labels(asked: NewLabels, desk: DeskHere, request: Request) -> Page[NewLabelShown]:
    """Labels with one-time secrets, to be printed and put on boxes. The secrets cannot be looked up afterwards."""
    centre = desk.centre
    address = centre_address(asked.address or centre.config.address or str(request.base_url))
    made = await desk.note(
        lambda session, ctx: labels.make_labels(
            session, ctx, centre.enrolment.sealing, count=asked.count, days=asked.days
        )
    )
    whole_ones = [
        Label(one.id, one.secret, address, request.app.state.tls_pin, roots_pin(centre.keys.roots)) for one in made
    ]
    drawn: list[str | None] = [None] * len(whole_ones)
    if asked.drawn:
        drawn = await centre.aside(lambda: [qr_svg(one.to_text()) for one in whole_ones])
    return Page(
        items=[
            NewLabelShown(id=one.name, text=one.to_text(), code=one.code, qr=qr)
            for one, qr in zip(whole_ones, drawn, strict=True)
        ]
    )


@router.get("/labels", operation_id="list_labels", responses=documented())
@needs(Permission.NODE_ENROL)
async def list_labels(
    desk: DeskHere, used: Annotated[bool, Query(description="Used, revoked and expired ones too")] = False
) -> Page[LabelShown]:
    """Labels, newest first; never their secrets."""
    views = await desk.read(lambda session, ctx: labels.list_labels(session, ctx, used=used))
    return Page(items=[_label_shown(view) for view in views])


@router.post(
    "/labels/{label}/revoke", operation_id="revoke_label", responses=documented("csrf", "not_found", "label_used")
)  # fmt: skip
@needs(Permission.NODE_ENROL)
async def revoke_label(label: Annotated[LabelName, Path()], desk: DeskHere) -> LabelShown:
    """A label that was lost: no box can use it any more."""
    return _label_shown(await desk.note(lambda session, ctx: labels.revoke_label(session, ctx, id=label)))


@router.post(
    "/enrolments",
    operation_id="begin_enrolment",
    responses=documented("enrolment_forged", "label_used", "rate_limited"),
)
@needs(Open.PUBLIC)
async def begin_enrolment(asked: HelloAsked, centre: CentreHere, request: Request) -> WelcomeShown:
    """A box with a label. Without an account: the MAC under the label's secret is what counts."""
    hello = Hello(
        read_label_name(asked.label), _plain(asked.public_key), _plain(asked.exchange), _plain(asked.commitment)
    )
    welcome, mac = await centre.enrolment.begin(hello, _plain(asked.mac), origin=_origin(request, "begin"))
    return WelcomeShown(
        enrolment=welcome.enrolment.hex(), exchange=_text(welcome.exchange), nonce=_text(welcome.nonce),
        roots=_text(welcome.roots), mac=_text(mac),
    )  # fmt: skip


@router.post(
    "/enrolments/{enrolment}/state",
    operation_id="enrolment_state",
    responses=documented("enrolment_forged", "rate_limited"),
)
@needs(Open.PUBLIC)
async def enrolment_state(
    enrolment: EnrolmentInPath, asked: QuestionAsked, centre: CentreHere, request: Request
) -> DecisionShown:
    """How it stands, asked by the box itself until it is decided; who and where it is once a technician confirmed."""
    question = Question(bytes.fromhex(enrolment), _plain(asked.nonce), _plain(asked.fresh))
    origin = _origin(request, "state")
    decision, mac = await centre.enrolment.answer(question, _plain(asked.mac), origin=origin)
    return DecisionShown(
        state=str(decision.state), node=decision.node, area=decision.area, broker=decision.broker,
        authority=decision.authority, at=decision.at, mac=_text(mac),
    )  # fmt: skip


def _origin(request: Request, what: str) -> str:
    """The box's address, counted: nobody tries many labels. Raises Refused(rate_limited)."""
    address = request.client.host if request.client is not None else "?"
    limits = request.app.state.limits
    request.app.state.throttle.count(limits.enrol_rate, "enrol", what, address, times=1 if what == "begin" else 10)
    return address


@router.get("/enrolments", operation_id="list_enrolments", responses=documented())
@needs(Permission.NODE_ENROL)
async def list_enrolments(
    desk: DeskHere, decided: Annotated[bool, Query(description="Those that were decided too")] = False
) -> Page[EnrolmentShown]:
    """Boxes that wait for a technician, newest first."""
    views = await desk.read(lambda session, ctx: enrolments.list_enrolments(session, ctx, decided=decided))
    return Page(items=[_shown(view) for view in views])


@router.get("/enrolments/{enrolment}", operation_id="get_enrolment", responses=documented("not_found"))
@needs(Permission.NODE_ENROL)
async def get_enrolment(enrolment: Either, desk: DeskHere) -> EnrolmentShown:
    """One of them."""
    return _shown(await desk.read(lambda session, ctx: enrolments.enrolment(session, ctx, enrolment)))


@router.post(
    "/enrolments/{enrolment}/confirmation",
    operation_id="confirm_enrolment",
    responses=documented(
        "csrf", "not_found", "wrong_code", "enrolment_over", "enrolment_not_ready", "already_exists"
    ),
)  # fmt: skip
@needs(Permission.NODE_ENROL)
async def confirm_enrolment(enrolment: Either, asked: Confirming, desk: DeskHere) -> NodeShown:
    """The box shows the same six digits: it becomes this node, or takes over one's box. Three wrong codes end it."""
    if asked.replaces is None and (asked.name is None or asked.area is None):
        raise Refused("field_required", field="name" if asked.name is None else "area")
    wanted = Confirmation(
        code=asked.code, name=asked.name or "", area=asked.area or "", description=asked.description,
        station=asked.station, bus_address=asked.bus_address, replaces=asked.replaces,
    )  # fmt: skip
    node = await desk.centre.enrolment.confirm(enrolment, wanted, account=desk.account)
    return node_shown(await desk.read_done(lambda session, ctx: nodes.node(session, ctx, node)))


@router.post(
    "/enrolments/{enrolment}/rejection",
    operation_id="reject_enrolment",
    responses=documented("csrf", "not_found", "enrolment_over"),
)
@needs(Permission.NODE_ENROL)
async def reject_enrolment(enrolment: Either, desk: DeskHere) -> EnrolmentShown:
    """Not ours. Its label has served all the same."""
    return _shown(await desk.note(lambda session, ctx: enrolments.reject(session, ctx, enrolment)))


@router.post(
    "/nodes/{node}/broker-password", operation_id="node_broker_password", responses=documented("csrf", "not_found")
)  # fmt: skip
@needs(Permission.NODE_ENROL)
async def node_broker_password(node: Annotated[NameText, Path()], desk: DeskHere) -> PasswordShown:
    """A fresh password at the broker for a box that was not enrolled by a label. The old one ends at once."""
    return PasswordShown(username=node, password=await desk.centre.enrolment.new_password(node, account=desk.account))


@router.post(
    "/stations/{station}/broker-password",
    operation_id="station_broker_password",
    responses=documented("csrf", "not_found"),
)
@needs(Permission.NODE_ENROL)
async def station_broker_password(station: Annotated[NameText, Path()], desk: DeskHere) -> PasswordShown:
    """A fresh password at the broker for a station."""
    username = f"station.{station}"
    password = await desk.centre.enrolment.new_password(username, account=desk.account)
    return PasswordShown(username=username, password=password)
