"""The station: between a broker and the wired nodes on its bus, byte for byte.

It holds no key and judges nothing: what it relays is signed between the controller and the nodes. It only decides
what goes first, and who listens to what it is told by the nodes themselves.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict

from devices.links.port import Delivery, Link
from devices.links.serial_frames import BROADCAST
from devices.links.serial_messages import BusMessage, Channel, pack, unpack
from devices.links.serial_port import OpenPort, SerialPort
from devices.protocol.envelope import decode, open_any, open_sealed
from devices.protocol.media import Piece, TimeReply
from devices.protocol.orders import Order
from devices.protocol.refusal import WireRefusal
from devices.protocol.topics import ENROLMENT_ANSWERED, ENROLMENT_ASKED, DownChannel
from devices.station.bus import SLOWEST_POLL_S, BusMaster, Drop, Urgency
from devices.station.config import StationConfig
from devices.station.enrolling import EnrolmentRelay
from loa.clock import Clock
from loa.precedence import Precedence
from loa.units import Digest

_log = logging.getLogger("loa.station")
_STATE_DOCUMENTS = ("trust", "settings", "timetable")
_REMEMBERED_EMERGENCIES = 64
MAX_TIME_REPLY_BYTES = 512
"""Generous: it is signed, and has a name and a few numbers. A timetable need not be read to know that it is none."""
_KEPT_BYTES = 8 * 1024 * 1024
_HARDLY_S = 0.5
_ORDER_AGAIN_S = (0.3, 0.5)
"""An order is said three times on the bus, with these pauses."""


class Station:
    """Relays between `link` (to the broker) and the bus of `config`. `start`, then it runs until `stop`."""

    def __init__(
        self,
        config: StationConfig,
        link: Link,
        clock: Clock,
        *,
        open_port: OpenPort = SerialPort,
        slowest_poll_s: float = SLOWEST_POLL_S,
        enrolment: EnrolmentRelay | None = None,
    ) -> None:
        drops = [Drop(entry.address, entry.node) for entry in config.drops]
        self.bus = BusMaster(
            config.port, config.baud, drops, clock, self, open_port=open_port, slowest_poll_s=slowest_poll_s
        )
        self._by_node = {drop.node: drop for drop in drops}
        self._link = link
        self._enrolment = enrolment or EnrolmentRelay(config.centre)
        self._clock, self._rate = clock, config.baud / 10
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._pieces: OrderedDict[bytes, float] = OrderedDict()
        self._again: set[asyncio.Task[None]] = set()
        self._emergencies: OrderedDict[Digest, None] = OrderedDict()

    async def start(self) -> None:
        self.bus.start()
        await self._link.start(self)

    async def stop(self) -> None:
        await self._link.stop()
        await self._enrolment.stop()
        for task in list(self._again):
            task.cancel()
        await self.bus.stop()

    # From the broker.

    def link_up(self) -> None:
        _log.info("broker connected")
        self.bus.uplink = True
        self.bus.poll_soon()

    def link_down(self, reason: str) -> None:
        """Nodes are told by their next poll; what they could not have heard is forgotten."""
        _log.warning("broker lost: %s", reason)
        self.bus.uplink = False
        self.bus.forget_audio()
        self.bus.poll_soon()

    def delivered(self, delivery: Delivery) -> None:
        """To the one node that it is for, or to all at once where any of them listens."""
        parts = delivery.topic.split("/")
        if parts[-1] in _STATE_DOCUMENTS:
            self._keep(delivery)
        destination = BROADCAST
        if len(parts) == 5 and parts[2] == "n":
            drop = self._by_node.get(parts[3])  # type: ignore[call-overload]
            if drop is None:
                return
            destination = drop.address
            if parts[4] == DownChannel.PIECE:
                # What one node lacks the others often lack too, and they hear it anyway.
                destination = BROADCAST
                if self._goes_out_already(delivery.payload):
                    return
        elif not any(delivery.topic in drop.listens for drop in self.bus.drops.values()):
            return
        message = pack(delivery.topic, delivery.payload, retained=delivery.retained)
        self.bus.send(destination, message, self._urgency(message))
        if message.channel in (Channel.AREA_ORDER, Channel.ORDER):
            self._repeat(destination, message, Urgency.ORDER)

    async def _say_again(self, destination: int, message: BusMessage, urgency: Urgency) -> None:
        """Nobody confirms what is said to all, and a frame may be spoilt; a node acts on the same order once."""
        for pause_s in _ORDER_AGAIN_S:
            await self._clock.sleep(pause_s)
            self.bus.send(destination, message, urgency)

    def say_locally(self, order: bytes) -> bool:
        """An order that was given here, to all at once, whether or not there is a broker. False: there is no room."""
        message = BusMessage(Channel.LOCAL, order)
        said = self.bus.send(BROADCAST, message, Urgency.LOCAL)
        self._repeat(BROADCAST, message, Urgency.LOCAL)
        return said

    def _repeat(self, destination: int, message: BusMessage, urgency: Urgency) -> None:
        saying = self._say_again(destination, message, urgency)
        task = asyncio.get_running_loop().create_task(saying, name="order again")
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    def _goes_out_already(self, payload: bytes) -> bool:
        """Whether the same piece was asked for by another node, and is in line or has hardly been sent."""
        now_s = self._clock.monotonic_s()
        while self._pieces and next(iter(self._pieces.values())) < now_s:
            self._pieces.popitem(last=False)
        mark = hashlib.sha256(payload).digest()
        if mark in self._pieces:
            return True
        self._pieces[mark] = now_s + self.bus.audio_bytes / self._rate + _HARDLY_S
        return False

    def _urgency(self, message: BusMessage) -> Urgency:
        match message.channel:
            case Channel.AREA_ORDER | Channel.ORDER:
                self._note_emergency(message)
                return Urgency.ORDER
            case Channel.CTL:
                return Urgency.ORDER if _is_time_reply(message.body) else Urgency.CTL
            case Channel.PIECE | Channel.STREAM:
                if _digest_of_piece(message.body) in self._emergencies:
                    return Urgency.EMERGENCY_AUDIO
                return Urgency.ASKED if message.channel is Channel.PIECE else Urgency.STREAM
            case _:
                return Urgency.DOCUMENT

    def _note_emergency(self, message: BusMessage) -> None:
        """Whose audio goes first. Unchecked: a forged order could only reorder audio, and nodes refuse it."""
        body = message.body[1 + message.body[0] :] if message.channel is Channel.AREA_ORDER else message.body
        try:
            order = open_sealed(body).message
        except WireRefusal:
            return
        if isinstance(order, Order) and order.precedence is Precedence.EMERGENCY:
            for rendition in order.renditions:
                self._emergencies[rendition.digest] = None
            while len(self._emergencies) > _REMEMBERED_EMERGENCIES:
                self._emergencies.popitem(last=False)

    def _keep(self, delivery: Delivery) -> None:
        """The newest state documents, for a node that begins to listen after the broker sent them."""
        self._kept.pop(delivery.topic, None)
        self._kept[delivery.topic] = delivery.payload
        while sum(map(len, self._kept.values())) > _KEPT_BYTES:
            self._kept.popitem(last=False)

    # From the bus.

    def heard(self, drop: Drop, message: BusMessage) -> None:
        """Publish what a node says, on its own topics only."""
        named = unpack(message.channel, message.body, drop.node)
        if named is not None and named[0] == ENROLMENT_ASKED:
            self._enrolment.asked(drop.address, named[1], lambda topic, reply: self._answer(drop, topic, reply))
            return
        if named is None or not named[0].startswith(f"loa/1/n/{drop.node}/"):
            return
        topic, payload = named
        is_time = message.channel is Channel.TIME
        self._link.publish(
            topic, payload, qos=0 if is_time else 1, retain=message.channel is Channel.PRESENCE, urgent=is_time
        )

    def _answer(self, drop: Drop, topic: str, payload: bytes) -> None:
        self.bus.send(drop.address, pack(topic, payload), Urgency.CTL)

    def listens_changed(self, drop: Drop, before: frozenset[str]) -> None:
        """Listen on behalf of all nodes; give this one the documents that the broker sent before."""
        listens = frozenset().union(*(one.listens for one in self.bus.drops.values()))
        self._link.listen(listens - {ENROLMENT_ANSWERED})
        for topic in sorted(drop.listens - before):
            payload = self._kept.get(topic)
            if payload is not None:
                self.bus.send(drop.address, pack(topic, payload, retained=True), Urgency.DOCUMENT)


def _is_time_reply(payload: bytes) -> bool:
    if len(payload) > MAX_TIME_REPLY_BYTES:
        return False
    try:
        opened = open_any(payload)
    except WireRefusal:
        return False
    return isinstance(getattr(opened, "message", opened), TimeReply)


def _digest_of_piece(payload: bytes) -> Digest | None:
    try:
        message = decode(payload)
    except WireRefusal:
        return None
    return message.rendition if isinstance(message, Piece) else None
