"""A centre over a link in memory, and a node that says what the test wants it to say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlmodel import Session

from controller import keyfiles
from controller.centre import Centre
from controller.config import load_config
from controller.services.bulletins import NewRendition, approve_bulletin, draft_bulletin
from controller.services.context import Changed
from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.links.port import Delivery
from devices.protocol.envelope import Message, open_any, seal
from devices.protocol.envelope import Sealed as SealedMessage
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey
from devices.protocol.media import manifest_for
from devices.protocol.reports import Acknowledgement, Health, Receipt, ReceiptEvent
from devices.protocol.topics import UpChannel, up_topic
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.units import DurationMs, Id16, InstantMs, NodeId
from tests.controller.wire.waiting import eventually

ADMIN = "admin"
STUDIO = "studio"
"""Makes what ADMIN approves."""
COMMUNE = "quang-ninh/co-to"
CLOCK = SystemClock()
EPOCH = b"epoch-01"


@dataclass
class ScriptedNode:
    """Says what it is told to, signed with its own key."""

    identity: NodeIdentity
    link: LoopbackLink
    heard: list[Delivery] = field(default_factory=list)
    up: bool = False

    def link_up(self) -> None:
        self.up = True

    def link_down(self, reason: str) -> None:
        self.up = False

    def delivered(self, delivery: Delivery) -> None:
        self.heard.append(delivery)

    @property
    def name(self) -> NodeId:
        return self.identity.node

    def say(self, channel: UpChannel, message: Message, *, key: SigningKey | None = None, retain: bool = False) -> None:
        payload = seal(message, key or self.identity.key)
        assert self.link.publish(up_topic(self.name, channel), payload, qos=1, retain=retain)

    def receipt(self, number: int, event: ReceiptEvent, subject: Id16 | None = None) -> Receipt:
        return Receipt(
            node=self.name, epoch=EPOCH, number=number, at=CLOCK.now_ms(), time_error_ms=5, event=event, subject=subject
        )

    def health(self, *, session: int = 1, **changed: object) -> Health:
        health = Health(node=self.name, session=session, at=CLOCK.now_ms(), uptime_s=1, epoch=EPOCH)
        return replace(health, **changed)  # type: ignore[arg-type]

    def messages(self) -> list[Message]:
        found = []
        for one in self.heard:
            opened = open_any(one.payload)
            found.append(opened.message if isinstance(opened, SealedMessage) else opened)
        return found

    def acknowledged(self) -> list[int]:
        return [one.number for one in self.messages() if isinstance(one, Acknowledgement)]


@dataclass
class SmallWorld:
    centre: Centre
    broker: LoopbackBroker
    folder: Path

    async def node(self, name: str = "loa-1", area: str = COMMUNE) -> ScriptedNode:
        identity = keyfiles.create_node(self.centre.keys_folder, name, system_entropy)
        await self.centre.enrol_node(id=name, area=area, public_key=identity.key.public_key, account=ADMIN)
        node = ScriptedNode(identity, LoopbackLink(self.broker))
        node.link.listen([f"loa/1/n/{name}/{channel}" for channel in ("order", "ctl", "piece")])
        await node.link.start(node)
        await eventually(lambda: node.up)
        return node

    async def bulletin(self, size: int = 20_000, *, seed: int = 1) -> str:
        """An approved bulletin whose audio nobody will decode; its id."""
        data = b"OggS" + bytes((seed * 7 + at * at) % 251 for at in range(size - 4))
        rendition = NewRendition(data, manifest_for(data, duration_ms=DurationMs(2000)))
        ctx = self.centre.context(ADMIN)

        def work(session: Session) -> Changed[str]:
            studio = self.centre.context(STUDIO)
            view = draft_bulletin(session, studio, title=f"B{seed}", area="quang-ninh", renditions=[rendition])
            approve_bulletin(session, ctx, id=view.id, content_hash=view.content_hash)
            return Changed(view.id)

        return await self.centre.do(ADMIN, lambda session, _: work(session))


async def open_small_world(folder: Path, broker: LoopbackBroker) -> Centre:
    config = load_config(data=folder, health_interval_s=1)
    return await Centre.start(config, CLOCK, system_entropy, link=LoopbackLink(broker))


@asynccontextmanager
async def small_world(folder: Path) -> AsyncIterator[SmallWorld]:
    """A centre with one commune over a loopback broker."""
    broker = LoopbackBroker()
    centre = await open_small_world(folder, broker)
    world = SmallWorld(centre, broker, folder)
    try:
        await centre.add_area(COMMUNE, "Cô Tô", account=ADMIN)
        yield world
    finally:
        await world.centre.stop()


def instant(offset_ms: int = 0) -> InstantMs:
    return InstantMs(CLOCK.now_ms() + offset_ms)
