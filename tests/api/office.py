"""A whole centre on a loopback link, its API, and somebody signed in."""

import contextlib
import io
import math
import struct
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from api.app import create_app
from api.gate import ApiLimits
from controller import accounts
from controller.centre import Centre
from controller.config import CentreConfig
from controller.permissions import Role
from devices.links.loopback import LoopbackBroker, LoopbackLink
from tests.people import join

KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
AREA = "quang-ninh/co-to"
FREE = ApiLimits(known_rate="1000000/minute", stranger_rate="1000000/minute")


def recording(seconds: float = 1.2, *, level: float = 0.3) -> bytes:
    """A WAV file of a warble, mono, 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        samples = (math.sin(n / 8 + 3 * math.sin(n / 900)) * level * 32767 for n in range(int(seconds * 16000)))
        out.writeframes(b"".join(struct.pack("<h", int(sample)) for sample in samples))
    return file.getvalue()


@dataclass
class Office:
    """The parts, and clients that are signed in: `admin`, the first account, and the operator Lan of Cô Tô."""

    centre: Centre
    app: FastAPI
    client: httpx.AsyncClient
    password: str
    secret: str
    """What admin's codes are made from."""
    token: str
    lan: httpx.AsyncClient
    """Drafts what admin approves."""
    stranger: httpx.AsyncClient
    """A client without credentials."""

    async def ok(self, method: str, path: str, **more: Any) -> Any:
        """A request that must succeed; its JSON."""
        reply = await self.client.request(method, path, **more)
        assert reply.status_code < 300, reply.text
        return reply.json() if reply.content else None

    async def refused(self, status: int, code: str, method: str, path: str, **more: Any) -> Any:
        """A request that must be refused like this; the problem document."""
        reply = await self.client.request(method, path, **more)
        return problem(reply, status, code)

    def as_(self, token: str, app: ASGIApp | None = None) -> httpx.AsyncClient:
        """A client with this bearer token. app: instead of the API's own, one around it."""
        return _client(app or self.app, {"Authorization": f"Bearer {token}", "Accept-Language": "en"})

    async def bulletin(self, title: str = "Thông báo", *, approve: bool = True) -> Any:
        """A bulletin that Lan made from a recording, approved by admin."""
        reply = await self.lan.post(
            "/api/v1/bulletins?wait=30",
            data={"title": title, "area": AREA, "chime": "false"},
            files={"file": ("a.wav", recording())},
        )
        item = reply.json()
        assert item["status"] == "done", item
        made = await self.ok("GET", f"/api/v1/bulletins/{item['bulletin']}")
        if approve:
            body = {"content_hash": made["content_hash"]}
            made = await self.ok("POST", f"/api/v1/bulletins/{made['id']}/approve", json=body)
        return made


def problem(reply: httpx.Response, status: int, code: str) -> Any:
    """Check that a reply is this problem document; the document."""
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json"), reply.text
    body = reply.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}"), reply.text
    assert body["title"]
    assert body["remedy"]
    assert set(body) == {"type", "title", "status", "code", "detail", "field", "limit", "remedy"}
    return body


@contextlib.asynccontextmanager
async def office_at(folder: Path, limits: ApiLimits = FREE, *, database: str = "") -> AsyncIterator[Office]:
    """An office with the area Cô Tô and one node there. database: a URL, instead of a file in the folder."""
    config = CentreConfig(data=folder / "data", database=database)
    centre = await Centre.start(config, link=LoopbackLink(LoopbackBroker()))
    try:
        first = await centre.unit_of_work(lambda session: accounts.ensure_first_account(session, centre))
        assert first is not None
        app = create_app(centre, limits=limits)
        async with app.router.lifespan_context(app):
            stranger = _client(app)
            made = await centre.unit_of_work(
                lambda db: accounts.issue_token(
                    db, centre, account="admin", name="tests", page_session=True, lasts_ms=accounts.SESSION_MS,
                    code_given=True,
                )
            )  # fmt: skip
            token = made.secret
            client = _client(app, {"Authorization": f"Bearer {token}", "Accept-Language": "en"})
            office = Office(centre, app, client, first.password, first.code_secret, token, client, stranger)
            await office.ok("POST", "/api/v1/areas", json={"path": AREA, "name": "Cô Tô", "kind": "đặc khu"})
            lan = await join(centre, "lan-co-to", (Role.OPERATOR, AREA))
            office.lan = office.as_(lan.token)
            await office.ok("POST", "/api/v1/nodes", json={"id": "co-to-1", "area": AREA, "public_key": KEY})
            yield office
    finally:
        await centre.stop()


def _client(app: ASGIApp, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://loa.test", headers=headers)
