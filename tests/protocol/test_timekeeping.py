"""The estimate of the controller's clock, over simulated links."""

import random
from dataclasses import dataclass

import pytest

from devices.protocol.media import TimeReply
from devices.protocol.timekeeping import SETTLED_EXCHANGES, TimeKeeper
from loa.units import InstantMs
from tests.protocol.world import NODE, NOW


@dataclass
class Box:
    """A node's clock beside the controller's, and the link between."""

    seed: int
    ppm: float = 0.0
    least: float = 20.0
    most: float = 80.0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.keeper = TimeKeeper()
        self.local = 1000.0
        self.start = NOW + self.random.uniform(-5000, 5000)

    def truth(self, local: float) -> float:
        return self.start + local * (1 + self.ppm * 1e-6)

    def exchange(self, *, lost: bool = False) -> None:
        nonce = self.random.randbytes(16)
        request = self.keeper.request(NODE, nonce, self.local)
        out, back = self.random.uniform(self.least, self.most), self.random.uniform(self.least, self.most)
        at = InstantMs(int(self.truth(self.local + out)))
        reply = TimeReply(node=NODE, nonce=nonce, sent_at=request.sent_at, received_at=at, replied_at=at)
        if not lost:
            assert self.keeper.take(reply, self.local + out + back)
        self.local += out + back

    def run(self, exchanges: int) -> "Box":
        for _ in range(exchanges):
            self.exchange()
            self.local += self.keeper.wait_s() * 1000
        return self

    def error(self, local: float | None = None) -> float:
        at = self.local if local is None else local
        offset = self.keeper.offset_ms(at)
        assert offset is not None
        return abs(at + offset - self.truth(at))


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def test_p99_after_32_exchanges_over_20_to_80_ms_each_way() -> None:
    errors = [Box(seed, ppm=random.Random(seed).uniform(-50, 50)).run(SETTLED_EXCHANGES).error() for seed in range(400)]
    assert p99(errors) <= 12, p99(errors)


def test_p99_over_an_hour_with_drift() -> None:
    errors = []
    for seed in range(12):
        box = Box(seed, ppm=random.Random(seed).uniform(-50, 50)).run(SETTLED_EXCHANGES)
        while box.local < 3_600_000:
            box.run(1)
            errors.append(box.error())
            assert box.error() <= (box.keeper.error_ms(box.local) or 0)
    assert p99(errors) <= 15, p99(errors)


def test_drift_is_followed_while_the_link_is_cut() -> None:
    box = Box(7, ppm=40).run(200)
    assert box.keeper.rate_ppm == pytest.approx(40, abs=5)
    assert box.error(box.local + 3_600_000) <= 30  # without the rate: 144 ms


def test_unknown_until_the_first_reply_and_good_after_32() -> None:
    box = Box(1)
    assert not box.keeper.trusted
    assert box.keeper.offset_ms(0.0) is box.keeper.now_ms(0.0) is box.keeper.error_ms(0.0) is None
    assert box.keeper.local_ms(NOW) is None
    box.run(1)
    assert box.keeper.trusted
    assert not box.keeper.settled
    box.run(SETTLED_EXCHANGES - 1)
    assert box.keeper.settled


def test_there_and_back() -> None:
    keeper = Box(3, ppm=-30).run(100).keeper
    for local in (0.0, 5e5, 1e8):
        offset = keeper.offset_ms(local)
        assert offset is not None
        assert keeper.local_ms(local + offset) == pytest.approx(local, abs=0.01)


def test_a_reply_counts_once_and_only_while_it_is_awaited() -> None:
    keeper = TimeKeeper()
    keeper.request(NODE, bytes(16), 0.0)
    reply = TimeReply(node=NODE, nonce=bytes(16), sent_at=0, received_at=NOW, replied_at=NOW)
    assert keeper.take(reply, 50.0)
    assert not keeper.take(reply, 60.0)
    keeper.request(NODE, b"\1" * 16, 100.0)
    assert keeper.outstanding(101.0) == {b"\1" * 16}
    assert keeper.outstanding(60_000.0) == frozenset()


def test_a_clock_that_was_set_at_the_centre_starts_the_figure_anew() -> None:
    box = Box(5).run(40)
    box.start += 60_000
    box.run(1)
    assert not box.keeper.settled
    assert box.error() < 60
    box.run(SETTLED_EXCHANGES)
    assert box.keeper.settled
    assert box.error() <= 12


def test_asking_is_quick_first_and_slow_later() -> None:
    box = Box(2)
    assert box.keeper.wait_s() == 0.5
    box.run(SETTLED_EXCHANGES)
    assert box.keeper.wait_s() < 64
    box.run(300)
    assert box.keeper.wait_s() == 64
    box.keeper.session_started()
    assert box.keeper.wait_s() == 0.5
    box.run(4)
    assert box.keeper.wait_s() == 64


def test_who_gets_no_answer_of_use_asks_less_and_less() -> None:
    """Of a first hour without one: sixteen in the first minute, and in the end two a minute."""
    box, asked = Box(2), list[float]()
    while box.local < 3_600_000:
        asked.append(box.local)
        box.exchange(lost=True)
        box.local += box.keeper.wait_s() * 1000
    quick = [at for at in asked if at < 5_000]
    assert len(quick) >= 7, "the first answer is quick"
    assert len(asked) <= 140
    assert 25_000 <= asked[-1] - asked[-2] <= 35_000
    box.keeper.hopeful()
    assert box.keeper.wait_s() == 0.5
    box.run(SETTLED_EXCHANGES)
    assert box.keeper.settled


def test_unlike_ways_stay_within_the_bound() -> None:
    box = Box(4)
    box.least, box.most = 5.0, 10.0
    for _ in range(40):
        nonce = box.random.randbytes(16)
        request = box.keeper.request(NODE, nonce, box.local)
        at = InstantMs(int(box.truth(box.local + 300)))
        reply = TimeReply(node=NODE, nonce=nonce, sent_at=request.sent_at, received_at=at, replied_at=at)
        assert box.keeper.take(reply, box.local + 305)
        box.local += 500
    assert box.error() > 100
    assert box.error() <= (box.keeper.error_ms(box.local) or 0)


def test_a_real_time_clock_serves_until_the_first_exchange() -> None:
    keeper = TimeKeeper()
    keeper.start_from(NOW, 1000.0, 2000.0)
    assert keeper.trusted
    assert keeper.now_ms(1500.0) == NOW + 500
    assert (keeper.error_ms(1500.0) or 0) >= 2000
    assert not keeper.settled
