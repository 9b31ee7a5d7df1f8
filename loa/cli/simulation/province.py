"""A commune or a province in a virtual world: the centre and the boxes, and what can be done to them."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from controller.centre import Centre
from controller.config import CentreConfig
from controller.services import bulletins
from controller.services.broadcasts import IssueForm
from controller.services.bulletins import NewRendition
from controller.services.context import Changed
from controller.services.programmes import ProgrammeForm
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey
from devices.protocol.media import manifest_for
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import LoaError
from loa.names import AreaPath, node_id
from loa.precedence import Precedence
from loa.units import DurationMs, InstantMs
from simulators.world.box import Box, MakeLink
from simulators.world.chance import Chance
from simulators.world.held import HeldBroker
from simulators.world.loop import VirtualClock, VirtualLoop
from simulators.world.owners import Process, exception_handler, task_factory
from simulators.world.presence import Presence
from simulators.world.station import StationBox
from simulators.world.story import Story
from simulators.world.weather import Weather, WeatherLink
from simulators.world.wire import WiredLink

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
PROVINCE = AreaPath("quang-ninh")
PERSON = "province"
STUDIO = "studio"
"""Makes what PERSON approves: nobody approves their own."""
BYTES_PER_S = 1000
"""Of Opus at 8 kbit/s: speech, small, so that long runs are about faults and not about bytes."""


@dataclass(frozen=True)
class Bulletin:
    """What a person at the centre was told when the bulletin was accepted."""

    id: str
    duration_ms: DurationMs


@dataclass
class Ledger:
    """What the centre promised to people, so that it can be held to it after every crash."""

    bulletins: list[Bulletin] = field(default_factory=list)
    programmes: list[str] = field(default_factory=list)
    issued: dict[str, InstantMs] = field(default_factory=dict)
    """Immediate broadcasts by id, with their ordered start."""
    recalled: dict[str, InstantMs] = field(default_factory=dict)
    """When the recall was accepted."""
    emergencies: dict[str, InstantMs] = field(default_factory=dict)
    """When each was released."""
    alerts: dict[str, str] = field(default_factory=dict)
    """What a person was last told of an alert: composed, released, updated, cancelled. Held to the rules of alerts."""
    announcement_ms: int = 0
    """How long the drill announcement is; no other recording has this length."""
    revoked: set[str] = field(default_factory=set)
    """Emergencies whose key was revoked: what became of them is another scenario's."""
    controls: set[str] = field(default_factory=set)
    """Broadcasts that a scenario itself ordered with the right keys, to show that the wrong ones could be heard."""
    stolen: set[str] = field(default_factory=set)
    """Boxes in somebody else's hands: what their own loudspeakers do is theirs."""
    early_ms: int = 2_000
    """How early a sound may be; more where somebody shifts the clocks as far as the wire lets them."""
    forgotten: set[str] = field(default_factory=set)
    """Broadcasts issued after the backup from which the centre was restored: they sounded rightly."""
    refused: list[str] = field(default_factory=list)
    """Wishes that were refused or met a dead centre, in words."""


@dataclass
class Counted:
    """What went on, for the figures at the end."""

    broadcasts: int = 0
    """Immediate ones that people asked for; those of programmes are counted in the tables."""
    troubles: int = 0


class Province:
    """Everything that lives on one virtual loop. `folder` is where the centre's database, media and keys lie."""

    def __init__(self, loop: VirtualLoop, seed: int, starts: datetime, folder: Path) -> None:
        loop.set_task_factory(task_factory)  # type: ignore[arg-type]
        loop.set_exception_handler(exception_handler)
        self.loop = loop
        self.chance = Chance(seed)
        self.clock = VirtualClock(loop, InstantMs(round(starts.timestamp() * 1000)))
        self.story = Story(self.clock)
        self.broker = HeldBroker()
        self.folder = folder
        self.boxes: dict[str, Box] = {}
        self.stations: dict[str, StationBox] = {}
        self.ledger = Ledger()
        self.counted = Counted()
        self.centre: Centre | None = None
        self.health_interval_s = 900
        self.keys_passphrase = ""
        """What opens the centre's key, where it was put under one."""
        self.centre_weather = Weather(delay_up_s=0.001, delay_down_s=0.001)
        self.centre_starts = 0
        self.centre_presence = Presence()
        self.centre_troubled = False
        """Its tables were locked or full for a while: turns that failed then are no breach."""
        self.centre_faults: list[BaseException] = []
        self._centre_process: Process | None = None
        self._centre_link: WeatherLink | None = None
        self._log_level = logging.getLogger("loa").level
        logging.getLogger("loa").setLevel(logging.CRITICAL)

    def trouble(self, who: str, what: str) -> None:
        """Something goes wrong on purpose."""
        self.counted.troubles += 1
        self.story.tell(who, what)

    # The centre

    async def start_centre(self) -> None:
        """Start it, or start it anew after it was killed, on the same tables."""
        if self.centre is not None:
            return
        self.centre_starts += 1
        life = self.chance.named(f"centre {self.centre_starts}")
        config = CentreConfig(
            data=self.folder,
            province=PROVINCE,
            province_name="Quảng Ninh",
            health_interval_s=self.health_interval_s,
            keys_passphrase=SecretStr(self.keys_passphrase),
        )
        link = WeatherLink(self.broker, life.named("link"), self.centre_weather)
        process = Process(f"centre {self.centre_starts}")
        link.reach_changed = lambda there: self.centre_presence.note(self.clock.now_ms(), there)
        self._centre_link, self._centre_process = link, process
        entropy: Entropy = life.named("centre").entropy()
        self.story.tell("centre", f"starts (for the {self.centre_starts}. time)")
        try:
            self.centre = await process.run(Centre.start(config, self.clock, entropy, link=link))
        except asyncio.CancelledError:
            if process.alive:
                raise

    def kill_centre(self) -> None:
        """As by kill -9: whatever was between two awaits is finished, nothing else is."""
        process, link = self._centre_process, self._centre_link
        if process is None or link is None:
            return
        self.trouble("centre", "is killed")
        link.kill()
        process.kill()
        self.centre_faults += process.faults
        if self.centre is not None:
            self.centre.let_go()
        self.centre = self._centre_process = self._centre_link = None

    @property
    def centre_process(self) -> Process | None:
        return self._centre_process

    @property
    def centre_link(self) -> WeatherLink | None:
        return self._centre_link

    async def ask(self, what: str, work: Any) -> Any:
        """A person's wish to the centre: done, or told why not. Returns None where it was not done."""
        centre, process = self.centre, self._centre_process
        if centre is None or process is None:
            self.ledger.refused.append(what)
            return None
        refusal: list[LoaError] = []

        async def asked() -> Any:
            try:
                return await work(centre)
            except LoaError as error:
                refusal.append(error)  # told to the person; the centre goes on
                return None

        try:
            done = await process.run(asked())
        except asyncio.CancelledError:
            if process.alive:
                raise
            self.story.tell("person", f"gets no answer: {what}")
            self.ledger.refused.append(what)
            return None
        if refusal:
            self.story.tell("person", f"is refused ({refusal[0].code}): {what}")
            self.ledger.refused.append(what)
            return None
        self.story.tell("person", what)
        return done

    # People's wishes

    async def bulletin(self, title: str, seconds: float) -> Bulletin | None:
        """A recording of that length, drafted and approved. Nobody decodes it here: its bytes are drawn at random."""
        data = self.chance.named(f"audio {title}").random.randbytes(round(seconds * BYTES_PER_S))
        manifest = manifest_for(data, duration_ms=DurationMs(round(seconds * 1000)), loudness_centi_lufs=-1600)

        async def work(centre: Centre) -> Bulletin:
            view = await centre.do(
                STUDIO,
                lambda session, ctx: Changed(
                    bulletins.draft_bulletin(
                        session, ctx, title=title, area=PROVINCE, renditions=[NewRendition(data, manifest)]
                    )
                ),
            )
            await centre.approve(view.id, content_hash=view.content_hash, account=PERSON)
            return Bulletin(view.id, view.duration_ms)

        made: Bulletin | None = await self.ask(f"approves the bulletin {title!r} of {seconds:g} s", work)
        if made is not None:
            self.ledger.bulletins.append(made)
        return made

    async def programme(self, area: str, bulletin: Bulletin, *, hours: str, minute: int = 0) -> None:
        """Daily at those hours (comma-separated), from today on."""
        today = datetime.fromtimestamp(self.clock.now_ms() / 1000, VIETNAM)
        form = ProgrammeForm(
            title=f"{area} at {hours}",
            area=area,
            starts_on=today.strftime("%Y-%m-%dT00:00:00"),
            recurrence=f"FREQ=DAILY;BYHOUR={hours};BYMINUTE={minute}",
            rundown=[bulletin.id],
        )
        made = await self.ask(
            f"puts a programme in the timetable of {area} at {hours} h",
            lambda centre: centre.add_programme(form, account=PERSON),
        )
        if made is not None:
            self.ledger.programmes.append(made.id)

    async def say(self, area: str, bulletin: Bulletin, precedence: Precedence = Precedence.ORDINARY) -> str | None:
        """An immediate broadcast; its id."""
        form = IssueForm(bulletins=[bulletin.id], target_areas=[area], precedence=precedence)
        issued = await self.ask(
            f"says something in {area} now ({precedence.name.lower()})",
            lambda centre: centre.issue_now(form, account=PERSON),
        )
        if issued is None:
            return None
        name: str = issued.broadcast_id.hex()
        self.ledger.issued[name] = issued.start_at
        self.counted.broadcasts += 1
        return name

    async def recall(self, broadcast: str) -> None:
        done = await self.ask(f"recalls {broadcast[:8]}", lambda centre: centre.recall(broadcast, account=PERSON))
        if done is not None:
            self.ledger.recalled[broadcast] = self.clock.now_ms()

    # Boxes

    def station(self, name: str) -> StationBox:
        """A station with wires; it is not switched on yet."""
        made = StationBox(name, self.broker, self.clock, self.chance.named(name), self.story)
        self.stations[name] = made
        return made

    async def enrol(self, name: str, area: AreaPath, station: StationBox | None = None) -> Box | None:
        """A new box, enrolled and placed, wireless or behind a station; it is not switched on yet."""
        key = SigningKey(self.chance.named(name).key_seed())

        async def work(centre: Centre) -> NodeIdentity:
            await centre.enrol_node(id=name, area=area, public_key=key.public_key, account=PERSON)
            return NodeIdentity(node_id(name), key, centre.keys.roots, self.clock.now_ms())

        identity = await self.ask(f"enrols {name} in {area}", work)
        if identity is None:
            return None

        def wireless(chance: Chance, weather: Weather, _clock: Clock) -> WeatherLink:
            return WeatherLink(self.broker, chance, weather, told=lambda what: self.story.tell(name, what))

        make: MakeLink = wireless
        if station is not None:
            address, behind = station.add(identity.node), station

            def wired(_chance: Chance, _weather: Weather, clock: Clock) -> WiredLink:
                return behind.wired(identity.node, address, clock)

            make = wired
        box = Box(identity, self.clock, self.chance.named(name), self.story, make)
        self.boxes[name] = box
        return box

    async def areas(self, *paths: str) -> None:
        for path in paths:
            await self.ask(
                f"adds the area {path}",
                lambda centre, path=path: centre.add_area(path, path.rpartition("/")[2], account=PERSON),
            )

    async def pass_time(self, seconds: float) -> None:
        await self.clock.sleep(seconds)

    async def close(self) -> None:
        """The end of the world: everything is switched off."""
        logging.getLogger("loa").setLevel(self._log_level)
        self.kill_centre()
        for station in self.stations.values():
            station.power_cut()
        for box in self.boxes.values():
            with contextlib.suppress(Exception):
                box.power_cut()
