"""One server for the verbs' tests."""

from collections.abc import Iterator

import pytest

from tests.api.server import Served, serve
from tests.cli.ceremony import ceremony, light

__all__ = ["ceremony", "light"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`loa serve` in a folder of its own."""
    made = serve(tmp_path_factory.mktemp("served"))
    try:
        yield made
    finally:
        made.stop()
