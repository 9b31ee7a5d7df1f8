"""Where people see what was tried: lagging trust documents, refusals of boxes, refused requests."""

import logging

import pytest

from api.problems import RefusedRequests
from controller.services.nodes import TRUST_LAG_MS, trust_lags
from devices.protocol.reports import Health
from loa.units import InstantMs
from tests.api.office import Office
from tests.protocol.world import NODE, NOW

LONG = NOW + TRUST_LAG_MS


def health(version: int) -> Health:
    return Health(node=NODE, session=1, at=InstantMs(NOW), uptime_s=1, epoch=bytes(8), trust_version=version)


@pytest.mark.parametrize(
    ("said", "at", "lags"),
    [
        (health(1), LONG + 1, True),
        (health(0), LONG + 1, True),
        (health(1), LONG, False),
        (health(2), LONG + 1, False),
        (health(3), LONG + 1, False),
        (None, LONG + 1, False),
        (health(1), None, False),
    ],
)
def test_a_box_lags_that_speaks_long_after_a_document_that_it_lacks(
    said: Health | None, at: int | None, lags: bool
) -> None:
    assert trust_lags(said, at, version=2, issued_at=NOW) is lags


@pytest.mark.asyncio(loop_scope="session")
async def test_figures_for_all_of_it(office: Office) -> None:
    refused = await office.stranger.get("/api/v1/nodes")
    assert refused.status_code == 401
    text = (await office.client.get("/metrics")).text
    assert "\nloa_nodes_trust_lagging 0.0" in text
    assert '\nloa_node_refusals{reason="bad_signature"} 0.0' in text
    assert "\nloa_node_repeats 0.0" in text
    assert '\nloa_requests_refused_total{code="auth_required"} ' in text
    assert 'loa_key_warnings{code="controller_plain"} 1.0' in text
    (node,) = (await office.ok("GET", "/api/v1/nodes?area=quang-ninh/co-to"))["items"][:1]
    assert node["trust_lags"] is False


def test_refused_requests_are_said_at_each_power_of_ten(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="loa")
    counts = RefusedRequests()
    for _ in range(100):
        counts.count("bad_code", "192.0.2.1")
    assert counts.by_code == {"bad_code": 100}
    assert [record.getMessage().rpartition("(")[2] for record in caplog.records] == [
        "1 so far)", "10 so far)", "100 so far)",
    ]  # fmt: skip
