"""Messages on a station's bus: topics as channel codes, fragments, and putting them together again. Pure.

Payloads pass byte for byte. A topic is left out where the other end can tell it from the address or from the payload,
and restored exactly.
"""

import zlib
from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum

from devices.links.serial_frames import MAX_DATA_BYTES, Frame, Opcode
from devices.protocol import topics
from devices.protocol.envelope import decode
from devices.protocol.local_orders import LOCAL_TOPIC
from devices.protocol.media import Manifest, Piece, digest_of
from devices.protocol.refusal import WireRefusal
from loa.units import NodeId

MAX_MESSAGE_BYTES = 1024 * 1024
_OPEN_MESSAGES = 16


class Channel(IntEnum):
    """What a message is about; the order within each group is that of `devices.protocol.topics`."""

    LISTEN = 0
    """Node to station: the topics that it listens to, one a line."""
    AREA_ORDER = 1
    AREA_TRUST = 2
    AREA_SETTINGS = 3
    AREA_TIMETABLE = 4
    ORDER = 5
    CTL = 6
    PIECE = 7
    STREAM = 8
    OTHER = 15
    """The topic is spelt out."""
    PRESENCE = 16
    HEALTH = 17
    RECEIPT = 18
    WANT = 19
    TIME = 20
    AREA_RECORD = 21
    LOCAL = 22
    """Station to nodes: an order given at the station itself. Nothing that a broker brings comes under it."""


_AREA = dict(zip(topics.AreaChannel, (1, 2, 3, 4, 21), strict=True))
_DOWN = dict(zip(topics.DownChannel, (5, 6, 7), strict=True))
_UP = dict(zip(topics.UpChannel, (16, 17, 18, 19, 20), strict=True))
_AREA_NAMES = {code: name for name, code in _AREA.items()}
_OWN_CODES: dict[str, int] = {name.value: code for name, code in (*_DOWN.items(), *_UP.items())}
_OWN_NAMES: dict[int, str] = {code: name for name, code in _OWN_CODES.items()}


@dataclass(frozen=True, slots=True)
class BusMessage:
    """A payload with its channel code; `body` is what travels in fragments."""

    channel: Channel
    body: bytes
    retained: bool = False


def _spelt(channel: Channel, text: str, payload: bytes) -> bytes:
    name = text.encode()
    if len(name) > 255:
        raise ValueError(f"{channel.name}: a topic of at most 255 bytes")
    return bytes([len(name)]) + name + payload


def pack(topic: str, payload: bytes, *, retained: bool = False) -> BusMessage:
    """The shortest form that gives back this topic. Raises ValueError for a topic of more than 255 bytes."""
    parts = topic.split("/")
    if parts[:2] == ["loa", "1"] and len(parts) >= 4:
        last = parts[-1]
        if parts[2] == "a" and len(parts) >= 5 and last in _AREA_NAMES.values():
            code = Channel(_AREA[topics.AreaChannel(last)])
            return BusMessage(code, _spelt(code, "/".join(parts[3:-1]), payload), retained)
        if parts[2] == "n" and len(parts) == 5 and last in _OWN_NAMES.values():
            return BusMessage(Channel(_OWN_CODES[last]), payload, retained)
        if parts[2] == "m" and _stream_topic_of(payload) == topic:
            return BusMessage(Channel.STREAM, payload, retained)
    return BusMessage(Channel.OTHER, _spelt(Channel.OTHER, topic, payload), retained)


def unpack(channel: Channel, body: bytes, node: NodeId) -> tuple[str, bytes] | None:
    """Topic and payload; `node` is whose address it was for or from. None where the body is not of that form."""
    if channel in _OWN_NAMES:
        return f"{topics.PREFIX}/n/{node}/{_OWN_NAMES[channel]}", body
    if channel is Channel.STREAM:
        topic = _stream_topic_of(body)
        return None if topic is None else (topic, body)
    if channel is Channel.LOCAL:
        return LOCAL_TOPIC, body
    if channel is Channel.LISTEN or not body or 1 + body[0] > len(body):
        return None
    try:
        name = body[1 : 1 + body[0]].decode("ascii")
    except UnicodeDecodeError:
        return None
    rest = body[1 + body[0] :]
    if channel is Channel.OTHER:
        return name, rest
    return f"{topics.PREFIX}/a/{name}/{_AREA_NAMES[channel]}", rest


def _stream_topic_of(payload: bytes) -> str | None:
    """The shared stream's topic that a piece or a manifest belongs to."""
    try:
        message = decode(payload)
    except WireRefusal:
        return None
    if isinstance(message, Piece):
        return topics.stream_topic(message.rendition)
    return topics.stream_topic(digest_of(payload)) if isinstance(message, Manifest) else None


def fragments(message: BusMessage, *, destination: int, source: int, number: int) -> list[Frame]:
    """The frames of a message; one of several fragments ends with the CRC-32 of its whole body."""
    body = message.body
    if len(body) > MAX_DATA_BYTES:
        body += zlib.crc32(body).to_bytes(4, "big")
    parts = [body[at : at + MAX_DATA_BYTES] for at in range(0, len(body), MAX_DATA_BYTES)] or [b""]
    return [
        Frame(Opcode.DATA, destination, source, message.channel, number, index, len(parts), part, message.retained)
        for index, part in enumerate(parts)
    ]


@dataclass(slots=True)
class _Open:
    total: int
    parts: dict[int, bytes]


class Reassembly:
    """Puts messages together from fragments of several that are under way at a time."""

    def __init__(self) -> None:
        self.spoilt = 0
        """Messages whose fragments did not belong together."""
        self._open: OrderedDict[tuple[int, int, int, int], _Open] = OrderedDict()

    def add(self, frame: Frame) -> BusMessage | None:
        """The message that this fragment completes."""
        try:
            channel = Channel(frame.channel)
        except ValueError:
            return None
        if frame.total == 1:
            return BusMessage(channel, frame.data, frame.retained)
        if frame.total * MAX_DATA_BYTES > MAX_MESSAGE_BYTES:
            return None
        key = (frame.source, frame.destination, frame.channel, frame.number)
        known = self._open.get(key)
        if known is None or known.total != frame.total or (frame.index == 0 and 0 in known.parts):
            known = self._open[key] = _Open(frame.total, {})
        self._open.move_to_end(key)
        known.parts[frame.index] = frame.data
        if len(known.parts) < known.total:
            if len(self._open) > _OPEN_MESSAGES:
                self._open.popitem(last=False)
            return None
        del self._open[key]
        body = b"".join(known.parts[index] for index in range(known.total))
        if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "big"):
            self.spoilt += 1
            return None
        return BusMessage(channel, body[:-4], frame.retained)


def listen_body(wanted: frozenset[str]) -> bytes:
    """The body of a LISTEN message."""
    return "\n".join(sorted(wanted)).encode()


def read_listen(body: bytes) -> frozenset[str]:
    """The topics of a LISTEN message; what is not a topic is left out."""
    return frozenset(topic for topic in body.decode("utf-8", "replace").split("\n") if topic)


def listen_mark(wanted: frozenset[str]) -> bytes:
    """Four bytes that tell two sets of topics apart; never those of \"nothing known\", four zeros."""
    return (zlib.crc32(listen_body(wanted)) or 1).to_bytes(4, "big")


NOTHING_KNOWN = bytes(4)
