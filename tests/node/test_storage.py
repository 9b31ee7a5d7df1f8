"""One contract for every storage, and what is the disk's own."""

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devices.node.disk import DiskStorage
from devices.node.memory import MemoryStorage
from devices.node.ports import Storage
from loa.errors import Fault, OperatorNeeded


@pytest.fixture(params=["disk", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    disk = DiskStorage(tmp_path / "box")
    yield disk
    disk.close()


def test_what_is_written_is_read(storage: Storage) -> None:
    assert storage.read("a/b") is None
    storage.write("a/b", b"one")
    storage.write("a/b", b"second")
    assert storage.read("a/b") == b"second"
    assert storage.size("a/b") == 6


def test_append_adds_to_the_end(storage: Storage) -> None:
    storage.append("log", b"one")
    storage.append("log", b"two")
    assert storage.read("log") == b"onetwo"


def test_parts_anywhere(storage: Storage) -> None:
    storage.write_at("audio", 5, b"world")
    storage.write_at("audio", 0, b"hello")
    assert storage.read_at("audio", 3, 4) == b"lowo"
    assert storage.read_at("audio", 8, 100) == b"ld"
    assert storage.read_at("audio", 50, 3) == b""
    assert storage.read_at("nothing", 0, 3) == b""
    assert storage.size("audio") == 10


def test_a_gap_reads_as_zeros(storage: Storage) -> None:
    storage.write_at("audio", 4, b"x")
    assert storage.read("audio") == b"\0\0\0\0x"


def test_names_and_deletion(storage: Storage) -> None:
    storage.write("r/aa/manifest", b"1")
    storage.write("r/bb/manifest", b"2")
    storage.write("session", b"3")
    assert storage.names() == ["r/aa/manifest", "r/bb/manifest", "session"]
    assert storage.names("r/b") == ["r/bb/manifest"]
    storage.delete("r/aa/manifest")
    storage.delete("r/aa/manifest")
    assert storage.names("r/") == ["r/bb/manifest"]


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".hidden", "a/.hidden", "A", "a b", "a\0", "a\n", "x" * 201]
)
def test_no_name_leads_out(storage: Storage, name: str) -> None:
    acts: list[Callable[[str], object]] = [storage.read, storage.delete, storage.size]
    for act in acts:
        with pytest.raises(Fault) as caught:
            act(name)
        assert caught.value.code == "bad_storage_name"
    with pytest.raises(Fault):
        storage.write(name, b"x")


def test_full_leaves_what_was_there() -> None:
    storage = MemoryStorage(capacity=10)
    storage.write("a", b"12345678")
    acts: list[Callable[[], None]] = [
        lambda: storage.write("a", b"x" * 11),
        lambda: storage.append("a", b"xyz"),
        lambda: storage.write_at("b", 2, b"x"),
    ]
    for act in acts:
        with pytest.raises(Fault) as caught:
            act()
        assert caught.value.code == "storage_full"
    assert storage.read("a") == b"12345678"
    assert storage.names() == ["a"]
    storage.delete("a")
    assert storage.free_bytes() == 10


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    disk = DiskStorage(tmp_path / "box", reserve=1 << 60)
    with pytest.raises(Fault) as caught:
        disk.write_at("r/a/audio", 0, b"x")
    assert caught.value.code == "storage_full"
    disk.append("journal", b"the last words still fit")
    disk.write("orders/a", b"and what is ordered")
    disk.close()


def test_a_torn_write_is_old_or_new(tmp_path: Path) -> None:
    """Hardening 17: what a power cut left beside the name is thrown away."""
    disk = DiskStorage(tmp_path / "box")
    disk.write("trust", b"old")
    disk.close()
    (tmp_path / "box" / ".trust.new").write_bytes(b"half of the n")
    again = DiskStorage(tmp_path / "box")
    assert again.read("trust") == b"old"
    assert again.names() == ["trust"]
    assert not (tmp_path / "box" / ".trust.new").exists()
    again.close()


def _try_to_open(folder: Path, answers: "multiprocessing.SimpleQueue[str]") -> None:
    try:
        DiskStorage(folder)
    except OperatorNeeded as error:
        answers.put(error.code)
    else:
        answers.put("opened")


def test_one_process_a_folder(tmp_path: Path) -> None:
    disk = DiskStorage(tmp_path)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    other = context.Process(target=_try_to_open, args=(tmp_path, answers))
    other.start()
    other.join(10)
    assert answers.get() == "already_running"
    disk.close()
