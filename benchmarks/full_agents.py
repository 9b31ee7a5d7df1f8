"""Full loudspeaker nodes by the hundred, in processes of their own: `devices.node` with a folder each, verifying all.

Everything is the product's: node, MQTT link, storage, the recorded siren. Four things stand in. The folders lie in
memory: a thousand boxes have a thousand disks. A road of 100 ms each way lies between each link and its node. The
speaker notes what is placed when, and decodes it later, on its own time: a thousand boxes have a thousand processors
for that, and here two serve all. And what one node has parsed no other one may find in a memory of its process: those
are emptied before each message.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.crowd import raise_file_limit
from benchmarks.province import node_key
from devices.links.mqtt import MqttLink
from devices.links.port import Delivery, LastWill, LinkListener
from devices.node.config import NodeConfig
from devices.node.disk import DiskStorage
from devices.node.node import Node
from devices.node.ports import Clip, PlaybackEvents
from devices.node.sound import FRAME_BYTES, ClipSound
from devices.node.store import RenditionStore
from devices.protocol import approval, cose, envelope
from devices.protocol.envelope import decode
from devices.protocol.identity import NodeIdentity
from devices.protocol.media import Manifest
from devices.protocol.trust import RootSet
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.units import BytesPerSecond, Digest, DurationMs, NodeId
from tests.node.rig import Recording

ONE_WAY_S = 0.1
BARE_TOPIC = "loa-bench/bare"
_RATE = 48_000
_LOOKED_AT_FRAMES = _RATE // 10
_BETWEEN_STARTS_S = 0.05
_SLOW_RATE = BytesPerSecond(8_000)
_MEMORIES = (approval.read_body, cose._protected, cose._key_named_in, envelope._remembered)


class FarLink:
    """A Link with a road of `ONE_WAY_S` each way behind it. `rate`: what is known of the medium, if anything."""

    def __init__(self, link: MqttLink, rate: BytesPerSecond | None) -> None:
        self._link, self._rate = link, rate
        self._listener: LinkListener | None = None
        self.bare_s: list[float] = []
        """When each bare message had come all the way."""
        self.taking_cpu_s = 0.0
        """The thread's processor seconds when the node was given the last message."""
        self.orders_cpu_s: list[float] = []
        """Processor seconds that each order took, all that was written down for it at once included."""

    async def start(self, listener: LinkListener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        await self._link.start(self)

    async def stop(self) -> None:
        self._listener = None
        await self._link.stop()

    def listen(self, topics: Iterable[str]) -> None:
        self._link.listen([*topics, BARE_TOPIC])

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, urgent: bool = False) -> bool:
        if not self._link.is_up:
            return False
        self._loop.call_later(
            ONE_WAY_S, lambda: self._link.publish(topic, payload, qos=qos, retain=retain, urgent=urgent)
        )
        return True

    async def drained(self, most_bytes: int = 16_384) -> None:
        await self._link.drained(most_bytes)

    def set_last_will(self, will: LastWill | None) -> None:
        self._link.set_last_will(will)

    @property
    def is_up(self) -> bool:
        return self._link.is_up

    @property
    def nominal_rate(self) -> BytesPerSecond | None:
        return self._rate

    @property
    def relays_streams(self) -> bool:
        return False

    # The link's listener

    def link_up(self) -> None:
        if self._listener is not None:
            self._listener.link_up()

    def link_down(self, reason: str) -> None:
        if self._listener is not None:
            self._listener.link_down(reason)

    def delivered(self, delivery: Delivery) -> None:
        self._loop.call_later(ONE_WAY_S, self._arrived, delivery)

    def _arrived(self, delivery: Delivery) -> None:
        if delivery.topic == BARE_TOPIC:
            self.bare_s.append(time.monotonic())
        elif self._listener is not None:
            for memory in _MEMORIES:
                memory.cache_clear()
            self.taking_cpu_s = time.thread_time()
            self._listener.delivered(delivery)
            if delivery.topic.endswith("/order"):
                self.orders_cpu_s.append(time.thread_time() - self.taking_cpu_s)


@dataclass
class Placed:
    """A clip on the speaker. Instants in monotonic seconds, which all processes of a machine share."""

    clip: Clip
    called_s: float
    at_s: float
    """When its first frame was due."""
    cpu_s: float
    """Processor seconds from the last message on its link until then."""
    stopped_s: float | None = None

    @property
    def late_s(self) -> float:
        return max(0.0, self.called_s - self.at_s)


class NotingSpeaker:
    """A Speaker that notes; what it is given starts when it is due, or now with the part left out that is past."""

    ready = True

    def __init__(self, given_cpu_s: Callable[[], float]) -> None:
        self.placed: list[Placed] = []
        self.given_cpu_s = given_cpu_s

    async def open(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing to do."""

    async def lost(self) -> None:
        await asyncio.Event().wait()

    def play(self, clip: Clip, at_monotonic_s: float, events: PlaybackEvents) -> "_Noted":
        placed = Placed(clip, time.monotonic(), at_monotonic_s, time.thread_time() - self.given_cpu_s())
        self.placed.append(placed)
        return _Noted(placed, events)


class _Noted:
    """One playback."""

    def __init__(self, placed: Placed, events: PlaybackEvents) -> None:
        self._placed, self._events = placed, events
        self._total_s = sum(placed.clip.durations_ms) / 1000
        self._loop = asyncio.get_running_loop()
        self._begins_s = max(placed.at_s, placed.called_s)
        self._timer = self._loop.call_at(self._loop.time() + self._begins_s - placed.called_s, self._begun)

    def _begun(self) -> None:
        left_s = self._total_s - self._placed.clip.offset_ms / 1000 - self._placed.late_s
        self._timer = self._loop.call_later(max(0.0, left_s), self._events.finished)
        self._events.started(self._begins_s)

    def stop(self) -> None:
        self._timer.cancel()
        if self._placed.stopped_s is None:
            self._placed.stopped_s = time.monotonic()

    @property
    def position_ms(self) -> DurationMs:
        done_s = max(0.0, time.monotonic() - self._begins_s)
        return DurationMs(self._placed.clip.offset_ms + round(min(self._total_s, done_s) * 1000))


@dataclass(frozen=True)
class AgentPlan:
    """One box: its name, and whether its link is known to be slow, so that it asks for audio instead of joining in."""

    name: str
    slow: bool = False


@dataclass(frozen=True)
class Boxes:
    """What all boxes are given. `siren`: on their disks from the day they were set up."""

    port: int
    folder: Path
    roots: RootSet
    siren: Recording


@dataclass(frozen=True)
class Heard:
    """What one box sounded of an alert."""

    node: str
    first_s: float
    """Monotonic second of the first sample that is not zero, decoding included."""
    placed_s: float
    clipped_ms: float
    """How much of the siren's beginning was left out."""
    same: bool
    """What sounds first is, to the sample, what the siren begins with (where nothing was left out)."""
    decode_s: float
    stopped_s: float | None
    to_sound_cpu_s: float
    """Processor seconds from the order's arrival to the sound's being placed."""
    taking_cpu_s: float
    """And to the end of all that is done at once."""


class Agent:
    """One box in this process."""

    def __init__(self, plan: AgentPlan, boxes: Boxes) -> None:
        clock = SystemClock()
        self.name = plan.name
        self.storage = DiskStorage(boxes.folder / plan.name)
        _stock(self.storage, boxes.siren)
        link = MqttLink(f"mqtt://127.0.0.1:{boxes.port}", plan.name, clock, system_entropy, keepalive_s=600.0)
        self.link = FarLink(link, _SLOW_RATE if plan.slow else None)
        self.speaker = NotingSpeaker(lambda: self.link.taking_cpu_s)
        self.node = Node(
            identity=NodeIdentity(NodeId(plan.name), node_key(plan.name), boxes.roots), link=self.link,
            storage=self.storage, speaker=self.speaker, clock=clock, entropy=system_entropy, config=NodeConfig(),
        )  # fmt: skip

    @property
    def ready(self) -> bool:
        """It knows its place, whom to trust, the siren and the time, and the centre has all that it wrote down."""
        status = self.node.status()
        return bool(
            status.link_up and status.area and status.trust_version and status.now_ms and status.renditions
            and status.acknowledged == status.last_number and self.node._records.settings
        )  # fmt: skip

    def heard(self, label: str) -> Heard | None:
        """Of its first sound under this label."""
        first = next((one for one in self.speaker.placed if one.clip.label == label), None)
        if first is None:
            return None
        stops = [one.stopped_s for one in self.speaker.placed if one.clip.label == label and one.stopped_s]
        began_s = time.monotonic()
        clipped_ms = first.clip.offset_ms + first.late_s * 1000
        given = _samples(first.clip, DurationMs(round(clipped_ms)))
        decode_s = time.monotonic() - began_s
        starts_s = max(first.at_s, first.called_s + decode_s)
        sounding = next((at for at in range(0, len(given), FRAME_BYTES) if given[at : at + FRAME_BYTES] != b"\0\0"), 0)
        whole = _samples(first.clip, DurationMs(0))
        orders, self.link.orders_cpu_s = self.link.orders_cpu_s, []
        return Heard(
            self.name, starts_s + sounding / FRAME_BYTES / _RATE, first.called_s, clipped_ms,
            clipped_ms > 0 or given == whole, decode_s, min(stops, default=None),
            first.cpu_s, orders[0],
        )  # fmt: skip


def _samples(clip: Clip, offset_ms: DurationMs) -> bytes:
    """Of the siren alone: what follows it is still coming in."""
    part = Clip(clip.label, clip.sources[:1], clip.durations_ms[:1], offset_ms, clip.gain)
    return ClipSound(part).read(_LOOKED_AT_FRAMES)


def _stock(storage: DiskStorage, siren: Recording) -> None:
    store, manifest = RenditionStore(storage), decode(siren.manifest)
    assert isinstance(manifest, Manifest)
    digest: Digest = store.add_manifest(manifest)
    for index in range(manifest.block_count):
        begins = index * manifest.block_bytes
        store.put_block(digest, index, siren.file[begins : begins + manifest.block_length(index)])


class _Process:
    """Runs some agents and answers the parent."""

    def __init__(self, pipe: Connection, plans: Sequence[AgentPlan], boxes: Boxes) -> None:
        self._pipe, self._plans, self._boxes = pipe, plans, boxes
        self._agents: list[Agent] = []
        self._over = asyncio.Event()

    async def run(self) -> None:
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._asked)
        for plan in self._plans:
            agent = Agent(plan, self._boxes)
            self._agents.append(agent)
            await agent.node.start()
            await asyncio.sleep(_BETWEEN_STARTS_S)
        await self._over.wait()
        await asyncio.gather(*(agent.node.stop() for agent in self._agents))

    def _asked(self) -> None:
        what, of = self._pipe.recv()
        if what == "end":
            self._over.set()
        else:
            self._pipe.send(getattr(self, f"_{what}")(of))

    def _ready(self, _: object) -> int:
        return sum(agent.ready for agent in self._agents)

    def _bare(self, _: object) -> list[float]:
        """When the last bare message came, at each box that had one since it was last asked."""
        found = [agent.link.bare_s[-1] for agent in self._agents if agent.link.bare_s]
        for agent in self._agents:
            agent.link.bare_s.clear()
        return found

    def _sounding(self, label: str) -> int:
        return sum(any(one.clip.label == label for one in agent.speaker.placed) for agent in self._agents)

    def _stopped(self, label: str) -> int:
        return sum(
            any(one.clip.label == label and one.stopped_s for one in agent.speaker.placed) for agent in self._agents
        )

    def _heard(self, label: str) -> list[Heard]:
        return [one for one in (agent.heard(label) for agent in self._agents) if one is not None]

    def _troubles(self, _: object) -> list[str]:
        found = []
        for agent in self._agents:
            status = agent.node.status()
            if status.failure is not None or status.refusals:
                found.append(f"{agent.name}: {status.failure!r} {status.refusals}")
        return found


def _run(pipe: Connection, plans: Sequence[AgentPlan], boxes: Boxes) -> None:
    raise_file_limit()
    asyncio.run(_Process(pipe, plans, boxes).run())


@dataclass
class Agents:
    """The parent's side. Use as a context."""

    plans: Sequence[AgentPlan]
    boxes: Boxes
    processes: int = 4
    _pipes: list[Connection] = field(default_factory=list)
    _children: list[Any] = field(default_factory=list)

    def __enter__(self) -> "Agents":
        spawn = multiprocessing.get_context("spawn")
        share = -(-len(self.plans) // self.processes)
        for first in range(0, len(self.plans), share):
            here, there = spawn.Pipe()
            child = spawn.Process(target=_run, args=(there, self.plans[first : first + share], self.boxes), daemon=True)
            child.start()
            there.close()
            self._pipes.append(here)
            self._children.append(child)
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.send(("end", None))
        for child in self._children:
            child.join(20)
            child.kill()

    def until(self, what: str, of: object = None, *, within_s: float, share: float = 1.0) -> None:
        """Until that many of the boxes are `ready`, `sounding` or `stopped`."""
        end, wanted = time.monotonic() + within_s, round(share * len(self.plans))
        while (there := sum(self._ask(what, of))) < wanted:
            if time.monotonic() > end:
                raise TimeoutError(f"{there} of {wanted} boxes {what}: {self.troubles()[:5]}")
            time.sleep(0.25)

    def heard(self, label: str) -> list[Heard]:
        """What each box sounded of it; decodes, which takes each a moment."""
        return [one for part in self._ask("heard", label) for one in part]

    def bare(self) -> list[float]:
        return [one for part in self._ask("bare", None) for one in part]

    def troubles(self) -> list[str]:
        return [one for part in self._ask("troubles", None) for one in part]

    def _ask(self, what: str, of: object) -> list[Any]:
        for pipe in self._pipes:
            pipe.send((what, of))
        return [pipe.recv() for pipe in self._pipes]
