"""`loa serve` as a process of its own, on free ports, in a folder of the test's."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Served:
    """A running server, with an API token for it."""

    url: str
    password: str
    token: str
    process: "subprocess.Popen[str]"

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request that must succeed; its JSON."""
        request = urllib.request.Request(self.url + path, method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=30) as reply:
            return json.loads(reply.read() or b"null")

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
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, *run, "--port", "0", "--broker-port", "0"],
            stdout=out, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        said = log.read_text()
        url = re.search(r"http://[\d.]+:\d+", said)
        password = re.search(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", said)
        if url and password:
            served = Served(url[0], password[0], "", process)
            with contextlib.suppress(OSError):
                body = {"account": "admin", "password": password[0], "token_name": "tests"}
                served.token = served.ask("POST", "/api/v1/session", body)["token"]
                return served
        time.sleep(0.1)
    process.kill()
    raise AssertionError("it does not answer: " + log.read_text())
