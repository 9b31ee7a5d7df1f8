"""The demo's centre: a recording that is refused harms nothing that is stored."""

from pathlib import Path

import pytest

from controller.services import bulletins
from loa.cli.demo_once import Recording, import_and_approve, prepared_recording
from loa.cli.demo_scene import ACCOUNT, SceneOptions, enrol_province, open_centre
from loa.cli.demo_screen import Screen
from loa.cli.demo_words import DemoWords
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import Refused
from simulators.announcement import write_announcement
from simulators.places import LOUDSPEAKERS, PROVINCE


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
async def test_a_bad_recording_is_refused_and_what_is_stored_stays(tmp_path: Path) -> None:
    clock = SystemClock()
    screen = Screen(DemoWords("en"), clock)
    options = SceneOptions(broker="mosquitto", port=0, heard=tmp_path / "heard", keep=tmp_path / "data")
    write_announcement(tmp_path / "good.wav", seconds=3.0)
    (tmp_path / "bad.mp3").write_bytes((tmp_path / "good.wav").read_bytes()[:2000] * 3)
    async with open_centre(options, clock, system_entropy) as (centre, url, first):
        assert url.startswith("http://127.0.0.1:")
        assert first is not None
        assert len(await enrol_province(centre, system_entropy)) == len(await centre.nodes()) == len(LOUDSPEAKERS)
        good = await import_and_approve(centre, Recording(tmp_path / "good.wav", "good", "good"), screen)
        with pytest.raises(Refused):
            await centre.import_bulletin(tmp_path / "bad.mp3", title="bad", area=PROVINCE, account=ACCOUNT)
        assert await centre.reading(bulletins.list_bulletins) == (good,)
        assert centre.media.holds(good.renditions[0].digest)


async def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    screen = Screen(DemoWords("en"), SystemClock())
    with pytest.raises(Refused, match="file_missing"):
        async with prepared_recording(tmp_path / "nothing.wav", None, screen):
            pass
