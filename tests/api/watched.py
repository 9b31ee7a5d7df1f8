"""The app as one role uses it: what it answered with a success is noted, and a stream can be opened and left."""

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.permissions import Role

Done = set[tuple[Role, str]]
"""Who succeeded at which operation, by a real request and a 2xx."""


@dataclass
class Watched:
    """An ASGI app around the API's."""

    app: ASGIApp
    role: Role
    done: Done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and 200 <= message["status"] < 300:
                self.done.add((self.role, scope["route"].operation_id))
            await send(message)

        await self.app(scope, receive, noting)


async def status_of_stream(app: ASGIApp, path: str, token: str) -> int:
    """Open an endless answer, hear its first part, and hang up; its status.

    By hand, since httpx reads an app's answer to its end.
    """
    asked, heard = False, asyncio.Event()
    status = 0

    async def receive() -> Message:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await heard.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            heard.set()

    headers = [(b"host", b"loa.test"), (b"authorization", f"Bearer {token}".encode())]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("loa.test", 80),
    }  # fmt: skip
    await asyncio.wait_for(app(scope, receive, send), 10)
    return status
