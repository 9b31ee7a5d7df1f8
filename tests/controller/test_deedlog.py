"""The log of deeds: what was added is there again, and what is torn was not added."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.deedlog import ROOM_BYTES, DeedLog
from controller.services.deeds import Deed, SentOrder, deed_bytes, read_deed
from devices.protocol.alerts import AlertAction
from loa.errors import Fault
from loa.precedence import Kind
from loa.units import InstantMs

DEED = Deed(
    action=AlertAction.RELEASE, alert="ab" * 16, kind=Kind.LIVE, body=b"body", approval=b"approval", account="lan",
    origin="10.0.0.7", at=InstantMs(1_790_000_000_000), seed=bytes(32),
    orders=(SentOrder(payload=b"order", areas=("quang-ninh",), nodes=("loa-1",), id="ab" * 16),),
)  # fmt: skip


def deeds(count: int) -> tuple[Deed, ...]:
    return tuple(replace(DEED, alert=f"{number:032x}") for number in range(count))


def reopened(path: Path) -> tuple[Deed, ...]:
    log = DeedLog(path)
    log.close()
    return log.deeds


def test_a_deed_is_read_as_it_was_written() -> None:
    assert read_deed(deed_bytes(DEED)) == DEED


def test_what_was_added_is_there_after_a_restart_and_gone_once_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "deeds.log"
    log = DeedLog(path)
    for one in deeds(3):
        log.add(one)
    assert reopened(path) == log.deeds == deeds(3)
    log.done(deeds(2))
    assert log.deeds == deeds(3)[2:]
    assert reopened(path) == deeds(3), "written twice is written once; lost is lost"
    log.done(log.deeds)
    assert reopened(path) == ()
    log.add(DEED)
    assert reopened(path) == (DEED,), "nothing of before comes back"
    log.close()


@settings(deadline=None, max_examples=25)
@given(cut=st.integers(0, 1200), spoilt=st.integers(0, 255))
def test_a_torn_end_is_left_out(tmp_path_factory: pytest.TempPathFactory, cut: int, spoilt: int) -> None:
    """What power took is what was not acknowledged: the last one at most."""
    path = tmp_path_factory.mktemp("log") / "deeds.log"
    log = DeedLog(path)
    for one in deeds(3):
        log.add(one)
    log.close()
    end = len(path.read_bytes().rstrip(b"\0"))
    with path.open("r+b") as file:
        file.seek(min(cut + 12, end - 1))
        file.write(bytes([spoilt]) * (end - min(cut + 12, end - 1)))
    found = reopened(path)
    assert found == deeds(3)[: len(found)]


def test_a_full_disk_does_not_stand_in_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its room was taken when it was made; where that is used up, it is said, and nothing is half there."""
    path = tmp_path / "deeds.log"
    log = DeedLog(path)
    assert path.stat().st_blocks * 512 >= ROOM_BYTES
    write = os.pwrite

    def full(file: int, data: bytes, at: int) -> int:
        if at + len(data) > ROOM_BYTES:
            raise OSError(28, "No space left on device")
        return write(file, data, at)

    monkeypatch.setattr("os.pwrite", full)
    large = replace(DEED, body=bytes(1500))
    room = ROOM_BYTES // (len(deed_bytes(large)) + 16)
    for _ in range(room - 1):
        log.add(large)
    with pytest.raises(Fault, match="storage_full"):
        _twice(log, large)
    kept = log.deeds
    assert len(kept) >= room - 1 > 100
    assert reopened(path) == kept
    log.close()


def test_what_went_in_part_was_not_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk takes what it has room for and says so: no error, and not the whole record."""
    path = tmp_path / "deeds.log"
    log = DeedLog(path)
    log.add(deeds(1)[0])
    write = os.pwrite

    def in_part(file: int, data: bytes, at: int) -> int:
        return write(file, data[: len(data) // 2] if len(data) > 4 else data, at)

    with monkeypatch.context() as full:
        full.setattr("os.pwrite", in_part)
        with pytest.raises(Fault, match="storage_full"):
            log.add(deeds(2)[1])
    log.add(deeds(3)[2])
    assert reopened(path) == log.deeds == (deeds(3)[0], deeds(3)[2])
    log.close()


def test_two_who_wrote_the_same_take_nothing_else_away(tmp_path: Path) -> None:
    """On PostgreSQL several write at once, and what was done is found done by both."""
    log = DeedLog(tmp_path / "deeds.log")
    first, second = deeds(2)
    log.add(first)
    log.add(second)
    for _ in range(2):
        log.done((first,))
    assert log.deeds == (second,)
    assert reopened(tmp_path / "deeds.log") == (first, second)
    log.close()


def _twice(log: DeedLog, deed: Deed) -> None:
    log.add(deed)
    log.add(deed)
