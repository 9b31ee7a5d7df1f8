"""Frames and messages on a bus: exact both ways, and noise makes none."""

import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from devices.links.serial_frames import (
    MAX_DATA_BYTES,
    MAX_FRAME_BYTES,
    STATION,
    Frame,
    FrameReader,
    Opcode,
    encode_frame,
)
from devices.links.serial_messages import BusMessage, Channel, Reassembly, fragments, listen_mark, pack, unpack
from devices.protocol.envelope import encode
from devices.protocol.media import Piece, manifest_for
from devices.protocol.topics import UpChannel, node_subscriptions, stream_topic, up_topic
from loa.names import AreaPath
from loa.units import ByteCount, Digest, DurationMs, NodeId

NODE = NodeId("wired-1")

frames = st.builds(
    Frame,
    opcode=st.sampled_from(Opcode),
    destination=st.integers(0, 254),
    source=st.just(STATION),
    channel=st.integers(0, 127),
    number=st.integers(0, 255),
    index=st.integers(0, 65534),
    total=st.just(65535),
    data=st.binary(max_size=MAX_DATA_BYTES),
    retained=st.booleans(),
)


@given(st.lists(frames, max_size=5), st.integers(1, 64))
def test_frames_come_back_whatever_the_portions(sent: list[Frame], portion: int) -> None:
    wire = b"".join(encode_frame(frame) for frame in sent)
    assert all(len(encode_frame(frame)) <= MAX_FRAME_BYTES - 1 for frame in sent)
    reader = FrameReader()
    got = [f for at in range(0, len(wire), portion) for f in reader.feed(wire[at : at + portion])]
    assert got == sent
    assert reader.errors.total == 0


@given(st.binary(max_size=2000))
def test_no_bytes_crash_the_reader_or_make_a_frame(noise: bytes) -> None:
    reader = FrameReader()
    assert reader.feed(noise) == []
    good = encode_frame(Frame(Opcode.DATA, 1, STATION))
    assert reader.feed(b"\x00" + good) == [Frame(Opcode.DATA, 1, STATION)]


def test_bit_errors_make_no_false_frame_and_are_counted() -> None:
    """60,000 frames at a bit error rate of 1e-3: most short ones pass, every one that passes is right."""
    rng = random.Random(5)
    reader, passed = FrameReader(), 0
    for number in range(60_000):
        frame = Frame(Opcode.DATA, 1, STATION, 5, number % 256, data=number.to_bytes(4, "big") * 5)
        wire = bytearray(encode_frame(frame))
        for bit in range(int(rng.expovariate(1e-3)), 8 * len(wire), 997):
            wire[bit // 8] ^= 1 << bit % 8
        for got in reader.feed(bytes(wire)):
            assert got == frame
            passed += 1
    assert passed > 30_000
    assert reader.errors.crc > 5_000
    print(f"{passed} passed, {reader.errors}")


def test_every_kind_of_error_is_counted_by_its_name() -> None:
    reader = FrameReader()
    good = encode_frame(Frame(Opcode.DATA, 1, STATION, data=b"x"))
    reader.feed(good[:3] + bytes([good[3] ^ 4 or 9]) + good[4:])
    assert (reader.errors.crc, reader.errors.length) == (1, 0)
    reader.feed(b"\x05abcd\x00")
    reader.feed(b"x" * 300 + b"\x00")
    assert reader.errors.length == 2
    reader.feed(encode_frame(Frame(Opcode.DATA, 1, 2, data=b"x")))
    reader.feed(encode_frame(Frame(Opcode.DATA, 1, 0, data=b"x")))
    assert reader.errors.address == 2
    reader.feed(encode_frame(Frame(9, 1, STATION)))  # type: ignore[arg-type]
    assert reader.errors.opcode == 1


def test_topics_come_back_exactly_and_short() -> None:
    topics = node_subscriptions(NODE, AreaPath("quang-ninh/hoanh-mo/dong-van"))
    topics |= {up_topic(NODE, channel) for channel in UpChannel} | {"any/other/topic", "loa/1/m/00", "loa/1/a/x/y/z"}
    file = random.Random(1).randbytes(9000)
    manifest = manifest_for(file, duration_ms=DurationMs(1))
    for topic in topics:
        message = pack(topic, b"payload", retained=True)
        assert unpack(message.channel, message.body, NODE) == (topic, b"payload")
        assert message.retained
    piece = encode(Piece(rendition=Digest(bytes(range(32))), offset=ByteCount(0), data=file[:4096]))
    topic = stream_topic(Digest(bytes(range(32))))
    assert pack(topic, piece) == BusMessage(Channel.STREAM, piece)
    assert unpack(Channel.STREAM, piece, NODE) == (topic, piece)
    encoded = encode(manifest)
    assert pack(topic, encoded).channel is Channel.OTHER, "another rendition's manifest keeps the topic it came by"


@given(st.binary(max_size=300), st.sampled_from(Channel))
def test_no_body_crashes_unpack(body: bytes, channel: Channel) -> None:
    unpack(channel, body, NODE)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=6), st.integers(0, 99), st.floats(0, 0.3))
def test_interleaved_fragments_make_whole_messages_or_none(bodies: list[bytes], seed: int, loss: float) -> None:
    rng = random.Random(seed)
    lines = [
        fragments(BusMessage(Channel.PIECE, body), destination=1, source=STATION, number=number)
        for number, body in enumerate(bodies)
    ]
    assembly, got = Reassembly(), []
    while any(lines):
        frame = rng.choice([line for line in lines if line]).pop(0)
        if rng.random() >= loss and (message := assembly.add(frame)) is not None:
            assert message.body == bodies[frame.number]
            got.append(frame.number)
    assert len(got) == len(set(got))
    if loss == 0:
        assert len(got) == len(bodies)


def test_a_message_is_not_mixed_with_one_that_had_its_number_before() -> None:
    old, new = b"a" * 700, b"b" * 700
    assembly = Reassembly()
    first = fragments(BusMessage(Channel.PIECE, old), destination=1, source=STATION, number=7)
    second = fragments(BusMessage(Channel.PIECE, new), destination=1, source=STATION, number=7)
    assert [assembly.add(frame) for frame in (first[1], second[0], second[2])] == [None, None, None]
    assert assembly.spoilt == 1


def test_listening_marks_tell_sets_apart() -> None:
    assert listen_mark(frozenset()) != bytes(4)
    assert listen_mark(frozenset({"a"})) != listen_mark(frozenset({"b"}))


def test_the_examples_of_the_protocol_page_are_right() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "protocol.md").read_text(encoding="utf-8")
    mark = listen_mark(frozenset({"loa/1/n/w3/order"}))
    poll = Frame(Opcode.POLL, 3, STATION, data=bytes([4, 1]) + mark)
    order = fragments(pack("loa/1/a/qn/hm/order", b"\xd2\x84"), destination=0, source=STATION, number=7)[0]
    for frame in (poll, Frame(Opcode.DONE, STATION, 3), order):
        assert encode_frame(frame).hex(" ") in page
