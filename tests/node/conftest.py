"""What the tests of a node share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A world of its own; whatever happens in it, the node's own code does not break."""
    one = Rig(tmp_path)
    yield one
    assert one.node.failure is None
