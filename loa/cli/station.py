"""`loa station`: run a commune's station."""

import asyncio
import logging
import signal
from pathlib import Path
from typing import Annotated

import typer

from devices.links.mqtt import MqttLink
from devices.links.serial_port import SerialPort
from devices.links.tls import pinned_context
from devices.local.input import Keypad, LocalInput, state_file
from devices.local.key import read_station_key
from devices.station.config import EXAMPLE, StationConfig, read_config
from devices.station.relay import Station
from loa.clock import SystemClock
from loa.entropy import system_entropy

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    help="""Run a commune's station: one serial bus (RS-485) with wired loudspeakers, relayed to the broker.

The station holds no key: orders, audio and receipts pass byte for byte between the controller and the wired nodes.
Orders go first, then documents, then audio; audio that several nodes listen to goes over the bus once.

Begin with `loa station --example > station.toml`, fill in port, broker and addresses, try it with --check, then run
it as a service. It connects again by itself when the broker or the serial port was away; nodes fall silent on their
own when the station is lost."""
)
def station(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The station's file.", metavar="FILE")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print an example of the file, with comments.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read and check the file.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
) -> None:
    if example:
        typer.echo(EXAMPLE, nl=False)
        return
    if config is None:
        raise typer.BadParameter("give --config FILE; --example prints one", param_hint="--config")
    settings = read_config(config)
    if check:
        typer.echo(f"{settings.id}: {len(settings.drops)} wired nodes on {settings.port} at {settings.baud} baud")
        return
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(run_station(settings))


async def run_station(settings: StationConfig) -> None:
    """Run until SIGINT or SIGTERM."""
    clock, authority = SystemClock(), settings.authority
    link = MqttLink(
        settings.broker,
        f"station-{settings.id}",
        clock,
        system_entropy,
        username=settings.login,
        password=settings.password,
        tls=None if authority is None else pinned_context(authority),
    )
    running = Station(settings, link, clock)
    keypad = _keypad(settings, running, clock)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await running.start()
    if keypad is not None:
        keypad.start()
    try:
        await ended.wait()
    finally:
        if keypad is not None:
            keypad.stop()
        await running.stop()


def _keypad(settings: StationConfig, running: Station, clock: SystemClock) -> Keypad | None:
    """Where somebody may sound stored alerts by hand. Raises Refused(bad_key_file)."""
    if settings.local is None:
        return None
    path = Path(settings.local.key_file)
    taking = LocalInput(read_station_key(path), clock, system_entropy, running.say_locally, state=state_file(path))
    return Keypad(settings.local.port, settings.local.baud, taking.typed, clock, SerialPort)
