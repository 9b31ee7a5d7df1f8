"""Figures about alerts of others: how their sources do, and what waits for people."""

from prometheus_client import CollectorRegistry, Gauge
from sqlmodel import Session, col, func, select

from controller.services import cap_sources
from controller.tables import CapAlert
from loa.units import InstantMs

_WAITING = ("waiting", "needs_area", "not_composed", "cancel_asked")


class CapFigures:
    """Read anew whenever somebody asks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failures = Gauge("loa_cap_source_failures", "Failures in a row", ["source"], registry=registry)
        self._stale = Gauge(
            "loa_cap_source_stale", "1 where nothing was read of a feed for long", ["source"], registry=registry
        )
        self._age = Gauge(
            "loa_cap_source_age_seconds", "Since a feed was last read whole; since it was added, if never", ["source"],
            registry=registry,
        )  # fmt: skip
        self._states = Gauge(
            "loa_cap_waiting", "Alerts of others that wait for something", ["state"], registry=registry
        )

    def look(self, session: Session, now: InstantMs) -> None:
        """Set them from the tables."""
        for gauge in (self._failures, self._stale, self._age):
            gauge.clear()
        for row in cap_sources.sources(session):
            if not row.url:
                continue
            self._failures.labels(row.name).set(row.failures)
            self._stale.labels(row.name).set(int(row.is_stale))
            since = row.good_at if row.good_at is not None else row.created_at
            self._age.labels(row.name).set(max(0, now - since) / 1000)
        query = select(CapAlert.state, func.count()).where(col(CapAlert.state).in_(_WAITING)).group_by(CapAlert.state)
        counts = dict(session.exec(query).all())
        for state in _WAITING:
            self._states.labels(state).set(counts.get(state, 0))
