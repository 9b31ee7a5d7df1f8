"""A centre with a place and a box in it, beside a real server whose feeds it polls."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from controller.centre import Centre
from controller.config import CentreConfig
from controller.events import Change, Subscription
from controller.services import areas, cap_sources, nodes
from controller.services.cap_sources import SourceForm
from controller.services.context import Changed, Context
from controller.tables import Alert, CapAlert, CapSource
from devices.links.loopback import LoopbackBroker, LoopbackLink
from tests.api.cap_texts import SENDER, NoVoice, alert_text
from tests.controller.feeds.site import Site, site
from tests.node.hands import HandClock
from tests.protocol.world import NOW

CO_TO = "quang-ninh/co-to"
ATOM = "http://www.w3.org/2005/Atom"


@dataclass
class World:
    centre: Centre
    clock: HandClock
    web: Site
    told: Subscription

    async def change(self, work: Any) -> Any:
        return await self.centre.do("tests", lambda session, ctx: Changed(work(session, ctx)))

    async def source(self, path: str = "/feed", **more: Any) -> None:
        given: dict[str, Any] = {"name": "kttv", "url": self.web.url(path), "senders": [SENDER], "is_local": True}
        form = SourceForm(**given | more)
        await self.change(lambda session, ctx: cap_sources.put_source(session, ctx, form))

    async def row(self) -> CapSource:
        return await self.centre.reading(lambda session: session.get_one(CapSource, "kttv"))

    async def poll(self) -> CapSource:
        await self.centre.cap_feeds.poll("kttv")
        return await self.row()

    async def kept(self) -> list[CapAlert]:
        query = select(CapAlert).order_by(col(CapAlert.received_at), col(CapAlert.identifier))
        return await self.centre.reading(lambda session: list(session.exec(query)))

    async def alerts(self) -> list[Alert]:
        query = select(Alert).order_by(col(Alert.composed_at))
        return await self.centre.reading(lambda session: list(session.exec(query)))

    def events(self, kind: str) -> list[Change]:
        found = []
        while not self.told._waiting.empty():
            found.append(self.told._waiting.get_nowait())
        return [one for one in found if one.kind == kind]

    def text(self, name: str, **more: Any) -> str:
        return alert_text(self.clock.now_ms(), name, **more)


def atom(*entries: str) -> str:
    return f"<feed xmlns='{ATOM}'><title>x</title>{''.join(f'<entry>{one}</entry>' for one in entries)}</feed>"


def link(url: str, updated: str = "2026-09-21T08:00:00Z", kind: str = "application/cap+xml") -> str:
    return f"<updated>{updated}</updated><link rel='alternate' type='{kind}' href='{url}'/>"


@contextlib.asynccontextmanager
async def opened(folder: Path, database: str = "") -> AsyncIterator[World]:
    clock = HandClock(NOW)
    config = CentreConfig(data=folder / "data", database=database)
    centre = await Centre.start(config, clock, link=LoopbackLink(LoopbackBroker()))
    centre.alerts.voice = NoVoice()

    def fill(session: Session, ctx: Context) -> Changed[None]:
        areas.add_area(session, ctx, path=CO_TO, name="Cô Tô")
        nodes.enrol_node(session, ctx, id="co-to-1", area=CO_TO, public_key=b"." * 32)
        return Changed(None)

    async with contextlib.AsyncExitStack() as closing:
        closing.push_async_callback(centre.stop)
        web = await closing.enter_async_context(site())
        told = closing.enter_context(centre.events.subscribed())
        await centre.do("tests", fill)
        yield World(centre, clock, web, told)
