"""`loa keys` and the files behind it, on a real disk."""

import json
import os
import shutil
import stat
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller import keyfiles
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.identity import NodeIdentity
from devices.protocol.trust import Power
from loa.cli.keys import app
from loa.entropy import Entropy
from loa.errors import LoaError, OperatorNeeded, Refused
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs

NOW = InstantMs(1_790_000_000_000)
PROVINCE = AreaPath("quang-ninh")


def counting() -> Entropy:
    """Randomness that differs at each call and is the same in each run."""
    numbers = count(1)
    return lambda length: next(numbers).to_bytes(length, "big")


def loa(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def refusal(*arguments: object) -> LoaError:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert isinstance(result.exception, LoaError), result.output
    return result.exception


def everything(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_centre_is_made_once(tmp_path: Path) -> None:
    keys = keyfiles.create_centre(tmp_path / "keys", PROVINCE, NOW, counting())
    before = everything(tmp_path)
    again = keyfiles.create_centre(tmp_path / "keys", PROVINCE, InstantMs(NOW + 5), counting())
    assert again == keys
    assert everything(tmp_path) == before
    assert keys.area == PROVINCE


def test_a_centre_is_completed_after_any_break(tmp_path: Path) -> None:
    """Files are written in a fixed order: whatever was not written when the power failed is made at the next start."""
    keyfiles.create_centre(tmp_path / "whole", PROVINCE, NOW, counting())
    whole = sorted((tmp_path / "whole").rglob("*.*"), key=lambda path: path.stat().st_mtime_ns)
    assert len(whole) == 6
    for number in range(6):
        directory = tmp_path / f"broken-{number}"
        shutil.copytree(tmp_path / "whole", directory)
        for path in whole[number:]:
            (directory / path.relative_to(tmp_path / "whole")).unlink()
        keys = keyfiles.create_centre(directory, PROVINCE, NOW, os.urandom)
        accept_trust(keys.trust(version=1, now_ms=NOW), Authority.pinned(keys.roots), NOW)


def test_lost_roots_are_not_made_anew(tmp_path: Path) -> None:
    """New roots would cut off every node that pinned the old ones."""
    keyfiles.create_centre(tmp_path, PROVINCE, NOW, counting())
    (tmp_path / "roots.json").unlink()
    with pytest.raises(Refused, match="key_missing"):
        keyfiles.create_centre(tmp_path, PROVINCE, NOW, os.urandom)


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    keyfiles.create_centre(directory, PROVINCE, NOW, counting())
    keyfiles.create_node(directory, "co-to-01", counting())
    for path in directory.rglob("*.json"):
        if path.name != "roots.json":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "roots").stat().st_mode) == 0o700
    assert "seed" not in (directory / "roots.json").read_text()


def test_the_trust_document_of_a_centre_is_taken_by_its_nodes(tmp_path: Path) -> None:
    keys = keyfiles.create_centre(tmp_path, PROVINCE, NOW, counting())
    identity = keyfiles.create_node(tmp_path, "co-to-01", counting())
    authority = accept_trust(keys.trust(version=NOW, now_ms=NOW), Authority.pinned(identity.roots), NOW)
    for power in (Power.ORDER, Power.DOCUMENTS, Power.PLACEMENT, Power.SERVICE, Power.RENEW):
        assert authority.in_force(keys.controller.key_id, power=power, area=PROVINCE, now_ms=NOW)
    with pytest.raises(Exception, match="mandate_exceeded"):
        authority.in_force(
            keys.controller.key_id,
            power=Power.ORDER,
            area=PROVINCE,
            precedence=Precedence.EMERGENCY,
            kind=Kind.LIVE,
            now_ms=NOW,
        )


def test_a_node_s_identity_file_comes_back(tmp_path: Path) -> None:
    keyfiles.create_centre(tmp_path, PROVINCE, NOW, counting())
    identity = keyfiles.create_node(tmp_path, "co-to-01", counting())
    assert keyfiles.create_node(tmp_path, "co-to-01", counting()) == identity
    assert NodeIdentity.from_text(identity.to_text()) == identity
    assert identity.key.seed.hex() not in repr(identity)
    words = json.loads(identity.to_text()) | {"public_key": "00" * 32}
    with pytest.raises(Refused, match="bad_key_file"):
        NodeIdentity.from_text(json.dumps(words))


def test_the_verbs_from_first_to_last(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    assert "2 of 3 must sign" in loa("init", keys, "--area", "quang-ninh", "--plain")
    place = ("--area", "quang-ninh/co-to", "--ceiling", "emergency")
    made = loa("appoint", "chu-tich", *place, "--public", "ab" * 32, "--dir", keys)
    appointment = made.split()[1]
    assert loa("appoint", "chu-tich", *place, "--public", "ab" * 32, "--dir", keys).split()[1] == appointment
    assert "public key" in loa("node", "co-to-01", "--dir", keys)
    assert "chu-tich" in loa("mandate", keys)
    loa("revoke", appointment, "--reason", "left office", "--dir", keys)
    assert "chu-tich" not in loa("mandate", keys)
    shown = loa("show", keys)
    for words in ("chu-tich", "up to emergency", "co-to-01", "revocation", "sealed"):
        assert words in shown
    assert "seed" not in shown


def test_a_root_is_replaced_and_old_nodes_follow(tmp_path: Path) -> None:
    loa("init", tmp_path, "--area", "quang-ninh", "--plain")
    before = keyfiles.load_centre(tmp_path)
    first = keyfiles.read_key(tmp_path / "roots" / "root-1.json").key_id.hex()
    assert first not in loa("root", tmp_path, "--add", "root-4", "--remove", first)
    after = keyfiles.load_centre(tmp_path)
    assert after.roots.version == 2
    now = InstantMs(before.appointment.not_before + 90_000_000)
    document = after.trust(version=2, now_ms=now)
    for pinned in (before.roots, after.roots):
        assert accept_trust(document, Authority.pinned(pinned), now).roots == after.roots


def test_roots_that_are_away_are_asked_for(tmp_path: Path) -> None:
    loa("init", tmp_path / "keys", "--area", "quang-ninh", "--plain")
    for path in sorted((tmp_path / "keys" / "roots").glob("root-[12].json")):
        path.rename(tmp_path / path.name)
    arguments = ("appoint", "x", "--area", "quang-ninh", "--public", "ab" * 32, "--dir", tmp_path / "keys")
    error = refusal(*arguments)
    assert isinstance(error, OperatorNeeded)
    assert error.code == "roots_missing"
    loa(*arguments, "--root", tmp_path / "root-1.json")


def test_wrong_input_names_field_and_limit(tmp_path: Path) -> None:
    assert refusal("show", tmp_path).code == "key_missing"
    assert refusal("init", tmp_path, "--area", "Quảng Ninh", "--plain").code == "bad_area_path"
    assert (
        refusal("init", tmp_path / "a", "--area", "x", "--roots", "2", "--sealed", "2", "--plain").code
        == "bad_root_count"
    )
    assert refusal("init", tmp_path / "b", "--area", "x", "--threshold", "9", "--plain").code == "bad_root_count"
    loa("init", tmp_path / "c", "--area", "x", "--plain")
    assert refusal("node", "a/../b", "--dir", tmp_path / "c").code == "bad_node_id"
    assert refusal("revoke", "zz", "--dir", tmp_path / "c").code == "bad_hex"
    appoint = ("appoint", "x", "--public", "ab" * 32, "--dir", tmp_path / "c")
    assert refusal(*appoint, "--area", "x", "--days", "400").code == "bad_days"
    assert refusal(*appoint, "--area", "../x").code == "bad_area_path"
    assert refusal("appoint", "x", "--area", "x", "--public", "ab").code == "bad_hex"
    (tmp_path / "c" / "controller.json").write_text("{")
    assert refusal("show", tmp_path / "c").code == "bad_key_file"
    for wrong in (["--ceiling", "loud", "--public", "ab" * 32], ["--powers", "sing", "--public", "ab" * 32], []):
        result = CliRunner().invoke(app, ["appoint", "x", "--area", "x", "--dir", str(tmp_path), *wrong])
        assert result.exit_code == 2, result.output
