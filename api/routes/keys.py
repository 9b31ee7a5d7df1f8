"""The centre's keys: who may do what, until when, and what is not as it should be. Public halves only."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from api.asking import DeskHere
from api.needs import needs
from api.problems import documented, language_of
from api.shapes import PrecedenceWord, Shown, moment, moment_or_none, word_of
from controller.keyfiles import read_appointments
from controller.permissions import Permission
from devices.protocol.keys import key_id
from devices.protocol.trust import Power
from loa.problems import explain

router = APIRouter(prefix="/api/v1", tags=["keys"])


class RootShown(Shown):
    key_id: str
    sealed: bool = Field(description="A spare: it counts only together with one that is not sealed")


class AppointmentShown(Shown):
    id: str
    holder: str
    key_id: str
    area: str
    ceiling: PrecedenceWord
    kind: Literal["live", "drill"]
    powers: list[str] = Field(examples=[["approve"]])
    sole: bool = Field(description="May release an emergency alone")
    until: datetime
    revoked: bool


class KeyWarningShown(Shown):
    code: str = Field(
        description="left_out, roots_plain, roots_here, controller_plain, appointment_ends or appointment_ended"
    )
    title: str
    remedy: str
    until: datetime | None


class KeysShown(Shown):
    root_set: int
    threshold: int
    roots: list[RootShown]
    controller_key_id: str
    appointments: list[AppointmentShown]
    warnings: list[KeyWarningShown]


@router.get("/keys", operation_id="get_keys", responses=documented())
@needs(Permission.FIGURES_READ)
async def get_keys(desk: DeskHere, request: Request) -> KeysShown:
    """Who may do what and until when, and what is wrong with the keys."""
    desk.everywhere(Permission.FIGURES_READ)
    keys, language = desk.centre.keys, language_of(request.headers.get("accept-language"))
    gone = keys.revoked
    warnings = [(one, explain(one.problem, language)) for one in desk.centre.key_warnings()]
    return KeysShown(
        root_set=keys.roots.version,
        threshold=keys.roots.threshold,
        roots=[RootShown(key_id=key_id(one.public_key).hex(), sealed=one.sealed) for one in keys.roots.roots],
        controller_key_id=keys.controller_file.key_id.hex(),
        appointments=[
            AppointmentShown(
                id=one.id.hex(),
                holder=one.holder,
                key_id=key_id(one.public_key).hex(),
                area=str(one.area),
                ceiling=word_of(one.ceiling, type(one.ceiling)),
                kind="drill" if one.kind.name == "DRILL" else "live",
                powers=[(power.name or "").lower() for power in Power if power & one.powers],
                sole=one.sole,
                until=moment(one.until),
                revoked=bool(gone & {one.id, key_id(one.public_key)}),
            )
            for one in read_appointments(keys.appointments)
        ],
        warnings=[
            KeyWarningShown(code=one.code, title=said.title, remedy=said.remedy, until=moment_or_none(one.until))
            for one, said in warnings
        ],
    )
