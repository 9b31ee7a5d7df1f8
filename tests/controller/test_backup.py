"""Backups: whole or not there, read by the offline key alone, restored into an empty folder or not at all."""

import asyncio
import contextlib
import errno
import io
import os
import resource
import sqlite3
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from controller import keyfiles
from controller.backup import archive, making
from controller.backup.making import Made, look_into, make_backup, restore
from controller.backup.sealing import new_key, opened, read_key, seal_to
from controller.config import load_config
from controller.restored import MARK
from controller.services.chain import newest
from controller.store import Database
from controller.tables import Account, Area, Bulletin, Node, RecordEntry
from loa.cli import backup as backup_cli
from loa.cli import restore as restore_cli
from loa.cli.backup_key import app as key_app
from loa.errors import Fault, Refused
from loa.names import AreaPath
from loa.units import InstantMs
from tests.controller.services.conftest import CountedEntropy, HandClock, World, build
from tests.controller.wire.waiting import eventually
from tests.postgres import Postgres

NOW = InstantMs(1_790_000_000_000)


@dataclass
class Home:
    """A centre's data folder with everything in it, and a backup key."""

    data: Path
    world: World
    key: Path
    public: str

    @property
    def url(self) -> str:
        return f"sqlite:///{self.data / 'loa.db'}"

    def back_up(self, to: Path, url: str = "") -> Made:
        return make_backup(
            data=self.data, database_url=url or self.url, province="quang-ninh", to=to, recipients=[self.public],
            now_ms=NOW, entropy=CountedEntropy(),
        )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    data = tmp_path / "data"
    (data / "media").mkdir(parents=True)
    keyfiles.create_centre(data / "keys", AreaPath("quang-ninh"), NOW, CountedEntropy())
    db = Database(f"sqlite:///{data / 'loa.db'}", inline=True)
    db.upgrade()
    world = build(db, data / "media")
    world.bulletin("Tin sáng")
    (data / "loa.toml").write_text('broker = "auto"\n')
    (data / "totp.key").write_bytes(b"a secret that is outside the tables")
    for name in ("broker/mosquitto.log", "incoming/half", "streams.json", "lock"):
        path = data / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("made anew")
    key = tmp_path / "backup.key"
    yield Home(data, world, key, new_key(key))
    db.close()


def told(data: Path, url: str = "") -> dict[str, object]:
    """What a data folder's tables hold."""
    db = Database(url or f"sqlite:///{data / 'loa.db'}", inline=True)
    try:
        return {
            cls.__name__: db.read(lambda s, c=cls: sorted(str(row.model_dump()) for row in s.exec(select(c))))  # type: ignore[misc]
            for cls in (Area, Node, Bulletin, Account, RecordEntry)
        } | {"head": db.read(newest)}
    finally:
        db.close()


def files(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("loa.db")}


def test_what_was_backed_up_is_restored(home: Home, tmp_path: Path) -> None:
    made = home.back_up(tmp_path / "loa.age")
    found = restore(made.path, key=home.key, data=tmp_path / "new")
    assert told(tmp_path / "new") == told(home.data)
    assert found.heading == made.heading
    kept = files(home.data)
    for name in [one for one in kept if one.startswith(("broker/", "incoming/", "keys/roots/", "."))]:
        del kept[name]
    del kept["streams.json"], kept["lock"]
    restored = files(tmp_path / "new")
    assert restored.pop(MARK)
    assert restored == kept
    assert "totp.key" in restored
    assert sum(name.startswith("media/") for name in restored) == 1
    assert (tmp_path / "new" / "keys" / "controller.json").stat().st_mode & 0o777 == 0o600


def test_what_the_broker_was_given_goes_along(home: Home, tmp_path: Path) -> None:
    for folder in (tmp_path / "etc", home.data / "mosquitto"):
        folder.mkdir()
        (folder / "ca.key").write_text("without it no box would know the broker again")
        (folder / "mosquitto.log").write_text("grows while it is read")
        (folder / "mosquitto.pid").write_text("gone when the broker starts anew")
        made = make_backup(
            data=home.data, database_url=home.url, province="quang-ninh", to=tmp_path / f"{folder.name}.age",
            recipients=[home.public], now_ms=NOW, entropy=CountedEntropy(), broker_files=folder,
        )  # fmt: skip
        names = [one.name for one in look_into(made.path, home.key).files]
        assert ("broker-files/ca.key" in names) is (folder.name == "etc")
        assert not [name for name in names if name.endswith((".log", ".pid"))]
        assert ("mosquitto/ca.key" in names) is (folder.name == "mosquitto")


def test_the_roots_private_keys_are_in_no_backup(home: Home, tmp_path: Path) -> None:
    made = home.back_up(tmp_path / "loa.age")
    with opened(made.path, read_key(home.key)) as plain:
        everything = plain.read()
    assert keyfiles.read_key(home.data / "keys" / "controller.json").seed.hex().encode() in everything  # the control
    seeds = [keyfiles.read_key(path).seed for path in (home.data / "keys" / "roots").glob("*.json")]
    assert len(seeds) == 3
    assert not any(seed.hex().encode() in everything for seed in seeds)


def test_the_server_cannot_read_what_it_wrote(home: Home, tmp_path: Path) -> None:
    made = home.back_up(tmp_path / "loa.age")
    sealed = made.path.read_bytes()
    assert sealed.startswith(b"age-encryption.org/v1\n")
    assert b"SQLite format 3" not in sealed
    assert b"seed" not in sealed
    other = tmp_path / "other.key"
    new_key(other)
    with pytest.raises(Refused, match="backup_wrong_key"):
        restore(made.path, key=other, data=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_snapshot_is_of_one_moment_while_others_write(home: Home, tmp_path: Path) -> None:
    """A writer with an open transaction neither holds the backup up nor gets into it."""
    other = sqlite3.connect(home.data / "loa.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO area (path, name, kind, created_at) VALUES ('half', 'half', '', 1)")
    made = home.back_up(tmp_path / "loa.age")
    other.execute("COMMIT")
    other.close()
    restore(made.path, key=home.key, data=tmp_path / "new")
    assert "'half'" in str(told(home.data)["Area"])
    assert "'half'" not in str(told(tmp_path / "new")["Area"])


def test_a_backup_cut_off_or_damaged_anywhere_restores_nothing(home: Home, tmp_path: Path) -> None:
    whole = home.back_up(tmp_path / "loa.age").path.read_bytes()
    spoilt = tmp_path / "spoilt.age"
    cases = [whole[:cut] for cut in (0, 10, 150, 300, 70_000, len(whole) // 2, len(whole) - 1)]
    cases += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), len(whole) // 40)]
    for number, case in enumerate(cases):
        spoilt.write_bytes(case)
        with pytest.raises(Refused) as caught:
            restore(spoilt, key=home.key, data=tmp_path / "new")
        assert caught.value.code in ("backup_damaged", "backup_wrong_key"), number
        assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new*"))


def test_a_folder_with_something_in_it_is_never_touched(home: Home, tmp_path: Path) -> None:
    made = home.back_up(tmp_path / "loa.age")
    before = files(home.data)
    with pytest.raises(Refused, match="not_empty"):
        restore(made.path, key=home.key, data=home.data)
    assert files(home.data) == before
    (tmp_path / "empty").mkdir()
    restore(made.path, key=home.key, data=tmp_path / "empty")
    assert told(tmp_path / "empty") == told(home.data)


def test_a_dry_run_checks_everything_and_writes_nothing(home: Home, tmp_path: Path) -> None:
    made = home.back_up(tmp_path / "loa.age")
    before = sorted(tmp_path.rglob("*"))
    found = look_into(made.path, home.key)
    assert {"loa.db", "keys/controller.json", "loa.toml"} <= {one.name for one in found.files}
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_leaves_no_file_under_the_backups_name(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    real = os.fdopen

    def full(handle: int, mode: str = "r", *more: object) -> object:
        if mode != "wb":
            return real(handle, mode, *more)  # type: ignore[call-overload]
        os.close(handle)
        return Full()

    monkeypatch.setattr("controller.backup.making.os.fdopen", full)
    with pytest.raises(Fault, match="storage_full"):
        home.back_up(tmp_path / "loa.age")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.key", "data"]
    assert not list(home.data.glob(".snapshot*"))


def test_one_backup_at_a_time_and_what_a_killed_one_left_goes(home: Home, tmp_path: Path) -> None:
    (home.data / ".snapshot-of-a-killed-one").write_text("plain tables")
    with making._alone(home.data):
        assert not (home.data / ".snapshot-of-a-killed-one").exists()
        with pytest.raises(Refused, match="already_running"):
            home.back_up(tmp_path / "loa.age")
    home.back_up(tmp_path / "loa.age")
    with pytest.raises(Refused, match="already_exists"):
        home.back_up(tmp_path / "loa.age")


def test_a_backup_made_by_somebody_else_cannot_write_outside(home: Home, tmp_path: Path) -> None:
    """Whoever knows the public key can make a file that decrypts."""
    for name in ("../outside", "/tmp/outside", "a/../../outside", "./a", "a//b"):
        member = tarfile.TarInfo(name)
        heading = archive.Heading("a" * 32, NOW, "quang-ninh", "0005", "")
        pieces = [*archive._small(archive.FIRST, {"form": archive.FORM, **vars(heading)}), member.tobuf(), bytes(1024)]
        evil = tmp_path / "evil.age"
        with evil.open("wb") as file:
            seal_to(iter(pieces), file, [home.public])
        with pytest.raises(Refused, match="backup_damaged"):
            restore(evil, key=home.key, data=tmp_path / "new")
        assert not (tmp_path / "outside").exists()
        evil.unlink()


def test_a_link_in_a_backup_is_refused(home: Home, tmp_path: Path) -> None:
    link = tarfile.TarInfo("loa.toml")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    heading = archive.Heading("a" * 32, NOW, "quang-ninh", "0005", "")
    pieces = [*archive._small(archive.FIRST, {"form": archive.FORM, **vars(heading)}), link.tobuf(), bytes(1024)]
    with (tmp_path / "evil.age").open("wb") as file:
        seal_to(iter(pieces), file, [home.public])
    with pytest.raises(Refused, match="backup_damaged"):
        restore(tmp_path / "evil.age", key=home.key, data=tmp_path / "new")


def test_a_backup_of_newer_tables_is_refused(home: Home, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(home.data / "loa.db")) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
    made = home.back_up(tmp_path / "loa.age")
    with pytest.raises(Refused, match="backup_of_other_version"):
        restore(made.path, key=home.key, data=tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_gigabytes_do_not_need_memory(home: Home, tmp_path: Path) -> None:
    """A file with holes: 300 MB to read, and none of it held at once."""
    big = home.data / "media" / ("ab" * 32 + ".opus")
    with big.open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = home.back_up(tmp_path / "loa.age")
    assert look_into(made.path, home.key).files
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024  # KiB


@pytest.mark.slow
@pytest.mark.needs("postgresql")
def test_from_sqlite_to_postgresql_and_back(home: Home, tmp_path: Path, postgres: Postgres) -> None:
    made = home.back_up(tmp_path / "1.age")
    url = postgres.fresh_url()
    restore(made.path, key=home.key, data=tmp_path / "second", database_url=url)
    assert not (tmp_path / "second" / "loa.db").exists()
    assert told(tmp_path / "second", url) == told(home.data)
    again = make_backup(
        data=tmp_path / "second", database_url=url, province="quang-ninh", to=tmp_path / "2.age",
        recipients=[home.public], now_ms=NOW, entropy=CountedEntropy(),
    )  # fmt: skip
    assert again.heading.record == made.heading.record
    restore(again.path, key=home.key, data=tmp_path / "third")
    assert told(tmp_path / "third") == told(home.data)
    with pytest.raises(Refused, match="database_not_empty"):
        restore(made.path, key=home.key, data=tmp_path / "fourth", database_url=url)
    assert not (tmp_path / "fourth").exists()


# The commands.


def test_the_commands(home: Home, tmp_path: Path) -> None:
    runner = CliRunner()
    key = tmp_path / "offline.key"
    public = runner.invoke(key_app, ["new", str(key)]).stdout.splitlines()[0]
    assert key.stat().st_mode & 0o777 == 0o600
    assert runner.invoke(key_app, ["show", str(key)]).stdout.strip() == public
    assert isinstance(runner.invoke(key_app, ["new", str(key)]).exception, Refused)
    given = ["--to", str(tmp_path / "loa.age"), "--data", str(home.data)]
    refusal = runner.invoke(backup_cli.app, given).exception
    assert isinstance(refusal, Refused)
    assert refusal.code == "recipient_missing"
    (home.data / "backup.recipient").write_text(public + "\n")
    made = runner.invoke(backup_cli.app, given)
    assert made.exit_code == 0, made.output
    shown = runner.invoke(restore_cli.app, [str(tmp_path / "loa.age"), "--key", str(key), "--dry-run"])
    assert "keys/controller.json" in shown.output
    assert "It is whole" in shown.output
    done = runner.invoke(
        restore_cli.app, [str(tmp_path / "loa.age"), "--key", str(key), "--data", str(tmp_path / "new")]
    )
    assert done.exit_code == 0, done.output
    assert told(tmp_path / "new") == told(home.data)


def test_only_the_newest_backups_of_this_province_stay(tmp_path: Path) -> None:
    names = [f"loa-quang-ninh-2026112{n}T000000Z.age" for n in range(5)]
    for name in [*names, "loa-hai-phong-20261101T000000Z.age", "other.txt", "loa-quang-ninh-x.age"]:
        (tmp_path / name).touch()
    assert [path.name for path in backup_cli.pruned(tmp_path, "quang-ninh", 2)] == names[:3]
    assert len(list(tmp_path.iterdir())) == 5


def test_how_often_is_said_in_words() -> None:
    assert [backup_cli.seconds_of(text) for text in ("30m", "24h", "7d")] == [1800, 86_400, 604_800]
    for bad in ("", "24", "0h", "h", "1w", "-1h"):
        with pytest.raises(Refused, match="bad_value"):
            backup_cli.seconds_of(bad)


class Hours(HandClock):
    """Ends the loop after so many waits, as Ctrl-C does; notes how long each was."""

    def __init__(self, most: int) -> None:
        super().__init__(NOW)
        self.most, self.waits = most, list[float]()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await super().sleep(seconds)
        if len(self.waits) == self.most:
            raise KeyboardInterrupt


def test_again_and_again_a_failure_is_tried_sooner_and_costs_no_older_one(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    config = load_config(data=home.data)
    clock = Hours(3)
    backup_cli.go_on(config, folder, [home.public], pause_s=86_400, keep=2, clock=clock)
    assert clock.waits == [86_400.0] * 3
    kept = sorted(folder.iterdir())
    assert len(kept) == 2  # the third is the newest, the first is gone
    (home.data / "keys").rename(home.data / "away")
    clock = Hours(2)
    clock.at += 4 * 86_400_000
    backup_cli.go_on(config, folder, [home.public], pause_s=86_400, keep=2, clock=clock)
    assert clock.waits == [600.0] * 2
    assert sorted(folder.iterdir()) == kept
    assert capsys.readouterr().err.count("no_centre_here") == 2


@pytest.mark.slow
async def test_killed_in_the_middle_it_leaves_nothing_under_the_name(home: Home, tmp_path: Path) -> None:
    with (home.data / "media" / ("cd" * 32 + ".opus")).open("wb") as file:
        file.truncate(2000 * 1024 * 1024)  # holes: quick to make, and not quick to encrypt
    to = tmp_path / "out" / "loa.age"
    words = ["backup", "--to", str(to), "--recipient", home.public, "--data", str(home.data)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from loa.cli.main import main; main()", *words
    )
    part = to.with_name(".loa.age.part")
    await eventually(lambda: part.is_file() and part.stat().st_size > 1_000_000, within_s=60)
    process.kill()
    await process.wait()
    assert not to.exists()
    assert list(home.data.glob(".snapshot-*"))  # the control: it was in the middle
    (home.data / "media" / ("cd" * 32 + ".opus")).unlink()
    home.back_up(to)
    assert [path.name for path in to.parent.iterdir()] == ["loa.age"]
    assert not list(home.data.glob(".snapshot-*"))
