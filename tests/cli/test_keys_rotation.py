"""Roots that change, appointments that end, and what a node that slept makes of it."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from controller import keyfiles
from controller.rootwork import MOST_APPOINTMENTS, MOST_REVOCATIONS
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.cose import read, read_detached
from devices.protocol.envelope import encode
from devices.protocol.fields import plan_of
from devices.protocol.keys import key_id
from devices.protocol.refusal import WireRefusal
from devices.protocol.renewal import MOST_LINKS
from devices.protocol.trust import Power, Trust
from loa.precedence import Kind, Precedence
from loa.units import InstantMs
from tests.cli.ceremony import SPARE, A, B, Ceremony
from tests.cli.test_keys import everything, loa, refusal
from tests.protocol import world

pytestmark = pytest.mark.usefixtures("light")


def rotate(ceremony: Ceremony, number: int) -> None:
    """The oldest root that is no spare goes, a new one comes."""
    name = f"root-{number}"
    (ceremony.folder / f"{name}.words").write_text(f"lời riêng của {name} đó")
    loa("new-root", ceremony.root(name), *ceremony.words(name))
    held = keyfiles.load_centre(ceremony.keys).roots
    gone = next(root for root in held.roots if not root.sealed)
    public = ceremony.offline / "roots" / f"{name}.public.json"
    request = ceremony.ask("roots", "--add", public, "--remove", key_id(gone.public_key).hex())
    shown = loa("show", request)
    assert "COMES" in shown
    assert "GOES" in shown
    stays = next(root for root in held.roots if not root.sealed and root != gone)
    staying = next(path.stem for path in ceremony.offline.glob("roots/root-?.json")
                   if keyfiles.look_at_key(path).public_key == stays.public_key)  # fmt: skip
    ceremony.sign(request, staying, SPARE, name)
    ceremony.install(request)
    once = everything(ceremony.keys)
    ceremony.install(request)
    assert everything(ceremony.keys) == once


def test_a_node_that_slept_through_three_new_root_sets_gets_there(ceremony: Ceremony) -> None:
    first = keyfiles.load_centre(ceremony.keys).roots
    request = ceremony.appoint("lan")
    ceremony.sign(request, A, B)
    ceremony.install(request)
    for number in (4, 5, 6):
        rotate(ceremony, number)
    last = keyfiles.load_centre(ceremony.keys)
    assert (last.roots.version, len(last.root_sets)) == (4, 3)
    asleep, awake = ceremony.authority(first), ceremony.authority()
    assert asleep.roots == awake.roots == last.roots
    assert key_id(b"\xab" * 32) in asleep.grants
    # Without a link in the middle it stays where it is.
    (ceremony.keys / "root-sets" / "0003.cose").unlink()
    with pytest.raises(WireRefusal, match="untrusted_key"):
        ceremony.authority(first)


def test_the_old_roots_are_out_of_use(ceremony: Ceremony) -> None:
    before = ceremony.appoint("lan")
    ceremony.sign(before, A, SPARE)
    rotate(ceremony, 4)  # root-1 goes
    assert refusal("install", before, "--dir", ceremony.keys).code == "signatures_missing"
    later = ceremony.appoint("lan")
    later_arguments = ("sign", later, "--root", ceremony.root(A), *ceremony.words(A), "--yes")
    assert refusal(*later_arguments).code == "not_a_root"
    ceremony.sign(later, B, "root-4")
    ceremony.install(later)


def test_a_new_root_set_leaves_no_appointment_behind(ceremony: Ceremony) -> None:
    """One that was installed after the request was made would be signed by roots that count no more."""
    loa("new-root", ceremony.root("root-4"), *ceremony.words("root-4"))
    public = ceremony.offline / "roots" / "root-4.public.json"
    roots = ceremony.ask("roots", "--add", public)
    ceremony.sign(roots, A, B)
    meanwhile = ceremony.appoint("lan")
    ceremony.sign(meanwhile, A, B)
    ceremony.install(meanwhile)
    assert refusal("install", roots, "--dir", ceremony.keys).code == "request_outdated"
    assert ceremony.authority().roots.version == 1


def test_half_a_rotation_still_counts(ceremony: Ceremony) -> None:
    """Power fails between any two files of an `install`: nodes take what is there, and the next try completes it."""
    request = ceremony.appoint("lan")
    ceremony.sign(request, A, B)
    ceremony.install(request)
    first, before = keyfiles.load_centre(ceremony.keys).roots, everything(ceremony.keys)
    rotate(ceremony, 4)
    after = everything(ceremony.keys)
    roots_request = max(ceremony.folder.glob("*.request"), key=lambda path: int(path.stem))
    order = sorted((name for name in after if after[name] != before.get(name)), key=_written)
    assert len(order) == 4
    for done in range(len(order) + 1):
        for name in after:
            path, data = ceremony.keys / name, (after if name in order[:done] else before).get(name)
            path.write_bytes(data) if data is not None else path.unlink(missing_ok=True)
        assert key_id(b"\xab" * 32) in ceremony.authority(first).grants, order[:done]
        ceremony.install(roots_request)
        assert everything(ceremony.keys) == after


def _written(name: str) -> int:
    return ("appointments", "root-sets", "roots.json").index(name.split("/", maxsplit=1)[0])


def test_revoked_is_not_renewed_by_appointment_or_key(ceremony: Ceremony) -> None:
    for number, of_key in enumerate((False, True)):
        key = f"{number + 1:02x}" * 32
        request = ceremony.appoint(f"lan-{number}", key=key)
        ceremony.sign(request, A, B)
        ceremony.install(request)
        public = bytes.fromhex(key)
        assert key_id(public) in ceremony.authority().grants
        held = keyfiles.read_appointments(keyfiles.load_centre(ceremony.keys).appointments)
        gone = key_id(public) if of_key else next(one.id for one in held if one.public_key == public)
        revoke = ceremony.ask("revoke", gone.hex(), "--reason", "left office")
        assert "REVOKE" in loa("show", revoke)
        ceremony.sign(revoke, A, B)
        ceremony.install(revoke)
        authority = ceremony.authority()
        assert key_id(public) not in authority.grants
        assert gone in authority.revoked
        assert "REVOKED" in loa("show", ceremony.keys)


def test_a_restored_folder_does_not_bring_a_revoked_key_back(ceremony: Ceremony) -> None:
    request = ceremony.appoint("lan")
    ceremony.sign(request, A, B)
    ceremony.install(request)
    backup = everything(ceremony.keys)
    revoke = ceremony.ask("revoke", key_id(b"\xab" * 32).hex())
    ceremony.sign(revoke, A, B)
    ceremony.install(revoke)
    node = ceremony.authority()
    for path in sorted(ceremony.keys.rglob("*.cose")):
        if str(path.relative_to(ceremony.keys)) not in backup:
            path.unlink()
    keys = keyfiles.load_centre(ceremony.keys)
    now = InstantMs(node.issued_at + 1000)
    restored = keys.trust(version=node.version + 1, now_ms=now)
    fresh, old = accept_trust(restored, Authority.pinned(keys.roots), now), accept_trust(restored, node, now)
    asked: dict[str, Any] = {"power": Power.APPROVE, "now_ms": now}
    assert fresh.in_force(key_id(b"\xab" * 32), **asked), "the backup alone knows nothing of it"
    with pytest.raises(WireRefusal, match="revoked"):
        old.in_force(key_id(b"\xab" * 32), **asked)


def test_one_key_is_not_appointed_for_live_and_drill(ceremony: Ceremony) -> None:
    """Nodes would refuse the whole document."""
    live = ceremony.appoint("lan")
    drill = ceremony.appoint("lan", "--drill")
    for request in (live, drill):
        ceremony.sign(request, A, B)
    ceremony.install(live)
    assert refusal("install", drill, "--dir", ceremony.keys).code == "key_of_other_kind"
    other = ceremony.appoint("lan", "--drill", key="cd" * 32)
    ceremony.sign(other, A, B)
    ceremony.install(other)
    grants = ceremony.authority().grants
    assert [grants[key_id(bytes.fromhex(key * 32))][0].kind for key in ("ab", "cd")] == [Kind.LIVE, Kind.DRILL]


def test_a_full_trust_document_is_said_before_nodes_refuse_it(
    ceremony: Ceremony, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.rootwork.MOST_APPOINTMENTS", 2)
    monkeypatch.setattr("controller.rootwork.MOST_REVOCATIONS", 1)
    requests = [ceremony.appoint("lan"), ceremony.appoint("binh", key="cd" * 32)]
    requests += [ceremony.ask("revoke", key_id(bytes.fromhex(key * 32)).hex()) for key in ("ef", "09")]
    for request in requests:
        ceremony.sign(request, A, B)
    for fits, full in (requests[:2], requests[2:]):
        ceremony.install(fits)
        ceremony.install(fits)
        assert refusal("install", full, "--dir", ceremony.keys).code == "too_many"


def test_the_room_is_what_the_wire_says() -> None:
    words = {plan.name: plan.form.words for plan in plan_of(Trust)}
    for name, most in (
        ("appointments", MOST_APPOINTMENTS),
        ("revocations", MOST_REVOCATIONS),
        ("root_sets", MOST_LINKS),
    ):
        assert words[name].startswith(f"array of at most {most} ")


def test_a_sole_appointment_is_seen_by_everybody(ceremony: Ceremony) -> None:
    request = ceremony.appoint("truc-dem", "--sole")
    ceremony.sign(request, A, B)
    assert "SOLE" in ceremony.install(request)
    assert "SOLE: MAY RELEASE AN EMERGENCY ALONE" in loa("show", ceremony.keys)
    sole = [one for several in ceremony.authority().appointments.values() for one in several if one.sole]
    assert [(one.holder, one.ceiling) for one in sole] == [("truc-dem", Precedence.EMERGENCY)]


def test_a_person_approves_on_their_own_device(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("cá lên bờ ăn trăng\r\nsecond line\n", encoding="utf-8")
    file = tmp_path / "lan.json"
    loa("person", "new", file, "--passphrase-file", words)
    once = everything(tmp_path)
    loa("person", "new", file, "--passphrase-file", words)
    assert everything(tmp_path) == once
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    public = keyfiles.look_at_key(file).public_key
    assert public.hex() in loa("person", "show", file)
    body = tmp_path / "storm.body"
    order = world.order()
    body.write_bytes(encode(order))
    approve = ("approve", body, "--key", file, "--passphrase-file", words)
    assert refusal(*approve, "--yes").code == "not_an_alert_body"
    body.write_bytes(encode(world.body_for(order)))
    assert not (tmp_path / "storm.body.approval").exists()
    assert "quang-ninh/co-to" in loa(*approve, "--yes")
    signature = read_detached((tmp_path / "storm.body.approval").read_bytes(), body.read_bytes(), max_bytes=256)
    assert signature.holds_under(public)


def test_a_signature_that_was_spoiled_on_the_way_is_found(ceremony: Ceremony) -> None:
    request = ceremony.appoint("lan")
    ceremony.sign(request, A, B)
    words = json.loads(request.read_text())
    part = bytearray.fromhex(words["items"][0]["signed"][0])
    part[-1] ^= 1
    words["items"][0]["signed"][0] = part.hex()
    request.write_text(json.dumps(words))
    assert refusal("install", request, "--dir", ceremony.keys).code == "bad_signing_request"
    words["items"][0]["signed"][0] = read(bytes(part), max_bytes=9999).payload.hex()
    request.write_text(json.dumps(words))
    assert refusal("install", request, "--dir", ceremony.keys).code == "bad_signing_request"


def test_it_runs_where_there_is_nothing_but_the_wheel(tmp_path: Path) -> None:
    """Of what it imports, all that is not Python's own is in the base dependencies."""
    script = (
        "import sys, pathlib\n"
        "import loa.cli.keys\n"
        "base = {'loa', 'controller', 'devices', 'cbor2', '_cbor2', 'cryptography', '_cffi_backend', 'typer', 'click',"
        " 'typing_extensions', 'rich', 'shellingham', 'annotated_doc', '_distutils_hack'}\n"
        "found = {name.partition('.')[0] for name, module in sys.modules.items()\n"
        "         if 'site-packages' in (getattr(module, '__file__', None) or '')}\n"
        "print(sorted(found - base))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout.strip() == "[]"


def verbs() -> list[tuple[str, ...]]:
    named = ["init", "show", "mandate", "node", "passphrase", "suggest", "new-root", "sign", "install", "appoint"]
    named += ["revoke", "root", "approve"]
    return [*((one,) for one in named), ("request",), ("person",), ("person", "new"), ("person", "show")]


@pytest.mark.parametrize("verb", verbs(), ids=" ".join)
def test_each_verb_s_help_has_an_example(verb: tuple[str, ...]) -> None:
    assert f"loa keys {' '.join(verb)} " in loa(*verb, "--help").replace("\n", " ")
