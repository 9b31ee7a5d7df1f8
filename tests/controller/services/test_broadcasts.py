"""Issuing, repeating, confirming, recalling: at every step either all of it or nothing, and never twice."""

from dataclasses import replace

import pytest
from sqlmodel import Session, select

from controller.services.broadcasts import Issued, IssueForm, issue_now, list_broadcasts, recall
from controller.services.due import do_due
from controller.services.health import store_health
from controller.services.nodes import move_node, set_volume
from controller.services.owed import due_orders, next_owed_at, owed_to, reconcile, wait_ms
from controller.services.receipts import record_receipts
from controller.services.settings import ensure_settings
from controller.services.settings_changes import change_settings
from controller.services.streams import due_streams, stream_ended
from controller.tables import Broadcast, BroadcastNode, OwedOrder, RecordEntry
from devices.protocol.documents import Hours
from devices.protocol.envelope import encode, open_sealed
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import Acknowledgement, AreaVersion, Health, ReceiptCause, ReceiptEvent
from devices.protocol.topics import AreaChannel
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import ByteCount, Digest, InstantMs, NodeId
from tests.controller.services.conftest import QN, World


def issue(world: World, **changes: object) -> Issued:
    base: dict[str, object] = {"bulletins": [world.bulletin().id], "target_areas": [f"{QN}/co-to"]}
    return world.run(lambda s: issue_now(s, world.ctx, IssueForm(**(base | changes))))  # type: ignore[arg-type]


def order_of(payload: bytes) -> Order:
    message = open_sealed(payload).message
    assert isinstance(message, Order)
    return message


def health(node: str, **changes: object) -> Health:
    base: dict[str, object] = {
        "node": NodeId(node),
        "session": 1,
        "at": InstantMs(1),
        "uptime_s": 1,
        "epoch": b"epoch-01",
    }
    return Health(**(base | changes))  # type: ignore[arg-type]


def test_issue_now(world: World) -> None:
    issued = issue(world, target_areas=[f"{QN}/co-to", f"{QN}/co-to/thon-1"], target_nodes=["hg-1", "ct-1"], volume=70)
    assert issued.start_at == world.clock.at + 2000
    by_area, by_node = issued.outgoing.orders
    assert (by_area.areas, by_area.nodes) == ((f"{QN}/co-to",), ())
    assert (by_node.areas, by_node.nodes) == ((), ("hg-1",))
    order = order_of(by_area.payload)
    assert open_sealed(by_area.payload).signature.holds_under(world.ctx.keys.public_key)
    assert (order.id, order.action, order.volume, order.areas) == (
        issued.broadcast_id,
        OrderAction.PLAY,
        70,
        by_area.areas,
    )
    assert order.renditions[0].stream_at == world.clock.at + 500
    owed = world.run(lambda s: s.exec(select(OwedOrder)).all())
    assert {row.node: row.payload for row in owed} == {
        "ct-1": by_area.payload, "ct-2": by_area.payload, "ct-3": by_area.payload, "hg-1": by_node.payload,
    }  # fmt: skip
    view = world.run(list_broadcasts)[0]
    assert (view.area, view.status) == (QN, "issued")
    world.clock.at += 500
    streams = world.run(lambda s: due_streams(s, world.clock.now_ms()))
    assert len(streams) == 1
    world.run(lambda s: stream_ended(s, streams[0].digest, world.clock.now_ms()))
    again = issue(world)
    assert order_of(again.outgoing.orders[0].payload).renditions[0].stream_at == streams[0].stream_at
    assert world.run(lambda s: due_streams(s, InstantMs(1 << 60))) == ()


def test_the_start_waits_for_the_slowest_link_that_lacks_the_audio(world: World) -> None:
    view = world.bulletin("x" * 150)  # 60,000 bytes
    digest = view.renditions[0].digest
    reports = [
        health("ct-1", link_rate=4000),
        health("ct-2", link_rate=100_000),
        health("ct-3", link_rate=100, renditions=(Digest(digest),)),
    ]
    world.run(lambda s: store_health(s, [(one, encode(one)) for one in reports], world.clock.now_ms()))
    # 15 s at the slowest rate, after the half second in which its listeners are told of the stream; a fifth more.
    assert issue(world, bulletins=[view.id]).start_at == world.clock.at + 18_600
    world.clock.at += 91_000  # all silent now
    assert issue(world, bulletins=[view.id]).start_at == world.clock.at + 2_000
    assert view.renditions[0].length_bytes == ByteCount(60_000)


def test_what_is_refused(world: World) -> None:
    draft = world.bulletin("Nháp", approve=False)
    long = world.bulletin("Dài", 4000)
    cases: list[tuple[str, dict[str, object]]] = [
        ("empty_target", {"target_areas": []}),
        ("not_found", {"target_areas": [f"{QN}/nowhere"]}),
        ("not_found", {"target_nodes": ["nobody"]}),
        ("not_approved", {"bulletins": [draft.id]}),
        ("field_required", {"bulletins": []}),
        ("volume_range", {"volume": float("nan")}),
        ("emergency_needs_release", {"precedence": Precedence.EMERGENCY}),
        ("bad_value", {"start_at": InstantMs(world.clock.at - 1)}),
        ("bad_value", {"repeats": 0}),
        ("too_long", {"bulletins": [long.id]}),
    ]
    for code, changes in cases:
        with pytest.raises(Refused) as caught:
            issue(world, **changes)
        assert caught.value.code == code
    world.run(lambda s: change_settings(s, world.ctx, area=f"{QN}/co-to", hours=(Hours(from_minute=0, to_minute=1),)))
    with pytest.raises(Refused, match="out_of_hours"):
        issue(world)
    assert world.run(lambda s: s.exec(select(OwedOrder)).all()) == []


def test_sent_again_until_confirmed(world: World) -> None:
    issued = issue(world, repeats=10)
    assert world.run(lambda s: due_orders(s, world.clock.now_ms())) == ()
    waits = []
    for _ in range(5):
        due = world.run(lambda s: next_owed_at(s, world.clock.now_ms()))
        assert due is not None
        waits.append(due - world.clock.at)
        world.clock.at = due
        sent = world.run(lambda s: due_orders(s, world.clock.now_ms()))
        assert {one.node for one in sent} == {"ct-1", "ct-2", "ct-3"}
        assert {one.payload for one in sent} == {issued.outgoing.orders[0].payload}
    assert waits == [2000, 4000, 8000, 16000, 32000]
    batch = [world.receipt("ct-1", ReceiptEvent.RECEIVED, issued.broadcast_id)]
    world.run(lambda s: record_receipts(s, batch, world.clock.now_ms()))
    assert world.run(lambda s: owed_to(s, "ct-1", world.clock.now_ms())) == ()
    assert len(world.run(lambda s: owed_to(s, "ct-2", world.clock.now_ms()))) == 1
    world.clock.at += 10 * 20_000
    assert world.run(lambda s: owed_to(s, "ct-2", world.clock.now_ms())) == ()  # over
    assert world.run(lambda s: next_owed_at(s, world.clock.now_ms())) is None


def test_a_refusal_that_time_may_cure_is_not_a_confirmation(world: World) -> None:
    issued = issue(world)
    receipt, payload = world.receipt("ct-1", ReceiptEvent.REFUSED, issued.broadcast_id)
    unsure = replace(receipt, refusal=RefusalReason.TIME_UNKNOWN)
    world.run(lambda s: record_receipts(s, [(unsure, payload)], world.clock.now_ms()))
    assert len(world.run(lambda s: owed_to(s, "ct-1", world.clock.now_ms()))) == 1
    final = replace(receipt, refusal=RefusalReason.TOO_LONG, number=2)
    world.run(lambda s: record_receipts(s, [(final, payload)], world.clock.now_ms()))
    assert world.run(lambda s: owed_to(s, "ct-1", world.clock.now_ms())) == ()


@pytest.mark.parametrize(
    "reason",
    [
        RefusalReason.EXPIRED,  # also where the node's mandates ran out while it was away: newer trust is on its way
        RefusalReason.BAD_SIGNATURE,  # spoiled on the way, or forged by whoever saw the id
        RefusalReason.RETAINED_FORBIDDEN,  # played back by the broker
        RefusalReason.REPLAY,  # no room to remember it now
        RefusalReason.REVOKED,  # these three: signed under the same id by whoever has any key, a revoked one too
        RefusalReason.DRILL_MISMATCH,
        RefusalReason.BEYOND_APPROVAL,
    ],
)
def test_what_went_wrong_on_the_way_is_still_owed(world: World, reason: RefusalReason) -> None:
    issued = issue(world)
    receipt, payload = world.receipt("ct-1", ReceiptEvent.REFUSED, issued.broadcast_id)
    refused = replace(receipt, refusal=reason)
    world.run(lambda s: record_receipts(s, [(refused, payload)], world.clock.now_ms()))
    assert len(world.run(lambda s: owed_to(s, "ct-1", world.clock.now_ms()))) == 1


def test_recall_of_what_may_sound(world: World) -> None:
    issued = issue(world)
    name = issued.broadcast_id.hex()
    received = [world.receipt("ct-1", ReceiptEvent.RECEIVED, issued.broadcast_id)]
    world.run(lambda s: record_receipts(s, received, world.clock.now_ms()))
    out = world.run(lambda s: recall(s, world.ctx, id=name)).outgoing
    stop = order_of(out.orders[0].payload)
    assert (stop.action, stop.subject, stop.areas) == (OrderAction.STOP, issued.broadcast_id, (f"{QN}/co-to",))
    for node in ("ct-1", "ct-2", "ct-3"):  # the order to play is owed to nobody any more
        assert [one.payload for one in world.run(lambda s, n=node: owed_to(s, n, world.clock.now_ms()))] == [  # type: ignore[misc]
            out.orders[0].payload
        ]
    batch = [
        world.receipt("ct-1", ReceiptEvent.STOPPED, issued.broadcast_id, cause=ReceiptCause.ORDERED),
        world.receipt("ct-2", ReceiptEvent.RECEIVED, stop.id),
        world.receipt("ct-3", ReceiptEvent.STARTED, issued.broadcast_id),  # it had not heard of the stop
    ]
    world.run(lambda s: record_receipts(s, batch, world.clock.now_ms()))
    owed = {n: len(world.run(lambda s, n=n: owed_to(s, n, world.clock.now_ms()))) for n in ("ct-1", "ct-2", "ct-3")}  # type: ignore[misc]
    assert owed == {"ct-1": 0, "ct-2": 0, "ct-3": 1}
    assert not world.run(lambda s: recall(s, world.ctx, id=name)).outgoing
    with pytest.raises(Refused, match="not_found"):
        world.run(lambda s: recall(s, world.ctx, id="00"))


def test_what_is_over_cannot_be_recalled(world: World) -> None:
    issued = issue(world)
    world.clock.at += 3_600_000
    world.run(lambda s: do_due(s, world.ctx, world.ctx.now))
    assert world.run(list_broadcasts)[0].status == "ended"
    assert world.run(lambda s: s.exec(select(OwedOrder)).all())
    world.clock.at += 86_400_000
    world.run(lambda s: do_due(s, world.ctx, world.ctx.now))
    assert world.run(lambda s: s.exec(select(OwedOrder)).all()) == []
    with pytest.raises(Refused, match="broadcast_over"):
        world.run(lambda s: recall(s, world.ctx, id=issued.broadcast_id.hex()))


def test_one_that_is_back_gets_what_it_lacks_and_nothing_else(world: World) -> None:
    world.run(lambda s: ensure_settings(s, world.ctx, health_interval_s=60))
    over = issue(world)
    world.clock.at = over.start_at + 20_001
    world.run(lambda s: set_volume(s, world.ctx, id="ct-1", volume=30))
    moved = world.run(lambda s: move_node(s, world.ctx, id="ct-1", area=f"{QN}/co-to")).value
    world.run(lambda s: record_receipts(s, [world.receipt("ct-1", ReceiptEvent.BOOTED)], world.clock.now_ms()))
    found = world.run(lambda s: reconcile(s, world.ctx, health("ct-1")))
    assert [order_of(one.payload).action for one in found.orders] == [OrderAction.VOLUME]
    assert [one.channel for one in found.documents] == [AreaChannel.SETTINGS]
    placement, held = found.controls
    assert placement.payload == moved.placement
    acknowledged = open_sealed(held.payload).message
    assert isinstance(acknowledged, Acknowledgement)
    assert (acknowledged.node, acknowledged.epoch, acknowledged.number) == ("ct-1", b"epoch-01", 1)
    batch = [world.receipt("ct-1", ReceiptEvent.SET, bytes.fromhex(found.orders[0].order))]
    world.run(lambda s: record_receipts(s, batch, world.clock.now_ms()))
    content = (AreaVersion(area=AreaPath(QN), version=world.clock.at + 1),)
    knows = health("ct-1", placement_version=1 << 50, settings=content, acknowledged=2)
    nothing = world.run(lambda s: reconcile(s, world.ctx, knows))
    assert (nothing.orders, nothing.documents, nothing.controls) == ((), (), ())


def test_an_emergency_is_repeated_more_often() -> None:
    assert [wait_ms(n) for n in (0, 1, 2, 5, 99)] == [2000, 4000, 8000, 60_000, 60_000]
    assert [wait_ms(n, Precedence.EMERGENCY) for n in (0, 1, 2, 5, 99)] == [2000, 4000, 8000, 10_000, 10_000]


class Stop(Exception):
    """The process ends here."""


STEPS = range(12)


@pytest.mark.parametrize("step", STEPS)
def test_stopped_at_each_step_of_issuing(world: World, step: int) -> None:
    """Either nothing of a broadcast is there, or all of it; and what is there is sent again from the tables."""
    view = world.bulletin()
    count = 0

    def work(session: Session) -> Issued:
        nonlocal count
        plain = session.flush

        def counted(*args: object, **kwargs: object) -> None:
            nonlocal count
            count += 1
            plain(*args, **kwargs)  # type: ignore[arg-type]
            if count > step:
                raise Stop

        session.flush = counted  # type: ignore[method-assign]
        return issue_now(session, world.ctx, IssueForm(bulletins=[view.id], target_areas=[f"{QN}/co-to"]))

    try:
        issued = world.run(work)
    except Stop:
        for table in (Broadcast, BroadcastNode, OwedOrder):
            assert world.run(lambda s, t=table: s.exec(select(t)).all()) == []  # type: ignore[misc]
        assert world.run(lambda s: s.exec(select(RecordEntry).where(RecordEntry.verb == "issue")).all()) == []
        return
    # Stopped after the commit and before anything was published: the repeats bring it, each node its own.
    world.clock.at += 2000
    assert (world.run(lambda s: next_owed_at(s, world.clock.now_ms())) or 0) <= world.clock.at
    due = world.run(lambda s: due_orders(s, world.clock.now_ms()))
    assert sorted(one.node for one in due) == ["ct-1", "ct-2", "ct-3"]
    assert {order_of(one.payload).id for one in due} == {issued.broadcast_id}
