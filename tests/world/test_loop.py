"""The virtual loop: time passes only when nothing else is left to do, and always the same way."""

import asyncio

import pytest

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
