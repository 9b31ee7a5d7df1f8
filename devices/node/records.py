"""What a node was told and keeps: trust, placement, documents, orders under way, volume, its session number.

What was accepted once is not judged again after a restart: it runs to its own end, so that an island cut off for
weeks keeps its timetable. What cannot be read any more counts as never received.
"""

import contextlib
import zlib
from dataclasses import dataclass

from devices.node.limits import narrowest
from devices.node.ports import Storage
from devices.protocol import cbor
from devices.protocol.approval import ends_until
from devices.protocol.authority import Authority
from devices.protocol.common import MessageType
from devices.protocol.documents import Placement, Settings, Timetable
from devices.protocol.envelope import open_sealed
from devices.protocol.identity import NodeIdentity
from devices.protocol.journal import framed, unframed
from devices.protocol.judge import Held, HeldDocuments
from devices.protocol.orders import Order
from devices.protocol.record import HeadMark, RecordHead, marks_told, with_head
from devices.protocol.refusal import Malformed, WireRefusal
from devices.protocol.seen import SeenOrders, record
from loa.errors import Fault, Refused
from loa.names import AreaPath
from loa.units import Id16, InstantMs, KeyId, Percent

MAX_ENDED = 256
MAX_ENDINGS = 8
"""Of one broadcast: a narrow cancel must not push out a wide one."""
HEADS = "record"
"""Signed heads of the centre's record, framed, oldest first."""
_SEEN_REWRITE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Kept:
    """An order under way, or a document: as it came, and on whose permission (ids of keys, appointments, mandates)."""

    payload: bytes
    basis: tuple[bytes, ...]
    reach: tuple[AreaPath, ...] = ()
    """Of what people approved: the areas that they were appointed to when it was accepted."""


class Records:
    """Each change is on the storage when its method returns. Raises Fault(storage_full), session and floor apart."""

    def __init__(self, storage: Storage, identity: NodeIdentity) -> None:
        self._storage = storage
        self._identity = identity
        self.authority = Authority.pinned(identity.roots)
        self.placement: Placement | None = None
        self.timetables: dict[AreaPath, tuple[Timetable, Kept]] = {}
        self.settings: dict[AreaPath, tuple[Settings, Kept]] = {}
        self.settings_here: Settings | None = None
        """Those of them that hold at this place."""
        self.seen = SeenOrders()
        self.orders: dict[Id16, tuple[Order, Kept]] = {}
        self.endings: dict[Id16, tuple[tuple[Order, Kept], ...]] = {}
        """STOP orders and updates by the broadcast that they end, kept until they expire: it may come later."""
        self.heads: tuple[RecordHead, ...] = ()
        """Of the centre's record, oldest first; none goes back."""
        self.marks: tuple[HeadMark, ...] = ()
        """Those of them that health tells."""
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
        self._floor_written = InstantMs(self._number("floor", 0))
        self.floor_ms = InstantMs(max(self._floor_written, self._identity.pinned_at))
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
        self.marks = marks_told(self.heads)

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
        self._look_what_holds()

    def _recover_orders(self) -> None:
        for name in [*self._storage.names("orders/"), *self._storage.names("stops/")]:
            kept = self._kept(name)
            order = _opened(kept.payload) if kept else None
            if kept is None or not isinstance(order, Order):
                self._storage.delete(name)
            elif name.startswith("orders/"):
                self.orders[order.id] = (order, kept)
            else:
                for subject in (order.subject,) if order.subject is not None else order.replaces:
                    self.endings[subject] = _with(self.endings.get(subject, ()), order, kept)

    def _kept(self, name: str) -> Kept | None:
        try:
            match cbor.loads(self._storage.read(name) or b"", max_bytes=2 * 1024 * 1024):
                case [bytes(payload), list(basis), *reach, int(check)]:
                    areas = tuple(AreaPath(one) for one in reach if isinstance(one, str))
                    kept = Kept(payload, tuple(one for one in basis if isinstance(one, bytes)), areas)
                    return kept if check == _check(kept) else None
        except (Malformed, Refused):
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
        self._look_what_holds()
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
            self._look_what_holds()

    def _look_what_holds(self) -> None:
        self.settings_here = narrowest((one for one, _ in self.settings.values()), self.area)

    def keep_head(self, head: RecordHead, payload: bytes) -> None:
        """As it was signed, so that an auditor with this box in hand can show it."""
        heads = with_head(head, self.heads)
        payloads = {one: payload if one == head else self._head_payloads[one] for one in heads}
        self._storage.write(HEADS, b"".join(map(framed, payloads.values())))
        self.heads, self._head_payloads, self.marks = heads, payloads, marks_told(heads)

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

    def keep_ending(self, subject: Id16, order: Order, kept: Kept) -> None:
        """A STOP of a broadcast, or an update of an alert: it may come later."""
        for one in [one for one, held in self.endings.items() if all(_over(it, self.floor_ms) for it, _ in held)]:
            self._forget_endings(one)
        while len(self.endings) >= MAX_ENDED and subject not in self.endings:
            self._forget_endings(min(self.endings, key=lambda one: max(map(_weight, self.endings[one]))))
        before = self.endings.get(subject, ())
        after = _with(before, order, kept)
        self._storage.write(_ending_name(subject, order.id), _packed(kept))
        self.endings[subject] = after
        for gone in {it.id for it, _ in before} - {it.id for it, _ in after}:
            self._storage.delete(_ending_name(subject, gone))

    def _forget_endings(self, subject: Id16) -> None:
        for order, _ in self.endings.pop(subject):
            self._storage.delete(_ending_name(subject, order.id))

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


def _ending_name(subject: Id16, order_id: Id16) -> str:
    return f"stops/{subject.hex()}.{order_id.hex()}"


def _with(held: tuple[tuple[Order, Kept], ...], order: Order, kept: Kept) -> tuple[tuple[Order, Kept], ...]:
    """With one more; of too many, those of least weight go."""
    others = [pair for pair in held if pair[0].id != order.id]
    return tuple(sorted([*others, (order, kept)], key=_weight)[-MAX_ENDINGS:])


def _weight(pair: tuple[Order, Kept]) -> tuple[int, int, int]:
    order, kept = pair
    return int(order.precedence), -min((len(area.codes) for area in kept.reach), default=9), order.issued_at


def _over(order: Order, floor_ms: InstantMs) -> bool:
    return ends_until(order) <= floor_ms


def _packed(kept: Kept) -> bytes:
    return cbor.dumps([kept.payload, list(kept.basis), *(str(area) for area in kept.reach), _check(kept)])


def _check(kept: Kept) -> int:
    """What was accepted is not judged again, so what a worn card changed must be told in another way."""
    return zlib.crc32("|".join(kept.reach).encode(), zlib.crc32(b"".join(kept.basis), zlib.crc32(kept.payload)))


def _opened(payload: bytes) -> object:
    try:
        return open_sealed(payload).message
    except WireRefusal:
        return None
