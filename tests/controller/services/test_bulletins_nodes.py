"""Areas, nodes and bulletins: what is refused, what is signed, what stays locked."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from controller.media import MediaStore
from controller.services import areas, bulletins, nodes
from controller.services.health import store_health, store_presence
from controller.services.settings import ensure_settings, settings_of
from controller.services.settings_changes import change_settings
from devices.protocol import cbor
from devices.protocol.documents import Hours, Placement, Settings
from devices.protocol.envelope import encode, open_sealed
from devices.protocol.media import manifest_for
from devices.protocol.orders import Order, OrderAction
from devices.protocol.reports import Health
from loa.errors import Fault, Refused
from loa.units import DurationMs, InstantMs, NodeId
from tests.controller.services.conftest import QN, World, node_key


def refused(code: str, work: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        work()
    assert caught.value.code == code
    return caught.value


def test_the_tree(world: World) -> None:
    tree = world.run(lambda s: areas.area_tree(s, world.ctx))
    assert [child.area.name for child in tree.children] == ["Cô Tô", "Hồng Gai"]
    assert tree.children[0].children[0].area.path == f"{QN}/co-to/thon-1"
    refused("not_found", lambda: world.run(lambda s: areas.add_area(s, world.ctx, path=f"{QN}/x/y", name="y")))
    refused("already_exists", lambda: world.run(lambda s: areas.add_area(s, world.ctx, path=f"{QN}/co-to", name="y")))
    refused("bad_area_path", lambda: world.run(lambda s: areas.add_area(s, world.ctx, path="ha-noi/ba-dinh", name="y")))
    refused("bad_area_path", lambda: world.run(lambda s: areas.add_area(s, world.ctx, path=f"{QN}/#", name="y")))


def test_a_placement_is_signed_and_versions_grow(world: World) -> None:
    first = world.run(lambda s: nodes.move_node(s, world.ctx, id="ct-3", area=f"{QN}/hong-gai"))
    sealed = open_sealed(first.value.placement)
    assert isinstance(sealed.message, Placement)
    assert sealed.signature.holds_under(world.ctx.keys.public_key)
    second = world.run(lambda s: nodes.move_node(s, world.ctx, id="ct-3", area=f"{QN}/co-to"))
    later = open_sealed(second.value.placement).message
    assert isinstance(later, Placement)
    assert later.version > sealed.message.version


def test_enrolling_again(world: World) -> None:
    key = node_key("ct-3").public_key
    again = world.run(lambda s: nodes.enrol_node(s, world.ctx, id="ct-3", area=f"{QN}/co-to", public_key=key))
    assert again.value.area == f"{QN}/co-to"
    refused(
        "already_exists",
        lambda: world.run(
            lambda s: nodes.enrol_node(s, world.ctx, id="ct-3", area=f"{QN}/co-to", public_key=b"x" * 32)
        ),
    )
    refused(
        "bad_node_id",
        lambda: world.run(lambda s: nodes.enrol_node(s, world.ctx, id="a/#", area=QN, public_key=key)),
    )


def test_one_bus_address_for_one_node(world: World) -> None:
    def enrol(name: str, address: int) -> None:
        world.run(
            lambda s: nodes.enrol_node(
                s, world.ctx, id=name, area=f"{QN}/co-to", public_key=node_key(name).public_key, station="dai",
                bus_address=address,
            )
        )  # fmt: skip

    refused("not_found", lambda: enrol("w-1", 1))
    world.run(lambda s: nodes.add_station(s, world.ctx, id="dai", area=f"{QN}/co-to"))
    enrol("w-1", 1)
    error = refused("bus_address_taken", lambda: enrol("w-2", 1))
    assert error.values["node"] == "w-1"
    refused("bus_address_range", lambda: enrol("w-2", 255))


@pytest.mark.parametrize("volume", [math.nan, math.inf, -1, 101, 3.5])
def test_volume_range(world: World, volume: float) -> None:
    refused("volume_range", lambda: world.run(lambda s: nodes.set_volume(s, world.ctx, id="ct-1", volume=volume)))


def test_volume_and_tone_are_orders(world: World) -> None:
    out = world.run(lambda s: nodes.set_volume(s, world.ctx, id="ct-1", volume=40))
    order = open_sealed(out.orders[0].payload).message
    assert isinstance(order, Order)
    assert (order.action, order.volume, order.nodes) == (OrderAction.VOLUME, 40, ("ct-1",))
    tone = world.run(lambda s: nodes.sound_test_tone(s, world.ctx, target_areas=(f"{QN}/co-to",)))
    order = open_sealed(tone.orders[0].payload).message
    assert isinstance(order, Order)
    assert (order.action, order.areas) == (OrderAction.TEST_TONE, (f"{QN}/co-to",))
    refused("empty_target", lambda: world.run(lambda s: nodes.sound_test_tone(s, world.ctx)))


def test_liveness(world: World) -> None:
    assert world.run(lambda s: nodes.node(s, world.ctx, "ct-1")).state == "never"
    health = Health(
        node=NodeId("ct-1"), session=1, at=world.clock.now_ms(), uptime_s=1, epoch=b"12345678", link_rate=9000
    )
    world.run(lambda s: store_health(s, [(health, encode(health))], world.clock.now_ms()))
    view = world.run(lambda s: nodes.node(s, world.ctx, "ct-1"))
    assert (view.state, view.link_rate, view.health) == ("online", 9000, health)
    world.clock.at += 90_000
    assert world.run(lambda s: nodes.node(s, world.ctx, "ct-1")).state == "online"
    world.clock.at += 1
    assert world.run(lambda s: nodes.node(s, world.ctx, "ct-1")).state == "silent"
    world.run(lambda s: store_presence(s, {NodeId("ct-1"): (2, True)}, world.clock.now_ms()))
    assert world.run(lambda s: nodes.node(s, world.ctx, "ct-1")).state == "silent"  # presence is a hint, never proof
    world.run(lambda s: nodes.retire_node(s, world.ctx, id="ct-1"))
    assert "ct-1" not in world.run(nodes.node_keys)


def test_the_last_health_of_a_group_counts_whatever_its_clock_says(world: World) -> None:
    """A box that boots speaks by its own clock, here 2.7 s ahead, and a second later by the centre's."""
    now = world.clock.now_ms()
    own, told = (
        Health(
            node=NodeId("ct-1"), session=1, at=InstantMs(now + at), uptime_s=up, epoch=b"12345678", time_error_ms=error
        )
        for at, up, error in ((2700, 8, None), (1000, 9, 65))
    )
    before = replace(own, session=0)  # played back by somebody
    world.run(lambda s: store_health(s, [(one, encode(one)) for one in (own, told, before)], now))
    assert world.run(lambda s: nodes.node(s, world.ctx, "ct-1")).health == told


def test_a_health_of_another_release_is_none(world: World) -> None:
    """Kept as it was signed, it may say what this release reads otherwise; nobody else's is lost for that."""
    healths = {
        name: Health(node=NodeId(name), session=1, at=world.clock.now_ms(), uptime_s=1, epoch=b"12345678")
        for name in ("ct-1", "ct-2")
    }
    other = cbor.dumps({**cast(dict[int, object], cbor.loads(encode(healths["ct-1"]), max_bytes=999)), 4: "session"})
    kept = [(healths["ct-1"], other), (healths["ct-2"], encode(healths["ct-2"]))]
    world.run(lambda s: store_health(s, kept, world.clock.now_ms()))
    views = {str(view.id): view for view in world.run(lambda s: nodes.list_nodes(s, world.ctx))}
    assert (views["ct-1"].state, views["ct-1"].health) == ("online", None)
    assert (views["ct-2"].state, views["ct-2"].health) == ("online", healths["ct-2"])


def test_approval_names_the_content(world: World) -> None:
    view = world.bulletin("Lịch cắt điện", approve=False)
    world.run(lambda s: bulletins.retitle_bulletin(s, world.ctx, id=view.id, title="Lịch cắt điện mới"))
    refused(
        "content_changed",
        lambda: world.run(
            lambda s: bulletins.approve_bulletin(s, world.ctx, id=view.id, content_hash=view.content_hash)
        ),
    )
    now = world.run(lambda s: bulletins.bulletin(s, view.id))
    refused(  # whoever wrote it last is its author
        "second_person_required",
        lambda: world.run(
            lambda s: bulletins.approve_bulletin(s, world.ctx, id=view.id, content_hash=now.content_hash)
        ),
    )
    hoa = replace(world.ctx, account="hoa")
    done = world.run(lambda s: bulletins.approve_bulletin(s, hoa, id=view.id, content_hash=now.content_hash))
    assert (done.status, done.approved_by, done.author) == ("approved", "hoa", "lan")
    refused("locked", lambda: world.run(lambda s: bulletins.retitle_bulletin(s, world.ctx, id=view.id, title="z")))
    assert world.run(lambda s: bulletins.withdraw_bulletin(s, world.ctx, id=view.id)).value.status == "withdrawn"


def test_whoever_had_a_hand_in_it_does_not_approve_it(world: World) -> None:
    view = world.bulletin("Lịch cắt điện", approve=False)
    mai, hoa = replace(world.ctx, account="mai"), replace(world.ctx, account="hoa")
    assert view.author == "mai"
    now = world.run(lambda s: bulletins.retitle_bulletin(s, world.ctx, id=view.id, title="Lịch cắt điện mới"))
    for ctx in (mai, world.ctx):  # who made the recording, and who gave it another title since
        refused(
            "second_person_required",
            lambda ctx=ctx: world.run(  # type: ignore[misc]
                lambda s: bulletins.approve_bulletin(s, ctx, id=view.id, content_hash=now.content_hash)
            ),
        )
    done = world.run(lambda s: bulletins.approve_bulletin(s, hoa, id=view.id, content_hash=now.content_hash))
    assert (done.approved_by, done.author) == ("hoa", "lan")


def test_media_is_what_the_manifest_says(tmp_path: Path) -> None:
    store = MediaStore(tmp_path / "m")
    data = bytes(range(256)) * 40
    manifest = manifest_for(data, duration_ms=DurationMs(1000))
    digest = store.put(data, manifest)
    (tmp_path / "file").write_bytes(data)
    assert store.put(tmp_path / "file", manifest) == digest
    assert store.read_block(digest, 2) == data[8192:]
    assert store.open_path(digest).read_bytes() == data
    refused("content_changed", lambda: store.put(data[:-1] + b"x", manifest_for(data, duration_ms=DurationMs(2))))
    refused("not_found", lambda: store.read_block(digest[::-1], 0))  # type: ignore[arg-type]
    assert len(list((tmp_path / "m").iterdir())) == 1
    with pytest.raises(Fault, match="storage_full"):
        MediaStore(tmp_path / "full", reserve_bytes=1 << 60).put(data, manifest)


def test_settings_are_issued_once(world: World) -> None:
    first = world.run(lambda s: ensure_settings(s, world.ctx, health_interval_s=5))
    assert len(first.documents) == 1
    assert not world.run(lambda s: ensure_settings(s, world.ctx, health_interval_s=5))
    hours = (Hours(from_minute=300, to_minute=360),)
    changed = world.run(lambda s: change_settings(s, world.ctx, area=f"{QN}/co-to", hours=hours))
    assert changed.value.hours == hours
    assert changed.value.health_interval_s == 5
    document = open_sealed(changed.outgoing.documents[0].payload).message
    assert isinstance(document, Settings)
    assert encode(document) == encode(changed.value)
    assert world.run(lambda s: settings_of(s, world.ctx, f"{QN}/hong-gai")).hours == ()
