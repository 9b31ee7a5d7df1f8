"""All nodes of a province come back at once: how long until each of them and the centre know the same again.

A real `loa serve` (HTTP, SQLite, mosquitto); 2,000 thin clients that sign. While they were away an order was issued to
all of them; each has three receipts that the centre lacks and holds no state document. They connect without any jitter.
A node is reconciled once it holds trust and settings, was given the order, and its whole journal (the order's receipt
too) is acknowledged; the centre, once nothing is owed any more.
"""

import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.agents import SpeakingPart, Speaks
from benchmarks.bars import Bar
from benchmarks.crowd import ClientPlan, Crowd, raise_file_limit
from benchmarks.province import PROVINCE, Made, Served, area_of, make_province, node_name
from devices.protocol.topics import node_subscriptions
from loa.units import Id16, NodeId

BARS = {"connect_storm_s": Bar("2,000 nodes back at once, all reconciled", at_most=60)}
_FULL = 2000


def run(quick: bool) -> dict[str, float]:
    """Medians over fresh provinces; the last number of nodes is the promise's."""
    raise_file_limit()
    figures: dict[str, float] = {}
    for nodes in (20,) if quick else (10, 100, 1000, _FULL):
        found = [_storm(nodes) for _ in range(1 if quick else 5)]
        figures[f"storm_s_{nodes}"] = statistics.median(whole for whole, _ in found)
        figures[f"storm_bare_s_{nodes}"] = statistics.median(bare for _, bare in found)
    figures["connect_storm_s"] = figures[f"storm_s_{20 if quick else _FULL}"]
    return figures


def _storm(nodes: int) -> tuple[float, float]:
    """Seconds until all are reconciled, and until the same clients are merely connected and subscribed."""
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        made = make_province(Path(folder), nodes, keys=True, health=False)
        with Served(made) as served:
            bare = _bare(served, nodes)
            soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
            body = {"bulletins": [made.bulletin], "target_areas": [PROVINCE], "start_at": soon}
            served.is_well()
            order = served.ask("POST", "/api/v1/broadcasts", body)["id"]
            plans = []
            for number in range(nodes):
                name = NodeId(node_name(number))
                speaks = Speaks(area_of(number), receipts=3, awaits=Id16(bytes.fromhex(order)))
                topics = tuple(sorted(node_subscriptions(name, area_of(number))))
                plans.append(ClientPlan(name, topics, SpeakingPart, speaks))
            with Crowd(served.broker_port, plans) as crowd:
                began = time.monotonic()
                crowd.connect()
                while crowd.figures()["reconciled"] < nodes or _owed(made):
                    if time.monotonic() - began > 300:
                        raise TimeoutError(f"{crowd.figures()} and {_owed(made)} owed after 300 s")
                    time.sleep(0.1)
                return time.monotonic() - began, bare


def _bare(served: Served, nodes: int) -> float:
    """The broker alone: as many connections with as many subscriptions."""
    plans = []
    for number in range(nodes):
        topics = tuple(sorted(node_subscriptions(NodeId(node_name(number)), area_of(number))))
        plans.append(ClientPlan(f"bare-{number}", topics))
    with Crowd(served.broker_port, plans) as crowd:
        began = time.monotonic()
        return crowd.connect() - began


def _owed(made: Made) -> int:
    db = sqlite3.connect(made.data / "loa.db", timeout=30)
    try:
        return int(db.execute("SELECT count(*) FROM owed_order WHERE confirmed_at IS NULL").fetchone()[0])
    finally:
        db.close()
