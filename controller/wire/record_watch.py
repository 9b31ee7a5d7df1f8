"""What nodes were told of the record, against what it is: a log that was restored or rewritten shows here."""

from collections.abc import Callable, Iterable

from controller.services.context import Context, Outgoing
from controller.services.record import is_ours, write_lost
from controller.wire.common import Waker, WireContext, log
from devices.protocol.record import HeadMark

GATHER_S = 10.0
"""Several nodes tell of one lost branch: the one that was told most is named."""
MOST_REMEMBERED = 1024


class RecordWatch:
    """Looks at each head once, beside the group of reports that it came with."""

    def __init__(self, wire: WireContext, context: Callable[[], Context]) -> None:
        self._wire, self._context = wire, context
        self._known: set[HeadMark] = set()
        self._unseen: dict[HeadMark, str] = {}
        self._waker = Waker()
        self.lost = 0
        """Heads told by nodes that the record does not hold, since the start."""

    def heard(self, node: str, marks: Iterable[HeadMark]) -> None:
        """The heads that a node tells of in its health."""
        for mark in marks:
            if mark in self._known or mark in self._unseen or len(self._unseen) >= MOST_REMEMBERED:
                continue
            self._unseen[mark] = node
            self._waker.wake()

    async def turn(self) -> Outgoing:
        """Compare what was told since the last turn. What goes out is a head that says so."""
        if not self._unseen:
            await self._waker.wait(self._wire.clock, None)
            return Outgoing()
        await self._wire.clock.sleep(GATHER_S)
        told = dict(self._unseen)
        lost = await self._wire.db.reading(lambda session: [one for one in told if not is_ours(session, one)])
        outgoing = Outgoing()
        if lost:
            self.lost += len(lost)
            log.warning("nodes were told of entries that the record does not hold: %s",
                        ", ".join(f"{one.number} (by {told[one]})" for one in lost[:5]))  # fmt: skip
            ctx = self._context()
            outgoing = await self._wire.db.unit_of_work(
                lambda session: write_lost(session, ctx, [(one, told[one]) for one in lost])
            )
        if len(self._known) > MOST_REMEMBERED:
            self._known.clear()
        self._known.update(told)
        for one in told:
            self._unseen.pop(one, None)
        return outgoing
