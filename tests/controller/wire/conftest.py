"""Each of these runs on SQLite and on PostgreSQL; what takes long does the latter in the longer forms only."""

import pytest

from tests.postgres import Postgres

LONG = ("test_killed", "test_storm")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = [pytest.mark.slow, pytest.mark.needs("postgresql")]
    if metafunc.module.__name__.rpartition(".")[2] in LONG:
        marks.append(pytest.mark.soak)
    metafunc.fixturenames.append("centre_database")
    metafunc.parametrize("centre_database", ["sqlite", pytest.param("postgresql", marks=marks)], indirect=True)


@pytest.fixture
def centre_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a centre that is started here, or in a process of its own, keeps its tables."""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        monkeypatch.setenv("LOA_DATABASE", server.fresh_url())
