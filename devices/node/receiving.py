"""Audio coming in: the pure intake with a link, a clock and a store around it."""

import asyncio
from collections.abc import Callable, Collection, Iterable

from devices.links.port import Link
from devices.node.crew import Alarm, Crew
from devices.node.plan import Plan
from devices.node.store import Needs, RenditionStore
from devices.node.timing import NodeTime
from devices.protocol.common import RenditionRef
from devices.protocol.envelope import encode, seal
from devices.protocol.identity import NodeIdentity
from devices.protocol.intake import Intake, Need
from devices.protocol.media import Manifest, Piece, digest_of
from devices.protocol.refusal import RefusalReason, WireRefusal
from devices.protocol.topics import UpChannel, stream_topic, up_topic
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import Fault
from loa.precedence import Precedence
from loa.units import Digest, InstantMs

NO_ROOM_WAIT_S = 60.0
MAX_NEEDS = 2000
BUS_AUDIO_SHARE = 0.7
"""What heads of pieces, frames and polls leave of a bus: 256 bytes of audio are 336 on the wires."""
SOON_MS = 60_000
"""What sounds within this, or sounds already, does not give way to anything."""


class Receiving:
    """Keeps the store filled with what the node will want to sound."""

    def __init__(
        self,
        *,
        identity: NodeIdentity,
        link: Link,
        store: RenditionStore,
        clock: Clock,
        time: NodeTime,
        entropy: Entropy,
        crew: Crew,
    ) -> None:
        self._identity = identity
        self._link = link
        self._store = store
        self._clock = clock
        self._time = time
        self._alarm = Alarm(clock, crew, self.pump)
        rate: float | None = link.nominal_rate
        if rate is not None and link.relays_streams:
            rate *= BUS_AUDIO_SHARE
        self._intake = Intake(identity.node, entropy=entropy, relays_streams=link.relays_streams, nominal_rate=rate)
        self._needs: dict[Digest, Need] = {}
        self._asked: set[Digest] = set()
        self._no_room: dict[Digest, float] = {}
        self._streams: frozenset[Digest] = frozenset()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.completed: Callable[[], None] = lambda: None
        """Told when a rendition has come in whole."""
        self.streams_changed: Callable[[], None] = lambda: None
        store.lost_block = lambda _digest: self._lost_block()

    def set_needs(self, plans: Collection[Plan], sirens: Iterable[RenditionRef]) -> None:
        """Everything that may sound from now on; plans come due first, and sirens stay for ever."""
        standing = list(sirens)
        self.keep(plans, standing)
        needs = [_need(ref, Precedence.ORDINARY, None) for ref in standing]
        for plan in plans:
            needs += [_need(ref, plan.precedence, plan) for ref in plan.parts[: len(plan.digests)]]
        self._needs = {}
        for need in needs[:MAX_NEEDS]:
            before = self._needs.get(need.digest)
            if before is None or need.precedence > before.precedence:
                self._needs[need.digest] = need
        self._give_needs()

    def keep(self, plans: Iterable[Plan], sirens: Iterable[RenditionRef]) -> None:
        """What gives way to nothing that is written from now on, and when the rest is wanted. Asks for nothing yet."""
        soon = self._time.best_guess() + SOON_MS
        kept = {ref.digest for ref in sirens}
        by_instant: dict[Digest, InstantMs] = {}
        for plan in plans:
            for digest in plan.digests:
                by_instant[digest] = min(by_instant.get(digest, plan.start_at), plan.start_at)
            if plan.is_emergency:
                kept.update(plan.digests)
        kept.update(digest for digest, at in by_instant.items() if at <= soon)
        self._store.needs = Needs(frozenset(kept), by_instant)

    def _give_needs(self) -> None:
        """Hand the intake what is not here yet, with what is here of it."""
        self._loop = asyncio.get_running_loop()
        now = self._clock.monotonic_s()
        self._no_room = {digest: until for digest, until in self._no_room.items() if until > now}
        missing = [
            need
            for need in self._needs.values()
            if not self._store.complete(need.digest) and need.digest not in self._no_room
        ]
        self._intake.set_needs(missing)
        for need in missing:
            if need.digest not in self._asked:
                manifest = self._store.manifest(need.digest)
                if manifest is not None:
                    self._intake.resume(need.digest, manifest, self._store.blocks(need.digest))
        self._asked = {need.digest for need in missing}
        self.pump()

    def _lost_block(self) -> None:
        """What is stored has turned out wrong. Perhaps told by the thread that decodes."""
        try:
            asyncio.get_running_loop().call_soon(self._give_needs)
        except RuntimeError:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._give_needs)

    def on_manifest(self, payload: bytes, expected: Digest | None) -> None:
        """Raises WireRefusal."""
        manifest = self._intake.on_manifest(payload, self._clock.monotonic_s(), expected=expected)
        if manifest is not None:
            self._begin(manifest)
        self.pump()

    def _begin(self, manifest: Manifest) -> None:
        try:
            self._store.add_manifest(manifest)
        except Fault:
            self._without_room(digest_of(encode(manifest)))

    def on_piece(self, piece: Piece) -> None:
        """Raises WireRefusal(WRONG_BLOCK)."""
        block = self._intake.on_piece(piece, self._clock.monotonic_s())
        if block is not None:
            if self._store.manifest(block.digest) is None:
                self._without_room(block.digest)
                return
            try:
                self._store.put_block(block.digest, block.index, block.data)
            except Fault:
                self._without_room(block.digest)
                return
            if self._store.complete(block.digest):
                self._give_needs()
                self.completed()
            elif block.index == 0:
                self.completed()  # an emergency may begin with its first block
        self.pump()

    def _without_room(self, digest: Digest) -> None:
        """There is no room, and nothing less needed to give up: try again after a while."""
        self._no_room[digest] = self._clock.monotonic_s() + NO_ROOM_WAIT_S
        self._give_needs()

    def link_up(self) -> None:
        self._intake.on_link(True, self._clock.monotonic_s())
        self.pump()

    def link_down(self) -> None:
        self._intake.on_link(False, self._clock.monotonic_s())

    def pump(self) -> None:
        """Ask for what may be asked for, and say when to look again."""
        local, now = self._clock.monotonic_s(), self._time.best_guess()
        if self._link.is_up:
            topic = up_topic(self._identity.node, UpChannel.WANT)
            for want in self._intake.wants(local, now):
                self._link.publish(topic, seal(want, self._identity.key))
        streams = self._intake.streams(now)
        if streams != self._streams:
            self._streams = streams
            self.streams_changed()
        # While the link is down nothing can be asked for: `link_up` looks again.
        wake = self._intake.next_at_s() if self._link.is_up else None
        if self._no_room:
            first = min(self._no_room.values())
            if first <= local:
                self._give_needs()
                return
            wake = first if wake is None else min(wake, first)
        self._alarm.set(None if wake is None else max(wake, local + 0.005))

    @property
    def stream_topics(self) -> frozenset[str]:
        return frozenset(stream_topic(digest) for digest in self._streams)

    @property
    def link_rate(self) -> float | None:
        return self._intake.link_rate

    @property
    def intake(self) -> Intake:
        return self._intake


def _need(ref: RenditionRef, precedence: Precedence, plan: Plan | None) -> Need:
    return Need(
        digest=ref.digest,
        length_bytes=ref.length_bytes,
        precedence=precedence,
        needed_at=plan.start_at if plan is not None else None,
        stream_at=ref.stream_at,
        pace=ref.pace,
    )


def stream_of(topic: str) -> Digest | None:
    """Which rendition's stream a topic is; None for any other topic. Raises WireRefusal(MALFORMED)."""
    head, _, name = topic.rpartition("/")
    if head != "loa/1/m":
        return None
    try:
        return Digest(bytes.fromhex(name))
    except ValueError as error:
        raise WireRefusal(RefusalReason.MALFORMED, "not a stream's topic") from error
