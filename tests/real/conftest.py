"""A field of processes for each test, ended with it; and what a kernel must let us do."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.real.field import CentreProcess, Field


@pytest.fixture
def field_on(tmp_path: Path) -> Iterator[Callable[..., Field]]:
    """Makes fields: `field_on(broker_url, *more arguments of loa serve)`."""
    made: list[Field] = []

    def make(broker: str, *more: str, folder: Path | None = None) -> Field:
        place = folder or tmp_path
        made.append(Field(tmp_path, CentreProcess(place, broker, *more)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def field(field_on: Callable[..., Field], mosquitto: Mosquitto) -> Field:
    return field_on(mosquitto.url)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str, int], Path]]:
    """`small_disk(name, MiB)`: a folder on a disk of its own; skipped where that may not be made."""
    mounted: list[Path] = []

    def make(name: str, mib: int) -> Path:
        if os.geteuid() != 0:
            pytest.skip("needs root, to mount a small disk")
        folder = tmp_path / name
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no small disk may be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)
