"""What must hold in every world, whatever the weather. Each breach is told with its number and in words.

I1 no unauthorised sound; I2 a released emergency is heard and told of at every node that had a chance; I3 no scheduled
broadcast twice at a node; I4 amplifier off at its limit; I5 the centre never claims "played" without a signed receipt;
I6 what was acknowledged is never lost; I7 every silence in a planned slot has a stated reason; and nothing
fails inside.
"""

from collections.abc import Collection, Iterable, Iterator

from sqlmodel import Session, col, select

from controller.services.broadcasts import targeted_nodes
from controller.tables import Broadcast, BroadcastNode, Bulletin, Node, Programme, ReceiptRow
from devices.protocol.envelope import open_sealed
from loa.cli.simulation.alert_rules import alert_breaches
from loa.cli.simulation.province import Province
from loa.cli.simulation.told import Breach
from loa.units import InstantMs
from simulators.world.box import Box
from simulators.world.boxes import Sounding
from simulators.world.presence import together

TERMINAL = frozenset({"finished", "skipped", "stopped", "unconfirmed", "refused", "not_ready", "sounded"})
SETTLED_MS = 20 * 60_000
"""A box that has had power, and a link, for this long has told everything."""
GRACE_MS = 300_000
MINUTE_MS = 60_000
TOLD_MS = 30_000
"""On the slowest link an order has arrived by then."""
CHANCE_MS = 240_000
"""A box that was there for this long has had its chance to sound an emergency."""
_TOLERANCE_MS = 1_000


def breaches(province: Province, *, settled: bool) -> list[Breach]:
    """Everything that does not hold now. settled: the weather was calm for a while, so all must be told."""
    found = [*_faults(province)]
    for box in province.boxes.values():
        found += [*_sound_limits(box), *_no_repeats(box, _may_repeat(province))]
    centre = province.centre
    if centre is not None:
        found += centre.db.read(lambda session: list(_against_tables(session, province, settled)))
    return found


def _faults(province: Province) -> Iterator[Breach]:
    process = province.centre_process
    for fault in [*province.centre_faults, *(process.faults if process is not None else ())]:
        yield Breach("works", "centre", repr(fault)[:300])
    centre = province.centre
    if centre is not None and not province.centre_troubled:
        for name, count in centre.transmitter.wire.counters.faults.items():
            yield Breach("works", "centre", f"{name} failed {count} times")
    for station in province.stations.values():
        for fault in [*station.faults, *(station.process.faults if station.process is not None else ())]:
            yield Breach("works", station.name, repr(fault)[:300])
    for box in province.boxes.values():
        for fault in [*box.faults, *([box.failure] if box.failure is not None else [])]:
            yield Breach("works", box.name, repr(fault)[:300])


def _sound_limits(box: Box) -> Iterator[Breach]:
    """I4: no clip outlasts what it is made of."""
    for sounding in box.soundings:
        if sounding.ended_ms is not None and sounding.ended_ms - sounding.began_ms > sounding.limit_ms + _TOLERANCE_MS:
            lasted = sounding.ended_ms - sounding.began_ms
            yield Breach("I4", box.name, f"{sounding.label[:8]} sounded {lasted} ms of {sounding.limit_ms}")


def _may_repeat(province: Province) -> frozenset[str]:
    return frozenset({*province.ledger.emergencies, *province.ledger.alerts, *province.ledger.controls})


def _no_repeats(box: Box, emergencies: Collection[str]) -> Iterator[Breach]:
    """I3: no part of a broadcast twice, and nothing of it again after the power failed in it. Emergencies repeat."""
    heard: dict[str, Sounding] = {}
    for sounding in box.soundings:
        if sounding.label in emergencies:
            continue
        before = heard.get(sounding.label)
        heard[sounding.label] = sounding
        if before is None or before.ended_ms is None:
            continue
        reached = before.offset_ms + before.ended_ms - before.began_ms
        if before.how in ("power", "finished") or sounding.offset_ms < reached - _TOLERANCE_MS:
            yield Breach(
                "I3",
                box.name,
                f"{sounding.label[:8]} again from {sounding.offset_ms} ms after {before.how} at {reached}",
            )


def _against_tables(session: Session, province: Province, settled: bool) -> Iterator[Breach]:
    rows = {row.id: row for row in session.exec(select(Broadcast))}
    meant = {name: frozenset(map(str, targeted_nodes(session, row))) for name, row in rows.items()}
    yield from _authorised(province, rows, meant)
    yield from _slots(province, rows)
    yield from _claims(session, province)
    yield from _promises(session, province, rows)
    yield from _emergencies(session, province, rows, meant)
    yield from alert_breaches(session, province, settled=settled)
    if settled:
        yield from _acknowledged(session, province)
        yield from _reasons(session, province, rows, meant)


def _authorised(province: Province, rows: dict[str, Broadcast], meant: dict[str, frozenset[str]]) -> Iterator[Breach]:
    """I1: whatever sounds was planned or issued, for this node, and is not before its time."""
    ledger = province.ledger
    for box in province.boxes.values():
        for sounding in box.soundings:
            row = rows.get(sounding.label)
            if sounding.label in ledger.controls or box.name in ledger.stolen:
                continue
            if row is None and sounding.label in ledger.forgotten:
                continue
            if row is None:
                yield Breach("I1", box.name, f"sounded {sounding.label}, which nobody ordered")
            elif box.name not in meant[sounding.label]:
                yield Breach("I1", box.name, f"sounded {sounding.label[:8]}, which was not for it")
            elif sounding.began_ms < row.start_at - ledger.early_ms:
                yield Breach(
                    "I1", box.name, f"sounded {sounding.label[:8]} {row.start_at - sounding.began_ms} ms early"
                )


def _slots(province: Province, rows: dict[str, Broadcast]) -> Iterator[Breach]:
    """I3: whatever their ids, two broadcasts of one slot of a programme are one to those who hear them."""
    for box in province.boxes.values():
        by_slot: dict[str, str] = {}
        for sounding in box.soundings:
            row = rows.get(sounding.label)
            if row is not None and row.slot is not None and by_slot.setdefault(row.slot, row.id) != row.id:
                yield Breach("I3", box.name, f"sounded {row.slot} as {by_slot[row.slot][:8]} and as {row.id[:8]}")


def _claims(session: Session, province: Province) -> Iterator[Breach]:
    """I5: started and finished only where the loudspeaker did so, and only with a receipt that its key signed."""
    keys = {node.id: node.public_key for node in session.exec(select(Node))}
    for claim in session.exec(select(BroadcastNode).where(col(BroadcastNode.started_at).is_not(None))):
        box = province.boxes[claim.node]
        soundings = [one for one in box.soundings if one.label == claim.broadcast]
        if not soundings:
            yield Breach("I5", claim.node, f"claimed to have started {claim.broadcast[:8]}, but was silent")
        elif claim.outcome == "finished" and all(one.how != "finished" for one in soundings):
            yield Breach("I5", claim.node, f"claimed to have finished {claim.broadcast[:8]}: {soundings[-1].how}")
        receipts = session.exec(
            select(ReceiptRow).where(ReceiptRow.subject == claim.broadcast, ReceiptRow.node == claim.node)
        )
        if not any(open_sealed(one.payload).signature.holds_under(keys[claim.node]) for one in receipts):
            yield Breach("I5", claim.node, f"{claim.broadcast[:8]} is claimed without a signed receipt")


def _promises(session: Session, province: Province, rows: dict[str, Broadcast]) -> Iterator[Breach]:
    """I6: what a person was told is done stays done."""
    ledger = province.ledger
    for bulletin in ledger.bulletins:
        if session.get(Bulletin, bulletin.id) is None:
            yield Breach("I6", "centre", f"lost the bulletin {bulletin.id}")
    for programme in ledger.programmes:
        if session.get(Programme, programme) is None:
            yield Breach("I6", "centre", f"lost the programme {programme}")
    for broadcast in ledger.issued:
        if broadcast not in rows:
            yield Breach("I6", "centre", f"lost the broadcast {broadcast}")
    for broadcast in ledger.recalled:
        if broadcast in rows and broadcast not in ledger.revoked and rows[broadcast].status != "recalled":
            yield Breach("I6", "centre", f"forgot the recall of {broadcast}")


def _emergencies(
    session: Session, province: Province, rows: dict[str, Broadcast], meant: dict[str, frozenset[str]]
) -> Iterator[Breach]:
    """I2: who had power and a link for a while before the emergency's end has sounded it, and the centre knows."""
    now = province.clock.now_ms()
    outcomes = {(one.broadcast, one.node): one.outcome for one in session.exec(select(BroadcastNode))}
    for emergency, released in province.ledger.emergencies.items():
        ends = InstantMs(min(rows[emergency].expires_at, province.ledger.recalled.get(emergency, now)))
        for name in sorted(meant[emergency]):
            box = province.boxes[name]
            if now < ends or not box.was_there_for(CHANCE_MS, released, ends):
                continue
            if all(one.label != emergency for one in box.soundings):
                yield Breach("I2", name, f"was there and never sounded the emergency {emergency[:8]}")
            outcome = outcomes.get((emergency, name), "not a word")
            if box.settled(now, SETTLED_MS) and now > ends + SETTLED_MS and outcome not in TERMINAL:
                yield Breach("I2", name, f"the emergency {emergency[:8]} has no end there: {outcome}")


def _acknowledged(session: Session, province: Province) -> Iterator[Breach]:
    """I6: a node may evict only what the centre has."""
    for box in province.boxes.values():
        if box.node is None:
            continue
        status = box.node.status()
        held = set(
            session.exec(
                select(ReceiptRow.number).where(ReceiptRow.node == box.name, ReceiptRow.epoch == status.epoch.hex())
            )
        )
        lost = [number for number in range(1, status.acknowledged + 1) if number not in held]
        if lost and not box.journal_dropped:
            yield Breach("I6", box.name, f"was told that receipts {lost[:5]} are held, and they are not")


def _reasons(
    session: Session, province: Province, rows: dict[str, Broadcast], meant: dict[str, frozenset[str]]
) -> Iterator[Breach]:
    """I7: of every broadcast that is over, each node that could speak has told how it ended."""
    now = province.clock.now_ms()
    outcomes = {(one.broadcast, one.node): one.outcome for one in session.exec(select(BroadcastNode))}
    for broadcast, row in rows.items():
        over_at = InstantMs(row.start_at + row.duration_ms + GRACE_MS)
        if over_at + SETTLED_MS > now or row.status in ("recalled", "crowded_out", "withdrawn"):
            continue
        for name in sorted(meant[broadcast]):
            box = province.boxes[name]
            if not box.settled(now, SETTLED_MS) or box.enrolled_at > row.start_at - GRACE_MS:
                continue
            if outcomes.get((broadcast, name), "waiting") in TERMINAL:
                continue
            if not _had_a_chance(province, box, row, over_at):
                continue  # it could not learn of it, and its silence was shown at the time
            yield Breach(
                "I7", name, f"{broadcast[:8]} at {row.start_at}: {outcomes.get((broadcast, name), 'not a word')}"
            )


def _had_a_chance(province: Province, box: Box, row: Broadcast, over_at: InstantMs) -> bool:
    """Whether what is said of a broadcast could reach a box, and be played, before it was over."""
    created = InstantMs(row.created_at)
    if not box.had_power(InstantMs(row.start_at)):
        return False
    if row.scheduled:  # the timetable lies at the broker, whoever is there
        return box.was_there(created, over_at)
    # An order is sent at once, and to who comes later; by a centre that lives, and with time left to play it.
    last = max(created, InstantMs(row.start_at + row.duration_ms - 2 * MINUTE_MS))
    common = together(box.presence, province.centre_presence, created, over_at)
    return any(begins <= last and ends - begins >= TOLD_MS for begins, ends in common)


def told(found: Iterable[Breach]) -> str:
    return "\n".join(str(one) for one in found)
