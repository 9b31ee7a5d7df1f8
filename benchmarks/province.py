"""A centre's data folder with a province of any size in it, and `loa serve` on it as a process of its own."""

import asyncio
import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session

from controller.accounts import FIRST_ACCOUNT, TOKEN_MS, ensure_first_account, issue_token
from controller.centre import Centre
from controller.config import CentreConfig
from controller.permissions import TOKEN_MAY, Scope
from controller.services.areas import add_area
from controller.services.bulletins import NewRendition, approve_bulletin, draft_bulletin
from controller.services.context import Context
from controller.services.settings import settings_of
from controller.tables import Node, NodeState
from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.protocol.documents import Placement
from devices.protocol.envelope import encode, seal
from devices.protocol.keys import SigningKey
from devices.protocol.media import manifest_for
from devices.protocol.reports import AreaVersion, Health
from loa.names import AreaPath
from loa.units import ByteCount, Digest, DurationMs, NodeId, Percent
from tests.brokers import free_port

PROVINCE = "quang-ninh"
COMMUNES = 54
LINK_RATE = 100_000
EPOCH = b"bench-01"
_ACCOUNT = "bench"


def node_name(number: int) -> str:
    return f"n-{number:05}"


def node_key(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


def area_of(number: int) -> AreaPath:
    return AreaPath(f"{PROVINCE}/xa-{number % COMMUNES}")


@dataclass(frozen=True)
class Made:
    """What was put into the folder."""

    data: Path
    token: str
    """Of a machine that may say what it says."""
    bulletin: str
    digest: Digest
    file: bytes
    manifest: bytes
    controller: SigningKey
    trust: tuple[bytes, ...]
    """Appointments, as the roots signed them."""


def make_province(
    data: Path, nodes: int, *, audio_bytes: int = 20_000, keys: bool = False, health: bool = True
) -> Made:
    """A folder that `loa serve` takes up: `nodes` enrolled and heard of, one approved bulletin that they do not have.

    keys: whether nodes can sign, which costs a moment each.
    """
    return asyncio.run(_make(data, nodes, audio_bytes, keys, health))


async def _make(data: Path, nodes: int, audio_bytes: int, keys: bool, health: bool) -> Made:
    centre = await Centre.start(CentreConfig(data=data, province=PROVINCE), link=LoopbackLink(LoopbackBroker()))
    try:
        await centre.unit_of_work(lambda session: ensure_first_account(session, centre))
        token = await centre.unit_of_work(
            lambda session: issue_token(
                session, centre, account=FIRST_ACCOUNT, name="bench", page_session=False, lasts_ms=TOKEN_MS,
                scope=Scope(TOKEN_MAY, AreaPath(PROVINCE)),
            )
        )  # fmt: skip
        ctx = centre.context(_ACCOUNT)

        def fill(session: Session) -> tuple[str, Digest, bytes, bytes]:
            for number in range(COMMUNES):
                add_area(session, ctx, path=area_of(number), name=f"Xã {number}")
            _enrol(session, ctx, nodes, keys, health)
            return new_bulletin(session, ctx, audio_bytes)

        bulletin, digest, file, manifest = await centre.unit_of_work(fill)
        return Made(
            data, token.secret, bulletin, digest, file, manifest, centre.keys.controller, centre.keys.appointments
        )
    finally:
        await centre.stop()


def _enrol(session: Session, ctx: Context, nodes: int, keys: bool, health: bool) -> None:
    """As `enrol_node` and `store_health` would, in few statements: 10,000 of them one by one take a minute."""
    rows, states = [], []
    settings = AreaVersion(area=AreaPath(PROVINCE), version=settings_of(session, ctx).version)
    for number in range(nodes):
        name = node_name(number)
        public_key = node_key(name).public_key if keys else hashlib.sha256(name.encode()).digest()
        placement = b"not signed: nobody reads it"
        if keys:
            placement = seal(
                Placement(
                    node=NodeId(name), area=area_of(number), version=ctx.now, issued_at=ctx.now, public_key=public_key
                ),
                ctx.keys,
            )
        rows.append(
            {
                "id": name, "area": str(area_of(number)), "public_key": public_key, "description": "", "bus_address": 0,
                "placement_version": ctx.now, "placement": placement, "volume": 100, "created_at": ctx.now,
            }
        )  # fmt: skip
        said = health_of(name, ctx, settings) if health else None
        states.append(
            {
                "node": name, "session": 1, "online_hint": True, "last_heard_at": ctx.now, "health": said,
                "health_at": ctx.now if said else None, "link_rate": LINK_RATE if said else None,
                "epoch": EPOCH, "held_number": 0,
            }
        )  # fmt: skip
    if rows:
        session.execute(insert(Node), rows)
        session.execute(insert(NodeState), states)


def health_of(name: str, ctx: Context, settings: AreaVersion) -> bytes:
    """A health as a node with ten other renditions would say it."""
    held = tuple(Digest(hashlib.sha256(bytes([number])).digest()) for number in range(10))
    return encode(
        Health(
            node=NodeId(name), session=1, at=ctx.now, uptime_s=3600, trust_version=ctx.now, placement_version=ctx.now,
            settings=(settings,), epoch=EPOCH, last_number=0, acknowledged=0, volume=Percent(100),
            renditions=held, link_rate=LINK_RATE, free_bytes=ByteCount(1 << 30),
        )
    )  # fmt: skip


def new_bulletin(session: Session, ctx: Context, audio_bytes: int) -> tuple[str, Digest, bytes, bytes]:
    """An approved one, unlike all before: its id, and the rendition's name, file and encoded manifest."""
    file = os.urandom(audio_bytes)
    manifest = manifest_for(file, duration_ms=DurationMs(10_000))
    view = draft_bulletin(
        session,
        replace(ctx, account="studio"),
        title="Thông báo",
        area=PROVINCE,
        renditions=[NewRendition(file, manifest)],
    )
    approve_bulletin(session, ctx, id=view.id, content_hash=view.content_hash)
    encoded = encode(manifest)
    return view.id, Digest(hashlib.sha256(encoded).digest()), file, encoded


class Served:
    """`loa serve` on a folder, with its own mosquitto, and somebody signed in."""

    def __init__(self, made: Made, *, port: int | None = None, health_interval_s: int = 60) -> None:
        self._made = made
        self.broker_port = port or free_port()
        self._interval_s = health_interval_s
        self.process: subprocess.Popen[bytes] | None = None
        self._http: http.client.HTTPConnection | None = None
        self._token = ""
        self.started_in_s = 0.0
        """From the beginning of the process until its API answered."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API."""
        assert self._http is not None
        return self._http.host, self._http.port

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def __enter__(self) -> "Served":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        for tries_left in reversed(range(5)):
            try:
                self._launch()
                break
            except RuntimeError as error:  # somebody took the broker's port in between
                if "in use" not in str(error) or not tries_left:
                    raise
                self.broker_port = free_port()
        self._token = self._made.token
        while not self.is_well():
            time.sleep(0.02)

    def _launch(self) -> None:
        log = self._made.data / "serve.log"
        began = time.monotonic()
        run = ["-c", "from loa.cli.main import main; main()", "serve", "--data", str(self._made.data)]
        more = ["--broker", "mosquitto", "--broker-port", str(self.broker_port), "--port", "0"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "LOA_HEALTH_INTERVAL_S": str(self._interval_s)}
        with log.open("wb") as out:
            self.process = subprocess.Popen([sys.executable, *run, *more], stdout=out, stderr=out, env=environment)
        while (said := re.search(r"http://([\d.]+):(\d+)", log.read_text())) is None:
            if self.process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.01)
        self._http = http.client.HTTPConnection(said[1], int(said[2]), timeout=60)
        self.is_well()
        self.started_in_s = time.monotonic() - began

    def is_well(self) -> bool:
        """Asked over a fresh connection, which is kept: the server closes one that was idle for 5 s."""
        assert self._http is not None
        self._http.close()
        self._http.request("GET", "/healthz")
        reply = self._http.getresponse()
        reply.read()
        return reply.status == 200

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
            self.process = None

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request that must succeed; its JSON."""
        assert self._http is not None
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        self._http.request(method, path, data, headers)
        reply = self._http.getresponse()
        said = reply.read()
        if reply.status >= 300:
            raise RuntimeError(f"{method} {path}: {reply.status} {said!r}")
        return json.loads(said or b"null")

    def rss_mb(self) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        return 0.0
