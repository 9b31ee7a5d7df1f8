"""Every route, for every role, about a thing of one's own commune, another commune and the province.

Each role succeeds by a real request at each operation that it may do, and at no other.

What is expected stands in expected_permissions.csv, written by hand. A route or a role that is not in it fails.
"""

import csv
from pathlib import Path

import pytest

from api.needs import need_of
from controller.peoplekeys import Cost
from controller.permissions import Open, Role
from tests.api import (  # noqa: F401 - they add their requests to ASKED
    requests_alert_making,
    requests_alerts,
    requests_boards,
    requests_cap,
    requests_keys,
)
from tests.api.office import Office, office_at
from tests.api.province import PLACES, Province
from tests.api.requests import ASKED
from tests.people import freshen

pytestmark = pytest.mark.asyncio(loop_scope="session")
FILE = Path(__file__).with_name("expected_permissions.csv")


def _expected() -> dict[str, dict[str, str]]:
    """Operation -> role -> three letters."""
    lines = [line for line in FILE.read_text().splitlines() if line and not line.startswith("#")]
    rows = list(csv.DictReader(lines, skipinitialspace=True))
    found = {row.pop("operation"): row for row in rows}
    assert len(found) == len(rows), "an operation stands there twice"
    return found


EXPECTED = _expected()
_ALLOWED = {
    (Role(role), name.partition(":")[0]) for name, row in EXPECTED.items() for role, cell in row.items() if "y" in cell
}
"""Who may do what somewhere."""


async def test_each_route_and_role_has_an_expectation(office: Office) -> None:
    described = {route.operation_id for route in office.app.state.ways if route.include_in_schema}
    assert {name.partition(":")[0] for name in EXPECTED} == described
    assert set(ASKED) == set(EXPECTED), "each expectation is asked for"
    for name, row in EXPECTED.items():
        assert set(row) == set(Role), name
        assert all(len(cell) == 3 and set(cell) <= set("ynx") for cell in row.values()), name
    never = described - {operation for _, operation in _ALLOWED}
    assert never == set(), "nobody may do it, so nothing shows that it can be done"
    hidden = [route for route in office.app.state.ways if not route.include_in_schema]
    assert {need_of(route) for route in hidden} == {Open.PUBLIC}


@pytest.mark.slow
async def test_each_route_for_each_role_in_each_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.peoplekeys.COST", Cost(8, 1, 1))
    wrong: list[str] = []
    async with office_at(tmp_path, database="sqlite://") as office:
        province = Province(office)
        await province.open()
        for name, row in EXPECTED.items():
            for role, visitor in province.visitors.items():
                await freshen(office.centre, visitor.who.token)
                await freshen(office.centre, office.token)
                got = [await ASKED[name](province, visitor, place) for place in PLACES]
                wanted = row[role]
                wrong += [
                    f"{name} as {role} at {place}: {a}, not {b}"
                    for place, a, b in zip(PLACES, got, wanted, strict=True)
                    if a != b
                ]
    assert wrong == []
    assert province.done == _ALLOWED, "a 2xx for each operation that a role may do somewhere, and for no other"
