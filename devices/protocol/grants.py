"""A grant: what one key may do by one appointment and one mandate of it."""

from dataclasses import dataclass

from devices.protocol.keys import key_id
from devices.protocol.trust import Appointment, Mandate, Power
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs, KeyId


@dataclass(frozen=True)
class Grant:
    """An appointment with the mandate that brings it into force, narrowed to both."""

    key_id: KeyId
    public_key: bytes
    holder: str
    appointment: bytes
    mandate: bytes
    powers: Power
    ceiling: Precedence
    area: AreaPath
    kind: Kind
    not_before: InstantMs
    until: InstantMs
    appointed_area: AreaPath
    """The appointment's own, however far the mandate narrows it."""
    sole: bool
    """May release an emergency alone."""

    @property
    def basis(self) -> tuple[bytes, ...]:
        """What a permission by this grant rests on: key, appointment, mandate. Revoking any of them ends it."""
        return self.key_id, self.appointment, self.mandate


def grant_of(mandate: Mandate, appointment: Appointment) -> Grant:
    """What the two together permit."""
    return Grant(
        key_id=key_id(appointment.public_key),
        public_key=appointment.public_key,
        holder=appointment.holder,
        appointment=appointment.id,
        mandate=mandate.id,
        powers=Power(appointment.powers),
        ceiling=mandate.ceiling,
        area=mandate.area,
        kind=appointment.kind,
        not_before=mandate.not_before,
        until=mandate.until,
        appointed_area=appointment.area,
        sole=appointment.sole,
    )
