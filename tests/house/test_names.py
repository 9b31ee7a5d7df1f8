"""Names on the wire cannot hold anything that a broker or a path would read as more than a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.errors import Refused
from loa.names import AreaPath, node_id

codes = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True).filter(
    lambda code: code not in ("order", "trust", "settings", "timetable")
)
paths = st.lists(codes, min_size=1, max_size=3).map("/".join).map(AreaPath)


@given(paths)
def test_a_path_covers_itself_and_what_lies_within(path: AreaPath) -> None:
    assert path.covers(path)
    assert path.with_ancestors()[-1] == path
    assert all(wider.covers(path) for wider in path.with_ancestors())
    if path.parent is not None:
        assert not path.covers(path.parent)


def test_a_longer_name_with_the_same_beginning_is_another_place() -> None:
    assert not AreaPath("quang-ninh/co-to").covers(AreaPath("quang-ninh/co-to-2"))


@pytest.mark.parametrize("bad", ["", "/", "a//b", "a/b/c/d", "a/+", "#", "A", "a b", "a/order", "à", "a/", "-a", "a\n"])
def test_bad_paths_are_refused(bad: str) -> None:
    with pytest.raises(Refused, match="bad_area_path"):
        AreaPath(bad)


@given(st.text(max_size=40))
def test_a_node_name_that_is_not_plain_is_refused(text: str) -> None:
    if text != "".join(c for c in text if c in "abcdefghijklmnopqrstuvwxyz0123456789-") or not 1 <= len(text) <= 32:
        with pytest.raises(Refused, match="bad_node_id"):
            node_id(text)
