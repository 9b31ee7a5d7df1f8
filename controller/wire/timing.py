"""The controller's clock, for nodes that ask: answered at once, since every millisecond of waiting costs accuracy."""

from controller.wire.common import WireContext
from devices.protocol.envelope import seal
from devices.protocol.media import TimeReply, TimeRequest
from devices.protocol.topics import DownChannel, down_topic
from loa.units import InstantMs


def answer_time(wire: WireContext, request: TimeRequest, received_at: InstantMs) -> None:
    """Reply to a request that arrived at `received_at`. QoS 0: a reply that comes late is worth nothing."""
    reply = TimeReply(
        node=request.node,
        nonce=request.nonce,
        sent_at=request.sent_at,
        received_at=received_at,
        replied_at=wire.clock.now_ms(),
    )
    topic = down_topic(request.node, DownChannel.CTL)
    wire.link.publish(topic, seal(reply, wire.key), qos=0, urgent=True)
