"""The protocol page says all there is, and the test vectors hold."""

import json
import re
from typing import Any

import pytest

from devices.protocol.authority import Authority, accept_trust
from devices.protocol.common import MessageType
from devices.protocol.envelope import CLASSES, Sealed, encode, open_any
from devices.protocol.fields import plan_of
from devices.protocol.judge import (
    judge_acknowledgement,
    judge_document,
    judge_order,
    judge_placement,
    judge_record_head,
    judge_report,
    judge_time_reply,
)
from devices.protocol.media import Manifest, Piece, digest_of
from devices.protocol.refusal import RefusalReason, WireRefusal
from devices.protocol.seen import SeenOrders
from devices.protocol.topics import controller_subscriptions, node_subscriptions
from tests.protocol import world
from tools import protocol_page, wire_vectors
from tools.wire_annotation import annotated

PAGE = protocol_page.PAGE.read_text(encoding="utf-8")
VECTORS = {one.name: one for one in wire_vectors.vectors()}


def test_the_page_is_up_to_date() -> None:
    assert protocol_page.rendered(PAGE) == PAGE, "run: python -m tools.protocol_page"


def test_every_field_and_number_has_a_meaning() -> None:
    assert protocol_page.unexplained() == []


@pytest.mark.parametrize("cls", CLASSES.values(), ids=lambda cls: cls.__name__)
def test_every_field_is_listed(cls: type[Any]) -> None:
    section = PAGE.split(f"### {cls.__name__} (type ")[1].split("\n### ")[0]
    for plan in plan_of(cls):
        assert re.search(
            rf"^\| {plan.key} \| {plan.name} \| {re.escape(plan.form.words)} \| .+ \| .+ \|$", section, re.M
        )


def test_every_refusal_and_topic_is_listed() -> None:
    for reason in RefusalReason:
        assert f"| {int(reason)} | `{reason.code}` |" in PAGE
    topics = node_subscriptions(world.NODE, world.COMMUNE) | controller_subscriptions()
    for topic in topics:
        form = re.sub(r"/a/.+/", "/a/{area}/", topic.replace(f"/{world.NODE}/", "/{node}/").replace("/+/", "/{node}/"))
        assert f"| `{form}` |" in PAGE or form.rpartition("/")[2] in ("presence",), form
    assert len(MessageType) == len(CLASSES)


def test_vector_files_are_what_the_code_makes() -> None:
    made = wire_vectors.files()
    kept = {path.name: path.read_text(encoding="utf-8") for path in wire_vectors.FOLDER.glob("*.json")}
    assert kept == made, "run: python -m tools.wire_vectors"


@pytest.mark.parametrize("name", VECTORS)
def test_a_node_judges_each_vector_as_it_says(name: str) -> None:
    words = json.loads((wire_vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    payload = bytes.fromhex(words["payload"])
    if words["verdict"] == "obeyed":
        assert wire_vectors.told(judged(payload)) == words["fields"]
    else:
        with pytest.raises(WireRefusal) as caught:
            judge_order(payload, retained=False, standing=world.standing(), seen=SeenOrders())
        assert caught.value.reason.code == words["verdict"]


def judged(payload: bytes) -> Any:
    """The message, by the judge for its type."""
    opened = open_any(payload)
    message = opened.message if isinstance(opened, Sealed) else opened
    standing, authority, node, key = world.standing(), world.USUAL, world.NODE, world.NODE_KEY.public_key
    match type(message).__name__:
        case "Order":
            return judge_order(payload, retained=False, standing=standing, seen=SeenOrders()).order
        case "Timetable" | "Settings":
            return judge_document(payload, standing, {})
        case "Trust":
            assert accept_trust(payload, Authority.pinned(world.ROOTS), world.NOW) == authority
            return message
        case "Placement":
            return judge_placement(
                payload, node=node, public_key=key, authority=authority, held_version=0, now_ms=world.NOW
            )
        case "Acknowledgement":
            return judge_acknowledgement(payload, node=node, epoch=b"epoch--1", authority=authority, now_ms=world.NOW)
        case "TimeReply":
            return judge_time_reply(payload, node=node, outstanding={world.id_of("nonce")}, authority=authority)
        case "RecordHead":
            return judge_record_head(payload, standing, ())
        case "Manifest":
            assert isinstance(message, Manifest)
            assert digest_of(payload) == wire_vectors.DIGEST
            assert message.block_holds(1, wire_vectors.FILE[4096:])
            return message
        case "Piece":
            assert isinstance(message, Piece)
            assert message.data == wire_vectors.FILE[message.offset : message.offset + len(message.data)]
            return message
    return judge_report(payload, topic_node=node, public_key=key)


@pytest.mark.parametrize("name", protocol_page.EXAMPLES)
def test_a_worked_example_shows_every_byte(name: str) -> None:
    payload = VECTORS[name].payload
    shown = "".join(line[7:47].strip() for line in annotated(payload).splitlines())
    assert shown == payload.hex()
    assert annotated(payload) in PAGE


def test_the_example_order_is_what_the_page_says() -> None:
    assert VECTORS["order"].payload.find(encode(world.order())) == 19
