"""Everything on the disk of a server whose keys are sealed: nothing there signs an order or signs anybody in."""

import base64
import re
import shutil
from pathlib import Path

import httpx
import pytest
from sqlmodel import select
from typer.testing import CliRunner

from api.app import create_app
from api.gate import COOKIE
from controller import keyfiles, peoplekeys
from controller.centre import Centre
from controller.config import CentreConfig
from controller.keydisk import read_key
from controller.permissions import Role
from controller.tables import PersonKey
from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.envelope import seal
from devices.protocol.judge import Standing, judge_order
from devices.protocol.keys import SigningKey
from devices.protocol.refusal import WireRefusal
from devices.protocol.seen import SeenOrders
from loa.cli.keys import app as keys_command
from loa.errors import Refused
from tests.api.office import AREA, FREE, Office, office_at
from tests.people import PASSWORD, freshen, join
from tests.protocol import world

WORDS, RELEASE = "chín con trâu qua cầu", "thuyền về bến cũ"


def spelt(secret: bytes | str) -> list[bytes]:
    """As it might lie in a file."""
    raw = secret.encode() if isinstance(secret, str) else secret
    return [raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw), base64.b32encode(raw)]


async def secrets_of(office: Office) -> dict[str, bytes | str]:
    """All that would make sound or sign in, by what it is; everything is in use."""
    lan = await join(office.centre, "release-officer", (Role.OPERATOR, AREA))
    await freshen(office.centre, lan.token)
    reply = await office.as_(lan.token).post("/api/v1/people-keys", json={"area": AREA, "passphrase": RELEASE})
    assert reply.status_code == 201, reply.text
    sealed = await office.centre.reading(lambda db: db.exec(select(PersonKey.sealed_seed)).one())
    secret = lan.secret
    return {
        "the controller's seed": office.centre.keys.controller.seed,
        "what seals codes": office.centre.accounts_key,
        "a person's seed": peoplekeys.unseal_seed(sealed, RELEASE),
        "a release passphrase": RELEASE,
        "a password": PASSWORD,
        "the first password": office.password,
        "a session": lan.token,
        "a token": office.token,
        "what codes are made from": secret,
        "the same, as bytes": base64.b32decode(secret + "=" * (-len(secret) % 8)),
        "the centre's passphrase": WORDS,
    }


@pytest.mark.slow
async def test_nothing_on_it_signs_or_signs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peoplekeys, "COST", peoplekeys.Cost(64, 1, 1))
    data, words = tmp_path / "data", tmp_path / "words"
    words.write_text(WORDS)
    async with office_at(tmp_path) as office:
        shutil.rmtree(data / "keys" / "roots")
        secrets = await secrets_of(office)
        document = office.centre.keys.trust(version=1, now_ms=office.centre.clock.now_ms())
    its_key = {what: secret for what, secret in secrets.items() if what == "the controller's seed"}
    assert found_in(data, its_key), "before it was sealed it lay open"
    sealed = CliRunner().invoke(keys_command, ["seal-controller", str(data / "keys"), "--passphrase-file", str(words)])
    assert sealed.exit_code == 0, sealed.output
    assert found_in(data, secrets) == []
    stolen = shutil.copytree(data, tmp_path / "stolen")
    _signs_nothing(stolen, document, secrets)
    await _signs_nobody_in(stolen, data, words, secrets)


def found_in(folder: Path, secrets: dict[str, bytes | str]) -> list[str]:
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return [
        f"{what} in {path.name}"
        for what, secret in secrets.items()
        for path, whole in files.items()
        if any(form in whole for form in spelt(secret))
    ]


def _signs_nothing(stolen: Path, document: bytes, secrets: dict[str, bytes | str]) -> None:
    """A node obeys the controller's key, and no key that can be had from the files."""
    keys = keyfiles.load_centre(stolen / "keys")
    with pytest.raises(Refused, match="controller_locked"):
        _ = keys.controller
    authority = accept_trust(document, Authority.pinned(keys.roots), None)
    now = authority.issued_at
    order = world.order(issued_at=now, start_at=now, expires_at=now + 600_000, areas=(AREA,))

    def obeyed(key: SigningKey) -> bool:
        standing = Standing(node=world.NODE, area=AREA, authority=authority, now_ms=now)  # type: ignore[arg-type]
        try:
            judge_order(seal(order, key), retained=False, standing=standing, seen=SeenOrders())
        except WireRefusal:
            return False
        return True

    for guess in ("", "chín con trâu qua sông", "quang-ninh-2026", PASSWORD, RELEASE):
        with pytest.raises(Refused, match="wrong_passphrase"):
            read_key(stolen / "keys" / "controller.json", lambda _, words=guess: words)  # type: ignore[misc]
    for path in (stolen / "keys").rglob("*"):
        for text in re.findall(rb"[0-9a-f]{64}", path.read_bytes() if path.is_file() else b""):
            assert not obeyed(SigningKey(bytes.fromhex(text.decode())))
    person = secrets["a person's seed"]
    assert isinstance(person, bytes)
    assert not obeyed(SigningKey(person)), "a person's key alone orders nothing either"
    assert obeyed(read_key(stolen / "keys" / "controller.json", lambda _: WORDS)), "with the passphrase it does"


async def _signs_nobody_in(stolen: Path, data: Path, words: Path, secrets: dict[str, bytes | str]) -> None:
    """Hashes out of the tables are no tokens, no cookies and no passwords at the server that goes on."""
    hashes = _texts_in(stolen, rb"[0-9a-f]{64}")
    argon = _texts_in(stolen, rb"\$argon2id\$[\w$=,+/.-]+")
    assert hashes
    assert argon
    centre = await Centre.start(
        CentreConfig(data=data, keys_passphrase_file=words), link=LoopbackLink(LoopbackBroker())
    )
    try:
        app = create_app(centre, limits=FREE)
        async with app.router.lifespan_context(app), _client(app) as client:
            for one in hashes[:40]:
                for prefix in ("loa_", "loas_", ""):
                    bearer = {"Authorization": f"Bearer {prefix}{one[:43]}"}
                    assert (await client.get("/api/v1/nodes", headers=bearer)).status_code == 401
                    cookie = {"Cookie": f"{COOKIE}={prefix}{one}"}
                    assert (await client.get("/api/v1/nodes", headers=cookie)).status_code == 401
            for one in argon[:2]:
                body = {"account": "release-officer", "password": one}
                reply = await client.post("/api/v1/session", json=body)
                assert reply.json()["code"] == "bad_credentials"
            bearer = {"Authorization": f"Bearer {secrets['a session']!s}"}
            assert (await client.get("/api/v1/nodes", headers=bearer)).status_code == 200, "the real one is let in"
    finally:
        await centre.stop()


def _texts_in(stolen: Path, pattern: bytes) -> list[str]:
    """What looks like this in the tables."""
    tables = b"".join(path.read_bytes() for path in stolen.glob("loa.db*"))
    return sorted({found.decode() for found in re.findall(pattern, tables)})


def _client(app: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://loa.test")  # type: ignore[arg-type]
