"""`loa wire decode`: any payload as text, and its signature's verdict."""

import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from controller import keyfiles
from devices.protocol.envelope import seal
from devices.protocol.reports import Receipt, ReceiptEvent
from loa.cli.wire import app
from loa.errors import Refused
from loa.names import AreaPath
from tests.protocol import world
from tools import wire_vectors

CONTROLLER = world.CONTROLLER.public_key.hex()


def decode(*arguments: object, data: bytes = b"") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["decode", *(str(one) for one in arguments)], input=data)
    return result.exit_code, result.output


def test_an_order_as_hex() -> None:
    code, text = decode(world.sealed_order().hex(), "--public", CONTROLLER)
    assert code == 0
    assert text.startswith("Order, 209 bytes")
    assert "holds under the key given (3e6ad098ea5d280e)" in text
    assert "start_at: 1790000002000  2026-09-21T14:13:22.000Z, in Vietnam 2026-09-21 21:13:22" in text
    assert "precedence: priority (2)" in text
    assert "quang-ninh/co-to" in text
    assert "duration_ms: 20000 ms" in text
    assert "repeats: 1 (default)" in text


def test_a_file_that_is_not_there_is_not_taken_for_a_payload(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "trust.cbor", "trust.cbor"):
        result = CliRunner().invoke(app, ["decode", str(source)])
        assert isinstance(result.exception, Refused)
        assert result.exception.code == "no_such_file"


def test_every_vector_reads_as_text() -> None:
    for vector in wire_vectors.vectors():
        code, text = decode(data=vector.payload)
        assert code == (1 if vector.verdict == "malformed" else 0), vector.name
        assert text.strip()


def test_file_hex_and_standard_input_say_the_same(tmp_path: Path) -> None:
    payload = world.sealed_order()
    (tmp_path / "raw").write_bytes(payload)
    (tmp_path / "hex").write_text(payload.hex() + "\n")
    answers = {decode(tmp_path / "raw"), decode(tmp_path / "hex"), decode("-", data=payload), decode(payload.hex())}
    assert len(answers) == 1


def test_signatures_that_do_not_hold_or_are_unknown() -> None:
    payload = world.sealed_order()
    spoiled = payload[:-1] + bytes([payload[-1] ^ 1])
    code, text = decode(spoiled.hex(), "--public", CONTROLLER)
    assert (code, "DOES NOT HOLD" in text) == (1, True)
    code, text = decode(payload.hex())
    assert (code, "unknown key 3e6ad098ea5d280e, not checked" in text) == (0, True)
    code, text = decode({one.name: one for one in wire_vectors.vectors()}["piece"].payload.hex())
    assert (code, "none, as a Piece may come" in text) == (0, True)


def test_a_folder_of_keys_says_whose_they_are(tmp_path: Path) -> None:
    keys = keyfiles.create_centre(tmp_path, AreaPath("quang-ninh"), world.NOW, os.urandom)
    identity = keyfiles.create_node(tmp_path, "co-to-01", os.urandom)
    code, text = decode("--keys", tmp_path, data=keys.trust(version=1, now_ms=world.NOW))
    assert code == 0
    assert "holds under controller, appointed" in text
    assert text.count("holds under a root") == 2
    assert "holds under a sealed root" in text
    receipt = Receipt(node=identity.node, epoch=bytes(8), number=1, at=world.NOW, event=ReceiptEvent.BOOTED)
    code, text = decode("--keys", tmp_path, data=seal(receipt, identity.key))
    assert "holds under node co-to-01" in text


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_junk_is_malformed_and_nothing_else(data: bytes) -> None:
    code, text = decode(data=b"\xd2" + data)
    assert code == 1
    assert text.startswith("malformed")


def test_junk_as_an_argument() -> None:
    for junk in ("", "zz", "d2", "Bản tin", "x" * 5000):
        code, text = decode(junk)
        assert code == 1, junk
        assert text.startswith("malformed")
