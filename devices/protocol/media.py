"""Audio on the wire: manifest, want, piece; the exchange of clocks; the live segment's reserved place."""

import hashlib
from dataclasses import dataclass

from devices.protocol import common
from devices.protocol.common import BLOCK_BYTES, MAX_RENDITION_BYTES
from devices.protocol.fields import blob, flag, many, nested, sint, text, uint, wire
from devices.protocol.refusal import Malformed
from loa.units import ByteCount, Digest, DurationMs, InstantMs, NodeId


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a rendition consists of. The SHA-256 of its encoded map is the rendition's name; it needs no signature."""

    codec: str = wire(3, text(16), default="opus")
    """``opus``: an Ogg Opus file (RFC 7845)."""
    length_bytes: ByteCount = wire(4, uint(32))
    block_bytes: ByteCount = wire(5, uint(16), default=ByteCount(BLOCK_BYTES))
    duration_ms: DurationMs = wire(6, common.duration())
    loudness_centi_lufs: int = wire(7, sint(16), default=0)
    """Of the decoded rendition, 1/100 LUFS; 0 where it was levelled by peak."""
    peak_centi_db: int = wire(8, sint(16), default=0)
    """True peak of the decoded rendition, 1/100 dBTP."""
    block_hashes: bytes = wire(9, blob(32, MAX_RENDITION_BYTES // BLOCK_BYTES * 32))
    """SHA-256 of each block, one after another; the last block may be short."""

    def __post_init__(self) -> None:
        if not 0 < self.length_bytes <= MAX_RENDITION_BYTES:
            raise Malformed(f"a rendition is 1 to {MAX_RENDITION_BYTES} bytes")
        if self.block_bytes != BLOCK_BYTES:
            raise Malformed(f"blocks are {BLOCK_BYTES} bytes")
        if len(self.block_hashes) != 32 * self.block_count:
            raise Malformed("as many hashes as blocks")

    @property
    def block_count(self) -> int:
        return -(-self.length_bytes // self.block_bytes)

    def block_length(self, index: int) -> int:
        """Bytes in block `index`."""
        return min(self.block_bytes, self.length_bytes - index * self.block_bytes)

    def block_hash(self, index: int) -> bytes:
        return self.block_hashes[32 * index : 32 * index + 32]

    def block_holds(self, index: int, data: bytes) -> bool:
        """Whether `data` is block `index`."""
        return (
            0 <= index < self.block_count
            and len(data) == self.block_length(index)
            and hashlib.sha256(data).digest() == self.block_hash(index)
        )


def manifest_for(
    file: bytes, *, duration_ms: DurationMs, loudness_centi_lufs: int = 0, peak_centi_db: int = 0
) -> Manifest:
    """The manifest of an Ogg Opus file."""
    blocks = (file[at : at + BLOCK_BYTES] for at in range(0, len(file), BLOCK_BYTES))
    return Manifest(
        length_bytes=ByteCount(len(file)),
        duration_ms=duration_ms,
        loudness_centi_lufs=loudness_centi_lufs,
        peak_centi_db=peak_centi_db,
        block_hashes=b"".join(hashlib.sha256(block).digest() for block in blocks),
    )


def digest_of(encoded_manifest: bytes) -> Digest:
    """A rendition's name, from its manifest as it goes over the wire."""
    return Digest(hashlib.sha256(encoded_manifest).digest())


@dataclass(frozen=True, kw_only=True)
class BlockRange:
    first: int = wire(1, uint(16))
    count: int = wire(2, uint(16))


@dataclass(frozen=True, kw_only=True)
class Want:
    """A node asks for a manifest or for blocks of a rendition."""

    node: NodeId = wire(3, common.node())
    rendition: Digest = wire(4, common.digest())
    manifest: bool = wire(5, flag(), default=False)
    blocks: tuple[BlockRange, ...] = wire(6, many(nested(BlockRange), 64), default=())
    piece_bytes: int = wire(7, uint(16), default=BLOCK_BYTES)
    """The largest piece that the node's link should be given at a time, 256 to 4096."""

    def __post_init__(self) -> None:
        if not 1 <= self.piece_bytes <= BLOCK_BYTES:
            raise Malformed(f"pieces are 1 to {BLOCK_BYTES} bytes")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of one block. Unsigned: the block's hash is in the manifest."""

    rendition: Digest = wire(3, common.digest())
    offset: ByteCount = wire(4, uint(32))
    """Of the first byte within the file."""
    data: bytes = wire(5, blob(1, BLOCK_BYTES))


@dataclass(frozen=True, kw_only=True)
class TimeRequest:
    """The first of four timestamps. Its nonce makes the reply fresh, which also serves a node without any time."""

    node: NodeId = wire(3, common.node())
    nonce: bytes = wire(4, blob(16))
    sent_at: int = wire(5, sint())
    """By the node's own clock, milliseconds from any start."""


@dataclass(frozen=True, kw_only=True)
class TimeReply:
    node: NodeId = wire(3, common.node())
    nonce: bytes = wire(4, blob(16))
    sent_at: int = wire(5, sint())
    """Copied from the request."""
    received_at: InstantMs = wire(6, common.instant())
    replied_at: InstantMs = wire(7, common.instant())

    def __post_init__(self) -> None:
        if self.replied_at < self.received_at:
            raise Malformed("a reply before its request")


@dataclass(frozen=True, kw_only=True)
class LiveSegment:
    """Reserved: live speech. Nodes of this version refuse it."""

    session: bytes = wire(3, blob(16))
    number: int = wire(4, uint(32))
    data: bytes = wire(5, blob(0, 8192))
