"""What thin clients do where counting is not enough: sign health and receipts, or take audio in as a node does."""

import time
from dataclasses import dataclass
from typing import Any

from benchmarks.crowd import Part, ThinClient
from benchmarks.province import EPOCH, LINK_RATE, PROVINCE, node_key
from devices.protocol.documents import Settings
from devices.protocol.envelope import Sealed, decode, open_any, seal
from devices.protocol.intake import Intake, Need
from devices.protocol.media import Piece
from devices.protocol.orders import Order
from devices.protocol.reports import (
    Acknowledgement,
    AreaVersion,
    Health,
    Presence,
    PresenceState,
    Receipt,
    ReceiptEvent,
)
from devices.protocol.topics import UpChannel, stream_topic, up_topic
from devices.protocol.trust import Trust
from loa.entropy import system_entropy
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import ByteCount, Digest, Id16, InstantMs, NodeId

_COALESCE_S = 0.5


def now_ms() -> InstantMs:
    return InstantMs(round(time.time() * 1000))


@dataclass(frozen=True)
class TakesIn:
    """Options of `IntakePart`: what it should hold."""

    digest: Digest
    length: int
    pace: float
    rate: float
    """The link's rate, which decides whether the stream is joined."""


class IntakePart(Part):
    """The node's own intake over a thin client: joins the stream, asks for what it lacks, checks every block."""

    def __init__(self, client: ThinClient, options: TakesIn) -> None:
        super().__init__(client, options)
        self.node = NodeId(client.plan.name)
        self.intake = Intake(self.node, entropy=system_entropy, nominal_rate=options.rate)
        self.intake.on_link(False, time.monotonic())
        self._stream = stream_topic(options.digest)
        self._from_stream: set[int] = set()
        self._streamed = 0

    def up(self) -> None:
        self.intake.on_link(True, time.monotonic())
        self._ask()

    def told(self, value: InstantMs) -> None:
        """When the stream is to begin, as a timetable would say it."""
        wants = self.options
        self.intake.set_needs([Need(wants.digest, wants.length, Precedence.ORDINARY, None, value, wants.pace)])
        self._ask()

    def down(self) -> None:
        self.intake.on_link(False, time.monotonic())

    def arrived(self, topic: str, payload: bytes) -> None:
        now = time.monotonic()
        message = decode(payload)
        if isinstance(message, Piece):
            if topic == self._stream and message.offset not in self._from_stream:
                self._from_stream.add(message.offset)
                self._streamed += len(message.data)
            self.intake.on_piece(message, now)
        else:
            self.intake.on_manifest(payload, now)
        self._ask()

    def turn(self, now_s: float) -> None:  # noqa: ARG002
        self._ask()

    def _ask(self) -> None:
        for want in self.intake.wants(time.monotonic(), now_ms()):
            self.client.publish(up_topic(self.node, UpChannel.WANT), seal(want, node_key(self.node)))
        self.due_s = self.intake.next_at_s()

    def figures(self) -> dict[str, float]:
        return {
            "complete": self.intake.complete(self.options.digest),
            "missed_bytes": self.options.length - self._streamed,
            "asked_bytes": self.intake.traffic.asked,
            "wasted_bytes": self.intake.traffic.wasted,
        }


@dataclass(frozen=True)
class Speaks:
    """Options of `SpeakingPart`."""

    area: AreaPath
    receipts: int = 0
    """In its journal, not acknowledged yet."""
    awaits: Id16 | None = None
    """An order that it must be given."""
    health_every_s: float = 0.0


class SpeakingPart(Part):
    """Signs presence, health and receipts, and takes note of what the centre tells it: a node without a loudspeaker."""

    def __init__(self, client: ThinClient, options: Speaks) -> None:
        super().__init__(client, options)
        self.node, self.key = NodeId(client.plan.name), node_key(client.plan.name)
        self.session = 1
        self.trust_version = self.settings_version = 0
        self.acknowledged = 0
        self.receipts: list[bytes] = []
        self.has_order = options.awaits is None
        self._began_s = time.monotonic()
        for _ in range(options.receipts):
            self._note(ReceiptEvent.BOOTED, None)

    def up(self) -> None:
        self.session += 1
        presence = Presence(node=self.node, session=self.session, state=PresenceState.ONLINE)
        self._say(UpChannel.PRESENCE, seal(presence, self.key), retain=True)
        self._health()
        for receipt in self.receipts[self.acknowledged :]:
            self._say(UpChannel.RECEIPT, receipt)

    def arrived(self, topic: str, payload: bytes) -> None:  # noqa: ARG002
        opened = open_any(payload)
        message: Any = opened.message if isinstance(opened, Sealed) else opened
        if isinstance(message, Acknowledgement):
            self.acknowledged = max(self.acknowledged, message.number)
        elif isinstance(message, Order):
            if message.id == self.options.awaits and not self.has_order:
                self.has_order = True
                self._say(UpChannel.RECEIPT, self._note(ReceiptEvent.RECEIVED, message.id))
        elif isinstance(message, Trust):
            self.trust_version = max(self.trust_version, message.version)
            self._soon()
        elif isinstance(message, Settings):
            self.settings_version = max(self.settings_version, message.version)
            self._soon()

    def turn(self, now_s: float) -> None:  # noqa: ARG002
        self._health()

    def figures(self) -> dict[str, float]:
        told = self.acknowledged >= len(self.receipts) and self.has_order
        return {"reconciled": told and min(self.trust_version, self.settings_version) > 0}

    def _soon(self) -> None:
        self.due_s = time.monotonic() + _COALESCE_S

    def _note(self, event: ReceiptEvent, subject: Id16 | None) -> bytes:
        receipt = Receipt(
            node=self.node, epoch=EPOCH, number=len(self.receipts) + 1, at=now_ms(), event=event, subject=subject
        )
        self.receipts.append(seal(receipt, self.key))
        return self.receipts[-1]

    def _health(self) -> None:
        area = AreaPath(PROVINCE)
        settings = (AreaVersion(area=area, version=self.settings_version),) if self.settings_version else ()
        health = Health(
            node=self.node, session=self.session, at=now_ms(), uptime_s=round(time.monotonic() - self._began_s),
            trust_version=self.trust_version, placement_version=1 << 50, settings=settings, epoch=EPOCH,
            last_number=len(self.receipts), acknowledged=self.acknowledged, link_rate=LINK_RATE,
            free_bytes=ByteCount(1 << 30),
        )  # fmt: skip
        self._say(UpChannel.HEALTH, seal(health, self.key))
        every_s = self.options.health_every_s
        self.due_s = time.monotonic() + every_s if every_s else None

    def _say(self, channel: UpChannel, payload: bytes, *, retain: bool = False) -> None:
        self.client.publish(up_topic(self.node, channel), payload, 1, retain=retain)
