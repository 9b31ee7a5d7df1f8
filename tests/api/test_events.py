"""Server-sent events: in order, resumable, `resync` where something was missed, comments that keep the line open."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn

from api.events import REMEMBERED, EventBoard
from loa.clock import Timer
from tests.api.office import AREA, Office

pytestmark = pytest.mark.asyncio(loop_scope="session")


class StillClock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()

    def now_ms(self) -> Any:
        return 0

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await self.rung.wait()

    def call_later(self, seconds: float, act: Callable[[], object]) -> Timer:
        async def later() -> None:
            await self.rung.wait()
            act()

        waiting = asyncio.ensure_future(later())
        return asyncio.get_running_loop().call_later(3600, waiting.cancel)


async def _next(stream: AsyncIterator[bytes]) -> str:
    return (await asyncio.wait_for(anext(stream), 5)).decode()


async def test_a_listener_goes_on_where_it_was() -> None:
    board = EventBoard(StillClock(), "boot")
    stream = board.stream(None)
    assert await _next(stream) == "retry: 2000\n\n"
    assert "event: resync" in await _next(stream)
    board.tell("node", {"id": "a"})
    board.tell("node", {"id": "b"})
    assert await _next(stream) == 'id: boot-1\nevent: node\ndata: {"id":"a"}\n\n'
    again = board.stream("boot-1")
    await _next(again)
    assert await _next(again) == 'id: boot-2\nevent: node\ndata: {"id":"b"}\n\n'


@pytest.mark.parametrize("last", ["boot-0", "other-5", "boot-9999999", "nonsense", "boot--1", "boot-x", ""])
async def test_what_is_not_known_any_more_is_a_resync(last: str) -> None:
    board = EventBoard(StillClock(), "boot")
    for number in range(REMEMBERED + 5):
        board.tell("node", {"id": str(number)})
    stream = board.stream(last)
    await _next(stream)
    assert f"id: boot-{REMEMBERED + 5}\nevent: resync" in await _next(stream)


async def test_a_slow_listener_is_told_to_look_again() -> None:
    board = EventBoard(StillClock(), "boot")
    stream = board.stream(None)
    await _next(stream)
    await _next(stream)
    for number in range(REMEMBERED + 5):
        board.tell("node", {"id": str(number)})
    assert "event: resync" in await _next(stream)


async def test_the_line_is_kept_open_and_let_go() -> None:
    clock = StillClock()
    board = EventBoard(clock, "boot")
    stream = board.stream(None)
    await _next(stream)
    await _next(stream)
    clock.rung.set()
    assert (await _next(stream)).startswith(": ")
    assert board.listeners == 1
    board.close()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert board.listeners == 0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(office: Office) -> AsyncIterator[str]:
    """The office's app behind a real socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(office.app, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve([listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = server.force_exit = True
    await task


async def test_events_come_over_http(office: Office, address: str) -> None:
    headers = {"Authorization": f"Bearer {office.token}"}
    async with (
        asyncio.timeout(10),
        httpx.AsyncClient(base_url=address, headers=headers) as client,
        client.stream("GET", "/api/v1/events") as reply,
    ):
        assert reply.headers["content-type"].startswith("text/event-stream")
        kinds: list[str] = []
        async for line in reply.aiter_lines():
            if line.startswith("event: resync"):
                body = {"id": "co-to-77", "area": AREA, "public_key": "cd" * 32}
                await office.ok("POST", "/api/v1/nodes", json=body)
            if line.startswith("event: "):
                kinds.append(line[7:])
            if "co-to-77" in line:
                break
        assert kinds[-1] == "node"
