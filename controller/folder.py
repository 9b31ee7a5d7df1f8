"""A centre's data folder, held by one process."""

import fcntl
import os
from io import TextIOWrapper
from pathlib import Path

from loa.errors import Refused


def take_folder(folder: Path) -> TextIOWrapper:
    """One process a data folder. The lock goes with the process, however it ends. Raises Refused(already_running)."""
    lock = (folder / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Refused("already_running", folder=folder) from error
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock
