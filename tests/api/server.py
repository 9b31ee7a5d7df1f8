"""`loa serve` as a process of its own, on free ports, in a folder of the test's."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.people import App


@dataclass
class Joined:
    """Somebody else who is signed in."""

    name: str
    password: str
    token: str
    app: App


@dataclass
class Served:
    """A running server, with the first account signed in."""

    url: str
    password: str
    app: App
    """What makes the first account's codes."""
    token: str
    process: "subprocess.Popen[str]"
    data: Path
    fresh_s: float = field(default_factory=time.monotonic)

    def ask(self, method: str, path: str, body: object = None, *, token: str | None = None) -> Any:
        """One request that must succeed; its JSON."""
        request = urllib.request.Request(self.url + path, method=method)
        if token or self.token:
            request.add_header("Authorization", f"Bearer {token or self.token}")
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=30) as reply:
            return json.loads(reply.read() or b"null")

    def freshen(self) -> None:
        """Where the last code is a while ago, give another, so that for minutes nothing asks for one."""
        if time.monotonic() - self.fresh_s > 60:
            self.fresh_s = time.monotonic()
            self.ask("POST", "/api/v1/session/step-up", {"code": self.app.code()})

    def join(self, name: str, *roles: tuple[str, str]) -> Joined:
        """A new person with these roles (role, area), codes set up where they are wanted, signed in."""
        held = [{"role": role, "area": area} for role, area in roles]
        self.freshen()
        made = self.ask("POST", "/api/v1/accounts", {"name": name, "roles": held})
        body = {"account": name, "password": made["one_time_password"], "token_name": "tests"}
        signed_in = self.ask("POST", "/api/v1/session", body)
        joined = Joined(name, made["one_time_password"], signed_in["token"], App(""))
        if signed_in["set_up_code"]:
            joined.app = App(self.ask("POST", "/api/v1/session/code", token=joined.token)["secret"])
            self.ask("POST", "/api/v1/session/code/confirm", {"code": joined.app.code()}, token=joined.token)
        return joined

    def stop(self) -> None:
        """End it in order; it must be gone within 15 s."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def serve(folder: Path) -> Served:
    """Start it and wait until it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "serve.log"
    run = ["-c", "from loa.cli.main import main; main()", "serve", "--data", str(folder / "data")]
    process = subprocess.Popen(
        [sys.executable, *run, "--port", "0", "--broker-port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_keep, args=(process, log, lines), daemon=True).start()
    deadline, said = time.monotonic() + 60, ""
    while (left := deadline - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        if not line:
            break
        said += line
        url = re.search(r"http://[\d.]+:\d+", said)
        password = re.search(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", said)
        secret = re.search(r"\b[A-Z2-7]{32}\b", said)
        if url and password and secret:
            served = Served(url[0], password[0], App(secret[0]), "", process, folder / "data")
            # It listens before it says where, so whoever has read that may ask at once.
            body = {"account": "admin", "password": password[0], "code": served.app.code(), "token_name": "tests"}
            served.token = served.ask("POST", "/api/v1/session", body)["token"]
            return served
    process.kill()
    raise AssertionError("it does not say where it is: " + said)


def _keep(process: "subprocess.Popen[str]", log: Path, lines: "queue.SimpleQueue[str]") -> None:
    """What it says, line by line, into its log too; an empty one when it has ended."""
    assert process.stdout is not None
    with log.open("w") as file:
        for line in process.stdout:
            file.write(line)
            file.flush()
            lines.put(line)
    lines.put("")
