"""A loudspeaker's node, composed: the same in a box on a pole, in a simulated village and in a test."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from devices.links.port import Delivery, Link
from devices.node.afterwards import Afterwards
from devices.node.conductor import Conductor
from devices.node.config import NodeConfig
from devices.node.crew import Crew
from devices.node.evidence import Sensor
from devices.node.ledger import Ledger
from devices.node.notes import Notes
from devices.node.obedience import Obedience
from devices.node.plan import Plan
from devices.node.ports import Speaker, Storage
from devices.node.pressing import PressingStorage
from devices.node.receiving import Receiving
from devices.node.records import Kept, Records
from devices.node.senses import Senses
from devices.node.session import Session, Voice
from devices.node.stage import Parts
from devices.node.store import RenditionStore
from devices.node.timing import NodeTime
from devices.protocol.documents import Settings, Timetable
from devices.protocol.identity import NodeIdentity
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import AreaVersion, Health, ReceiptCause, ReceiptEvent, RefusalCount
from devices.protocol.topics import node_subscriptions
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import Fault
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import ByteCount, Digest, Id16, InstantMs, NodeId, Percent

DEFAULT_HEALTH_S = 60
SPEAKER_RETRY_S = 5.0


@dataclass(frozen=True)
class NodeStatus:
    """A node seen from outside, at one moment."""

    node: NodeId
    area: AreaPath | None
    link_up: bool
    session: int
    playing: Id16 | None
    """What sounds now; None also while it is only placed to begin."""
    precedence: Precedence | None
    volume: Percent
    renditions: tuple[Digest, ...]
    """Complete ones, those needed soonest first."""
    coming: int
    """Broadcasts that may still sound: of the timetables, and orders under way."""
    time_offset_ms: int | None
    """The controller's clock minus the box's own wall clock."""
    time_error_ms: int | None
    now_ms: InstantMs | None
    """The controller's clock as estimated; None while time is not trusted."""
    refusals: dict[RefusalReason, int]
    repeats: int
    epoch: bytes
    last_number: int
    acknowledged: int
    trust_version: int
    timetable_versions: dict[AreaPath, int]
    speaker_ready: bool
    failure: BaseException | None


class Node:
    """Runs from `start` to `stop`. Its parts are given, so that all of its world can be simulated."""

    def __init__(
        self,
        *,
        identity: NodeIdentity,
        link: Link,
        storage: Storage,
        speaker: Speaker,
        clock: Clock,
        entropy: Entropy,
        config: NodeConfig | None = None,
        sensor: Sensor | None = None,
    ) -> None:
        """sensor: where it can be measured whether sound comes out; without one, no "sounded"."""
        self.identity = identity
        self._config = config or NodeConfig()
        self._link, self._storage, self._speaker, self._clock = link, storage, speaker, clock
        self._sensor = sensor
        self.failure: BaseException | None = None
        """Why the node cannot go on, where it cannot: it is silent then, and wants to be started anew."""
        self._broken = asyncio.Event()
        self._crew = Crew(self._failed)
        self._time = NodeTime(clock, steady_wait_s=self._config.time_wait_s)
        self._store = RenditionStore(storage, self._config.audio_limit_bytes)
        pressing = PressingStorage(storage, self._store.give_way)
        self._records = Records(pressing, identity)
        self._ledger = Ledger(pressing, identity, entropy, limit_bytes=self._config.journal_limit_bytes)
        self._notes = Notes(identity.node, self._ledger, self._time)
        self._after = Afterwards(clock, self._crew)
        self._conductor = Conductor(
            Parts(clock, self._time, self._store, speaker, self._ledger, self._notes, self._crew, self._after, sensor),
            volume=lambda: self._records.volume,
            settings=lambda: self._records.settings_here,
        )
        self._receiving = Receiving(
            identity=identity,
            link=link,
            store=self._store,
            clock=clock,
            time=self._time,
            entropy=entropy,
            crew=self._crew,
        )
        self._obedience = Obedience(
            Senses(
                identity,
                self._records,
                self._time,
                self._ledger,
                self._notes,
                self._conductor,
                self._receiving,
                self._after,
            ),
            clock.monotonic_s,
        )
        self._session = Session(
            Voice(identity, link, clock, self._time, entropy, self._ledger, self._crew),
            next_session=self._records.next_session,
            health=self._health,
            interval_s=self._health_interval,
            lost_without_answer=lambda: self._records.area is None or self._records.authority.version == 0,
            time_is_waited_for=lambda: self._obedience.order_waits,
        )
        self._started_s = clock.monotonic_s()
        self._connect_parts()

    def _connect_parts(self) -> None:
        self._conductor.stage.changed = self._session.changed
        self._conductor.stage.ended = self._ended
        self._receiving.completed = self._audio_arrived
        self._receiving.streams_changed = self._listen
        self._obedience.changed = self._session.changed
        self._obedience.moved = self._listen
        self._obedience.acknowledged = self._session.acknowledged
        self._obedience.time_wanted = self._session.ask_time

    async def start(self) -> None:
        """Recover what the storage holds, tell what power failures left open, and begin. Returns at once after that."""
        self._started_s = self._clock.monotonic_s()
        self._records.recover()
        self._time.floor_ms = self._records.floor_ms
        self._store.recover()
        self._obedience.refresh_needs()  # so that no siren gives way to what is written next
        self._ledger.recover()
        if self._config.rtc_trusted:
            self._time.trust_rtc()
        self._crew.spawn(self._keep_speaker(), "speaker")
        if self._sensor is not None:
            self._crew.spawn(self._sensor.keep(), "sensor")
        self._notes.note(ReceiptEvent.BOOTED)
        self._tell_unconfirmed()
        self._resume_orders()
        self._obedience.refresh_timetable()
        self._session.prepare()
        self._listen()
        await self._link.start(self)

    async def stop(self) -> None:
        """Silence first; then what happened is told, and the link closed."""
        self._conductor.shut_down()
        self._after.now()
        if self._link.is_up:
            self._session.say_goodbye()
            await self._link.drained(0)
        await self._link.stop()
        await self._crew.dismiss()
        await self._speaker.close()

    def _tell_unconfirmed(self) -> None:
        """Begun before the power failed: nobody knows how much was heard, and it is never played again."""
        for subject in self._ledger.unfinished():
            order = self._records.orders.get(subject)
            if order is not None and order[0].precedence is Precedence.EMERGENCY:
                continue
            self._notes.note(ReceiptEvent.UNCONFIRMED, subject, cause=ReceiptCause.POWER_FAILED)
            self._ledger.mark_over(subject, ReceiptCause.POWER_FAILED)
            self._records.forget_order(subject)

    def _resume_orders(self) -> None:
        for order, kept in list(self._records.orders.values()):
            if self._ledger.over(order.id) or self._records.authority.is_revoked(*kept.basis):
                self._records.forget_order(order.id)
                continue
            plan = self._obedience.ordering.plan(order, kept.basis)
            self._conductor.resume(plan, ended=self._obedience.ordering.was_ended(plan))

    async def _keep_speaker(self) -> None:
        """Open the speaker, and again whenever it was lost."""
        was_ready: bool | None = None
        while True:
            if not self._speaker.ready:
                if was_ready:
                    self._session.changed()
                with contextlib.suppress(Fault):
                    await self._speaker.open()
            if self._speaker.ready is not was_ready:
                was_ready = self._speaker.ready
                self._session.changed()
                self._conductor.reconsider()
            if was_ready:
                await self._speaker.lost()
            else:
                await self._clock.sleep(SPEAKER_RETRY_S)

    def _failed(self, error: BaseException) -> None:
        """Something that must not happen has happened: silence, and whoever runs the node starts it anew."""
        if self.failure is None:
            self.failure = error
            self._broken.set()
            self._conductor.shut_down()
            self._after.now()

    async def broken(self) -> BaseException | None:
        """Returns when the node cannot go on, with the reason."""
        await self._broken.wait()
        return self.failure

    # The link's listener

    def link_up(self) -> None:
        self._crew.guarded(self._session.link_up)()
        self._crew.guarded(self._receiving.link_up)()

    def link_down(self, reason: str) -> None:  # noqa: ARG002  the link writes it to its log
        self._crew.guarded(self._session.link_down)()
        self._crew.guarded(self._receiving.link_down)()

    def delivered(self, delivery: Delivery) -> None:
        if self.failure is None:
            self._crew.guarded(self._obedience.take)(delivery)

    def _listen(self) -> None:
        own = node_subscriptions(self.identity.node, self._records.area)
        self._link.listen(sorted(own | self._receiving.stream_topics))

    # Among the parts

    def _ended(self, subject: Id16) -> None:
        self._records.forget_order(subject)
        self._obedience.refresh_needs()

    def _audio_arrived(self) -> None:
        self._conductor.audio_changed()
        self._session.changed()

    def _health_interval(self) -> float:
        if self._config.health_interval_s is not None:
            return self._config.health_interval_s
        settings = self._obedience.settings()
        return settings.health_interval_s if settings is not None else DEFAULT_HEALTH_S

    def _health(self, session: int) -> Health:
        records, ledger, sounding = self._records, self._ledger, self._sounding()
        rate = self._receiving.link_rate
        return Health(
            node=self.identity.node,
            session=session,
            at=self._time.best_guess(),
            uptime_s=int(self._clock.monotonic_s() - self._started_s),
            trust_version=records.authority.version,
            placement_version=records.placement.version if records.placement is not None else 0,
            settings=_versions(records.settings),
            timetables=_versions(records.timetables),
            playing=sounding.id if sounding is not None else None,
            precedence=sounding.precedence if sounding is not None else None,
            volume=records.volume,
            free_bytes=ByteCount(self._storage.free_bytes()),
            renditions=self._store.digests()[:64],
            link_rate=int(rate) if rate is not None else None,
            time_offset_ms=self._time.offset_ms(),
            time_error_ms=self._time.error_ms(),
            refusals=tuple(RefusalCount(reason=why, count=n) for why, n in self._obedience.refusals.items()),
            repeats=self._obedience.repeats,
            epoch=ledger.epoch,
            last_number=ledger.last_number,
            acknowledged=ledger.acknowledged,
            muted=not self._speaker.ready,
            record=records.marks,
        )

    def _sounding(self) -> Plan | None:
        """What sounds now; None also while it is only placed to begin."""
        playing = self._conductor.playing
        return playing.plan if playing is not None and playing.sounding_since_s is not None else None

    def status(self) -> NodeStatus:
        sounding = self._sounding()
        return NodeStatus(
            node=self.identity.node,
            area=self._records.area,
            link_up=self._link.is_up,
            session=self._session.number,
            playing=sounding.id if sounding is not None else None,
            precedence=sounding.precedence if sounding is not None else None,
            volume=self._records.volume,
            renditions=self._store.digests(),
            coming=len(self._conductor.plans),
            time_offset_ms=self._time.offset_ms(),
            time_error_ms=self._time.error_ms(),
            now_ms=self._time.now(),
            refusals=dict(self._obedience.refusals),
            repeats=self._obedience.repeats,
            epoch=self._ledger.epoch,
            last_number=self._ledger.last_number,
            acknowledged=self._ledger.acknowledged,
            trust_version=self._records.authority.version,
            timetable_versions={area: one.version for area, (one, _) in self._records.timetables.items()},
            speaker_ready=self._speaker.ready,
            failure=self.failure,
        )


def _versions(held: Mapping[AreaPath, tuple[Timetable | Settings, Kept]]) -> tuple[AreaVersion, ...]:
    return tuple(AreaVersion(area=area, version=one.version) for area, (one, _) in sorted(held.items()))[:3]
