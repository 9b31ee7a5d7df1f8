"""A centre that is killed at any moment neither repeats nor forgets."""

import asyncio
import random
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlmodel import Session, select

from controller import accounts
from controller.accounts import TOKEN_MS, ensure_first_account, issue_token
from controller.centre import Centre
from controller.config import load_config
from controller.permissions import TOKEN_MAY, Scope
from controller.tables import Broadcast, ReceiptRow
from devices.links.mqtt import MqttLink
from devices.links.port import Delivery
from devices.protocol.envelope import decode
from devices.protocol.media import Piece
from devices.protocol.reports import ReceiptEvent
from loa.entropy import system_entropy
from tests.brokers import Mosquitto, free_port
from tests.controller.wire.village import ADMIN, CLOCK, COMMUNE, Box, Village
from tests.controller.wire.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
KILLS = 20
LATEST_KILL_S = 2.0
LEAD_S = 15.0


class Pieces:
    """How often each piece of audio goes over the broker on shared streams."""

    def __init__(self) -> None:
        self.bytes: Counter[str] = Counter()
        self.up = False

    def link_up(self) -> None:
        self.up = True

    def link_down(self, reason: str) -> None:
        self.up = False

    def delivered(self, delivery: Delivery) -> None:
        message = decode(delivery.payload)
        if isinstance(message, Piece):
            self.bytes[delivery.topic.split("/")[-1]] += len(message.data)


@dataclass
class Server:
    """`loa serve` as people run it."""

    folder: Path
    broker: str
    port: int
    token: str
    process: asyncio.subprocess.Process | None = None
    starts: dict[str, str] = field(default_factory=dict)
    """When each is to begin, by its title."""

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from loa.cli.main import main; main()", "serve", "--data", str(self.folder)),
            *("--port", str(self.port), "--broker", self.broker),
            stdout=asyncio.subprocess.DEVNULL,
        )
        await eventually(self._well, within_s=60, every_s=0.1)

    async def _well(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, "it ended by itself"
        with suppress(httpx.HTTPError):
            async with self.client() as client:
                return (await client.get("/healthz")).status_code == 200
        return False

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    def client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=5, trust_env=False, verify=False
        )

    async def say(self, bulletin: str, title: str) -> int:
        """Status of the reply; 0 where none came."""
        # Late enough that a centre which is killed and started anew is back before the order ends by itself.
        starts = self.starts.setdefault(title, datetime.fromtimestamp(CLOCK.now_ms() / 1000 + LEAD_S, UTC).isoformat())
        asked = {"bulletins": [bulletin], "target_areas": [COMMUNE], "title": title, "start_at": starts}
        try:
            async with self.client() as client:
                reply = await client.post("/api/v1/broadcasts", json=asked, headers={"Idempotency-Key": title})
        except httpx.HTTPError:
            return 0
        return reply.status_code

    async def titles(self) -> list[str]:
        async with self.client() as client:
            reply = await client.get("/api/v1/broadcasts", params={"limit": 200})
        return [one["title"] for one in reply.json()["items"]]


async def _prepare(folder: Path, url: str) -> tuple[str, list[str], Village]:
    """Commune, one box and a recording for each kill; the token, the bulletins."""
    centre = await Centre.start(load_config(data=folder / "centre", broker=url))
    here = Village(centre, folder)
    await centre.add_area(COMMUNE, "Cô Tô", account=ADMIN)
    await here.enrol("loa-1", "loa-2")
    await centre.unit_of_work(lambda session: ensure_first_account(session, centre))
    issued = await centre.unit_of_work(
        lambda session: issue_token(
            session, centre, account=accounts.FIRST_ACCOUNT, name="test", page_session=False, lasts_ms=TOKEN_MS,
            scope=Scope(TOKEN_MAY, here.centre.province),
        )
    )  # fmt: skip
    bulletins = [(await here.bulletin(1.0 + n / 7, f"B{n}")).id for n in range(KILLS)]
    await centre.stop()
    return issued.secret, bulletins, here


async def _round(server: Server, bulletin: str, title: str, dice: random.Random) -> None:
    """Say it, kill the server meanwhile or soon after, start it again, and say it again as a careful client does."""
    saying = asyncio.create_task(server.say(bulletin, title))
    await CLOCK.sleep(dice.choice([dice.random() * 0.05, dice.random() * LATEST_KILL_S]))
    await server.kill()
    status = await saying
    await server.start()
    if status != 201:
        status = await server.say(bulletin, title)
    # Killed between the claim and the reply (409), or its instant went by while a slow machine started the server
    # (422): whether it was issued has to be looked up, and is asked anew, with a new instant, if it was not.
    if status in (409, 422):
        if title in await server.titles():
            return
        status = await server.say(bulletin, f"{title}-again")
    assert status in (200, 201), status


async def test_kill_9_at_twenty_moments_of_issuing_and_streaming(tmp_path: Path, mosquitto: Mosquitto) -> None:
    dice = random.Random(20261123)
    token, bulletins, here = await _prepare(tmp_path, mosquitto.url)
    server = Server(tmp_path / "centre", mosquitto.url, free_port(), token)
    pieces = Pieces()
    tap = MqttLink(mosquitto.url, "tap", CLOCK, system_entropy)
    tap.listen(["loa/1/m/#"])
    await tap.start(pieces)
    await server.start()
    for box in here.boxes.values():
        box.url = mosquitto.url
        await box.on()
    try:
        await CLOCK.sleep(3)
        for n, bulletin in enumerate(bulletins):
            await _round(server, bulletin, f"round-{n}", dice)
        async with asyncio.timeout(60):
            while not await _all_reached(server):
                await CLOCK.sleep(0.5)
            # Receipts that met a dead centre are sent again later and later; a new connection sends them at once.
            for box in here.boxes.values():
                await box.off()
                await box.on()
            while not all(_all_told(box) for box in here.boxes.values()):
                await CLOCK.sleep(0.2)
    finally:
        await here.all_off()
        if server.process is not None and server.process.returncode is None:
            server.process.terminate()
            assert await asyncio.wait_for(server.process.wait(), 15) == 0
        await tap.stop()
    centre = await Centre.start(load_config(data=tmp_path / "centre", broker=mosquitto.url))
    try:
        await _check(centre, pieces)
    finally:
        await centre.stop()


async def _all_reached(server: Server) -> bool:
    async with server.client() as client:
        items = (await client.get("/api/v1/broadcasts", params={"limit": 200})).json()["items"]
        for one in items:
            shown = (await client.get(f"/api/v1/broadcasts/{one['id']}/coverage")).json()
            if shown["waiting"]:
                return False
    return True


def _all_told(box: Box) -> bool:
    status = None if box.node is None else box.node.status()
    return status is not None and status.link_up and status.acknowledged == status.last_number


async def _check(centre: Centre, pieces: Pieces) -> None:
    def read(session: Session) -> tuple[list[Broadcast], list[ReceiptRow]]:
        return list(session.exec(select(Broadcast))), list(session.exec(select(ReceiptRow)))

    broadcasts, receipts = await centre.reading(read)
    titles = Counter(one.title.removesuffix("-again") for one in broadcasts)
    assert titles == Counter({f"round-{n}": 1 for n in range(KILLS)}), "each was issued once"
    events = Counter((row.node, row.subject, ReceiptEvent(row.event)) for row in receipts)
    for one in broadcasts:
        for node in ("loa-1", "loa-2"):
            told = {event.name: count for (who, what, event), count in events.items() if (who, what) == (node, one.id)}
            assert events[node, one.id, ReceiptEvent.RECEIVED] == 1, f"forgotten, or came twice: {told}"
            assert events[node, one.id, ReceiptEvent.STARTED] <= 1
        digest = one.renditions[0]
        length = centre.media.open_path(bytes.fromhex(digest)).stat().st_size  # type: ignore[arg-type]
        # A stream that was interrupted goes on from the note of at most a second before.
        assert pieces.bytes[digest] <= length + 16_000, f"{pieces.bytes[digest]} of {length}"
