"""The island's link: whole, cut with a word, cut without one, mended."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from simulators.relay import Cut, CutRelay


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


@pytest.fixture
async def relay() -> AsyncIterator[CutRelay]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    relay = CutRelay("127.0.0.1", server.sockets[0].getsockname()[1])
    await relay.start()
    yield relay
    await relay.stop()
    server.close()
    await server.wait_closed()


async def _says_back(relay: CutRelay) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"xin")
    assert await asyncio.wait_for(reader.readexactly(3), 5) == b"xin"
    return reader, writer


async def test_whole_it_passes_both_ways_and_counts(relay: CutRelay) -> None:
    _, writer = await _says_back(relay)
    assert relay.passed_bytes == 6
    writer.close()


async def test_dropped_it_closes_at_once_and_lets_nobody_in(relay: CutRelay) -> None:
    reader, _ = await _says_back(relay)
    relay.cut(Cut.DROPPED)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    again, _ = await asyncio.open_connection("127.0.0.1", relay.port)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(again.readexactly(1), 5)
    relay.mend()
    await _says_back(relay)


async def test_half_open_it_says_nothing_and_what_was_sent_is_lost(relay: CutRelay) -> None:
    reader, writer = await _says_back(relay)
    relay.cut(Cut.HALF_OPEN)
    writer.write(b"lost")
    late_reader, _ = await asyncio.open_connection("127.0.0.1", relay.port)
    waiting = [asyncio.create_task(of.read(1)) for of in (reader, late_reader)]
    done, _ = await asyncio.wait(waiting, timeout=0.2)
    assert not done
    relay.mend()
    ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert all(end == b"" or isinstance(end, ConnectionResetError) for end in ends)
    await _says_back(relay)
