"""Every message survives the wire, and no bytes do harm to a reader."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.protocol import cbor, cose
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.documents import Entry, Timetable
from devices.protocol.envelope import CLASSES, decode, encode, open_any, open_sealed, seal
from devices.protocol.identity import NodeIdentity
from devices.protocol.journal import Journal
from devices.protocol.judge import (
    judge_acknowledgement,
    judge_document,
    judge_order,
    judge_placement,
    judge_report,
    judge_time_reply,
)
from devices.protocol.readable import readable
from devices.protocol.refusal import Malformed, Repeat, WireRefusal
from devices.protocol.seen import SeenOrders
from loa.errors import Fault, Refused
from loa.precedence import Kind, Precedence
from loa.units import InstantMs
from tests.protocol import world
from tests.protocol.shapes import message

MESSAGES = st.sampled_from(sorted(CLASSES.values(), key=lambda cls: cls.__name__)).flatmap(message)
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=80)


def every_reader(payload: bytes) -> None:
    """Hand bytes to everything that reads bytes from outside; nothing but a refusal may come out."""
    standing = world.standing()
    node, key = world.NODE, world.NODE_KEY.public_key
    readers: list[Any] = [
        lambda: open_any(payload),
        lambda: open_sealed(payload),
        lambda: decode(payload),
        lambda: readable(payload, {world.CONTROLLER.key_id: ("controller", world.CONTROLLER.public_key)}),
        lambda: judge_order(payload, retained=False, standing=standing, seen=SeenOrders()),
        lambda: judge_document(payload, standing, {}),
        lambda: judge_placement(
            payload, node=node, public_key=key, authority=world.USUAL, held_version=1, now_ms=world.NOW
        ),
        lambda: judge_acknowledgement(payload, node=node, epoch=bytes(8), authority=world.USUAL, now_ms=world.NOW),
        lambda: judge_time_reply(payload, node=node, outstanding=(), authority=world.USUAL),
        lambda: judge_report(payload, topic_node=node, public_key=key),
        lambda: accept_trust(payload, world.USUAL, world.NOW),
        lambda: Authority.restored(payload, world.ROOTS),
    ]
    for reader in readers:
        with contextlib.suppress(WireRefusal, Repeat):
            reader()
    Journal.read(payload)
    SeenOrders.from_bytes(payload)


@QUIET
@given(MESSAGES)
def test_every_message_survives_the_wire(value: Any) -> None:
    body = encode(value)
    assert decode(body) == value
    assert encode(decode(body)) == body
    sealed = open_sealed(seal(value, world.CONTROLLER))
    assert sealed.message == value
    assert sealed.signature.holds_under(world.CONTROLLER.public_key)


@pytest.mark.parametrize("cls", CLASSES.values(), ids=lambda cls: cls.__name__)
def test_each_class_is_reached(cls: type[Any]) -> None:
    @settings(deadline=None, max_examples=5, database=None, suppress_health_check=list(HealthCheck))
    @given(message(cls))
    def survives(value: Any) -> None:
        assert decode(encode(value)) == value

    survives()


@QUIET
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    every_reader(data)
    every_reader(b"\xd2\x84" + data)


CBOR = st.recursive(
    st.one_of(st.integers(), st.binary(max_size=40), st.text(max_size=10), st.booleans(), st.none(), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.integers(0, 25), st.text(max_size=3)), inner)
    ),
    max_leaves=12,
)


@QUIET
@given(CBOR, st.integers(0, 21), st.dictionaries(st.integers(2, 25), CBOR, max_size=8))
def test_arbitrary_cbor_is_refused(item: object, number: int, fields: dict[int, object]) -> None:
    every_reader(cbor2.dumps(item))
    body = cbor2.dumps({0: number, 1: 1} | fields, canonical=True)
    every_reader(body)
    every_reader(cose.sign1(body, world.CONTROLLER))
    every_reader(cose.sign1(body, world.NODE_KEY))


@QUIET
@given(MESSAGES, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6), st.data())
def test_mutated_messages_are_refused(value: Any, changes: list[tuple[int, int]], data: st.DataObject) -> None:
    whole = bytearray(encode(value))
    for at, byte in changes:
        whole[at % len(whole)] = byte
    cut = data.draw(st.integers(0, len(whole)))
    for body in (bytes(whole), bytes(whole[:cut]), bytes(whole[:cut] + whole[: cut // 2] + whole[cut:])):
        every_reader(body)
        every_reader(cose.sign1(body, world.CONTROLLER))
    every_reader(seal(value, world.CONTROLLER)[: cut + 40])


@given(st.text(max_size=200))
def test_arbitrary_identity_files_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        NodeIdentity.from_text(text)


MIB = 1024 * 1024
HEAVY = {
    "a million small items": b"\x9a\x00\x0f\xff\xfb" + bytes(MIB - 5),
    "as many items as are allowed": b"\x9a" + (cbor.MAX_ITEMS).to_bytes(4, "big") + bytes(cbor.MAX_ITEMS),
    "arrays in arrays": b"\x81" * MIB,
    "maps in maps": b"\xa1\x00" * (MIB // 2),
    "tags on tags": b"\xd2" * MIB,
    "a claim of much": b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "a claim of many bytes": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "many empty arrays": b"\x9a\x00\x02\x00\x00" + b"\x80" * 0x20000,
    "a map of many members": b"\xba\x00\x04\x00\x00"
    + b"".join(b"\x1a" + key.to_bytes(4, "big") + b"\x00" for key in range(0x10000, 0x50000)),
}


@pytest.mark.parametrize("name", HEAVY)
def test_no_bytes_block_a_reader(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each item is looked at once, and of too many none."""
    looked, item = 0, cbor._Reading.item

    def counted(reading: cbor._Reading, depth: int) -> object:
        nonlocal looked
        looked += 1
        return item(reading, depth)

    monkeypatch.setattr(cbor._Reading, "item", counted)
    with pytest.raises(Malformed):
        decode(HEAVY[name])
    assert looked <= cbor.MAX_ITEMS + 1


NOT_OURS = {
    "a float": b"\xf9\x3c\x00",
    "an indefinite array": b"\x9f\xff",
    "undefined": b"\xf7",
    "a bignum": b"\xc2\x41\x01",
    "a regular expression": b"\xd8\x23\x63(a)",
    "a shared reference": b"\xd8\x1c\x80",
    "a long form of a small number": b"\x18\x01",
    "keys out of order": b"\xa2\x01\x00\x00\x00",
    "a key twice": b"\xa2\x00\x00\x00\x00",
    "a text key": b"\xa1\x61a\x00",
    "a negative key": b"\xa1\x20\x00",
    "bytes after the end": b"\x00\x00",
    "text that is no UTF-8": b"\x61\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("name", NOT_OURS)
def test_cbor_beyond_the_subset_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        cbor.loads(NOT_OURS[name], max_bytes=100)


def test_the_subset_itself_is_read() -> None:
    value = {0: [1, -1, b"x", "é", True, False, None, {}], 500: 2**53}
    assert cbor.loads(cbor.dumps(value), max_bytes=100) == value


def test_unknown_keys_are_ignored_unless_critical() -> None:
    raw = cbor2.loads(encode(world.order()))
    assert decode(cbor.dumps(raw | {99: "later"})) == world.order()
    assert decode(cbor.dumps(raw | {2: [3, 4]})) == world.order()
    with pytest.raises(Malformed, match="critical"):
        decode(cbor.dumps(raw | {99: "later", 2: [99]}))


def test_an_order_is_small() -> None:
    assert 160 <= len(world.sealed_order()) <= 210


def test_what_every_node_would_refuse_is_not_signed() -> None:
    spoiled = world.order(id=b"too short")
    with pytest.raises(Fault, match="unsendable"):
        seal(spoiled, world.CONTROLLER)


@pytest.mark.slow
def test_a_full_timetable_fits() -> None:
    entries = tuple(
        Entry(
            id=world.id_of(str(number)),
            start_at=InstantMs(world.NOW + number),
            precedence=Precedence.ORDINARY,
            kind=Kind.LIVE,
            renditions=(world.RENDITION,) * 4,
        )
        for number in range(1000)
    )
    covers = InstantMs(world.NOW + 7 * world.DAY)
    timetable = Timetable(area=world.COMMUNE, version=1, issued_at=world.NOW, covers_until=covers, entries=entries)
    assert open_sealed(seal(timetable, world.CONTROLLER)).message == timetable


@pytest.mark.parametrize("length", [0, 23, 24, 255, 256, 65535, 65536])
def test_a_byte_strings_head_is_what_the_encoder_writes(length: int) -> None:
    assert cbor.head_of_bytes(length) + bytes(length) == cbor.dumps(bytes(length))


def _said(read: Callable[[], cose.Signed]) -> cose.Signed | str:
    try:
        return read()
    except Malformed as refusal:
        return str(refusal)


def _almost(whole: bytes) -> Iterator[bytes]:
    """All that is one byte away from a COSE_Sign1 where its frame is, cut short, or with lengths said at length."""
    frame = [*range(min(24, len(whole))), *range(len(whole) - 67, len(whole) - 64)]
    yield from (whole[:end] for end in {*range(30), *range(len(whole) - 90, len(whole) + 1)} if end >= 0)
    for at in frame:
        yield whole[:at] + whole[at + 1 :]
        yield from (whole[:at] + bytes((value,)) + whole[at + 1 :] for value in range(256))
        yield from (whole[:at] + bytes((value,)) + whole[at:] for value in (0, 0x17, 0x18, 0x40, 0x58, 0x59, 0xA0))
    yield whole + b"\x00"
    for at in (2, 17, len(whole) - 66):
        length = whole[at] & 0x1F
        yield whole[:at] + bytes((0x58, length)) + whole[at + 1 :]
        yield whole[:at] + bytes((0x59, 0, length)) + whole[at + 1 :]
        yield whole[:at] + bytes((0x59, 0)) + whole[at + 1 :]


@pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, 65535, 65536])
def test_what_is_as_we_write_it_is_read_as_anything_else(length: int) -> None:
    """The short way says what the long one does, for whatever is almost a COSE_Sign1 of ours too."""
    whole = cose.sign1(bytes(length), world.CONTROLLER)
    assert cose.read(whole, max_bytes=len(whole)).payload == bytes(length)
    for data in _almost(whole):
        for most in (len(data), len(data) - 1):
            assert _said(lambda: cose.read(data, max_bytes=most)) == _said(lambda: cose._read_any(data, most))  # noqa: B023


def test_what_overlaps_itself_is_malformed() -> None:
    """76 bytes whose last 66, a signature's, begin within the key's name."""
    data = b"\xd2\x84\x4d\xa2\x01\x27\x04\x48" + b"ab\x58\x40efgh" + b"\xa0\x40" + bytes(58)
    with pytest.raises(Malformed):
        cose.read(data, max_bytes=len(data))
