"""The border commune's station: the real relay between the broker and a simulated serial bus."""

from devices.links.mqtt import MqttLink
from devices.links.serial import SerialLink
from devices.station.config import DropEntry, StationConfig
from devices.station.relay import Station
from loa.clock import Clock
from loa.entropy import Entropy
from simulators.bus import SerialBus
from simulators.places import LOUDSPEAKERS, STATION, LoudspeakerPlan

BAUD = 38_400


class StationBus:
    """Runs from `start` to `stop`; wired nodes plug in by `link`."""

    def __init__(self, broker_url: str, clock: Clock, entropy: Entropy, *, baud: int = BAUD) -> None:
        wired = [plan for plan in LOUDSPEAKERS if plan.wired]
        self.bus = SerialBus(clock, baud, len(wired), collisions=False)
        self._baud = baud
        drops = tuple(DropEntry(plan.bus_address, plan.node) for plan in wired)
        config = StationConfig(STATION, broker_url, self.bus.station_path, baud, drops)
        link = MqttLink(broker_url, f"station-{STATION}", clock, entropy, keepalive_s=20.0, backoff_s=(0.3, 3.0))
        self.station = Station(config, link, clock)

    async def start(self) -> None:
        self.bus.start()
        await self.station.start()

    async def stop(self) -> None:
        await self.station.stop()
        await self.bus.stop()

    def link(self, plan: LoudspeakerPlan, clock: Clock) -> SerialLink:
        """The drop of a wired node."""
        return SerialLink(self.bus.drop_paths[plan.bus_address - 1], self._baud, plan.bus_address, plan.node, clock)
