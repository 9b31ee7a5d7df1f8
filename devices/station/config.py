"""A station's configuration, one TOML file."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from devices.links.serial_frames import HIGHEST_NODE
from devices.protocol.label import centre_address
from loa.errors import LoaError, Refused
from loa.names import node_id
from loa.units import NodeId, StationId

BAUDS = (9600, 19200, 38400, 57600, 115200)

EXAMPLE = """\
# A commune's station: one serial bus with wired loudspeakers on it, and a way to the broker.

id = "dai-hoanh-mo"                      # the station's name on the broker
broker = "mqtt://127.0.0.1:1883"         # or mqtts://host:8883
# username = "station.dai-hoanh-mo"      # by default, where there is a password; it speaks for its wired nodes
# password_file = "/etc/loa/broker.password"   # from `loa nodes password dai-hoanh-mo --station`
# ca_file = "/etc/loa/ca.pem"            # the broker's authority; no dates are looked at
# centre = "https://loa.example.vn:8443" # where wired boxes with a label are enrolled through this station

[bus]
port = "/dev/ttyUSB0"                    # an RS-485 adapter that switches direction by itself
baud = 38400                             # 9600, 19200, 38400, 57600 or 115200; 8 data bits, no parity

# A keypad or a terminal at the station: PIN*CODE# sounds a stored alert here, without the centre; PIN*0# ends it.
# [local]
# port = "/dev/ttyUSB1"                  # a serial line; 8 data bits, no parity
# baud = 9600
# key_file = "/etc/loa/station.json"     # from `loa station key`

# One table a wired node: its address on the bus (1 to 254, each once) and its name on the wire.
[[drop]]
address = 1
node = "hoanh-mo-day-1"

[[drop]]
address = 2
node = "hoanh-mo-day-2"
"""


@dataclass(frozen=True)
class DropEntry:
    address: int
    node: NodeId


@dataclass(frozen=True)
class LocalEntry:
    port: str
    baud: int
    key_file: str


@dataclass(frozen=True)
class StationConfig:
    """What a station needs to know. It knows nothing of places: nodes tell it what they listen to."""

    id: StationId
    broker: str
    port: str
    baud: int
    drops: tuple[DropEntry, ...]
    username: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    centre: str | None = None
    """The centre's API, https://host:port, for wired boxes that enrol by a label."""
    local: LocalEntry | None = None
    """Where somebody may sound stored alerts by hand."""

    @property
    def login(self) -> str | None:
        """Its name at the broker: as given, otherwise the one that `loa broker-config` knows it by."""
        return self.username or (f"station.{self.id}" if self.password_file is not None else None)

    @property
    def authority(self) -> str | None:
        """PEM of whose certificates the broker's may be. Raises Refused(bad_station_config)."""
        return None if self.ca_file is None else _read(self.ca_file, "ca_file")

    @property
    def password(self) -> str | None:
        """Raises Refused(bad_station_config) where the file cannot be read."""
        return None if self.password_file is None else _read(self.password_file, "password_file").strip()


def _read(path: str, field: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise _bad(field, str(error)) from error


def _bad(field: str, reason: str) -> Refused:
    return Refused("bad_station_config", field=field, reason=reason)


def read_config(path: Path) -> StationConfig:
    """Read and check. Raises Refused(bad_station_config) or Refused(duplicate_bus_address), naming both lines."""
    try:
        return parse_config(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _bad("config", str(error)) from error


def parse_config(text: str) -> StationConfig:
    """As `read_config`, from the file's text."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _bad("config", str(error)) from error
    unknown = set(raw) - {"id", "broker", "username", "password_file", "ca_file", "centre", "bus", "drop", "local"}
    if unknown:
        raise _bad(sorted(unknown)[0], "unknown word")
    bus = raw.get("bus")
    if not isinstance(bus, dict) or not isinstance(bus.get("port"), str):
        raise _bad("bus.port", "the serial port's path is missing")
    if bus.get("baud") not in BAUDS:
        raise _bad("bus.baud", f"one of {', '.join(map(str, BAUDS))}")
    entries = raw.get("drop")
    if not isinstance(entries, list) or not entries:
        raise _bad("drop", "at least one [[drop]]")
    drops = tuple(_drop(entry, number) for number, entry in enumerate(entries, 1))
    _refuse_duplicates(drops, text)
    return StationConfig(
        StationId(_name(raw.get("id"), "id")),
        _text(raw.get("broker"), "broker"),
        bus["port"],
        bus["baud"],
        drops,
        raw.get("username"),
        raw.get("password_file"),
        raw.get("ca_file"),
        None if raw.get("centre") is None else centre_address(_text(raw["centre"], "centre")),
        _local(raw.get("local"), bus["port"]),
    )


def _local(raw: object, bus_port: str) -> LocalEntry | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or set(raw) - {"port", "baud", "key_file"}:
        raise _bad("local", "port, baud and key_file")
    port, baud = _text(raw.get("port"), "local.port"), raw.get("baud", 9600)
    if port == bus_port:
        raise _bad("local.port", "the bus is on this port")
    if type(baud) is not int or not 300 <= baud <= 115_200:
        raise _bad("local.baud", "300 to 115200")
    return LocalEntry(port, baud, _text(raw.get("key_file"), "local.key_file"))


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise _bad(field, "text is missing")
    return value


def _name(value: object, field: str) -> NodeId:
    try:
        return node_id(_text(value, field))
    except LoaError as error:
        raise _bad(field, str(error)) from error


def _drop(entry: object, number: int) -> DropEntry:
    field = f"drop[{number}]"
    if not isinstance(entry, dict):
        raise _bad(field, "not a table")
    address = entry.get("address")
    if type(address) is not int or not 1 <= address <= HIGHEST_NODE:
        raise _bad(f"{field}.address", f"1 to {HIGHEST_NODE}")
    return DropEntry(address, _name(entry.get("node"), f"{field}.node"))


def _refuse_duplicates(drops: tuple[DropEntry, ...], text: str) -> None:
    """Two nodes on one address would answer at once; neither would be heard."""
    for word, values in (("address", [d.address for d in drops]), ("node", [d.node for d in drops])):
        lines = [number for number, line in enumerate(text.splitlines(), 1) if re.match(rf"\s*\"?{word}\"?\s*=", line)]
        seen: dict[object, int] = {}
        for at, value in enumerate(values):
            if value in seen:
                known = len(lines) == len(values)
                first, second = (lines[seen[value]], lines[at]) if known else (seen[value] + 1, at + 1)
                raise Refused("duplicate_bus_address", field=f"drop.{word}", value=value, first=first, second=second)
            seen[value] = at
