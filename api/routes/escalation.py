"""Escalation: who is told by e-mail or webhook when an alert does not reach enough in time."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BeforeValidator, Field, StrictBool
from sqlmodel import Session

from api.asking import DeskHere
from api.needs import needs
from api.problems import documented
from api.shapes import Asked, LookedAt, Shown, Title, moment, whole
from controller.courier import LONGEST_ADDRESS
from controller.escalating import LONGEST_AFTER_S, MOST_ADDRESSES, MOST_STEPS, StepRule
from controller.permissions import Permission
from controller.services import escalation
from controller.services.context import Context
from controller.services.escalation import StepForm
from controller.tables import EscalationStep, NoticeAddress

router = APIRouter(prefix="/api/v1/escalation", tags=["alerts"])
AddressName = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
AddressInPath = Annotated[AddressName, Path()]


class NewAddress(Asked):
    name: Title = Field(description="Whose it is", examples=["Trực ban tỉnh"])
    url: str = Field(
        max_length=LONGEST_ADDRESS, description="mailto(s):// or json(s)://, as Apprise writes them. Never shown again",
        examples=["mailtos://loa:mat-khau@smtp.example.vn?to=truc-ban@example.vn"],
    )  # fmt: skip


class AddressShown(Shown):
    id: str
    name: str
    shown: str = Field(description="Scheme, server and recipients; no password, no path")
    created_by: str
    created_at: datetime


class StepAsked(Asked):
    """After so long, where either holds, these are told."""

    after_s: Annotated[int, Field(ge=5, le=LONGEST_AFTER_S), BeforeValidator(whole)]
    below_percent: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="Fewer of the nodes than this began to sound"
    )
    village_unreached: StrictBool = Field(default=False, description="In some village with loudspeakers none did")
    drills: StrictBool = Field(default=False, description="For drills too")
    addresses: Annotated[list[AddressName], Field(max_length=MOST_ADDRESSES)]


class StepsAsked(Asked):
    steps: Annotated[list[StepAsked], Field(max_length=MOST_STEPS)]
    content_hash: LookedAt = Field(default=None, description="Of the steps that you looked at")


class StepShown(Shown):
    id: str
    after_s: int
    below_percent: int | None
    village_unreached: bool
    drills: bool
    addresses: list[str]


class EscalationShown(Shown):
    steps: list[StepShown]
    content_hash: str = Field(description="Of the steps; given back, it keeps what others set meanwhile")
    addresses: list[AddressShown]


class TestDone(Shown):
    sent: bool
    trouble: str = Field(description="What went wrong, without secrets")


def _address(row: NoticeAddress) -> AddressShown:
    return AddressShown(
        id=row.id, name=row.name, shown=row.shown, created_by=row.created_by, created_at=moment(row.created_at)
    )


def _step(row: EscalationStep) -> StepShown:
    return StepShown(
        id=row.id, after_s=row.after_s, below_percent=row.below_percent, village_unreached=row.village_unreached,
        drills=row.drills, addresses=row.addresses,
    )  # fmt: skip


def _all(session: Session, _ctx: Context) -> EscalationShown:
    steps = escalation.steps(session)
    return EscalationShown(
        steps=[_step(row) for row in steps], content_hash=escalation.hash_of_steps(steps),
        addresses=[_address(row) for row in escalation.addresses(session)],
    )  # fmt: skip


@router.get("", operation_id="get_escalation", responses=documented())
@needs(Permission.ALERT_READ)
async def get_escalation(desk: DeskHere) -> EscalationShown:
    """The province's steps, and whom they tell."""
    desk.everywhere(Permission.ALERT_READ)
    return await desk.read(_all)


@router.put(
    "/steps", operation_id="set_escalation_steps",
    responses=documented("csrf", "not_found", "field_required", "too_many", "content_changed"),
)  # fmt: skip
@needs(Permission.SETTINGS_MANAGE)
async def set_steps(asked: StepsAsked, desk: DeskHere) -> EscalationShown:
    """Replace the list. A step that stays as it was is not told twice of one alert."""
    forms = [
        StepForm(
            StepRule(
                after_s=one.after_s, below_percent=one.below_percent, village_unreached=one.village_unreached,
                drills=one.drills,
            ),
            tuple(one.addresses),
        )
        for one in asked.steps
    ]  # fmt: skip
    desk.everywhere(Permission.SETTINGS_MANAGE)

    def change(session: Session, ctx: Context) -> None:
        escalation.set_steps(session, ctx, forms, seen=asked.content_hash)

    await desk.note(change)
    return await desk.read_done(_all)


@router.post(
    "/addresses", operation_id="add_notice_address", status_code=201,
    responses=documented("csrf", "bad_notice_address", "too_many"),
)  # fmt: skip
@needs(Permission.SETTINGS_MANAGE)
async def add_address(asked: NewAddress, desk: DeskHere) -> AddressShown:
    """Keep an address. It holds secrets: they are sealed, and never shown again."""
    desk.everywhere(Permission.SETTINGS_MANAGE)
    return _address(await desk.centre.notices.add_address(name=asked.name, url=asked.url, account=desk.account))


@router.delete(
    "/addresses/{address}", operation_id="remove_notice_address", status_code=204, response_class=Response,
    responses=documented("csrf", "not_found"),
)  # fmt: skip
@needs(Permission.SETTINGS_MANAGE)
async def remove_address(address: AddressInPath, desk: DeskHere) -> Response:
    """Its secret is wiped, and steps do not tell it any more."""
    desk.everywhere(Permission.SETTINGS_MANAGE)

    def change(session: Session, ctx: Context) -> None:
        escalation.remove_address(session, ctx, address)

    await desk.note(change)
    return Response(status_code=204)


@router.post("/addresses/{address}/test", operation_id="test_notice_address", responses=documented("csrf", "not_found"))
@needs(Permission.SETTINGS_MANAGE)
async def test_address(address: AddressInPath, desk: DeskHere) -> TestDone:
    """Send a test there now, once. It says that it is one."""
    desk.everywhere(Permission.SETTINGS_MANAGE)
    trouble = await desk.centre.notices.test(address, account=desk.account)
    return TestDone(sent=not trouble, trouble=trouble)
