"""The record's head on the wire: how far the centre's log of deeds goes, and what a node remembers of it.

Whoever rewrites the log on the server cannot rewrite what the nodes were told. A node keeps a few heads and takes
none that goes back; its health tells the newest one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from devices.protocol import common
from devices.protocol.fields import blob, many, nested, uint, wire
from devices.protocol.refusal import RefusalReason, Repeat, WireRefusal
from loa.names import AreaPath
from loa.units import InstantMs

MARK_BYTES = 16
NEWEST_KEPT, DAYS_KEPT = 8, 16
MARKS_TOLD = 4
MOST_AFTER = 4
_DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True)
class HeadMark:
    """A head of the record in short: enough to find the entry, and to see that it is another one."""

    number: int = wire(1, uint())
    mark: bytes = wire(2, blob(MARK_BYTES))
    """The first 16 bytes of the entry's hash."""
    forks: int = wire(3, uint(32), default=0)
    """How often the record had been restored by then."""


@dataclass(frozen=True, kw_only=True)
class RecordHead:
    """The newest entry of the record, signed by the controller: retained, after every sound and daily."""

    area: AreaPath = wire(3, common.area())
    number: int = wire(4, uint())
    """Entries are numbered 1, 2, 3 …"""
    hash: bytes = wire(5, common.digest())
    """SHA-256 of that entry, which names the one before it, and so on to the first."""
    at: InstantMs = wire(6, common.instant())
    """When it was signed."""
    forks: int = wire(7, uint(32), default=0)
    """How often the record went on from a restored backup. Counts before the number."""
    after: tuple[HeadMark, ...] = wire(8, many(nested(HeadMark), MOST_AFTER), default=())
    """Heads that were published before: the last ones, one of the day before, one of the week before. A node that was
    told another hash under such a number takes this for a record that was written anew."""

    @property
    def place(self) -> tuple[int, int]:
        """What never goes back at a node."""
        return self.forks, self.number

    @property
    def mark(self) -> HeadMark:
        return HeadMark(number=self.number, mark=self.hash[:MARK_BYTES], forks=self.forks)


def check_head(head: RecordHead, held: Sequence[RecordHead]) -> None:
    """Whether a head may follow those that are held, oldest first.

    Raises WireRefusal: record_fork (another entry under a number that is held), rollback (an older one); Repeat.
    """
    said = {(mark.forks, mark.number): mark.mark for mark in (*head.after, head.mark)}
    for one in held:
        if said.get(one.place, one.mark.mark) != one.mark.mark:
            raise WireRefusal(RefusalReason.RECORD_FORK, f"entry {one.number} is another one than was told before")
    if not held:
        return
    newest = held[-1]
    if head.place < newest.place:
        raise WireRefusal(RefusalReason.ROLLBACK, f"record head {head.place}, held is {newest.place}")
    if head.place == newest.place and head.at <= newest.at:
        raise Repeat(f"record head {head.place}")


def with_head(head: RecordHead, held: Sequence[RecordHead]) -> tuple[RecordHead, ...]:
    """What is kept once `head` was taken: the newest few, the last of each branch, and one of each day before."""
    heads = [one for one in held if one.place != head.place] + [head]
    newest, older = heads[-NEWEST_KEPT:], heads[:-NEWEST_KEPT]
    by_day = {(one.forks, one.at // _DAY_MS): one for one in older}
    last_of_branch = {one.forks: one for one in older}
    kept = {id(one) for one in [*list(by_day.values())[-DAYS_KEPT:], *list(last_of_branch.values())[-DAYS_KEPT:]]}
    return (*(one for one in older if id(one) in kept), *newest)


def marks_told(held: Sequence[RecordHead]) -> tuple[HeadMark, ...]:
    """For health: the last head of each branch, the newest branch first, so that what a restore lost is seen."""
    by_branch = {one.forks: one for one in held}
    return tuple(by_branch[forks].mark for forks in sorted(by_branch, reverse=True)[:MARKS_TOLD])
