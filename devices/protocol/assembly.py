"""One rendition on its way into a node: which blocks are here, which are half here, which were asked for."""

from collections.abc import Collection
from dataclasses import dataclass, field

from devices.protocol.media import BlockRange, Manifest, Piece
from devices.protocol.meter import AskMark
from devices.protocol.refusal import RefusalReason, WireRefusal

MAX_PARTIAL_BLOCKS = 64
"""Forged parts of many blocks must not fill the memory: past this the oldest half-block is dropped."""


@dataclass(slots=True)
class PartialBlock:
    """A block of which some parts are here, as sorted, separate ranges."""

    data: bytearray
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, offset: int, part: bytes) -> int:
        """Put a part in its place; how many bytes of it are new."""
        end = offset + len(part)
        self.data[offset:end] = part
        before = self.filled
        merged: list[tuple[int, int]] = []
        low, high = offset, end
        for first, last in self.ranges:
            if last < low or first > high:
                merged.append((first, last))
            else:
                low, high = min(low, first), max(high, last)
        self.ranges = sorted([*merged, (low, high)])
        return self.filled - before

    @property
    def filled(self) -> int:
        return sum(last - first for first, last in self.ranges)


@dataclass(slots=True)
class Ask:
    """A block that was asked for and is not here yet."""

    mark: AskMark
    number: int
    """Asks are answered in their order."""
    remaining: int
    begun: bool = False
    passed: int = 0
    """How many later asks were answered before this one."""


class Assembly:
    """The blocks of one rendition. Only `take` lets bytes out, and only checked ones."""

    def __init__(self) -> None:
        self.manifest: Manifest | None = None
        self.missing: set[int] = set()
        self.asks: dict[int, Ask] = {}
        self.failures: dict[int, int] = {}
        """How often a block was wrong or lost, for the back-off."""
        self.not_before_s: dict[int, float] = {}
        self.frontier = -1
        """The highest block that came by itself, i.e. how far the stream is."""
        self._partial: dict[int, PartialBlock] = {}

    def begin(self, manifest: Manifest, have: Collection[int]) -> None:
        self.manifest = manifest
        self.missing = set(range(manifest.block_count)) - set(have)
        self.asks.clear()
        self._partial.clear()

    @property
    def complete(self) -> bool:
        return self.manifest is not None and not self.missing

    @property
    def outstanding_bytes(self) -> int:
        return sum(ask.remaining for ask in self.asks.values())

    def forget_asks(self) -> None:
        self.asks.clear()
        self.not_before_s.clear()

    def take(self, piece: Piece) -> tuple[int, int, bytes | None]:
        """Add a piece: (block index, bytes that were new, the block where it is whole and right).

        Raises WireRefusal(WRONG_BLOCK) where the piece does not fit the file, or the whole block is not the one that
        the manifest names; all its parts are dropped then.
        """
        manifest = self.manifest
        if manifest is None:
            return -1, 0, None
        index, at = divmod(piece.offset, manifest.block_bytes)
        if piece.offset >= manifest.length_bytes or at + len(piece.data) > manifest.block_length(index):
            raise WireRefusal(RefusalReason.WRONG_BLOCK, "a piece that crosses the end of its block")
        if index not in self.missing:
            return index, 0, None
        partial = self._partial.get(index)
        if partial is None:
            self._make_room()
            partial = self._partial[index] = PartialBlock(bytearray(manifest.block_length(index)))
        new = partial.add(at, piece.data)
        if partial.filled < manifest.block_length(index):
            return index, new, None
        del self._partial[index]
        data = bytes(partial.data)
        if not manifest.block_holds(index, data):
            raise WireRefusal(RefusalReason.WRONG_BLOCK, f"block {index} is not the one that the manifest names")
        self.missing.discard(index)
        self.failures.pop(index, None)
        self.not_before_s.pop(index, None)
        return index, new, data

    def _make_room(self) -> None:
        if len(self._partial) >= MAX_PARTIAL_BLOCKS:
            oldest = next(iter(self._partial))
            del self._partial[oldest]
            if oldest in self.asks and self.manifest is not None:
                self.asks[oldest].remaining = self.manifest.block_length(oldest)

    def failed(self, index: int, now_s: float, base_s: float) -> None:
        """A block was wrong or lost: it may be asked for again, later each time. Its parts so far stay."""
        self.asks.pop(index, None)
        count = self.failures.get(index, 0) + 1
        self.failures[index] = count
        if count > 1:
            self.not_before_s[index] = now_s + min(60.0, base_s * 2 ** min(count - 2, 8))

    def askable(self, now_s: float, below: int | None = None) -> list[int]:
        """Missing blocks that nobody is on the way with, in order; only those under `below` where it is given."""
        return sorted(
            index
            for index in self.missing
            if index not in self.asks
            and self.not_before_s.get(index, now_s) <= now_s
            and (below is None or index < below)
        )


def as_ranges(blocks: list[int], most: int) -> tuple[BlockRange, ...]:
    """Sorted block numbers as at most `most` ranges; what does not fit is left out."""
    ranges: list[tuple[int, int]] = []
    for index in blocks:
        if ranges and index == ranges[-1][0] + ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
        elif len(ranges) < most:
            ranges.append((index, 1))
        else:
            break
    return tuple(BlockRange(first=first, count=count) for first, count in ranges)
