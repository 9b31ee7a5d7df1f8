"""What was done while the tables were locked is in a backup, whenever it is written meanwhile."""

from dataclasses import replace
from pathlib import Path

import pytest

from controller.backup.making import look_into, restore
from controller.backup.snapshot import take_snapshot
from controller.deedlog import DeedLog
from tests.controller.test_backup import Home, home  # noqa: F401 - a fixture
from tests.controller.test_deedlog import DEED


@pytest.mark.parametrize("when", ["waits", "written meanwhile", "done meanwhile"])
def test_a_deed_that_waits_for_the_tables_is_in_their_copy_or_in_the_backup(
    home: Home,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """Also where it is written between the copy of the tables and that of the files."""
    log = DeedLog(home.data / "deeds.log")
    log.add(DEED)

    def then(url: str, into: Path) -> str:
        revision = take_snapshot(url, into)
        if when == "written meanwhile":
            log.done(log.deeds)
        elif when == "done meanwhile":
            log.add(replace(DEED, alert="cd" * 16))
        return revision

    monkeypatch.setattr("controller.backup.making.take_snapshot", then)
    made = home.back_up(tmp_path / "loa.age")
    log.close()
    assert [one.name for one in look_into(made.path, home.key).files].count("deeds.log") == 1
    restore(made.path, key=home.key, data=tmp_path / "new")
    again = DeedLog(tmp_path / "new" / "deeds.log")
    again.close()
    assert again.deeds == (DEED,)
    assert not list(home.data.glob(".snapshot-*"))
