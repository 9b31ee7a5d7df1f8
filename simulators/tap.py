"""A tap on the broker: an independent count of the audio that was published, by somebody who only listens."""

from dataclasses import dataclass

from devices.links.port import Delivery, Link
from devices.protocol.envelope import decode
from devices.protocol.media import Piece
from devices.protocol.refusal import WireRefusal
from devices.protocol.topics import PREFIX, DownChannel


@dataclass
class AudioCount:
    """Bytes of audio within pieces, and how many pieces there were."""

    streamed_bytes: int = 0
    """On shared streams."""
    repair_bytes: int = 0
    """For single nodes that asked."""
    pieces: int = 0

    @property
    def all_bytes(self) -> int:
        return self.streamed_bytes + self.repair_bytes


class AudioTap:
    """Listens over a link of its own from `start` until `stop`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.count = AudioCount()

    async def start(self) -> None:
        self._link.listen([f"{PREFIX}/m/#", f"{PREFIX}/n/+/{DownChannel.PIECE}"])
        await self._link.start(self)

    async def stop(self) -> None:
        await self._link.stop()

    @property
    def is_up(self) -> bool:
        return self._link.is_up

    def link_up(self) -> None:
        return

    def link_down(self, reason: str) -> None:
        del reason

    def delivered(self, delivery: Delivery) -> None:
        try:
            message = decode(delivery.payload)
        except WireRefusal:
            return
        if not isinstance(message, Piece):
            return
        self.count.pieces += 1
        if delivery.topic.startswith(f"{PREFIX}/m/"):
            self.count.streamed_bytes += len(message.data)
        else:
            self.count.repair_bytes += len(message.data)
