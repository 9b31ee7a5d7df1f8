"""Disks that are full, of the centre and of a box: said clearly, nothing stored is lost, and what can sound sounds."""

import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.brokers import Mosquitto
from tests.controller.wire.waiting import eventually
from tests.real.field import Field, pause, recording

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
Disk = Callable[[str, int], Path]


def fill(folder: Path, leave: int) -> Path:
    """Somebody else's file, that leaves this many bytes."""
    ballast = folder / "ballast"
    ballast.unlink(missing_ok=True)
    disk = os.statvfs(folder)
    with ballast.open("wb", buffering=0) as file:
        left = disk.f_bavail * disk.f_frsize - leave
        try:
            while left > 0:
                left -= file.write(bytes(min(left, 1 << 16)))
        except OSError:
            pass
    return ballast


async def _upload(here: Field, title: str) -> httpx.Response:
    form = {"title": title, "area": "quang-ninh", "chime": "false"}
    files = {"file": ("a.wav", recording(3, 9.5))}
    return await here.centre.reply("POST", "/bulletins?wait=20", data=form, files=files)


async def _said_full(here: Field, title: str) -> str:
    """The code with which an upload was refused: at once, or as the outcome of its import."""
    reply = await _upload(here, title)
    if reply.status_code == 507:
        return str(reply.json()["code"])
    item = await here.centre.imported(reply.json())
    assert (reply.status_code < 300, item["status"]) == (True, "failed"), reply.text
    assert item["problem"]["status"] == 507, item
    return str(item["problem"]["code"])


async def test_the_centres_disk(field_on: Callable[..., Field], mosquitto: Mosquitto, small_disk: Disk) -> None:
    disk = small_disk("centre-disk", 96)
    here = field_on(mosquitto.url, folder=disk)
    centre = here.centre
    await here.open()
    (await here.enrol("loa-1", mosquitto.url)).launch()
    await here.ready()
    kept = await centre.bulletin(3, "Có sẵn")
    await here.told([await centre.say(kept, "before")], within_s=60)
    digest_before = await _audio(here, kept)

    fill(disk, 32 << 20)  # below what is kept free for the database
    assert await _said_full(here, "quá đầy") in ("storage_full", "centre_full")
    async with centre.client() as client:
        assert (await client.get("/healthz")).json()["disk"] == "failed"
    await here.told([await centre.say(kept, "on-the-reserve")], within_s=60)

    planned = await centre.schedule(kept, "slot", in_s=12)
    await eventually(lambda: _planned(here, planned["id"]), every_s=0.2)
    await pause(2)
    ballast = fill(disk, 0)  # nothing at all is left
    refused = await _refusals(here, kept)
    assert set(refused) <= {"storage_full", "centre_full"}, refused
    slot = next(one["id"] for one in await centre.broadcasts() if one["programme"] == planned["id"])
    await eventually(lambda: bool(here.boxes["loa-1"].recordings(slot)), within_s=60)
    assert await _audio(here, kept) == digest_before, "what is stored can be heard"

    ballast.unlink()
    found = await here.told([slot, await centre.say(kept, "after")], within_s=60)
    assert all(outcome == "finished" for one in found.values() for outcome in one.values()), found
    assert (await _upload(here, "lại có chỗ")).status_code in (201, 202, 507)  # the reserve is larger than this disk
    titles = [one["title"] for one in await centre.broadcasts()]
    assert len(titles) == len(set(titles))
    assert "before" in titles


async def _audio(here: Field, bulletin: str) -> bytes:
    made = await here.centre.ask("GET", f"/bulletins/{bulletin}")
    reply = await here.centre.reply("GET", made["renditions"][0]["audio"].removeprefix("/api/v1"))
    assert reply.status_code == 200, reply.text
    return reply.content


async def _planned(here: Field, programme: str) -> bool:
    return any(one["programme"] == programme for one in await here.centre.broadcasts())


async def _refusals(here: Field, bulletin: str) -> list[str]:
    """Whatever is refused on a full disk; what is not refused is kept, and is heard."""
    codes = []
    for n in range(6):
        body = {"bulletins": [bulletin], "target_areas": ["quang-ninh/co-to"], "title": f"full-{n}"}
        reply = await here.centre.reply("POST", "/broadcasts", json=body)
        print(f"full-{n}: {reply.status_code}")
        if reply.status_code >= 300:
            assert reply.status_code == 507, reply.text
            codes.append(str(reply.json()["code"]))
    codes.append(await _said_full(here, "không còn chỗ"))
    return codes


async def test_a_boxs_disk(field: Field, mosquitto: Mosquitto, small_disk: Disk) -> None:
    disk = small_disk("box-disk", 3)
    centre = field.centre
    await field.open()
    box = await field.enrol("loa-1", mosquitto.url, data=disk / "data")
    box.launch()
    await field.ready()
    first, second = await centre.bulletin(6, "Một"), await centre.bulletin(8, "Hai", pitch=11)
    await field.told([await centre.say(first, "one")], within_s=60)
    await field.holding_sounds()
    fill(disk, (1 << 20) + 15_000)  # 15 kB above what the box keeps free for its journal: the second alone has room
    two = await centre.say(second, "two")
    assert (await field.told([two], within_s=60))[two] == {"loa-1": "finished"}
    fill(disk, 200_000)  # somebody has taken most of what is kept for orders and the journal, too
    three = await centre.say(second, "three")
    assert (await field.told([three], within_s=60))[three] == {"loa-1": "finished"}
    fill(disk, 0)
    four = await centre.say(await centre.bulletin(2, "Bốn", pitch=13), "four")
    assert (await field.told([four], within_s=60))[four] == {"loa-1": "skipped"}, "it has no room, and says so"
    box.stop()
    (disk / "ballast").unlink()
    box.launch()
    await field.ready()
    five = await centre.say(first, "five")
    assert (await field.told([five], within_s=60))[five] == {"loa-1": "finished"}
    assert len(box.recordings()) == 4, "each once"
