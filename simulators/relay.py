"""A relay between a group of nodes and the broker, whose link can be cut: an island's one way to the mainland.

`Cut.DROPPED` closes every connection, as a router does that says so. `Cut.HALF_OPEN` says nothing to anybody: bytes
no longer pass, both ends believe in their connection, and what was under way is lost for good, since after the repair
the connections of before are reset.
"""

import asyncio
from contextlib import suppress
from enum import Enum

_CHUNK_BYTES = 65_536


class Cut(Enum):
    """How a link is cut."""

    DROPPED = "dropped"
    HALF_OPEN = "half-open"


class CutRelay:
    """Listens on a free port of 127.0.0.1 and passes everything on to `host:port`, while the link is whole."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._cut: Cut | None = None
        self.passed_bytes = 0

    @property
    def port(self) -> int:
        """Known after `start`."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def is_whole(self) -> bool:
        return self._cut is None

    @property
    def connections(self) -> int:
        return len(self._pairs)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._abort_all()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def cut(self, how: Cut) -> None:
        self._cut = how
        if how is Cut.DROPPED:
            self._abort_all()

    def mend(self) -> None:
        """Let new connections through; those from before the repair are reset."""
        self._abort_all()
        self._cut = None

    def _abort_all(self) -> None:
        for pair in list(self._pairs):
            pair.abort()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut is Cut.DROPPED:
            writer.transport.abort()
            return
        pair = _Pair(self, reader, writer)
        self._pairs.add(pair)
        try:
            await pair.run(*self._target)
        finally:
            self._pairs.discard(pair)

    def lets_pass(self, count: int) -> bool:
        """Whether bytes pass now; those that do are counted."""
        if self._cut is not None:
            return False
        self.passed_bytes += count
        return True


class _Pair:
    """One client's connection and ours to the broker."""

    def __init__(self, relay: CutRelay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._relay, self._near_reader, self._near = relay, reader, writer
        self._far: asyncio.StreamWriter | None = None
        self._ended = asyncio.Event()

    def abort(self) -> None:
        self._ended.set()
        for writer in (self._near, self._far):
            if writer is not None:
                writer.transport.abort()

    async def run(self, host: str, port: int) -> None:
        try:
            if not self._relay.is_whole:
                await self._ended.wait()  # half-open: taken by nobody, told to nobody
                return
            far_reader, self._far = await asyncio.open_connection(host, port)
            ways = [
                asyncio.create_task(self._pass_on(self._near_reader, self._far)),
                asyncio.create_task(self._pass_on(far_reader, self._near)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass
        finally:
            self.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                if not self._relay.lets_pass(len(data)):
                    await self._ended.wait()
                    return
                writer.write(data)
                await writer.drain()
            if not self._relay.is_whole:
                await self._ended.wait()  # the farewell does not pass either
