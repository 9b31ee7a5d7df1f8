"""Feeds of a real server: each alert once, what goes wrong is noted and told, and it comes back by itself."""

import asyncio
from pathlib import Path

import pytest

from tests.api.cap_texts import reference
from tests.controller.feeds.site import Page, site
from tests.controller.feeds.world import CO_TO, World, atom, link, opened
from tests.postgres import Postgres
from tests.protocol.world import NOW

pytestmark = pytest.mark.slow


@pytest.mark.needs("postgresql")
async def test_the_same_on_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    async with opened(tmp_path, postgres.fresh_url()) as world:
        world.web.put("/1.cap", world.text("p.1"))
        world.web.put("/feed", atom(link("/1.cap"), f"<content>{world.text('p.0', status='Test')}</content>"))
        await world.source()
        assert (await world.poll()).trouble == ""
        now = world.clock.now_ms()
        update = world.text("p.2", msg_type="Update", references=reference(now, "p.1"), sent_ago_s=5)
        named = reference(now, "p.2", sent_ago_s=5)
        cancel = world.text("p.3", msg_type="Cancel", references=named, sent_ago_s=1, info=False)
        bad = update.replace("<event>Bão</event>", "").replace("p.2", "p.4")
        world.web.put("/feed", atom(*(f"<content>{one}</content>" for one in (update, cancel, bad, bad))))
        await world.poll()
        kept = {one.identifier: (one.state, one.is_refused, len(one.withdrew)) for one in await world.kept()}
        assert kept == {
            "p.0": ("kept", False, 0), "p.1": ("composed", False, 0), "p.2": ("kept", False, 0),
            "p.3": ("done", False, 1), "p.4": ("kept", True, 0),
        }, "the update was taken back before it was composed, and with it what it was to replace"  # fmt: skip
        assert [one.status for one in await world.alerts()] == ["withdrawn"]


async def test_alerts_inside_a_feed_are_taken_once(world: World) -> None:
    first = f"<content type='application/cap+xml'>{world.text('a.1')}</content>"
    world.web.put("/feed", atom(first), ETag='"1"')
    await world.source()
    row = await world.poll()
    assert (row.failures, row.trouble, row.good_at, row.etag) == (0, "", NOW, '"1"')
    (kept,) = await world.kept()
    assert (kept.source, kept.is_expected, kept.origin, kept.received_by, kept.state, kept.signature) == (
        "kttv", True, "feed", "loa", "composed", "unsigned",
    )  # fmt: skip
    (alert,) = await world.alerts()
    assert (alert.id, alert.status, alert.composed_by, alert.target_areas) == (kept.alert, "composed", "loa", [CO_TO])
    assert [one.data["state"] for one in world.events("cap_source")] == ["good"]
    await world.poll()
    assert world.web.asked[1][1]["if-none-match"] == '"1"'
    # The same alert in a new version of the feed, with another: the one is known, the other new.
    second = f"<content type='text/xml'><![CDATA[{world.text('a.2')}]]></content>"
    world.web.put("/feed", atom(first, second), ETag='"2"')
    await world.poll()
    assert [one.identifier for one in await world.kept()] == ["a.1", "a.2"]
    assert len(await world.alerts()) == 2


@pytest.mark.parametrize("form", ["cap", "rss", "edxl", "several"])
async def test_other_forms_of_feeds(world: World, form: str) -> None:
    one, two = world.text("b.1"), world.text("b.2")
    body = {
        "cap": one,
        "several": one + two,
        "rss": f"<rss version='2.0'><channel><item><link>{world.web.url('/b1')}</link></item></channel></rss>",
        "edxl": "<EDXLDistribution xmlns='urn:oasis:names:tc:emergency:EDXL:DE:1.0'><contentObject><xmlContent>"
        f"<embeddedXMLContent>{one}</embeddedXMLContent></xmlContent></contentObject></EDXLDistribution>",
    }[form]
    world.web.put("/feed", body)
    world.web.put("/b1", one)
    await world.source()
    assert (await world.poll()).trouble == ""
    assert [row.identifier for row in await world.kept()] == (["b.1", "b.2"] if form == "several" else ["b.1"])


async def test_alerts_behind_links_are_fetched_once_and_again_when_the_feed_says_so(world: World) -> None:
    world.web.put("/1.cap", world.text("c.1"))
    world.web.put("/2.cap", world.text("c.2"))
    world.web.put("/feed", atom(link("/1.cap"), link(world.web.url("/2.cap"))))
    await world.source()
    await world.poll()
    await world.poll()
    assert world.web.paths == ["/feed", "/1.cap", "/2.cap", "/feed"]
    assert [one.identifier for one in await world.kept()] == ["c.1", "c.2"]
    world.web.put("/1.cap", world.text("c.3", msg_type="Update", references=reference(world.clock.now_ms(), "c.1")))
    world.web.put("/feed", atom(link("/1.cap", updated="2026-09-21T09:00:00Z"), link(world.web.url("/2.cap"))))
    await world.poll()
    assert world.web.paths[4:] == ["/feed", "/1.cap"]
    first, _, third = sorted(await world.kept(), key=lambda one: one.identifier)
    assert (third.withdrew, third.state) == ([first.alert], "composed")


async def test_slow_links_hold_up_neither_other_sources_nor_the_other_links(world: World) -> None:
    """All that is due is asked before anything is asked again: one source must not take half an hour."""
    for number in range(10):
        world.web.pages[f"/slow{number}"] = Page(hang=True)
    world.web.put("/good.cap", world.text("s.1"))
    world.web.put("/feed", atom(*(link(f"/slow{number}") for number in range(10)), link("/good.cap")))
    await world.source()
    for _ in range(7):
        began_s, polling = world.clock.monotonic_s(), asyncio.create_task(world.poll())
        while not polling.done():
            reached = asyncio.create_task(world.web.reached.wait())
            await asyncio.wait({polling, reached}, return_when=asyncio.FIRST_COMPLETED)
            reached.cancel()
            world.web.reached.clear()
            if world.web.paths[-1].startswith("/slow"):
                await world.clock.advance(31)
        assert world.clock.monotonic_s() - began_s <= 130
        assert (await polling).trouble == "feed_unreachable"
        if await world.alerts():
            break
    assert len(await world.alerts()) == 1


async def test_links_lead_nowhere_else(world: World) -> None:
    async with site() as inside:
        inside.put("/1.cap", world.text("d.1"))
        world.web.put("/2.cap", world.text("d.2"))
        world.web.put("/feed", atom(link(inside.url("/1.cap", "127.0.0.1")), link("/2.cap")))
        await world.source()
        row = await world.poll()
        assert (row.trouble, row.failures) == ("feed_forbidden", 1)
        assert inside.asked == []
        assert [one.identifier for one in await world.kept()] == ["d.2"], "the others are taken all the same"


async def test_a_link_that_fails_is_tried_again(world: World) -> None:
    world.web.put("/feed", atom(link("/1.cap"), link("/2.cap")), ETag='"1"')
    world.web.put("/2.cap", world.text("e.2"))
    await world.source()
    row = await world.poll()
    assert (row.trouble, row.etag) == ("feed_bad_reply", "")
    world.web.put("/1.cap", world.text("e.1"))
    row = await world.poll()
    assert (row.trouble, row.failures, row.etag) == ("", 0, '"1"')
    assert [one.identifier for one in await world.kept()] == ["e.1", "e.2"]


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        ("<html><body>maintenance</body></html>", "no_alert"),
        ("nothing", "not_xml"),
        ("<!DOCTYPE feed [<!ENTITY a 'a'>]><feed/>", "dtd_forbidden"),
        (atom(), ""),
    ],
)
async def test_what_is_no_feed_is_a_failure_and_an_empty_one_is_not(world: World, body: str, trouble: str) -> None:
    world.web.put("/feed", body)
    await world.source()
    assert (await world.poll()).trouble == trouble


async def test_a_failing_source_is_left_longer_each_time_goes_stale_and_comes_back(world: World) -> None:
    world.web.pages["/feed"] = Page(b"", 503)
    await world.source(interval_s=60)
    pauses = []
    for _ in range(5):
        row = await world.poll()
        pauses.append((row.next_at - world.clock.now_ms()) / 1000)
        await world.clock.advance(pauses[-1])
    for count, pause in enumerate(pauses, start=1):
        assert 0.8 * min(900, 60 * 2**count) <= pause <= 1.2 * min(900, 60 * 2**count)
    assert (row.failures, row.trouble) == (5, "feed_bad_reply")
    assert [one.data["state"] for one in world.events("cap_source")] == ["failing", "stale"]
    world.web.put("/feed", atom())
    row = await world.poll()
    assert (row.failures, row.trouble, row.is_stale) == (0, "", False)
    assert 0.8 * 60 <= (row.next_at - world.clock.now_ms()) / 1000 <= 1.2 * 60
    assert [one.data["state"] for one in world.events("cap_source")] == ["good"]


async def test_what_is_due_is_asked_and_one_source_stops_no_other(world: World) -> None:
    world.web.put("/good", world.text("g.1"))
    world.web.pages["/feed"] = Page(b"", 500)
    await world.source()
    await world.source("/good", name="other")
    await world.centre.cap_feeds.do_due()
    assert sorted(world.web.paths) == ["/feed", "/good"]
    assert [one.identifier for one in await world.kept()] == ["g.1"]
    await world.centre.cap_feeds.do_due()
    assert len(world.web.paths) == 2, "nothing is due"
    await world.clock.advance(80)
    await world.centre.cap_feeds.do_due()
    assert sorted(world.web.paths[2:]) == ["/good"], "the failing one is left longer"
