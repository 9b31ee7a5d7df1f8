"""New root sets, revocations, appointments of a kind: what the roots do over the years, and what nodes make of it."""

from typing import Any

import pytest

from controller import keyfiles
from controller.rootwork import MOST_APPOINTMENTS, MOST_REVOCATIONS
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.fields import plan_of
from devices.protocol.keys import key_id
from devices.protocol.refusal import WireRefusal
from devices.protocol.renewal import MOST_LINKS
from devices.protocol.trust import Power, Trust
from loa.entropy import system_entropy
from loa.precedence import Kind, Precedence
from loa.units import InstantMs
from tests.cli.ceremony import SPARE, A, B, Ceremony
from tests.cli.test_keys import PROVINCE, everything, loa, refusal

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("light")]


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


def test_a_file_that_was_slipped_in_is_not_signed_again(ceremony: Ceremony) -> None:
    stranger = keyfiles.create_centre(
        ceremony.folder / "stranger", PROVINCE, InstantMs(1_790_000_000_000), system_entropy
    )
    (ceremony.keys / "appointments" / "00.cose").write_bytes(stranger.appointments[0])
    loa("new-root", ceremony.root("root-4"), *ceremony.words("root-4"))
    request = ceremony.ask("roots", "--add", ceremony.offline / "roots" / "root-4.public.json")
    assert loa("show", request).count("APPOINT") == 1
    assert "Too few of the present roots signed these files" in loa("show", ceremony.keys)
    ceremony.sign(request, A, B)
    ceremony.install(request)
    assert ceremony.authority().roots.version == 2


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
