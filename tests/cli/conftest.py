"""What the verbs' tests share: a server, and a ceremony of keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.peoplekeys import Cost
from tests.api.server import Served, serve
from tests.cli.ceremony import Ceremony


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`loa serve` in a folder of its own."""
    made = serve(tmp_path_factory.mktemp("served"))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases at a small cost; what the real one is has a test of its own."""
    monkeypatch.setattr("controller.peoplekeys.COST", Cost(8, 1, 1))


@pytest.fixture
def ceremony(tmp_path: Path, light: None) -> Ceremony:
    """A centre whose controller was appointed by roots that it never saw."""
    made = Ceremony(tmp_path)
    made.begin()
    return made
