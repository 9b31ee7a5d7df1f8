"""What a node was told and keeps: trust, placement, documents, orders under way, volume, its session number.

What was accepted once is not judged again after a restart: it runs to its own end, so that an island cut off for
weeks keeps its timetable. What cannot be read any more counts as never received.
"""

import contextlib
import zlib
from dataclasses import dataclass

from devices.node.ports import Storage
from devices.protocol import cbor
from devices.protocol.authority import Authority
from devices.protocol.common import MessageType
from devices.protocol.documents import Placement, Settings, Timetable
from devices.protocol.envelope import open_sealed
from devices.protocol.identity import NodeIdentity
from devices.protocol.journal import framed, unframed
from devices.protocol.judge import Held, HeldDocuments
from devices.protocol.orders import Order
from devices.protocol.record import RecordHead, with_head
from devices.protocol.refusal import Malformed, WireRefusal
from devices.protocol.seen import SeenOrders, record
from loa.errors import Fault
from loa.names import AreaPath
from loa.units import Id16, InstantMs, KeyId, Percent

MAX_STOPS = 256
HEADS = "record"
"""Signed heads of the centre's record, framed, oldest first."""
_SEEN_REWRITE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Kept:
    """An order under way, or a document: as it came, and on whose permission (ids of key, appointment, mandate)."""

    payload: bytes
    basis: tuple[bytes, ...]


class Records:
    """Each change is on the storage when its method returns. Raises Fault(storage_full), session and floor apart."""

    def __init__(self, storage: Storage, identity: NodeIdentity) -> None:
        self._storage = storage
        self._identity = identity
        self.authority = Authority.pinned(identity.roots)
        self.placement: Placement | None = None
        self.timetables: dict[AreaPath, tuple[Timetable, Kept]] = {}
        self.settings: dict[AreaPath, tuple[Settings, Kept]] = {}
        self.seen = SeenOrders()
        self.orders: dict[Id16, tuple[Order, Kept]] = {}
        self.stops: dict[Id16, Order] = {}
        """STOP orders by the broadcast that they end, kept until they expire: it may come later."""
        self.heads: tuple[RecordHead, ...] = ()
        """Of the centre's record, oldest first; none goes back."""
        self._head_payloads: dict[RecordHead, bytes] = {}
        self.volume = Percent(100)
        self.volume_set_at = InstantMs(0)
        """When the order that set it was issued."""
        self.session = 0
        self.floor_ms = InstantMs(0)
        self._floor_written = InstantMs(0)

    def recover(self) -> None:
        self.session = self._number("session", 0)
        volume, set_at = self._numbers("volume", 100, 0)
        self.volume, self.volume_set_at = Percent(min(100, volume)), InstantMs(set_at)
        self.floor_ms = self._floor_written = InstantMs(self._number("floor", 0))
        self.seen = SeenOrders.from_bytes(self._storage.read("seen") or b"")
        trust = self._storage.read("trust")
        if trust is not None:
            try:
                self.authority = Authority.restored(trust, self._identity.roots)
            except WireRefusal:
                self.authority = Authority.pinned(self._identity.roots)
        kept = self._kept("placement")
        placement = _opened(kept.payload) if kept is not None else None
        if isinstance(placement, Placement) and placement.node == self._identity.node:
            self.placement = placement
        self._recover_documents()
        self._recover_orders()
        for payload in unframed(self._storage.read(HEADS) or b"")[0]:
            head = _opened(payload)
            if isinstance(head, RecordHead):
                self.heads = (*self.heads, head)
                self._head_payloads[head] = payload

    def _recover_documents(self) -> None:
        for name in self._storage.names("documents/"):
            kept = self._kept(name)
            message = _opened(kept.payload) if kept else None
            if kept and isinstance(message, Timetable):
                self.timetables[message.area] = (message, kept)
            elif kept and isinstance(message, Settings):
                self.settings[message.area] = (message, kept)
            else:
                self._storage.delete(name)

    def _recover_orders(self) -> None:
        for name in [*self._storage.names("orders/"), *self._storage.names("stops/")]:
            kept = self._kept(name)
            order = _opened(kept.payload) if kept else None
            if kept is None or not isinstance(order, Order):
                self._storage.delete(name)
            elif name.startswith("orders/"):
                self.orders[order.id] = (order, kept)
            elif order.subject is not None:
                self.stops[order.subject] = order

    def _kept(self, name: str) -> Kept | None:
        try:
            match cbor.loads(self._storage.read(name) or b"", max_bytes=2 * 1024 * 1024):
                case [bytes(payload), list(basis), int(check)] if all(isinstance(one, bytes) for one in basis):
                    kept = Kept(payload, tuple(bytes(one) for one in basis if isinstance(one, bytes)))
                    return kept if check == _check(kept) else None
        except Malformed:
            pass
        return None

    def _number(self, name: str, otherwise: int) -> int:
        """With a checksum: a floor that a worn card made a year too late would shut out everything."""
        return self._numbers(name, otherwise)[0]

    def _numbers(self, name: str, *otherwise: int) -> list[int]:
        bodies, _ = unframed(self._storage.read(name) or b"")
        found = [int.from_bytes(body, "big") for body in bodies[: len(otherwise)]]
        return [*found, *otherwise[len(found) :]]

    def _set_number(self, name: str, *values: int) -> None:
        self._storage.write(name, b"".join(framed(value.to_bytes(8, "big")) for value in values))

    # Changes

    def next_session(self) -> int:
        self.session = (self.session + 1) % (1 << 32)
        with contextlib.suppress(Fault):
            self._set_number("session", self.session)
        return self.session

    def raise_floor(self, instant: InstantMs, *, at_least_ms: int = 0) -> None:
        """A signed instant was taken. Written where it is that much newer than what is on the storage."""
        self.floor_ms = max(self.floor_ms, instant)
        if self.floor_ms > self._floor_written + at_least_ms:
            with contextlib.suppress(Fault):
                self._set_number("floor", self.floor_ms)
            self._floor_written = self.floor_ms

    def set_volume(self, volume: Percent, issued_at: InstantMs) -> None:
        self._set_number("volume", volume, issued_at)
        self.volume, self.volume_set_at = volume, issued_at

    def set_authority(self, authority: Authority) -> None:
        self._storage.write("trust", authority.kept())
        self.authority = authority

    def set_placement(self, placement: Placement, payload: bytes) -> None:
        """Documents of areas that the node has left go with its old place."""
        self._storage.write("placement", _packed(Kept(payload, ())))
        self.placement = placement
        for held in (self.timetables, self.settings):
            for area in [one for one in held if not one.covers(placement.area)]:
                del held[area]
                for kind in ("timetable", "settings"):
                    self._storage.delete(_document_name(kind, area))

    def set_document(self, document: Timetable | Settings, kept: Kept) -> None:
        kind = "timetable" if isinstance(document, Timetable) else "settings"
        self._storage.write(_document_name(kind, document.area), _packed(kept))
        if isinstance(document, Timetable):
            self.timetables[document.area] = (document, kept)
        else:
            self.settings[document.area] = (document, kept)

    def keep_head(self, head: RecordHead, payload: bytes) -> None:
        """As it was signed, so that an auditor with this box in hand can show it."""
        heads = with_head(head, self.heads)
        payloads = {one: payload if one == head else self._head_payloads[one] for one in heads}
        self._storage.write(HEADS, b"".join(map(framed, payloads.values())))
        self.heads, self._head_payloads = heads, payloads

    def remember_order(self, order: Order, payload: bytes) -> None:
        """So that it is obeyed once."""
        before = len(self.seen.entries)
        self.seen = self.seen.adding(order, payload, self.floor_ms)
        if len(self.seen.entries) <= before or self._storage.size("seen") > _SEEN_REWRITE_BYTES:
            self._storage.write("seen", self.seen.to_bytes())
        else:
            self._storage.append("seen", record(order, payload))

    def keep_order(self, order: Order, kept: Kept) -> None:
        """While it is under way: a restart before its start does not lose it."""
        self._storage.write(f"orders/{order.id.hex()}", _packed(kept))
        self.orders[order.id] = (order, kept)

    def forget_order(self, order_id: Id16) -> None:
        if self.orders.pop(order_id, None) is not None:
            self._storage.delete(f"orders/{order_id.hex()}")

    def keep_stop(self, order: Order, kept: Kept) -> None:
        assert order.subject is not None
        held = self.stops.get(order.subject)
        if held is not None and held.precedence > order.precedence:
            return
        for subject in [one for one, stop in self.stops.items() if stop.expires_at <= self.floor_ms]:
            self._forget_stop(subject)
        while len(self.stops) >= MAX_STOPS:
            self._forget_stop(min(self.stops, key=lambda one: (self.stops[one].precedence, self.stops[one].issued_at)))
        self._storage.write(f"stops/{order.subject.hex()}", _packed(kept))
        self.stops[order.subject] = order

    def _forget_stop(self, subject: Id16) -> None:
        del self.stops[subject]
        self._storage.delete(f"stops/{subject.hex()}")

    # Asking

    @property
    def area(self) -> AreaPath | None:
        return self.placement.area if self.placement is not None else None

    @property
    def held_documents(self) -> HeldDocuments:
        held = {(MessageType.TIMETABLE, a): Held.of(d.version, k.payload) for a, (d, k) in self.timetables.items()}
        held.update({(MessageType.SETTINGS, a): Held.of(d.version, k.payload) for a, (d, k) in self.settings.items()})
        return held

    @property
    def timetable_issuer(self) -> KeyId | None:
        newest = max(self.timetables.values(), key=lambda pair: pair[0].issued_at, default=None)
        return KeyId(newest[1].basis[0]) if newest is not None and newest[1].basis else None


def _document_name(kind: str, area: AreaPath) -> str:
    return f"documents/{kind}.{area.replace('/', '.')}"


def _packed(kept: Kept) -> bytes:
    return cbor.dumps([kept.payload, list(kept.basis), _check(kept)])


def _check(kept: Kept) -> int:
    """What was accepted is not judged again, so what a worn card changed must be told in another way."""
    return zlib.crc32(b"".join(kept.basis), zlib.crc32(kept.payload))


def _opened(payload: bytes) -> object:
    try:
        return open_sealed(payload).message
    except WireRefusal:
        return None
