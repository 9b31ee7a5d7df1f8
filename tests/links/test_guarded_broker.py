"""The broker's production configuration in a real mosquitto: subscriptions are all granted, so delivery counts."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import pytest
import pytest_asyncio

from controller import broker_files
from controller.services.broker_logins import CENTRE, Logins
from devices.links.tls import pinned_context
from devices.protocol.topics import DownChannel, UpChannel, controller_subscriptions, node_subscriptions
from loa.names import AreaPath
from loa.units import InstantMs, NodeId
from tests.controller.wire.waiting import eventually
from tests.guarded import CLOCK, Client, GuardedMosquitto, other_authority

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
AREA = AreaPath("quang-ninh/co-to")
EVIL = b"evil"
Clients = Callable[..., Awaitable[Client]]
YEAR_MS = 365 * 86_400_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterable[GuardedMosquitto]:
    made = GuardedMosquitto(
        tmp_path / "mosquitto", ["co-to-1", "co-to-2", "station.dai"],
        wired=Logins((), (("station.dai", ("day-1", "day-2")),)),
    )  # fmt: skip
    made.start()
    yield made
    made.stop()


@pytest_asyncio.fixture
async def connect(broker: GuardedMosquitto) -> AsyncIterator[Clients]:
    made: list[Client] = []

    async def one(name: str, topics: Iterable[str] = (), *, up: bool = True, **more: object) -> Client:
        client = broker.client(name, topics, **more)  # type: ignore[arg-type]
        made.append(await client.start())
        if up:
            await eventually(lambda: client.link.is_up, within_s=10)
        return client

    yield one
    for client in made:
        await client.link.stop()


def _everything() -> list[tuple[str, bytes]]:
    """One message on each topic that the controller writes to, named by where it went."""
    topics = [f"loa/1/a/{AREA}/order", f"loa/1/a/{AREA}/trust", "loa/1/m/00ff", "loa/1/l/aabb"]
    topics += [f"loa/1/n/{node}/{channel}" for node in ("co-to-1", "co-to-2", "day-1") for channel in DownChannel]
    return [(topic, topic.encode()) for topic in topics]


async def _after(sender: Client, topic: str, hearers: Iterable[Client]) -> None:
    """What was sent before has come where it may: a last message, sent after it on the same connection, is there."""
    sender.publish(topic, b"last")
    for hearer in hearers:
        await eventually(lambda hearer=hearer: (topic, b"last") in hearer.heard, within_s=10)  # type: ignore[misc]
        hearer.heard.remove((topic, b"last"))


@pytest.mark.parametrize(
    "topics",
    [("#",), ("loa/#", "loa/1/n/+/order", "loa/1/n/+/ctl"), ("loa/1/+/co-to-2/#", "loa/1/n/#", "loa/1/a/#", "$SYS/#")],
)
async def test_a_node_hears_its_own_and_what_is_for_all_whatever_it_asks_for(
    connect: Clients, topics: tuple[str, ...]
) -> None:
    centre = await connect(CENTRE)
    curious = await connect("co-to-1", (*topics, *node_subscriptions(NodeId("co-to-1"), AREA)))
    other = await connect("co-to-2", node_subscriptions(NodeId("co-to-2"), AREA))
    for topic, payload in _everything():
        centre.publish(topic, payload)
        centre.publish(topic, payload, retain=topic.startswith("loa/1/n/co-to-2"))
    other.publish("loa/1/n/co-to-2/health", b"health of another")
    await _after(centre, f"loa/1/a/{AREA}/order", (curious, other))
    heard = {topic for topic, _ in curious.heard}
    assert f"loa/1/a/{AREA}/order" in heard
    assert {f"loa/1/n/co-to-1/{channel}" for channel in DownChannel} <= heard
    assert {topic for topic in heard if topic.split("/")[2] == "n"} <= {
        f"loa/1/n/co-to-1/{channel}" for channel in (*DownChannel, *UpChannel)
    }
    assert not {topic for topic in heard if topic.startswith("$SYS")}
    # The other hears its own: the broker does deliver there.
    assert {f"loa/1/n/co-to-2/{channel}" for channel in DownChannel} <= {topic for topic, _ in other.heard}


async def test_a_retained_message_of_another_is_not_to_be_had_later(connect: Clients) -> None:
    centre = await connect(CENTRE, controller_subscriptions())
    node = await connect("co-to-2")
    node.publish("loa/1/n/co-to-2/presence", b"here", retain=True)
    await eventually(lambda: ("loa/1/n/co-to-2/presence", b"here") in centre.heard)
    curious = await connect("co-to-1", ("loa/1/n/+/presence", "loa/1/n/co-to-2/#", f"loa/1/a/{AREA}/order"))
    await _after(centre, f"loa/1/a/{AREA}/order", (curious,))
    assert curious.heard == []
    late = await connect(CENTRE + "x", up=False)
    assert late.ups == 0


async def test_a_node_writes_under_its_own_name_alone(connect: Clients) -> None:
    centre = await connect(CENTRE, ("loa/1/#",))
    other = await connect("co-to-2", node_subscriptions(NodeId("co-to-2"), AREA))
    node = await connect("co-to-1", ("loa/1/n/co-to-1/order",))
    forbidden = [topic for topic, _ in _everything()]
    forbidden += [f"loa/1/n/co-to-2/{channel}" for channel in UpChannel]
    forbidden += ["loa/1/n/co-to-1/elsewhere", "loa/1/a/quang-ninh/order", "elsewhere", "$SYS/broker/uptime"]
    for topic in forbidden:
        node.publish(topic, EVIL)
        node.publish(topic, EVIL, retain=True)
    own = [f"loa/1/n/co-to-1/{channel}" for channel in UpChannel]
    for topic in own:
        node.publish(topic, b"mine")
    await _after(node, "loa/1/n/co-to-1/health", (centre,))
    await _after(centre, f"loa/1/a/{AREA}/order", (other,))
    assert [(topic, b"mine") for topic in own] == [one for one in centre.heard if one[1] != b"last"]
    assert EVIL not in {payload for _, payload in (*other.heard, *node.heard)}
    late = await connect("co-to-2", ("loa/1/#",), up=False)  # pushes the first aside: one name, one connection
    await eventually(lambda: late.link.is_up)
    assert EVIL not in {payload for _, payload in late.heard}


async def test_a_station_speaks_for_its_wired_nodes_alone(connect: Clients) -> None:
    centre = await connect(CENTRE, ("loa/1/#",))
    station = await connect("station.dai", ("loa/1/n/+/order", f"loa/1/a/{AREA}/order", "loa/1/m/00ff"))
    for topic, payload in _everything():
        centre.publish(topic, payload)
    await _after(centre, f"loa/1/a/{AREA}/order", (station,))
    assert {topic for topic, _ in station.heard} == {"loa/1/n/day-1/order", f"loa/1/a/{AREA}/order", "loa/1/m/00ff"}
    for node in ("co-to-1", "day-2"):
        station.publish(f"loa/1/n/{node}/health", node.encode())
    station.publish(f"loa/1/a/{AREA}/order", EVIL)
    await _after(station, "loa/1/n/day-1/health", (centre,))
    assert ("loa/1/n/day-2/health", b"day-2") in centre.heard
    assert not {payload for _, payload in centre.heard} & {b"co-to-1", EVIL}


async def test_who_has_no_password_does_not_come_in(broker: GuardedMosquitto, connect: Clients) -> None:
    trusted = pinned_context(broker.authority.certificate.decode())
    strangers = [
        await connect("co-to-1", up=False, password="of-co-to-2"),
        await connect("nobody", up=False),
        await Client(broker.url, "co-to-1", None, trusted, ()).start(),
        await Client(f"mqtt://127.0.0.1:{broker.port}", "co-to-1", "of-co-to-1", None, ()).start(),
    ]
    try:
        for one in strangers[:3]:
            await eventually(lambda one=one: "Not authorized" in (one.link.last_error or ""), within_s=10)  # type: ignore[misc]
        await eventually(lambda: strangers[3].link.last_error is not None, within_s=10)
        known = await connect("co-to-1")
        assert known.ups == 1
        assert [one.ups for one in strangers] == [0, 0, 0, 0]
    finally:
        for one in strangers[2:]:
            await one.link.stop()


async def test_a_reload_lets_a_new_node_in_and_a_retired_one_out_and_drops_nobody_else(
    broker: GuardedMosquitto, connect: Clients
) -> None:
    centre, stays, goes = await connect(CENTRE, ("loa/1/#",)), await connect("co-to-1"), await connect("co-to-2")
    new = await connect("co-to-3", ("loa/1/n/co-to-3/order",), up=False)
    await eventually(lambda: new.link.last_error is not None)
    assert new.ups == 0
    broker.admit(["co-to-1", "co-to-3", "station.dai"])
    assert broker_files.reload(broker.folder)
    await eventually(lambda: new.link.is_up, within_s=10)
    await eventually(lambda: bool(goes.downs), within_s=10)
    centre.publish("loa/1/n/co-to-3/order", b"welcome")
    await eventually(lambda: new.heard == [("loa/1/n/co-to-3/order", b"welcome")])
    stays.publish("loa/1/n/co-to-1/health", b"still here")
    await eventually(lambda: ("loa/1/n/co-to-1/health", b"still here") in centre.heard)
    assert (stays.ups, stays.downs, centre.ups, centre.downs) == (1, [], 1, [])
    assert not goes.link.is_up
    assert goes.ups == 1


def test_nothing_is_signalled_that_is_not_our_broker(tmp_path: Path) -> None:
    for pid in ("", "1", "no number", "999999999"):
        (tmp_path / broker_files.PID).write_text(pid)
        assert not broker_files.reload(tmp_path)


@pytest.mark.parametrize("years", [-30, 30])
async def test_a_node_whose_clock_is_wrong_connects(broker: GuardedMosquitto, connect: Clients, years: int) -> None:
    """As its clock is to the certificate, so is the certificate to its clock: expired long ago, or not valid yet."""
    broker.stop()
    broker.certify(broker.authority, InstantMs(CLOCK.now_ms() + years * YEAR_MS))
    broker.start()
    node = await connect("co-to-1", ("loa/1/n/co-to-1/order",))
    centre = await connect(CENTRE)
    centre.publish("loa/1/n/co-to-1/order", b"heard")
    await eventually(lambda: node.heard == [("loa/1/n/co-to-1/order", b"heard")])
    # The system's own way of checking does mind: the date is wrong indeed.
    strict = pinned_context(broker.authority.certificate.decode())
    strict.verify_flags &= ~0x200000
    refused = await Client(broker.url, "co-to-2", "of-co-to-2", strict, ()).start()
    await eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in (refused.link.last_error or ""), within_s=10)
    await refused.link.stop()


@pytest.mark.parametrize("what", ["authority", "host"])
async def test_another_authority_or_host_is_refused_at_any_date(
    broker: GuardedMosquitto, connect: Clients, what: str
) -> None:
    broker.stop()
    if what == "authority":
        broker.certify(other_authority(CLOCK.now_ms()), CLOCK.now_ms())
    else:
        broker.certify(broker.authority, CLOCK.now_ms(), "broker.example.vn")
    broker.start()
    node = await connect("co-to-1", up=False)
    await eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in (node.link.last_error or ""), within_s=10)
    assert node.ups == 0


async def test_two_with_one_name_push_each_other_aside_and_the_log_tells(
    broker: GuardedMosquitto, connect: Clients
) -> None:
    """A cloned client: another client id does not help it to stay unseen beside the first."""
    first = await connect("co-to-1", ("loa/1/n/co-to-1/order",))
    clone = await connect("co-to-1", ("#",))
    await eventually(lambda: len(first.downs) >= 2 and len(clone.downs) >= 2, within_s=20)
    assert broker.log.count("Client co-to-1 already connected, closing old connection.") >= 3
    other = await connect("co-to-2")
    assert other.downs == []
