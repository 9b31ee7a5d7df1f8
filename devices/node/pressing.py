"""Storage for what matters more than audio: where there is no room, renditions give way."""

from collections.abc import Callable

from devices.node.ports import Storage
from loa.errors import Fault
from loa.units import ByteCount


class PressingStorage:
    """The same storage; `give_way` frees some of it, and is False where nothing more may be given up.

    Raises Fault(storage_full) only then.
    """

    def __init__(self, storage: Storage, give_way: Callable[[], bool]) -> None:
        self._storage = storage
        self._give_way = give_way

    def _pressed(self, write: Callable[[], None]) -> None:
        while True:
            try:
                return write()
            except Fault as error:
                if error.code != "storage_full" or not self._give_way():
                    raise

    def write(self, name: str, data: bytes) -> None:
        self._pressed(lambda: self._storage.write(name, data))

    def append(self, name: str, data: bytes) -> None:
        self._pressed(lambda: self._storage.append(name, data))

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        self._pressed(lambda: self._storage.write_at(name, offset, data))

    def read(self, name: str) -> bytes | None:
        return self._storage.read(name)

    def read_at(self, name: str, offset: int, length: int) -> bytes:
        return self._storage.read_at(name, offset, length)

    def delete(self, name: str) -> None:
        self._storage.delete(name)

    def names(self, prefix: str = "") -> list[str]:
        return self._storage.names(prefix)

    def size(self, name: str) -> ByteCount:
        return self._storage.size(name)

    def free_bytes(self) -> ByteCount:
        return self._storage.free_bytes()
