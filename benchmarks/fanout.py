"""An order from a POST to the last of many thin clients, against a bare publish to the same clients.

A real `loa serve` over HTTP with SQLite and its own mosquitto: the request is authenticated, the broadcast and what is
owed to every node is committed, the order is signed and published. The bare publish is the same number of bytes on the
same topic, from a client that does nothing else, in turns with ours.
"""

import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.bars import Bar
from benchmarks.crowd import ClientPlan, Crowd, raise_file_limit
from benchmarks.province import PROVINCE, Made, Served, area_of, make_province, node_name
from devices.protocol.topics import AreaChannel, area_topic
from loa.names import AreaPath

BARS = {
    f"fanout_ratio_{nodes}": Bar(
        f"(POST to delivery at the last of {nodes} clients, less 50 ms) over a bare publish", at_most=1.3
    )
    for nodes in (1000, 10_000)
}
_ALLOWED_S = 0.050
_ORDER_BYTES = 200
_ORDERS = area_topic(AreaPath(PROVINCE), AreaChannel.ORDER)


def run(quick: bool) -> dict[str, float]:
    """Medians over rounds, for growing numbers of clients."""
    raise_file_limit()
    figures: dict[str, float] = {}
    for nodes in (10, 100) if quick else (10, 100, 1000, 10_000):
        figures |= measure(nodes, rounds=3 if quick else 7)
    return figures


def measure(nodes: int, rounds: int) -> dict[str, float]:
    """`fanout_ratio_N`, and the milliseconds it is made of."""
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        made = make_province(Path(folder), nodes)
        plans = [
            ClientPlan(node_name(number), (_ORDERS, area_topic(area_of(number), AreaChannel.ORDER)))
            for number in range(nodes)
        ]
        with Served(made) as served, Crowd(served.broker_port, plans) as crowd:
            crowd.connect()
            bare_s, ours_s = _rounds(served, crowd, made, rounds)
    bare, ours = statistics.median(bare_s), statistics.median(ours_s)
    return {
        f"fanout_ratio_{nodes}": (ours - _ALLOWED_S) / bare,
        f"fanout_ms_{nodes}": ours * 1000,
        f"fanout_bare_ms_{nodes}": bare * 1000,
    }


def _rounds(served: Served, crowd: Crowd, made: Made, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of the bare publishes and of ours. The first round of each warms up and does not count."""
    bare_client = BareClient(served.broker_port)
    bare_s: list[float] = []
    ours_s: list[float] = []
    each = 0
    for _ in range(rounds + 1):
        each += 1
        began = time.monotonic()
        bare_client.publish(_ORDERS, bytes(_ORDER_BYTES))
        bare_s.append(crowd.await_count(_ORDERS, each) - began)
        time.sleep(0.3)
        each += 1
        served.is_well()
        began = time.monotonic()
        served.ask("POST", "/api/v1/broadcasts", {"bulletins": [made.bulletin], "target_areas": [PROVINCE]})
        ours_s.append(crowd.await_count(_ORDERS, each) - began)
        _strike_off(made)
        time.sleep(0.3)
    bare_client.close()
    return bare_s[1:], ours_s[1:]


def _strike_off(made: Made) -> None:
    """Thin clients confirm nothing: what is owed to them is struck off, or it would be sent again into later rounds."""
    with sqlite3.connect(made.data / "loa.db", timeout=30) as db:
        db.execute("DELETE FROM owed_order")
    db.close()


class BareClient:
    """A paho client that only publishes, on its own thread."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bare", protocol=paho.MQTTv311)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        while not self._client.is_connected():
            time.sleep(0.005)

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        self._client.publish(topic, payload, qos)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
