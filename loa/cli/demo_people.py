"""Those who act in `loa demo --alert`, each over the centre's HTTP API with what they alone have.

Accounts, codes, release keys and the roots' appointments come about as at a real centre; only, the roots lie open at a
trial's centre, so that nobody has to carry a signing request to an offline machine.
"""

from types import TracebackType
from typing import Any

import httpx

from controller import codes, keyfiles
from controller.accounts import FirstAccount
from controller.centre import Centre
from controller.passphrases import suggest_passphrase
from devices.protocol.trust import Power
from loa.cli.client import read_reply
from loa.cli.demo_scene import ACCOUNT
from loa.clock import Clock
from loa.entropy import Entropy
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.problems import Language
from simulators.places import PROVINCE

OFFICERS = (("lan", "Nguyễn Thị Lan"), ("hung", "Phạm Văn Hùng"))
"""Two duty officers of the province: account and full name."""
_PATIENCE_S = 60.0


class Api:
    """The centre's HTTP API, asked by one person."""

    def __init__(self, url: str, language: Language) -> None:
        self._url = url
        self._http = httpx.AsyncClient(
            base_url=f"{url}/api/v1", headers={"Accept-Language": language}, timeout=_PATIENCE_S, trust_env=False
        )

    async def __aenter__(self) -> "Api":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def sign(self, token: str) -> None:
        """Ask as the owner of this token from now on."""
        self._http.headers["Authorization"] = f"Bearer {token}"

    async def get(self, path: str, **query: str | int) -> Any:
        """A reply's JSON. Raises the error of a problem document."""
        return read_reply(self._url, await self._http.get(path, params=query))

    async def post(self, path: str, body: Any = None) -> Any:
        """The same of a change."""
        return read_reply(self._url, await self._http.post(path, json=body))

    async def hand_in(self, path: str, content: bytes, kind: str) -> Any:
        """The same of a file."""
        return read_reply(self._url, await self._http.post(path, content=content, headers={"Content-Type": kind}))

    async def take(self, path: str) -> bytes:
        """A reply's bytes."""
        reply = await self._http.get(path)
        if reply.status_code >= 400:
            read_reply(self._url, reply)
        return reply.content


class Authenticator:
    """An app that makes six digits, and never shows the same twice."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret, self._clock, self._used = secret, clock, 0

    def code(self) -> str:
        """What it shows now; the next one where that was given already. Both count for half a minute more at least."""
        self._used = max(self._used + 1, codes.step_at(self._clock.now_ms()))
        return codes.code_of(self._secret, self._used)


class Person:
    """Somebody with an account; `passphrase` is that of their release key."""

    def __init__(self, api: Api, account: str, full_name: str, password: str) -> None:
        self.api, self.account, self.full_name = api, account, full_name
        self._password = password
        self._app: Authenticator | None = None
        self._passphrase = ""

    async def sign_in(self, clock: Clock, *, secret: str | None = None) -> None:
        """With password, and a code where there is a secret for them; without one, codes are set up."""
        body: dict[str, Any] = {"account": self.account, "password": self._password, "token_name": "demo"}
        if secret is not None:
            self._app = Authenticator(secret, clock)
            body["code"] = self._app.code()
        self.api.sign((await self.api.post("/session", body))["token"])
        if self._app is None:
            self._app = Authenticator((await self.api.post("/session/code"))["secret"], clock)
            await self.api.post("/session/code/confirm", {"code": self._app.code()})

    async def make_key(self, entropy: Entropy) -> bytes:
        """A key for live alerts, sealed under a passphrase of their own; its public half."""
        self._passphrase = suggest_passphrase(entropy)
        body = {"area": str(PROVINCE), "kind": "live", "passphrase": self._passphrase}
        return bytes.fromhex((await self.api.post("/people-keys", body))["public_key"])

    async def step_up(self) -> None:
        """Password and a fresh code, without which nothing is released."""
        assert self._app is not None
        await self.api.post("/session/step-up", {"code": self._app.code(), "password": self._password})

    async def approve(self, alert: Any) -> Any:
        """The passphrase over the very body that the alert's view showed."""
        body = {"kind": alert["kind"], "body_sha256": alert["body_sha256"], "passphrase": self._passphrase}
        return await self.api.post(f"/alerts/{alert['id']}/approvals", body)

    async def cancel(self, alert: str) -> Any:
        """The passphrase over the cancel that was prepared with the alert."""
        return await self.api.post(f"/alerts/{alert}/cancel", {"passphrase": self._passphrase})


async def administrator(centre: Centre, api: Api, first: FirstAccount) -> Person:
    """The first account, signed in."""
    person = Person(api, ACCOUNT, "", first.password)
    await person.sign_in(centre.clock, secret=first.code_secret)
    return person


async def duty_officer(centre: Centre, admin: Person, api: Api, account: str, *, full_name: str) -> Person:
    """Somebody new: an account by the administrator, codes and a key of their own, an appointment by the roots."""
    post = {"role": "duty_officer", "area": str(PROVINCE)}
    made = await admin.api.post("/accounts", {"name": account, "full_name": full_name, "roles": [post]})
    person = Person(api, account, full_name, made["one_time_password"])
    await person.sign_in(centre.clock)
    public_key = await person.make_key(centre.entropy)
    await centre.aside(lambda: _appoint(centre, account, public_key))
    centre.look_again()
    return person


def _appoint(centre: Centre, account: str, public_key: bytes) -> None:
    keyfiles.appoint(
        centre.keys_folder,
        holder=account,
        public_key=public_key,
        area=AreaPath(PROVINCE),
        ceiling=Precedence.EMERGENCY,
        powers=Power.APPROVE,
        kind=Kind.LIVE,
        now_ms=centre.clock.now_ms(),
        entropy=centre.entropy,
    )
