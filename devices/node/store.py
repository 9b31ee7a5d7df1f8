"""Renditions on the box's storage: which blocks are here and right, and what gives way when room is short.

No index is kept beside the files, so none can disagree with them: after a restart every block is hashed again. A
block is hashed once more when it is read for playing, so that what a worn card changed is silence, not noise.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from devices.node.ports import ByteSource, Storage
from devices.protocol.common import RenditionRef
from devices.protocol.envelope import decode, encode
from devices.protocol.media import Manifest, digest_of
from devices.protocol.refusal import Malformed, WireRefusal
from loa.errors import Fault
from loa.units import ByteCount, Digest, InstantMs

FOLDER = "r"
NEVER = InstantMs(1 << 53)


@dataclass
class _Held:
    manifest: Manifest
    blocks: set[int] = field(default_factory=set)
    used: int = 0

    @property
    def complete(self) -> bool:
        return len(self.blocks) == self.manifest.block_count


@dataclass(frozen=True)
class Needs:
    """What the box will want to sound: sirens and standing messages for ever, the rest at an instant."""

    standing: frozenset[Digest] = frozenset()
    by_instant: dict[Digest, InstantMs] = field(default_factory=dict)

    def when(self, digest: Digest) -> InstantMs:
        return InstantMs(0) if digest in self.standing else self.by_instant.get(digest, NEVER)


class RenditionStore:
    """All renditions of a box. `limit_bytes` bounds their sum; the storage's free room does so as well."""

    def __init__(self, storage: Storage, limit_bytes: int | None = None) -> None:
        self._storage = storage
        self._limit = limit_bytes
        self._held: dict[Digest, _Held] = {}
        self._uses = 0
        self.needs = Needs()
        self.lost_block: Callable[[Digest], None] = lambda _digest: None
        """Told when a block that was here turned out wrong, so that it may be asked for again."""

    def recover(self) -> None:
        """Find what survived: every block of every file is hashed again, and what belongs to nothing is deleted."""
        self._held.clear()
        folders = {name.split("/")[1] for name in self._storage.names(f"{FOLDER}/") if name.count("/") == 2}
        for hexed in sorted(folders):
            manifest = self._manifest_in(hexed)
            if manifest is None:
                self._storage.delete(f"{FOLDER}/{hexed}/manifest")
                self._storage.delete(f"{FOLDER}/{hexed}/audio")
                continue
            held = _Held(manifest)
            for index in range(manifest.block_count):
                data = self._storage.read_at(
                    f"{FOLDER}/{hexed}/audio", index * manifest.block_bytes, manifest.block_length(index)
                )
                if data and manifest.block_holds(index, data):
                    held.blocks.add(index)
            self._held[Digest(bytes.fromhex(hexed))] = held

    def _manifest_in(self, hexed: str) -> Manifest | None:
        data = self._storage.read(f"{FOLDER}/{hexed}/manifest")
        if data is None or digest_of(data).hex() != hexed:
            return None
        try:
            message = decode(data)
        except WireRefusal:
            return None
        return message if isinstance(message, Manifest) else None

    def manifest(self, digest: Digest) -> Manifest | None:
        held = self._held.get(digest)
        return held.manifest if held else None

    def add_manifest(self, manifest: Manifest) -> Digest:
        """Make room for a rendition and begin it. Raises Fault(storage_full) where what is here is needed more."""
        encoded = encode(manifest)
        digest = digest_of(encoded)
        if digest in self._held:
            return digest
        self._make_room(digest, manifest.length_bytes + len(encoded))
        self._write(digest, lambda: self._storage.write(self._name(digest, "manifest"), encoded))
        self._held[digest] = _Held(manifest)
        return digest

    def put_block(self, digest: Digest, index: int, data: bytes) -> None:
        """Keep a block. Raises Malformed where it is not the one that the manifest names, Fault(storage_full)."""
        held = self._held[digest]
        if not held.manifest.block_holds(index, data):
            raise Malformed(f"block {index} does not match its hash")
        name, offset = self._name(digest, "audio"), index * held.manifest.block_bytes
        self._write(digest, lambda: self._storage.write_at(name, offset, data))
        held.blocks.add(index)

    def blocks(self, digest: Digest) -> frozenset[int]:
        held = self._held.get(digest)
        return frozenset(held.blocks) if held else frozenset()

    def complete(self, digest: Digest) -> bool:
        held = self._held.get(digest)
        return held is not None and held.complete

    def begun(self, digest: Digest) -> bool:
        """Whether the start of its audio is here."""
        held = self._held.get(digest)
        return held is not None and 0 in held.blocks

    def digests(self) -> tuple[Digest, ...]:
        """Complete renditions, those needed soonest first."""
        complete = [digest for digest, held in self._held.items() if held.complete]
        return tuple(sorted(complete, key=lambda digest: (self.needs.when(digest), digest)))

    def source(self, ref: RenditionRef) -> ByteSource:
        """Its audio as far as it is here; it need not even have begun."""
        return _Source(self, ref.digest, ref.length_bytes)

    def read_block(self, digest: Digest, index: int) -> bytes | None:
        """One block, hashed again; None where it is not here (any more)."""
        held = self._held.get(digest)
        if held is None or index not in held.blocks:
            return None
        self._uses += 1
        held.used = self._uses
        size = held.manifest.block_length(index)
        data = self._storage.read_at(self._name(digest, "audio"), index * held.manifest.block_bytes, size)
        if held.manifest.block_holds(index, data):
            return data
        held.blocks.discard(index)
        self.lost_block(digest)
        return None

    def drop(self, digest: Digest) -> None:
        self._held.pop(digest, None)
        self._storage.delete(self._name(digest, "manifest"))
        self._storage.delete(self._name(digest, "audio"))

    @property
    def held_bytes(self) -> ByteCount:
        return ByteCount(sum(held.manifest.length_bytes for held in self._held.values()))

    def _name(self, digest: Digest, part: str) -> str:
        return f"{FOLDER}/{digest.hex()}/{part}"

    def _make_room(self, newcomer: Digest, needed: int) -> None:
        while True:
            short_of_limit = self._limit is not None and self.held_bytes + needed > self._limit
            if not short_of_limit and needed + self._unwritten() <= self._storage.free_bytes():
                return
            if not self._evict_one(newcomer):
                raise Fault("storage_full", field=newcomer.hex(), limit=self._limit or self._storage.free_bytes())

    def _unwritten(self) -> int:
        """Bytes that are still to come for what has begun."""
        return sum((h.manifest.block_count - len(h.blocks)) * h.manifest.block_bytes for h in self._held.values())

    def _write(self, digest: Digest, write: Callable[[], None]) -> None:
        while True:
            try:
                return write()
            except Fault as error:
                if error.code != "storage_full" or not self._evict_one(digest):
                    raise

    def give_way(self) -> bool:
        """Give up one rendition for something that matters more than audio. False where only standing ones are left."""
        return self._evict_one(Digest(b""), needed_at=InstantMs(0))

    def _evict_one(self, newcomer: Digest, needed_at: InstantMs | None = None) -> bool:
        """Give up what is needed latest, of that what was used longest ago; not what is needed before the newcomer."""
        mine = needed_at if needed_at is not None else self.needs.when(newcomer)
        candidates = [
            (self.needs.when(digest), -held.used, digest)
            for digest, held in self._held.items()
            if digest != newcomer and digest not in self.needs.standing
        ]
        when, _, digest = max(candidates, default=(InstantMs(-1), 0, newcomer))
        if digest == newcomer or not candidates or (when <= mine and when != NEVER):
            return False
        self.drop(digest)
        return True


class _Source:
    def __init__(self, store: RenditionStore, digest: Digest, length_bytes: int) -> None:
        self._store = store
        self._digest = digest
        self._length = length_bytes
        self._index = -1
        self._block = b""

    @property
    def length_bytes(self) -> int:
        return self._length

    def read_at(self, offset: int, length: int) -> bytes | None:
        manifest = self._store.manifest(self._digest)
        if manifest is None:
            return None
        end = min(offset + length, manifest.length_bytes)
        parts = []
        while offset < end:
            index, within = divmod(offset, manifest.block_bytes)
            if index != self._index:
                block = self._store.read_block(self._digest, index)
                if block is None:
                    return None
                self._index, self._block = index, block
            part = self._block[within : within + end - offset]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)
