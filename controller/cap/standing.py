"""Who may take back or replace what somebody else's alert said: rules over how far each is believed."""

import hashlib
import json
from dataclasses import dataclass

from controller.cap.memory import Name


@dataclass(frozen=True)
class Standing:
    """sender: as the alert says it. source: ours that it came from, "" for none. kind: live, exercise, test.

    verified: signed by a key pinned for this sender. fetched: we got it ourselves from that sender's own feed.
    """

    sender: str
    source: str
    kind: str
    verified: bool
    fetched: bool

    @property
    def rank(self) -> int:
        """The more, the better it is known whose word it is."""
        return 2 if self.verified else 1 if self.fetched else 0


def may_speak_of(later: Standing, earlier: Standing) -> bool:
    """Whether a Cancel or Update counts by itself for what nobody has released yet: same sender, same kind, from
    where the first came unless it is signed, and no less certain to be theirs. Otherwise people are asked.
    """
    return (
        (later.sender, later.kind) == (earlier.sender, earlier.kind)
        and later.rank >= earlier.rank
        and (later.verified or later.source == earlier.source)
    )


def name_key(name: Name) -> str:
    """What an alert's name is stored and found by: 64 hex characters, however long the name is."""
    return hashlib.sha256(json.dumps(name, ensure_ascii=True).encode("ascii")).hexdigest()
