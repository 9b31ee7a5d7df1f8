"""The whole API under generated requests, good and bad: no server error, nothing but what is documented."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.server import serve

# A stream that never ends; and what would end the very token that the run uses.
LEFT_OUT = ("listen", "sign_out", "revoke_token")
# Some of what the schema lets through is refused all the same: an end before its start, a cursor of nobody's.
UNCHECKED = "positive_data_acceptance"


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
def test_no_request_breaks_it(tmp_path: Path) -> None:
    served = serve(tmp_path)
    try:
        served.ask("POST", "/api/v1/areas", {"path": "quang-ninh/co-to", "name": "Cô Tô"})
        served.ask("POST", "/api/v1/nodes", {"id": "co-to-1", "area": "quang-ninh/co-to", "public_key": "ab" * 32})
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/openapi.json",
            "-H", f"Authorization: Bearer {served.token}", "--checks", "all", "--exclude-checks", UNCHECKED,
            "--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--max-time", "60",
            "--request-timeout", "40", "--no-color",
        ]  # fmt: skip
        for operation in LEFT_OUT:
            command += ["--exclude-operation-id", operation]
        run = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path, check=False)
        assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
        assert "Server error" not in run.stdout
        log = (tmp_path / "serve.log").read_text()
        assert "Traceback" not in log, log[-4000:]
    finally:
        served.stop()
