"""What is not as it should be with a centre's keys. Pure: keys and the time in, warnings out.

A warning is an error that nobody raised: its code has words in both languages (`loa.problems`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from controller.keyfiles import CentreKeys, read_appointments
from devices.protocol.keys import key_id
from devices.protocol.trust import Appointment
from loa.errors import OperatorNeeded
from loa.units import InstantMs

DAY_MS = 86_400_000
WARN_BEFORE_MS = 30 * DAY_MS
"""An appointment is renewed by people who have to come together: a month is what that takes."""
TOLD_AFTER_MS = 30 * DAY_MS
_VIETNAM = timezone(timedelta(hours=7))


WARNING_CODES = (
    "left_out", "roots_plain", "roots_here", "controller_plain", "appointment_ends", "appointment_ended",
)  # fmt: skip


@dataclass(frozen=True)
class KeyWarning:
    """code: one of WARNING_CODES. subject: whose, or which files."""

    code: str
    subject: str
    until: InstantMs | None = None
    appointment: str | None = None

    @property
    def problem(self) -> OperatorNeeded:
        """With words in `loa.problems`."""
        return OperatorNeeded(self.code, value=self.subject, until="" if self.until is None else day_words(self.until))


def key_warnings(keys: CentreKeys, now_ms: InstantMs) -> tuple[KeyWarning, ...]:
    """The worst first."""
    plain = [one.name for one in keys.roots_here if not one.locked]
    locked = [one.name for one in keys.roots_here if one.locked]
    told = (("left_out", keys.left_out), ("roots_plain", plain), ("roots_here", locked))
    found = [KeyWarning(code, ", ".join(names)) for code, names in told if names]
    if not keys.controller_file.locked:
        found.append(KeyWarning("controller_plain", keys.controller_file.name))
    return (*found, *_endings(keys, now_ms))


def days_left(appointment: Appointment, now_ms: InstantMs) -> int:
    """Whole days until it ends; below 0 where it has ended."""
    return (appointment.until - now_ms) // DAY_MS


def in_office(keys: CentreKeys) -> tuple[Appointment, ...]:
    """Appointments that no revocation names and no later one of the same key and terms replaces."""
    revoked = keys.revoked
    all_of_them = [
        one
        for one in read_appointments(keys.appointments)
        if one.id not in revoked and key_id(one.public_key) not in revoked
    ]
    return tuple(one for one in all_of_them if not _replaced(one, all_of_them))


def day_words(instant: int) -> str:
    """A day in Vietnam, e.g. 2027-03-01."""
    return datetime.fromtimestamp(instant / 1000, tz=_VIETNAM).strftime("%Y-%m-%d")


def _endings(keys: CentreKeys, now_ms: InstantMs) -> Iterable[KeyWarning]:
    for one in sorted(in_office(keys), key=lambda one: one.until):
        if one.until <= now_ms:
            own = one.public_key == keys.controller_file.public_key
            if own or now_ms - one.until < TOLD_AFTER_MS:  # others may have left; the controller may not
                yield KeyWarning("appointment_ended", one.holder, one.until, one.id.hex())
        elif one.until - now_ms <= WARN_BEFORE_MS:
            yield KeyWarning("appointment_ends", one.holder, one.until, one.id.hex())


def _replaced(one: Appointment, others: Iterable[Appointment]) -> bool:
    """By one that lasts longer and allows as much: for the same key, or for the same person's new key."""
    return any(
        other.until > one.until
        and (other.public_key == one.public_key or other.holder == one.holder)
        and other.kind is one.kind
        and other.area.covers(one.area)
        and other.ceiling >= one.ceiling
        and other.powers & one.powers == one.powers
        and other.sole >= one.sole
        for other in others
    )
