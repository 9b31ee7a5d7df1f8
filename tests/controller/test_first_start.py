"""The first start of a province: its sounds and its account, once."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from audio.voices import Espeak
from controller.accounts import ensure_first_account
from controller.centre import Centre
from controller.config import CentreConfig
from controller.first_start import first_start
from controller.services.stored_sounds import remove_sound, stored_sounds
from devices.links.loopback import LoopbackBroker, LoopbackLink
from loa.errors import OperatorNeeded
from tests.api.duty import CO_TO, Duty
from tests.node.hands import HandClock
from tests.protocol.world import NOW

pytestmark = pytest.mark.slow
SIRENS = [1, 2, 3]


@contextlib.asynccontextmanager
async def _centre(folder: Path, *, voice: str | None = None) -> AsyncIterator[Centre]:
    centre = await Centre.start(CentreConfig(data=folder), HandClock(NOW), link=LoopbackLink(LoopbackBroker()))
    try:
        if voice is not None:
            centre.alerts.voice = Espeak(voice)
        yield centre
    finally:
        await centre.stop()


async def _codes(centre: Centre) -> list[int]:
    ctx = centre.context("loa")
    return [one.code for one in await centre.reading(lambda session: stored_sounds(session, ctx, ctx.province))]


@pytest.mark.needs("espeak-ng")
async def test_a_fresh_province_has_sirens_and_the_announcement_and_what_is_removed_stays_away(tmp_path: Path) -> None:
    async with _centre(tmp_path) as centre:
        assert await _codes(centre) == []
        assert await first_start(centre) is not None
        assert await _codes(centre) == [*SIRENS, 255]
        assert await first_start(centre) is None
        await centre.do("loa", lambda session, ctx: remove_sound(session, ctx, area=ctx.province, code=2))
    async with _centre(tmp_path) as centre:
        assert await first_start(centre) is None
        assert await _codes(centre) == [1, 3, 255]


async def test_without_a_voice_there_are_sirens_and_it_says_what_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="loa")
    async with _centre(tmp_path, voice="no-such-program") as centre:
        assert await first_start(centre) is not None, "an account all the same"
        assert await _codes(centre) == SIRENS
    assert "loa alert sounds shipped" in caplog.text


async def test_killed_before_there_was_an_account_it_is_the_first_start_once_more(tmp_path: Path) -> None:
    async with _centre(tmp_path, voice="no-such-program") as centre:
        with pytest.raises(OperatorNeeded):
            await centre.alerts.install_sounds(account="loa")
    async with _centre(tmp_path, voice="no-such-program") as centre:
        before = await centre.reading(lambda session: stored_sounds(session, centre.context("loa"), centre.province))
        assert await first_start(centre) is not None
        after = await centre.reading(lambda session: stored_sounds(session, centre.context("loa"), centre.province))
        assert after == before, "what was made is not made twice"


async def test_a_box_that_comes_later_fetches_what_went_out_before_it_was_there(tmp_path: Path) -> None:
    clock, broker = HandClock(NOW), LoopbackBroker()
    centre = await Centre.start(CentreConfig(data=tmp_path / "data"), clock, link=LoopbackLink(broker))
    duty = Duty(tmp_path, clock, broker, centre, FastAPI())
    try:
        centre.alerts.voice = Espeak("no-such-program")
        await first_start(centre)
        await clock.advance(120)
        await centre.add_area(CO_TO, "Cô Tô", account="loa")
        box = await duty.box("co-to-1", CO_TO)
        await clock.advance(120)
        digests = {one.digest for one in await centre.reading(lambda s: stored_sounds(s, centre.context("loa"), CO_TO))}
        assert len(digests) == len(SIRENS)
        assert set(box.node.status().renditions) == digests
    finally:
        for box in duty.boxes.values():
            await box.node.stop()
        await centre.stop()


async def test_a_province_that_has_an_account_is_left_as_it_is(tmp_path: Path) -> None:
    async with _centre(tmp_path, voice="no-such-program") as centre:
        await centre.unit_of_work(lambda session: ensure_first_account(session, centre))
        assert await first_start(centre) is None
        assert await _codes(centre) == []
