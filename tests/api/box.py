"""A box that enrols over HTTP, by the real box's own code."""

from pathlib import Path

import httpx

from devices.links.https import Body
from devices.node.enrolled import Done, EnrolmentFolder
from devices.node.enrolling import Enrolling
from devices.protocol.label import read_label
from loa.clock import Clock
from loa.entropy import system_entropy
from loa.errors import Refused


class _Wanted(Exception):
    pass


class Box:
    """Its questions are put by `client` on the app's own loop, and it is asked again with the answer."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock, folder: Path, label: str) -> None:
        self.client, self.clock = client, clock
        self.folder, self.label = EnrolmentFolder(folder), read_label(label)
        self.code: str | None = None

    async def step(self) -> Done | None:
        """Raises Refused as the centre does."""
        answers: list[Body] = []
        asked: list[tuple[str, Body]] = []
        random = system_entropy(32)

        class Way:
            def post(self, path: str, body: Body) -> Body:
                if len(answers) > len(asked):
                    asked.append((path, body))
                    return answers[len(asked) - 1]
                raise _Wanted(path, body)

        while True:
            asked.clear()
            enrolling = Enrolling(self.label, self.folder, Way(), self.clock, lambda n: random[:n], tell=self._shown)
            try:
                return await enrolling.step()
            except _Wanted as wanted:
                path, body = wanted.args
                reply = await self.client.post(path, json=body)
                if reply.status_code >= 400:
                    raise Refused(reply.json()["code"]) from None
                answers = [reply.json()]

    def _shown(self, code: str) -> None:
        self.code = code
