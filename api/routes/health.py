"""For those who run the server: is it well, and its figures."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field
from sqlmodel import text

from api.asking import Asker, CentreHere
from api.metrics import CONTENT_TYPE, Gauges
from api.needs import needs
from api.problems import documented
from api.shapes import Shown
from controller.media import RESERVE_BYTES
from controller.permissions import Open, Permission
from loa.errors import LoaError

router = APIRouter(tags=["running"])
Word = Literal["ok", "failed"]


class Health(Shown):
    status: Word = Field(description="ok where database, broker and disk are")
    database: Word = Field(description="failed where it cannot be read, or the last change could not be written")
    broker: Word
    keys: Literal["ok", "attention"] = Field(
        description="attention where roots lie on this machine or an appointment is about to end; see /api/v1/keys"
    )
    disk: Word = Field(description="failed where new recordings would be refused; broadcasts still go")


@router.get(
    "/healthz", operation_id="health", openapi_extra={"security": []},
    responses={503: {"model": Health, "description": "Something is not well"}},
)  # fmt: skip
@needs(Open.PUBLIC)
async def healthz(centre: CentreHere, response: Response) -> Health:
    """Whether the centre can do its work. Tells nothing else to strangers."""
    try:
        await centre.reading(lambda session: session.execute(text("SELECT 1")).scalar())
        database: Word = "ok" if centre.db.trouble is None else "failed"
    except LoaError:
        database = "failed"
    broker: Word = "ok" if centre.broker_connected else "failed"
    disk: Word = "ok" if centre.context("loa").media.free_bytes() > RESERVE_BYTES else "failed"
    well = database == broker == disk == "ok"
    response.status_code = 200 if well else 503
    keys: Literal["ok", "attention"] = "attention" if centre.key_warnings() else "ok"
    return Health(status="ok" if well else "failed", database=database, broker=broker, keys=keys, disk=disk)


@router.get(
    "/metrics", operation_id="metrics",
    responses={**documented(), 200: {"description": "Prometheus' text format", "content": {"text/plain": {}}}},
    response_class=Response,
)  # fmt: skip
@needs(Permission.FIGURES_READ)
async def metrics(request: Request, caller: Asker, centre: CentreHere) -> Response:
    """Figures for Prometheus; give it an API token."""
    centre.context(caller.actor).demand(Permission.FIGURES_READ, centre.province)
    gauges: Gauges = request.app.state.gauges
    return Response(await gauges.text(), media_type=CONTENT_TYPE)
