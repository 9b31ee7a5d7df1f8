"""A web server of our own on this machine, whose pages a test writes; what it was asked is kept."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

Headers = dict[str, str]


@dataclass
class Page:
    """What is answered at a path. hang: nothing, until the test ends."""

    body: bytes = b""
    status: int = 200
    headers: Headers = field(default_factory=dict)
    hang: bool = False


@dataclass
class Site:
    """pages: by path with query. asked: paths and headers, in order."""

    port: int = 0
    scheme: str = "http"
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, Headers]] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str, host: str = "localhost") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def put(self, path: str, body: str | bytes, **headers: str) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.pages[path] = Page(data, headers={name.replace("_", "-"): value for name, value in headers.items()})

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            path = lines[0].split(" ")[1]
            headers = {
                name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines[1:] if one)
            }
            self.asked.append((path, headers))
            self.reached.set()
            page = self.pages.get(path, Page(b"nothing here", 404))
            if page.hang:
                await self._over.wait()
            etag = page.headers.get("ETag")
            known = etag is not None and headers.get("if-none-match") == etag
            status, body = (304, b"") if known else (page.status, page.body)
            head = {"Content-Length": str(len(body)), "Connection": "close"} | page.headers
            text = "".join(f"{name}: {value}\r\n" for name, value in head.items())
            writer.write(f"HTTP/1.1 {status} x\r\n{text}\r\n".encode() + body)
            await writer.drain()
        writer.close()

    def end(self) -> None:
        self._over.set()


@contextlib.asynccontextmanager
async def site(tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    made = Site(scheme="https" if tls else "http")
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.end()
        server.close()
        await server.wait_closed()
