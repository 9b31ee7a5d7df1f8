"""The controller's end of the wire, against a node that can say anything."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlmodel import Session, col, select

from controller import keyfiles
from controller.centre import Centre
from controller.config import load_config
from controller.services.broadcasts import IssueForm
from controller.tables import NodeState, OwedOrder, ReceiptRow, Rendition
from controller.wire import transmitter
from controller.wire.records import Kept
from controller.wire.reports import Believed
from devices.links.loopback import LoopbackLink
from devices.protocol.documents import Placement
from devices.protocol.envelope import encode, seal
from devices.protocol.keys import SigningKey
from devices.protocol.media import BlockRange, Manifest, Piece, TimeReply, TimeRequest, Want
from devices.protocol.orders import Order, OrderAction
from devices.protocol.reports import Acknowledgement, Presence, PresenceState, ReceiptEvent
from devices.protocol.topics import UpChannel, up_topic
from devices.protocol.trust import Power, Trust
from loa.entropy import system_entropy
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import Digest, InstantMs, NodeId
from tests.controller.wire.scripted import ADMIN, CLOCK, COMMUNE, SmallWorld, open_small_world, small_world
from tests.controller.wire.waiting import eventually


async def _receipts(world: SmallWorld) -> list[int]:
    def read(session: Session) -> list[int]:
        return list(session.exec(select(ReceiptRow.number).order_by(col(ReceiptRow.number))))

    return await world.centre.reading(read)


async def test_receipts_are_acknowledged_after_their_commit_and_repeats_again(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node = await world.node()
        held: list[list[int]] = []
        publish = world.centre.link.publish

        def watched(topic: str, payload: bytes, **how: bool) -> bool:
            if topic.endswith("/ctl") and isinstance(_opened(payload), Acknowledgement):
                held.append(world.centre.db.read(lambda session: list(session.exec(select(ReceiptRow.number)))))
            return publish(topic, payload, **how)

        world.centre.link.publish = watched  # type: ignore[method-assign, assignment]
        for number in (1, 2, 3, 3, 2):
            node.say(UpChannel.RECEIPT, node.receipt(number, ReceiptEvent.BOOTED))
        await eventually(lambda: node.acknowledged() == [3])
        assert sorted(held[0]) == [1, 2, 3], "what is acknowledged was committed before"
        node.say(UpChannel.RECEIPT, node.receipt(3, ReceiptEvent.BOOTED))
        await eventually(lambda: node.acknowledged() == [3, 3])
        assert await _receipts(world) == [1, 2, 3]


async def test_one_report_that_cannot_be_kept_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a node has found to say that our tables choke on, and however often it says it."""
    keep: Callable[[Session, list[Believed], InstantMs], Kept] = vars(transmitter)["keep_group"]

    def choking(session: Session, believed: list[Believed], now: InstantMs) -> Kept:
        if any(one.report.node == "loa-2" for one in believed):
            raise ValueError("nobody thought of this")
        return keep(session, believed, now)

    monkeypatch.setattr("controller.wire.transmitter.keep_group", choking)
    async with small_world(tmp_path) as world:
        node, other = await world.node("loa-1"), await world.node("loa-2")
        for number in (1, 2, 3):
            other.say(UpChannel.RECEIPT, other.receipt(1, ReceiptEvent.BOOTED))
            node.say(UpChannel.RECEIPT, node.receipt(number, ReceiptEvent.BOOTED))
        await eventually(lambda: 3 in node.acknowledged())
        assert other.acknowledged() == []
        assert world.centre.transmitter.wire.counters.faults["reports"] == 3


async def test_a_gap_is_not_acknowledged(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node = await world.node()
        node.say(UpChannel.RECEIPT, node.receipt(2, ReceiptEvent.BOOTED))
        await eventually(lambda: node.acknowledged() == [0])
        node.say(UpChannel.RECEIPT, node.receipt(1, ReceiptEvent.BOOTED))
        await eventually(lambda: node.acknowledged() == [0, 2])


@pytest.mark.slow
async def test_a_commit_that_fails_acknowledges_nothing_and_the_wire_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep: Callable[[Session, list[Believed], InstantMs], Kept] = vars(transmitter)["keep_group"]
    fails = [True]

    def failing(session: Session, believed: list[Believed], now: InstantMs) -> Kept:
        kept = keep(session, believed, now)
        if fails and fails.pop():
            raise OSError("disk")
        return kept

    monkeypatch.setattr("controller.wire.transmitter.keep_group", failing)
    async with small_world(tmp_path) as world:
        node = await world.node()
        node.say(UpChannel.RECEIPT, node.receipt(1, ReceiptEvent.BOOTED))
        await eventually(lambda: world.centre.transmitter.wire.counters.faults["reports"] == 1)
        assert node.acknowledged() == []
        node.say(UpChannel.RECEIPT, node.receipt(1, ReceiptEvent.BOOTED))
        await eventually(lambda: node.acknowledged() == [1])


async def test_forged_reports_are_refused_and_counted_by_reason(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node, other = await world.node("loa-1"), await world.node("loa-2")
        forger = SigningKey(bytes(32))
        node.say(UpChannel.RECEIPT, node.receipt(1, ReceiptEvent.STARTED), key=forger)
        node.say(UpChannel.RECEIPT, other.receipt(1, ReceiptEvent.STARTED))
        payload = bytearray(seal(node.receipt(1, ReceiptEvent.STARTED), node.identity.key))
        payload[-1] ^= 1
        node.link.publish(up_topic(node.name, UpChannel.RECEIPT), bytes(payload))
        node.link.publish(up_topic(node.name, UpChannel.RECEIPT), b"\xff\x00")
        node.link.publish(up_topic(NodeId("stranger"), UpChannel.RECEIPT), bytes(payload))
        good = seal(node.receipt(1, ReceiptEvent.BOOTED), node.identity.key)
        node.link.publish(up_topic(node.name, UpChannel.HEALTH), encode(node.health()))
        refused = world.centre.transmitter.wire.counters.refused
        await eventually(lambda: sum(refused.values()) == 6)
        assert dict(refused) == {"untrusted_key": 2, "wrong_target": 1, "bad_signature": 1, "malformed": 2}
        assert await _receipts(world) == []
        node.link.publish(up_topic(node.name, UpChannel.RECEIPT), good)
        await eventually(lambda: node.acknowledged() == [1])


async def test_a_retained_receipt_is_refused_and_a_last_will_is_only_a_hint(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node = await world.node()
        node.say(UpChannel.HEALTH, node.health(session=4))
        await eventually(lambda: world.centre.transmitter.wire.counters.received["health"] == 1)
        will = encode(Presence(node=node.name, session=4, state=PresenceState.OFFLINE))
        node.link.publish(up_topic(node.name, UpChannel.PRESENCE), will, retain=True)

        async def hinted() -> bool:
            return await world.centre.reading(lambda s: not s.get_one(NodeState, node.name).online_hint)

        await eventually(hinted)
        views = {view.id: view for view in await world.centre.nodes()}
        assert views[node.name].state == "online", "a hint is no proof: its health is a second old"


@pytest.mark.slow
async def test_an_order_goes_out_at_once_and_again_until_it_is_confirmed(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node = await world.node()
        await world.centre.set_volume(node.name, 50, account=ADMIN)
        await eventually(lambda: len(node.heard) >= 1)
        await eventually(lambda: len([m for m in node.messages() if isinstance(m, Order)]) == 2, within_s=5)
        orders = [message for message in node.messages() if isinstance(message, Order)]
        assert orders[0] == orders[1], "the same bytes, so that it acts once"
        assert orders[0].action is OrderAction.VOLUME
        node.say(UpChannel.RECEIPT, node.receipt(1, ReceiptEvent.SET, orders[0].id))

        async def confirmed() -> bool:
            return await world.centre.reading(
                lambda s: all(row.confirmed_at is not None for row in s.exec(select(OwedOrder)))
            )

        await eventually(confirmed)


async def test_the_clock_is_told_at_once(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node = await world.node()
        node.say(UpChannel.TIME, TimeRequest(node=node.name, nonce=b"n" * 16, sent_at=-5))
        await eventually(lambda: any(isinstance(one, TimeReply) for one in node.messages()))
        reply = next(one for one in node.messages() if isinstance(one, TimeReply))
        assert (reply.nonce, reply.sent_at) == (b"n" * 16, -5)
        assert reply.received_at <= reply.replied_at <= CLOCK.now_ms()


async def test_a_node_that_comes_is_given_trust_and_place_first(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node = await world.node()
        node.heard.clear()
        node.say(UpChannel.HEALTH, node.health())
        await eventually(lambda: any(isinstance(one, Placement) for one in node.messages()))
        kinds = [type(one) for one in node.messages()]
        assert kinds.index(Trust) < kinds.index(Placement)
        placement = next(one for one in node.messages() if isinstance(one, Placement))
        assert placement.area == AreaPath(COMMUNE)


async def test_a_node_that_is_back_is_told_what_is_held_and_given_what_is_owed(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node = await world.node()
        node.say(UpChannel.RECEIPT, node.receipt(1, ReceiptEvent.BOOTED))
        await eventually(lambda: node.acknowledged() == [1])
        node.link.drop()
        await world.centre.set_volume(node.name, 20, account=ADMIN)
        node.heard.clear()
        node.link.restore()
        await eventually(lambda: node.up)
        node.say(UpChannel.HEALTH, node.health(session=2, acknowledged=5, last_number=5))
        await eventually(lambda: node.acknowledged() == [1])  # after a restored backup: less than the node was told
        await eventually(lambda: any(isinstance(one, Order) for one in node.messages()))


async def test_wants_are_served_and_counted_as_repairs(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node = await world.node()
        await world.bulletin(10_000)
        digest = Digest(bytes.fromhex(await _only_rendition(world)))
        want = Want(node=node.name, rendition=digest, manifest=True, blocks=(BlockRange(first=1, count=2),))
        node.say(UpChannel.WANT, want)
        await eventually(lambda: len([m for m in node.messages() if isinstance(m, Piece)]) == 2)
        assert any(isinstance(one, Manifest) for one in node.messages())
        pieces = [one for one in node.messages() if isinstance(one, Piece)]
        assert [(one.offset, len(one.data)) for one in pieces] == [(4096, 4096), (8192, 10_000 - 8192)]
        outflow = world.centre.transmitter.streams.outflow
        assert outflow.repair_bytes[digest] == 10_000 - 4096
        assert not outflow.streamed_bytes
        node.say(UpChannel.WANT, Want(node=node.name, rendition=Digest(bytes(32)), manifest=True))
        node.say(UpChannel.TIME, TimeRequest(node=node.name, nonce=b"n" * 16, sent_at=0))  # answered after it
        await eventually(lambda: any(isinstance(one, TimeReply) for one in node.messages()))
        assert world.centre.transmitter.wire.counters.received["want"] == 2
        assert not world.centre.transmitter.wire.counters.faults


@pytest.mark.slow
async def test_a_stream_goes_out_once_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node = await world.node()
        node.say(UpChannel.HEALTH, node.health(link_rate=80_000))
        await eventually(lambda: world.centre.transmitter.wire.counters.received["health"] == 1)
        bulletin = await world.bulletin(120_000)
        digest = Digest(bytes.fromhex(await _only_rendition(world)))
        ear = LoopbackLink(world.broker)
        offsets: list[int] = []

        class Ear:
            def link_up(self) -> None: ...
            def link_down(self, reason: str) -> None: ...
            def delivered(self, delivery: object) -> None:
                message = _opened(delivery.payload)  # type: ignore[attr-defined]
                if isinstance(message, Piece):
                    offsets.append(message.offset)

        ear.listen([f"loa/1/m/{digest.hex()}"])
        await ear.start(Ear())
        await world.centre.issue_now(IssueForm(bulletins=[bulletin], target_areas=[COMMUNE]), account=ADMIN)
        await eventually(lambda: len(offsets) >= 5)
        await world.centre.stop()
        first = len(offsets)
        world.centre = await open_small_world(tmp_path, world.broker)
        await eventually(lambda: len(offsets) > first)
        blocks = -(-120_000 // 4096)

        async def done() -> bool:
            return await world.centre.reading(lambda s: s.get_one(Rendition, digest.hex()).streamed_at is not None)

        await eventually(done, within_s=20)
        assert sorted(set(offsets)) == [at * 4096 for at in range(blocks)]
        assert len(offsets) <= blocks + 13, "at most what went out after the last note goes out again"


@pytest.mark.slow
async def test_what_the_roots_revoked_goes_out_without_a_restart(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        keys, now = world.centre.keys, CLOCK.now_ms()
        person = SigningKey(bytes(range(32)))
        appointment = keyfiles.appoint(
            keys.directory, holder="Lan", public_key=person.public_key, area=AreaPath(COMMUNE),
            ceiling=Precedence.PRIORITY, powers=Power.ORDER, now_ms=now, entropy=system_entropy,
        )  # fmt: skip
        world.centre.look_again()
        ear = await world.node("ear")
        ear.link.listen(["loa/1/a/quang-ninh/trust"])
        await eventually(lambda: _newest_trust(ear.messages(), len_appointments=2))
        keyfiles.revoke(keys.directory, [appointment.id], now_ms=now, reason="lost")
        world.centre.look_again()
        await eventually(lambda: _newest_trust(ear.messages(), len_appointments=2, len_revocations=1))


def _newest_trust(messages: Sequence[object], *, len_appointments: int, len_revocations: int = 0) -> bool:
    trusts = [one for one in messages if isinstance(one, Trust)]
    return bool(trusts) and (len(trusts[-1].appointments), len(trusts[-1].revocations)) == (
        len_appointments,
        len_revocations,
    )


async def test_one_process_a_folder(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        with pytest.raises(Refused, match="already_running"):
            await Centre.start(load_config(data=tmp_path), CLOCK, link=LoopbackLink(world.broker))


async def _only_rendition(world: SmallWorld) -> str:
    return await world.centre.reading(lambda session: session.exec(select(Rendition.digest)).one())


def _opened(payload: bytes) -> object:
    from devices.protocol.envelope import Sealed, open_any

    opened = open_any(payload)
    return opened.message if isinstance(opened, Sealed) else opened
