"""Somebody who means harm: on the broker, with keys of others; and how it is measured what came of it."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from sqlmodel import Session, select

from controller.services.broadcasts import targeted_nodes
from controller.tables import Broadcast
from devices.links.loopback import LoopbackLink
from devices.links.port import Delivery
from devices.protocol.alerts import AlertAction, AlertBody
from devices.protocol.approval import approve
from devices.protocol.envelope import encode, open_sealed, seal
from devices.protocol.keys import SigningKey
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason, WireRefusal
from loa.cli.simulation.province import Province
from loa.cli.simulation.tried import Tried
from loa.cli.simulation.world import World
from loa.entropy import new_id
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import Id16, InstantMs
from simulators.world.box import Box
from simulators.world.boxes import Sounding
from simulators.world.held import Published

TOLERANCE_MS = 2_000
RECALL_MS = 60_000
"""A recall that the centre took is at every box that listens by then; what begins later is nobody's wish."""


class Tap:
    """A link of its own on the broker, which remembers what goes by and can say it again."""

    def __init__(self, world: World, *topics: str) -> None:
        self._world, self._topics = world, topics
        self._link = LoopbackLink(world.province.broker)
        self.caught: list[Delivery] = []
        self.sent = 0

    async def start(self) -> None:
        self._link.listen(self._topics)
        await self._link.start(self)
        await self._world.passes(1)
        self._world.province.trouble("attacker", "is on the broker")

    async def stop(self) -> None:
        await self._link.stop()

    def link_up(self) -> None:
        """Nothing to do."""

    def link_down(self, reason: str) -> None:
        """Nothing to do."""

    def delivered(self, delivery: Delivery) -> None:
        self.caught.append(delivery)

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.sent += 1
        self._link.publish(topic, payload, qos=1, retain=retain)

    def replay(self, *, times: int = 1) -> None:
        """Everything caught so far, in order, that often."""
        caught = list(self.caught)
        for one in caught:
            for _ in range(times):
                self.say(one.topic, one.payload)
        self._world.province.trouble("attacker", f"says {len(caught)} messages again, {times} times")

    def orders(self) -> list[Order]:
        """Those among what was caught, each once."""
        found: dict[Id16, Order] = {}
        for one in self.caught:
            try:
                message = open_sealed(one.payload).message
            except WireRefusal:
                continue
            if isinstance(message, Order):
                found[message.id] = message
        return list(found.values())


class KeptBack:
    """A grip on the broker that keeps back what `which` picks, until it is let go."""

    def __init__(self, world: World, which: Callable[[Published], bool]) -> None:
        self._world, self._which = world, which
        self.messages: list[Published] = []
        world.province.trouble("attacker", "keeps messages back")
        world.province.broker.grip = self._grip

    def _grip(self, one: Published) -> Iterable[Published]:
        if not self._which(one):
            return (one,)
        self.messages.append(one)
        return ()

    def let_go(self, *, say: bool = True) -> None:
        """From now on the broker is honest; what was kept back is said now, or never."""
        broker = self._world.province.broker
        broker.grip = None
        for one in self.messages if say else ():
            broker.slip(one)


class Attack:
    """One way of attacking, from its beginning to `over`: attempts, what was counted, what sounded."""

    def __init__(self, world: World, tap: Tap, name: str, hands: str) -> None:
        self._world, self.tap = world, tap
        self.name, self.hands = name, hands
        self._sent, self._began = tap.sent, world.now()
        self._before = counts(world.province)
        self._spoilt_ms = 0
        self._chance = world.province.chance.named(f"attacker {name}")
        world.province.trouble("attacker", f"begins: {name}")

    def order_like(self, order: Order, **changes: object) -> Order:
        """A fresh order of that kind, for now; not changed where `changes` says otherwise."""
        now = self._world.now()
        fresh = replace(
            order, id=self.new_id(), issued_at=now, start_at=now, expires_at=InstantMs(now + 600_000), replaces=()
        )
        return replace(fresh, **changes)  # type: ignore[arg-type]

    def new_id(self) -> Id16:
        return new_id(self._chance.entropy())

    def new_key(self) -> SigningKey:
        """Of somebody whom nobody appointed."""
        return SigningKey(self._chance.random.randbytes(32))

    async def heard_with(self, topic: str, order: Order, key: SigningKey, box: Box, *, within_s: float = 30.0) -> bool:
        """The control: whether this very order, signed by the right key, is heard."""
        label = order.id.hex()
        self._world.province.ledger.controls.add(label)
        self.tap.say(topic, seal(order, key))
        self.tap.sent -= 1
        return await self._world.until(lambda: bool(self._world.heard(box, label)), within_s=within_s)

    def must_be_silent(self, box: Box, label: str, otherwise: str) -> None:
        """Somebody ordered it, and yet nothing of it may have sounded there by now."""
        heard = [one for one in self._world.heard(box, label) if (one.ended_ms or self._world.now()) > self._began]
        self._spoilt_ms += sum((one.ended_ms or self._world.now()) - max(one.began_ms, self._began) for one in heard)
        self._world.must("I1", box.name, not heard, otherwise)

    def counted(self, *reasons: RefusalReason | str) -> int:
        """Refusals since it began; of these reasons, where any is named."""
        fresh = counts(self._world.province) - self._before
        names = {one.code if isinstance(one, RefusalReason) else one for one in reasons}
        return sum(count for name, count in fresh.items() if not names or name in names)

    def over(self, *, heard: bool, attempts: int | None = None, seen_as: str = "", counted: int | None = None) -> Tried:
        """Note what came of it. attempts: messages that the tap said since, where none are given."""
        world, fresh = self._world, counts(self._world.province) - self._before
        tried = Tried(
            self.name,
            self.hands,
            self.tap.sent - self._sent if attempts is None else attempts,
            sum(fresh.values()) if counted is None else counted,
            seen_as or ", ".join(f"{name} {count}" for name, count in sorted(fresh.items())) or "nothing",
            unauthorised_s(world.province, self._began) + self._spoilt_ms / 1000,
            heard,
        )
        world.tried.append(tried)
        world.must("I1", "boxes", tried.unauthorised_s == 0, f"{tried.unauthorised_s} s of {self.name}")
        world.must("counted", "boxes", tried.attempts > 0, f"{self.name} was not tried")
        world.must("counted", "boxes", tried.counted >= tried.attempts, f"{tried} was not counted each time")
        world.must("control", "boxes", heard, f"{self.name}: with the right keys nothing was heard either")
        return tried


def counts(province: Province) -> Counter[str]:
    """What boxes and the centre have refused or remarked since each was started, by reason."""
    found: Counter[str] = Counter()
    for box in province.boxes.values():
        if box.node is not None:
            status = box.node.status()
            found.update({reason.code: count for reason, count in status.refusals.items()})
            found["repeats"] += status.repeats
    if province.centre is not None:
        counters = province.centre.transmitter.wire.counters
        found.update({f"centre {reason}": count for reason, count in counters.refused.items()})
    return found


def refusals(world: World) -> int:
    """What the boxes have refused so far."""
    return sum(
        sum(box.node.status().refusals.values()) for box in world.province.boxes.values() if box.node is not None
    )


def unauthorised_s(province: Province, since: InstantMs) -> float:
    """Seconds since then of sound that nothing explains: ordered by nobody or for others, early, over or recalled."""
    assert province.centre is not None
    return province.centre.db.read(lambda session: _unexplained(session, province, since)) / 1000


def _unexplained(session: Session, province: Province, since: InstantMs) -> float:
    rows = {row.id: row for row in session.exec(select(Broadcast))}
    meant = {name: frozenset(map(str, targeted_nodes(session, row))) for name, row in rows.items()}
    ledger, now = province.ledger, province.clock.now_ms()
    total = 0.0
    for box in province.boxes.values():
        if box.name in ledger.stolen:
            continue
        for one in box.soundings:
            began, ended = max(one.began_ms, since), one.ended_ms if one.ended_ms is not None else now
            if ended <= began or one.label in ledger.controls:
                continue
            row = rows.get(one.label)
            mine = row is not None and box.name in meant[one.label]
            total += _beyond(province, row, one, began, ended) if row is not None and mine else ended - began
    return total


def _beyond(province: Province, row: Broadcast, one: Sounding, began: int, ended: int) -> float:
    """Of a sound that somebody ordered for this box: what lies outside its window, or was begun after its recall."""
    ledger = province.ledger
    recalled = ledger.recalled.get(row.id)
    if recalled is not None and one.began_ms > recalled + RECALL_MS:
        return ended - began
    early = max(0, min(ended, row.start_at - ledger.early_ms) - began)
    last = row.expires_at + TOLERANCE_MS
    late = max(0, ended - max(began, last)) if row.precedence == Precedence.EMERGENCY or one.began_ms > last else 0
    return early + late


def order_topic(area: str) -> str:
    return f"loa/1/a/{AreaPath(area)}/order"


def node_topic(box: Box, channel: str = "order") -> str:
    return f"loa/1/n/{box.name}/{channel}"


def approved(order: Order, *people: SigningKey, **changes: object) -> Order:
    """The order with a body that fits it, or one changed like this, approved by these people."""
    is_cancel = order.action is OrderAction.STOP
    values: dict[str, object] = {
        "id": order.id,
        "action": AlertAction.CANCEL if is_cancel else AlertAction.RELEASE,
        "kind": order.kind,
        "areas": order.areas,
        "nodes": order.nodes,
        "renditions": tuple(replace(ref, stream_at=None, pace=None) for ref in order.renditions),
        "siren": order.siren,
        "repeats": order.repeats,
        "gap_ms": order.gap_ms,
        "not_before": min(order.issued_at, order.start_at),
        "expires_at": order.expires_at,
        "references": (order.subject,) if is_cancel else order.replaces,
        "composed_at": order.issued_at,
    }
    body = encode(AlertBody(**(values | changes)))  # type: ignore[arg-type]
    return replace(order, alert_body=body, approvals=tuple(approve(body, person) for person in people))
