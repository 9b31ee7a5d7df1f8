"""Two persons of the province with sealed keys, and what they ask of a served centre."""

import asyncio
import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session

from benchmarks.province import PROVINCE, Made, new_bulletin
from controller import keyfiles
from controller.centre import Centre
from controller.config import CentreConfig
from controller.desk import KeyWish
from controller.permissions import Role
from controller.services.bulletins import NewRendition, approve_bulletin, draft_bulletin
from controller.services.context import Changed, Context
from controller.services.settings_changes import store_siren
from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.protocol.envelope import decode
from devices.protocol.media import Manifest
from devices.protocol.trust import Power, RootSet
from loa.entropy import system_entropy
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from tests.node.rig import Recording
from tests.people import PASSWORD, App, SignedIn, join

SIREN = 1
_WORDS = "thuyền về bến cũ của "
_FRESH_S = 200.0
"""A password and a code count for five minutes."""


@dataclass(frozen=True)
class Duty:
    """What was put into the folder besides nodes and areas."""

    officers: tuple[SignedIn, SignedIn]
    roots: RootSet
    bulletins: tuple[str, ...]
    """One for each alert, so that its speech is on no node before; of bytes that no decoder reads."""


def put_on_duty(made: Made, siren: Recording, bulletins: int, audio_bytes: int) -> Duty:
    """Officers whom the roots appointed, the siren in the settings, bulletins to warn with."""
    return asyncio.run(_put(made, siren, bulletins, audio_bytes))


async def _put(made: Made, siren: Recording, bulletins: int, audio_bytes: int) -> Duty:
    centre = await Centre.start(CentreConfig(data=made.data, province=PROVINCE), link=LoopbackLink(LoopbackBroker()))
    try:
        people = [await _officer(centre, name) for name in ("thu", "hai")]
        stored = await _stored(centre, siren)
        await centre.do(
            "bench", lambda session, ctx: store_siren(session, ctx, area=PROVINCE, code=SIREN, bulletin=stored)
        )
        ctx = centre.context("bench")
        found = [
            await centre.unit_of_work(lambda session: new_bulletin(session, ctx, audio_bytes)[0])
            for _ in range(bulletins)
        ]
        return Duty((people[0], people[1]), centre.keys.roots, tuple(found))
    finally:
        await centre.stop()


async def _officer(centre: Centre, name: str) -> SignedIn:
    person = await join(centre, name, (Role.DUTY_OFFICER, PROVINCE))
    key = await centre.make_person_key(KeyWish(PROVINCE, Kind.LIVE, 365, _WORDS + name), account=name)
    keyfiles.appoint(
        centre.keys_folder, holder=name, public_key=key.public_key, area=AreaPath(PROVINCE),
        ceiling=Precedence.EMERGENCY, powers=Power.APPROVE, kind=Kind.LIVE, now_ms=centre.clock.now_ms(),
        entropy=system_entropy,
    )  # fmt: skip
    return person


async def _stored(centre: Centre, sound: Recording) -> str:
    manifest = decode(sound.manifest)
    assert isinstance(manifest, Manifest)
    fresh = NewRendition(sound.file, manifest)

    def draft(session: Session, ctx: Context) -> Changed[Any]:
        return Changed(draft_bulletin(session, ctx, title="Còi", area=PROVINCE, renditions=[fresh]))

    view = await centre.do("studio", draft)

    def approve(session: Session, ctx: Context) -> Changed[Any]:
        return Changed(approve_bulletin(session, ctx, id=view.id, content_hash=view.content_hash))

    return str((await centre.do("bench", approve)).id)


class Refusal(RuntimeError):
    """The centre did not do it; `status` says which kind of answer it was."""

    def __init__(self, status: int, said: bytes) -> None:
        super().__init__(f"{status} {said[:200]!r}")
        self.status = status


@dataclass
class Officer:
    """One of them, signed in at a centre that is served at host and port."""

    person: SignedIn
    host: str
    port: int
    _app: App = field(init=False)
    _fresh_s: float = -1e9

    def __post_init__(self) -> None:
        self._app = App(self.person.secret)

    def freshen(self) -> None:
        """Password and code, where the last ones would not last."""
        while time.monotonic() - self._fresh_s > _FRESH_S:
            try:
                self.ask("POST", "/session/step-up", {"code": self._app.code(), "password": PASSWORD})
                self._fresh_s = time.monotonic()
            except Refusal:  # the code was used when the account was made: the next one counts
                time.sleep(1.0)

    def compose(self, bulletins: Sequence[str], areas: Sequence[str] = (PROVINCE,)) -> Any:
        form = {
            "kind": "live", "title": "Bão số 9: về bờ ngay", "target_areas": list(areas), "bulletins": list(bulletins),
            "siren": SIREN, "repeats": 0, "lasts_ms": 600_000,
        }  # fmt: skip
        return self.ask("POST", "/alerts", form)

    def approve(self, alert: Any) -> Any:
        body = {"kind": "live", "body_sha256": alert["body_sha256"], "passphrase": self._words}
        return self.ask("POST", f"/alerts/{alert['id']}/approvals", body)

    def cancel(self, alert: Any) -> None:
        self.ask("POST", f"/alerts/{alert['id']}/cancel", {"passphrase": self._words})

    @property
    def _words(self) -> str:
        return _WORDS + self.person.name

    def ask(self, method: str, path: str, body: object) -> Any:
        """One request over a connection of its own; raises Refusal."""
        http_to = http.client.HTTPConnection(self.host, self.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.person.token}", "Content-Type": "application/json"}
        http_to.request(method, f"/api/v1{path}", json.dumps(body).encode(), headers)
        reply = http_to.getresponse()
        said = reply.read()
        http_to.close()
        if reply.status >= 300:
            raise Refusal(reply.status, said)
        return json.loads(said or b"null")
