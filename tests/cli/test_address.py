"""A server's address, as people type it."""

import pytest

from loa.cli.client import whole_address


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("centre:8080/", "http://centre:8080"),
        ("http://centre", "http://centre"),
        ("https://centre.example/", "https://centre.example"),
    ],
)
def test_an_address_needs_no_scheme(typed: str, meant: str) -> None:
    assert whole_address(typed) == meant
