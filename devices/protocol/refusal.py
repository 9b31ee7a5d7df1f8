"""Why a node or the controller does not obey what came over the wire."""

from enum import IntEnum


class RefusalReason(IntEnum):
    """Counted by reason in health; the numbers are on the wire."""

    MALFORMED = 1
    REPLAY = 2
    ROLLBACK = 3
    WRONG_TARGET = 4
    RETAINED_FORBIDDEN = 5
    UNTRUSTED_KEY = 6
    MANDATE_EXCEEDED = 7
    EXPIRED = 8
    BAD_SIGNATURE = 9
    TIME_UNKNOWN = 10
    REVOKED = 11
    OUT_OF_HOURS = 12
    TOO_LONG = 13
    WRONG_BLOCK = 14
    DRILL_MISMATCH = 15
    APPROVAL_MISSING = 16
    BEYOND_APPROVAL = 17
    RECORD_FORK = 32

    @property
    def code(self) -> str:
        """The stable code, e.g. ``wrong_target``."""
        return self.name.lower()


class WireRefusal(Exception):
    """Something from the wire is not obeyed. `reason` is counted; `detail` is for people, in English."""

    def __init__(self, reason: RefusalReason, detail: str = "") -> None:
        super().__init__(f"{reason.code}: {detail}" if detail else reason.code)
        self.reason = reason
        self.detail = detail


class Malformed(WireRefusal):
    """The bytes are not in the form that docs/protocol.md gives."""

    def __init__(self, detail: str) -> None:
        super().__init__(RefusalReason.MALFORMED, detail)


class Repeat(Exception):
    """Our own bytes once more: nothing to do, and nothing to count. Not a WireRefusal on purpose."""
