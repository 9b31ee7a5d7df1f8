"""What all tests share: skipping (or, in CI, failing) where a needed program is absent."""

import pytest

from tests import tools


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `needs("mosquitto")` is skipped where the program is absent; in CI it fails."""
    absent = [tool for mark in item.iter_markers("needs") for tool in mark.args if tools.missing(tool)]
    if not absent:
        return
    reason = f"needs {', '.join(absent)}, which `./run test` installs as root"
    if tools.in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
