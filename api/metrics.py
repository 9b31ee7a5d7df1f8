"""Figures for Prometheus, in a registry of our own."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from api.cap_figures import CapFigures
from api.events import EventBoard
from controller.keywatch import WARNING_CODES, days_left, in_office
from controller.services import nodes
from devices.protocol.refusal import RefusalReason

if TYPE_CHECKING:
    from controller.centre import Centre

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Gauges:
    """What the server counts, read anew whenever somebody asks."""

    def __init__(self, centre: "Centre", board: EventBoard, refused: Mapping[str, int]) -> None:
        self._centre = centre
        self._board = board
        self.registry = CollectorRegistry()
        self._nodes = Gauge("loa_nodes", "Nodes by state", ["state"], registry=self.registry)
        self._listeners = Gauge("loa_event_listeners", "Open event streams", registry=self.registry)
        self._lagging = Gauge(
            "loa_nodes_trust_lagging", "Nodes that have long lacked the newest trust document", registry=self.registry
        )
        self._refusals = Gauge(
            "loa_node_refusals", "Messages that nodes refused since each was started", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        self._repeats = Gauge("loa_node_repeats", "Orders that came to nodes again to the byte", registry=self.registry)
        self._free = Gauge("loa_media_free_bytes", "Room left for media", registry=self.registry)
        self.registry.register(_Wire(centre))
        self.registry.register(_Keys(centre))
        self.registry.register(_Requests(refused))
        self._cap = CapFigures(self.registry)

    async def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        context = self._centre.context("loa")
        views = await self._centre.reading(lambda session: nodes.list_nodes(session, context))
        for state in ("online", "silent", "never"):
            self._nodes.labels(state).set(sum(view.state == state for view in views))
        self._lagging.set(sum(view.trust_lags for view in views))
        told = [view.health for view in views if view.health is not None]
        self._repeats.set(sum(health.repeats for health in told))
        counts = Counter({reason.code: 0 for reason in RefusalReason})
        for health in told:
            counts.update({one.reason.code: one.count for one in health.refusals})
        for reason, count in counts.items():
            self._refusals.labels(reason).set(count)
        await self._centre.reading(lambda session: self._cap.look(session, context.now))
        self._listeners.set(self._board.listeners)
        self._free.set(context.media.free_bytes())
        return generate_latest(self.registry)


class _Keys(Collector):
    """What is wrong with the keys, and how long appointments still last."""

    def __init__(self, centre: "Centre") -> None:
        self._centre = centre

    def collect(self) -> Iterator[GaugeMetricFamily]:
        warnings = GaugeMetricFamily("loa_key_warnings", "What is not as it should be with the keys", labels=["code"])
        codes = [warning.code for warning in self._centre.key_warnings()]
        for code in WARNING_CODES:
            warnings.add_metric([code], codes.count(code))
        yield warnings
        yield GaugeMetricFamily(
            "loa_roots_here", "Private keys of roots on this machine", len(self._centre.keys.roots_here)
        )
        left = GaugeMetricFamily(
            "loa_appointment_days_left", "Days until an appointment ends", labels=["holder", "appointment"]
        )
        for one in in_office(self._centre.keys):
            left.add_metric([one.holder, one.id.hex()], days_left(one, self._centre.clock.now_ms()))
        yield left


class _Requests(Collector):
    """Requests that were refused, by code: guessing shows here."""

    def __init__(self, refused: Mapping[str, int]) -> None:
        self._refused = refused

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily("loa_requests_refused", "Requests that were refused", labels=["code"])
        for code, count in sorted(self._refused.items()):
            family.add_metric([code], count)
        yield family


class _Wire(Collector):
    """What the transmitter counted since the server started."""

    def __init__(self, centre: "Centre") -> None:
        self._centre = centre

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        yield GaugeMetricFamily(
            "loa_broker_connected", "1 while the broker is reached", int(self._centre.broker_connected)
        )
        counted, outflow = self._centre.transmitter.wire.counters, self._centre.transmitter.streams.outflow
        for name, words, value in (
            ("loa_orders_sent", "Publishes of orders, repeats included", counted.orders_sent),
            ("loa_documents_sent", "Publishes of state documents", counted.documents_sent),
            ("loa_acknowledgements", "Statements of receipts held", counted.acknowledged),
            ("loa_reports_dropped", "Reports not looked at because too many waited", counted.dropped),
            (
                "loa_record_lost_heads",
                "Heads that nodes were told and the record does not hold",
                self._centre.transmitter.record.lost,
            ),
            ("loa_contested", "Nodes found with a connection that is fought over", counted.contested),
            ("loa_streamed_bytes", "Audio on shared streams", sum(outflow.streamed_bytes.values())),
            ("loa_repair_bytes", "Audio that single nodes asked for", sum(outflow.repair_bytes.values())),
        ):
            yield CounterMetricFamily(name, words, value)
        for name, words, label, values in (
            ("loa_wire_refused", "Messages of nodes that were not believed", "reason", counted.refused),
            ("loa_wire_received", "Messages of nodes that were believed", "kind", counted.received),
            ("loa_wire_faults", "Turns of the wire that failed and were tried again", "part", counted.faults),
        ):
            family = CounterMetricFamily(name, words, labels=[label])
            for key, value in sorted(values.items()):
                family.add_metric([key], value)
            yield family
