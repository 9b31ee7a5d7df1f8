"""What boxes and technicians ask of a centre about enrolment; and the broker's files, kept in step with the tables."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from sqlmodel import Session

from controller import broker_files
from controller.config import CentreConfig
from controller.events import Events
from controller.keydisk import Ask
from controller.keyfiles import CentreKeys
from controller.sealing import Sealing, sealing_at
from controller.services import broker_logins, enrolments, nodes
from controller.services.context import Changed, Context
from controller.services.enrolments import BrokerForBoxes, Confirmation, Verdict
from controller.wire.transmitter import Transmitter
from devices.protocol.enrolment import Decision, Hello, Question, Welcome
from devices.protocol.envelope import encode
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import Refused
from loa.units import NodeId

T = TypeVar("T")
_log = logging.getLogger("loa.enrolment")
BOX = "box"
"""In whose name a box's own requests are noted: it has no account."""


class CentreWork(Protocol):
    """What the desk rests on; `controller.centre.Centre` is it."""

    @property
    def config(self) -> CentreConfig: ...
    @property
    def keys(self) -> CentreKeys: ...
    @property
    def events(self) -> Events: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def entropy(self) -> Entropy: ...
    @property
    def ask_for_secrets(self) -> Ask | None: ...
    @property
    def transmitter(self) -> Transmitter: ...
    @property
    def broker_url(self) -> str: ...

    def context(self, account: str) -> Context: ...
    async def reading(self, work: Callable[[Session], T]) -> T: ...
    async def do(self, account: str, change: Callable[[Session, Context], Changed[T]]) -> T: ...
    async def aside(self, work: Callable[[], T]) -> T: ...


class EnrolmentDesk:
    """One a centre. Errors are those of `controller.services.enrolments` and `labels`."""

    def __init__(self, centre: CentreWork) -> None:
        self._centre = centre
        self.sealing: Sealing = sealing_at(
            centre.config.keys_folder / "sealing.key", centre.entropy, centre.ask_for_secrets
        )

    def broker_for_boxes(self) -> BrokerForBoxes:
        """Where boxes find the broker: as set, otherwise as the centre itself does, without its password."""
        config = self._centre.config
        if not config.boxes_broker:
            scheme, _, rest = self._centre.broker_url.partition("://")
            return BrokerForBoxes(f"{scheme}://{rest.rpartition('@')[2]}" if rest else "")
        authority = ""
        path = config.boxes_authority or (config.broker_files and config.broker_files / broker_files.AUTHORITY)
        if path and config.boxes_broker.startswith("mqtts://"):
            authority = Path(path).read_text(encoding="ascii")
        return BrokerForBoxes(config.boxes_broker, authority)

    async def begin(self, hello: Hello, mac: bytes, *, origin: str) -> tuple[Welcome, bytes]:
        """As `enrolments.begin`; refusals are counted and told."""
        roots = encode(self._centre.keys.roots)
        try:
            begun = await self._centre.do(
                BOX,
                lambda session, ctx: Changed(
                    enrolments.begin(session, ctx, self.sealing, hello, mac, roots=roots, origin=origin)
                ),
            )
        except Refused as refusal:
            self._refused(refusal, origin)
            raise
        self._centre.events.publish("node", "", enrolment=begun[0].enrolment.hex())
        return begun

    async def answer(self, question: Question, mac: bytes, *, origin: str) -> tuple[Decision, bytes]:
        """As `enrolments.answer`."""
        broker, ctx = await self._centre.aside(self.broker_for_boxes), self._centre.context(BOX)

        def work(session: Session) -> tuple[Decision, bytes, bool]:
            return enrolments.answer(session, ctx, self.sealing, question, mac, broker=broker)

        try:
            decision, said, first = await self._centre.reading(work)
            if first:
                await self._centre.do(BOX, lambda session, _: Changed(work(session)))
        except Refused as refusal:
            self._refused(refusal, origin)
            raise
        return decision, said

    async def confirm(self, enrolment: str, wanted: Confirmation, *, account: str) -> NodeId:
        """As `enrolments.confirm`; the broker lets the node in before this returns.

        Raises Refused(wrong_code) too, which has been counted.
        """
        verdict, node = await self._centre.do(
            account, lambda session, ctx: enrolments.confirm(session, ctx, self.sealing, enrolment, wanted)
        )
        if verdict is not Verdict.CONFIRMED or node is None:
            self._refused(Refused("wrong_code", field="code"), account)
            raise Refused(
                "enrolment_over" if verdict is Verdict.REJECTED else "wrong_code", field="code", state="rejected"
            )
        await self.refresh_broker()
        self._centre.events.publish("node", node, enrolled=True)
        return node

    async def retire(self, node: str, *, account: str) -> None:
        """As `nodes.retire_node`; the wire and the broker know it no more when this returns."""

        def work(session: Session, ctx: Context) -> Changed[None]:
            nodes.retire_node(session, ctx, id=node)
            return Changed(None)

        await self._centre.do(account, work)
        await self._centre.transmitter.registry.refresh_some({node})
        await self.refresh_broker()

    async def new_password(self, username: str, *, account: str) -> str:
        """As `broker_logins.new_password`."""
        password = await self._centre.do(
            account, lambda session, ctx: Changed(broker_logins.new_password(session, ctx, username))
        )
        await self.refresh_broker()
        return password

    async def refresh_broker(self) -> None:
        """Bring mosquitto's files in line with the tables, where `loa broker-config` made some for this centre."""
        folder = self._centre.config.broker_files
        if folder is None or not (folder / broker_files.CONFIGURATION).exists():
            return
        held = await self._centre.reading(broker_logins.logins)

        def write() -> bool:
            return not broker_files.write_logins(folder, held) or broker_files.reload(folder)

        if not await self._centre.aside(write):
            _log.warning("the broker was not reloaded; is it running as our own user, from %s?", folder)

    def _refused(self, refusal: Refused, origin: str) -> None:
        self._centre.transmitter.wire.counters.refused[refusal.code] += 1
        _log.warning("enrolment refused: %s, from %s", refusal, origin)
