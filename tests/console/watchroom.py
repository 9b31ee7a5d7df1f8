"""The world of tests.api.duty by the machine's own clock, in a thread of its own, for a real browser to look at."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import uvicorn
from sqlmodel import Session, select

from api.app import create_app
from api.gate import ApiLimits
from controller import codes
from controller.centre import Centre
from controller.config import CentreConfig
from controller.permissions import Role
from controller.services import areas, nodes
from controller.services.context import Changed, Context
from controller.tables import ApiToken, Node
from devices.links.loopback import LoopbackBroker, LoopbackLink
from loa.clock import SystemClock
from loa.precedence import Kind
from tests.api.box import Box
from tests.api.duty import CO_TO, PROVINCE, Duty
from tests.api.office import FREE
from tests.node.hands import HandClock
from tests.people import App

T = TypeVar("T")
DARK, DEAF = "co-to-2", f"{CO_TO}/hong-hai"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Watchroom:
    """A running centre with people and boxes. `url`: where its page is."""

    url: str
    duty: Duty
    loop: asyncio.AbstractEventLoop
    apps: dict[str, App]

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the centre's own loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def age(self, name: str) -> None:
        """As if password and code had been given six minutes ago in all of somebody's sessions."""

        def work(session: Session) -> None:
            for row in session.exec(select(ApiToken).where(ApiToken.account == name)):
                row.code_at, row.password_at = (at and at - 360_000 for at in (row.code_at, row.password_at))
                session.add(row)

        self.do(self.duty.centre.unit_of_work(work))

    async def label(self) -> str:
        """A new label's text."""
        minh = self.duty.people["minh"]
        reply = await minh.client.post("/api/v1/labels", json={"address": "https://loa.example"})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["items"][0]["text"])

    def box(self, folder: Path, label: str) -> Box:
        """A box with this label that asks the centre."""
        return Box(self.duty.client("nobody"), self.duty.clock, folder, label)

    async def node_area(self, name: str) -> str | None:
        """Where a node is, or None where there is none of that name."""
        return await self.duty.centre.reading(lambda db: db.exec(select(Node.area).where(Node.id == name)).first())


def _more(session: Session, ctx: Context) -> Changed[Any]:
    """A loudspeaker that never answers, in a village of its own, and a village without any."""
    areas.add_area(session, ctx, path=DEAF, name="Thôn Hồng Hải", kind="thôn", population=410)
    key, where = b"dark".ljust(32, b"."), "Nhà văn hoá Thôn Nam Đồng"
    return nodes.enrol_node(session, ctx, id=DARK, area=f"{CO_TO}/thon-2", public_key=key, description=where)


@contextlib.asynccontextmanager
async def _opened(folder: Path, limits: ApiLimits) -> AsyncIterator[tuple[Duty, str]]:
    clock, broker = SystemClock(), LoopbackBroker()
    centre = await Centre.start(
        CentreConfig(data=folder / "data", province_name="Quảng Ninh"), clock, link=LoopbackLink(broker)
    )
    duty: Duty | None = None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(centre, limits=limits)
        server = _Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            duty = Duty(folder, cast(HandClock, clock), broker, centre, app)
            await duty.open()
            await duty.change(_more)
            for name in ("thu", "hai"):
                await duty.person(name, Role.DUTY_OFFICER, PROVINCE, Kind.LIVE, Kind.DRILL)
            await duty.person("lan", Role.OPERATOR, CO_TO, Kind.LIVE)
            await duty.person("minh", Role.PROVINCE_ADMIN, PROVINCE)
            centre._read_keys_again()
            centre.look_again()
            yield duty, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            for box in duty.boxes.values() if duty else ():
                await box.node.stop()
            await centre.stop()


@contextlib.contextmanager
def watchroom(folder: Path, limits: ApiLimits = FREE) -> Iterator[Watchroom]:
    """Open it, and close it afterwards. thu and hai are officers of the province, lan an operator of Cô Tô, minh keeps
    the accounts.
    """
    ready: threading.Event = threading.Event()
    made: list[Watchroom] = []
    wrong: list[BaseException] = []
    done: list[asyncio.Event] = []

    async def work() -> None:
        async with _opened(folder, limits) as (duty, url):
            used = SystemClock().now_ms() // codes.STEP_MS - 1  # by `join`
            apps = {name: App(one.who.secret, used) for name, one in duty.people.items()}
            made.append(Watchroom(url, duty, asyncio.get_running_loop(), apps))
            done.append(asyncio.Event())
            ready.set()
            await done[0].wait()

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            wrong.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="watchroom")
    thread.start()
    try:
        ready.wait(60)
        if wrong:
            raise wrong[0]
        yield made[0]
    finally:
        if made:
            made[0].loop.call_soon_threadsafe(done[0].set)
        thread.join(30)
