"""Topic names. Nodes subscribe to exact topics, never to wildcards; only the controller uses wildcards."""

from dataclasses import dataclass
from enum import StrEnum

from loa.names import AreaPath
from loa.units import Digest, NodeId

PREFIX = "loa/1"
ENROLMENT_ASKED = f"{PREFIX}/e/asked"
ENROLMENT_ANSWERED = f"{PREFIX}/e/answered"
"""On a station's bus alone, never at a broker: a wired box that has no name yet asks the centre through its station."""


class AreaChannel(StrEnum):
    ORDER = "order"
    TRUST = "trust"
    SETTINGS = "settings"
    TIMETABLE = "timetable"
    RECORD = "record"
    """The province's alone."""


class DownChannel(StrEnum):
    """Controller to one node."""

    ORDER = "order"
    CTL = "ctl"
    PIECE = "piece"


class UpChannel(StrEnum):
    """One node to the controller."""

    PRESENCE = "presence"
    HEALTH = "health"
    RECEIPT = "receipt"
    WANT = "want"
    TIME = "time"


def area_topic(area: AreaPath, channel: AreaChannel) -> str:
    return f"{PREFIX}/a/{area}/{channel}"


def down_topic(node: NodeId, channel: DownChannel) -> str:
    return f"{PREFIX}/n/{node}/{channel}"


def up_topic(node: NodeId, channel: UpChannel) -> str:
    return f"{PREFIX}/n/{node}/{channel}"


def stream_topic(digest: Digest) -> str:
    return f"{PREFIX}/m/{digest.hex()}"


def live_topic(session: bytes) -> str:
    return f"{PREFIX}/l/{session.hex()}"


def controller_subscriptions() -> frozenset[str]:
    """What the controller listens to."""
    return frozenset(f"{PREFIX}/n/+/{channel}" for channel in UpChannel)


def node_subscriptions(node: NodeId, area: AreaPath | None) -> frozenset[str]:
    """What a node listens to, streams apart; without a placement only what is for itself."""
    own = {down_topic(node, channel) for channel in DownChannel}
    if area is None:
        return frozenset(own)
    province, *_ = places = area.with_ancestors()
    channels = [channel for channel in AreaChannel if channel is not AreaChannel.RECORD]
    own |= {area_topic(place, channel) for place in places for channel in channels}
    return frozenset(own | {area_topic(province, AreaChannel.RECORD)})


@dataclass(frozen=True)
class UpTopic:
    node: str
    channel: UpChannel


def read_up_topic(topic: str) -> UpTopic | None:
    """Which node and channel a topic of the controller's subscriptions names; None for any other topic."""
    parts = topic.split("/")
    if len(parts) != 5 or parts[:3] != ["loa", "1", "n"]:
        return None
    try:
        return UpTopic(parts[3], UpChannel(parts[4]))
    except ValueError:
        return None
