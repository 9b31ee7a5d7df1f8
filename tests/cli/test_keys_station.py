"""`loa keys station`: from a station's key to the mandate in its file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from controller import keyfiles
from devices.local.key import read_station_key
from devices.protocol.local_orders import open_mandate
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.names import AreaPath

pytestmark = pytest.mark.slow


def test_a_station_gets_its_mandate(tmp_path: Path) -> None:
    keys = keyfiles.create_centre(tmp_path / "keys", AreaPath("quang-ninh"), SystemClock().now_ms(), system_entropy)
    (tmp_path / "pin").write_text("246810\n")
    (tmp_path / "short").write_text("123\n")

    def loa(*words: str, expect: int = 0) -> str:
        run = subprocess.run(
            [sys.executable, "-c", "from loa.cli.main import main; main()", "keys", "station", *words],
            env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, text=True, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert run.returncode == expect, run.stdout + run.stderr
        return run.stdout + run.stderr

    assert "[bad_value]" in loa("new", "station.json", "--name", "Hoa", "--pin-file", "short", expect=1)
    said = loa("new", "station.json", "--name", "Bà Hoa", "--pin-file", "pin")
    public = said.partition("public key ")[2].split()[0]
    assert (tmp_path / "station.json").stat().st_mode & 0o777 == 0o600
    signed = ("--public", public, "--dir", "keys", "--out", "co-to.mandate")
    assert "[bad_area_path]" in loa("mandate", "Đài Cô Tô", "--area", "quang-ninh", *signed, expect=1)
    assert "Đài Cô Tô  quang-ninh/co-to  live" in loa("mandate", "Đài Cô Tô", "--area", "quang-ninh/co-to", *signed)
    loa("take", "station.json", "co-to.mandate")
    assert "Bà Hoa, Ông Nam" in loa("new", "station.json", "--name", "Ông Nam", "--pin-file", "pin")
    held = read_station_key(tmp_path / "station.json")
    assert open_mandate(held.mandate, keys.roots).area == "quang-ninh/co-to"
    assert [pin.fits("246810") for pin in held.pins] == [True, True]
    assert held.key.public_key.hex() == public
    loa("new", "other.json", "--name", "x", "--pin-file", "pin")
    assert "[bad_key_file]" in loa("take", "other.json", "co-to.mandate", expect=1)
