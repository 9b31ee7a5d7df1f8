"""Tests in several processes: quiet ones run last and alone, and Ctrl-C leaves nothing behind."""

import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]

CONFTEST = """
from tests import turns
from tests.conftest import pytest_collection_modifyitems, pytest_xdist_make_scheduler

turns.QUIET = ("test_timed.py::test_quiet",)
"""
TIMED = """
import pathlib, time
import pytest

HERE = pathlib.Path(__file__).parent

def spent(name):
    begun = time.monotonic()
    while time.monotonic() < begun + 0.05:
        pass
    with (HERE / "log").open("a") as log:
        log.write(f"{name} {begun} {time.monotonic()}\\n")

@pytest.mark.parametrize("number", range(3))
def test_quiet(number):
    spent("quiet")

@pytest.mark.parametrize("number", range(COUNT))
def test_loud(number):
    spent("loud")
"""


def _pytest(folder: Path, *more: str) -> list[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    options = ["-p", "xdist", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    return [sys.executable, "-m", "pytest", *options, *more, str(folder)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)} | {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@pytest.mark.slow
@pytest.mark.parametrize(("loud", "processes"), [(0, 2), (1, 2), (9, 2), (4, 3)])
def test_quiet_ones_are_last_and_alone(tmp_path: Path, loud: int, processes: int) -> None:
    (tmp_path / "test_timed.py").write_text(TIMED.replace("COUNT", str(loud)))
    command = _pytest(tmp_path, "-n", str(processes), "--dist", "loadscope")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=_environment())
    passed = f"{loud + 3} passed" + (", 1 skipped" if not loud else "")
    assert passed in done.stdout.splitlines()[-1], done.stdout + done.stderr
    spans = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    ends = [float(end) for name, _, end in spans if name == "loud"]
    quiet = sorted((float(begun), float(end)) for name, begun, end in spans if name == "quiet")
    assert len(ends) == loud
    assert all(end <= quiet[0][0] for end in ends)
    assert all(one[1] <= next_one[0] for one, next_one in itertools.pairwise(quiet))


@pytest.mark.slow
def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    """What a terminal does: SIGINT to all of the foreground's processes. Fixtures end what they began.

    The children say that they are there, a second after they are: Python loses an interrupt that meets it in the wrong
    place, and nobody strikes Ctrl-C in a test's first microseconds.
    """
    says = f"sleep 1; touch {shlex.quote(str(tmp_path))}/$$.child; exec sleep 300"
    (tmp_path / "test_long.py").write_text(
        "import subprocess, time\nimport pytest\n"
        "@pytest.fixture\ndef child():\n"
        f"    child = subprocess.Popen(['sh', '-c', {says!r}], start_new_session=True)\n"
        "    yield child\n    child.kill()\n    child.wait()\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_long(child, number):\n    time.sleep(300)\n"
    )
    command = _pytest(tmp_path, "-n", "2", "--dist", "loadscope")
    run = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(), process_group=0
    )
    try:
        while len(children := list(tmp_path.glob("*.child"))) < 2:
            assert run.poll() is None
            time.sleep(0.05)  # what it waits for wants the processor
        os.killpg(run.pid, signal.SIGINT)
        said, _ = run.communicate(timeout=30)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert "KeyboardInterrupt" in said
    assert run.returncode == 2
    left = [pid for pid in (int(path.stem) for path in children) if psutil.pid_exists(pid)]
    assert not left
