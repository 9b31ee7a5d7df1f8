"""What the tests of feeds share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.controller.feeds.world import World, opened


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as made:
        yield made
