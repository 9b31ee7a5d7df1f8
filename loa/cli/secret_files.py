"""Files for secrets that are told once: made before the secret is asked for, so that none is told and then lost."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loa.errors import Refused


@contextmanager
def reserved(*paths: Path | None) -> Iterator[None]:
    """New, empty files for the owner's eyes, to be written within; those that stay empty are taken away again.

    Raises Refused(already_exists), OSError where they cannot be made; nothing has been asked for then.
    """
    made: list[Path] = []
    try:
        for path in paths:
            if path is not None:
                _make(path)
                made.append(path)
        yield
    finally:
        for path in made:
            if path.exists() and path.stat().st_size == 0:
                path.unlink()


def _make(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise Refused("already_exists", field="file", value=str(path)) from error
