"""The demo's stage: a centre with broker, API and page, and a small province of simulated loudspeakers."""

import asyncio
import contextlib
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from sqlmodel import Session

from api.app import create_app
from controller.accounts import FIRST_ACCOUNT, FirstAccount, ensure_first_account
from controller.centre import Centre
from controller.config import CentreConfig
from controller.services import areas, nodes
from controller.services.context import Changed, Context, Outgoing
from devices.links.mqtt import MqttLink
from devices.protocol.identity import NodeIdentity
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import Refused
from simulators.places import AREAS, BORDER, LOUDSPEAKERS, PROVINCE, PROVINCE_NAME, STATION
from simulators.station import StationBus
from simulators.tap import AudioTap
from simulators.village import Village, make_identities

ACCOUNT = FIRST_ACCOUNT
STUDIO = "studio"
"""Makes the bulletins that ACCOUNT approves: nobody approves their own."""
USUAL_PORT = 8080
NODES = len(LOUDSPEAKERS)
WIRED = sum(plan.wired for plan in LOUDSPEAKERS)


@dataclass(frozen=True)
class SceneOptions:
    """What a demo is told."""

    broker: str
    """auto, mosquitto or amqtt."""
    port: int | None
    """Of API and page; None: 8080 where it is free, any other where it is not."""
    heard: Path
    keep: Path | None
    """Keep the centre's data here; None: in a folder that goes away afterwards."""


@contextlib.asynccontextmanager
async def open_centre(
    options: SceneOptions, clock: Clock, entropy: Entropy
) -> AsyncIterator[tuple[Centre, str, FirstAccount | None]]:
    """A centre with its API and page: the centre, their URL, and what is shown once of the first account.

    Raises Refused(port_in_use, broker_missing, bad_broker), OperatorNeeded(broker_unreachable).
    """
    with _folder(options.keep) as data, _listening(options.port) as listener:
        config = CentreConfig(
            data=data, broker=options.broker, broker_port=0, province=PROVINCE, province_name=PROVINCE_NAME
        )
        centre = await Centre.start(config, clock, entropy)
        try:
            first = await centre.unit_of_work(lambda session: ensure_first_account(session, centre))
            async with _served(centre, listener):
                yield centre, f"http://127.0.0.1:{listener.getsockname()[1]}", first
        finally:
            await centre.stop()


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    folder = Path(tempfile.mkdtemp(prefix="loa-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _listening(port: int | None) -> Iterator[socket.socket]:
    """A listening socket of 127.0.0.1."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        try:
            listener.bind(("127.0.0.1", USUAL_PORT if port is None else port))
        except OSError as error:
            if port is not None:
                raise Refused("port_in_use", field="port", value=port) from error
            listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener


class _Server(uvicorn.Server):
    """Leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _served(centre: Centre, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        create_app(centre), log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="api")
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)


async def enrol_province(centre: Centre, entropy: Entropy) -> dict[str, NodeIdentity]:
    """Make the areas, the station and the nodes known; returns what each box is given."""
    identities = make_identities(centre.keys.roots, entropy)

    def work(session: Session, ctx: Context) -> Changed[None]:
        outgoing = Outgoing()
        known = {str(view.path) for view in areas.list_areas(session)}
        for place in AREAS:
            if place.path not in known:
                areas.add_area(
                    session, ctx, path=place.path, name=place.name, kind=place.kind, population=place.population
                )
        nodes.add_station(session, ctx, id=STATION, area=BORDER, description="Đài truyền thanh xã Hoành Mô")
        for plan in LOUDSPEAKERS:
            outgoing += nodes.enrol_node(
                session,
                ctx,
                id=plan.node,
                area=plan.area,
                public_key=identities[plan.node].key.public_key,
                description=plan.description,
                station=STATION if plan.wired else None,
                bus_address=plan.bus_address,
            ).outgoing
        return Changed(None, outgoing)

    await centre.do(ACCOUNT, work)
    return identities


@contextlib.asynccontextmanager
async def open_province(
    centre: Centre, identities: dict[str, NodeIdentity], heard: Path, clock: Clock, entropy: Entropy
) -> AsyncIterator[tuple[Village, AudioTap]]:
    """Switch the loudspeakers on, with a tap on the broker."""
    url = centre.broker_url
    tap = AudioTap(MqttLink(url, "audio-tap", clock, entropy, backoff_s=(0.2, 2.0)))
    bus = StationBus(url, clock, entropy)
    village = Village(url, identities, bus, heard=heard, clock=clock, entropy=entropy)
    await tap.start()
    try:
        await village.start()
        yield village, tap
    finally:
        await village.stop()
        await tap.stop()


@contextlib.contextmanager
def ended_by_signals(task: "asyncio.Task[object]") -> Iterator[None]:
    """SIGINT and SIGTERM end the task in order; a second one is not needed."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
