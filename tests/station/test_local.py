"""Local input at a station: a PIN and a code on a serial keypad, and two wired boxes sound, with no broker anywhere."""

import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.peoplekeys import Cost
from controller.station_mandates import station_mandate
from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.links.serial import SerialLink
from devices.links.serial_frames import BROADCAST
from devices.links.serial_messages import BusMessage, Channel, pack
from devices.links.serial_port import SerialPort
from devices.local.input import Keypad, LocalInput, state_file
from devices.local.key import StationKey
from devices.local.pins import Pin, Tries
from devices.node.config import NodeConfig
from devices.node.node import Node
from devices.node.recording import RecordingSpeaker
from devices.protocol.envelope import open_sealed
from devices.protocol.keys import SigningKey
from devices.protocol.local_orders import LOCAL_TOPIC
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason
from devices.station.bus import BusMaster, Drop, Urgency
from devices.station.config import DropEntry, StationConfig, parse_config
from devices.station.relay import Station
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import Refused
from loa.names import AreaPath, node_id
from loa.precedence import Kind
from loa.units import Id16, InstantMs, StationId
from simulators.bus import SerialBus
from tests.api.duty import CO_TO, VILLAGES, Duty, on_duty
from tests.links.fakes import until
from tests.node.hands import HandClock
from tests.node.rig import counted_entropy, read_wav
from tests.protocol.local_world import STATION, mandate
from tests.protocol.world import NOW

PIN = Pin.of("Bà Hoa", "246810", counted_entropy())


def station_key(**changes: object) -> StationKey:
    return StationKey(STATION, mandate(**changes), (PIN,))


class Line:
    """What the input puts on the line."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.full = False

    def say(self, order: bytes) -> bool:
        if not self.full:
            self.said.append(order)
        return not self.full


def test_only_the_right_pin_sounds_and_wrong_ones_lock_it(tmp_path: Path) -> None:
    clock, line, state = HandClock(NOW), Line(), tmp_path / "tries"

    def switched_on() -> LocalInput:
        return LocalInput(station_key(), clock, counted_entropy(), line.say, state=state)

    panel = switched_on()
    for nonsense in (
        "",
        "1",
        "246810",
        "246810*",
        "*1",
        "a*1",
        "246810*1*2",
        "246810*-1",
        "9" * 40 + "*1",
        "246810*0001",
    ):
        assert panel.typed(nonsense).text == "PIN*MA#"
    assert panel.typed("246810*255").text == "KHONG CO MA / NO SUCH CODE"
    assert panel.typed("246810*0").text == "KHONG CO GI / NOTHING"
    assert line.said == []
    assert panel.typed("246810*1").done
    assert len(line.said) == 1
    assert panel.typed("246810*0").done
    assert len(line.said) == 2
    for _ in range(4):
        assert panel.typed("111111*1").text.startswith("SAI PIN")
    assert panel.typed("246810*1").done, "four are forgiven"
    for number in range(5):
        assert panel.typed(f"11111{number}*1").text.startswith("SAI PIN")
    assert panel.typed("246810*1").text == "KHOA 60 GIAY / LOCKED"
    panel = switched_on()  # whoever pulls the plug gains nothing
    assert panel.typed("246810*1").text == "KHOA 60 GIAY / LOCKED"
    clock._now_s += 61
    assert panel.typed("111111*1").text.startswith("SAI PIN")
    assert panel.typed("246810*1").text == "KHOA 120 GIAY / LOCKED"
    clock._now_s += 121
    assert panel.typed("246810*1").done
    line.full = True
    assert panel.typed("246810*1").text == "DUONG DAY BAN / LINE BUSY"
    assert panel.wrong_in_all == 1
    assert "246810" not in station_key().to_text()


def test_what_was_sounded_here_can_be_ended_until_it_is_over(tmp_path: Path) -> None:
    """Also where the line was busy for a moment, where not all heard the first word, and after the power failed."""
    clock, line, state = HandClock(NOW), Line(), tmp_path / "tries"

    def switched_on() -> LocalInput:
        return LocalInput(station_key(), clock, counted_entropy(), line.say, state=state)

    def ended() -> list[Id16 | None]:
        said, line.said = line.said, []
        return [order.subject for order in map(opened, said) if order.action is OrderAction.STOP]

    panel = switched_on()
    line.full = True
    assert panel.typed("246810*1").text == "DUONG DAY BAN / LINE BUSY"
    line.full = False
    assert panel.typed("246810*0").done, "what there was no room for is said again: it may sound"
    assert len(ended()) == 1
    assert panel.typed("246810*1").done
    sounded = opened(line.said[0]).id
    for _ in range(2):
        assert panel.typed("246810*0").done
        assert ended()[0] == sounded
    panel = switched_on()
    assert panel.typed("246810*0").done
    assert ended()[0] == sounded
    clock._now_s += 15 * 60 + 1
    assert panel.typed("246810*0").text == "KHONG CO GI / NOTHING"


def opened(order: bytes) -> Order:
    message = open_sealed(order).message
    assert isinstance(message, Order)
    return message


def test_its_state_lies_where_the_service_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under systemd all but the service's own folder is read-only: beside the key nothing would be kept."""
    key_file = Path("/etc/loa/station.json")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert state_file(key_file) == Path("/etc/loa/station.tries")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/loa-station")
    assert state_file(key_file) == Path("/var/lib/loa-station/local.tries")
    unit = Path(__file__).parents[2] / "deploy" / "loa-station.service"
    assert "\nStateDirectory=loa-station\n" in unit.read_text()


def test_the_lock_grows_to_an_hour() -> None:
    tries, locks = Tries(), []
    for _ in range(14):
        tries = tries.after_wrong(0.0)
        locks.append(tries.locked_for_s(0.0))
    assert locks == [0, 0, 0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


@pytest.mark.parametrize("digits", ["", "12345", "1234567890123", "12345a", "１２３４５６"])
def test_what_is_no_pin(digits: str) -> None:
    with pytest.raises(ValueError, match="6 to 12 digits"):
        Pin.of("x", digits, counted_entropy())


def test_the_key_file() -> None:
    assert StationKey.from_text(station_key().to_text()) == station_key()
    other = StationKey(SigningKey(bytes(32)), mandate(), (PIN,)).to_text()
    for bad in ("", "[]", "{}", other, station_key().to_text().replace("loa-station-1", "loa-node-1")):
        with pytest.raises(Refused) as error:
            StationKey.from_text(bad)
        assert error.value.code == "bad_key_file"


FILE = """
id = "s"
broker = "mqtt://x"
[bus]
port = "/dev/ttyUSB0"
baud = 38400
[[drop]]
address = 1
node = "a"
"""


def test_the_configuration() -> None:
    good = '[local]\nport = "/dev/ttyUSB1"\nkey_file = "k"\n'
    entry = parse_config(FILE + good).local
    assert entry is not None
    assert (entry.port, entry.baud, entry.key_file) == ("/dev/ttyUSB1", 9600, "k")
    assert parse_config(FILE).local is None
    for bad in (good + "x = 1", good.replace("USB1", "USB0"), good + 'baud = "x"', '[local]\nport = "p"'):
        with pytest.raises(Refused) as error:
            parse_config(FILE + bad)
        assert error.value.code == "bad_station_config"


def test_no_broker_speaks_for_a_station() -> None:
    """What comes under the local topic from a broker is relayed, if at all, as what it is."""
    assert pack(LOCAL_TOPIC, b"x").channel is Channel.OTHER


class Deaf:
    """Nobody listens to what nodes say."""

    def heard(self, drop: Drop, message: BusMessage) -> None: ...

    def listens_changed(self, drop: Drop, before: frozenset[str]) -> None: ...


def test_whatever_a_broker_brings_takes_no_room_and_no_time_from_what_is_given_here() -> None:
    bus = BusMaster("unused", 9600, [], HandClock(NOW), Deaf())
    document, order = BusMessage(Channel.OTHER, bytes(60_000)), BusMessage(Channel.AREA_ORDER, bytes(60_000))
    while bus.send(BROADCAST, document, Urgency.DOCUMENT):
        pass
    assert bus.send(BROADCAST, order, Urgency.ORDER), "documents are less urgent than orders"
    while bus.send(BROADCAST, order, Urgency.ORDER):
        pass
    assert bus.send(BROADCAST, BusMessage(Channel.LOCAL, b"siren"), Urgency.LOCAL)
    first = bus._next_frame()
    assert first is not None
    assert first.channel == Channel.LOCAL


@dataclass
class Wired:
    """Boxes on a line, a station whose broker is away, and somebody's fingers on its keypad."""

    boxes: dict[str, Node]
    folder: Path
    fingers: int

    def press(self, text: str) -> None:
        os.write(self.fingers, text.encode())

    async def shown(self) -> str:
        """The next line on the keypad's display."""
        text = b""

        def whole() -> bool:
            nonlocal text
            with suppress(BlockingIOError):
                text += os.read(self.fingers, 200)
            return text.endswith(b"\r\n")

        await until(whole, 10)
        return text.decode().strip()

    def sounding(self) -> set[str]:
        return {name for name, node in self.boxes.items() if node.status().playing is not None}

    def heard(self, name: str) -> bool:
        return any(read_wav(path).any() for path in (self.folder / name).glob("*.wav"))


@asynccontextmanager
async def line_of(folder: Path, duty: Duty) -> AsyncIterator[Wired]:
    """The boxes of a duty, switched off there and on again here: a real bus of ptys, real clocks, no broker."""
    clock, key = SystemClock(), SigningKey(bytes(range(32)))
    signed = station_mandate(
        duty.centre.keys_folder, holder="Đài Cô Tô", public_key=key.public_key, area=AreaPath(CO_TO), kind=Kind.LIVE,
        days=30, now_ms=InstantMs(clock.now_ms() - 1000), entropy=system_entropy,
    )  # fmt: skip
    names = sorted(duty.boxes)
    bus = SerialBus(clock, 38_400, len(names), collisions=False)
    bus.start()
    drops = tuple(DropEntry(number, node_id(name)) for number, name in enumerate(names, 1))
    config = StationConfig(StationId("dai-co-to"), "mqtt://unused", bus.station_path, 38_400, drops)
    away = LoopbackLink(LoopbackBroker())
    station = Station(config, away, clock)
    fingers, display = os.openpty()
    tty.setraw(display)
    os.set_blocking(fingers, False)
    panel = LocalInput(StationKey(key, signed, (PIN,)), clock, system_entropy, station.say_locally)
    keypad = Keypad(os.ttyname(display), 9600, panel.typed, clock, SerialPort)
    boxes: dict[str, Node] = {}
    for (number, name), path in zip(enumerate(names, 1), bus.drop_paths, strict=True):
        before = duty.boxes[name].node
        boxes[name] = Node(
            identity=before.identity, link=SerialLink(path, 38_400, number, before.identity.node, clock),
            storage=before._storage, speaker=RecordingSpeaker(folder / name, clock, name), clock=clock,
            entropy=system_entropy, config=NodeConfig(rtc_trusted=True),
        )  # fmt: skip
    try:
        await station.start()
        away.drop("the broker is away")
        keypad.start()
        for node in boxes.values():
            await node.start()
        await until(lambda: all(node.status().speaker_ready for node in boxes.values()), 10)
        yield Wired(boxes, folder, fingers)
    finally:
        for node in boxes.values():
            await node.stop()
        keypad.stop()
        await station.stop()
        await bus.stop()
        os.close(fingers)
        os.close(display)


@pytest.mark.slow
async def test_from_the_keypad_to_the_sound_with_no_broker_and_no_centre(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.peoplekeys.COST", Cost(8, 1, 1))
    monkeypatch.setattr("controller.services.settings_changes.STORED_WITHIN_MS", 2000)
    async with on_duty(tmp_path / "centre") as duty:
        await duty.box("co-to-2", VILLAGES["co-to-1"])
        await duty.clock.advance(30)
        for box in duty.boxes.values():
            await box.node.stop()
        async with line_of(tmp_path / "line", duty) as line:
            line.press("111111*1#")
            assert await line.shown() == "SAI PIN / WRONG PIN"
            assert line.sounding() == set()
            line.press("246810*1#")
            assert await line.shown() == "DA GUI RA LOA / SENT"
            await until(lambda: line.sounding() == {"co-to-1", "co-to-2"}, 10)
            assert not any(node.status().link_up for node in line.boxes.values())
            line.press("246810*0#")
            assert await line.shown() == "DA GUI LENH DUNG / STOP SENT"
            await until(lambda: not line.sounding(), 10)
            refusals = line.boxes["mong-cai-1"].status().refusals
            assert refusals == {RefusalReason.WRONG_TARGET: 2}, "it is of another commune"
        assert [line.heard(name) for name in sorted(duty.boxes)] == [True, True, False]
