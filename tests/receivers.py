"""Real receivers on this machine: a mail server that keeps what it is given, and a webhook."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Mailbox:
    """What came in by SMTP (RFC 5321), without extensions but AUTH PLAIN and LOGIN."""

    port: int = 0
    mails: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refuse: bool = False
    arrived: threading.Event = field(default_factory=threading.Event)


class _Smtp(socketserver.StreamRequestHandler):
    box: Mailbox

    def handle(self) -> None:
        sender, to = "", []
        self._say("220 here")
        while line := self.rfile.readline():
            word, _, rest = line.decode().strip().partition(" ")
            match word.upper():
                case "EHLO":
                    self._say("250-here\r\n250 AUTH PLAIN")
                case "AUTH":
                    self.box.logins.append(rest)
                    self._say("235 in")
                case "MAIL":
                    sender = rest
                    self._say("451 not now, s3cret-pass is not the reason" if self.box.refuse else "250 ok")
                case "RCPT":
                    to.append(rest.partition(":")[2].strip("<> "))
                    self._say("250 ok")
                case "DATA":
                    self._say("354 go on")
                    self.box.mails.append(
                        (sender, list(to), BytesParser(EmailMessage, policy=default).parsebytes(self._data()))
                    )
                    self._say("250 kept")
                    self.box.arrived.set()
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 ok")

    def _data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@dataclass
class Hook:
    """What came in by HTTP POST."""

    port: int = 0
    posts: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    status: int = 200
    location: str = ""
    arrived: threading.Event = field(default_factory=threading.Event)


class _Http(BaseHTTPRequestHandler):
    hook: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.hook.posts.append((self.path, dict(self.headers), json.loads(body)))
        self.send_response(self.hook.status)
        if self.hook.location:
            self.send_header("Location", self.hook.location)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.hook.arrived.set()

    def log_message(self, *args: Any) -> None: ...


@contextmanager
def mailbox(port: int = 0) -> Iterator[Mailbox]:
    """A mail server for as long as the block runs. port: 0 for any that is free."""
    box = Mailbox()
    with _running(_Server(("127.0.0.1", port), type("Smtp", (_Smtp,), {"box": box}))) as server:
        box.port = server.server_address[1]
        yield box


@contextmanager
def webhook() -> Iterator[Hook]:
    """A web server for as long as the block runs."""
    hook = Hook()
    with _running(ThreadingHTTPServer(("127.0.0.1", 0), type("Http", (_Http,), {"hook": hook}))) as server:
        hook.port = server.server_address[1]
        yield hook


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def _running(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
