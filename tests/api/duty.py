"""A centre with its API, real nodes on the same wire, and people with keys: a clock that moves when told."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlmodel import Session, col, select

from api.app import create_app
from api.gate import ApiLimits
from controller import accounts, code_keeping, keyfiles
from controller.centre import Centre
from controller.config import CentreConfig
from controller.permissions import Role
from controller.services import areas, bulletins, nodes
from controller.services.bulletins import BulletinView, NewRendition
from controller.services.context import Changed, Context
from controller.services.settings_changes import store_siren
from controller.tables import Alert, OwedOrder, RecordEntry
from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.node.memory import MemoryStorage
from devices.node.node import Node
from devices.node.recording import RecordingSpeaker
from devices.protocol.common import DRILL_ANNOUNCEMENT
from devices.protocol.envelope import decode
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey
from devices.protocol.media import Manifest
from devices.protocol.trust import Appointment, Power
from loa.entropy import system_entropy
from loa.names import AreaPath, node_id
from loa.precedence import Kind, Precedence
from tests.api.office import FREE
from tests.node.hands import BoxClock, HandClock
from tests.node.rig import Recording, counted_entropy, read_wav, recording
from tests.people import SignedIn, join
from tests.protocol.world import NOW

PROVINCE, CO_TO, MONG_CAI = "quang-ninh", "quang-ninh/co-to", "quang-ninh/mong-cai"
VILLAGES = {"co-to-1": f"{CO_TO}/thon-1", "mong-cai-1": f"{MONG_CAI}/thon-1"}
TALK, ANNOUNCEMENT = recording(2.0, 900.0), recording(1.0, 1500.0)
WORDS = "thuyền về bến cũ "
ALERTS = "/api/v1/alerts"


@dataclass
class Person:
    """Somebody signed in. `words`: the passphrase of all their keys."""

    who: SignedIn
    client: httpx.AsyncClient
    words: str
    keys: dict[Kind, str] = field(default_factory=dict)
    appointments: dict[Kind, Appointment] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.who.name


@dataclass
class Box:
    """One loudspeaker box."""

    node: Node
    link: LoopbackLink
    folder: Path

    def heard(self, alert: str) -> list[int]:
        """Samples of this alert; empty where nothing sounded."""
        path = self.folder / f"{self.node.identity.node}-{alert}.wav"
        return read_wav(path).tolist() if path.exists() else []

    def sounds(self, alert: str) -> bool:
        playing = self.node.status().playing
        return playing is not None and playing.hex() == alert

    @property
    def any_sound(self) -> bool:
        return any(read_wav(path).any() for path in self.folder.glob("*.wav"))


@dataclass
class Duty:
    """The world."""

    folder: Path
    clock: HandClock
    broker: LoopbackBroker
    centre: Centre
    app: FastAPI
    boxes: dict[str, Box] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    bulletin: str = ""

    def client(self, token: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}", "Accept-Language": "en"}
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://loa.test", headers=headers)

    async def change(self, work: Any, account: str = "loa") -> Any:
        return await self.centre.do(account, work)

    async def person(self, name: str, role: Role, area: str, *kinds: Kind, sole: bool = False) -> Person:
        """Somebody with a key for each of these kinds, appointed by the roots at their area."""
        who = await join(self.centre, name, (role, area))
        made = self.people[name] = Person(who, self.client(who.token), WORDS + name)
        for kind in kinds:
            body = {"area": area, "passphrase": made.words, "kind": kind.name.lower()}
            reply = await made.client.post("/api/v1/people-keys", json=body)
            assert reply.status_code == 201, reply.text
            made.keys[kind] = reply.json()["id"]
            public = bytes.fromhex(reply.json()["public_key"])
            made.appointments[kind] = self.appoint(name, public, area, kind, sole=sole)
        return made

    def appoint(self, holder: str, public_key: bytes, area: str, kind: Kind, *, sole: bool = False) -> Appointment:
        return keyfiles.appoint(
            self.centre.keys_folder, holder=holder, public_key=public_key, area=AreaPath(area),
            ceiling=Precedence.EMERGENCY, powers=Power.APPROVE, kind=kind, now_ms=self.clock.now_ms(),
            entropy=system_entropy, sole=sole,
        )  # fmt: skip

    async def look_again(self) -> None:
        """What the roots signed reaches the trust document, and that the nodes."""
        self.centre._read_keys_again()
        self.centre.look_again()
        await self.clock.advance(2.0)

    async def fresh(self, person: Person, *, password: bool = True) -> None:
        """As if code and password had been given just now."""
        hashed = accounts.token_hash(person.who.token)
        await self.centre.unit_of_work(lambda db: code_keeping.step_up(db, self.centre, hashed, with_password=password))

    async def compose(self, person: Person, *where: str, kind: str = "live", **more: Any) -> Any:
        """An alert of the talk to these places, for ten minutes; as the API shows it."""
        form = {
            "kind": kind, "title": "Bão số 9", "target_areas": list(where), "bulletins": [self.bulletin],
            "repeats": 0, "lasts_ms": 600_000,
        }  # fmt: skip
        reply = await person.client.post(ALERTS, json=form | more)
        assert reply.status_code == 201, reply.text
        return reply.json()

    async def approve(self, person: Person, alert: Any, *, fresh: bool = True, **more: Any) -> httpx.Response:
        """By the passphrase of the key kept at the centre, of what the alert's view says."""
        if fresh:
            await self.fresh(person)
        body = {"kind": alert["kind"], "body_sha256": alert["body_sha256"], "passphrase": person.words} | more
        body = {name: value for name, value in body.items() if value is not None}
        return await person.client.post(f"{ALERTS}/{alert['id']}/approvals", json=body)

    async def get(self, person: Person, alert: Any) -> Any:
        reply = await person.client.get(f"{ALERTS}/{alert['id']}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def orders(self) -> list[str]:
        """Orders that are owed, by id."""
        return list(await self.centre.reading(lambda db: db.exec(select(OwedOrder.order).distinct()).all()))

    async def deeds(self, *verbs: str) -> list[tuple[str, str, str]]:
        """Verb, account and detail of what the record holds."""
        query = select(RecordEntry.verb, RecordEntry.account, RecordEntry.detail)
        query = query.where(col(RecordEntry.verb).in_(verbs)).order_by(col(RecordEntry.number))
        return [(verb, who, detail) for verb, who, detail in await self.centre.reading(lambda db: db.exec(query).all())]

    async def edit(self, alert: Any, **columns: Any) -> None:
        """What somebody with the database in hand does to a row."""

        def work(session: Session) -> None:
            row = session.get_one(Alert, alert["id"])
            for name, value in columns.items():
                setattr(row, name, value)
            session.add(row)

        await self.centre.unit_of_work(work)

    async def silent(self, seconds: float = 5.0) -> bool:
        """Nothing sounds at any box for so long, and nothing is owed."""
        await self.clock.advance(seconds)
        return not any(box.any_sound for box in self.boxes.values()) and await self.orders() == []

    async def open(self) -> None:
        def work(session: Session, ctx: Context) -> Changed[None]:
            for path, name, people in ((CO_TO, "Cô Tô", 7200), (MONG_CAI, "Móng Cái", None)):
                areas.add_area(session, ctx, path=path, name=name, kind="xã", population=people)
            for path in (*VILLAGES.values(), f"{CO_TO}/thon-2"):
                areas.add_area(session, ctx, path=path, name=path.rpartition("/")[2], kind="thôn", population=300)
            return Changed(None)

        await self.change(work)
        for name, area in VILLAGES.items():
            await self.box(name, area)
        self.bulletin = (await self.approved(TALK, "Về bờ ngay")).id
        await self.store(1, self.bulletin)  # so that every node has it before it is needed
        await self.store(DRILL_ANNOUNCEMENT, (await self.approved(ANNOUNCEMENT, "Đây là diễn tập")).id)

    async def store(self, code: int, bulletin: str) -> None:
        await self.change(lambda session, ctx: store_siren(session, ctx, area=PROVINCE, code=code, bulletin=bulletin))

    async def approved(self, sound: Recording, title: str) -> BulletinView:
        manifest = decode(sound.manifest)
        assert isinstance(manifest, Manifest)

        fresh = NewRendition(sound.file, manifest)

        def draft(session: Session, ctx: Context) -> Changed[BulletinView]:
            return Changed(bulletins.draft_bulletin(session, ctx, title=title, area=PROVINCE, renditions=[fresh]))

        made: BulletinView = await self.change(draft, "studio")

        def approve(session: Session, ctx: Context) -> Changed[BulletinView]:
            return Changed(bulletins.approve_bulletin(session, ctx, id=made.id, content_hash=made.content_hash))

        found: BulletinView = await self.change(approve, "editor")
        return found

    async def box(self, name: str, area: str, *, measured: bool = False) -> Box:
        """measured: with a sensor at its loudspeaker."""
        key = SigningKey(hashlib.sha256(name.encode()).digest())

        def enrol(session: Session, ctx: Context) -> Changed[Any]:
            return nodes.enrol_node(session, ctx, id=name, area=area, public_key=key.public_key)

        await self.change(enrol)
        link, clock = LoopbackLink(self.broker), BoxClock(self.clock)
        folder = self.folder / name
        speaker = RecordingSpeaker(folder, clock, name)
        node = Node(
            identity=NodeIdentity(node_id(name), key, self.centre.keys.roots), link=link, storage=MemoryStorage(),
            speaker=speaker, clock=clock, entropy=counted_entropy(name), sensor=speaker if measured else None,
        )  # fmt: skip
        await node.start()
        self.boxes[name] = Box(node, link, folder)
        return self.boxes[name]


@contextlib.asynccontextmanager
async def on_duty(folder: Path, *, limits: ApiLimits = FREE, database: str = "") -> AsyncIterator[Duty]:
    """Two officers of the province (thu, hai), who have keys for live and drill; of Cô Tô an operator with both (lan)
    and an approver with a live one (mai). A box in each of two communes.
    """
    clock, broker = HandClock(NOW), LoopbackBroker()
    centre = await Centre.start(CentreConfig(data=folder / "data", database=database), clock, link=LoopbackLink(broker))
    duty: Duty | None = None
    try:
        app = create_app(centre, limits=limits)
        async with app.router.lifespan_context(app):
            duty = Duty(folder, clock, broker, centre, app)
            await duty.open()
            for name in ("thu", "hai"):
                await duty.person(name, Role.DUTY_OFFICER, PROVINCE, Kind.LIVE, Kind.DRILL)
            await duty.person("lan", Role.OPERATOR, CO_TO, Kind.LIVE, Kind.DRILL)
            await duty.person("mai", Role.APPROVER, CO_TO, Kind.LIVE)
            await duty.look_again()
            await duty.clock.advance(30)
            assert [len(box.node.status().renditions) for box in duty.boxes.values()] == [2, 2]
            for person in duty.people.values():
                await duty.fresh(person)
            yield duty
            assert [box.node.failure for box in duty.boxes.values()] == [None] * len(duty.boxes)
    finally:
        for box in duty.boxes.values() if duty else ():
            await box.node.stop()
        await centre.stop()


def samples(*sounds: Recording) -> list[int]:
    """What comes out of a speaker for these, one after another."""
    return [sample for sound in sounds for sample in sound.sound.tolist()]
