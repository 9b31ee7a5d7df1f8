"""Which programs the tests can drive here. `./run test` installs them; in CI a skip for want of one is a failure."""

import os
import shutil
from pathlib import Path

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def program(name: str) -> str | None:
    """Where a program is, also in the folders that only root has on its path."""
    return shutil.which(name, path=_PATH)


def postgresql_bin() -> Path | None:
    """The newest PostgreSQL's folder of programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def missing(tool: str) -> bool:
    """Whether a tool named in a `needs` mark is not here."""
    if tool == "postgresql":
        return postgresql_bin() is None
    return program(tool) is None


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def samples() -> Path | None:
    """The folder of real recordings and alerts, where it is."""
    root = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("LOA_SAMPLES", root / ".." / "shared" / "samples")).resolve()
    return folder if folder.is_dir() else None
