"""Backed up while it speaks, killed, its disk gone, restored: real processes, as people run them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.controller.wire.waiting import eventually
from tests.real.field import _LOA, Field

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]


async def loa(folder: Path, *words: str, token: str = "", server: str = "", expect: int = 0) -> str:
    """A command beside everything else; what it said."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    environment |= {"LOA_TOKEN": token, "LOA_SERVER": server} if token else {}
    process = await asyncio.create_subprocess_exec(
        *_LOA, *words, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == expect, said.decode()
    return said.decode()


async def test_backed_up_on_the_air_killed_and_restored(
    field_on: Callable[..., Field], mosquitto: Mosquitto, tmp_path: Path
) -> None:
    here = field_on(mosquitto.url)
    centre = here.centre
    server = f"http://127.0.0.1:{centre.port}"
    await here.open()
    for name in ("loa-1", "loa-2"):
        (await here.enrol(name, mosquitto.url)).launch()
    await here.ready()
    bulletin = await centre.bulletin(4.0, "tin")
    backup, key = tmp_path / "loa.age", tmp_path / "backup.key"
    public = (await loa(tmp_path, "backup-key", "new", str(key))).splitlines()[0]

    # On the air while it is backed up.
    before = await centre.say(bulletin, "before")
    made = asyncio.create_task(
        loa(tmp_path, "backup", "--to", str(backup), "--recipient", public, "--data", str(centre.data))
    )
    assert (await here.told([before]))[before] == {"loa-1": "finished", "loa-2": "finished"}
    assert "the record's head" in await made
    late = await centre.bulletin(6.0, "of the lost time", pitch=5.0)
    lost = await centre.say(late, "lost")
    assert (await here.told([lost]))[lost] == {"loa-1": "finished", "loa-2": "finished"}
    export = tmp_path / "before.jsonl"
    await loa(tmp_path, "audit", "export", "--out", str(export), token=centre.token, server=server)
    (issued,) = (await centre.ask("GET", f"/record?verb=issue&object_id={lost}"))["items"]
    await eventually(lambda: all_told(here, issued["number"]), within_s=120, every_s=0.5)

    # Its machine is gone; the boxes stay.
    centre.kill()
    centre.data.rename(tmp_path / "gone")
    said = await loa(tmp_path, "restore", str(backup), "--key", str(key), "--data", str(centre.data))
    assert f"loa serve --data {centre.data}" in said
    assert not (centre.data / "keys" / "roots").exists()
    await centre.start(known=True)
    await here.ready()

    async def receipts_are_back() -> bool:
        items = (await centre.ask("GET", f"/receipts?broadcast={lost}&limit=200"))["items"]
        return {one["node"] for one in items if one["event"] == "finished"} == {"loa-1", "loa-2"}

    await eventually(receipts_are_back, within_s=30, every_s=0.3)
    assert len((await centre.ask("GET", "/record?verb=restore"))["items"]) == 1
    after = await centre.say(bulletin, "after")
    assert (await here.told([after]))[after] == {"loa-1": "finished", "loa-2": "finished"}
    for box in here.boxes.values():
        assert [len(box.recordings(one)) for one in (before, lost, after)] == [1, 1, 1]
    await the_record_says_so(here, tmp_path, server, export)


async def all_told(here: Field, number: int) -> bool:
    """Every node has told of a head that has this entry before it."""
    found = await here.centre.ask("GET", "/record/heads")
    return {one["node"] for one in found if one["head"]["number"] >= number} == here.boxes.keys()


async def the_record_says_so(here: Field, folder: Path, server: str, export: Path) -> None:
    """To people who ask, and to an auditor with a box in hand."""
    centre = here.centre

    async def named() -> bool:
        return bool((await centre.ask("GET", "/record?verb=lost"))["items"])

    await eventually(named, within_s=40, every_s=0.5)
    now = folder / "now.jsonl"
    await loa(folder, "audit", "export", "--out", str(now), token=centre.token, server=server)
    box = here.boxes["loa-1"]
    box.stop()
    data = box.file.folder / "data"
    roots = str(centre.data / "keys" / "roots.json")
    proof = ["audit", "verify", "--heads-of", str(data), "--roots", roots]
    said = await loa(folder, *proof, str(now))
    assert "was lost by a restore" in said
    assert "The record is whole." in said
    # What was exported before the disk was lost ends before what this box was told later.
    assert "WRONG record_truncated" in await loa(folder, *proof, str(export), expect=1)
