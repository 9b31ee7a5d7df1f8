"""Thousands of thin clients: paho driven from one selector, in processes of their own.

A thin client is a paho client by itself: it subscribes and counts. What it does beyond that is a `Part` (an agent that
signs its health, one that takes audio in), which lives in the client's process. The parent asks by a pipe.
"""

import collections
import multiprocessing
import os
import resource
import select
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

_CLIENTS_AN_ADDRESS = 4000
_TICK_S = 0.05
_KEEPALIVE_S = 3600


def raise_file_limit() -> None:
    """As many open sockets as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass(frozen=True)
class ClientPlan:
    """One thin client. `part`: makes what it does beyond counting, from `options`."""

    name: str
    topics: tuple[str, ...]
    part: "Callable[[ThinClient, Any], Part] | None" = None
    options: Any = None


class Part:
    """What a thin client does beyond counting."""

    due_s: float | None = None
    """Monotonic seconds at which `turn` is wanted."""

    def __init__(self, client: "ThinClient", options: Any) -> None:
        self.client, self.options = client, options

    def up(self) -> None:
        """Connected and subscribed."""

    def down(self) -> None:
        """The connection is gone."""

    def arrived(self, topic: str, payload: bytes) -> None:
        """A message came."""

    def turn(self, now_s: float) -> None:
        """`due_s` has come."""

    def told(self, value: Any) -> None:
        """Something that the parent says to all."""

    def figures(self) -> dict[str, float]:
        """What the parent sums up over all clients."""
        return {}


@dataclass
class Count:
    """Messages on one topic, over all clients of a process."""

    messages: int = 0
    bytes: int = 0
    last_s: float = 0.0


class ThinClient:
    """One paho client without a thread."""

    def __init__(self, plan: ClientPlan, crowd: "_Process", place: int) -> None:
        self.plan, self.crowd, self.place = plan, crowd, place
        self.part = plan.part(self, plan.options) if plan.part else None
        self.paho: paho.Client | None = None
        self.up = False
        self.fd = -1
        self._writing = False
        self._awaited = -1

    def connect(self) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.plan.name, protocol=paho.MQTTv311)
        client.on_connect, client.on_message = self._on_connect, self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.max_inflight_messages_set(0)
        self.paho = client
        source = f"127.0.1.{1 + self.place // _CLIENTS_AN_ADDRESS}"
        client.connect("127.0.0.1", self.crowd.port, _KEEPALIVE_S, bind_address=source)
        sock: Any = client.socket()
        self.fd = sock.fileno()
        self.crowd.watch(self)

    def cut(self) -> None:
        """Gone without a word."""
        client, self.paho, self.up = self.paho, None, False
        if client is not None:
            self.crowd.forget(self)
            client._sock_close()
        if self.part is not None:
            self.part.down()

    def publish(self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False) -> None:
        if self.paho is not None and self.up:
            self.paho.publish(topic, payload, qos, retain)
            self.look_at_writing()

    def read(self) -> None:
        if self.paho is not None:
            self.paho.loop_read()
            self.look_at_writing()

    def write(self) -> None:
        if self.paho is not None:
            self.paho.loop_write()
            self.look_at_writing()

    def look_at_writing(self) -> None:
        wants = self.paho is not None and self.paho.want_write()
        if wants != self._writing and self.paho is not None:
            self._writing = wants
            self.crowd.poll.modify(self.fd, select.EPOLLIN | (select.EPOLLOUT if wants else 0))

    def _on_connect(self, client: paho.Client, _data: object, _flags: object, code: Any, _properties: object) -> None:
        if client is not self.paho:
            return
        if code.is_failure:
            raise RuntimeError(f"{self.plan.name} is refused: {code}")
        _, mid = client.subscribe([(topic, 1) for topic in self.plan.topics])
        self._awaited = mid or -1

    def _on_subscribe(self, client: paho.Client, _data: object, mid: int, _codes: object, _properties: object) -> None:
        if client is self.paho and mid == self._awaited and not self.up:
            self.up = True
            self.crowd.ups += 1
            if self.part is not None:
                self.crowd.soon.append(self.part.up)

    def _on_disconnect(self, client: paho.Client, *_: object) -> None:
        if client is self.paho:
            self.crowd.lost += 1
            self.crowd.poll_closed(self)

    def _on_message(self, client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if client is not self.paho:
            return
        topic = message.topic
        count = self.crowd.counts[topic]
        count.messages += 1
        count.bytes += len(message.payload)
        count.last_s = time.monotonic()
        if self.part is not None:
            part, payload = self.part, bytes(message.payload)
            self.crowd.soon.append(lambda: part.arrived(topic, payload))


class _Process:
    """Runs in a process of its own: a selector, its clients, and the parent's questions."""

    def __init__(self, port: int, pipe: Connection, plans: Sequence[ClientPlan], first: int) -> None:
        self.port, self._pipe = port, pipe
        self.poll = select.epoll()
        self.poll.register(pipe.fileno(), select.EPOLLIN)
        self.counts: dict[str, Count] = collections.defaultdict(Count)
        self.soon: collections.deque[Callable[[], None]] = collections.deque()
        self.ups = self.lost = 0
        self.clients = [ThinClient(plan, self, first + place) for place, plan in enumerate(plans)]
        self._by_fd: dict[int, ThinClient] = {}
        self._connecting: collections.deque[ThinClient] = collections.deque()
        self._back: list[tuple[float, ThinClient]] = []
        self._awaited: list[tuple[str, int]] = []
        self._ups_awaited: int | None = None
        self._looked_s = 0.0
        self._ending = False

    def watch(self, client: ThinClient) -> None:
        self._by_fd[client.fd] = client
        self.poll.register(client.fd, select.EPOLLIN | select.EPOLLOUT)
        client._writing = True

    def forget(self, client: ThinClient) -> None:
        if self._by_fd.pop(client.fd, None) is not None:
            self.poll.unregister(client.fd)

    def poll_closed(self, client: ThinClient) -> None:
        """The broker closed it: once more, as a node would."""
        client.paho, client.up = None, False
        self._by_fd.pop(client.fd, None)
        if client.part is not None:
            client.part.down()
        self._back.append((time.monotonic() + 1.0, client))

    def run(self) -> None:
        while not self._ending:
            # A few new connections a turn, so that those that are there are served meanwhile.
            for _ in range(min(20, len(self._connecting))):
                self._connecting.popleft().connect()
            pause = 0.0 if self._connecting or self.soon else _TICK_S
            for fd, events in self.poll.poll(pause):
                client = self._by_fd.get(fd)
                if client is None:
                    if fd == self._pipe.fileno():
                        self._asked(self._pipe.recv())
                    continue
                if events & ~select.EPOLLOUT:
                    client.read()
                if events & select.EPOLLOUT:
                    client.write()
            while self.soon:
                self.soon.popleft()()
            self._look_around()

    def _look_around(self) -> None:
        for topic, total in [one for one in self._awaited if self.counts[one[0]].messages >= one[1]]:
            self._awaited.remove((topic, total))
            self._pipe.send(self.counts[topic])
        if self._ups_awaited is not None and self.ups >= self._ups_awaited:
            self._ups_awaited = None
            self._pipe.send(time.monotonic())
        now = time.monotonic()
        if now - self._looked_s < _TICK_S / 5:
            return
        self._looked_s = now
        for client in self.clients:
            if client.part is not None and client.part.due_s is not None and client.part.due_s <= now:
                client.part.due_s = None
                client.part.turn(now)
        for due, client in [one for one in self._back if one[0] <= now]:
            self._back.remove((due, client))
            self._connecting.append(client)

    def _asked(self, question: tuple[str, Any]) -> None:
        what, of = question
        if what == "connect":
            self.ups = 0
            self._ups_awaited = len(self.clients)
            self._connecting.extend(self.clients)
        elif what == "count":
            self._awaited.append(of)
        elif what == "tell":
            for part in self._parts():
                part.told(of)
        elif what == "end":
            self._ending = True
        else:
            self._pipe.send(self._answer(what, of))

    def _answer(self, what: str, of: Any) -> object:
        if what == "counts":
            return {topic: count for topic, count in self.counts.items() if topic.startswith(of)}
        if what == "cut":
            share, seconds = of
            for client in self.clients[: round(len(self.clients) * share)]:
                client.cut()
                self._back.append((time.monotonic() + seconds, client))
            return None
        total: collections.Counter[str] = collections.Counter(lost_connections=self.lost)
        for part in self._parts():
            total.update(part.figures())
        return dict(total)

    def _parts(self) -> list[Part]:
        return [client.part for client in self.clients if client.part is not None]


def _run(port: int, pipe: Connection, plans: Sequence[ClientPlan], first: int) -> None:
    raise_file_limit()
    process = _Process(port, pipe, plans, first)
    pipe.send("ready")
    process.run()


@dataclass
class Crowd:
    """The parent's side. Use as a context; `connect` before anything else."""

    port: int
    plans: Sequence[ClientPlan]
    processes: int = 2
    niceness: int = 0
    """More than 0 where they only stand in for boxes with processors of their own, and others here are measured."""
    _pipes: list[Connection] = field(default_factory=list)
    _children: list[Any] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)

    def __enter__(self) -> "Crowd":
        spawn = multiprocessing.get_context("spawn")
        share = -(-len(self.plans) // self.processes)
        for first in range(0, len(self.plans), share):
            here, there = spawn.Pipe()
            some = self.plans[first : first + share]
            child = spawn.Process(target=_run, args=(self.port, there, some, first), daemon=True)
            child.start()
            assert child.pid is not None
            os.setpriority(os.PRIO_PROCESS, child.pid, self.niceness)
            there.close()
            self._pipes.append(here)
            self._children.append(child)
            self._sizes.append(len(some))
        list(self._answers(120))
        return self

    def __exit__(self, *_: object) -> None:
        self._tell("end", None)
        for child in self._children:
            child.join(5)
            child.kill()

    def connect(self, timeout_s: float = 120.0) -> float:
        """All of them at once; the instant at which the last was subscribed, in monotonic seconds."""
        self._tell("connect", None)
        return float(max(self._answers(timeout_s)))

    def await_count(self, topic: str, each: int, timeout_s: float = 60.0) -> float:
        """Until every client has had `each` messages on the topic since it began; the last one's instant."""
        for pipe, size in zip(self._pipes, self._sizes, strict=True):
            pipe.send(("count", (topic, each * size)))
        return float(max(count.last_s for count in self._answers(timeout_s)))

    def tell(self, value: Any) -> None:
        """Say something to every part."""
        self._tell("tell", value)

    def counts(self, prefix: str) -> dict[str, Count]:
        """Of all topics that begin so, together."""
        self._tell("counts", prefix)
        total: dict[str, Count] = collections.defaultdict(Count)
        for part in self._answers(10):
            for topic, count in part.items():
                total[topic].messages += count.messages
                total[topic].bytes += count.bytes
        return dict(total)

    def cut(self, share: float, seconds: float) -> None:
        """That share of each process's clients is gone, and back after `seconds`."""
        self._tell("cut", (share, seconds))
        list(self._answers(10))

    def figures(self) -> dict[str, float]:
        """Sums over all clients."""
        self._tell("figures", None)
        total: collections.Counter[str] = collections.Counter()
        for part in self._answers(30):
            total.update(part)
        return dict(total)

    def _tell(self, what: str, of: Any) -> None:
        for pipe in self._pipes:
            pipe.send((what, of))

    def _answers(self, timeout_s: float) -> Iterable[Any]:
        end = time.monotonic() + timeout_s
        for pipe in self._pipes:
            if not pipe.poll(max(0.0, end - time.monotonic())):
                raise TimeoutError("the thin clients did not get there in time")
            yield pipe.recv()
