"""The way from the verbs to a server: its address and token, requests, problems as our own errors, tables."""

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import typer
from rich.console import Console
from rich.table import Table

from loa.cli.proving import give_code
from loa.entropy import Entropy, system_entropy
from loa.errors import Fault, OperatorNeeded, Refused
from loa.problems import PROBLEMS, Words

DEFAULT_SERVER = "http://127.0.0.1:8080"
T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Print the server's reply as JSON.")]
_VILLAGE_TIME = ZoneInfo("Asia/Ho_Chi_Minh")
_PATIENCE = httpx.Timeout(60.0, connect=5.0)


def verbs(text: str) -> typer.Typer:
    """A group of verbs whose help keeps its line breaks."""
    return typer.Typer(help=text, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def memory_file() -> Path:
    """Where `loa login` keeps server and token: ~/.config/loa/login.toml."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "loa" / "login.toml"


def remember(server: str, token: str) -> Path:
    """Keep server and token, readable by the owner alone."""
    path = memory_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"server = {json.dumps(server)}\ntoken = {json.dumps(token)}\n")
    fresh.replace(path)
    return path


def _remembered() -> Mapping[str, str]:
    try:
        raw = tomllib.loads(memory_file().read_text())
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in raw.items() if isinstance(value, str)}


def whole_address(text: str) -> str:
    """A server's address as people type it, with its scheme and without a slash at the end."""
    return (text if "://" in text else f"http://{text}").rstrip("/")


@dataclass
class Server:
    """A server and the token to use. `ask` raises the errors of `loa.errors` with the server's own words."""

    address: str
    token: str | None = None
    entropy: Entropy = system_entropy
    transport: httpx.BaseTransport | None = None
    _http: httpx.Client | None = field(default=None, repr=False)

    @classmethod
    def known(cls) -> "Server":
        """From LOA_SERVER and LOA_TOKEN, else as `loa login` left it."""
        kept = _remembered()
        address = whole_address(os.environ.get("LOA_SERVER") or kept.get("server") or DEFAULT_SERVER)
        token = os.environ.get("LOA_TOKEN")
        if token is None and address == whole_address(kept.get("server", DEFAULT_SERVER)):
            token = kept.get("token")
        return cls(address, token)

    @property
    def http(self) -> httpx.Client:
        if self._http is None:
            headers = {"Accept-Language": "en"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
            try:
                self._http = httpx.Client(
                    base_url=self.address, headers=headers, timeout=_PATIENCE, transport=self.transport
                )
            except (ValueError, httpx.InvalidURL) as error:
                raise Refused("server_unintelligible", field="LOA_SERVER", value=self.address) from error
        return self._http

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        sounds: bool = False,
        **more: Any,
    ) -> Any:
        """One request under /api/v1; the reply's JSON. `sounds`: give it a fresh Idempotency-Key.

        Where the server wants a fresh code first, that is given and it is asked again.
        """
        try:
            return self._ask(method, path, query, body, sounds=sounds, **more)
        except Refused as error:
            if error.code != "fresh_code_required":
                raise
            give_code(lambda code: self._ask("POST", "/session/step-up", None, {"code": code}), error)
            return self._ask(method, path, query, body, sounds=sounds, **more)

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        *,
        sounds: bool = False,
        **more: Any,
    ) -> Any:
        headers = {"Idempotency-Key": self.entropy(16).hex()} if sounds else {}
        params = {name: value for name, value in (query or {}).items() if value is not None}
        with self._plain_errors():
            for last_try in (not sounds, True):
                try:
                    reply = self.http.request(
                        method, f"/api/v1{path}", params=params, json=body, headers=headers, **more
                    )
                    break
                except httpx.ReadError:
                    # The key makes it safe to ask again: what was done is not done twice.
                    if last_try:
                        raise
            return read_reply(self.address, reply)

    def pages(self, path: str, query: Mapping[str, Any] | None = None, most: int = 1000) -> list[Any]:
        """All items of a list, page after page."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            reply = self.ask("GET", path, query={**(query or {}), "cursor": cursor})
            items += reply["items"]
            cursor = reply["next_cursor"]
            if cursor is None or len(items) >= most:
                return items[:most]

    def download(self, path: str, into: Path) -> None:
        """A reply's bytes into a file."""
        with self._plain_errors(), self.http.stream("GET", path) as reply:
            if reply.status_code >= 400:
                reply.read()
                read_reply(self.address, reply)
            with into.open("wb") as file:
                for chunk in reply.iter_bytes():
                    file.write(chunk)

    def upload(self, path: str, fields: Mapping[str, str], name: str, file: IO[bytes]) -> Any:
        """A multipart form with one file, streamed."""
        with self._plain_errors():
            reply = self.http.post(
                f"/api/v1{path}", data=fields, files={"file": (name, file, "application/octet-stream")}
            )
            return read_reply(self.address, reply)

    def events(self) -> Iterator[tuple[str, Any]]:
        """Server-sent events: kind and data."""
        patient = httpx.Timeout(60.0, connect=5.0)
        with self._plain_errors(), self.http.stream("GET", "/api/v1/events", timeout=patient) as reply:
            if reply.status_code >= 400:
                reply.read()
                read_reply(self.address, reply)
            kind = ""
            for line in reply.iter_lines():
                if line.startswith("event:"):
                    kind = line[6:].strip()
                elif line.startswith("data:"):
                    yield kind, json.loads(line[5:])

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.InvalidURL as error:
            raise Refused("server_unintelligible", field="LOA_SERVER", value=self.address) from error
        except httpx.HTTPError as error:
            raise OperatorNeeded("server_unreachable", field="LOA_SERVER", value=self.address) from error


def read_reply(address: str, reply: httpx.Response) -> Any:
    """The JSON of a reply. Raises the error of a problem document, Refused(server_unintelligible)."""
    try:
        body = reply.json() if reply.content else None
    except ValueError as error:
        raise Refused("server_unintelligible", field="LOA_SERVER", value=address) from error
    if reply.status_code < 400:
        return body
    if not isinstance(body, dict) or "code" not in body:
        raise Refused("server_unintelligible", field="LOA_SERVER", value=address)
    raise problem_error(body, reply.status_code)


def problem_error(body: Mapping[str, Any], status: int) -> Exception:
    """A problem document as the error that it was, in the server's own words."""
    code, title, remedy = str(body["code"]), str(body.get("title", "")), str(body.get("remedy", ""))
    escaped = [part.replace("{", "{{").replace("}", "}}") for part in (title, remedy)]
    # The server filled the blanks already; its words stand for this code from here on.
    PROBLEMS[code] = Words(escaped[0], escaped[0], escaped[1], escaped[1])
    kind = Refused if status < 500 else OperatorNeeded if status in (503, 507) else Fault
    return kind(code, field=body.get("field"), limit=body.get("limit"))


def show(value: Any, as_json: bool, plain: Callable[[], None]) -> None:
    """JSON where asked for, else what `plain` prints."""
    if as_json:
        typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
    else:
        plain()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table without frames that fits the terminal."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for number, name in enumerate(columns):
        made.add_column(name, overflow="fold", no_wrap=number == 0)
    for row in rows:
        made.add_row(*("" if cell is None else _plain(str(cell)) for cell in row))
    return made


def _plain(text: str) -> str:
    """What people wrote is text: no markup, no escape sequences for the terminal."""
    return "".join(c if c.isprintable() else " " for c in text).replace("[", r"\[")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, none: str) -> None:
    """A table, or a sentence where there is nothing to show."""
    console = Console(width=None if Console().is_terminal else 160)
    if rows:
        console.print(table(columns, rows))
    else:
        console.print(none)


def local(instant: str | None) -> str:
    """An instant by the villages' clock, to the second: what programmes are written in, wherever this machine is."""
    if instant is None:
        return ""
    return datetime.fromisoformat(instant).astimezone(_VILLAGE_TIME).strftime("%Y-%m-%d %H:%M:%S")


def minutes(ms: int) -> str:
    """3:05."""
    return f"{ms // 60_000}:{ms % 60_000 // 1000:02d}"


def segment(text: str) -> str:
    """A part of a path, quoted."""
    return quote(text, safe="")


def find(server: Server, path: str, given: str, what: str) -> Any:
    """The one item whose id begins with `given`. Raises Refused(not_found, bad_argument)."""
    if len(given) == 32:
        return server.ask("GET", f"{path}/{segment(given)}")
    found = [item for item in server.pages(path) if str(item["id"]).startswith(given.lower())] if given else []
    if not found:
        raise Refused("not_found", field=what, value=given)
    if len(found) > 1:
        raise Refused("bad_argument", field=what, reason=f"{given} begins {len(found)} ids; give more of it")
    return found[0]
