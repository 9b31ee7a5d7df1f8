"""The journal: numbers without gaps, statements that go back, what is dropped first, and torn files."""

from hypothesis import given
from hypothesis import strategies as st

from devices.protocol.envelope import seal
from devices.protocol.journal import KEPT_AFTER_ACK_MS, Journal, framed, ranges, unframed
from devices.protocol.reports import Receipt, ReceiptEvent
from loa.precedence import Precedence
from loa.units import InstantMs
from tests.protocol.world import NODE, NODE_KEY, NOW

EPOCH = b"epoch--1"


def add(journal: Journal, precedence: Precedence | None = Precedence.ORDINARY) -> bytes:
    receipt = Receipt(
        node=NODE,
        epoch=journal.epoch,
        number=journal.next_number,
        at=NOW,
        event=ReceiptEvent.STARTED,
        precedence=precedence,
    )
    return journal.append(receipt, seal(receipt, NODE_KEY))


def filled(count: int) -> tuple[Journal, bytes]:
    journal = Journal(EPOCH)
    return journal, journal.start() + b"".join(add(journal) for _ in range(count))


def state(journal: Journal) -> tuple[object, ...]:
    return journal.epoch, journal.last_number, journal.acknowledged, journal.size, dict(journal._kept)


def test_numbers_go_on_after_a_restart() -> None:
    journal, file = filled(3)
    file += journal.acknowledge(2, NOW)
    again, good = Journal.read(file)
    assert again is not None
    assert good == len(file)
    assert state(again) == state(journal)
    assert again.next_number == 4
    assert [one.number for one in again.unacknowledged()] == [3]


@given(st.integers(0, 900), st.integers(0, 255))
def test_a_torn_or_spoiled_end_is_cut_off(cut: int, byte: int) -> None:
    _, file = filled(4)
    torn = file[:cut] + bytes([byte])
    again, good = Journal.read(torn)
    assert good <= len(torn)
    assert torn[:good] == file[:good]
    if again is None:
        assert good == 0
    else:
        numbers = [one.number for one in again.unacknowledged()]
        assert numbers == list(range(1, len(numbers) + 1))
        add(again)


def test_a_lower_statement_sends_the_rest_again() -> None:
    journal, file = filled(5)
    file += journal.acknowledge(5, NOW)
    assert journal.unacknowledged() == ()
    file += journal.acknowledge(2, InstantMs(NOW + 1))  # a centre restored from a backup
    assert [one.number for one in journal.unacknowledged()] == [3, 4, 5]
    assert [one.number for one in journal.unacknowledged(2)] == [3, 4]
    again, _ = Journal.read(file)
    assert again is not None
    assert state(again) == state(journal)


def test_a_statement_beyond_our_own_numbers_means_that_the_store_lost_its_end() -> None:
    journal, _ = filled(3)
    assert journal.is_behind(4)
    assert not journal.is_behind(3)


def test_thirty_days_after_the_acknowledgement() -> None:
    journal, _ = filled(3)
    journal.acknowledge(2, NOW)
    assert journal.over_age(InstantMs(NOW + KEPT_AFTER_ACK_MS - 1)) == ()
    late = InstantMs(NOW + KEPT_AFTER_ACK_MS)
    assert journal.over_age(late) == (1, 2)
    journal.drop(journal.over_age(late))
    assert (len(journal), journal.first_number) == (1, 3)


def test_what_is_dropped_first() -> None:
    journal = Journal(EPOCH)
    for precedence in (Precedence.EMERGENCY, Precedence.ORDINARY, Precedence.EMERGENCY, Precedence.PRIORITY, None):
        add(journal, precedence)
    journal.acknowledge(1, NOW)
    chosen = journal.for_want_of_room(10**9)
    assert chosen == (1, 5, 2, 4, 3)
    assert journal.for_want_of_room(1) == (1,)
    assert journal.for_want_of_room(0) == ()


def test_dropping_keeps_number_and_ranges_tell_which() -> None:
    journal, file = filled(6)
    assert [(one.first, one.count) for one in ranges([6, 1, 2, 4])] == [(1, 2), (4, 1), (6, 1)]
    file += journal.drop([1, 2, 4, 6])
    assert journal.next_number == 7
    again, _ = Journal.read(file)
    assert again is not None
    assert state(again) == state(journal)


@given(st.lists(st.tuples(st.sampled_from("addackdrop"), st.integers(0, 12)), max_size=25))
def test_a_fresh_file_says_the_same_as_the_grown_one(steps: list[tuple[str, int]]) -> None:
    journal = Journal(EPOCH)
    file = journal.start()
    for now, (step, number) in enumerate(steps, NOW):
        if step in "ad":
            file += add(journal, Precedence(1 + number % 3))
        elif step in "ck" and not journal.is_behind(number):
            file += journal.acknowledge(number, InstantMs(now))
        else:
            file += journal.drop(journal.for_want_of_room(number * 20))
    for data in (file, journal.to_bytes()):
        again, good = Journal.read(data)
        assert again is not None
        assert good == len(data)
        assert state(again) == state(journal)


def test_frames() -> None:
    two = framed(b"one") + framed(b"two")
    assert unframed(two) == ([b"one", b"two"], len(two))
    assert unframed(two[:-1]) == ([b"one"], 11)
    assert unframed(b"\xff" * 40) == ([], 0)
