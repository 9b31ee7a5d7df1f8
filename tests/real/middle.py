"""Somebody in between: a TLS server with a certificate of its own that passes on what it is asked, altered or not."""

import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from controller.certificates import ensure_server
from tests.real.field import CLOCK

Change = Callable[[str, dict[str, Any]], dict[str, Any]]


def _as_it_is(_path: str, words: dict[str, Any]) -> dict[str, Any]:
    return words


class InTheMiddle:
    """Listens on a free port of 127.0.0.1. `asked` and `answered` change what passes; `seen` is what did."""

    def __init__(self, folder: Path, centre: str) -> None:
        self.centre = centre
        self.asked: Change = _as_it_is
        self.answered: Change = _as_it_is
        self.seen: list[tuple[str, int]] = []
        certificate, key = ensure_server(folder, ["127.0.0.1"], CLOCK.now_ms())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        middle = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, words = middle._pass_on(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(words).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        words = self.asked(path, json.loads(body))
        request = urllib.request.Request(
            self.centre + path, json.dumps(words).encode(), {"Content-Type": "application/json"}
        )
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        try:
            with urllib.request.urlopen(request, timeout=20, context=anyone) as reply:
                status, found = reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            status, found = error.code, json.loads(error.read())
        self.seen.append((path, status))
        return status, self.answered(path, found) if status < 400 else found
