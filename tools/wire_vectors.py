"""Test vectors of the wire from fixed seeds: `python -m tools.wire_vectors` writes tests/vectors/*.json."""

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from devices.protocol.documents import Entry, Hours, Placement, Settings, Timetable
from devices.protocol.envelope import Message, Sealed, encode, open_any, seal
from devices.protocol.keys import SigningKey
from devices.protocol.media import BlockRange, Piece, TimeReply, TimeRequest, Want, digest_of, manifest_for
from devices.protocol.orders import Order, OrderAction
from devices.protocol.record import RecordHead
from devices.protocol.reports import (
    Acknowledgement,
    AreaVersion,
    Health,
    Presence,
    PresenceState,
    Receipt,
    ReceiptEvent,
)
from devices.protocol.topics import AreaChannel, DownChannel, UpChannel, area_topic, down_topic, stream_topic, up_topic
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import ByteCount, DurationMs, InstantMs
from tests.protocol import world
from tests.protocol.world import COMMUNE, CONTROLLER, DAY, NODE, NODE_KEY, NOW, PERSON, VILLAGE

FOLDER = Path(__file__).parent.parent / "tests" / "vectors"
FILE = bytes(range(256)) * 20
"""Stands for an Ogg Opus file, so that a maker can check hashes: 5,120 bytes."""
MANIFEST = manifest_for(FILE, duration_ms=DurationMs(1500), loudness_centi_lufs=-1600, peak_centi_db=-120)
DIGEST = digest_of(encode(MANIFEST))
SEEDS = {
    "controller": CONTROLLER,
    "person": PERSON,
    "driller": world.DRILLER,
    "first officer": world.FIRST,
    "second officer": world.SECOND,
    "node": NODE_KEY,
    "stranger": world.key_of("stranger"),
    "root 1": world.ROOT_KEYS[0],
    "root 2": world.ROOT_KEYS[1],
    "root 3 (sealed)": world.ROOT_KEYS[2],
}


@dataclass(frozen=True)
class Vector:
    """One payload: where it goes, what it says, and whether it is obeyed."""

    name: str
    topic: str
    signer: str | None
    payload: bytes
    verdict: str = "obeyed"
    note: str = ""


def vectors() -> list[Vector]:
    """All of them, always the same bytes."""
    return [*_from_the_centre(), *_from_the_node(), *_refused_orders()]


def _signed(name: str, topic: str, message: Message, signer: str, note: str = "") -> Vector:
    return Vector(name, topic, signer, seal(message, SEEDS[signer]), note=note)


def _from_the_centre() -> list[Vector]:
    entry = Entry(
        id=world.id_of("entry"),
        start_at=InstantMs(NOW + DAY),
        precedence=Precedence.ORDINARY,
        kind=Kind.LIVE,
        renditions=(world.RENDITION,),
    )
    covers = InstantMs(NOW + 7 * DAY)
    timetable = Timetable(area=COMMUNE, version=NOW, issued_at=NOW, covers_until=covers, entries=(entry,))
    hours = (Hours(from_minute=5 * 60, to_minute=6 * 60 + 30), Hours(from_minute=17 * 60, to_minute=18 * 60 + 30))
    settings = Settings(area=COMMUNE, version=NOW, issued_at=NOW, hours=hours)
    placement = Placement(node=NODE, area=VILLAGE, version=NOW, issued_at=NOW, public_key=NODE_KEY.public_key)
    received, replied = InstantMs(NOW + 40), InstantMs(NOW + 41)
    reply = TimeReply(node=NODE, nonce=world.id_of("nonce"), sent_at=123_456, received_at=received, replied_at=replied)
    acknowledgement = Acknowledgement(node=NODE, epoch=b"epoch--1", number=7, issued_at=NOW)
    record = RecordHead(area=world.PROVINCE, number=41, hash=hashlib.sha256(b"an entry").digest(), at=NOW)
    ctl, trust = down_topic(NODE, DownChannel.CTL), area_topic(world.PROVINCE, AreaChannel.TRUST)
    pieces = down_topic(NODE, DownChannel.PIECE)
    return [
        _signed("order", area_topic(COMMUNE, AreaChannel.ORDER), world.order(), "controller"),
        *_emergencies(),
        _signed(
            "order-stop",
            down_topic(NODE, DownChannel.ORDER),
            world.order(
                id=world.id_of("s"),
                action=OrderAction.STOP,
                areas=(),
                nodes=(NODE,),
                subject=world.id_of("an order"),
                renditions=(),
            ),
            "controller",
        ),
        _signed("timetable", area_topic(COMMUNE, AreaChannel.TIMETABLE), timetable, "controller"),
        _signed("settings", area_topic(COMMUNE, AreaChannel.SETTINGS), settings, "controller"),
        Vector("trust", trust, "controller", world.Centre.usual().document(), note="five appointments, five mandates"),
        _signed("record-head", area_topic(world.PROVINCE, AreaChannel.RECORD), record, "controller"),
        _signed("placement", ctl, placement, "controller"),
        _signed("acknowledgement", ctl, acknowledgement, "controller"),
        _signed("time-reply", ctl, reply, "controller", "judged at a node whose request had this nonce"),
        Vector("manifest", ctl, None, encode(MANIFEST), note=f"its SHA-256 names the rendition: {DIGEST.hex()}"),
        Vector(
            "piece", pieces, None, encode(Piece(rendition=DIGEST, offset=ByteCount(4096 + 1000), data=FILE[5096:5120]))
        ),
        Vector(
            "piece-stream",
            stream_topic(DIGEST),
            None,
            encode(Piece(rendition=DIGEST, offset=ByteCount(0), data=FILE[:256])),
        ),
    ]


def _emergencies() -> list[Vector]:
    topic = area_topic(COMMUNE, AreaChannel.ORDER)

    def one(name: str, people: tuple[SigningKey, ...], note: str, **changes: Any) -> Vector:
        values = {"id": world.id_of("e"), "siren": 1, "renditions": (), "repeats": 0} | changes
        return Vector(name, topic, "controller", world.emergency(*people, **values), note=note)

    cancel = {"id": world.id_of("c"), "action": OrderAction.STOP, "subject": world.id_of("e"), "siren": 0, "repeats": 1}
    return [
        one("order-emergency", (PERSON,), "approved by the commune's person"),
        one("order-emergency-by-two", (world.FIRST, world.SECOND), "approved by two of the province"),
        one("order-drill", (world.DRILLER,), "approved by the commune's person for drills", kind=Kind.DRILL),
        one("order-cancel", (world.FIRST,), "one person of the province is enough to cancel", **cancel),
    ]


def _from_the_node() -> list[Vector]:
    receipt = Receipt(
        node=NODE,
        epoch=b"epoch--1",
        number=7,
        at=InstantMs(NOW + 2_003),
        time_error_ms=21,
        event=ReceiptEvent.STARTED,
        subject=world.id_of("an order"),
        late_ms=3,
        precedence=Precedence.PRIORITY,
    )
    health = Health(
        node=NODE,
        session=3,
        at=NOW,
        uptime_s=86_400,
        trust_version=NOW,
        placement_version=NOW,
        timetables=(AreaVersion(area=COMMUNE, version=NOW),),
        renditions=(DIGEST,),
        link_rate=32_000,
        epoch=b"epoch--1",
        last_number=7,
    )
    want = Want(node=NODE, rendition=DIGEST, blocks=(BlockRange(first=1, count=1),), piece_bytes=1024)
    request = TimeRequest(node=NODE, nonce=world.id_of("nonce"), sent_at=123_456)
    online = Presence(node=NODE, session=3, state=PresenceState.ONLINE)
    offline = Presence(node=NODE, session=3, state=PresenceState.OFFLINE)
    presence = up_topic(NODE, UpChannel.PRESENCE)
    return [
        _signed("want", up_topic(NODE, UpChannel.WANT), want, "node"),
        _signed("receipt", up_topic(NODE, UpChannel.RECEIPT), receipt, "node"),
        _signed("health", up_topic(NODE, UpChannel.HEALTH), health, "node"),
        _signed("time-request", up_topic(NODE, UpChannel.TIME), request, "node"),
        _signed("presence-online", presence, online, "node"),
        Vector("presence-will", presence, None, encode(offline), note="the Last Will, unsigned"),
    ]


def _refused_orders() -> list[Vector]:
    topic = area_topic(COMMUNE, AreaChannel.ORDER)
    good = world.sealed_order()

    def one(name: str, payload: bytes, verdict: str, signer: str = "controller") -> Vector:
        return Vector(f"refused-{name}", topic, signer, payload, verdict)

    elsewhere = world.sealed_order(areas=(AreaPath("quang-ninh/hong-gai"),))
    past = world.sealed_order(start_at=InstantMs(NOW - 9), expires_at=NOW)
    return [
        one("malformed", good[:-1], "malformed"),
        one("bad-signature", good[:-1] + bytes([good[-1] ^ 1]), "bad_signature"),
        one("untrusted-key", world.sealed_order(SEEDS["stranger"]), "untrusted_key", "stranger"),
        one("wrong-target", elsewhere, "wrong_target"),
        one("expired", past, "expired"),
        one("emergency-by-controller", world.sealed_order(precedence=Precedence.EMERGENCY), "approval_missing"),
        one("wider-than-mandate", world.sealed_order(PERSON, areas=(world.PROVINCE,)), "mandate_exceeded", "person"),
        one("drill-by-live-key", world.sealed_order(kind=Kind.DRILL), "drill_mismatch"),
        *_refused_emergencies(),
    ]


def _refused_emergencies() -> list[Vector]:
    topic = area_topic(COMMUNE, AreaChannel.ORDER)
    plain = world.order(precedence=Precedence.EMERGENCY)
    other = replace(plain, siren=1)
    wide = world.order(precedence=Precedence.EMERGENCY, areas=(world.PROVINCE,))

    def one(name: str, order: Order, verdict: str, note: str) -> Vector:
        return Vector(f"refused-{name}", topic, "controller", seal(order, CONTROLLER), verdict, note)

    return [
        one(
            "one-of-two",
            world.approved(plain, world.FIRST),
            "approval_missing",
            "a person of the province is one half, for a commune too",
        ),
        one(
            "one-person-twice",
            world.approved(plain, world.FIRST, world.FIRST),
            "approval_missing",
            "two approvals, one person",
        ),
        one(
            "province-by-commune",
            world.approved(wide, PERSON),
            "mandate_exceeded",
            "the commune's person for the whole province",
        ),
        one(
            "drill-approved-live",
            world.approved(plain, world.DRILLER),
            "drill_mismatch",
            "a drill key on a live alert",
        ),
        one(
            "forged-start",
            world.approved(plain, PERSON, not_before=InstantMs(plain.start_at + 1)),
            "beyond_approval",
            "starts before the window that was approved",
        ),
        one(
            "body-swapped",
            replace(world.approved(other, PERSON), approvals=world.approved(plain, PERSON).approvals),
            "bad_signature",
            "approvals of another body",
        ),
    ]


def told(value: Any) -> Any:
    """A value as JSON: bytes in hex, parts by field name."""
    if is_dataclass(value):
        return {one.name: told(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        return [told(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, IntEnum):
        return value.name.lower()
    return value


def as_json(vector: Vector) -> dict[str, Any]:
    """What a vector's file says."""
    words: dict[str, Any] = {"name": vector.name, "topic": vector.topic, "verdict": vector.verdict}
    if vector.note:
        words["note"] = vector.note
    if vector.signer is not None:
        words["signer"] = vector.signer
    words["payload"] = vector.payload.hex()
    words["sha256"] = hashlib.sha256(vector.payload).hexdigest()
    if vector.verdict != "malformed":
        opened = open_any(vector.payload)
        message = opened.message if isinstance(opened, Sealed) else opened
        words["type"] = type(message).__name__
        words["fields"] = told(message)
    return words


def keys_json() -> dict[str, Any]:
    """Seeds, public keys and key ids, and where the node of the vectors stands."""
    return {
        "node": NODE,
        "placement": VILLAGE,
        "now_ms": NOW + 100,
        "pinned_roots": encode(world.ROOTS).hex(),
        "keys": {name: _key(key) for name, key in SEEDS.items()},
    }


def _key(key: SigningKey) -> dict[str, str]:
    return {"seed": key.seed.hex(), "public_key": key.public_key.hex(), "key_id": key.key_id.hex()}


def files() -> dict[str, str]:
    """File name to content."""
    found = {"keys.json": keys_json()} | {f"{one.name}.json": as_json(one) for one in vectors()}
    return {name: json.dumps(words, indent=2, ensure_ascii=False) + "\n" for name, words in found.items()}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
