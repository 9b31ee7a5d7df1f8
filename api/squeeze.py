"""JSON goes out compressed where the asker takes it: a list of a province's nodes is a twentieth over a weak link."""

import gzip

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_BYTES = 800
"""Below this it fits into a packet or two as it is."""
_LEVEL = 5
_KINDS = ("application/json", "application/problem+json", "application/geo+json")


def takes_gzip(headers: Headers) -> bool:
    """Whether Accept-Encoding names gzip without refusing it."""
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


class Squeeze:
    """ASGI middleware: whole JSON replies are gzipped. Streams, sound and what is compressed already pass."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not takes_gzip(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Squeezed(send))


class _Squeezed:
    """`send` that holds the head of a JSON reply back until it sees whether the body comes in one piece."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_json(message):
            self._held = message
            return
        head, self._held = self._held, None
        if head is not None:
            body = message.get("body", b"")
            headers = MutableHeaders(scope=head)
            headers.add_vary_header("Accept-Encoding")
            if len(body) >= LEAST_BYTES and not message.get("more_body", False):
                body = gzip.compress(body, _LEVEL, mtime=0)
                headers["Content-Encoding"] = "gzip"
                headers["Content-Length"] = str(len(body))
                message = {**message, "body": body}
            await self._send(head)
        await self._send(message)


def _is_json(message: Message) -> bool:
    headers = Headers(scope=message)
    kind = headers.get("content-type", "").partition(";")[0].strip()
    return kind in _KINDS and "content-encoding" not in headers
