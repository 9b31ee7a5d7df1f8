"""Fetching from a real server: within its reach, its size and its time."""

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from controller.certificates import ensure_server
from controller.feeds.fetching import Fetcher, Reach, is_open
from loa.clock import SystemClock
from loa.errors import LoaError
from tests.controller.feeds.site import Page, site
from tests.node.hands import HandClock

HERE = Reach(frozenset({"localhost"}), is_local=True)


async def code_of(fetcher: Fetcher, url: str, reach: Reach = HERE) -> tuple[str, str]:
    with pytest.raises(LoaError) as caught:
        await fetcher.get(url, reach)
    return caught.value.code, str(caught.value.values.get("reason", ""))


async def test_what_is_there_with_its_marks_and_unchanged_the_second_time() -> None:
    async with site() as web:
        web.put("/a.xml?x=1", "<a/>", ETag='"1"', Last_Modified="Mon, 21 Sep 2026 08:00:00 GMT")
        fetcher = Fetcher(SystemClock())
        first = await fetcher.get(web.url("/a.xml?x=1"), HERE)
        assert (first.data, first.etag, first.last_modified) == (b"<a/>", '"1"', "Mon, 21 Sep 2026 08:00:00 GMT")
        again = await fetcher.get(web.url("/a.xml?x=1"), HERE, etag=first.etag, last_modified=first.last_modified)
        assert (again.data, again.etag, again.last_modified) == (None, first.etag, first.last_modified)
        assert web.asked[1][1]["if-none-match"] == '"1"'
        assert web.asked[1][1]["host"] == f"localhost:{web.port}"
        assert web.asked[1][1]["accept-encoding"] == "identity"


async def test_what_is_no_answer() -> None:
    async with site() as web:
        web.pages["/broken"] = Page(b"", 500)
        web.put("/packed", b"\x1f\x8b", Content_Encoding="gzip")
        web.put("/large", b" " * 1001)
        web.pages["/endless"] = Page(b" " * 5000, headers={"Content-Length": "9000000"})
        fetcher = Fetcher(SystemClock(), most_bytes=1000)
        assert await code_of(fetcher, web.url("/no")) == ("feed_bad_reply", "HTTP 404")
        assert await code_of(fetcher, web.url("/broken")) == ("feed_bad_reply", "HTTP 500")
        assert await code_of(fetcher, web.url("/packed")) == ("feed_bad_reply", "packed")
        assert (await code_of(fetcher, web.url("/large")))[0] == "too_large"
        assert (await code_of(fetcher, web.url("/endless")))[0] == "too_large"
        port = web.port
    assert (await code_of(fetcher, f"http://localhost:{port}/"))[0] == "feed_unreachable"


async def test_a_server_that_says_nothing_is_left_after_a_while() -> None:
    clock = HandClock(0)
    async with site() as web:
        web.pages["/slow"] = Page(hang=True)
        asked = asyncio.create_task(Fetcher(clock).get(web.url("/slow"), HERE))
        await web.reached.wait()
        await clock.advance(29)
        assert not asked.done()
        await clock.advance(2)
        with pytest.raises(LoaError, match=r"feed_unreachable.*more than 30 s"):
            await asked


async def test_a_redirect_within_its_reach_is_followed_and_no_other() -> None:
    async with site() as web, site() as other:
        web.put("/new", "<a/>")
        other.put("/secret", "<a/>")
        fetcher = Fetcher(SystemClock())

        def leads_to(url: str) -> str:
            web.pages["/old"] = Page(b"", 302, {"Location": url})
            return web.url("/old")

        assert (await fetcher.get(leads_to("/new"), HERE)).url == web.url("/new")
        for url in (other.url("/secret", "127.0.0.1"), "file:///etc/passwd", "gopher://localhost/"):
            assert (await code_of(fetcher, leads_to(url)))[0] == "feed_forbidden", url
        assert other.asked == []
        assert (await code_of(fetcher, leads_to("http://[::1")))[0] == "feed_unreachable"
        wider = Reach(frozenset({"localhost", "127.0.0.1"}), is_local=True)
        assert (await fetcher.get(leads_to(other.url("/secret", "127.0.0.1")), wider)).data == b"<a/>"
        assert await code_of(fetcher, leads_to("/old")) == ("feed_bad_reply", "too many redirects")


async def test_only_the_open_internet_by_https_unless_it_is_local() -> None:
    resolved: list[str] = []

    async def resolve(host: str, _: int) -> Sequence[str]:
        resolved.append(host)
        return {"rebound.example": ["203.0.114.7", "127.0.0.1"], "inside.example": ["10.0.0.5"]}.get(
            host, ["127.0.0.1"]
        )

    async with site() as web:
        fetcher = Fetcher(SystemClock(), resolve=resolve)
        for host in ("rebound.example", "inside.example", "localhost", "127.0.0.1"):
            reach = Reach(frozenset({host}))
            code, reason = await code_of(fetcher, f"https://{host}:{web.port}/", reach)
            assert (code, "is at" in reason) == ("feed_forbidden", True)
            assert await code_of(fetcher, f"http://{host}:{web.port}/", reach) == ("feed_forbidden", "http: not https")
        assert web.asked == []
        assert resolved == ["rebound.example", "inside.example", "localhost", "127.0.0.1"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True), ("2001:4860:4860::8888", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("192.168.1.1", False), ("0.0.0.0", False),
        ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("::", False), ("fe80::1%eth0", False),
        ("fd00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True), ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False), ("64:ff9b::808:808", True), ("ff02::1", False), ("nonsense", False),
    ],
)  # fmt: skip
def test_which_addresses_are_open(address: str, expected: bool) -> None:
    assert is_open(address) is expected


async def test_https_holds_the_certificate_against_the_name_that_was_asked_for(tmp_path: Path) -> None:
    now = SystemClock().now_ms()
    certificate, key = ensure_server(tmp_path, ["cap.example.vn"], now)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

    async def resolve(_: str, __: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with site(serving) as web:
        web.put("/a", "<a/>")
        fetcher = Fetcher(SystemClock(), resolve=resolve, tls=trusting)
        reach = Reach(frozenset({"cap.example.vn", "other.example.vn"}), is_local=True)
        assert (await fetcher.get(web.url("/a", "cap.example.vn"), reach)).data == b"<a/>"
        assert (await code_of(fetcher, web.url("/a", "other.example.vn"), reach))[0] == "feed_unreachable"
        stranger = Fetcher(SystemClock(), resolve=resolve)
        assert (await code_of(stranger, web.url("/a", "cap.example.vn"), reach))[0] == "feed_unreachable"
        assert web.paths == ["/a"]
