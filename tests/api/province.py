"""A province for the permission test: two communes, a person for each role, and things in each place, made as asked."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from sqlmodel import Session

from controller import accounts, code_keeping
from controller.permissions import PROVINCE_ONLY, Role
from controller.services import areas, broadcasts, bulletins, nodes, programmes
from controller.services.bulletins import BulletinView, NewRendition
from controller.services.context import Changed, Context
from controller.tables import ReceiptRow
from devices.protocol.media import manifest_for
from loa.units import DurationMs, InstantMs
from tests.api.box import Box
from tests.api.office import Office
from tests.api.watched import Done, Watched
from tests.people import SignedIn, join

T = TypeVar("T")
Make = Callable[["Province", str], Awaitable[str]]
"""Makes something in a place; its id."""
PROVINCE, OWN, OTHER, THIRD = "quang-ninh", "quang-ninh/co-to", "quang-ninh/mong-cai", "quang-ninh/van-don"
PLACES = (OWN, OTHER, PROVINCE)
_DAY_MS = 24 * 3_600_000


@dataclass(eq=False)
class Visitor:
    """Somebody who asks, with their client."""

    role: Role
    who: SignedIn
    client: httpx.AsyncClient
    app: Watched
    """What the client asks."""


@dataclass
class Province:
    """Makes what a request is about. What it makes is made by the controller itself, so no rule is in its way."""

    office: Office
    visitors: dict[Role, Visitor] = field(default_factory=dict)
    count: int = 0
    things: dict[tuple[object, str], str] = field(default_factory=dict)
    """Made for one request and not used up by it: good for the next."""
    done: Done = field(default_factory=set)

    def name(self, what: str) -> str:
        self.count += 1
        return f"{what}-{self.count}"

    async def thing(self, make: "Make", place: str) -> str:
        """Something of this kind in this place; the same until it is used up."""
        key = (make, place)
        if key not in self.things:
            self.things[key] = await make(self, place)
        return self.things[key]

    def used_up(self, make: "Make", place: str) -> None:
        self.things.pop((make, place), None)

    async def change(self, work: Callable[[Session, Context], T], account: str = "loa") -> T:
        return await self.office.centre.do(account, lambda session, ctx: Changed(work(session, ctx)))

    async def open(self) -> None:
        """Areas, a node in each place, and everybody signed in."""

        def work(session: Session, ctx: Context) -> None:
            for path, name in ((OTHER, "Móng Cái"), (THIRD, "Vân Đồn")):
                areas.add_area(session, ctx, path=path, name=name)

        await self.change(work)
        for place in (*PLACES, THIRD):
            await self.node(place)
        for role in Role:
            self.visitors[role] = await self._visitor(role, f"one-{role}".replace("_", "-"))

    async def _visitor(self, role: Role, name: str) -> Visitor:
        area = PROVINCE if role in PROVINCE_ONLY else OWN
        who = await join(self.office.centre, name, (role, area), with_code=True)
        app = Watched(self.office.app, role, self.done)
        return Visitor(role, who, self.office.as_(who.token, app), app)

    def of(self, role: str) -> Visitor:
        return self.visitors[Role(role)]

    def visitors_client(self, role: str) -> httpx.AsyncClient:
        return self.of(role).client

    async def fresh(self, visitor: Visitor) -> Visitor:
        """Somebody else of the same role, for what ends or changes a session."""
        return await self._visitor(visitor.role, self.name("p"))

    async def box(self, client: httpx.AsyncClient) -> Box:
        """A real box with a label of this centre's, which asks by this client; nothing is asked yet."""
        made = await self.office.ok("POST", "/api/v1/labels", json={"address": "https://loa.example"})
        centre = self.office.centre
        return Box(client, centre.clock, centre.config.data / self.name("box"), made["items"][0]["text"])

    async def person(self) -> str:
        return (await join(self.office.centre, self.name("somebody"))).name

    async def node(self, place: str) -> str:
        name = self.name("n")
        key = name.encode().ljust(32, b".")
        await self.change(lambda session, ctx: nodes.enrol_node(session, ctx, id=name, area=place, public_key=key))
        return name

    async def station(self, place: str) -> str:
        name = self.name("s")
        await self.change(lambda session, ctx: nodes.add_station(session, ctx, id=name, area=place))
        return name

    async def bulletin(self, place: str, *, approved: bool = True) -> BulletinView:
        title = self.name("b")
        data = title.encode() * 200
        fresh = NewRendition(data, manifest_for(data, duration_ms=DurationMs(2000)))

        def draft(session: Session, ctx: Context) -> BulletinView:
            return bulletins.draft_bulletin(session, ctx, title=title, area=place, renditions=[fresh])

        view = await self.change(draft, "studio")
        if not approved:
            return view
        return await self.change(
            lambda session, ctx: bulletins.approve_bulletin(session, ctx, id=view.id, content_hash=view.content_hash)
        )

    def later(self) -> str:
        """A local time that no plan reaches yet, so that nothing is planned over and over."""
        return "2038-01-01T05:00:00"

    async def programme(self, place: str, rundown: str) -> str:
        form = programmes.ProgrammeForm(title=self.name("t"), area=place, starts_on=self.later(), rundown=[rundown])
        return (await self.change(lambda session, ctx: programmes.add_programme(session, ctx, form).value)).id

    async def broadcast(self, *places: str, at: str | None = None) -> str:
        """One to these places; of several the area is the province."""
        bulletin = (await self.bulletin(PROVINCE)).id
        start = InstantMs(self.office.centre.clock.now_ms() + _DAY_MS // 2)
        form = broadcasts.IssueForm(
            bulletins=[bulletin], target_areas=() if at else places, target_nodes=(at,) if at else (), start_at=start
        )
        issued = await self.change(lambda session, ctx: broadcasts.issue_now(session, ctx, form))
        return issued.broadcast_id.hex()

    async def receipt(self, place: str) -> str:
        """One of a node there; the node's name."""
        node = await self.node(place)
        row = {"node": node, "epoch": "00" * 8, "number": 1, "at": 1, "event": 1, "payload": b"", "received_at": 1}
        await self.change(lambda session, _: session.add(ReceiptRow.model_validate(row)))
        return node

    async def token(self, who: SignedIn) -> str:
        """The id of another session of somebody's."""
        made = await self.office.centre.unit_of_work(
            lambda db: accounts.issue_token(
                db, self.office.centre, account=who.name, name="", page_session=True, lasts_ms=accounts.SESSION_MS
            )
        )
        return made.id

    async def secret_begun(self, who: SignedIn) -> str:
        """A secret for codes that was handed out and is not confirmed."""
        centre = self.office.centre
        return await centre.unit_of_work(lambda db: code_keeping.begin_code(db, centre, who.name))


def found(reply: httpx.Response, key: str, value: Any) -> str:
    """A list's letter: whether the thing is in it."""
    if reply.status_code == 200:
        return "y" if value in [item[key] for item in reply.json()["items"]] else "x"
    return letter(reply)


def letter(reply: httpx.Response) -> str:
    """A reply's letter; anything but a success, 403 not_permitted and 404 not_found is no answer."""
    if reply.status_code < 300:
        return "y"
    code = reply.json()["code"]
    known = {(403, "not_permitted"): "n", (404, "not_found"): "x"}
    return known.get((reply.status_code, code), f"{reply.status_code} {code} {reply.text}")
