"""A local order at a node: it sounds with no link, is told afterwards, and is ended from here and from the centre."""

import os
import tty
from contextlib import suppress
from pathlib import Path

import pytest

from devices.links.port import Delivery
from devices.local.key import StationKey
from devices.local.pins import Pin
from devices.node.box import keypad_at
from devices.node.boxfile import LocalPort, parse_box_file
from devices.node.memory import MemoryStorage
from devices.protocol.documents import Siren
from devices.protocol.envelope import seal
from devices.protocol.local_orders import LOCAL_TOPIC
from devices.protocol.orders import OrderAction
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from devices.protocol.topics import DownChannel
from loa.errors import Refused
from loa.precedence import Precedence
from tests.links.fakes import until
from tests.node.rig import Rig, counted_entropy, recording
from tests.protocol.local_world import STATION, mandate, sounded, stopped
from tests.protocol.world import COMMUNE, CONTROLLER, PERSON, approved, id_of

pytestmark = pytest.mark.slow
SOUND = recording(2.0, 700.0)


@pytest.fixture
async def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    await made.up(MemoryStorage())
    made.stock([SOUND])
    made.settings(sirens=(Siren(code=1, rendition=SOUND.ref),))
    await made.clock.advance(20)
    assert SOUND.digest in made.node.status().renditions
    return made


def give(rig: Rig, payload: bytes, *, local: bool = True) -> None:
    rig.node.delivered(Delivery(LOCAL_TOPIC, payload, local=local))


def now(rig: Rig) -> int:
    return rig.clock.now_ms()


async def heard(rig: Rig) -> bool:
    """Whether it sounds within the length of the message and the gap after it."""
    for _ in range(9):
        if rig.node.status().playing == id_of("local"):
            return True
        await rig.clock.advance(0.5)
    return False


async def test_it_sounds_without_a_link_and_is_told_when_there_is_one(rig: Rig) -> None:
    rig.link.drop("cut")
    await rig.clock.advance(3600)
    give(rig, sounded(at=now(rig) + 120_000))  # the station's clock is two minutes ahead: at once all the same
    await rig.clock.advance(1)
    assert rig.node.status().playing == id_of("local")
    await rig.clock.advance(30)
    assert await heard(rig)
    await rig.clock.advance(20 * 60)
    assert not await heard(rig), "it is over by itself"
    rig.link.restore()
    await rig.clock.advance(10)
    told = rig.desk.about(id_of("local"))
    assert [one.event for one in told][:2] == [ReceiptEvent.RECEIVED, ReceiptEvent.STARTED]
    assert told[0].local is not None
    assert (told[0].local.holder, told[0].local.siren, told[0].local.area) == ("Đài Cô Tô", 1, COMMUNE)
    assert all(one.local is None for one in told[1:])


async def test_a_keypad_at_the_box_itself(rig: Rig, tmp_path: Path) -> None:
    fingers, display = os.openpty()
    tty.setraw(display)
    os.set_blocking(fingers, False)
    pin = Pin.of("Bà Hoa", "246810", counted_entropy())
    (tmp_path / "key").write_text(StationKey(STATION, mandate(), (pin,)).to_text())
    port = LocalPort(port=os.ttyname(display), baud=9600, key_file=tmp_path / "key")
    keypad = keypad_at(port, rig.node, rig.box)
    rig.link.drop("cut")
    keypad.start()
    try:
        for typed, told in ((b"111111*1#", b"SAI PIN"), (b"246810*1#", b"DA GUI")):
            os.write(fingers, typed)
            shown = b""

            def answered() -> bool:
                nonlocal shown
                with suppress(BlockingIOError):
                    shown += os.read(fingers, 100)
                return shown.endswith(b"\r\n")

            await until(answered)
            assert shown.startswith(told)
        await rig.clock.advance(1)
        assert rig.node.status().playing is not None
        assert (tmp_path / "key.tries").read_text().splitlines()[0] == "0"
    finally:
        keypad.stop()
        os.close(fingers)
        os.close(display)


async def test_it_is_ended_there(rig: Rig) -> None:
    give(rig, sounded(at=now(rig)))
    await rig.clock.advance(1)
    give(rig, stopped("stop", id_of("local"), now(rig)))
    await rig.clock.advance(1)
    assert rig.node.status().playing is None
    last = rig.desk.about(id_of("local"))[-1]
    assert (last.event, last.cause) == (ReceiptEvent.STOPPED, ReceiptCause.ORDERED)
    mark = rig.desk.about(id_of("stop"))[0].local
    assert mark is not None
    assert mark.ends == id_of("local")


async def test_the_centre_ends_it(rig: Rig) -> None:
    give(rig, sounded(at=now(rig)))
    await rig.clock.advance(1)
    cancel = rig.order("cancel", in_ms=0, action=OrderAction.STOP, subject=id_of("local"), renditions=(),
                       precedence=Precedence.EMERGENCY)  # fmt: skip
    rig.say(DownChannel.ORDER, seal(cancel, CONTROLLER))  # nobody approved it
    assert await heard(rig)
    rig.say(DownChannel.ORDER, seal(approved(cancel, PERSON), CONTROLLER))
    await rig.clock.advance(1)
    assert not await heard(rig)


async def test_a_station_does_not_end_what_people_released(rig: Rig) -> None:
    alert = rig.order("alert", SOUND, in_ms=500, precedence=Precedence.EMERGENCY, repeats=0)
    rig.say(DownChannel.ORDER, seal(approved(alert, PERSON), CONTROLLER))
    await rig.clock.advance(2)
    assert rig.node.status().playing == id_of("alert")
    give(rig, stopped("stop", id_of("alert"), now(rig)))
    await rig.clock.advance(2)
    assert rig.node.status().playing == id_of("alert")
    # Nor what comes after the stop.
    give(rig, stopped("early", id_of("later"), now(rig)))
    later = rig.order("later", SOUND, in_ms=500, precedence=Precedence.EMERGENCY, repeats=0)
    rig.say(DownChannel.ORDER, seal(approved(later, PERSON), CONTROLLER))
    await rig.clock.advance(2)
    assert ReceiptEvent.STARTED in rig.desk.events(id_of("later"))


async def test_by_the_broker_it_is_silence_and_a_count(rig: Rig) -> None:
    """Whoever owns the broker sends what was said on a line, on any topic."""
    payload = sounded(at=now(rig))
    give(rig, payload, local=False)
    rig.say(DownChannel.ORDER, payload)
    await rig.clock.advance(5)
    assert rig.node.status().playing is None
    assert rig.node.status().refusals[RefusalReason.MANDATE_EXCEEDED] == 2
    assert rig.desk.events(id_of("local")) == [ReceiptEvent.REFUSED]


async def test_a_power_cut_in_the_middle(rig: Rig) -> None:
    give(rig, sounded(at=now(rig)))
    await rig.clock.advance(1)
    await rig.pull_the_plug()
    await rig.boot(rig.node._storage, seed="again")
    await rig.clock.advance(5)
    assert await heard(rig), "an emergency goes on until it is over"
    give(rig, stopped("stop", id_of("local"), now(rig)))
    await rig.clock.advance(1)
    assert not await heard(rig)


def test_where_a_keypad_is(tmp_path: Path) -> None:
    found = parse_box_file('[local]\nport = "/dev/ttyUSB0"\nkey_file = "station.json"', tmp_path).local
    assert found == LocalPort(port="/dev/ttyUSB0", baud=9600, key_file=tmp_path / "station.json")
    for bad in ('[local]\nport = "x"', '[local]\nport = 1\nkey_file = "k"', "[local]\nx = 1"):
        with pytest.raises(Refused) as error:
            parse_box_file(bad, tmp_path)
        assert error.value.code == "bad_box_config"
