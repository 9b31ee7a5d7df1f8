"""A node under test in a small world: loopback broker, a centre that answers, real storage, a recording speaker."""

import hashlib
import wave
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio.decode import decode_file
from audio.encode import OpusWriter
from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.links.port import Delivery, Link
from devices.node.config import NodeConfig
from devices.node.evidence import Sensor
from devices.node.node import Node
from devices.node.ports import Speaker, Storage
from devices.node.recording import RecordingSpeaker
from devices.protocol.common import RenditionRef
from devices.protocol.documents import Entry, Placement, Settings, Timetable
from devices.protocol.envelope import encode, seal
from devices.protocol.identity import NodeIdentity
from devices.protocol.judge import judge_report
from devices.protocol.keys import SigningKey
from devices.protocol.media import Piece, TimeReply, TimeRequest, Want, digest_of, manifest_for
from devices.protocol.orders import Order, OrderAction
from devices.protocol.reports import Acknowledgement, Health, Presence, Receipt, ReceiptEvent
from devices.protocol.topics import (
    AreaChannel,
    DownChannel,
    area_topic,
    controller_subscriptions,
    down_topic,
    read_up_topic,
)
from loa.clock import Clock
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import ByteCount, Digest, DurationMs, Id16, InstantMs, NodeId
from tests.node.hands import BoxClock, HandClock, settle
from tests.protocol.world import (
    COMMUNE,
    CONTROLLER,
    DRILLER,
    NODE,
    NODE_KEY,
    NOW,
    PERSON,
    PROVINCE,
    ROOTS,
    VILLAGE,
    Centre,
    approved,
)

IDENTITY = NodeIdentity(NODE, NODE_KEY, ROOTS)


@dataclass(frozen=True)
class Recording:
    """A rendition with all that belongs to it."""

    file: bytes
    manifest: bytes
    ref: RenditionRef

    @property
    def digest(self) -> Digest:
        return self.ref.digest

    @property
    def sound(self) -> NDArray[np.int16]:
        return np.frombuffer(decode_file(self.file).data, np.int16)


@cache
def recording(seconds: float = 3.0, pitch: float = 300.0) -> Recording:
    """A sound that is nowhere like itself elsewhere: noise that is louder and softer over a rising tone."""
    frames = round(seconds * 48_000)
    time = np.arange(frames) / 48_000
    noise = np.random.default_rng(round(pitch)).standard_normal(frames) * 0.05
    sound = 0.3 * np.sin(2 * np.pi * (pitch + 20 * time) * time) * (0.6 + 0.4 * np.sin(3 * time)) + noise
    writer = OpusWriter()
    writer.write(sound.astype(np.float32))
    file = writer.finish()
    manifest = encode(manifest_for(file, duration_ms=DurationMs(round(seconds * 1000))))
    return Recording(
        file,
        manifest,
        RenditionRef(
            digest=digest_of(manifest),
            length_bytes=ByteCount(len(file)),
            duration_ms=DurationMs(round(seconds * 1000)),
        ),
    )


def an_id(name: str) -> Id16:
    return Id16(hashlib.sha256(name.encode()).digest()[:16])


def counted_entropy(seed: str = "node") -> Any:
    """Bytes that never repeat and are the same in every run."""
    count = [0]

    def draw(length: int) -> bytes:
        count[0] += 1
        return hashlib.shake_256(f"{seed} {count[0]}".encode()).digest(length)

    return draw


@dataclass
class CentreDesk:
    """The other side of the link: hears what nodes say, and answers as a controller would."""

    clock: Clock
    link: Link
    library: dict[Digest, Recording] = field(default_factory=dict)
    tells_time: bool = True
    acknowledges: bool = True
    serves: bool = True
    receipts: dict[tuple[bytes, int], Receipt] = field(default_factory=dict)
    heard: int = 0
    """Receipts, repeated ones too."""
    health: Health | None = None
    presences: list[Presence] = field(default_factory=list)
    wants: list[Want] = field(default_factory=list)
    asked: TimeRequest | None = None
    """The newest question about the time."""

    def link_up(self) -> None: ...

    def link_down(self, reason: str) -> None: ...

    def delivered(self, delivery: Delivery) -> None:
        topic = read_up_topic(delivery.topic)
        assert topic is not None
        report = judge_report(delivery.payload, topic_node=topic.node, public_key=NODE_KEY.public_key, retained=False)
        match report:
            case Receipt():
                self.heard += 1
                self.receipts[report.epoch, report.number] = report
                if self.acknowledges:
                    self.acknowledge(report.epoch)
            case Health():
                self.health = report
            case Presence():
                self.presences.append(report)
            case Want():
                self.wants.append(report)
                if self.serves:
                    self._serve(report)
            case TimeRequest():
                self.asked = report
                if self.tells_time:
                    self._tell_time(report)

    def acknowledge(self, epoch: bytes, number: int | None = None) -> None:
        """Everything up to the first gap, or up to `number`."""
        if number is None:
            number = 0
            while (epoch, number + 1) in self.receipts:
                number += 1
        statement = Acknowledgement(node=NODE, epoch=epoch, number=number, issued_at=self.clock.now_ms())
        self.link.publish(down_topic(NODE, DownChannel.CTL), seal(statement, CONTROLLER))

    def _tell_time(self, request: TimeRequest) -> None:
        now = self.clock.now_ms()
        reply = TimeReply(
            node=request.node, nonce=request.nonce, sent_at=request.sent_at, received_at=now, replied_at=now
        )
        self.link.publish(down_topic(request.node, DownChannel.CTL), seal(reply, CONTROLLER))

    def _serve(self, want: Want) -> None:
        found = self.library.get(want.rendition)
        if found is None:
            return
        if want.manifest:
            self.link.publish(down_topic(want.node, DownChannel.CTL), found.manifest)
        for blocks in want.blocks:
            for block in range(blocks.first, blocks.first + blocks.count):
                piece = Piece(
                    rendition=want.rendition,
                    offset=ByteCount(block * 4096),
                    data=found.file[block * 4096 : block * 4096 + 4096],
                )
                self.link.publish(down_topic(want.node, DownChannel.PIECE), encode(piece))

    def events(self, subject: Id16 | None = None) -> list[ReceiptEvent]:
        """In the order in which they happened."""
        return [one.event for one in self.about(subject)]

    def about(self, subject: Id16 | None = None) -> list[Receipt]:
        found = sorted(self.receipts.items(), key=lambda item: item[0][1])
        return [receipt for _, receipt in found if subject is None or receipt.subject == subject]


class Rig:
    """One world. `await rig.up()` starts a node that is placed and trusts; `rig.desk` is the centre."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HandClock(NOW)
        self.broker = LoopbackBroker()
        self.desk = CentreDesk(self.clock, LoopbackLink(self.broker))
        self.centre = Centre.usual()
        self.node: Node
        self.link: LoopbackLink
        self.box: BoxClock
        self.speaker: Speaker
        self._version: int = NOW

    async def open(self) -> None:
        self.desk.link.listen(controller_subscriptions())
        await self.desk.link.start(self.desk)
        await settle()

    async def boot(
        self,
        storage: Storage,
        *,
        wall_off_ms: int = 0,
        config: NodeConfig | None = None,
        speaker: Speaker | None = None,
        seed: str = "node",
        identity: NodeIdentity = IDENTITY,
        sensor: Sensor | None = None,
    ) -> Node:
        """Switch a box on; what it knows is what its storage holds."""
        self.link = LoopbackLink(self.broker)
        self.box = BoxClock(self.clock, wall_off_ms)
        self.speaker = speaker or RecordingSpeaker(self.folder / "heard", self.box, NODE)
        self.node = Node(
            identity=identity,
            link=self.link,
            storage=storage,
            speaker=self.speaker,
            clock=self.box,
            entropy=counted_entropy(seed),
            config=config,
            sensor=sensor,
        )
        await self.node.start()
        await settle()
        return self.node

    async def up(self, storage: Storage, **options: Any) -> Node:
        """A box that was enrolled, placed and told the time."""
        await self.open()
        node = await self.boot(storage, **options)
        self.give_trust()
        self.place()
        await self.clock.advance(1.0)
        assert node.status().now_ms is not None
        return node

    async def pull_the_plug(self) -> None:
        """The power fails: nothing orderly happens, and no sound is left."""
        self.link.drop("power")
        node = self.node
        await node._crew.dismiss()
        node._conductor.stage.closed = True
        await self.speaker.close()
        await node._link.stop()
        await settle()

    # What the centre says

    def version(self) -> int:
        self._version = max(self._version + 1, self.clock.now_ms())
        return self._version

    def give_trust(self) -> None:
        self.say(DownChannel.CTL, self.centre.document(version=self.version(), now_ms=self.clock.now_ms()))

    def place(self, area: AreaPath = VILLAGE) -> None:
        placement = Placement(
            node=NODE,
            area=area,
            version=self.version(),
            issued_at=self.clock.now_ms(),
            public_key=NODE_KEY.public_key,
        )
        self.say(DownChannel.CTL, seal(placement, CONTROLLER))

    def say(self, channel: DownChannel, payload: bytes, node: NodeId = NODE) -> None:
        self.desk.link.publish(down_topic(node, channel), payload)

    def settings(self, area: AreaPath = COMMUNE, **changes: Any) -> None:
        values: dict[str, Any] = {"area": area, "version": self.version(), "issued_at": self.clock.now_ms()} | changes
        self.desk.link.publish(
            area_topic(area, AreaChannel.SETTINGS), seal(Settings(**values), CONTROLLER), retain=True
        )

    def timetable(self, *entries: Entry, area: AreaPath = COMMUNE, key: SigningKey = CONTROLLER) -> None:
        document = Timetable(
            area=area,
            version=self.version(),
            issued_at=self.clock.now_ms(),
            covers_until=InstantMs(self.clock.now_ms() + 7 * 86_400_000),
            entries=tuple(entries),
        )
        self.desk.link.publish(area_topic(area, AreaChannel.TIMETABLE), seal(document, key), retain=True)

    def entry(self, name: str, in_ms: int, *sounds: Recording, **changes: Any) -> Entry:
        self.stock(sounds)
        values: dict[str, Any] = {
            "id": an_id(name),
            "start_at": InstantMs(self.clock.now_ms() + in_ms),
            "precedence": Precedence.ORDINARY,
            "kind": Kind.LIVE,
            "renditions": tuple(sound.ref for sound in sounds),
        }
        return Entry(**(values | changes))

    def stock(self, sounds: Iterable[Recording]) -> None:
        self.desk.library.update({sound.digest: sound for sound in sounds})

    def order(self, name: str, *sounds: Recording, in_ms: int = 2000, **changes: Any) -> Order:
        self.stock(sounds)
        now = self.clock.now_ms()
        values: dict[str, Any] = {
            "id": an_id(name),
            "action": OrderAction.PLAY,
            "areas": (COMMUNE,),
            "precedence": Precedence.ORDINARY,
            "kind": Kind.LIVE,
            "issued_at": now,
            "start_at": InstantMs(now + in_ms),
            "expires_at": InstantMs(now + in_ms + 600_000),
            "renditions": tuple(sound.ref for sound in sounds),
        }
        return Order(**(values | changes))

    def give(self, order: Order, key: SigningKey = CONTROLLER) -> bytes:
        """Send an order by its commune's topic; an emergency as the commune's person for its kind approves it."""
        if order.precedence is Precedence.EMERGENCY and order.alert_body is None:
            order = approved(order, PERSON if order.kind is Kind.LIVE else DRILLER)
        payload = seal(order, key)
        self.desk.link.publish(area_topic(COMMUNE, AreaChannel.ORDER), payload)
        return payload

    # What was heard

    def heard(self, name: str) -> NDArray[np.int16]:
        """What came out of the speaker for a broadcast; empty where nothing did."""
        path = self.folder / "heard" / f"{NODE}-{an_id(name).hex()}.wav"
        return read_wav(path) if path.exists() else np.zeros(0, np.int16)

    @property
    def any_sound(self) -> bool:
        return any(read_wav(path).any() for path in (self.folder / "heard").glob("*.wav"))


def read_wav(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


__all__ = ["PROVINCE", "CentreDesk", "Recording", "Rig", "an_id", "recording"]
