"""One address fetched: within a time, a size and a reach, wherever it would lead.

A feed is somebody else's text, and so is every link and redirect in it: it must not make the centre ask its own
network's machines, nor wait for ever, nor fill its memory. The address that was looked at is the one that is asked.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from controller.cap.reading import MAX_BYTES
from loa.clock import Clock
from loa.errors import OperatorNeeded, Refused

T = TypeVar("T")
LIMIT_S: Final = 30.0
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port → its IP addresses."""


@dataclass(frozen=True)
class Reach:
    """Where a source's fetches may go: its own host and these, by HTTPS and in the open Internet unless it is local."""

    hosts: frozenset[str]
    is_local: bool = False


@dataclass(frozen=True)
class Fetched:
    """data: None where the server says that nothing changed."""

    data: bytes | None
    url: str
    etag: str = ""
    last_modified: str = ""


class Fetcher:
    """Fetches by HTTP. resolve, tls: for tests and for private authorities."""

    def __init__(
        self,
        clock: Clock,
        *,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        limit_s: float = LIMIT_S,
        most_bytes: int = MAX_BYTES,
    ) -> None:
        self._clock, self._resolve = clock, resolve or _resolved
        self._tls, self._limit_s, self._most_bytes = tls, limit_s, most_bytes

    async def get(self, url: str, reach: Reach, *, etag: str = "", last_modified: str = "") -> Fetched:
        """Raises Refused(feed_forbidden, too_large), OperatorNeeded(feed_unreachable, feed_bad_reply)."""
        wanted = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        return await _within(self._clock, self._limit_s, self._followed(url, reach, wanted))

    async def _followed(self, url: str, reach: Reach, wanted: dict[str, str]) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            _check_url(url, reach)
            try:
                found = await self._once(url, reach, wanted)
            except (httpx.InvalidURL, ValueError) as error:
                raise Refused("feed_forbidden", field="url", value=url[:200], reason="no address") from error
            except httpx.HTTPError as error:
                raise OperatorNeeded("feed_unreachable", field="url", reason=_words(error), value=url) from error
            if isinstance(found, Fetched):
                return found
            url = found
        raise OperatorNeeded("feed_bad_reply", field="url", value=url, reason="too many redirects")

    async def _once(self, url: str, reach: Reach, wanted: dict[str, str]) -> Fetched | str:
        """What is there, or where it leads on to."""
        address, host = await self._address(url, reach)
        headers = {"Host": host, "User-Agent": "Loa", "Accept": "application/cap+xml, application/xml, text/xml, */*"}
        # Packed answers could unpack to a thousand times their size.
        headers["Accept-Encoding"] = "identity"
        headers |= {name: value for name, value in wanted.items() if value}
        if self._tls is None:
            self._tls = ssl.create_default_context()
        name = {"sni_hostname": urlsplit(url).hostname or ""}
        async with (
            httpx.AsyncClient(
                verify=self._tls, timeout=httpx.Timeout(2 * self._limit_s), trust_env=False, follow_redirects=False
            ) as client,
            client.stream("GET", address, headers=headers, extensions=name) as reply,
        ):
            if reply.status_code in _REDIRECTS and "location" in reply.headers:
                return urljoin(url, reply.headers["location"])
            if reply.status_code == 304:
                return Fetched(None, url, wanted["If-None-Match"], wanted["If-Modified-Since"])
            if reply.status_code != 200:
                raise OperatorNeeded("feed_bad_reply", field="url", value=url, reason=f"HTTP {reply.status_code}")
            if reply.headers.get("content-encoding", "identity").casefold() != "identity":
                raise OperatorNeeded("feed_bad_reply", field="url", value=url, reason="packed")
            return Fetched(
                await self._body(reply), url, reply.headers.get("etag", "")[:500],
                reply.headers.get("last-modified", "")[:100],
            )  # fmt: skip

    async def _body(self, reply: httpx.Response) -> bytes:
        data = bytearray()
        async for part in reply.aiter_raw():
            data += part
            if len(data) > self._most_bytes:
                raise Refused("too_large", field="file", limit=f"{self._most_bytes} bytes", value="more")
        return bytes(data)

    async def _address(self, url: str, reach: Reach) -> tuple[str, str]:
        """The URL with the host's IP address in it, all of whose addresses were looked at; and the Host header."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            found = await self._resolve(host, port)
        except OSError as error:
            raise OperatorNeeded("feed_unreachable", field="url", reason="no such host", value=url) from error
        if not found:
            raise OperatorNeeded("feed_unreachable", field="url", reason="no such host", value=url)
        if not reach.is_local and not all(is_open(one) for one in found):
            raise Refused("feed_forbidden", field="url", value=url, reason=f"{host} is at {found[0]}")
        shown = f"[{found[0]}]" if ":" in found[0] else found[0]
        return urlunsplit((parts.scheme, f"{shown}:{port}", parts.path or "/", parts.query, "")), parts.netloc


def is_open(address: str) -> bool:
    """Whether an IP address lies in the open Internet: not here, not in a private or link's network."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_open(str(inner))
    return found.is_global and not found.is_multicast and not found.is_reserved


def _check_url(url: str, reach: Reach) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise Refused("feed_forbidden", field="url", value=url[:200], reason="no address") from error
    if parts.scheme not in (("https", "http") if reach.is_local else ("https",)):
        raise Refused(
            "feed_forbidden", field="url", value=url[:200], reason=f"{parts.scheme or 'no scheme'}: not https"
        )
    if host not in reach.hosts:
        raise Refused("feed_forbidden", field="url", value=url[:200], reason=f"{host}: another host")
    if parts.username is not None or not url.isascii() or not url.isprintable():
        raise Refused("feed_forbidden", field="url", value=url[:200], reason="no address")


async def _resolved(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


async def _within(clock: Clock, seconds: float, work: Awaitable[T]) -> T:
    """Raises OperatorNeeded(feed_unreachable) when it takes longer by the clock."""
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(None)
    timer = clock.call_later(seconds, lambda: limit.reschedule(loop.time()))
    try:
        async with limit:
            return await work
    except TimeoutError as error:
        raise OperatorNeeded("feed_unreachable", field="url", reason=f"more than {seconds:.0f} s") from error
    finally:
        timer.cancel()


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
