"""Audio on its way out: each rendition's shared stream once, ever, and the pieces that single nodes ask for.

`devices.protocol.outflow` decides what leaves next; this reads the bytes, publishes them and waits for the link.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session

from controller.media import MediaStore
from controller.services.bulletins import manifest_payload
from controller.services.streams import LOOK_AHEAD_MS, DueStream, due_streams, stream_ended
from controller.tables import Rendition
from controller.wire.common import Waker, WireContext, log
from devices.protocol.envelope import encode
from devices.protocol.media import Piece, Want
from devices.protocol.outflow import Idle, Outflow, Send
from loa.errors import LoaError
from loa.precedence import Precedence
from loa.units import ByteCount, Digest, InstantMs

LOOK_AGAIN_S = 1800.0
"""What is issued meanwhile is looked at at once."""
_MOST_UNSENT = 32_768
_NOTE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class _Known:
    """A rendition as the pump needs it."""

    length: int
    manifest: bytes


class StreamDesk:
    """Plans shared streams from the tables and pumps audio, without ever holding the event loop."""

    def __init__(self, wire: WireContext, media: MediaStore, notes: Path | None) -> None:
        self._wire, self._media, self._notes = wire, media, notes
        self.outflow = Outflow()
        self._known: dict[Digest, _Known] = {}
        self._noted: dict[Digest, int] = _read_notes(notes)
        self._running: dict[Digest, int] = {}
        self._noted_at = 0.0
        self._ended: set[Digest] = set()
        """At their end, which is not in the tables yet."""
        self._plan_waker, self._pump_waker, self._end_waker = Waker(), Waker(), Waker()

    def plan_again(self) -> None:
        """Broadcasts were planned or issued, or the link is back."""
        self._plan_waker.wake()
        self._pump_waker.wake()

    async def plan_turn(self) -> None:
        """Take up every stream of the coming hour that has not gone out yet."""
        now_ms = self._wire.clock.now_ms()
        until = InstantMs(now_ms + LOOK_AHEAD_MS)
        self._take_up(await self._wire.db.reading(lambda session: _coming(session, until)))
        await self._plan_waker.wait(self._wire.clock, LOOK_AGAIN_S)

    async def adopt(self, streams: Collection[DueStream]) -> None:
        """Take up streams that are announced on the wire, and in the tables only later."""
        self._take_up(await self._wire.db.reading(lambda session: _with_manifests(session, streams)))

    def _take_up(self, planned: Collection[tuple[DueStream, bytes]]) -> None:
        now_ms, monotonic_s = self._wire.clock.now_ms(), self._wire.clock.monotonic_s()
        for one, manifest in planned:
            if not manifest:
                continue
            self._known[one.digest] = _Known(one.length_bytes, manifest)
            already = self._noted.get(one.digest, 0)
            begins_s = monotonic_s + (one.stream_at - now_ms) / 1000
            if self.outflow.add_stream(
                one.digest,
                manifest,
                one.length_bytes,
                begins_s,
                float(one.pace),
                Precedence.ORDINARY,
                already_sent=already,
            ):
                self._running[one.digest] = already
        if planned:
            self._pump_waker.wake()

    async def want(self, want: Want) -> None:
        """A node asks for a manifest or for blocks."""
        known = self._known.get(want.rendition) or await self._look_up(want.rendition)
        if known is None:
            return
        self.outflow.add_want(want, self._wire.clock.monotonic_s(), Precedence.ORDINARY, known.length)
        self._pump_waker.wake()

    async def _look_up(self, digest: Digest) -> _Known | None:
        def read(session: Session) -> _Known | None:
            row = session.get(Rendition, digest.hex())
            return None if row is None else _Known(row.length_bytes, row.manifest)

        known = await self._wire.db.reading(read)
        if known is not None:
            self._known[digest] = known
        return known

    async def pump_turn(self) -> None:
        """Send what may leave now; then wait for the link, for the next due time, or for something to do."""
        if not self._wire.link.is_up:
            await self._pump_waker.wait(self._wire.clock, 1.0)
            return
        step = self.outflow.next(self._wire.clock.monotonic_s())
        if isinstance(step, Send):
            self._publish(step)
            await self._wire.link.drained(_MOST_UNSENT)
            await self._wire.clock.sleep(0)  # orders and reports go between two pieces
            self._note_progress()
            return
        self._note_progress(finished=True)
        pause = None if isinstance(step, Idle) else max(0.0, step.until_s - self._wire.clock.monotonic_s())
        await self._pump_waker.wait(self._wire.clock, pause)

    def _publish(self, step: Send) -> None:
        try:
            payload = self._payload(step)
        except LoaError as error:
            log.error("audio of %s cannot be read: %s", step.digest.hex()[:16], error)
            self.outflow.forget(step.digest)
            self._running.pop(step.digest, None)
            return
        self._wire.link.publish(step.topic, payload, qos=step.qos)

    def _payload(self, step: Send) -> bytes:
        if step.kind == "manifest":
            return self._known[step.digest].manifest
        data = self._media.read_at(step.digest, step.offset, step.length)
        return encode(Piece(rendition=step.digest, offset=ByteCount(step.offset), data=data))

    def _note_progress(self, *, finished: bool = False) -> None:
        """Write down how far streams got, so that a restart goes on from there instead of from the beginning."""
        now = self._wire.clock.monotonic_s()
        if not self._running or (not finished and now - self._noted_at < _NOTE_EVERY_S):
            return
        self._noted_at = now
        done = []
        for digest in list(self._running):
            progress = self.outflow.progress(digest)
            if progress is None:
                self._running.pop(digest)
            elif progress.done:
                done.append(digest)
            else:
                self._running[digest] = progress.sent
        if done and not self._ended.issuperset(done):
            self._ended.update(done)
            self._end_waker.wake()
        noted = {digest: sent for digest, sent in self._running.items() if sent}
        if noted != self._noted:
            self._noted = noted
            _write_notes(self._notes, noted)

    async def end_turn(self) -> None:
        """Write down which streams are at their end. Beside the pump, so that audio does not wait for the tables."""
        done = sorted(self._ended)
        if not done:
            await self._end_waker.wait(self._wire.clock, None)
            return
        now_ms = self._wire.clock.now_ms()

        def write(session: Session) -> None:
            for digest in done:
                stream_ended(session, digest, now_ms)

        await self._wire.db.unit_of_work(write)
        for digest in done:
            self._ended.discard(digest)
            self._running.pop(digest, None)
            self._wire.events.publish("broadcast", "", streamed=digest.hex())


def _coming(session: Session, until: InstantMs) -> list[tuple[DueStream, bytes]]:
    return _with_manifests(session, due_streams(session, until))


def _with_manifests(session: Session, streams: Collection[DueStream]) -> list[tuple[DueStream, bytes]]:
    return [(one, manifest_payload(session, one.digest) or b"") for one in streams]


def _read_notes(path: Path | None) -> dict[Digest, int]:
    if path is None:
        return {}
    try:
        raw = json.loads(path.read_text())
        return {Digest(bytes.fromhex(name)): int(sent) for name, sent in raw.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # without notes a stream begins again, which costs bytes and nothing else


def _write_notes(path: Path | None, noted: dict[Digest, int]) -> None:
    """Not synced: after a power cut a stream may go out twice, which costs bytes and nothing else."""
    if path is None:
        return
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(json.dumps({digest.hex(): sent for digest, sent in noted.items()}))
        fresh.replace(path)
    except OSError as error:
        log.warning("progress of streams not noted: %s", error)
