"""A running centre on a real broker, and real loudspeaker software around it that records what it sounds."""

import asyncio
import math
import struct
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller import keyfiles
from controller.centre import Centre
from controller.config import load_config
from controller.services.broadcasts import Issued, IssueForm
from controller.services.bulletins import BulletinView
from controller.services.coverage import Coverage
from controller.services.programmes import ProgrammeForm, ProgrammeView
from devices.links.mqtt import MqttLink
from devices.node.config import NodeConfig
from devices.node.memory import MemoryStorage
from devices.node.node import Node
from devices.node.recording import RecordingSpeaker
from devices.protocol.identity import NodeIdentity
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.units import InstantMs
from tests.controller.wire.waiting import eventually

ADMIN = "admin"
STUDIO = "studio"
"""Approves what ADMIN makes."""
COMMUNE = "quang-ninh/co-to"
CLOCK = SystemClock()


def write_recording(path: Path, seconds: float = 2.0) -> Path:
    """A rising and falling tone."""
    frames = (
        struct.pack("<h", int(9000 * math.sin(i * 0.05) * (1 + math.sin(i / 4000)) / 2))
        for i in range(int(16_000 * seconds))
    )
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(b"".join(frames))
    return path


@dataclass
class Box:
    """One loudspeaker box: what it keeps outlives being switched off."""

    identity: NodeIdentity
    url: str
    heard: Path
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    node: Node | None = None

    async def on(self) -> None:
        name = self.identity.node
        link = MqttLink(self.url, f"node-{name}", CLOCK, system_entropy, backoff_s=(0.1, 1.0))
        self.node = Node(
            identity=self.identity,
            link=link,
            storage=self.storage,
            speaker=RecordingSpeaker(self.heard, CLOCK, name),
            clock=CLOCK,
            entropy=system_entropy,
            config=NodeConfig(rtc_trusted=True),
        )
        await self.node.start()

    async def off(self) -> None:
        if self.node is not None:
            await self.node.stop()
            self.node = None

    @property
    def heard_names(self) -> set[str]:
        """Ids of the broadcasts that it sounded."""
        prefix = f"{self.identity.node}-"
        return {path.stem.removeprefix(prefix) for path in self.heard.glob(f"{prefix}*.wav")}


@dataclass
class Village:
    """A centre with its boxes."""

    centre: Centre
    folder: Path
    boxes: dict[str, Box] = field(default_factory=dict)

    async def enrol(self, *names: str, area: str = COMMUNE) -> list[Box]:
        for name in names:
            identity = keyfiles.create_node(self.centre.keys_folder, name, system_entropy)
            await self.centre.enrol_node(id=name, area=area, public_key=identity.key.public_key, account=ADMIN)
            self.boxes[name] = Box(identity, self.centre.broker_url, self.folder / "heard")
        return [self.boxes[name] for name in names]

    async def bulletin(self, seconds: float = 2.0, title: str = "Thông báo") -> BulletinView:
        path = write_recording(self.folder / f"{title}.wav", seconds)
        drafted = await self.centre.import_bulletin(path, title=title, area="quang-ninh", account=ADMIN, chime=False)
        return await self.centre.approve(drafted.id, content_hash=drafted.content_hash, account=STUDIO)

    async def say(self, bulletin: BulletinView, *, areas: tuple[str, ...] = (COMMUNE,)) -> Issued:
        return await self.centre.issue_now(IssueForm(bulletins=[bulletin.id], target_areas=areas), account=ADMIN)

    async def schedule(self, bulletin: BulletinView, *, in_s: float) -> ProgrammeView:
        local = datetime.fromtimestamp(CLOCK.now_ms() / 1000 + in_s, UTC) + timedelta(hours=7)
        form = ProgrammeForm(
            title="Bản tin", area=COMMUNE, starts_on=f"{local:%Y-%m-%dT%H:%M:%S}", rundown=[bulletin.id]
        )
        return await self.centre.add_programme(form, account=ADMIN)

    async def coverage(self, broadcast: str) -> Coverage:
        return await self.centre.coverage(broadcast)

    async def finished(self, broadcast: str, count: int) -> bool:
        return (await self.coverage(broadcast)).finished == count

    async def ready(self, *names: str) -> None:
        """Until these nodes have trust, place and time."""

        async def all_ready() -> bool:
            views = {view.id: view for view in await self.centre.nodes()}
            healths = [view.health for name, view in views.items() if name in names]
            return len(healths) == len(names) and all(
                health is not None and health.placement_version and health.settings for health in healths
            )

        await eventually(all_ready)

    async def all_off(self) -> None:
        await asyncio.gather(*(box.off() for box in self.boxes.values()))


async def start_centre(folder: Path, broker: str = "mosquitto") -> Centre:
    return await Centre.start(load_config(data=folder / "centre", broker=broker, broker_port=0))


@asynccontextmanager
async def village(folder: Path, broker: str = "mosquitto") -> AsyncIterator[Village]:
    """A centre with one commune, stopped at the end with all boxes."""
    centre = await start_centre(folder, broker)
    here = Village(centre, folder)
    try:
        await centre.add_area(COMMUNE, "Cô Tô", kind="đặc khu", account=ADMIN)
        yield here
    finally:
        await here.all_off()
        await here.centre.stop()


def now() -> InstantMs:
    return CLOCK.now_ms()
