"""Enrolment over HTTP: what a box may ask without an account, what a technician does, and how often."""

import base64
from pathlib import Path
from typing import Any

import pytest

from api.gate import ApiLimits
from controller.certificates import key_pin, make_authority
from devices.node.enrolled import Done
from devices.protocol.label import read_label, roots_pin
from loa.units import InstantMs
from tests.api.box import Box
from tests.api.office import AREA, Office, office_at, problem

pytestmark = pytest.mark.asyncio(loop_scope="session")
HTTPS = "https://loa.example.vn:8443"


def _box(office: Office, folder: Path, label: str) -> Box:
    return Box(office.stranger, office.centre.clock, folder, label)


async def _label(office: Office) -> Any:
    return (await office.ok("POST", "/api/v1/labels", json={"address": HTTPS}))["items"][0]


async def test_from_label_to_node_and_to_its_replacement(office: Office, tmp_path: Path) -> None:
    label = await _label(office)
    assert read_label(label["text"]).roots_pin == roots_pin(office.centre.keys.roots)
    box = _box(office, tmp_path / "a", label["text"])
    assert await box.step() is None
    listed = (await office.ok("GET", "/api/v1/enrolments"))["items"]
    assert [(one["label"], one["code"]) for one in listed if one["label"] == label["id"]] == [(label["id"], box.code)]
    way = f"/api/v1/enrolments/{label['id']}/confirmation"
    await office.refused(422, "field_required", "POST", way, json={"code": box.code})
    await office.refused(404, "not_found", "POST", way, json={"code": box.code, "name": "e-1", "area": "quang-ninh/x"})
    wrong = f"{(int((box.code or '').replace(' ', '')) + 1) % 10**6:06d}"
    await office.refused(403, "wrong_code", "POST", way, json={"code": wrong, "name": "e-1", "area": AREA})
    node = await office.ok("POST", way, json={"code": box.code, "name": "e-1", "area": AREA})
    assert (node["id"], node["area"], node["contested"]) == ("e-1", AREA, False)
    assert await box.step() == Done(label["id"], "e-1")
    await office.refused(409, "enrolment_over", "POST", way, json={"code": box.code, "name": "e-1", "area": AREA})

    second = await _label(office)
    other = _box(office, tmp_path / "b", second["text"])
    await other.step()
    way = f"/api/v1/enrolments/{second['id']}/confirmation"
    taken = {"code": other.code, "name": "e-1", "area": AREA}
    await office.refused(409, "already_exists", "POST", way, json=taken)
    replaced = await office.ok("POST", way, json={"code": other.code, "replaces": "e-1"})
    assert replaced["public_key"] != node["public_key"]
    assert office.centre.transmitter.registry.known("e-1").public_key.hex() == replaced["public_key"]  # type: ignore[union-attr]
    await office.ok("POST", "/api/v1/nodes/e-1/retire")
    assert office.centre.transmitter.registry.known("e-1") is None


async def test_labels_are_listed_without_their_secrets_and_can_be_revoked(office: Office) -> None:
    label = await _label(office)
    listed = await office.ok("GET", "/api/v1/labels")
    assert label["code"] not in str(listed)
    assert label["text"] not in str(listed)
    assert (await office.ok("POST", f"/api/v1/labels/{label['id']}/revoke"))["state"] == "revoked"
    assert label["id"] not in {one["id"] for one in (await office.ok("GET", "/api/v1/labels"))["items"]}
    assert label["id"] in {one["id"] for one in (await office.ok("GET", "/api/v1/labels?used=true"))["items"]}
    await office.refused(404, "not_found", "POST", "/api/v1/labels/00000000/revoke")
    for address in ("http://loa.example.vn", "loa.example.vn"):
        await office.refused(422, "bad_centre_address", "POST", "/api/v1/labels", json={"address": address})


async def test_a_label_pins_the_key_of_the_certificate(tmp_path: Path) -> None:
    pin = key_pin(make_authority("x", InstantMs(1_790_000_000_000)).certificate)
    async with office_at(tmp_path) as office:
        office.app.state.tls_pin = pin
        assert read_label((await _label(office))["text"]).tls_pin == pin


def _hello(**changes: object) -> dict[str, object]:
    some = base64.b64encode(bytes(range(32))).decode()
    return {"label": "0" * 8, "public_key": some, "exchange": some, "commitment": some, "mac": some, **changes}


def _question(**changes: object) -> dict[str, object]:
    some = base64.b64encode(bytes(16)).decode()
    return {"nonce": some, "fresh": some, "mac": base64.b64encode(bytes(32)).decode(), **changes}


async def test_a_stranger_may_ask_these_two_things_and_learns_nothing(office: Office) -> None:
    office.stranger.cookies.clear()  # other tests sign in with it
    begun = await office.stranger.post("/api/v1/enrolments", json=_hello())
    problem(begun, 403, "enrolment_forged")
    problem(
        await office.stranger.post(f"/api/v1/enrolments/{'0' * 32}/state", json=_question()), 403, "enrolment_forged"
    )
    label = await _label(office)
    real = await office.stranger.post("/api/v1/enrolments", json=_hello(label=label["id"]))
    assert [(one["code"], one["detail"].split("field")[0]) for one in (begun.json(), real.json())] == [
        ("enrolment_forged", "enrolment_forged "),
        ("enrolment_forged", "enrolment_forged "),
    ]
    for method, path in (
        ("GET", "/api/v1/enrolments"),
        ("GET", f"/api/v1/enrolments/{'0' * 32}"),
        ("POST", f"/api/v1/enrolments/{'0' * 32}/confirmation"),
        ("POST", f"/api/v1/enrolments/{'0' * 32}/rejection"),
        ("POST", "/api/v1/labels"),
        ("GET", "/api/v1/labels"),
        ("POST", "/api/v1/nodes/co-to-1/broker-password"),
    ):
        problem(await office.stranger.request(method, path, json={}), 401, "auth_required")


@pytest.mark.parametrize(
    "changes", [{"mac": "AAAA"}, {"public_key": "é" * 44}, {"label": "../../"}, {"form": 2}, {"more": 1}, {"mac": None}]
)
async def test_what_is_no_hello(office: Office, changes: dict[str, object]) -> None:
    reply = await office.stranger.post("/api/v1/enrolments", json=_hello(**changes))
    assert reply.status_code == 422, reply.text


async def test_nobody_tries_many_labels(tmp_path: Path) -> None:
    limits = ApiLimits(known_rate="100000/minute", stranger_rate="100000/minute", enrol_rate="3/minute")
    async with office_at(tmp_path, limits) as office:
        codes = [
            (await office.stranger.post("/api/v1/enrolments", json=_hello())).json()["code"] for _ in range(5)
        ]  # fmt: skip
        assert codes == ["enrolment_forged"] * 3 + ["rate_limited"] * 2
        way = f"/api/v1/enrolments/{'0' * 32}/state"
        codes = [(await office.stranger.post(way, json=_question())).json()["code"] for _ in range(31)]
        assert codes == ["enrolment_forged"] * 30 + ["rate_limited"]


async def test_a_password_at_the_broker_is_told_once(office: Office) -> None:
    one = await office.ok("POST", "/api/v1/nodes/co-to-1/broker-password")
    two = await office.ok("POST", "/api/v1/nodes/co-to-1/broker-password")
    assert one["username"] == "co-to-1"
    assert one["password"] != two["password"]
    await office.refused(404, "not_found", "POST", "/api/v1/nodes/nobody/broker-password")
    await office.ok("POST", "/api/v1/stations", json={"id": "dai-e", "area": AREA})
    assert (await office.ok("POST", "/api/v1/stations/dai-e/broker-password"))["username"] == "station.dai-e"
    await office.refused(404, "not_found", "POST", "/api/v1/stations/co-to-1/broker-password")


async def test_a_village_moves(office: Office) -> None:
    for path in ("quang-ninh/e", "quang-ninh/f", "quang-ninh/e/thon-1"):
        await office.ok("POST", "/api/v1/areas", json={"path": path, "name": path})
    await office.ok("POST", "/api/v1/nodes", json={"id": "e-9", "area": "quang-ninh/e/thon-1", "public_key": "ab" * 32})
    way, body = "/api/v1/areas/quang-ninh/e/thon-1/move", {"to": "quang-ninh/f/thon-1"}
    said = await office.ok("POST", way, json=body | {"dry_run": True})
    assert (await office.ok("GET", "/api/v1/nodes/e-9"))["area"] == "quang-ninh/e/thon-1"
    done = await office.ok("POST", way, json=body)
    assert (said["done"], done["done"], said | {"done": True}) == (False, True, done)
    assert (await office.ok("GET", "/api/v1/nodes/e-9"))["area"] == "quang-ninh/f/thon-1"
    found = await office.refused(409, "area_moved", "POST", way, json=body)
    assert "quang-ninh/f/thon-1" in found["remedy"]
