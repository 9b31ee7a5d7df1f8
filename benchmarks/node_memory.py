"""How much memory a box needs while it plays without pause: `loa node` with a sound card, over a real broker.

python -m benchmarks.node_memory --minutes 60
The bar is 100 MB after an hour. The card is PulseAudio's null sink, which paces in real time.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from devices.protocol.reports import ReceiptEvent
from loa.clock import SystemClock
from tests.brokers import Mosquitto
from tests.node.live import Box, LiveCentre, eventually
from tests.node.pulse import Pulse
from tests.node.rig import recording

BAR_MB = 100.0
_PIECE_S = 120.0


async def measure(folder: Path, minutes: float, every_s: float) -> float:
    """The largest resident set seen, in MB."""
    clock = SystemClock()
    broker, pulse = Mosquitto(folder), Pulse(folder)
    broker.start()
    pulse.start()
    centre = LiveCentre(broker.url)
    box = Box(folder / "box", broker.url, "sound", pulse.environment)
    most = 0.0
    try:
        await centre.start()
        box.start()
        await eventually(lambda: centre.desk.health)
        await centre.admit()
        began, number = clock.monotonic_s(), 0
        order = centre.play(recording(_PIECE_S, 300.0), in_ms=3000)
        look_at = began
        while clock.monotonic_s() - began < minutes * 60:
            await asyncio.sleep(0.5)
            if ReceiptEvent.FINISHED in centre.desk.events(order.id):
                number += 1
                order = centre.play(recording(_PIECE_S, 300.0 + number % 3), in_ms=2000)
            if clock.monotonic_s() >= look_at:
                look_at += every_s
                rss = box.rss_kib() / 1000 * 1.024
                most = max(most, rss)
                print(f"{(clock.monotonic_s() - began) / 60:6.1f} min  {rss:6.1f} MB  {number} played", flush=True)
        played = [one.event for one in centre.desk.about()]
        print(f"largest {most:.1f} MB, bar {BAR_MB:.0f} MB; {played.count(ReceiptEvent.STARTED)} started", flush=True)
        print(f"exit code {box.stop()}", flush=True)
    finally:
        if box.process is not None and box.process.poll() is None:
            box.kill()
        await centre.stop()
        pulse.stop()
        broker.stop()
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two looks")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        most = asyncio.run(measure(Path(folder), given.minutes, given.every))
    raise SystemExit(0 if most <= BAR_MB else 1)


if __name__ == "__main__":
    main()
