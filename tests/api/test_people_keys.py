"""People's keys over HTTP: made, asked to be appointed, opened by their passphrase alone, retired; and the centre's."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from api.gate import ApiLimits
from controller import keyfiles, rootwork, signing
from controller.keydisk import lock_key
from controller.peoplekeys import Cost
from controller.tables import PersonKey, RecordEntry, StateDocument
from devices.protocol.cose import read_detached
from devices.protocol.envelope import encode
from devices.protocol.keys import key_id
from devices.protocol.trust import Appointment
from loa.errors import Refused
from tests.api.office import AREA, FREE, Office, office_at, problem
from tests.protocol import world

pytestmark = pytest.mark.asyncio(loop_scope="session")
WORDS, OTHER = "thuyền về bến cũ", "cá lên bờ ăn trăng"
PATH = "/api/v1/people-keys"


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.peoplekeys.COST", Cost(8, 1, 1))


async def make(office: Office, **more: Any) -> Any:
    return await office.ok("POST", PATH, json={"area": AREA, "passphrase": WORDS} | more)


async def retire(office: Office, key: Any) -> Any:
    return await office.ok("POST", f"{PATH}/{key['id']}/retire")


async def test_a_key_from_its_making_to_its_end(office: Office) -> None:
    made = await make(office, kind="drill")
    assert (made["account"], made["kind"], made["appointments"], made["retired_at"]) == ("admin", "drill", [], None)
    assert key_id(bytes.fromhex(made["public_key"])).hex() == made["id"]
    again = await office.ok("GET", f"{PATH}/{made['id']}/request")
    assert again == made, "the request is the same, so signatures on it count"

    request = signing.read_request(json.dumps(made["request"]))
    appointment = request.items[0].message
    assert isinstance(appointment, Appointment)
    assert (appointment.holder, appointment.area, appointment.kind.name) == ("admin", AREA, "DRILL")
    folder = office.centre.keys_folder
    for path in (folder / "roots" / "root-1.json", folder / "roots" / "root-2.json"):
        request = signing.sign_request(request, keyfiles.read_key(path))
    rootwork.install(folder, [request])
    office.centre._read_keys_again()
    listed = (await office.ok("GET", f"{PATH}/mine"))["items"]
    assert [one["appointments"] for one in listed if one["id"] == made["id"]] == [[appointment.id.hex()]]
    shown = await office.ok("GET", "/api/v1/keys")
    held = {one["id"]: one for one in shown["appointments"]}[appointment.id.hex()]
    assert (held["holder"], held["kind"], held["powers"], held["sole"]) == ("admin", "drill", ["approve"], False)

    retired = await retire(office, made)
    assert retired["retired_at"]
    assert retired == await retire(office, made)
    revocation = signing.read_request(json.dumps(retired["request"])).items[0].message
    assert revocation.ids == (bytes.fromhex(made["id"]), appointment.id)  # type: ignore[union-attr]
    await office.refused(
        409, "key_retired", "POST", f"{PATH}/{made['id']}/passphrase",
        json={"old_passphrase": WORDS, "new_passphrase": OTHER},
    )  # fmt: skip


async def test_no_answer_holds_a_private_half(office: Office) -> None:
    made = await make(office)
    sealed = await office.centre.reading(lambda session: rows(session, made["id"]))
    replies = [
        await office.client.get(path)
        for path in (PATH, f"{PATH}/mine", f"{PATH}/{made['id']}/request", "/api/v1/keys", "/metrics")
    ]
    for reply in replies:
        assert reply.status_code == 200, reply.text
        assert sealed.hex() not in reply.text
        assert "seed" not in reply.text
    await retire(office, made)


async def tries(office: Office, key: str) -> int:
    query = select(RecordEntry).where(
        RecordEntry.verb == "wrong_passphrase", RecordEntry.object_id == key, RecordEntry.account == "admin"
    )
    return await office.centre.reading(lambda session: len(session.exec(query).all()))


def rows(session: Any, key: str) -> bytes:
    found: bytes = session.get(PersonKey, key).sealed_seed
    return found


async def test_its_passphrase_opens_it_and_the_sign_in_password_does_not(office: Office) -> None:
    made = await make(office)
    body = encode(world.body_for(world.order()))
    release = {"body": body, "account": "admin"}
    with pytest.raises(Refused, match="wrong_passphrase"):
        await office.centre.approve_body(made["id"], passphrase=office.password, **release)  # type: ignore[arg-type]
    approval = await office.centre.approve_body(made["id"], passphrase=WORDS, **release)  # type: ignore[arg-type]
    assert read_detached(approval, body, max_bytes=256).holds_under(bytes.fromhex(made["public_key"]))
    assert await tries(office, made["id"]) == 1, "each wrong one is on the record"
    with pytest.raises(Refused, match="not_found"):
        await office.centre.approve_body(made["id"], passphrase=WORDS, body=body, account="somebody")
    with pytest.raises(Refused, match="not_an_alert_body"):
        await office.centre.approve_body(made["id"], passphrase=WORDS, body=encode(world.order()), account="admin")
    bulletin = await office.bulletin()
    emergency = {"bulletins": [bulletin["id"]], "target_areas": [AREA], "precedence": "emergency"}
    await office.refused(403, "emergency_needs_release", "POST", "/api/v1/broadcasts", json=emergency)

    path = f"{PATH}/{made['id']}/passphrase"
    wrong = {"old_passphrase": office.password, "new_passphrase": OTHER}
    await office.refused(403, "wrong_passphrase", "POST", path, json=wrong)
    await office.ok("POST", path, json={"old_passphrase": WORDS, "new_passphrase": OTHER})
    with pytest.raises(Refused, match="wrong_passphrase"):
        await office.centre.approve_body(made["id"], passphrase=WORDS, **release)  # type: ignore[arg-type]
    assert await office.centre.approve_body(made["id"], passphrase=OTHER, **release)  # type: ignore[arg-type]
    await retire(office, made)


async def test_the_passphrase_does_not_become_the_password(office: Office) -> None:
    made = await make(office)
    change = {"old_password": office.password, "new_password": WORDS}
    found = await office.refused(422, "passphrase_is_password", "POST", "/api/v1/session/password", json=change)
    assert found["field"] == "new_password"
    await retire(office, made)


async def test_what_is_refused(office: Office) -> None:
    def body(**more: Any) -> Any:
        return {"area": AREA, "passphrase": WORDS} | more

    for passphrase in ("short", "123456789012", "matkhau123456"):
        found = await office.refused(422, "weak_passphrase", "POST", PATH, json=body(passphrase=passphrase))
        assert (found["field"], found["limit"]) == ("passphrase", 12)
    found = await office.refused(422, "passphrase_is_password", "POST", PATH, json=body(passphrase=office.password))
    assert found["field"] == "passphrase"
    await office.refused(404, "not_found", "POST", PATH, json=body(area="quang-ninh/nowhere"))
    await office.refused(422, "bad_area_path", "POST", PATH, json=body(area="Cô Tô"))
    for more in ({"kind": "practice"}, {"days": 366}, {"days": 0}, {"days": True}, {"passphrase": "x" * 300}):
        reply = await office.client.post(PATH, json=body(**more))
        assert reply.status_code == 422, more
    await office.refused(422, "unknown_field", "POST", PATH, json=body(sole=True))
    for method, tail in (("GET", "request"), ("POST", "retire")):
        await office.refused(404, "not_found", method, f"{PATH}/{'0' * 16}/{tail}")
    assert (await office.client.get(f"{PATH}/zz/request")).status_code == 422
    office.stranger.cookies.clear()
    problem(await office.stranger.get(PATH), 401, "auth_required")
    keys = [await make(office), await make(office)]
    await office.refused(422, "too_many", "POST", PATH, json=body())
    for key in keys:
        await retire(office, key)


async def test_tries_of_a_passphrase_are_counted(tmp_path: Path) -> None:
    limits = ApiLimits(known_rate=FREE.known_rate, stranger_rate=FREE.stranger_rate, sign_in_rate="4/minute")
    async with office_at(tmp_path, limits) as office:
        made = await make(office)
        path, wrong = f"{PATH}/{made['id']}/passphrase", {"old_passphrase": "đoán mò thôi mà", "new_passphrase": OTHER}
        for _ in range(3):
            await office.refused(403, "wrong_passphrase", "POST", path, json=wrong)
        right = {"old_passphrase": WORDS, "new_passphrase": OTHER}
        found = await office.refused(429, "rate_limited", "POST", path, json=right)
        assert found["remedy"]


async def test_roots_on_the_machine_are_said_everywhere(office: Office) -> None:
    """The office was started unattended: its roots lie open in its folder."""
    shown = await office.ok("GET", "/api/v1/keys")
    assert (shown["root_set"], shown["threshold"], [one["sealed"] for one in shown["roots"]]) == (
        1,
        2,
        [False, False, True],
    )
    warning = shown["warnings"][0]
    assert warning["code"] == "roots_plain"
    assert "docs/keys.md" in warning["remedy"]
    vietnamese = await office.client.get("/api/v1/keys", headers={"Accept-Language": "vi"})
    assert vietnamese.json()["warnings"][0]["title"].startswith("Khoá gốc")
    health = (await office.stranger.get("/healthz")).json()
    assert health["keys"] == "attention"
    figures = (await office.client.get("/metrics")).text
    for line in ('loa_key_warnings{code="roots_plain"} 1.0', 'loa_key_warnings{code="appointment_ends"} 0.0'):
        assert line in figures
    assert "loa_roots_here 3.0" in figures
    assert 'loa_appointment_days_left{appointment="' in figures


async def test_all_is_well_once_the_roots_are_away(office: Office) -> None:
    folder = office.centre.keys_folder
    away = [path.rename(folder / path.name) for path in (folder / "roots").iterdir()]
    office.centre._read_keys_again()
    warned = (await office.ok("GET", "/api/v1/keys"))["warnings"]
    assert [one["code"] for one in warned] == ["controller_plain"]
    own = folder / "controller.json"
    plain = own.read_bytes()
    lock_key(own, WORDS, office.centre.entropy)
    office.centre._read_keys_again()
    assert (await office.ok("GET", "/api/v1/keys"))["warnings"] == []
    assert (await office.stranger.get("/healthz")).json()["keys"] == "ok"
    own.write_bytes(plain)
    for path in away:
        path.rename(folder / "roots" / path.name)
    office.centre._read_keys_again()


async def test_a_spoiled_file_among_the_keys_stops_nothing(office: Office) -> None:
    """What is planned goes on under the keys that were read before, mandates are renewed, and it is told."""
    centre, before = office.centre, office.centre.keys
    spoiled = centre.keys_folder / "roots" / "copy.json"
    spoiled.parent.mkdir(exist_ok=True)
    spoiled.write_text("{")
    assert centre._read_keys_again() is False
    assert centre.keys == before
    assert "copy.json" in centre._troubles["read"]
    spoiled.unlink()
    centre._read_keys_again()
    assert (centre.keys, centre._troubles["read"]) == (before, "")


async def test_a_trust_document_that_nodes_would_refuse_is_not_issued(office: Office) -> None:
    """One spoiled link of root sets would have every node refuse all of it, mandates and revocations included."""
    centre, ctx = office.centre, office.centre.context("tests")

    def version(session: Session) -> int:
        return session.get_one(StateDocument, (str(centre.province), "trust")).version

    before = await centre.reading(version)
    spoiled = centre.keys_folder / "root-sets" / "0001.cose"
    spoiled.parent.mkdir(exist_ok=True)
    spoiled.write_bytes(b"junk")
    centre._read_keys_again()
    assert centre.keys.root_sets == (b"junk",)
    assert not await centre.unit_of_work(lambda s: centre._renew_trust(s, ctx))
    assert await centre.reading(version) == before
    assert "nodes would refuse" in centre._troubles["renew"]
    spoiled.unlink()
    centre._read_keys_again()
    await centre.unit_of_work(lambda s: centre._renew_trust(s, ctx))
    assert centre._troubles["renew"] == ""
