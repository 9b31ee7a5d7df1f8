"""A box that enrols itself against the services, without sockets: its side is the real one, so is the centre's."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from controller.sealing import Sealing
from controller.services import enrolments
from controller.services.enrolments import BrokerForBoxes, Confirmation, EnrolmentView, Verdict
from controller.services.labels import make_labels
from devices.links.https import Body
from devices.node.enrolled import Done, EnrolmentFolder
from devices.node.enrolling import Enrolling
from devices.protocol.enrolment import Hello, Question
from devices.protocol.envelope import encode
from devices.protocol.label import Label, read_label_name, roots_pin
from devices.protocol.trust import Root, RootSet
from loa.units import NodeId
from tests.controller.services.conftest import CountedEntropy, World, node_key

ROOTS = RootSet(version=1, roots=(Root(public_key=node_key("root").public_key, sealed=False),), threshold=1)
BROKER = BrokerForBoxes("mqtts://loa.example.vn:8883", "-----BEGIN…")


@dataclass
class Office:
    """The centre's end, asked as over HTTPS. `tamper` may change what goes to and fro."""

    world: World
    sealing: Sealing = field(default_factory=lambda: Sealing(b"s" * 32))
    roots: bytes = encode(ROOTS)
    asked: list[tuple[str, Body]] = field(default_factory=list)
    tamper: Callable[[str, dict[str, object]], dict[str, object]] = lambda _path, reply: reply

    def post(self, path: str, body: Body) -> Body:
        self.asked.append((path, body))
        return self.tamper(path, dict(self._answer(path, body)))

    def _answer(self, path: str, body: Body) -> Body:
        given = _bytes(body["mac"])
        if path.endswith("/state"):
            question = Question(bytes.fromhex(path.split("/")[-2]), _bytes(body["nonce"]), _bytes(body["fresh"]))
            decision, said, _ = self.world.run(
                lambda session: enrolments.answer(session, self.world.ctx, self.sealing, question, given, broker=BROKER)
            )
            shown = {"node": decision.node, "area": decision.area, "broker": decision.broker}
            return shown | {
                "state": str(decision.state),
                "authority": decision.authority,
                "at": decision.at,
                "mac": _text(said),
            }
        label = read_label_name(str(body["label"]))
        hello = Hello(label, *(_bytes(body[name]) for name in ("public_key", "exchange", "commitment")))
        welcome, said = self.world.run(
            lambda session: enrolments.begin(
                session, self.world.ctx, self.sealing, hello, given, roots=self.roots, origin="192.0.2.7"
            )
        )
        shown = {name: _text(getattr(welcome, name)) for name in ("exchange", "nonce", "roots")}
        return shown | {"enrolment": welcome.enrolment.hex(), "mac": _text(said)}

    def label(self) -> Label:
        made = self.world.run(lambda session: make_labels(session, self.world.ctx, self.sealing))[0]
        return Label(made.id, made.secret, "https://loa.example.vn", None, roots_pin(ROOTS))

    def pending(self) -> EnrolmentView:
        (only,) = self.world.run(lambda session: enrolments.list_enrolments(session, self.world.ctx))
        return only

    def confirm(self, label: Label, wanted: Confirmation) -> tuple[Verdict, NodeId | None]:
        return self.world.run(
            lambda session: enrolments.confirm(session, self.world.ctx, self.sealing, label.name, wanted)
        ).value


class Box:
    """A box's data folder and the code that it shows. Each `step` is a process of its own: nothing is remembered."""

    def __init__(self, folder: Path, office: Office, label: Label, *, seed: int = 0) -> None:
        self.folder, self.office, self.label = EnrolmentFolder(folder), office, label
        self.entropy = CountedEntropy()
        self.entropy.count = (seed + 1) << 32
        self.code: str | None = None

    def enrolling(self) -> Enrolling:
        return Enrolling(
            self.label, self.folder, self.office, self.office.world.clock, self.entropy, tell=self._shown
        )  # fmt: skip

    async def step(self) -> Done | None:
        return await self.enrolling().step()

    def _shown(self, code: str) -> None:
        self.code = code


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: object) -> bytes:
    return base64.b64decode(str(text))
