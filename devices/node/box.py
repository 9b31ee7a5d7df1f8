"""A real box: the node with a disk, a sound card or a folder of recordings, and a broker or a bus."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from devices.links.port import Delivery, Link
from devices.node.boxfile import BoxConfig, LocalPort
from devices.node.disk import DiskStorage
from devices.node.enrolled import EnrolmentFolder
from devices.node.enrolling import Centre
from devices.node.evidence import Sensor
from devices.node.node import Node
from devices.node.ports import Speaker
from devices.node.recording import RecordingSpeaker
from devices.protocol.identity import NodeIdentity
from devices.protocol.label import Label, read_label
from devices.protocol.local_orders import LOCAL_TOPIC
from loa.clock import Clock, SystemClock
from loa.entropy import system_entropy
from loa.errors import Fault, LoaError, Refused

if TYPE_CHECKING:
    from devices.local.input import Keypad

_WATCHDOG_STEP_S = 5.0


def read_identity(path: Path) -> NodeIdentity:
    """Raises Refused(bad_key_file)."""
    try:
        return NodeIdentity.from_text(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused("bad_key_file", field="identity", limit="loa-node-1", detail=str(error)) from error


def _speaker(config: BoxConfig, identity: NodeIdentity, clock: Clock) -> Speaker:
    if config.speaker == "none":
        return RecordingSpeaker(None, clock, identity.node)
    if config.speaker.startswith("record:"):
        return RecordingSpeaker(Path(config.speaker.removeprefix("record:")), clock, identity.node)
    try:
        from devices.node.soundcard import SoundCardSpeaker
    except ModuleNotFoundError as error:
        raise Refused("extra_missing", field="speaker", extra="sound", package=error.name) from error
    return SoundCardSpeaker(clock, device=config.sound_device)


def _sensor(config: BoxConfig, speaker: Speaker, clock: Clock) -> Sensor | None:
    if config.evidence is None:
        return None
    if isinstance(speaker, RecordingSpeaker) and config.evidence == "output":
        return speaker
    try:
        from devices.node.capture import CaptureSensor
    except ModuleNotFoundError as error:
        raise Refused("extra_missing", field="evidence", extra="sound", package=error.name) from error
    return CaptureSensor(clock, config.evidence.partition(":")[2] or None)


def _authority(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("bad_certificate", field="ca_file", reason=str(error)[:100]) from error


def _link(config: BoxConfig, identity: NodeIdentity, clock: Clock) -> Link:
    if config.bus is not None:
        try:
            from devices.links.serial import SerialLink
        except ModuleNotFoundError as error:
            raise Refused("extra_missing", field="bus", extra="station", package=error.name) from error
        return SerialLink(config.bus.port, config.bus.baud, config.bus.address, identity.node, clock)
    from devices.links.mqtt import MqttLink
    from devices.links.tls import pinned_context

    assert config.broker is not None
    password = config.password()
    tls = pinned_context(_authority(config.ca_file)) if config.ca_file is not None else None
    username = config.username or (identity.node if password is not None else None)
    return MqttLink(
        config.broker,
        f"node-{identity.node}",
        clock,
        system_entropy,
        username=username,
        password=password,
        tls=tls,
    )


@asynccontextmanager
async def _way_to_centre(config: BoxConfig, label: Label, clock: Clock) -> AsyncIterator[Centre]:
    """HTTPS; through the station for a box on its bus."""
    from devices.links.https import HttpsCentre

    if config.bus is None:
        yield HttpsCentre(label.address, label.tls_pin)
        return
    try:
        from devices.links.serial import SerialLink
        from devices.node.bus_enrolling import NEW_BOX, BusCentre
    except ModuleNotFoundError as error:
        raise Refused("extra_missing", field="bus", extra="station", package=error.name) from error
    centre = BusCentre(SerialLink(config.bus.port, config.bus.baud, config.bus.address, NEW_BOX, clock), system_entropy)
    await centre.start()
    try:
        yield centre
    finally:
        await centre.stop()


async def enrol_box(config: BoxConfig, tell: Callable[[str], None]) -> str:
    """Make this box known by its label, where it is not yet. Returns its name.

    Raises Refused(bad_label, bad_centre_address, already_enrolled, enrolment_rejected, wrong_roots),
    OperatorNeeded(already_running).
    """
    from devices.node.enrolling import Enrolling

    assert config.enrol is not None
    assert config.data is not None
    label = read_label(config.enrol, address=config.centre or "")
    storage = DiskStorage(config.data)  # one process a folder, here too
    clock = SystemClock()
    tell_systemd("READY=1")
    watchdog = asyncio.create_task(_watchdog(clock))
    try:
        async with _way_to_centre(config, label, clock) as centre:
            folder = EnrolmentFolder(config.data)
            done = await Enrolling(label, folder, centre, clock, system_entropy, tell=tell).run()
    finally:
        watchdog.cancel()
        storage.close()
    return done.node


async def run_box(config: BoxConfig) -> None:
    """Run until SIGINT or SIGTERM. `config` is complete.

    Raises OperatorNeeded(already_running), Refused(bad_key_file, bad_broker, extra_missing), and Fault(node_broken)
    where the node cannot go on: it is silent then, and whoever runs it starts it anew.
    """
    assert config.identity is not None
    assert config.data is not None
    clock = SystemClock()
    identity = read_identity(config.identity)
    storage = DiskStorage(config.data)
    speaker = _speaker(config, identity, clock)
    node = Node(
        identity=identity,
        link=_link(config, identity, clock),
        storage=storage,
        speaker=speaker,
        clock=clock,
        entropy=system_entropy,
        config=config.node,
        sensor=_sensor(config, speaker, clock),
    )
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    keypad = None if config.local is None else keypad_at(config.local, node, clock)
    await node.start()
    if keypad is not None:
        keypad.start()
    tell_systemd("READY=1")
    waits = [loop.create_task(one) for one in (ended.wait(), node.broken(), _watchdog(clock))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        tell_systemd("STOPPING=1")
        for one in waits:
            one.cancel()
        if keypad is not None:
            keypad.stop()
        await node.stop()
        storage.close()
    if node.failure is not None:
        if isinstance(node.failure, LoaError):
            raise node.failure
        raise Fault("node_broken", reason=repr(node.failure)) from node.failure


def keypad_at(local: LocalPort, node: Node, clock: Clock) -> "Keypad":
    """Where somebody sounds stored alerts at this very box. Raises Refused(bad_key_file, extra_missing)."""
    try:
        from devices.links.serial_port import SerialPort
    except ModuleNotFoundError as error:
        raise Refused("extra_missing", field="local", extra="station", package=error.name) from error
    from devices.local.input import Keypad, LocalInput, state_file
    from devices.local.key import read_station_key

    def give(order: bytes) -> bool:
        node.delivered(Delivery(LOCAL_TOPIC, order, local=True))
        return True

    path = local.key_file
    taking = LocalInput(read_station_key(path), clock, system_entropy, give, state=state_file(path))
    return Keypad(local.port, local.baud, taking.typed, clock, SerialPort)


async def _watchdog(clock: Clock) -> None:
    """As long as this is heard of, the event loop turns. A box whose loop stands still is started anew, silent."""
    while True:
        tell_systemd("WATCHDOG=1")
        await clock.sleep(_WATCHDOG_STEP_S)


def tell_systemd(state: str) -> None:
    """One datagram, where systemd asked for it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        try:
            notify.connect("\0" + address[1:] if address[0] == "@" else address)
            notify.sendall(state.encode())
        except OSError:
            return
