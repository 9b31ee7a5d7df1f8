"""The record as values: entries that each name the one before by its hash. No tables, no clock.

Form ``loa-record-1``: an entry is a CBOR map (RFC 8949 core deterministic) with the integer keys below, a field at its
default left out; its hash is SHA-256 over the form's name and that map. The first entry names 32 zero bytes.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from devices.protocol import cbor, common
from devices.protocol.fields import blob, many, nested, text, to_map, uint, wire
from devices.protocol.record import HeadMark
from loa.units import InstantMs

FORM = "loa-record-1"
NO_HASH = bytes(32)
DETAIL_CHARACTERS = 500
MOST_KEYS = 16
FORKING = frozenset({"restore", "fork"})
"""Verbs of entries from which on the record is another branch."""


@dataclass(frozen=True, kw_only=True)
class OutcomeCount:
    outcome: str = wire(1, text(32))
    """As coverage has it: finished, stopped, skipped, waiting …"""
    nodes: int = wire(2, uint(32))


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Where a broadcast was heard: what coverage said, and the receipts that say so."""

    outcomes: tuple[OutcomeCount, ...] = wire(1, many(nested(OutcomeCount), 16), default=())
    """Nodes by outcome, sorted by its name."""
    receipts: int = wire(2, uint(32), default=0)
    digest: bytes = wire(3, blob(32))
    """SHA-256 over node, epoch, number and payload hash of each receipt, sorted: see `receipts_digest`."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that made or could make sound, or says what became of it."""

    number: int = wire(1, uint())
    at: InstantMs = wire(2, common.instant())
    account: str = wire(3, text(64))
    """A person's account, ``loa`` for the controller itself, ``roots`` for who holds the roots."""
    verb: str = wire(4, text(64))
    object_kind: str = wire(5, text(64))
    object_id: str = wire(6, text(200))
    previous: bytes = wire(7, blob(32))
    detail: str = wire(8, text(DETAIL_CHARACTERS), default="")
    origin: str = wire(9, text(100), default="")
    """From where: an address, ``local`` for the machine itself."""
    key: bytes = wire(10, blob(0, 8 * MOST_KEYS), default=b"")
    """Ids of the keys under which it went out, 8 bytes each: the controller's, the approvers', the roots'."""
    forks: int = wire(11, uint(32), default=0)
    """How often the record had gone on from a restored backup, this entry counted."""
    heard: Heard | None = wire(12, nested(Heard), default=None)
    known: HeadMark | None = wire(13, nested(HeadMark), default=None)
    """Of a fork: the head of the lost branch, as a node was told it."""

    @property
    def place(self) -> tuple[int, int]:
        return self.forks, self.number


def entry_bytes(entry: Entry) -> bytes:
    """The canonical form of an entry."""
    return cbor.dumps_in_order(to_map(entry))


def entry_hash(entry: Entry) -> bytes:
    """What the next entry names."""
    return hashlib.sha256(FORM.encode() + entry_bytes(entry)).digest()


def receipts_digest(receipts: Iterable[tuple[str, str, int, bytes]]) -> bytes:
    """SHA-256 over (node, epoch in hex, number, signed payload) of receipts, sorted by the first three."""
    whole = hashlib.sha256()
    for node, epoch, number, payload in sorted(receipts, key=lambda one: one[:3]):
        line = [node, bytes.fromhex(epoch), number, hashlib.sha256(payload).digest()]
        whole.update(cbor.dumps_in_order(line))
    return whole.digest()
