"""What tests of emergencies at a node share: alerts as people release them, and trust documents made by hand."""

from collections.abc import Iterable
from typing import Any

from devices.protocol.envelope import seal
from devices.protocol.keys import SigningKey
from devices.protocol.orders import OrderAction
from devices.protocol.refusal import RefusalReason
from devices.protocol.renewal import read_appointment, renewed_mandate
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from devices.protocol.topics import DownChannel
from devices.protocol.trust import Appointment, Mandate, Revocation, Trust
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import InstantMs
from tests.node.rig import Rig, an_id, recording
from tests.protocol.world import CONTROLLER, PROVINCE, approved, by_roots, id_of

EMERGENCY = Precedence.EMERGENCY
TALK = recording(2.0, 900.0)


def alert(
    rig: Rig,
    name: str,
    *people: SigningKey,
    key: SigningKey = CONTROLLER,
    body: dict[str, Any] | None = None,
    **order: Any,
) -> bytes:
    """Release an alert, approved by these people; `body` is what the approved body says otherwise than the order."""
    values: dict[str, Any] = {"in_ms": 500, "precedence": EMERGENCY} | order
    return rig.give(approved(rig.order(name, TALK, **values), *people, **(body or {})), key)


def cancel(
    rig: Rig, name: str, *people: SigningKey, called: str = "cancel", body: dict[str, Any] | None = None, **order: Any
) -> bytes:
    """Cancel an alert."""
    values: dict[str, Any] = {
        "action": OrderAction.STOP,
        "subject": an_id(name),
        "precedence": EMERGENCY,
        "in_ms": 0,
    } | order
    return rig.give(approved(rig.order(f"{called} {name}", **values), *people, **(body or {})))


def sounds(rig: Rig, name: str) -> bool:
    return rig.node.status().playing == an_id(name)


def refusals(rig: Rig) -> dict[RefusalReason, int]:
    return rig.node.status().refusals


def story(rig: Rig, name: str) -> list[tuple[ReceiptEvent, ReceiptCause]]:
    return [(one.event, one.cause) for one in rig.desk.about(an_id(name))]


def mandate(appointment: Appointment, now_ms: int, **changes: Any) -> Mandate:
    values: dict[str, Any] = {
        "id": id_of(f"mandate {appointment.id.hex()} {sorted(changes.items())}")[:8],
        "appointment": appointment.id,
        "ceiling": appointment.ceiling,
        "area": appointment.area,
        "not_before": InstantMs(now_ms - 3_600_000),
        "until": InstantMs(now_ms + 86_400_000),
    }
    return Mandate(**(values | changes))


def trust(rig: Rig, *instead: Mandate, lives_ms: int | None = None, revocations: Iterable[bytes] = ()) -> None:
    """A trust document whose mandates of these appointments are made by hand, the others renewed; signed as ever.

    lives_ms: how long from now on the mandates of all but the controller are.
    """
    now = rig.clock.now_ms()
    by_hand = {one.appointment for one in instead}
    mandates = [seal(one, CONTROLLER) for one in instead]
    for payload in rig.centre.appointments:
        one = read_appointment(payload)
        if one.id in by_hand:
            continue
        if lives_ms is not None and one.holder != "controller":
            mandates.append(seal(mandate(one, now, until=InstantMs(now + lives_ms)), CONTROLLER))
        elif (renewed := renewed_mandate(one, CONTROLLER, now)) is not None:
            mandates.append(renewed)
    document = Trust(
        area=PROVINCE, version=rig.version(), issued_at=now, appointments=tuple(rig.centre.appointments),
        mandates=tuple(mandates), revocations=(*rig.centre.revocations, *revocations),
    )  # fmt: skip
    rig.say(DownChannel.CTL, seal(document, CONTROLLER))


def revoke(rig: Rig, holder: str) -> None:
    """The roots revoke somebody's appointment, and the trust document says so."""
    gone = id_of(f"appointment of {holder}")[:8]
    rig.centre.revocations.append(by_roots(Revocation(ids=(gone,), at=rig.clock.now_ms())))
    rig.give_trust()


def add(rig: Rig, appointment: Appointment) -> None:
    rig.centre.appointments.append(by_roots(appointment))
    rig.give_trust()


COMMUNES = tuple(AreaPath(f"quang-ninh/xa-{number}") for number in range(1, 55))
"""54, as in Quảng Ninh."""
