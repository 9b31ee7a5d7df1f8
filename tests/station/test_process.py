"""`loa station` as a process of its own, between mosquitto and a bus."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from devices.links.mqtt import MqttLink
from devices.links.serial import SerialLink
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.units import NodeId
from simulators.bus import SerialBus
from tests.brokers import Mosquitto
from tests.links.fakes import Recorder, until

CONFIG = """
id = "dai-hoanh-mo"
broker = "{url}"
[bus]
port = "{port}"
baud = 38400
[[drop]]
address = 7
node = "day-7"
"""


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
async def test_the_command_relays_survives_its_broker_and_ends_on_sigterm(mosquitto: Mosquitto, tmp_path: Path) -> None:
    clock = SystemClock()
    bus = SerialBus(clock, 38_400, 1)
    bus.start()
    file = tmp_path / "station.toml"
    file.write_text(CONFIG.format(url=mosquitto.url, port=bus.station_path))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from loa.cli.main import main; main()", "station", "--config", str(file)
    )
    centre = MqttLink(mosquitto.url, "centre", clock, system_entropy, backoff_s=(0.1, 0.2))
    drop = SerialLink(bus.drop_paths[0], 38_400, 7, NodeId("day-7"), clock)
    centre_heard, heard = Recorder(), Recorder()
    centre.listen(["loa/1/n/+/receipt"])
    drop.listen(["loa/1/n/day-7/order"])
    try:
        await centre.start(centre_heard)
        await drop.start(heard)
        await until(lambda: centre.is_up and drop.is_up, 20)
        for round_number in (1, 2):
            centre.publish("loa/1/n/day-7/order", bytes([round_number]) * 200, qos=1, urgent=True)
            await until(lambda least=round_number: len(heard.deliveries) == least)  # type: ignore[misc]
            drop.publish("loa/1/n/day-7/receipt", bytes([round_number]) * 150, qos=1)
            await until(lambda least=round_number: len(centre_heard.deliveries) == least)  # type: ignore[misc]
            if round_number == 1:
                mosquitto.restart()
                await until(lambda: heard.downs == ["the station has no broker"])
                await until(lambda: drop.is_up and centre.is_up, 20)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        await until(lambda: len(heard.downs) == 2, 5)
    finally:
        if process.returncode is None:
            process.kill()
        await drop.stop()
        await centre.stop()
        await bus.stop()
    assert heard.payloads() == [bytes([n]) * 200 for n in (1, 2)]
    assert centre_heard.payloads() == [bytes([n]) * 150 for n in (1, 2)]
