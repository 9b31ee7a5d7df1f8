"""Storage in memory: for simulated boxes and tests. The same contract as the disk, and a capacity of its own."""

from devices.node.storage import check_name
from loa.errors import Fault
from loa.units import ByteCount


class MemoryStorage:
    """Keeps everything in a dict. `capacity` bytes in all; more is storage_full, and nothing changes."""

    def __init__(self, capacity: int = 64 * 1024 * 1024) -> None:
        self.capacity = capacity
        self._files: dict[str, bytearray] = {}
        self._used = 0

    def read(self, name: str) -> bytes | None:
        data = self._files.get(check_name(name))
        return None if data is None else bytes(data)

    def write(self, name: str, data: bytes) -> None:
        self._grow(check_name(name), len(data) - len(self._files.get(name, b"")))
        self._files[name] = bytearray(data)

    def append(self, name: str, data: bytes) -> None:
        self._grow(check_name(name), len(data))
        self._files.setdefault(name, bytearray()).extend(data)

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        here = self._files.get(check_name(name), bytearray())
        self._grow(name, max(0, offset + len(data) - len(here)))
        if len(here) < offset:
            here.extend(bytes(offset - len(here)))
        here[offset : offset + len(data)] = data
        self._files[name] = here

    def read_at(self, name: str, offset: int, length: int) -> bytes:
        return bytes(self._files.get(check_name(name), b"")[offset : offset + length])

    def delete(self, name: str) -> None:
        gone = self._files.pop(check_name(name), None)
        self._used -= len(gone or b"")

    def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self._files if name.startswith(prefix))

    def size(self, name: str) -> ByteCount:
        return ByteCount(len(self._files.get(check_name(name), b"")))

    def free_bytes(self) -> ByteCount:
        return ByteCount(max(0, self.capacity - self._used))

    def _grow(self, name: str, by: int) -> None:
        if by > 0 and self._used + by > self.capacity:
            raise Fault("storage_full", field=name, limit=self.capacity)
        self._used += by
