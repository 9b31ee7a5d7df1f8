"""What the tests of a node share."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.node.pulse import Pulse
from tests.node.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A world of its own; whatever happens in it, the node's own code does not break."""
    one = Rig(tmp_path)
    yield one
    assert one.node.failure is None


@pytest.fixture
async def pulse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pulse]:
    """A server of its own, which every sound card here is on."""
    server = Pulse(tmp_path)
    await asyncio.to_thread(server.start)
    for name in ("PULSE_SERVER", "XDG_RUNTIME_DIR", "HOME", "PULSE_COOKIE"):
        monkeypatch.setenv(name, server.environment[name])
    yield server
    await asyncio.to_thread(server.stop)
