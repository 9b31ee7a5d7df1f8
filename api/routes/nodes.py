"""Nodes and stations: enrolled, moved, retired; their volume, a test tone, how they are."""

import base64
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BeforeValidator, Field
from sqlmodel import select

from api.asking import ONCE, DeskHere
from api.idempotency import IdempotentRoute
from api.needs import needs
from api.problems import documented
from api.shapes import AreaText, Asked, NameText, Page, PrecedenceWord, Shown, Text, Volume, moment_or_none, whole
from controller.permissions import Permission
from controller.services import nodes
from controller.services.context import Changed
from controller.services.nodes import NodeView
from controller.services.sight import stations_seen
from controller.tables import Station
from devices.protocol.envelope import encode

router = APIRouter(prefix="/api/v1", tags=["nodes"], route_class=IdempotentRoute)
NodeInPath = Annotated[NameText, Path(examples=["co-to-1"])]


class NodeShown(Shown):
    id: str
    area: str
    description: str
    station: str | None
    bus_address: int = Field(description="On the station's serial bus, 1 to 254; 0 for a node with its own link")
    public_key: str = Field(description="Ed25519, hex")
    volume: int = Field(description="As ordered; the node's own word is in `health`")
    state: str = Field(description="online, silent, never (not heard from yet), retired")
    contested: bool = Field(
        default=False, description="It connects again and again: a second box under its name, or a very bad link"
    )
    last_heard_at: datetime | None
    trust_lags: bool = Field(
        description="It has long lacked the newest trust document: a revocation may be kept from it"
    )
    health: "HealthShown | None"


class HealthShown(Shown):
    """What a node last said of itself."""

    at: datetime | None
    playing: str | None = Field(description="The broadcast that sounds there")
    precedence: PrecedenceWord | None
    volume: int
    muted: bool = Field(description="The speaker cannot sound")
    link_rate: int | None = Field(description="Measured, bytes a second")
    time_offset_ms: int | None = Field(description="The centre's clock minus the node's own")
    time_error_ms: int | None
    free_bytes: int
    uptime_s: int
    renditions: int = Field(description="How many complete ones it holds")
    refusals: dict[str, int] = Field(description="How many messages it refused, by reason")
    repeats: int = Field(description="Orders that came again to the byte: ours, or somebody playing them back")


class NewNode(Asked):
    id: NameText = Field(examples=["co-to-1"])
    area: AreaText = Field(examples=["quang-ninh/co-to"])
    public_key: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] = Field(
        description="The node's Ed25519 key, hex",
        examples=["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"],
    )
    description: Text = ""
    station: NameText | None = None
    bus_address: Annotated[int, Field(ge=0, le=254), BeforeValidator(whole)] = 0


class Enrolled(Shown):
    node: NodeShown
    placement: str = Field(description="The signed statement of where the node is, base64")
    roots: str = Field(description="The root set to be pinned in the node's identity, its CBOR in hex")


class Move(Asked):
    area: AreaText


class NewVolume(Asked):
    volume: Volume = Field(examples=[70])


class TestTone(Asked):
    volume: Volume = Field(default=30, description="Quiet unless told otherwise, so that the village sleeps on")


class Ordered(Shown):
    node: str
    ordered: str = Field(description="volume or test_tone")


class NewStation(Asked):
    id: NameText = Field(examples=["hoanh-mo-dai"])
    area: AreaText = Field(examples=["quang-ninh/hoanh-mo"])
    description: Text = ""


class StationShown(Shown):
    id: str
    area: str
    description: str


def node_shown(view: NodeView, *, contested: bool = False) -> NodeShown:
    health = view.health
    return NodeShown(
        id=view.id,
        area=view.area,
        description=view.description,
        station=view.station,
        bus_address=view.bus_address,
        public_key=view.public_key.hex(),
        volume=view.volume,
        state=view.state,
        contested=contested,
        last_heard_at=moment_or_none(view.last_heard_at),
        trust_lags=view.trust_lags,
        health=None
        if health is None
        else HealthShown(
            at=moment_or_none(view.health_at),
            playing=health.playing.hex() if health.playing else None,
            precedence=None if health.precedence is None else health.precedence.name.lower(),
            volume=health.volume,
            muted=health.muted,
            link_rate=health.link_rate,
            time_offset_ms=health.time_offset_ms,
            time_error_ms=health.time_error_ms,
            free_bytes=health.free_bytes,
            uptime_s=health.uptime_s,
            renditions=len(health.renditions),
            refusals={count.reason.name.lower(): count.count for count in health.refusals},
            repeats=health.repeats,
        ),
    )


@router.get("/nodes", operation_id="list_nodes", responses=documented())
@needs(Permission.NODE_READ)
async def list_nodes(
    desk: DeskHere,
    area: Annotated[AreaText | None, Query(description="Only those in this place")] = None,
    retired: Annotated[bool, Query(description="Retired ones too")] = False,
) -> Page[NodeShown]:
    """All nodes with how they are, by name."""
    views = await desk.read(lambda session, ctx: nodes.list_nodes(session, ctx, within=area, retired=retired))
    now = desk.centre.clock.now_ms()
    contested = set(desk.centre.transmitter.contested.names(now))
    return Page(items=[node_shown(view, contested=view.id in contested) for view in views])


@router.get("/nodes/{node}", operation_id="get_node", responses=documented("not_found"))
@needs(Permission.NODE_READ)
async def get_node(node: NodeInPath, desk: DeskHere) -> NodeShown:
    """One node."""
    view = await desk.read(lambda session, ctx: nodes.node(session, ctx, node))
    centre = desk.centre
    return node_shown(view, contested=centre.transmitter.contested.is_contested(node, centre.clock.now_ms()))


@router.post(
    "/nodes", operation_id="enrol_node", status_code=201, responses=documented("csrf", "already_exists", "not_found")
)
@needs(Permission.NODE_ENROL)
async def enrol_node(asked: NewNode, desk: DeskHere) -> Enrolled:
    """Make a box known under its public key and sign where it is. The same again returns the same."""
    enrolled = await desk.centre.enrol_node(
        account=desk.account,
        id=asked.id,
        area=asked.area,
        public_key=bytes.fromhex(asked.public_key),
        description=asked.description,
        station=asked.station,
        bus_address=asked.bus_address,
    )
    await desk.centre.enrolment.refresh_broker()  # a wired node's station may speak for it from now on
    return await _enrolled(desk, enrolled)


@router.post("/nodes/{node}/move", operation_id="move_node", responses=documented("csrf", "not_found"))
@needs(Permission.NODE_ENROL)
async def move_node(node: NodeInPath, asked: Move, desk: DeskHere) -> Enrolled:
    """Sign a new placement: the node drops its old area's timetable and takes the new one's."""
    moved = await desk.centre.move_node(node, asked.area, account=desk.account)
    return await _enrolled(desk, moved)


@router.post("/nodes/{node}/retire", operation_id="retire_node", responses=documented("csrf", "not_found"))
@needs(Permission.NODE_ENROL)
async def retire_node(node: NodeInPath, desk: DeskHere) -> NodeShown:
    """The node counts no more, and the broker lets it in no more; what it reported stays."""
    await desk.centre.enrolment.retire(node, account=desk.account)
    return node_shown(await desk.read_done(lambda session, ctx: nodes.node(session, ctx, node)))


@router.post(
    "/nodes/{node}/volume", operation_id="set_volume", status_code=202, dependencies=ONCE,
    responses=documented("csrf", "not_found", "volume_range", "idempotency_conflict"),
)  # fmt: skip
@needs(Permission.NODE_VOLUME)
async def set_volume(node: NodeInPath, asked: NewVolume, desk: DeskHere) -> Ordered:
    """Order a node's volume from now on; its health tells when it has obeyed."""
    await desk.centre.set_volume(node, asked.volume, account=desk.account)
    return Ordered(node=node, ordered="volume")


@router.post(
    "/nodes/{node}/test-tone", operation_id="test_tone", status_code=202, dependencies=ONCE,
    responses=documented("csrf", "fresh_code_required", "not_found", "volume_range", "idempotency_conflict"),
)  # fmt: skip
@needs(Permission.NODE_TEST)
async def test_tone(node: NodeInPath, asked: TestTone, desk: DeskHere) -> Ordered:
    """A short tone at this node alone."""
    await desk.do(
        lambda session, ctx: Changed(
            None, nodes.sound_test_tone(session, ctx, target_nodes=(node,), volume=asked.volume)
        )
    )
    return Ordered(node=node, ordered="test_tone")


@router.get("/stations", operation_id="list_stations", responses=documented())
@needs(Permission.NODE_READ)
async def list_stations(desk: DeskHere) -> Page[StationShown]:
    """All stations."""
    rows = await desk.read(
        lambda session, ctx: list(session.exec(select(Station).where(stations_seen(ctx)).order_by(Station.id)))
    )
    return Page(items=[StationShown(id=row.id, area=row.area, description=row.description) for row in rows])


@router.post(
    "/stations",
    operation_id="add_station",
    status_code=201,
    responses=documented("csrf", "already_exists", "not_found"),
)
@needs(Permission.NODE_ENROL)
async def add_station(asked: NewStation, desk: DeskHere) -> StationShown:
    """Add a commune's station; the same again is harmless."""
    await desk.note(
        lambda session, ctx: nodes.add_station(
            session, ctx, id=asked.id, area=asked.area, description=asked.description
        )
    )
    return StationShown(id=asked.id, area=asked.area, description=asked.description)


async def _enrolled(desk: DeskHere, enrolled: nodes.Enrolled) -> Enrolled:
    view = await desk.read_done(lambda session, ctx: nodes.node(session, ctx, enrolled.node))
    return Enrolled(
        node=node_shown(view),
        placement=base64.b64encode(enrolled.placement).decode(),
        roots=encode(desk.centre.keys.roots).hex(),
    )
