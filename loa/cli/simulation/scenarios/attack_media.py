"""The media store and the way of the audio belong to somebody else: nothing but the approved recording sounds."""

from collections.abc import Iterable
from dataclasses import replace

from devices.protocol.envelope import encode, open_any
from devices.protocol.media import Manifest, Piece
from devices.protocol.refusal import RefusalReason, WireRefusal
from loa.cli.simulation.attacker import Attack, Tap
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import MINUTE_S, World
from simulators.world.held import Published


@scenario(boxes=2)
async def audio_swapped_on_the_way(world: World) -> None:
    """Pieces and manifests are replaced by those of another recording: blocks are refused, all is silent."""
    boxes = await world.commune()
    notice, other = await world.bulletin("notice", 30), await world.bulletin("other", 30)
    tap = Tap(world, "loa/1/m/#", "loa/1/n/+/piece")
    await tap.start()
    heard = await world.say(other)
    await world.passes(5 * MINUTE_S)
    data = [one.data for delivery in tap.caught if isinstance(one := _opened(delivery.payload), Piece)]
    attack = Attack(world, tap, "pieces and manifests swapped on the way", "media, broker")

    swaps: set[tuple[str, int]] = set()

    def swap(one: Published) -> Iterable[Published]:
        message = _opened(one.payload)
        if isinstance(message, Piece):
            swaps.add((one.topic, message.offset // 4096))
            swapped = (data[message.offset // 4096 % len(data)] + message.data)[: len(message.data)]
            return (replace(one, payload=encode(replace(message, data=swapped))),)
        return (one,)

    world.province.broker.grip = swap
    silent = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    for box in boxes:
        attack.must_be_silent(box, silent, "sounded what nobody approved")
    wrong = attack.counted(RefusalReason.WRONG_BLOCK)
    world.must("control", "boxes", wrong > 0, "no swapped block was counted")
    blocks = len(swaps)
    world.province.broker.grip = None
    await world.passes(MINUTE_S)
    right = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    well = all(world.heard(box, right) and world.heard(box, heard) for box in boxes)
    attack.over(heard=well, attempts=blocks)
    await tap.stop()


def _opened(payload: bytes) -> object | None:
    try:
        return open_any(payload)
    except WireRefusal:
        return None


@scenario(boxes=2)
async def recordings_altered_on_the_server(world: World) -> None:
    """The files of recordings are overwritten on the server's disk: boxes refuse every block of it, and stay silent."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 30)
    media = world.province.folder / "media"
    files = {path: path.read_bytes() for path in media.rglob("*") if path.is_file()}
    tap = Tap(world)
    await tap.start()
    attack = Attack(world, tap, "recordings altered on the server's disk", "media")
    for path, whole in files.items():
        path.chmod(0o600)
        if not isinstance(_opened(whole), Manifest):
            path.write_bytes(bytes(byte ^ 0x55 for byte in whole))
    silent = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    for box in boxes:
        attack.must_be_silent(box, silent, "sounded what nobody approved")
    wrong = attack.counted(RefusalReason.WRONG_BLOCK)
    for path, whole in files.items():
        path.write_bytes(whole)
    right = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    well = all(world.heard(box, right) for box in boxes)
    attack.over(heard=well, attempts=1, counted=wrong)
    await tap.stop()
