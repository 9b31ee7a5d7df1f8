"""A small province with fixed keys, for tests and test vectors."""

import hashlib
from dataclasses import dataclass, field, replace

from devices.protocol.alerts import AlertAction, AlertBody
from devices.protocol.approval import approve
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.common import RenditionRef
from devices.protocol.envelope import encode, seal, seal_with
from devices.protocol.judge import Standing
from devices.protocol.keys import SigningKey
from devices.protocol.orders import Order, OrderAction
from devices.protocol.renewal import trust_document
from devices.protocol.trust import Appointment, Power, Revocation, Root, RootSet
from loa.names import AreaPath, node_id
from loa.precedence import Kind, Precedence
from loa.units import ByteCount, Digest, DurationMs, Id16, InstantMs

NOW = InstantMs(1_790_000_000_000)
DAY = 86_400_000
PROVINCE, COMMUNE, VILLAGE = AreaPath("quang-ninh"), AreaPath("quang-ninh/co-to"), AreaPath("quang-ninh/co-to/thon-1")
NODE = node_id("co-to-01")
SERVING = Power.ORDER | Power.DOCUMENTS | Power.PLACEMENT | Power.SERVICE | Power.RENEW


def key_of(name: str) -> SigningKey:
    """The key whose seed is the SHA-256 of a name."""
    return SigningKey(hashlib.sha256(f"loa test key {name}".encode()).digest())


def id_of(name: str) -> Id16:
    return Id16(hashlib.sha256(name.encode()).digest()[:16])


ROOT_KEYS = (key_of("root 1"), key_of("root 2"), key_of("root 3, sealed"))
ROOTS = RootSet(
    version=1,
    roots=tuple(Root(public_key=key.public_key, sealed=number == 2) for number, key in enumerate(ROOT_KEYS)),
    threshold=2,
)
CONTROLLER, NODE_KEY = key_of("controller"), key_of("node")
PERSON, DRILLER = key_of("person"), key_of("driller")
"""Of the commune, each for one kind."""
FIRST, SECOND = key_of("first officer"), key_of("second officer")
"""Of the province, each one half."""


def appointment(holder: str, key: SigningKey, **changes: object) -> Appointment:
    values: dict[str, object] = {
        "id": id_of(f"appointment of {holder}")[:8],
        "holder": holder,
        "public_key": key.public_key,
        "ceiling": Precedence.PRIORITY,
        "area": PROVINCE,
        "kind": Kind.LIVE,
        "not_before": InstantMs(NOW - 30 * DAY),
        "until": InstantMs(NOW + 300 * DAY),
        "powers": int(SERVING),
    }
    return Appointment(**(values | changes))  # type: ignore[arg-type]


def releaser(holder: str, key: SigningKey, **changes: object) -> Appointment:
    """Somebody who approves emergencies, in the whole province unless said otherwise."""
    values: dict[str, object] = {"ceiling": Precedence.EMERGENCY, "powers": int(Power.APPROVE)}
    return appointment(holder, key, **(values | changes))


def by_roots(message: Appointment | Revocation | RootSet, *numbers: int) -> bytes:
    return seal_with(message, [ROOT_KEYS[number] for number in numbers or (0, 1)])


@dataclass
class Centre:
    """Who is appointed; `authority` is what a node makes of it."""

    appointments: list[bytes] = field(default_factory=list)
    revocations: list[bytes] = field(default_factory=list)

    @classmethod
    def usual(cls) -> "Centre":
        person = releaser("person", PERSON, area=COMMUNE, powers=int(Power.ORDER | Power.APPROVE))
        driller = releaser(
            "driller", DRILLER, area=COMMUNE, kind=Kind.DRILL, powers=int(Power.ORDER | Power.APPROVE | Power.DOCUMENTS)
        )
        officers = [releaser("first officer", FIRST), releaser("second officer", SECOND)]
        return cls([by_roots(one) for one in (appointment("controller", CONTROLLER), person, driller, *officers)])

    def document(self, version: int = NOW, now_ms: int = NOW, key: SigningKey = CONTROLLER) -> bytes:
        return trust_document(
            area=PROVINCE,
            version=version,
            now_ms=InstantMs(now_ms),
            key=key,
            appointments=self.appointments,
            revocations=self.revocations,
        )

    def authority(self) -> Authority:
        return accept_trust(self.document(), Authority.pinned(ROOTS), NOW)


USUAL = Centre.usual().authority()


def standing(**changes: object) -> Standing:
    values: dict[str, object] = {"node": NODE, "area": VILLAGE, "authority": USUAL, "now_ms": InstantMs(NOW + 100)}
    return Standing(**(values | changes))  # type: ignore[arg-type]


RENDITION = RenditionRef(
    digest=Digest(hashlib.sha256(b"a rendition").digest()),
    length_bytes=ByteCount(61_440),
    duration_ms=DurationMs(20_000),
)


def order(**changes: object) -> Order:
    values: dict[str, object] = {
        "id": id_of("an order"),
        "action": OrderAction.PLAY,
        "areas": (COMMUNE,),
        "precedence": Precedence.PRIORITY,
        "kind": Kind.LIVE,
        "issued_at": NOW,
        "start_at": InstantMs(NOW + 2_000),
        "expires_at": InstantMs(NOW + 600_000),
        "renditions": (RENDITION,),
    }
    return Order(**(values | changes))  # type: ignore[arg-type]


def sealed_order(key: SigningKey = CONTROLLER, **changes: object) -> bytes:
    return seal(order(**changes), key)


def body_for(order: Order, **changes: object) -> AlertBody:
    """What people would have to approve for this order."""
    is_cancel = order.action is OrderAction.STOP
    values: dict[str, object] = {
        "id": id_of(f"cancel {order.id.hex()}") if is_cancel else order.id,
        "action": AlertAction.CANCEL if is_cancel else AlertAction.RELEASE,
        "kind": order.kind,
        "areas": order.areas,
        "nodes": order.nodes,
        "renditions": tuple(replace(ref, stream_at=None, pace=None) for ref in order.renditions),
        "siren": order.siren,
        "repeats": order.repeats,
        "gap_ms": order.gap_ms,
        "volume": None if is_cancel else order.volume,
        "not_before": min(order.issued_at, order.start_at),
        "expires_at": order.expires_at,
        "references": (order.subject,) if is_cancel else order.replaces,
        "composed_at": order.issued_at,
    }
    return AlertBody(**(values | changes))  # type: ignore[arg-type]


def approved(order: Order, *people: SigningKey, **changes: object) -> Order:
    """The order with a body (that of `body_for`, changed), approved by these people."""
    body = encode(body_for(order, **changes))
    return replace(order, alert_body=body, approvals=tuple(approve(body, person) for person in people))


def emergency(*people: SigningKey, key: SigningKey = CONTROLLER, **changes: object) -> bytes:
    """A sealed emergency, approved by the commune's person unless others are named."""
    return seal(approved(order(precedence=Precedence.EMERGENCY, **changes), *(people or (PERSON,))), key)
