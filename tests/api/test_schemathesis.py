"""The whole API under generated requests, good and bad, as each role: no server error, nothing but what is documented.

That each operation, those left out here too, succeeds for each role that may do it, test_permissions.py shows: it notes
the 2xx of its own requests, and fails where one is missing.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.permissions import PROVINCE_ONLY, Role
from tests.api.server import Served, serve

# A stream that never ends; and what would end the very session, or account, that the run uses.
LEFT_OUT = (
    "listen", "sign_out", "revoke_token", "change_password", "confirm_code", "set_roles", "disable_account",
    "reset_account",
)  # fmt: skip
# Some of what the schema lets through is refused all the same: an end before its start, a cursor of nobody's.
UNCHECKED = "positive_data_acceptance"
AREA = "quang-ninh/co-to"

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("served"))
    try:
        made.ask("POST", "/api/v1/areas", {"path": AREA, "name": "Cô Tô"})
        made.ask("POST", "/api/v1/nodes", {"id": "co-to-1", "area": AREA, "public_key": "ab" * 32})
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("seconds", [20, pytest.param(120, marks=pytest.mark.soak)])
@pytest.mark.parametrize("role", Role)
def test_no_request_breaks_it(served: Served, role: Role, seconds: int, tmp_path: Path) -> None:
    area = "quang-ninh" if role in PROVINCE_ONLY else AREA
    token = served.join(f"{role.replace('_', '-')}-{seconds}", (role, area)).token
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/openapi.json",
        "-H", f"Authorization: Bearer {token}", "--checks", "all", "--exclude-checks", UNCHECKED,
        "--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--max-time", str(seconds),
        "--request-timeout", "40", "--no-color",
    ]  # fmt: skip
    for operation in LEFT_OUT:
        command += ["--exclude-operation-id", operation]
    run = subprocess.run(command, capture_output=True, text=True, timeout=210 + seconds, cwd=tmp_path, check=False)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert "Server error" not in run.stdout
    log = (served.data.parent / "serve.log").read_text()
    assert "Traceback" not in log, log[-4000:]
