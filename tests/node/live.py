"""A centre over a real broker and a box as a real process, by the real clock."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devices.links.mqtt import MqttLink
from devices.protocol.documents import Placement
from devices.protocol.envelope import seal
from devices.protocol.orders import Order, OrderAction
from devices.protocol.topics import AreaChannel, DownChannel, area_topic, controller_subscriptions, down_topic
from loa.clock import SystemClock
from loa.entropy import new_id, system_entropy
from loa.precedence import Kind, Precedence
from loa.units import InstantMs
from tests.node.rig import IDENTITY, CentreDesk, Recording
from tests.protocol.world import (
    COMMUNE,
    CONTROLLER,
    NODE,
    NODE_KEY,
    PERSON,
    VILLAGE,
    Centre,
    appointment,
    approved,
    by_roots,
    releaser,
)

CLOCK = SystemClock()
_DAY = 86_400_000


async def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that other processes do."""
    end = CLOCK.monotonic_s() + seconds
    while not condition():
        assert CLOCK.monotonic_s() < end, "it did not come about in time"
        await asyncio.sleep(0.02)


class LiveCentre:
    """Signs, answers and remembers, as `CentreDesk` does, over MQTT."""

    def __init__(self, broker_url: str) -> None:
        self.link = MqttLink(broker_url, "centre", CLOCK, system_entropy)
        self.desk = CentreDesk(CLOCK, self.link)
        now = CLOCK.now_ms()
        dates: dict[str, Any] = {"not_before": InstantMs(now - _DAY), "until": InstantMs(now + 30 * _DAY)}
        self.centre = Centre(
            [
                by_roots(appointment("controller", CONTROLLER, **dates)),
                by_roots(releaser("person", PERSON, area=COMMUNE, **dates)),
            ]
        )

    async def start(self) -> None:
        self.link.listen(controller_subscriptions())
        await self.link.start(self.desk)
        await eventually(lambda: self.link.is_up)

    async def admit(self) -> None:
        """Give the box trust and a place, and wait until it knows the time."""
        now = CLOCK.now_ms()
        self.say(self.centre.document(version=now, now_ms=now))
        placement = Placement(node=NODE, area=VILLAGE, version=now, issued_at=now, public_key=NODE_KEY.public_key)
        self.say(seal(placement, CONTROLLER))
        await eventually(lambda: self.desk.health is not None and self.desk.health.time_error_ms is not None)

    def say(self, payload: bytes) -> None:
        self.link.publish(down_topic(NODE, DownChannel.CTL), payload, qos=1)

    def play(self, *sounds: Recording, in_ms: int = 2000, **changes: Any) -> Order:
        """Order the commune to play."""
        self.desk.library.update({sound.digest: sound for sound in sounds})
        now = CLOCK.now_ms()
        values: dict[str, Any] = {
            "id": new_id(system_entropy),
            "action": OrderAction.PLAY,
            "areas": (COMMUNE,),
            "precedence": Precedence.ORDINARY,
            "kind": Kind.LIVE,
            "issued_at": now,
            "start_at": InstantMs(now + in_ms),
            "expires_at": InstantMs(now + in_ms + 3_600_000),
            "renditions": tuple(sound.ref for sound in sounds),
        }
        order = Order(**(values | changes))
        if order.precedence is Precedence.EMERGENCY:
            order = approved(order, PERSON)
        self.link.publish(area_topic(COMMUNE, AreaChannel.ORDER), seal(order, CONTROLLER), qos=1)
        return order

    async def stop(self) -> None:
        await self.link.stop()


class Box:
    """`loa node` as a process of its own."""

    def __init__(
        self, folder: Path, broker_url: str, speaker: str, environment: dict[str, str] | None = None, program: str = ""
    ) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "identity.json").write_text(IDENTITY.to_text())
        self._command = [
            *([program] if program else [sys.executable, "-c", "from loa.cli.main import main; main()"]),
            "node",
            "--identity",
            str(folder / "identity.json"),
            "--broker",
            broker_url,
            "--speaker",
            speaker,
            "--data",
            str(folder / "data"),
        ]
        self._environment = environment or dict(os.environ)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """In order; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def rss_kib(self) -> int:
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0
