"""What all tests share: skipping (or, in CI, failing) where a needed program is absent, and whose turn it is."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer

from tests import tools
from tests.brokers import Mosquitto
from tests.postgres import Postgres
from tests.turns import Turns, in_turns


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Turns:
    return Turns(config, log)


def pytest_collection_finish() -> None:
    """What tests need often and mostly do not test: once, or at a small cost. Has a test of its own, each.

    Only where what was collected has imported the controller: that takes a second.
    """
    gc.freeze()  # what was imported stays: it need not be looked through again and again
    if "controller.store" in sys.modules:
        from tests.migrated import migrate_once

        migrate_once()
    if "controller.accounts" in sys.modules:
        from tests.people import hash_lightly

        hash_lightly()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the processes of `pytest -n` alone; by itself a run keeps the order of the files."""
    if hasattr(config, "workerinput"):
        in_turns(items)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `needs("mosquitto")` is skipped where the program is absent; in CI it fails."""
    absent = [tool for mark in item.iter_markers("needs") for tool in mark.args if tools.missing(tool)]
    if not absent:
        return
    reason = f"needs {', '.join(absent)}, which `./run test` installs as root"
    if tools.in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A mosquitto of the test's own on a free port; see `tests.brokers.Mosquitto`."""
    broker = Mosquitto(tmp_path)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One for all of them, started when the first wants it; each has an empty database of its own."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.stop()
