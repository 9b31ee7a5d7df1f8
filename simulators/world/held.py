"""A broker in somebody else's hands: what goes through it is handed on, kept back, changed, or said again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from devices.links.loopback import LoopbackBroker


@dataclass(frozen=True)
class Published:
    """One message as a link handed it over."""

    topic: str
    payload: bytes
    retain: bool = False


Grip = Callable[[Published], Iterable[Published]]
"""What becomes of a message: nothing, itself, others."""


class HeldBroker(LoopbackBroker):
    """Does what a broker does until somebody puts a grip on it."""

    def __init__(self) -> None:
        super().__init__()
        self.grip: Grip | None = None

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if self.grip is None:
            super().publish(topic, payload, retain=retain)
            return
        for one in self.grip(Published(topic, payload, retain)):
            self.slip(one)

    def slip(self, one: Published) -> None:
        """Past the grip: what its holder says of their own accord."""
        super().publish(one.topic, one.payload, retain=one.retain)
