"""One centre and one browser for all that is tried at the console."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.console.desks import DESK, PHONE, Desk
from tests.console.watchroom import Watchroom, watchroom


@pytest.fixture(scope="package")
def play() -> Iterator[Playwright]:
    with sync_playwright() as made:
        yield made


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watchroom]:
    with watchroom(tmp_path_factory.mktemp("watchroom")) as made:
        yield made


@pytest.fixture(scope="package")
def browser(play: Playwright) -> Iterator[Browser]:
    made = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    yield made
    made.close()


def _desk(account: str, width: int) -> Any:
    """A fixture: somebody who is signed in, at a screen as wide as this."""

    @pytest.fixture
    def desk(room: Watchroom, browser: Browser) -> Iterator[Desk]:
        made = Desk(room, browser, account, width)
        yield made
        made.close()

    return desk


thu = _desk("thu", DESK)
hai = _desk("hai", PHONE)
minh = _desk("minh", DESK)
minh_phone = _desk("minh", PHONE)
