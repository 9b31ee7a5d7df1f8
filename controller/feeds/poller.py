"""The feeds of all sources, asked again and again: what is new in them is taken, how they do is noted and told."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from sqlmodel import Session, col, delete, select

from controller.alert_desk import CentreWork
from controller.cap.feeds import FeedLink, is_feed, links_in
from controller.cap.judgement import judge_alone
from controller.cap.reading import read
from controller.cap_desk import CapDesk, Known
from controller.feeds.fetching import Fetched, Fetcher, Reach
from controller.services.context import CONTROLLER, Changed, Context, note_deed
from controller.tables import CapLink, CapSource
from controller.wire.common import Waker
from loa.clock import Clock
from loa.entropy import Entropy, fraction
from loa.errors import LoaError, Refused
from loa.units import InstantMs

LINKS_AT_ONCE: Final = 50
"""Alerts behind links that are fetched in one turn of a source; the rest in its next."""
LINKS_FOR_S: Final = 60.0
"""After so long the other links of a source wait for its next turn: other sources are not kept waiting."""
LONGEST_PAUSE_S: Final = 900
STALE_AFTER_S: Final = 900
LINK_KEPT_MS: Final = 30 * 86_400_000
_LOOK_S: Final = 30.0
_AT_ONCE: Final = 4
_log = logging.getLogger("loa.cap")


class CapFeeds:
    """One a centre. `turn` is done again and again; `poll` asks one source now."""

    def __init__(
        self, centre: CentreWork, desk: CapDesk, clock: Clock, entropy: Entropy, fetcher: Fetcher | None = None
    ) -> None:
        self._centre, self._desk, self._clock, self._entropy = centre, desk, clock, entropy
        self.fetcher = fetcher or Fetcher(clock)
        self._failed: dict[str, set[str]] = {}
        """By source, links that could not be fetched: they come after the others."""
        self._waker, self._room = Waker(), asyncio.Semaphore(_AT_ONCE)

    def look_again(self) -> None:
        """Sources changed."""
        self._waker.wake()

    async def turn(self) -> None:
        """Everything that is due, then wait until something is."""
        if await self.do_due():
            return
        next_at = await self._centre.reading(_next_at)
        pause_s = _LOOK_S if next_at is None else (next_at - self._clock.now_ms()) / 1000
        await self._waker.wait(self._clock, max(0.05, min(_LOOK_S, pause_s)))

    async def do_due(self) -> bool:
        """Ask each source whose time has come; compose some of what was left over, and say whether there is more."""
        more = await self._desk.finish()
        now = self._clock.now_ms()
        names = await self._centre.reading(lambda session: _due(session, now))
        await asyncio.gather(*(self.poll(name) for name in names))
        return more

    async def poll(self, name: str) -> None:
        """Ask one source now. Whatever goes wrong is noted at the source and raised nowhere."""
        async with self._room:
            row = await self._centre.reading(lambda session: session.get(CapSource, name))
            if row is None or not row.url:
                return
            trouble: LoaError | None = None
            fetched: Fetched | None = None
            try:
                fetched = await self._read(row)
            except LoaError as error:
                trouble = error
            except Exception:  # noqa: BLE001 - a stranger's feed must not stop the others
                _log.exception("source %s failed; going on", name)
                trouble = Refused("feed_bad_reply", field="url", value=row.url, reason="unexpected")
            await self._note(row, fetched, trouble)

    async def _read(self, row: CapSource) -> Fetched:
        """Take what the feed holds and points to. The feed's marks, empty where something of it is still to come."""
        reach = Reach(frozenset({urlsplit(row.url).hostname or "", *row.hosts}), row.is_local)
        fetched = await self.fetcher.get(row.url, reach, etag=row.etag, last_modified=row.last_modified)
        if fetched.data is None:
            return fetched
        data, known = fetched.data, await self._desk.known()
        terms = known.terms
        roots = await self._centre.aside(lambda: read(data))
        alone = await self._centre.aside(lambda: judge_alone(data, terms))
        if [one.code for one in alone] == ["no_alert"]:
            if not is_feed(roots):
                raise alone[0].problem or Refused("no_alert", field="file", value=row.url)
        else:
            await self._desk.take(alone, account=CONTROLLER, source=row.name, fetched=True, known=known)
        links = await self._centre.aside(lambda: links_in(roots, fetched.url))
        left = await self._follow(row, reach, links, known)
        return Fetched(data, fetched.url) if left else fetched

    async def _follow(self, row: CapSource, reach: Reach, links: Sequence[FeedLink], known: Known) -> bool:
        """Fetch what was not fetched yet; whether something is left. Raises what the last of them met."""
        now = self._clock.now_ms()
        fresh = await self._centre.do(CONTROLLER, lambda session, _: Changed(_fresh(session, row.name, links, now)))
        failed = self._failed.setdefault(row.name, set())
        failed &= {_digest(link) for link in fresh}
        fresh.sort(key=lambda link: _digest(link) in failed)
        trouble: LoaError | None = None
        taken, until_s = 0, self._clock.monotonic_s() + LINKS_FOR_S
        for link in fresh[:LINKS_AT_ONCE]:
            if self._clock.monotonic_s() >= until_s:
                break
            try:
                found = await self.fetcher.get(link.url, reach)
                await self._desk.submit(
                    found.data or b"", account=CONTROLLER, source=row.name, fetched=True, known=known
                )
            except LoaError as error:
                trouble = error
                if not isinstance(error, Refused):
                    failed.add(_digest(link))
                    continue
            key = CapLink(source=row.name, digest=_digest(link), seen_at=now)
            await self._centre.do(CONTROLLER, lambda session, _, key=key: Changed(session.merge(key)))  # type: ignore[misc]
            taken += 1
        if trouble is not None:
            raise trouble
        return taken < len(fresh)

    async def _note(self, row: CapSource, fetched: Fetched | None, trouble: LoaError | None) -> None:
        share, now = fraction(self._entropy), self._clock.now_ms()

        def work(session: Session, ctx: Context) -> Changed[str | None]:
            return Changed(_noted(session, ctx, row, fetched, trouble, share))

        told = await self._centre.do(CONTROLLER, work)
        if told is not None:
            self._centre.events.publish("cap_source", row.name, state=told, trouble=trouble.code if trouble else "")
            if trouble is not None:
                _log.warning("source %s is %s: %s", row.name, told, trouble)
            elif told == "good":
                _log.info("source %s is good since %d", row.name, now)


def _noted(  # noqa: PLR0917
    session: Session, ctx: Context, seen: CapSource, fetched: Fetched | None, trouble: LoaError | None, share: float
) -> str | None:
    """Write down how a source did; its new state where people should be told of it. share: 0 to 1, for the jitter."""
    row = session.get(CapSource, seen.name)
    if row is None or row.url != seen.url:
        return None
    was = (row.is_stale, bool(row.failures), row.good_at is None)
    row.tried_at = ctx.now
    if trouble is None and fetched is not None:
        row.etag, row.last_modified, row.good_at = fetched.etag, fetched.last_modified, ctx.now
        row.failures, row.trouble, row.trouble_detail, row.is_stale = 0, "", "", False
        pause_s = float(row.interval_s)
    else:
        row.failures += 1
        row.trouble, row.trouble_detail = (trouble.code if trouble else ""), str(trouble)[:300]
        pause_s = min(LONGEST_PAUSE_S, row.interval_s * 2.0 ** min(row.failures, 10))
        since = row.good_at if row.good_at is not None else row.created_at
        row.is_stale = ctx.now - since > 1000 * max(STALE_AFTER_S, 3 * row.interval_s)
    row.next_at = ctx.now + round(1000 * pause_s * (0.8 + 0.4 * share))
    session.add(row)
    if row.is_stale and not was[0]:
        note_deed(session, ctx, "stale", "cap_source", row.name, detail=row.trouble)
        return "stale"
    if row.failures and not was[1]:
        return "failing"
    return "good" if not row.failures and (was[0] or was[1] or was[2]) else None


def _due(session: Session, now: InstantMs) -> list[str]:
    """Sources whose time has come; one that is far ahead too, for then the clock was wrong."""
    ahead = now + 2000 * max(LONGEST_PAUSE_S, 3600)
    query = select(CapSource.name).where(
        CapSource.url != "", (col(CapSource.next_at) <= now) | (col(CapSource.next_at) > ahead)
    )
    return list(session.exec(query.order_by(col(CapSource.next_at))))


def _next_at(session: Session) -> InstantMs | None:
    found = session.exec(select(CapSource.next_at).where(CapSource.url != "").order_by(col(CapSource.next_at))).first()
    return None if found is None else InstantMs(found)


def _fresh(session: Session, source: str, links: Sequence[FeedLink], now: InstantMs) -> list[FeedLink]:
    """Links that were not fetched; what the feed no longer names is forgotten after a month."""
    digests = {_digest(link): link for link in links}
    known: set[str] = set()
    keys = list(digests)
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        rows = session.exec(select(CapLink).where(CapLink.source == source, col(CapLink.digest).in_(part)))
        for row in rows:
            known.add(row.digest)
            if row.seen_at < now - LINK_KEPT_MS // 2:
                row.seen_at = now
                session.add(row)
    session.execute(delete(CapLink).where(col(CapLink.source) == source, col(CapLink.seen_at) < now - LINK_KEPT_MS))
    return [link for digest, link in digests.items() if digest not in known]


def _digest(link: FeedLink) -> str:
    return hashlib.sha256(f"{link.url}\n{link.mark}".encode()).hexdigest()
