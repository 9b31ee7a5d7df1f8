"""The station's file: its example works, and what is wrong is named."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from devices.station.config import EXAMPLE, parse_config, read_config
from loa.cli.station import app
from loa.errors import Refused
from loa.problems import explain

FILE = """id = "dai"
broker = "mqtt://h"
[bus]
port = "/dev/x"
baud = 38400
[[drop]]
address = 4
node = "a"

[[drop]]
address = 4
node = "b"
"""


def test_the_example_is_a_good_file() -> None:
    config = parse_config(EXAMPLE)
    assert [drop.address for drop in config.drops] == [1, 2]
    assert config.password is None


def test_two_nodes_on_one_address_are_refused_naming_both_lines() -> None:
    with pytest.raises(Refused) as refused:
        parse_config(FILE)
    assert refused.value.code == "duplicate_bus_address"
    assert (refused.value.values["first"], refused.value.values["second"]) == (7, 11)
    assert "(lines 7 and 11)" in explain(refused.value, "en").title
    with pytest.raises(Refused, match="first=8 second=12"):
        parse_config(FILE.replace("address = 4", "address = 5", 1).replace('"b"', '"a"'))


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("address = 4", "address = 0", "drop[1].address"),
        ("address = 4", "address = 255", "drop[1].address"),
        ('node = "a"', 'node = "A#"', "drop[1].node"),
        ("baud = 38400", "baud = 1", "bus.baud"),
        ('port = "/dev/x"', "", "bus.port"),
        ('id = "dai"', "", "id"),
        ('id = "dai"', 'id = "dai"\ncolour = 1', "colour"),
        ('broker = "mqtt://h"', "broker = 1", "broker"),
        ("[bus]", "[bus", "config"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, field: str) -> None:
    good = FILE.replace("address = 4", "address = 9", 1)
    parse_config(good)
    with pytest.raises(Refused) as refused:
        parse_config(good.replace(old.replace("= 4", "= 9"), new, 1))
    assert refused.value.code == "bad_station_config"
    assert refused.value.field == field


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        read_config(tmp_path / "none.toml")


def test_the_command_prints_its_example_and_checks_a_file(tmp_path: Path) -> None:
    runner = CliRunner()
    printed = runner.invoke(app, ["--example"])
    assert printed.output == EXAMPLE
    file = tmp_path / "station.toml"
    file.write_text(printed.output)
    assert "2 wired nodes" in runner.invoke(app, ["--config", str(file), "--check"]).output
    assert runner.invoke(app, []).exit_code == 2
