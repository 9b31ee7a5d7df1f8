"""One office for the quick tests of each file; officers on duty, with real nodes, for each test that wants them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from controller.peoplekeys import Cost
from tests.api.duty import Duty, on_duty
from tests.api.office import Office, office_at
from tests.people import freshen


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """A centre, its API and somebody signed in; shared, so tests make their own things in it."""
    async with office_at(tmp_path_factory.mktemp("office")) as made:
        yield made


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def fresh_code(request: pytest.FixtureRequest) -> None:
    """Whatever else takes long: in each test admin gave a code a moment ago."""
    if "office" in request.fixturenames:
        shared = request.getfixturevalue("office")
        await freshen(shared.centre, shared.token)


@pytest.fixture
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A try of a passphrase costs nothing, and what nodes are to keep goes out at once."""
    monkeypatch.setattr("controller.peoplekeys.COST", Cost(8, 1, 1))
    monkeypatch.setattr("controller.services.settings_changes.STORED_WITHIN_MS", 2000)


@pytest_asyncio.fixture
async def duty(tmp_path: Path, in_no_time: None) -> AsyncIterator[Duty]:
    async with on_duty(tmp_path) as world:
        yield world
