"""An emergency from the second person's approval to the first sample at a thousand full nodes, and its cancel.

A real `loa serve` (HTTP, SQLite, mosquitto); the alert was composed and approved once before. What is timed begins when
the second person's POST is sent, their passphrase in it, and ends at each node with the first sample that is not zero.
Nodes are whole (`benchmarks.full_agents`): each verifies, stores and journals for itself, behind 100 ms of road.
In turns with it: a bare publish of as many bytes to the same clients over the same road.
"""

import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agents import SpeakingPart, Speaks
from benchmarks.bars import Bar
from benchmarks.crowd import ClientPlan, Crowd, raise_file_limit
from benchmarks.fanout import BareClient
from benchmarks.full_agents import BARE_TOPIC, AgentPlan, Agents, Boxes, Heard
from benchmarks.officers import Duty, Officer, Refusal, put_on_duty
from benchmarks.province import COMMUNES, Made, Served, area_of, make_province, node_name
from devices.protocol.topics import node_subscriptions
from loa.units import NodeId
from tests.node.rig import recording

BARS = {
    "alert_first_sound_p99_s": Bar("second approval to first sound, 1,000 full nodes, 100 ms one way", at_most=1.0),
    "cancel_p99_s": Bar("one person's cancel to silence, at those nodes", at_most=1.0),
    "alert_during_bulk_p99_s": Bar("the same while 200 of them pull audio", at_most=1.5),
    "alert_during_storm_p99_s": Bar("the same while 2,000 others reconnect at once", at_most=1.5),
    "alert_during_db_lock_p99_s": Bar("the same while somebody holds the database", at_most=1.5),
    "alert_first_sound_30_s": Bar("second approval to first sound at the last of 30 nodes", at_most=0.8),
    "alert_clipped": Bar("nodes at which the siren's first sample was not the first to sound", at_most=0),
}
_FULL, _STORM, _FEW = 1000, 2000, 30
_PULLING_COMMUNES = 11
_SIREN_S = 5.0
_SPEECH_BYTES, _BULK_BYTES = 30_000, 1_500_000
_ORDER_BYTES = 700
_STAND_INS = 19
"""Niceness of two thousand thin ones that have two thousand processors elsewhere: they come as fast as is left here."""
_LOCKED_S = 8.0
_MEMORY = Path("/dev/shm")
"""A thousand boxes have a thousand disks. On one, they wait for each other's `fsync`; the centre's is on a real one.

Where there is no such place, all are on one disk."""


@dataclass(frozen=True)
class _Size:
    nodes: int
    storm: int
    few: int
    rounds: int
    before_cancel_s: float
    """On two cores a thousand nodes take ten seconds to write down and to fetch what a thousand boxes do at once."""


def run(quick: bool) -> dict[str, float]:
    """Medians over rounds; the first alert in a province warms up and does not count."""
    raise_file_limit()
    size = _Size(20, 40, 5, 1, 2.0) if quick else _Size(_FULL, _STORM, _FEW, 5, 10.0)
    figures: dict[str, float] = {}
    with _world(size, size.few, 0, size.rounds + 1) as world:
        calm = _calm(world, size.rounds)
        figures["alert_first_sound_30_s"] = calm.last
        figures["alert_clipped_30"] = calm.clipped
    with _world(size, size.nodes, 0, 3 * size.rounds + 1) as world:
        figures |= _province(world, size.rounds)
    with _world(size, size.nodes, size.storm, size.rounds + 1) as world:
        storm, back_s = _during_storm(world, size.storm, size.nodes, size.rounds)
        figures |= {
            "alert_during_storm_p99_s": storm.p99,
            "alert_clipped_storm": storm.clipped,
            "alert_storm_back_s": back_s,
        }
    return figures


def _province(world: "_World", rounds: int) -> dict[str, float]:
    calm = _calm(world, rounds)
    with _pulling(world):
        bulk = world.rounds(rounds)
    locked = world.rounds(rounds, meanwhile=lambda: _locked(world))
    return {
        "alert_first_sound_p99_s": calm.p99,
        "alert_first_sound_median_s": calm.median,
        "alert_placed_p99_s": calm.placed_p99,
        "alert_approval_reply_s": calm.reply,
        "alert_decode_ms": calm.decode_ms,
        "alert_node_to_sound_cpu_ms": calm.to_sound_ms,
        "alert_node_taking_cpu_ms": calm.taking_ms,
        "alert_bare_p99_s": calm.bare_p99,
        "alert_over_bare": calm.p99 / calm.bare_p99,
        "alert_clipped": calm.clipped,
        "cancel_p99_s": calm.cancel_p99,
        "alert_during_bulk_p99_s": bulk.p99,
        "alert_clipped_bulk": bulk.clipped,
        "alert_during_db_lock_p99_s": locked.p99,
        "alert_clipped_db_lock": locked.clipped,
    }


@dataclass(frozen=True)
class _Round:
    """Seconds since the POST was sent, of one release and its cancel."""

    first: list[float]
    placed: list[float]
    silent: list[float]
    reply: float
    clipped: float
    decode_ms: float
    to_sound_ms: float
    taking_ms: float
    bare: list[float]


@dataclass(frozen=True)
class _Found:
    """Medians over rounds."""

    rounds: list[_Round]

    def _median(self, of: Callable[[_Round], float]) -> float:
        return statistics.median(of(one) for one in self.rounds)

    @property
    def p99(self) -> float:
        return self._median(lambda one: _percentile(one.first, 99))

    @property
    def last(self) -> float:
        return self._median(lambda one: max(one.first))

    @property
    def median(self) -> float:
        return self._median(lambda one: statistics.median(one.first))

    @property
    def placed_p99(self) -> float:
        return self._median(lambda one: _percentile(one.placed, 99))

    @property
    def cancel_p99(self) -> float:
        return self._median(lambda one: _percentile(one.silent, 99))

    @property
    def bare_p99(self) -> float:
        return self._median(lambda one: _percentile(one.bare, 99))

    @property
    def reply(self) -> float:
        return self._median(lambda one: one.reply)

    @property
    def clipped(self) -> float:
        return self._median(lambda one: one.clipped)

    @property
    def to_sound_ms(self) -> float:
        return self._median(lambda one: one.to_sound_ms)

    @property
    def taking_ms(self) -> float:
        return self._median(lambda one: one.taking_ms)

    @property
    def decode_ms(self) -> float:
        return self._median(lambda one: one.decode_ms)


def _percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]


def _calm(world: "_World", rounds: int) -> _Found:
    world.rounds(1)
    return world.rounds(rounds)


Meanwhile = Callable[[], AbstractContextManager[None]]
"""What goes on while an alert is released."""


class _World:
    """A province that is served, its boxes, and its two officers."""

    def __init__(self, made: Made, duty: Duty, served: Served, agents: Agents, before_cancel_s: float) -> None:
        self.made, self.served, self.agents = made, served, agents
        self._before_cancel_s = before_cancel_s
        self._bulletins = list(duty.bulletins)
        host, port = served.address
        self.first, self.second = (Officer(one, host, port) for one in duty.officers)
        self._bare = BareClient(served.broker_port)

    def close(self) -> None:
        self._bare.close()

    def rounds(self, count: int, *, meanwhile: Meanwhile | None = None) -> _Found:
        return _Found([self._round(meanwhile) for _ in range(count)])

    def _round(self, meanwhile: Meanwhile | None) -> _Round:
        """Compose, approve once; then the release and, when its speech is everywhere, the cancel, timed."""
        for officer in (self.first, self.second):
            officer.freshen()
        alert = self.first.compose([self._bulletins.pop()])
        self.first.approve(alert)
        bare = self._bare_round()
        with meanwhile() if meanwhile is not None else _nothing():
            began_s = time.monotonic()
            self._insist(lambda: self.second.approve(alert))
            reply_s = time.monotonic() - began_s
            self.agents.until("sounding", alert["id"], within_s=60.0)
        time.sleep(self._before_cancel_s)
        cancelled_s = time.monotonic()
        self.first.cancel(alert)
        self.agents.until("stopped", alert["id"], within_s=60.0)
        time.sleep(1.0)
        heard = self.agents.heard(alert["id"])
        self.agents.until("ready", within_s=120.0)
        return _Round(
            [one.first_s - began_s for one in heard],
            [one.placed_s - began_s for one in heard],
            [(one.stopped_s or 1e9) - cancelled_s for one in heard],
            reply_s,
            sum(_is_clipped(one) for one in heard),
            statistics.median(one.decode_s for one in heard) * 1000,
            statistics.median(one.to_sound_cpu_s for one in heard) * 1000,
            statistics.median(one.taking_cpu_s for one in heard) * 1000,
            bare,
        )

    def _bare_round(self) -> list[float]:
        began_s = time.monotonic()
        self._bare.publish(BARE_TOPIC, bytes(_ORDER_BYTES))
        time.sleep(2.0)
        return [one - began_s for one in self.agents.bare()]

    @staticmethod
    def _insist(act: Callable[[], object]) -> None:
        """Again where the centre could not do it, as a person would who sees an error; the clock runs on."""
        while True:
            try:
                act()
                return
            except Refusal as refusal:
                if refusal.status < 500:
                    raise


def _is_clipped(one: Heard) -> bool:
    return one.clipped_ms > 0 or not one.same


@contextmanager
def _world(size: _Size, nodes: int, others: int, alerts: int) -> "Iterator[_World]":
    """`nodes` full ones that are ready, and `others` that were enrolled and are away."""
    siren = recording(_SIREN_S, 700.0)
    with (
        tempfile.TemporaryDirectory(prefix="loa-bench-") as folder,
        tempfile.TemporaryDirectory(prefix="loa-bench-boxes-", dir=_MEMORY if _MEMORY.is_dir() else None) as disks,
    ):
        data, boxes = Path(folder), Path(disks)
        made = make_province(data, nodes + others, keys=True, health=False, audio_bytes=_BULK_BYTES)
        duty = put_on_duty(made, siren, alerts, _SPEECH_BYTES)
        plans = [AgentPlan(node_name(number), slow=_pulls(number)) for number in range(nodes)]
        with Served(made) as served, Agents(plans, Boxes(served.broker_port, boxes, duty.roots, siren)) as agents:
            agents.until("ready", within_s=600.0)
            world = _World(made, duty, served, agents, size.before_cancel_s)
            try:
                yield world
            finally:
                world.close()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _pulls(number: int) -> bool:
    """About a fifth of all: those of eleven communes, whose links are slow."""
    return number % COMMUNES < _PULLING_COMMUNES


@contextmanager
def _pulling(world: _World) -> Iterator[None]:
    """A long bulletin for later, which those communes' boxes ask for range by range from now on."""
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1800))
    areas = [str(area_of(number)) for number in range(_PULLING_COMMUNES)]
    world.served.is_well()
    form = {"bulletins": [world.made.bulletin], "target_areas": areas, "start_at": soon}
    order = world.served.ask("POST", "/api/v1/broadcasts", form)["id"]
    time.sleep(5.0)
    try:
        yield
    finally:
        world.served.is_well()
        world.served.ask("POST", f"/api/v1/broadcasts/{order}/recall")


@contextmanager
def _locked(world: _World) -> Iterator[None]:
    """Another process has the tables for itself, as a backup or somebody's shell might; for eight seconds or more."""
    db = sqlite3.connect(world.made.data / "loa.db", timeout=30, check_same_thread=False)
    db.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(_LOCKED_S, db.rollback)
    timer.start()
    try:
        yield
    finally:
        timer.join()
        db.close()


def _during_storm(world: _World, others: int, first: int, rounds: int) -> tuple[_Found, float]:
    """`others` thin ones, numbered from `first` on, lose their links and are all back at once, each with receipts.

    Beside what was found: seconds from when they may come back until the last had all it lacked.
    """
    back_s: list[float] = []
    plans = []
    for number in range(first, first + others):
        name = NodeId(node_name(number))
        topics = tuple(sorted(node_subscriptions(name, area_of(number))))
        plans.append(ClientPlan(name, topics, SpeakingPart, Speaks(area_of(number), receipts=3)))
    with Crowd(world.served.broker_port, plans, niceness=_STAND_INS) as crowd:
        crowd.connect()
        _until_reconciled(crowd, others)
        world.rounds(1)

        @contextmanager
        def storm() -> Iterator[None]:
            _strike_off(world.made, node_name(first))
            crowd.cut(1.0, 1.0)
            time.sleep(1.2)
            began_s = time.monotonic()
            yield
            _until_reconciled(crowd, others)
            back_s.append(time.monotonic() - began_s)
            _strike_off(world.made, node_name(first))

        return world.rounds(rounds, meanwhile=storm), statistics.median(back_s)


def _until_reconciled(crowd: Crowd, others: int) -> None:
    end = time.monotonic() + 120
    while crowd.figures()["reconciled"] < others:
        if time.monotonic() > end:
            raise TimeoutError(f"{crowd.figures()}")
        time.sleep(0.2)


def _strike_off(made: Made, first: str) -> None:
    """Thin clients confirm nothing: what is owed to them would be sent again into what is timed next."""
    with sqlite3.connect(made.data / "loa.db", timeout=30) as db:
        db.execute("DELETE FROM owed_order WHERE node >= ?", (first,))
    db.close()
