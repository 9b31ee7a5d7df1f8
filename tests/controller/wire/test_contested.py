"""When a node's connection counts as fought over, and when it is only a bad day."""

import pytest

from controller.wire.contested import MOST_COMINGS, WINDOW_MS, Contested
from devices.protocol.reports import Presence, PresenceState
from loa.units import InstantMs, NodeId


def heard(contested: Contested, at_s: float, session: int, state: PresenceState = PresenceState.ONLINE) -> bool:
    presence = Presence(node=NodeId("a"), session=session, state=state)
    return contested.heard("a", presence, InstantMs(round(at_s * 1000)))


def test_it_is_told_once_and_is_over_when_it_is_over() -> None:
    contested = Contested()
    told = [heard(contested, 10 * n, n) for n in range(12)]
    assert told == [n == MOST_COMINGS - 1 for n in range(12)]
    assert contested.is_contested("a", InstantMs(110_000))
    assert not contested.is_contested("b", InstantMs(110_000))
    later = 110_000 + WINDOW_MS
    assert list(contested.names(InstantMs(later))) == []
    assert not heard(contested, later / 1000, 20)
    again = [heard(contested, later / 1000 + 10 * n, 20 + n) for n in range(1, 6)]
    assert again.count(True) == 1


@pytest.mark.parametrize("gap_s", [46, 300, 3600])
def test_a_link_that_fails_now_and_then_is_no_fight(gap_s: int) -> None:
    contested = Contested()
    assert not any(heard(contested, gap_s * n, n) for n in range(50))


def test_two_boxes_with_one_key_are_seen_by_their_sessions() -> None:
    """Rarely enough to pass for a bad link; but an honest box's session never goes back."""
    contested = Contested()
    assert [heard(contested, 50 * n, session) for n, session in enumerate((7, 3, 8))] == [False, False, False]
    assert heard(contested, 150, 4)


def test_one_wiped_storage_is_no_clone() -> None:
    contested = Contested()
    assert not any(heard(contested, 60 * n, session) for n, session in enumerate((90, 91, 1, 2, 3)))


def test_leaving_is_not_coming() -> None:
    contested = Contested()
    assert not any(heard(contested, n, n, PresenceState.OFFLINE) for n in range(50))
