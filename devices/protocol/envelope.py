"""Messages to bytes and back, signed or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from devices.protocol import cbor, cose
from devices.protocol.alerts import AlertBody
from devices.protocol.common import MessageType
from devices.protocol.documents import Placement, Settings, Timetable
from devices.protocol.fields import KEY_TYPE, KEY_VERSION, PROTOCOL_VERSION, from_map, to_map
from devices.protocol.keys import SigningKey
from devices.protocol.local import StationMandate
from devices.protocol.media import LiveSegment, Manifest, Piece, TimeReply, TimeRequest, Want
from devices.protocol.orders import Order
from devices.protocol.record import RecordHead
from devices.protocol.refusal import Malformed
from devices.protocol.reports import Acknowledgement, Health, Presence, Receipt
from devices.protocol.shortening import completed, shortened
from devices.protocol.trust import Appointment, Mandate, Revocation, RootSet, Trust
from loa.errors import Fault

Message = (
    Order | Timetable | Settings | Trust | Placement | Receipt | Acknowledgement | Health | Presence | TimeRequest
    | TimeReply | Want | Piece | Manifest | LiveSegment | Mandate | RootSet | Appointment | Revocation | AlertBody
    | RecordHead | StationMandate
)  # fmt: skip

CLASSES: dict[MessageType, type[Message]] = {
    MessageType.ORDER: Order,
    MessageType.TIMETABLE: Timetable,
    MessageType.SETTINGS: Settings,
    MessageType.TRUST: Trust,
    MessageType.PLACEMENT: Placement,
    MessageType.RECEIPT: Receipt,
    MessageType.ACKNOWLEDGEMENT: Acknowledgement,
    MessageType.HEALTH: Health,
    MessageType.PRESENCE: Presence,
    MessageType.TIME_REQUEST: TimeRequest,
    MessageType.TIME_REPLY: TimeReply,
    MessageType.WANT: Want,
    MessageType.PIECE: Piece,
    MessageType.MANIFEST: Manifest,
    MessageType.LIVE_SEGMENT: LiveSegment,
    MessageType.MANDATE: Mandate,
    MessageType.ROOT_SET: RootSet,
    MessageType.APPOINTMENT: Appointment,
    MessageType.REVOCATION: Revocation,
    MessageType.ALERT_BODY: AlertBody,
    MessageType.RECORD_HEAD: RecordHead,
    MessageType.STATION_MANDATE: StationMandate,
}
_TYPES = {cls: number for number, cls in CLASSES.items()}
UNSIGNED = (Piece, Manifest, Presence)
"""These may come without a signature; a Presence then only as the Last Will."""

MAX_MESSAGE_BYTES = 1024 * 1024
_REMEMBERED, _REMEMBERED_BYTES = 32, 8192
"""So many of the last messages are remembered as read, none longer than that: who judges one looks into it more than
once, and what is for all is read by every node of a process. Messages are values, so it does not matter by whom."""


@dataclass(frozen=True)
class Sealed:
    """A message with the signatures that came with it, none of them checked yet."""

    message: Message
    signatures: tuple[cose.Signature, ...]

    @property
    def signature(self) -> cose.Signature:
        """The only signature of a COSE_Sign1. Raises Malformed where there are several."""
        if len(self.signatures) != 1:
            raise Malformed("not a single signature")
        return self.signatures[0]


def encode(message: Message) -> bytes:
    """The message's CBOR map: what is signed, or sent as it is where no signature is needed.

    An order leaves out what the alert body inside it says.
    """
    header: dict[int, object] = {KEY_TYPE: int(_TYPES[type(message)]), KEY_VERSION: PROTOCOL_VERSION}
    fields = to_map(message)
    if isinstance(message, Order) and message.alert_body is not None:
        fields = shortened(fields)
    return cbor.dumps_in_order(header | fields)


def decode(body: bytes) -> Message:
    """Read a CBOR map as a message. Raises Malformed."""
    raw = cbor.loads(body, max_bytes=MAX_MESSAGE_BYTES)
    if not isinstance(raw, dict):
        raise Malformed("not a map")
    if raw.get(KEY_VERSION) != PROTOCOL_VERSION or type(raw.get(KEY_VERSION)) is not int:
        raise Malformed(f"protocol version {str(raw.get(KEY_VERSION))[:20]}, this is {PROTOCOL_VERSION}")
    number = raw.get(KEY_TYPE)
    if type(number) is not int or number not in CLASSES:
        raise Malformed(f"message type {str(number)[:20]}")
    if number == MessageType.ORDER:
        raw = completed(raw)
    return from_map(CLASSES[MessageType(number)], raw, header=True)


def seal(message: Message, key: SigningKey) -> bytes:
    """Encode and sign with one key (COSE_Sign1).

    Raises Fault(unsendable) for what many nodes would refuse as malformed: better noticed here than in the villages.
    """
    body = encode(message)
    if isinstance(message, Order | Timetable | Settings | Placement):
        try:
            decode(body)
        except Malformed as refusal:
            raise Fault("unsendable", detail=refusal.detail) from refusal
    return cose.sign1(body, key)


def seal_with(message: Message, keys: Sequence[SigningKey]) -> bytes:
    """Encode and sign with several keys (COSE_Sign)."""
    return cose.sign(encode(message), keys)


def open_sealed(payload: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES) -> Sealed:
    """Read a signed message; its signatures are still to be checked. Raises Malformed."""
    if len(payload) > min(max_bytes, _REMEMBERED_BYTES):
        return _sealed(payload, max_bytes)
    return _remembered(payload)


def _sealed(payload: bytes, max_bytes: int) -> Sealed:
    signed = cose.read(payload, max_bytes=max_bytes)
    return Sealed(decode(signed.payload), signed.signatures)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(payload: bytes) -> Sealed:
    """What is malformed is not remembered."""
    return _sealed(payload, _REMEMBERED_BYTES)


def open_any(payload: bytes) -> Sealed | Message:
    """Read a signed message, or one of those that may come unsigned. Raises Malformed."""
    if payload[:1] in (b"\xd2", b"\xd8"):
        return open_sealed(payload)
    message = decode(payload)
    if not isinstance(message, UNSIGNED):
        raise Malformed(f"a {type(message).__name__} without a signature")
    return message
