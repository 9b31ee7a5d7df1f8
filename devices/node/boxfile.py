"""A box's configuration file (TOML): who it is, how it is connected, where it keeps things, what it sounds with."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devices.node.config import NodeConfig
from loa.errors import Refused

EXAMPLE = """\
# A loudspeaker box. Start it with:  loa node --config /etc/loa/node.toml

# The label on this box, as its QR code reads; or the code below it, together with the centre's address. From it the
# box gets its name, the roots and the way to the broker, once a technician has confirmed it. Once is enough.
enrol = "LOA1+HTTPS://LOA.EXAMPLE.VN:8443+..."
# centre = "https://loa.example.vn:8443"

# Without a label: an identity file (`loa nodes enrol NAME --identity-out FILE`) and the centre's broker.
# identity = "/etc/loa/identity.json"
# broker = "mqtts://loa.example.vn:8883"   # or mqtt://host:1883; left out for a box on a station's bus
# username = "co-to-01"                    # by default the node's name, where there is a password
# password_file = "/etc/loa/broker-password"
# ca_file = "/etc/loa/ca.pem"              # the broker's certificate authority, where the system does not know it

# What it keeps: audio, timetable, journal. One process a folder.
data = "/var/lib/loa-node"

# "sound" plays through the sound card; "record:DIR" writes what would be heard to DIR; "none" only keeps time.
speaker = "sound"
# sound_device = "USB Audio"               # part of the sound card's name; the system's own choice by default

# Where it can be measured whether sound comes out: "capture", or "capture:" and a part of the name of a sound card's
# input: a microphone before the horn, or the line's current through a transformer. "output": trials with record:DIR.
# evidence = "capture:USB Mic"

# The box has a battery clock that is kept right: its time counts until the centre's is known.
rtc_trusted = false

# The most that stored audio may take. Without it: as much as the disk has room for.
# audio_limit_mb = 2000

# [bus]                                    # instead of a broker: a drop on a station's serial bus (needs loa[station])
# port = "/dev/ttyS1"
# baud = 38400
# address = 3

# [local]                                  # a keypad at the box: PIN*CODE# sounds a stored alert here, PIN*0# ends it
# port = "/dev/ttyUSB0"                    # (needs loa[station])
# baud = 9600
# key_file = "/etc/loa/station.json"       # from `loa keys station new`
"""

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "enrol": str,
    "centre": str,
    "identity": str,
    "broker": str,
    "username": str,
    "password_file": str,
    "ca_file": str,
    "data": str,
    "speaker": str,
    "sound_device": str,
    "evidence": str,
    "rtc_trusted": bool,
    "audio_limit_mb": int,
    "health_interval_s": int,
    "bus": dict,
    "local": dict,
}
_BUS_FIELDS: dict[str, type] = {"port": str, "baud": int, "address": int}
_LOCAL_FIELDS: dict[str, type] = {"port": str, "baud": int, "key_file": str}


@dataclass(frozen=True, kw_only=True)
class Bus:
    port: str
    baud: int
    address: int


@dataclass(frozen=True, kw_only=True)
class LocalPort:
    port: str
    baud: int
    key_file: Path


@dataclass(frozen=True, kw_only=True)
class BoxConfig:
    """What a box is run with; either `broker` or `bus`, or a label (`enrol`) that leads to them."""

    enrol: str | None = None
    centre: str | None = None
    identity: Path | None = None
    broker: str | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    data: Path | None = None
    speaker: str = "sound"
    sound_device: str | None = None
    evidence: str | None = None
    """capture, capture:NAME or output; None: there is no sensor."""
    bus: Bus | None = None
    local: LocalPort | None = None
    """Where somebody may sound stored alerts by hand."""
    node: NodeConfig = NodeConfig()

    def password(self) -> str | None:
        """Raises Refused(bad_box_config)."""
        if self.password_file is None:
            return None
        try:
            return self.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise _bad("password_file", str(error)) from error


def _bad(field: str, reason: str) -> Refused:
    return Refused("bad_box_config", field=field, reason=reason)


def read_box_file(path: Path) -> BoxConfig:
    """Raises Refused(bad_box_config), naming the field. Paths in it are relative to the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _bad("config", str(error)) from error
    return parse_box_file(text, path.parent)


def parse_box_file(text: str, folder: Path) -> BoxConfig:
    """As `read_box_file`, from the text; paths are relative to `folder`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _bad("config", str(error)) from error
    _check_fields(raw, _FIELDS, "")
    limit = raw.get("audio_limit_mb")
    if limit is not None and limit < 1:
        raise _bad("audio_limit_mb", "at least 1")
    interval = raw.get("health_interval_s")
    if interval is not None and interval < 1:
        raise _bad("health_interval_s", "at least 1")

    def place(name: str) -> Path | None:
        return folder / raw[name] if name in raw else None

    speaker = raw.get("speaker", "sound")
    if speaker.startswith("record:"):
        speaker = f"record:{folder / speaker.removeprefix('record:')}"
    return BoxConfig(
        enrol=raw.get("enrol"),
        centre=raw.get("centre"),
        identity=place("identity"),
        broker=raw.get("broker"),
        username=raw.get("username"),
        password_file=place("password_file"),
        ca_file=place("ca_file"),
        data=place("data"),
        speaker=speaker,
        sound_device=raw.get("sound_device"),
        evidence=raw.get("evidence"),
        bus=_bus(raw["bus"]) if "bus" in raw else None,
        local=_local(raw["local"], folder) if "local" in raw else None,
        node=NodeConfig(
            rtc_trusted=raw.get("rtc_trusted", False),
            audio_limit_bytes=limit * 1024 * 1024 if limit is not None else None,
            health_interval_s=interval,
        ),
    )


def _check_fields(raw: dict[str, Any], fields: Any, prefix: str) -> None:
    for name, value in raw.items():
        wanted = fields.get(name)
        if wanted is None:
            raise _bad(prefix + name, f"unknown; known are {', '.join(fields)}")
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise _bad(prefix + name, f"must be of type {wanted.__name__}")


def _bus(raw: dict[str, Any]) -> Bus:
    _check_fields(raw, _BUS_FIELDS, "bus.")
    missing = [name for name in _BUS_FIELDS if name not in raw]
    if missing:
        raise _bad(f"bus.{missing[0]}", "missing")
    if not 1 <= raw["address"] <= 254:
        raise _bad("bus.address", "1 to 254")
    return Bus(port=raw["port"], baud=raw["baud"], address=raw["address"])


def _local(raw: dict[str, Any], folder: Path) -> LocalPort:
    _check_fields(raw, _LOCAL_FIELDS, "local.")
    missing = [name for name in ("port", "key_file") if name not in raw]
    if missing:
        raise _bad(f"local.{missing[0]}", "missing")
    return LocalPort(port=raw["port"], baud=raw.get("baud", 9600), key_file=folder / raw["key_file"])


def over(config: BoxConfig, **given: Any) -> BoxConfig:
    """The file's settings with the command line's over them."""
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def complete(config: BoxConfig, **given: Any) -> BoxConfig:
    """The file's settings with the command line's over them, checked. Raises Refused(bad_box_config)."""
    config = over(config, **given)
    if config.identity is None:
        raise _bad("identity", "missing: give --enrol LABEL, --identity FILE or --config FILE")
    if config.data is None:
        raise _bad("data", "missing: give --data DIR or --config FILE")
    if (config.broker is None) == (config.bus is None):
        raise _bad("broker", "either a broker or a bus is needed")
    if config.speaker not in ("sound", "none") and not config.speaker.startswith("record:"):
        raise _bad("speaker", "sound, none or record:DIR")
    records = config.speaker.startswith("record:")
    if config.evidence not in (None, "capture", "output") and not str(config.evidence).startswith("capture:"):
        raise _bad("evidence", "capture, capture:NAME or output")
    if config.evidence == "output" and not records:
        raise _bad("evidence", "output is for record:DIR alone")
    return config
