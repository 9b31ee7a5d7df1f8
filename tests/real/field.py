"""A centre, its broker and its loudspeaker boxes as processes of their own, reached as people reach them."""

import asyncio
import io
import math
import re
import struct
import subprocess
import sys
import wave
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from devices.protocol.envelope import decode
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey
from devices.protocol.trust import RootSet
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.names import node_id
from tests.brokers import free_port
from tests.controller.wire.waiting import eventually
from tests.people import App

CLOCK = SystemClock()
COMMUNE = "quang-ninh/co-to"
_LOA = (sys.executable, "-c", "from loa.cli.main import main; main()")
Json = Any


def recording(seconds: float, pitch: float = 8.0) -> bytes:
    """A WAV file of a warble, mono, 16 kHz; another pitch makes another recording."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        samples = (math.sin(n / pitch + 3 * math.sin(n / 900)) * 9000 for n in range(int(seconds * 16_000)))
        out.writeframes(b"".join(struct.pack("<h", int(sample)) for sample in samples))
    return file.getvalue()


class LoaProcess:
    """One `loa` command; what it says goes to a log in its folder."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None
        self._log = log

    def launch(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([*_LOA, *self.arguments], stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """As a power cut ends it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def stop(self) -> int:
        """In order; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)


class CentreProcess(LoaProcess):
    """`loa serve`; `ask` uses its API as the first account."""

    def __init__(self, folder: Path, broker: str, *more: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.port = free_port()
        self.token = self.studio = ""
        self.app = App("")
        super().__init__(
            folder / "centre.log", "serve", "--data", str(self.data), "--port", str(self.port), "--broker", broker,
            "--broker-port", "0", *more,
        )  # fmt: skip

    def client(self, timeout_s: float = 30.0) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=timeout_s, trust_env=False, verify=False
        )

    async def start(self, *, known: bool = False) -> None:
        """Start it and wait until it answers; the first time, take a token. known: it may be unwell."""
        self.launch()
        await eventually(self._answers, within_s=60, every_s=0.05)
        if not self.token and not known:
            found = re.search(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", self.log)
            secret = re.search(r"\b[A-Z2-7]{32}\b", self.log)
            assert found, self.log
            assert secret, self.log
            self.app = App(secret[0])
            body = {"account": "admin", "password": found[0], "code": self.app.code(), "token_name": "tests"}
            self.token = (await self.ask("POST", "/session", json=body))["token"]
            self.studio = await self._joined("studio")

    async def _joined(self, name: str) -> str:
        """The token of a second person, who makes what the first account approves."""
        asked = {"name": name, "roles": [{"role": "operator", "area": "quang-ninh"}]}
        made = await self.ask("POST", "/accounts", json=asked)
        body = {"account": name, "password": made["one_time_password"], "token_name": "tests"}
        token = str((await self.ask("POST", "/session", json=body))["token"])
        theirs = {"headers": {"Authorization": f"Bearer {token}"}}
        app = App((await self.ask("POST", "/session/code", **theirs))["secret"])
        await self.ask("POST", "/session/code/confirm", json={"code": app.code()}, **theirs)
        return token

    async def _answers(self) -> bool:
        assert self.alive, self.log[-2000:]
        with suppress(httpx.HTTPError):
            async with self.client(2) as client:
                await client.get("/healthz")
                return True
        return False

    async def reply(self, method: str, path: str, *, timeout_s: float = 30.0, **more: Any) -> httpx.Response:
        async with self.client(timeout_s) as client:
            reply = await client.request(method, f"/api/v1{path}", **more)
            if reply.status_code == 403 and reply.json()["code"] == "fresh_code_required":
                await client.post("/api/v1/session/step-up", json={"code": self.app.code()})
                reply = await client.request(method, f"/api/v1{path}", **more)
            return reply

    async def ask(self, method: str, path: str, **more: Any) -> Json:
        reply = await self.reply(method, path, **more)
        assert reply.status_code < 300, reply.text
        return reply.json()

    async def insist(self, path: str, body: Json, key: str, *, within_s: float = 60.0) -> Json:
        """As a careful client: the same again, under the same key, until there is an answer."""
        end = CLOCK.monotonic_s() + within_s
        while True:
            try:
                reply = await self.reply("POST", path, json=body, headers={"Idempotency-Key": key}, timeout_s=10)
                if reply.status_code < 300:
                    return reply.json()
                assert reply.status_code in (409, 503), reply.text
                if reply.status_code == 409:  # killed between the claim and the reply: nobody knows; look, then anew
                    found = [one for one in await self.broadcasts() if one["title"] == body.get("title")]
                    if found:
                        return found[0]
                    key += "-again"
            except httpx.HTTPError:
                pass
            assert CLOCK.monotonic_s() < end, f"no answer to {path} within {within_s} s"
            await CLOCK.sleep(0.1)

    async def imported(self, item: Json) -> Json:
        """An upload once its import is over."""
        while item["status"] not in ("done", "failed"):  # a busy machine may take longer than one asks it to wait
            await CLOCK.sleep(0.5)
            item = await self.ask("GET", f"/imports/{item['id']}", headers=self._as_studio)
        return item

    @property
    def _as_studio(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.studio}"}

    async def _uploaded(self, form: Json, files: Json) -> Json:
        return await self.ask("POST", "/bulletins?wait=20", data=form, files=files, headers=self._as_studio)

    async def bulletin(self, seconds: float, title: str, *, pitch: float = 8.0) -> str:
        """A recording, uploaded by one person and approved by another; its id."""
        form = {"title": title, "area": "quang-ninh", "chime": "false"}
        files = {"file": ("a.wav", recording(seconds, pitch))}
        item = await self.imported(await self._uploaded(form, files))
        assert item["status"] == "done", item
        made = await self.ask("GET", f"/bulletins/{item['bulletin']}")
        await self.ask("POST", f"/bulletins/{made['id']}/approve", json={"content_hash": made["content_hash"]})
        return str(made["id"])

    async def say(self, bulletin: str, title: str, **more: Json) -> str:
        body = {"bulletins": [bulletin], "target_areas": [COMMUNE], "title": title, **more}
        return str((await self.insist("/broadcasts", body, title))["id"])

    async def schedule(self, bulletin: str, title: str, *, in_s: float) -> Json:
        local = datetime.fromtimestamp(CLOCK.now_ms() / 1000 + in_s, UTC) + timedelta(hours=7)
        body = {"title": title, "area": COMMUNE, "starts_on": f"{local:%Y-%m-%dT%H:%M:%S}", "rundown": [bulletin]}
        return await self.ask("POST", "/programmes", json=body)

    async def broadcasts(self) -> list[Json]:
        return list((await self.ask("GET", "/broadcasts?limit=200"))["items"])

    async def outcomes(self, broadcast: str) -> dict[str, str]:
        """What each node has receipts for."""
        shown = await self.ask("GET", f"/broadcasts/{broadcast}/coverage")
        return {one["node"]: one["outcome"] for one in shown["detail"]}

    async def all_have(self, broadcast: str, outcome: str) -> bool:
        found = await self.outcomes(broadcast)
        return bool(found) and set(found.values()) == {outcome}


@dataclass
class BoxFile:
    """How one box is set up."""

    name: str
    identity: NodeIdentity
    broker: str
    folder: Path
    heard: Path
    data: Path | None = None

    def write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "identity.json").write_text(self.identity.to_text())
        path = self.folder / "node.toml"
        path.write_text(
            f'identity = "identity.json"\nbroker = "{self.broker}"\ndata = "{self.data or "data"}"\n'
            f'speaker = "record:{self.heard}"\nrtc_trusted = true\nhealth_interval_s = 1\n'
        )
        return path


class BoxProcess(LoaProcess):
    """`loa node` with a speaker that records."""

    def __init__(self, file: BoxFile) -> None:
        self.file = file
        super().__init__(file.folder / "box.log", "node", "--config", str(file.write()))

    @property
    def name(self) -> str:
        return self.file.name

    def recordings(self, broadcast: str | None = None) -> list[Path]:
        """Of one broadcast or of all. More than one of a broadcast means that it was begun anew."""
        return sorted(self.file.heard.glob(f"{self.name}-{broadcast or ''}*.wav"))


@dataclass
class Field:
    """All of it; `close` ends what still runs."""

    folder: Path
    centre: CentreProcess
    boxes: dict[str, BoxProcess] = field(default_factory=dict)

    async def open(self) -> None:
        await self.centre.start()
        await self.centre.ask("POST", "/areas", json={"path": COMMUNE, "name": "Cô Tô", "kind": "đặc khu"})

    async def enrol(self, name: str, broker: str, *, data: Path | None = None) -> BoxProcess:
        key = SigningKey(system_entropy(32))
        body = {"id": name, "area": COMMUNE, "public_key": key.public_key.hex()}
        roots = decode(bytes.fromhex((await self.centre.ask("POST", "/nodes", json=body))["roots"]))
        assert isinstance(roots, RootSet)
        identity = NodeIdentity(node_id(name), key, roots)
        box = BoxProcess(BoxFile(name, identity, broker, self.folder / name, self.folder / "heard", data))
        self.boxes[name] = box
        return box

    async def ready(self, names: Iterable[str] | None = None, *, within_s: float = 40.0) -> None:
        """Until these boxes are in contact and know the centre's time."""
        wanted = set(self.boxes if names is None else names)

        async def all_ready() -> bool:
            items = {one["id"]: one for one in (await self.centre.ask("GET", "/nodes"))["items"]}
            return all(
                items[name]["state"] == "online" and (items[name]["health"] or {}).get("time_error_ms") is not None
                for name in wanted
            )

        await eventually(all_ready, within_s=within_s, every_s=0.2)

    async def holding_sounds(self) -> None:
        """Until each box has what the province stores at all of them: it comes before ordinary audio."""

        async def all_held() -> bool:
            sounds = (await self.centre.ask("GET", "/stored-sounds?held=true"))["sounds"]
            return all(one["at_nodes"]["held"] == one["at_nodes"]["nodes"] for one in sounds)

        await eventually(all_held, within_s=60.0, every_s=0.2)

    async def told(
        self, broadcasts: Iterable[str], *, within_s: float = 60.0, over: tuple[str, ...] = ()
    ) -> dict[str, dict[str, str]]:
        """Outcomes once every node's is an end; what is missing is in the failure. over: what
        counts as an end, too, once half of the time is gone."""
        wanted, found = list(broadcasts), dict[str, dict[str, str]]()
        end = CLOCK.monotonic_s() + within_s
        while True:
            with suppress(httpx.HTTPError, AssertionError):
                found = {one: await self.centre.outcomes(one) for one in wanted}
                late = CLOCK.monotonic_s() > end - within_s / 2
                ends = ENDS.union(over) if late else ENDS
                if all(outcome in ends for one in found.values() for outcome in one.values()):
                    return found
            assert CLOCK.monotonic_s() < end, f"not all told within {within_s} s: {found}"
            await CLOCK.sleep(0.3)

    def close(self) -> None:
        for one in (*self.boxes.values(), self.centre):
            if one.alive:
                one.kill()


ENDS = frozenset({"finished", "stopped", "skipped", "refused", "unconfirmed"})


def sounded_s(path: Path) -> float:
    """How long a recording is."""
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()


async def pause(seconds: float) -> None:
    await asyncio.sleep(seconds)
