"""Figures for Prometheus, in a registry of our own."""

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from api.events import EventBoard
from controller.services import nodes

if TYPE_CHECKING:
    from controller.centre import Centre

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Gauges:
    """What the server counts, read anew whenever somebody asks."""

    def __init__(self, centre: "Centre", board: EventBoard) -> None:
        self._centre = centre
        self._board = board
        self.registry = CollectorRegistry()
        self._nodes = Gauge("loa_nodes", "Nodes by state", ["state"], registry=self.registry)
        self._listeners = Gauge("loa_event_listeners", "Open event streams", registry=self.registry)
        self._free = Gauge("loa_media_free_bytes", "Room left for media", registry=self.registry)
        self.refused = Counter("loa_api_problems", "Problem documents by code", ["code"], registry=self.registry)

    async def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        context = self._centre.context("loa")
        views = await self._centre.reading(lambda session: nodes.list_nodes(session, context))
        for state in ("online", "silent", "never"):
            self._nodes.labels(state).set(sum(view.state == state for view in views))
        self._listeners.set(self._board.listeners)
        self._free.set(context.media.free_bytes())
        return generate_latest(self.registry)
