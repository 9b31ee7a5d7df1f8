"""The controller's end of the wire as a whole: one link, and the desks that fill and empty it."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from controller.deedlog import DeedLog
from controller.services.context import Context, Outgoing
from controller.store import PATIENCE_S
from controller.wire.common import Waker, WireContext, keep_going, log
from controller.wire.contested import Contested
from controller.wire.documents import DocumentDesk
from controller.wire.freshness import Freshness
from controller.wire.liveness import Liveness
from controller.wire.orders import OrderDesk
from controller.wire.reconcile import Reconciliation
from controller.wire.record_watch import RecordWatch
from controller.wire.records import keep_group
from controller.wire.registry import NodeRegistry
from controller.wire.reports import REPORT_CHANNELS, Arrived, Believed, ReportDesk
from controller.wire.statements import Statements
from controller.wire.streams import StreamDesk
from controller.wire.timing import answer_time
from devices.links.port import Delivery
from devices.protocol.judge import judge_report
from devices.protocol.media import TimeRequest, Want
from devices.protocol.refusal import RefusalReason, WireRefusal
from devices.protocol.reports import Health, Presence
from devices.protocol.topics import UpTopic, controller_subscriptions, read_up_topic
from loa.precedence import Precedence
from loa.units import InstantMs

EMERGENCY_HOLD_S = 2.0
"""Ordinary audio waits this long after an emergency went out."""
MAX_REPORT_BYTES = 16 * 1024
"""A node says nothing longer; what is does not wait among what 20,000 others say."""


class Transmitter:
    """Start it with a link that was not started yet. All calls on the event loop."""

    def __init__(
        self,
        wire: WireContext,
        context: Callable[[], Context],
        *,
        notes: Path | None = None,
        health_interval_s: int = 60,
        unwritten: DeedLog | None = None,
    ) -> None:
        self.wire = wire
        self._unwritten = unwritten
        self.registry = NodeRegistry(wire.db, wire.clock)
        self.statements = Statements(wire)
        self.orders = OrderDesk(wire, unwritten)
        self.documents = DocumentDesk(wire)
        self.streams = StreamDesk(wire, context().media, notes)
        self.reports = ReportDesk(wire, self.registry, self._keep, self._meanwhile)
        self.reconciliation = Reconciliation(wire, self.registry, self.documents, self.orders, context)
        self.liveness = Liveness(wire, health_interval_s)
        self.record = RecordWatch(wire, context)
        self.contested = Contested()
        self._freshness = Freshness()
        self._deeds_waker = Waker()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take everything up from the tables, then let the link come up."""
        await self.registry.refresh()
        await self.documents.load()
        await self.liveness.load()
        await self._freshness.load(self.wire.db)
        self.wire.link.listen(controller_subscriptions())
        for name, turn in (
            ("reports", self.reports.turn),
            ("orders", self.orders.turn),
            ("stream plan", self.streams.plan_turn),
            ("stream pump", self.streams.pump_turn),
            ("stream ends", self.streams.end_turn),
            ("reconciliation", self.reconciliation.turn),
            ("liveness", self.liveness.turn),
            ("record", self._record_turn),
            ("deeds", self._deeds_turn),
        ):
            self._spawn(keep_going(name, self.wire, turn), name)
        await self.wire.link.start(self)

    async def stop(self) -> None:
        """Reports that came in but are not committed are not acknowledged, so their nodes send them again."""
        await self.wire.link.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, outgoing: Outgoing) -> None:
        """Publish what a unit of work decided, orders first. Call after its commit, with nothing in between."""
        self._deeds_waker.wake()
        for order in outgoing.orders:
            self.orders.publish(order)
            if order.precedence is Precedence.EMERGENCY:
                self._hold_audio()
        for control in outgoing.controls:
            self.wire.to_node(control.node, control.payload)
        if outgoing.controls:
            await self.registry.refresh_some({control.node for control in outgoing.controls})
        if outgoing.documents:
            await self.documents.publish(outgoing.documents)
            self.reconciliation.newer_documents()
        if outgoing.orders or outgoing.documents:
            self.streams.plan_again()

    def _hold_audio(self) -> None:
        self.streams.outflow.pause_ordinary(True)

        async def release() -> None:
            await self.wire.clock.sleep(EMERGENCY_HOLD_S)
            self.streams.outflow.pause_ordinary(False)
            self.streams.plan_again()

        self._spawn(release(), "release of audio")

    # The link's listener.

    def link_up(self) -> None:
        self.wire.events.publish("air", "broker", up=True)
        self._spawn(self._published_again(), "documents again")

    async def _published_again(self) -> None:
        self.orders.wake()
        await self.documents.publish_all()
        self.streams.plan_again()
        self.reconciliation.newer_documents()

    def link_down(self, reason: str) -> None:
        log.warning("the broker is gone: %s", reason)
        self.wire.events.publish("air", "broker", up=False, reason=reason)

    def delivered(self, delivery: Delivery) -> None:
        at = self.wire.clock.now_ms()
        topic = read_up_topic(delivery.topic)
        if topic is None:
            return
        if len(delivery.payload) > MAX_REPORT_BYTES:
            self.reports.refuse(topic.node[:40], RefusalReason.MALFORMED.code)
            return
        if topic.channel in REPORT_CHANNELS:
            self.reports.add(Arrived(at, topic, delivery.payload, delivery.retained))
        else:
            self._answer(topic, delivery, at)

    def _answer(self, topic: UpTopic, delivery: Delivery, at: InstantMs) -> None:
        """A want or a clock question: judged at once."""
        node = self.registry.known(topic.node)
        if node is None:
            self._spawn(self._look_for(topic.node), "look for a node")
            return
        try:
            report = judge_report(
                delivery.payload, topic_node=topic.node, public_key=node.public_key, retained=delivery.retained
            )
        except WireRefusal as refusal:
            self.reports.refuse(node.id, refusal.reason.code)
            return
        self.wire.counters.received[type(report).__name__.lower()] += 1
        if isinstance(report, TimeRequest):
            answer_time(self.wire, report, at)
        elif isinstance(report, Want):
            self._spawn(self.streams.want(report), "want")

    async def _look_for(self, name: str) -> None:
        """A stranger, or a node enrolled a moment ago: it will ask again."""
        if await self.registry.find(name) is None:
            self.reports.refuse(name[:40], "untrusted_key")

    async def _deeds_turn(self) -> None:
        """What counts and is not in the tables gets there with the next unit of work: here is one, if there is none."""
        if self._unwritten is None or not self._unwritten.deeds:
            await self._deeds_waker.wait(self.wire.clock, None)
            return
        await self.wire.db.unit_of_work(lambda _: None)
        self.orders.wake()

    async def _record_turn(self) -> None:
        await self.send(await self.record.turn())

    # Reports.

    async def _keep(self, believed: list[Believed]) -> None:
        now = self.wire.clock.now_ms()
        fresh, old = self._freshness.split(believed)
        kept = await self.wire.db.unit_of_work(lambda session: keep_group(session, fresh, now), patience_s=PATIENCE_S)
        for (node, epoch), number in kept.held.items():
            self.statements.acknowledge(node, epoch, number)
        for one in fresh:
            self._heard(one)
        for one in old:
            self._heard_again(one)
        for subject in sorted(kept.subjects):
            self.wire.events.publish("coverage", subject)
        for alert in sorted(kept.local):
            log.warning("alert %s was sounded or ended by local input", alert)
            self.wire.events.publish("alert", alert, local=True)

    def _meanwhile(self, unkept: list[Believed]) -> None:
        """The tables cannot take these now: a node that has come is given what it is owed all the same."""
        fresh, _ = self._freshness.split(unkept)
        newest = {one.report.node: one for one in fresh if isinstance(one.report, Health)}
        for one in newest.values():
            if isinstance(one.report, Health):
                self.reconciliation.heard_health(one.node, one.report)

    def _heard(self, one: Believed) -> None:
        report = one.report
        if isinstance(report, Health):
            self._freshness.took(report)
            self.reconciliation.heard_health(one.node, report)
            self.liveness.heard(one.node.id, report)
            self.record.heard(one.node.id, report.record)
        elif isinstance(report, Presence):
            self.liveness.hinted(one.node.id, report)
            if not one.retained and self.contested.heard(one.node.id, report, one.at):
                log.warning("%s comes again and again: two under its name, or a bad link", one.node.id)
                self.wire.counters.contested += 1
                self.wire.events.publish("node", one.node.id, contested=True)

    def _heard_again(self, one: Believed) -> None:
        """An old health: played back, or of a wiped box without the time. Such a box is helped all the same."""
        self.reports.refuse(one.node.id, RefusalReason.REPLAY.code)
        report = one.report
        if isinstance(report, Health) and (report.trust_version == 0 or report.placement_version == 0):
            self.reconciliation.heard_health(one.node, report)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.wire.counters.faults[task.get_name()] += 1
            log.error("%s failed", task.get_name(), exc_info=task.exception())
