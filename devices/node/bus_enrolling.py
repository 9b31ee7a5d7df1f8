"""A wired box without a name asks the centre through its station: questions over the bus, HTTPS from there.

Nothing is believed of the station: what counts is inside the MACs of the enrolment.
"""

import asyncio
import json
from contextlib import suppress

from devices.links.https import Body
from devices.links.port import Delivery, Link
from devices.protocol.topics import ENROLMENT_ANSWERED, ENROLMENT_ASKED
from loa.entropy import Entropy
from loa.errors import OperatorNeeded, Refused
from loa.units import NodeId

NEW_BOX = NodeId("new-box")
ANSWER_WITHIN_S = 45.0
_AGAIN_S = 4.0
"""Noise may have spoilt question or answer; the centre answers the same question alike."""


class BusCentre:
    """As `devices.links.https.HttpsCentre`, over a link to a station. `post` is called on another thread."""

    def __init__(self, link: Link, entropy: Entropy) -> None:
        self._link, self._entropy = link, entropy
        self._loop: asyncio.AbstractEventLoop | None = None
        self._up = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[Body]] = {}

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._link.listen({ENROLMENT_ANSWERED})
        await self._link.start(self)

    async def stop(self) -> None:
        await self._link.stop()

    def post(self, path: str, body: Body) -> Body:
        """Raises OperatorNeeded(centre_unreachable), or the centre's own refusal."""
        assert self._loop is not None
        try:
            reply = asyncio.run_coroutine_threadsafe(self._ask(path, body), self._loop).result(ANSWER_WITHIN_S + 5)
        except TimeoutError as error:
            raise OperatorNeeded("centre_unreachable", value="station", reason="no answer over the bus") from error
        words = reply.get("body")
        if not isinstance(words, dict):
            raise OperatorNeeded("centre_unreachable", value="station", reason="not a centre's reply")
        if reply.get("refused") is not None:
            raise Refused(str(reply["refused"]), field=str(words.get("field")), value="station")
        return words

    async def _ask(self, path: str, body: Body) -> Body:
        number = self._entropy(4).hex()
        answer: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                payload = json.dumps({"number": number, "path": path, "body": body}, separators=(",", ":")).encode()
                while True:
                    await self._up.wait()
                    self._link.publish(ENROLMENT_ASKED, payload, qos=1)
                    done, _ = await asyncio.wait({answer}, timeout=_AGAIN_S)
                    if done:
                        return answer.result()
        finally:
            del self._waiting[number]

    # The link's listener.

    def link_up(self) -> None:
        self._up.set()

    def link_down(self, reason: str) -> None:
        del reason
        self._up.clear()

    def delivered(self, delivery: Delivery) -> None:
        with suppress(ValueError):
            reply = json.loads(delivery.payload)
            answer = self._waiting.get(str(reply.get("number"))) if isinstance(reply, dict) else None
            if answer is not None and not answer.done():
                answer.set_result(reply)
