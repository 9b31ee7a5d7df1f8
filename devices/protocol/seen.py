"""The ids of orders that a node has obeyed, so that it acts once. Kept at least until the order's expiry,
and an alert's until the end of the window that people approved: the id of its order is its own.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from devices.protocol.approval import remembered_until
from devices.protocol.authority import fingerprint
from devices.protocol.orders import Order
from devices.protocol.refusal import RefusalReason, WireRefusal
from loa.precedence import Precedence
from loa.units import Id16, InstantMs

MAX_SEEN = 10_000
_RECORD = struct.Struct(">16s16sQ")
RECORD_BYTES = _RECORD.size + 4


class Look(Enum):
    """What an order is to the memory of orders."""

    NEW = "new"
    REPEAT = "repeat"
    """The very same bytes."""
    REPLAY = "replay"
    """The same id with other bytes."""


@dataclass(frozen=True)
class SeenOrders:
    """Order ids with the fingerprint of their bytes and their expiry. A value: `adding` gives the next one."""

    entries: Mapping[Id16, tuple[bytes, InstantMs]] = field(default_factory=dict)

    def look(self, order_id: Id16, payload: bytes) -> Look:
        """Whether this payload, an order with this id, was seen."""
        entry = self.entries.get(order_id)
        if entry is None:
            return Look.NEW
        return Look.REPEAT if entry[0] == fingerprint(payload) else Look.REPLAY

    def check_room(self, precedence: Precedence, floor_ms: InstantMs) -> None:
        """Raises WireRefusal(replay) where the memory is full of unexpired orders and this is no emergency."""
        if len(self.entries) < MAX_SEEN or precedence is Precedence.EMERGENCY:
            return
        if sum(expires > floor_ms for _, expires in self.entries.values()) >= MAX_SEEN:
            raise WireRefusal(RefusalReason.REPLAY, "the memory of orders is full: a replay could not be told")

    def adding(self, order: Order, payload: bytes, floor_ms: InstantMs) -> "SeenOrders":
        """With this order in it, and, where it is full, without those whose expiry the floor has passed."""
        entries = dict(self.entries)
        if len(entries) >= MAX_SEEN:
            entries = {one: entry for one, entry in entries.items() if entry[1] > floor_ms}
        entries[order.id] = (fingerprint(payload), remembered_until(order))
        return SeenOrders(MappingProxyType(entries))

    def to_bytes(self) -> bytes:
        """All records, for a fresh file. Appending `record` to it keeps it current."""
        return b"".join(_packed(one, mark, expires) for one, (mark, expires) in self.entries.items())

    @classmethod
    def from_bytes(cls, data: bytes) -> "SeenOrders":
        """From a file of records; a torn tail or a spoiled record is passed over."""
        entries: dict[Id16, tuple[bytes, InstantMs]] = {}
        for at in range(0, len(data) - RECORD_BYTES + 1, RECORD_BYTES):
            body, check = data[at : at + _RECORD.size], data[at + _RECORD.size : at + RECORD_BYTES]
            if zlib.crc32(body).to_bytes(4, "big") == check:
                one, mark, expires = _RECORD.unpack(body)
                entries[Id16(one)] = (mark, InstantMs(expires))
        return cls(MappingProxyType(entries))


def record(order: Order, payload: bytes) -> bytes:
    """The record of one order, to be appended to the file (RECORD_BYTES long)."""
    return _packed(order.id, fingerprint(payload), remembered_until(order))


def _packed(order_id: bytes, mark: bytes, expires_at: int) -> bytes:
    body = _RECORD.pack(order_id, mark, expires_at)
    return body + zlib.crc32(body).to_bytes(4, "big")
