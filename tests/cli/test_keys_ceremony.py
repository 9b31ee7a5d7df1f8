"""Roots that are never where the centre is: requests, signatures one by one, and what comes back."""

import json
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller import keyfiles
from controller.signing import read_request
from devices.protocol.cose import read, read_detached
from devices.protocol.envelope import encode
from devices.protocol.keys import key_id
from devices.protocol.trust import Power
from loa.cli.keys import app
from loa.entropy import system_entropy
from loa.errors import LoaError, Refused
from loa.units import InstantMs
from tests.cli.ceremony import SPARE, A, B, Ceremony
from tests.cli.test_keys import PROVINCE, everything, loa, refusal
from tests.protocol import world

pytestmark = pytest.mark.usefixtures("light")


def test_the_centre_never_sees_a_root(ceremony: Ceremony) -> None:
    keys = keyfiles.load_centre(ceremony.keys)
    assert keys.roots_here == ()
    assert ceremony.authority().in_force(
        keys.controller.key_id,
        power=Power.RENEW,
        area=PROVINCE,
        now_ms=InstantMs(keys.appointment.not_before + 9e7),  # type: ignore[arg-type]
    )
    seeds = {
        keyfiles.read_key(ceremony.root(name), lambda _, name=name: f"lời riêng của {name} đó").seed.hex()  # type: ignore[misc]
        for name in (A, B, SPARE)
    }
    assert len(seeds) == 3
    for name, data in everything(ceremony.folder).items():
        assert not any(seed in data.hex() or seed.encode() in data for seed in seeds), name


def test_a_centre_starts_on_what_the_ceremony_left_it(ceremony: Ceremony) -> None:
    """It makes no roots where there are some, and none while they are on their way."""
    before = everything(ceremony.keys)
    keys = keyfiles.create_centre(ceremony.keys, PROVINCE, InstantMs(1), system_entropy)
    assert keys == keyfiles.load_centre(ceremony.keys)
    assert everything(ceremony.keys) == before
    underway = ceremony.folder / "underway"
    loa("request", "controller", "--area", PROVINCE, "--dir", underway, "--out", ceremony.folder / "underway.request")
    with pytest.raises(Refused, match="key_missing"):
        keyfiles.create_centre(underway, PROVINCE, InstantMs(1), system_entropy)
    assert not (underway / "roots").exists()


def test_private_files_are_their_owner_s_alone(ceremony: Ceremony) -> None:
    for path in (*ceremony.offline.glob("roots/*.json"), ceremony.keys / "controller.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for words in (json.loads(path.read_text()) for path in ceremony.offline.glob("roots/*.json")):
        assert "seed" not in words
        assert words["sealed_seed"]


def test_one_root_is_not_enough_and_neither_is_the_spare_s_help_alone(ceremony: Ceremony) -> None:
    request = ceremony.appoint("lan")
    before = everything(ceremony.keys)
    assert refusal("install", request, "--dir", ceremony.keys).code == "signatures_missing"
    for name in (SPARE, A):
        alone = ceremony.folder / f"{name}.copy"
        alone.write_bytes(request.read_bytes())
        assert "At least 1 more must sign" in ceremony.sign(alone, name)
        assert refusal("install", alone, "--dir", ceremony.keys).code == "signatures_missing"
    assert everything(ceremony.keys) == before
    ceremony.install(ceremony.folder / f"{A}.copy", ceremony.folder / f"{SPARE}.copy")
    assert key_id(b"\xab" * 32) in ceremony.authority().grants


def test_sealed_spares_alone_never_count(tmp_path: Path) -> None:
    """Three roots, two of them spares: the spares reach the threshold in number, and it is not enough."""
    ceremony = Ceremony(tmp_path)
    spares = ("root-2-sealed", "root-3-sealed")
    for name in spares:
        (tmp_path / f"{name}.words").write_text(f"lời riêng của {name} đó")
    loa("init", ceremony.offline, "--sealed", "2", *ceremony.words(A, *spares))
    request = ceremony.ask("controller", "--area", PROVINCE)
    ceremony.sign(request, *spares)
    assert len(read_request(request.read_text()).signers) == 2
    first = ("--roots", ceremony.offline / "roots.json", "--dir", ceremony.keys)
    assert refusal("install", request, *first).code == "signatures_missing"
    assert not (ceremony.keys / "roots.json").exists()
    ceremony.sign(request, A)
    loa("install", request, *first)
    assert ceremony.authority().roots.version == 1


def test_copies_signed_in_two_places_come_together_the_same(ceremony: Ceremony) -> None:
    request = ceremony.appoint("lan")
    copies = [ceremony.folder / name for name in ("from-a", "from-b")]
    for copy, name in zip(copies, (A, B), strict=True):
        copy.write_bytes(request.read_bytes())
        ceremony.sign(copy, name)
    ceremony.install(*copies)
    once = everything(ceremony.keys)
    ceremony.install(*reversed(copies))
    ceremony.sign(request, A)
    ceremony.sign(request, B)
    ceremony.sign(request, A)
    ceremony.install(request)
    assert everything(ceremony.keys) == once


def test_what_is_shown_is_what_is_signed(ceremony: Ceremony) -> None:
    request = ceremony.appoint("lan", "--sole", "--drill")
    words = json.loads(request.read_text())
    shown = CliRunner().invoke(
        app, ["sign", str(request), "--root", str(ceremony.root(A)), *ceremony.words(A)], input="no\n"
    )
    for part in (
        "APPOINT (bổ nhiệm) lan",
        "quang-ninh/co-to",
        "up to emergency",
        "DRILL ONLY",
        "SOLE: MAY RELEASE",
        "approve",
    ):
        assert part in shown.output
    assert isinstance(shown.exception, LoaError)
    assert shown.exception.code == "not_signed"
    assert json.loads(request.read_text()) == words, "nothing was written"
    # Words beside the bytes are worth nothing: there are none that are shown, and the id covers the bytes.
    words["items"][0]["body"] = words["items"][0]["body"].replace("6c616e", "6c616f")
    request.write_text(json.dumps(words))
    assert refusal("show", request).code == "bad_signing_request"


def test_a_holder_s_name_cannot_paint_the_screen(ceremony: Ceremony) -> None:
    request = ceremony.appoint("lan\x1b[2K\rbinh")
    assert "\x1b" not in loa("show", request)


def test_who_is_no_root_signs_nothing(ceremony: Ceremony) -> None:
    request = ceremony.appoint("lan")
    stranger = ceremony.folder / "root-4.json"
    loa("new-root", stranger, *ceremony.words("root-4"))
    before = request.read_bytes()
    assert refusal("sign", request, "--root", stranger, *ceremony.words("root-4"), "--yes").code == "not_a_root"
    assert request.read_bytes() == before


def test_a_wrong_passphrase_signs_nothing(ceremony: Ceremony) -> None:
    request = ceremony.appoint("lan")
    before = request.read_bytes()
    wrong = ("sign", request, "--root", ceremony.root(A), "--yes")
    assert refusal(*wrong, *ceremony.words(B)).code == "wrong_passphrase"
    assert refusal(*wrong, *ceremony.words(A, B)).code == "passphrase_count"
    assert refusal(*wrong, "--passphrase-file", ceremony.folder / "nothing").code == "file_missing"
    assert request.read_bytes() == before


def test_passphrases_are_typed_twice_and_weak_ones_asked_for_again(tmp_path: Path) -> None:
    good = "lời riêng của tôi đó"
    typed = "weak\nweak\n" + f"{good}\n{good}\n" * 3
    made = CliRunner().invoke(app, ["init", str(tmp_path / "o")], input=typed)
    assert made.exit_code == 0, made.output
    assert "too easy to guess" in made.output
    assert good not in made.output
    keyfiles.read_key(tmp_path / "o" / "roots" / "root-1.json", lambda _: good)


def test_broken_off_anywhere_and_begun_again(tmp_path: Path) -> None:
    """Ctrl-C in the middle of `init` leaves whole files, and the next `init` goes on from there."""
    good = "lời riêng của tôi đó\n"
    cut = CliRunner().invoke(app, ["init", str(tmp_path / "o")], input=good * 2 + good)
    assert cut.exit_code == 1
    assert not (tmp_path / "o" / "roots.json").exists()
    again = CliRunner().invoke(app, ["init", str(tmp_path / "o")], input=good * 6)
    assert again.exit_code == 0, again.output
    done = everything(tmp_path / "o")
    assert CliRunner().invoke(app, ["init", str(tmp_path / "o")]).exit_code == 0
    assert everything(tmp_path / "o") == done


def test_a_full_disk_leaves_what_was_there(ceremony: Ceremony) -> None:
    request = ceremony.appoint("lan")
    ceremony.sign(request, A, B)
    before = everything(ceremony.folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        codes = [
            refusal("install", request, "--dir", ceremony.keys).code,
            refusal("sign", request, "--root", ceremony.root(SPARE), *ceremony.words(SPARE), "--yes").code,
            refusal(
                "passphrase", ceremony.root(A), "--old-passphrase-file", ceremony.folder / f"{A}.words",
                *ceremony.words(B),
            ).code,
        ]  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert codes == ["key_file_unwritable"] * 3
    assert everything(ceremony.folder) == before
    ceremony.install(request)


def test_an_old_request_is_not_written_over(ceremony: Ceremony) -> None:
    request = ceremony.appoint("lan")
    ceremony.sign(request, A)
    again = ("request", "appoint", "lan", "--area", PROVINCE, "--public", "ab" * 32, "--dir", ceremony.keys)
    assert refusal(*again, "--out", request).code == "already_exists"
    assert read_request(request.read_text()).signers


def test_first_roots_are_not_replaced_by_others(ceremony: Ceremony) -> None:
    (ceremony.folder / "other").mkdir()
    other = Ceremony(ceremony.folder / "other")
    other.begin()
    request = ceremony.appoint("lan")
    ceremony.sign(request, A, B)
    there = ("--roots", other.offline / "roots.json", "--dir", ceremony.keys)
    assert refusal("install", request, *there).code == "roots_differ"
    loa("install", request, "--roots", ceremony.offline / "roots.json", "--dir", ceremony.keys)
    assert refusal("install", request, other.appoint("lan"), "--dir", ceremony.keys).code == "other_request"


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
        " 'nacl', '_sodium', 'typing_extensions', 'rich', 'shellingham', 'annotated_doc', '_distutils_hack'}\n"
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
