"""One office for all quick tests of the API."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.api.office import Office, office_at
from tests.people import freshen


@pytest_asyncio.fixture(scope="session", loop_scope="session")
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
