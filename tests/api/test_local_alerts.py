"""What was sounded by local input, at the centre: in the record, on a board, ended by one person like any alert."""

import pytest

from controller.station_mandates import station_mandate
from devices.links.port import Delivery
from devices.protocol.keys import SigningKey
from devices.protocol.local_orders import LOCAL_TOPIC, local_play, local_stop
from loa.entropy import system_entropy
from loa.errors import OperatorNeeded, Refused
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import Id16, InstantMs
from tests.api.duty import ALERTS, ANNOUNCEMENT, CO_TO, Duty
from tests.api.office import problem
from tests.api.test_alert_boards import board, lines

pytestmark = pytest.mark.slow
KEY, ONE, TWO = SigningKey(bytes(range(32))), Id16(b"1" * 16), Id16(b"2" * 16)
PATH = f"{ALERTS}/{ONE.hex()}"


def mandate(duty: Duty, kind: Kind = Kind.LIVE, area: str = CO_TO) -> bytes:
    return station_mandate(
        duty.centre.keys_folder, holder="Đài Cô Tô", public_key=KEY.public_key, area=AreaPath(area), kind=kind,
        days=30, now_ms=InstantMs(duty.clock.now_ms() - 1000), entropy=system_entropy,
    )  # fmt: skip


def give(duty: Duty, payload: bytes, *boxes: str) -> None:
    for name in boxes:
        duty.boxes[name].node.delivered(Delivery(LOCAL_TOPIC, payload, local=True))


async def test_it_is_known_when_the_link_is_back_and_ended_by_one_person(duty: Duty) -> None:
    lan, signed = duty.people["lan"], mandate(duty)
    duty.boxes["co-to-1"].link.drop()
    await duty.clock.advance(200)
    give(duty, local_play(KEY, signed, 1, ONE, duty.clock.now_ms()), "co-to-1", "mong-cai-1")
    await duty.clock.advance(1.5)
    assert duty.boxes["co-to-1"].sounds(ONE.hex())
    assert not duty.boxes["mong-cai-1"].any_sound, "of another commune"
    problem(await lan.client.get(PATH), 404, "not_found")
    duty.boxes["co-to-1"].link.restore()
    with duty.centre.events.subscribed(1000) as told:
        await duty.clock.advance(10)
        changes = []
        while not told._waiting.empty():
            changes.append(await told.next())
    assert [one.data for one in changes if one.kind == "alert"] == [{"local": True}]
    seen = (await lan.client.get(PATH)).json()
    assert (seen["status"], seen["composed_by"], seen["area"]) == ("released", "local:Đài Cô Tô", CO_TO)
    ((_, who, detail),) = await duty.deeds("sound_locally")
    assert (who, detail) == ("local:Đài Cô Tô", f"stored message 1 in {CO_TO}, told by co-to-1")
    shown = await board(lan, {"id": ONE.hex()})
    assert (shown["totals"]["reached"], shown["totals"]["nodes"]) == (1, 1)
    assert (await lines(lan, {"id": ONE.hex()}))["co-to-1"]["rung"] == "started"

    mai = duty.people["mai"]
    done = await mai.client.post(f"{PATH}/cancel", json={"passphrase": mai.words})
    assert (done.status_code, done.json()["status"]) == (200, "cancelled"), done.text
    await duty.clock.advance(5)
    assert not duty.boxes["co-to-1"].sounds(ONE.hex())
    assert (await board(lan, {"id": ONE.hex()}))["closed_by"] == "loa"


async def test_ended_where_it_was_sounded(duty: Duty) -> None:
    signed = mandate(duty)
    give(duty, local_play(KEY, signed, 1, ONE, duty.clock.now_ms()), "co-to-1")
    await duty.clock.advance(3)
    give(duty, local_stop(KEY, signed, ONE, TWO, duty.clock.now_ms()), "co-to-1")
    await duty.clock.advance(5)
    seen = (await duty.people["lan"].client.get(PATH)).json()
    assert (seen["status"], seen["ended_by"]) == ("cancelled", "local:Đài Cô Tô")
    assert [verb for verb, _, _ in await duty.deeds("sound_locally", "stop_locally")] == [
        "sound_locally", "stop_locally",
    ]  # fmt: skip
    shown = await board(duty.people["thu"], {"id": ONE.hex()})
    assert shown["totals"]["ends"] == {"cancelled": 1}


async def test_a_local_drill_is_announced_and_shown_as_one(duty: Duty) -> None:
    give(duty, local_play(KEY, mandate(duty, Kind.DRILL), 1, ONE, duty.clock.now_ms()), "co-to-1")
    await duty.clock.advance(8)
    first = duty.boxes["co-to-1"].heard(ONE.hex())
    sound = ANNOUNCEMENT.sound.tolist()
    assert first[: len(sound)] == sound, "it says first that it is one"
    assert (await duty.people["lan"].client.get(PATH)).json()["kind"] == "drill"


async def test_who_may_have_a_mandate(duty: Duty) -> None:
    with pytest.raises(Refused) as error:
        mandate(duty, area="quang-ninh")
    assert error.value.code == "bad_area_path"
    for path in (duty.centre.keys_folder / "roots").glob("*.json"):
        path.unlink()
    with pytest.raises(OperatorNeeded) as missing:
        mandate(duty)
    assert missing.value.code == "roots_missing"
