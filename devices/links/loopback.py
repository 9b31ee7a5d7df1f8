"""A link in memory and the broker behind it: no sockets, no threads, no time of its own.

What is published is delivered by the event loop's next turn, in order, so it also runs on a loop over virtual time.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import lru_cache

from devices.links.port import Delivery, LastWill, LinkListener
from loa.units import BytesPerSecond


@lru_cache(maxsize=8192)
def topic_matches(pattern: str, topic: str) -> bool:
    """Whether a topic is among those of a subscription, by MQTT 3.1.1 section 4.7."""
    wanted, given = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(given) or level not in ("+", given[at]):
            return False
    return len(wanted) == len(given)


def _is_pattern(topic: str) -> bool:
    return "+" in topic or "#" in topic


class LoopbackBroker:
    """Keeps retained messages and hands on what links publish. `stop` cuts everybody; `start` takes them back."""

    def __init__(self) -> None:
        self.published_bytes = 0
        self.published = 0
        self._links: set[LoopbackLink] = set()
        self._everybody: list[LoopbackLink] = []
        self._exact: dict[str, set[LoopbackLink]] = {}
        self._patterns: dict[str, set[LoopbackLink]] = {}
        self._retained: dict[str, bytes] = {}
        self.running = True

    def stop(self) -> None:
        """As if the broker died: every link goes down, no will is published, what is retained stays."""
        self.running = False
        for link in sorted(self._links, key=lambda one: one.number):
            link.cut("broker stopped")

    def start(self) -> None:
        """Take connections again; links that were cut by `stop` come back by themselves."""
        self.running = True
        for link in self._everybody:
            if link.cut_with_broker:
                link.restore()

    def forget(self) -> None:
        """As if its memory were wiped: nothing is retained any more."""
        self._retained.clear()

    def connect(self, link: "LoopbackLink") -> None:
        self._links.add(link)

    def register(self, link: "LoopbackLink") -> int:
        """Remember a link for `start`; its number orders deliveries, so that runs repeat exactly."""
        self._everybody.append(link)
        return len(self._everybody)

    def subscribe(self, link: "LoopbackLink", topics: Iterable[str]) -> None:
        for topic in topics:
            table = self._patterns if _is_pattern(topic) else self._exact
            table.setdefault(topic, set()).add(link)
            for name, payload in list(self._retained.items()):
                if topic_matches(topic, name):
                    link.receive(Delivery(name, payload, retained=True))

    def unsubscribe(self, link: "LoopbackLink", topics: Iterable[str]) -> None:
        for topic in topics:
            table = self._patterns if _is_pattern(topic) else self._exact
            if topic in table:
                table[topic].discard(link)
                if not table[topic]:
                    del table[topic]

    def disconnect(self, link: "LoopbackLink", topics: Iterable[str], will: LastWill | None) -> None:
        self._links.discard(link)
        self.unsubscribe(link, topics)
        if will is not None and self.running:
            self.publish(will.topic, will.payload, retain=will.retain)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand a message to every link that listens; an empty retained payload deletes, as in MQTT."""
        self.published += 1
        self.published_bytes += len(payload)
        if retain:
            if payload:
                self._retained[topic] = payload
            else:
                self._retained.pop(topic, None)
        receivers = set(self._exact.get(topic, ()))
        for pattern, links in self._patterns.items():
            if topic_matches(pattern, topic):
                receivers |= links
        delivery = Delivery(topic, payload)
        for link in sorted(receivers, key=lambda receiver: receiver.number):
            link.receive(delivery)


class LoopbackLink:
    """A Link to a `LoopbackBroker`. `drop()` cuts it, will and all; `restore()` brings it back."""

    def __init__(self, broker: LoopbackBroker, *, nominal_rate: BytesPerSecond | None = None) -> None:
        self._broker = broker
        self._listener: LinkListener | None = None
        self._topics: set[str] = set()
        self._will: LastWill | None = None
        self._connected_will: LastWill | None = None
        self._inbox: deque[Delivery] = deque()
        self._pumping = False
        self._up = False
        self._nominal_rate = nominal_rate
        self._wants_up = False
        self.cut_with_broker = False
        """Came down, or could not come up, because the broker was stopped."""
        self.number = broker.register(self)

    async def start(self, listener: LinkListener) -> None:
        self._listener = listener
        self._wants_up = True
        self.restore()

    async def stop(self) -> None:
        self._wants_up = False
        if self._up:
            self._up = False
            self._broker.disconnect(self, self._topics, None)
        self._listener = None
        self._inbox.clear()

    def listen(self, topics: Iterable[str]) -> None:
        wanted = set(topics)
        new, old = wanted - self._topics, self._topics - wanted
        self._topics = wanted
        if self._up:
            self._broker.unsubscribe(self, old)
            self._broker.subscribe(self, sorted(new))

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, urgent: bool = False) -> bool:  # noqa: ARG002
        if not self._up:
            return False
        self._broker.publish(topic, payload, retain=retain)
        return True

    async def drained(self, most_bytes: int = 16_384) -> None:  # noqa: ARG002 - nothing ever waits here
        await asyncio.sleep(0)  # noqa: TID251 - lets others run; no time passes

    def set_last_will(self, will: LastWill | None) -> None:
        self._will = will

    @property
    def is_up(self) -> bool:
        return self._up

    @property
    def nominal_rate(self) -> BytesPerSecond | None:
        return self._nominal_rate

    @property
    def relays_streams(self) -> bool:
        return False

    def drop(self, reason: str = "cut") -> None:
        """As if the wire were cut: down at once, the will is published; `restore` brings it back."""
        self._go_down(reason, self._connected_will)

    def cut(self, reason: str) -> None:
        """As if the broker died: down, and nobody is left to publish the will."""
        self.cut_with_broker = True
        self._go_down(reason, None)

    def _go_down(self, reason: str, will: LastWill | None) -> None:
        if not self._up:
            return
        self._up = False
        self._inbox.clear()
        self._broker.disconnect(self, self._topics, will)
        if self._listener is not None:
            self._listener.link_down(reason)

    def restore(self) -> None:
        """Connect again, by the event loop's next turn; nothing happens where it is up or the broker is stopped."""
        asyncio.get_running_loop().call_soon(self._connect)

    def _connect(self) -> None:
        if self._up or not self._wants_up:
            return
        self.cut_with_broker = not self._broker.running
        if self.cut_with_broker:
            return
        self._up = True
        self._connected_will = self._will
        self._broker.connect(self)
        self._broker.subscribe(self, sorted(self._topics))
        if self._listener is not None:
            self._listener.link_up()

    def receive(self, delivery: Delivery) -> None:
        """From the broker: put in line and handed to the listener by the next turn of the loop."""
        self._inbox.append(delivery)
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """One at a time, so that a listener that fails does not take the rest of the line with it."""
        self._pumping = False
        if not self._inbox or self._listener is None or not self._up:
            return
        delivery = self._inbox.popleft()
        if self._inbox:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)
        self._listener.delivered(delivery)
