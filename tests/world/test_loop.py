"""The virtual loop: time passes only when nothing else is left to do, and always the same way."""

import asyncio

import pytest

from loa.clock import Bell
from loa.units import InstantMs
from simulators.world.loop import NothingLeft, VirtualClock, VirtualLoop, run_virtually


def test_a_year_passes_at_once_and_to_the_instant() -> None:
    loop = VirtualLoop()
    clock = VirtualClock(loop, InstantMs(1_000))

    async def main() -> int:
        await clock.sleep(365 * 86_400)
        return clock.now_ms()

    assert run_virtually(main(), loop=loop) == 1_000 + 365 * 86_400_000


def test_things_happen_in_the_order_of_their_instants() -> None:
    loop = VirtualLoop()
    story: list[str] = []

    async def at(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        story.append(f"{loop.time():.1f} {name}")

    async def main() -> None:
        await asyncio.gather(at(2, "b"), at(1, "a"), at(2, "c"), at(0, "start"))

    run_virtually(main(), loop=loop)
    assert story == ["0.0 start", "1.0 a", "2.0 b", "2.0 c"]


def test_waiting_for_what_never_comes_is_told() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(NothingLeft):
        run_virtually(main())


def test_threads_run_inline() -> None:
    async def main() -> int:
        return await asyncio.to_thread(lambda: 6 * 7)

    assert run_virtually(main()) == 42


def test_what_is_left_behind_is_cancelled() -> None:
    ends: list[str] = []

    async def for_ever() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            ends.append("cancelled")

    async def main() -> None:
        task = asyncio.create_task(for_ever())
        await asyncio.sleep(1)
        assert not task.done()

    run_virtually(main())
    assert ends == ["cancelled"]


def test_a_timer_that_was_cancelled_does_not_ring_and_costs_no_room() -> None:
    loop = VirtualLoop()
    rang: list[int] = []

    async def main() -> None:
        timers = [loop.call_at(100.0 + number % 7, rang.append, number) for number in range(1_000)]
        for number, timer in enumerate(timers):
            if number % 10:
                timer.cancel()
                timer.cancel()
        assert len(loop._later) < 300
        assert all(timer.cancelled() for number, timer in enumerate(timers) if number % 10)
        await asyncio.sleep(104.5)
        assert timers[-10].when() == 100.0 + 990 % 7
        timers[0].cancel()  # it rang long ago
        await asyncio.sleep(200)

    run_virtually(main(), loop=loop)
    assert rang == sorted(range(0, 1_000, 10), key=lambda number: (number % 7, number)), "first asked for, first done"


def test_what_is_cancelled_by_another_of_the_same_instant_does_not_happen() -> None:
    loop = VirtualLoop()
    rang: list[str] = []
    timers: list[asyncio.TimerHandle] = []

    async def main() -> None:
        loop.call_at(1.0, lambda: timers.pop().cancel())
        timers.append(loop.call_at(1.0, rang.append, "second"))
        loop.call_at(1.0, rang.append, "third")
        await asyncio.sleep(2)

    run_virtually(main(), loop=loop)
    assert rang == ["third"]


def test_a_mistake_in_a_timer_is_told_and_the_others_go_on() -> None:
    loop = VirtualLoop()
    told: list[object] = []
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))

    async def main() -> float:
        loop.call_later(1.0, int, "none")
        await asyncio.sleep(2)
        return loop.time()

    assert run_virtually(main(), loop=loop) == 2.0
    assert [type(error) for error in told] == [ValueError]


def test_a_bell_wakes_all_who_listen_and_nobody_waits_longer_than_they_said() -> None:
    loop = VirtualLoop()
    clock = VirtualClock(loop, InstantMs(0))

    async def main() -> None:
        bell = Bell()

        async def waits(seconds: float) -> tuple[bool, float]:
            return await bell.rings_within(clock, seconds), loop.time()

        listeners = [asyncio.create_task(waits(seconds)) for seconds in (1.0, 5.0, 9.0)]
        given_up = asyncio.create_task(waits(4.0))
        await clock.sleep(2)
        given_up.cancel()
        await clock.sleep(1)
        bell.set()
        bell.clear()  # whoever listened has been woken all the same
        assert await asyncio.gather(*listeners) == [(False, 1.0), (True, 3.0), (True, 3.0)]
        assert given_up.cancelled()
        bell.set()
        assert await waits(1.0) == (True, 3.0)
        assert all(timer.cancelled() for _, _, timer in loop._later), "no timer is left behind"

    run_virtually(main(), loop=loop)
