"""What must hold of alerts at every box, whatever the weather: ended is silent, a drill is told as one, live first.

A box *could know* of something from the first instant at which it, the broker and the centre had been there together
for `KNOWN_MS` since: six sendings of what is owed to an emergency, ten seconds apart at most, over the slowest link,
with a clock exchange before them. Before that a box that was away cannot be blamed; expiry it knows by itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlmodel import Session, select

from controller.services.broadcasts import targeted_nodes
from controller.services.coverage import OUTCOMES
from controller.tables import Alert, Broadcast, BroadcastNode
from loa.cli.simulation.province import Province
from loa.cli.simulation.told import Breach
from loa.precedence import Kind
from loa.units import InstantMs
from simulators.world.box import Box
from simulators.world.boxes import Sounding
from simulators.world.presence import FOREVER, together

KNOWN_MS = 60_000
CLOCK_MS = 2_000
"""A box's clock is at most so far from the centre's."""
ROUNDING_MS = 5
"""A clip that is placed for now begins a moment later."""
SETTLED_MS = 20 * 60_000
_ENDS = frozenset(OUTCOMES) - {"waiting", "reached", "ready", "started"}
Spell = tuple[InstantMs, InstantMs]


@dataclass(frozen=True)
class Out:
    """A released alert: for whom, how long, and when people ended it before its time."""

    id: str
    kind: Kind
    boxes: frozenset[str]
    released_at: InstantMs
    expires_at: InstantMs
    ended_at: InstantMs | None
    endless: bool
    """Repeated without a pause until its end."""

    @property
    def over_at(self) -> InstantMs:
        return self.expires_at if self.ended_at is None else min(self.ended_at, self.expires_at)


def alert_breaches(session: Session, province: Province, *, settled: bool) -> Iterator[Breach]:
    """Of every alert that was released here, at every box that it is for."""
    out = _released(session)
    yield from _told_and_kept(session, province)
    outcomes = {(one.broadcast, one.node): one.outcome for one in session.exec(select(BroadcastNode))}
    for box in province.boxes.values():
        there = sorted(together(box.presence, province.centre_presence, InstantMs(0), FOREVER))
        mine = [one for one in out.values() if box.name in one.boxes]
        heard = [one for one in box.soundings if one.label in out]
        yield from _announced(box, out, heard, province.ledger.announcement_ms)
        for alert in mine:
            yield from _silent_when_over(box, alert, heard, there)
            if settled:
                yield from _has_an_end(box, alert, outcomes, there, province.clock.now_ms())
        yield from _live_first(box, mine, heard, there)


def known_at(since: InstantMs, there: Iterable[Spell], within_ms: int = KNOWN_MS) -> Spell | None:
    """From when a box could know of what was said at `since`, and until when it was there after that, if ever."""
    for begins, ends in there:
        first = max(begins, since)
        if ends - first >= within_ms:
            return InstantMs(first + within_ms), ends
    return None


def _released(session: Session) -> dict[str, Out]:
    rows = {row.id: row for row in session.exec(select(Broadcast))}
    out: dict[str, Out] = {}
    for alert in session.exec(select(Alert)):
        row = rows.get(alert.id)
        if row is None or alert.released_at is None:
            continue
        ended = alert.ended_at if alert.status in ("cancelled", "updated") else None
        out[alert.id] = Out(
            alert.id, Kind(alert.kind), frozenset(map(str, targeted_nodes(session, row))),
            InstantMs(alert.released_at), InstantMs(alert.expires_at), None if ended is None else InstantMs(ended),
            row.repeats == 0,
        )  # fmt: skip
    return out


def _told_and_kept(session: Session, province: Province) -> Iterator[Breach]:
    """I6: what a person was told became of an alert is still so, or went on from there."""
    after = {
        "composed": {"composed", "released", "updated", "cancelled"},
        "released": {"released", "updated", "cancelled"},
        "updated": {"updated"},
        "cancelled": {"cancelled"},
    }
    for name, told in province.ledger.alerts.items():
        row = session.get(Alert, name)
        status = "forgotten" if row is None else row.status
        if status not in after[told]:
            yield Breach("I6", "centre", f"the alert {name[:8]} was {told}, and is {status}")


def _silent_when_over(box: Box, alert: Out, heard: Iterable[Sounding], there: list[Spell]) -> Iterator[Breach]:
    """None sounds after its expiry, and none after its end at a box that could know of that."""
    known = None if alert.ended_at is None else known_at(alert.ended_at, there)
    for one in heard:
        if one.label != alert.id:
            continue
        until = one.ended_ms if one.ended_ms is not None else FOREVER
        if until > alert.expires_at + CLOCK_MS:
            late = until - alert.expires_at
            yield Breach("expired", box.name, f"sounded {alert.id[:8]} {late} ms past its expiry")
        if known is not None and until > known[0]:
            yield Breach(
                "ended", box.name, f"sounded {alert.id[:8]} until {until}, and knew from {known[0]} of its end"
            )


def _announced(box: Box, out: dict[str, Out], heard: Iterable[Sounding], announcement_ms: int) -> Iterator[Breach]:
    """A drill begins with its announcement and says nothing before it; what is live never has it."""
    for one in heard:
        is_announced = one.parts_ms[:1] == (announcement_ms,)
        if out[one.label].kind is Kind.LIVE:
            if announcement_ms in one.parts_ms:
                yield Breach("drill", box.name, f"sounded the live {one.label[:8]} as a drill")
        elif not is_announced or one.offset_ms > ROUNDING_MS:
            where = f"from {one.offset_ms} ms of {one.parts_ms} at {one.began_ms}"
            yield Breach(
                "drill", box.name, f"sounded the drill {one.label[:8]} without its announcement first: {where}"
            )


def _live_first(box: Box, mine: Iterable[Out], heard: list[Sounding], there: list[Spell]) -> Iterator[Breach]:
    """While a live alert that repeats without a pause is on at a box that could know of it, no drill sounds there."""
    drills = [one for one in heard if any(it.id == one.label and it.kind is Kind.DRILL for it in mine)]
    for live in mine:
        known = known_at(live.released_at, there)
        if live.kind is not Kind.LIVE or not live.endless or known is None:
            continue
        begins, ends = known[0], min(known[1], live.over_at)
        for one in drills:
            until = one.ended_ms if one.ended_ms is not None else FOREVER
            if one.began_ms < ends and until > begins:
                yield Breach("live first", box.name, f"sounded the drill {one.label[:8]} while {live.id[:8]} was on")


def _has_an_end(
    box: Box, alert: Out, outcomes: dict[tuple[str, str], str], there: list[Spell], now: InstantMs
) -> Iterator[Breach]:
    """I2: heard and told of at each box that could know of it in its time, by one that has been back for a while."""
    known = known_at(alert.released_at, there)
    if known is None or known[0] > alert.over_at or not box.settled(now, SETTLED_MS):
        return
    outcome = outcomes.get((alert.id, box.name), "not a word")
    if now > alert.over_at + SETTLED_MS and outcome not in _ENDS:
        yield Breach("I2", box.name, f"the alert {alert.id[:8]} has no end there: {outcome}")
