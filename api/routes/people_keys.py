"""People's keys, which release emergencies: public halves, and what their owners do; never a private half."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BeforeValidator, Field

from api.asking import DeskHere
from api.needs import needs
from api.problems import documented
from api.shapes import AccountText, AreaText, Asked, Page, Shown, moment, moment_or_none, whole
from api.tries import count_try
from controller import accounts, passphrases, signing
from controller.desk import KeyWish
from controller.keyfiles import read_appointments
from controller.permissions import Open, Permission
from controller.services import people_keys
from controller.services.people_keys import PersonKeyView
from devices.protocol.keys import key_id
from devices.protocol.trust import Appointment, Revocation
from loa.errors import Refused
from loa.precedence import Kind

router = APIRouter(prefix="/api/v1/people-keys", tags=["keys"])
KindWord = Literal["live", "drill"]
Passphrase = Annotated[str, Field(max_length=passphrases.LONGEST_PASSPHRASE)]
FreshPassphrase = Annotated[Passphrase, Field(json_schema_extra={"minLength": passphrases.SHORTEST_PASSPHRASE})]
KeyIdText = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="Key id, hex")]


class NewKey(Asked):
    kind: KindWord = Field(default="live", description="A key signs live alerts or drills, never both")
    area: AreaText = Field(description="Where its owner is to release emergencies", examples=["quang-ninh/co-to"])
    days: Annotated[int, Field(ge=1, le=365), BeforeValidator(whole)] = 365
    passphrase: FreshPassphrase = Field(
        description="The release passphrase: not the sign-in password. It cannot be got back",
        examples=["thuyền về bến trước bão"],
    )


class NewPassphrase(Asked):
    old_passphrase: Passphrase
    new_passphrase: FreshPassphrase


class KeyShown(Shown):
    id: str = Field(description="Key id: compare it with what the roots are shown")
    account: str
    kind: KindWord
    public_key: str = Field(description="Ed25519, hex")
    area: str = Field(description="Where the roots were asked to appoint it")
    appointments: list[str] = Field(description="Ids of appointments that are in date and not revoked")
    created_at: datetime
    retired_at: datetime | None


class KeyAsked(KeyShown):
    request: dict[str, Any] = Field(description="The signing request: save it as a file, take it to the roots")


def key_shown(view: PersonKeyView, desk: DeskHere) -> KeyShown:
    return KeyShown(**_shown(view, desk))


def _shown(view: PersonKeyView, desk: DeskHere) -> dict[str, Any]:
    keys, now = desk.centre.keys, desk.centre.clock.now_ms()
    gone = keys.revoked
    own = people_keys.appointments_of(view, read_appointments(keys.appointments))
    in_force = [
        one.id.hex() for one in own if one.not_before <= now < one.until and not gone & {one.id, key_id(one.public_key)}
    ]
    return {
        "id": view.id,
        "account": view.account,
        "kind": view.kind.name.lower(),
        "public_key": view.public_key.hex(),
        "area": str(view.wished.area),
        "appointments": [] if view.retired_at else in_force,
        "created_at": moment(view.created_at),
        "retired_at": moment_or_none(view.retired_at),
    }


def _asked(view: PersonKeyView, desk: DeskHere, wished: Appointment | Revocation) -> KeyAsked:
    made_at = view.created_at if isinstance(wished, Appointment) else view.retired_at or view.created_at
    request = signing.request_for([wished], roots=desk.centre.keys.roots, made_at=made_at)
    return KeyAsked(**_shown(view, desk), request=json.loads(request.to_text()))


async def _not_the_password(desk: DeskHere, passphrase: str, field: str) -> None:
    """Raises Refused(passphrase_is_password, weak_passphrase). The slow hash comes last."""
    passphrases.check_passphrase(passphrase, field=field, known=(desk.account,))
    stored = await desk.centre.reading(lambda session: accounts.password_hash_of(session, desk.account))
    if await accounts.verify_password(passphrase, stored):
        raise Refused("passphrase_is_password", field=field)


@router.get("", operation_id="list_people_keys", responses=documented())
@needs(Permission.ALERT_READ)
async def list_people_keys(
    desk: DeskHere, account: Annotated[AccountText | None, Query(description="Only this account's")] = None
) -> Page[KeyShown]:
    """Public halves of everybody's keys."""
    views = await desk.read(lambda session, ctx: people_keys.keys_seen(session, ctx, account=account))
    return Page(items=[key_shown(view, desk) for view in views])


@router.get("/mine", operation_id="list_own_keys", responses=documented())
@needs(Open.SIGNED_IN)
async def list_own_keys(desk: DeskHere) -> Page[KeyShown]:
    """Your own keys, retired ones too."""
    views = await desk.read(lambda session, ctx: people_keys.list_person_keys(session, account=ctx.account))
    return Page(items=[key_shown(view, desk) for view in views])


@router.post(
    "", operation_id="make_person_key", status_code=201,
    responses=documented(
        "csrf", "not_found", "weak_passphrase", "passphrase_is_password", "too_many", "fresh_code_required"
    ),
)  # fmt: skip
@needs(Permission.KEY_OWN)
async def make_person_key(asked: NewKey, request: Request, desk: DeskHere) -> KeyAsked:
    """Make a key of your own. It can do nothing until the roots have signed the request in the reply."""
    count_try(request, desk)
    await _not_the_password(desk, asked.passphrase, "passphrase")
    wish = KeyWish(area=asked.area, kind=Kind[asked.kind.upper()], days=asked.days, passphrase=asked.passphrase)
    view = await desk.centre.make_person_key(wish, account=desk.account)
    return _asked(view, desk, view.wished)


@router.get(
    "/{key}/request", operation_id="person_key_request", responses=documented("not_found", "fresh_code_required")
)
@needs(Permission.KEY_OWN)
async def person_key_request(key: KeyIdText, desk: DeskHere) -> KeyAsked:
    """What the roots should sign for a key of yours: its appointment; its revocation once it is retired."""
    view = await desk.read(lambda session, ctx: people_keys.own_key(session, ctx, key))
    if view.retired_at is None:
        return _asked(view, desk, view.wished)
    held = read_appointments(desk.centre.keys.appointments)
    return _asked(view, desk, people_keys.revocation_of(view, held, view.retired_at))


@router.post(
    "/{key}/passphrase", operation_id="change_key_passphrase",
    responses=documented(
        "csrf", "not_found", "wrong_passphrase", "weak_passphrase", "passphrase_is_password", "key_retired",
        "content_changed", "fresh_code_required",
    ),
)  # fmt: skip
@needs(Permission.KEY_OWN)
async def change_key_passphrase(key: KeyIdText, asked: NewPassphrase, request: Request, desk: DeskHere) -> KeyShown:
    """Put a key of yours under another passphrase. The key and its appointments stay."""
    count_try(request, desk)
    await _not_the_password(desk, asked.new_passphrase, "new_passphrase")
    view = await desk.centre.change_key_passphrase(
        key, old=asked.old_passphrase, new=asked.new_passphrase, account=desk.account
    )
    count_try(request, desk, forgive=True)
    return key_shown(view, desk)


@router.post(
    "/{key}/retire", operation_id="retire_person_key", responses=documented("csrf", "not_found", "fresh_code_required")
)
@needs(Permission.KEY_OWN)
async def retire_person_key(key: KeyIdText, desk: DeskHere) -> KeyAsked:
    """Destroy the private half of a key of yours. The request in the reply has the roots revoke the rest of it."""
    view = await desk.centre.retire_person_key(key, account=desk.account)
    held = read_appointments(desk.centre.keys.appointments)
    return _asked(view, desk, people_keys.revocation_of(view, held, view.retired_at or view.created_at))
