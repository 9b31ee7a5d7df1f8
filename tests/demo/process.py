"""`loa demo` as a process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil


def start_demo(*arguments: str, folder: Path) -> "subprocess.Popen[str]":
    """Started in this folder; what it says comes by its stdout."""
    return subprocess.Popen(
        [sys.executable, "-c", "from loa.cli.main import main; main()", "demo", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "120"},
    )


def children_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """What it started."""
    return psutil.Process(process.pid).children(recursive=True)


def interrupted(process: "subprocess.Popen[str]", after: str) -> float:
    """Ctrl-C once it has said `after`: it ends in order and leaves no process. Seconds that it took."""
    assert process.stdout is not None
    for line in process.stdout:
        if after in line:
            break
    children = children_of(process)
    assert any("mosquitto" in child.name() for child in children)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    took = time.monotonic() - began
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert not psutil.wait_procs(children, timeout=5)[1]
    return took
