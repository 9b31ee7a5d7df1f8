"""The record's heads at a node: none goes back, none is another under a number that was told, few are kept."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.protocol.envelope import seal
from devices.protocol.judge import judge_record_head
from devices.protocol.keys import SigningKey
from devices.protocol.record import DAYS_KEPT, NEWEST_KEPT, RecordHead, check_head, marks_told, with_head
from devices.protocol.refusal import RefusalReason, Repeat, WireRefusal
from devices.protocol.topics import node_subscriptions
from loa.names import AreaPath
from loa.units import InstantMs
from tests.protocol import world
from tests.protocol.world import COMMUNE, CONTROLLER, DAY, NODE, NOW, PERSON, PROVINCE, VILLAGE


def head(number: int = 7, *, forks: int = 0, mark: bytes = b"h", at: int = NOW) -> RecordHead:
    return RecordHead(area=PROVINCE, number=number, hash=mark * 32, at=InstantMs(at), forks=forks)


def reason(new: RecordHead, *held: RecordHead) -> RefusalReason:
    with pytest.raises(WireRefusal) as caught:
        check_head(new, held)
    return caught.value.reason


def test_a_head_follows_what_is_held() -> None:
    check_head(head(), ())
    check_head(head(8), (head(7),))
    check_head(head(7, at=NOW + DAY), (head(7),))  # nothing sounded for a day
    check_head(head(3, forks=1, mark=b"x"), (head(7),))  # it was restored, and says so
    with pytest.raises(Repeat):
        check_head(head(7), (head(7),))


def test_a_head_never_goes_back() -> None:
    assert reason(head(6), head(7)) is RefusalReason.ROLLBACK
    assert reason(head(9), head(7), head(3, forks=1)) is RefusalReason.ROLLBACK


def test_another_entry_under_a_number_that_was_told_is_a_fork() -> None:
    assert reason(head(7, mark=b"x"), head(7)) is RefusalReason.RECORD_FORK
    assert reason(head(7, mark=b"x"), head(7), head(9)) is RefusalReason.RECORD_FORK
    assert reason(head(3, forks=1, mark=b"x"), head(7), head(3, forks=1)) is RefusalReason.RECORD_FORK
    grown = replace(head(12, mark=b"z"), after=(head(11).mark, head(7, mark=b"x").mark))
    assert reason(grown, head(7)) is RefusalReason.RECORD_FORK  # written anew, and longer since
    check_head(replace(grown, after=(head(11).mark, head(7).mark)), (head(7),))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 400), st.integers(0, 40)), max_size=120))
def test_whatever_comes_what_is_held_only_grows_and_stays_small(steps: list[tuple[int, int, int]]) -> None:
    held: tuple[RecordHead, ...] = ()
    for forks, number, day in steps:
        new = head(number, forks=forks, at=NOW + day * DAY)
        try:
            check_head(new, held)
        except (WireRefusal, Repeat):
            continue
        before = held
        held = with_head(new, held)
        assert held[-1] == new
        assert [one.place for one in held] == sorted({one.place for one in held})
        assert {one.forks for one in before} <= {one.forks for one in held}
    assert len(held) <= NEWEST_KEPT + 2 * DAYS_KEPT
    assert {one.forks for one in marks_told(held)} == {one.forks for one in held}
    assert all(any(one.mark == mark for one in held) for mark in marks_told(held))


def test_days_are_kept_beyond_the_newest_few() -> None:
    held: tuple[RecordHead, ...] = ()
    for number in range(1, 101):
        held = with_head(head(number, at=NOW + number * DAY // 4), held)
    assert [one.number for one in held[-NEWEST_KEPT:]] == list(range(93, 101))
    assert len(held) == NEWEST_KEPT + DAYS_KEPT


@pytest.mark.parametrize(
    ("changes", "key", "why"),
    [
        ({"area": AreaPath("hai-phong")}, CONTROLLER, RefusalReason.WRONG_TARGET),
        ({}, PERSON, RefusalReason.MANDATE_EXCEEDED),
        ({}, world.key_of("stranger"), RefusalReason.UNTRUSTED_KEY),
        ({"number": 6}, CONTROLLER, RefusalReason.ROLLBACK),
        ({"number": 7, "hash": bytes(32)}, CONTROLLER, RefusalReason.RECORD_FORK),
    ],
)
def test_a_head_counts_by_its_signer(changes: dict[str, object], key: SigningKey, why: RefusalReason) -> None:
    good = head(8)
    assert judge_record_head(seal(good, CONTROLLER), world.standing(), (head(7),)) == good
    with pytest.raises(WireRefusal) as caught:
        judge_record_head(seal(replace(good, **changes), key), world.standing(), (head(7),))  # type: ignore[arg-type]
    assert caught.value.reason is why


def test_a_node_hears_the_provinces_record_alone() -> None:
    for place in (VILLAGE, COMMUNE, PROVINCE):
        topics = {one for one in node_subscriptions(NODE, place) if one.endswith("/record")}
        assert topics == {f"loa/1/a/{PROVINCE}/record"}
    assert not any("/a/" in one for one in node_subscriptions(NODE, None))
    with pytest.raises(Exception, match="bad_area_path"):
        AreaPath("quang-ninh/record")
