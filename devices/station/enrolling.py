"""A station passes the enrolment of its wired boxes on, from the bus to the centre's HTTPS and back.

It holds no label and judges nothing. It asks the two things that a box may ask without an account, at the centre that
its own file names, and nothing else for anybody.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable

from devices.links.https import Body, HttpsCentre
from devices.protocol.topics import ENROLMENT_ANSWERED
from loa.errors import LoaError

_log = logging.getLogger("loa.station")
LONGEST_QUESTION = 4096
_PATHS = re.compile(r"/api/v1/enrolments(?:/[0-9a-f]{32}/state)?\Z")
_NUMBER = re.compile(r"[0-9a-f]{8}\Z")
Post = Callable[[str, Body], Body]
Answer = Callable[[str, bytes], None]
"""Told topic and payload for the box that asked."""


class EnrolmentRelay:
    """One question at a time for each address on the bus; `centre` is the address of its API, or None."""

    def __init__(self, centre: str | None, *, post: Post | None = None) -> None:
        self._post = post or (HttpsCentre(centre, None).post if centre is not None else None)
        self._asking: dict[int, asyncio.Task[None]] = {}

    def asked(self, address: int, payload: bytes, answer: Answer) -> None:
        """A question from the bus; `answer` is called on the event loop, later."""
        question = _read(payload)
        if question is None or address in self._asking:
            return
        task = asyncio.get_running_loop().create_task(self._pass_on(*question, answer), name=f"enrolment {address}")
        self._asking[address] = task
        task.add_done_callback(lambda _: self._asking.pop(address, None))

    async def stop(self) -> None:
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _pass_on(self, number: str, path: str, body: Body, answer: Answer) -> None:
        reply: dict[str, object] = {"number": number}
        if self._post is None:
            reply |= {"refused": "centre_unreachable", "body": {"field": "centre"}}
        else:
            try:
                reply["body"] = await asyncio.to_thread(self._post, path, body)
            except LoaError as error:
                _log.warning("enrolment of a wired box: %s", error)
                reply |= {"refused": error.code, "body": {"field": error.field}}
        answer(ENROLMENT_ANSWERED, json.dumps(reply, separators=(",", ":")).encode())


def _read(payload: bytes) -> tuple[str, str, Body] | None:
    """Number, path and body of a question; None for what is none."""
    if len(payload) > LONGEST_QUESTION:
        return None
    try:
        raw = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("body"), dict):
        return None
    number, path = str(raw.get("number")), str(raw.get("path"))
    if _NUMBER.match(number) is None or _PATHS.match(path) is None:
        return None
    return number, path, raw["body"]
