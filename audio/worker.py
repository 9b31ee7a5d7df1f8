"""`python -m audio.worker`: one import in a process of its own, so that a nasty file harms nothing else.

Reads one JSON object from standard input: recording, out (paths), options. Writes JSON lines: {"done", "stage"} on the
way, then one of {"imported"}, {"refused"}. The rendition itself goes to `out`.
"""

import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loa.errors import Fault, LoaError, Refused

MEMORY_BYTES = 2 << 30
"""Of address space, most of which libraries only reserve. What is really used stays below 300 MB."""

_STEP = 0.01


def main() -> None:
    """Do what standard input says."""
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    _limit(order["options"]["max_duration_ms"])
    from audio.importing import ImportOptions, import_recording

    out = Path(order["out"])
    shown = -1.0

    def progress(done: float, stage: str) -> None:
        nonlocal shown
        if done - shown >= _STEP:
            shown = done
            _say({"done": round(done, 3), "stage": stage})

    try:
        imported = import_recording(
            Path(order["recording"]), options=ImportOptions(**order["options"]), progress=progress
        )
    except LoaError as error:
        _say({"refused": as_json(error)})
        return
    except MemoryError:
        _say({"refused": as_json(Refused("decode_failed", field="file", why="it takes too much memory"))})
        return
    plain = asdict(imported)
    out.write_bytes(plain["rendition"].pop("data"))
    _say({"imported": plain})


def as_json(error: LoaError) -> dict[str, Any]:
    """An error in plain values."""
    return {
        "fault": isinstance(error, Fault),
        "code": error.code,
        "field": error.field,
        "limit": error.limit,
        "values": {
            name: value if isinstance(value, int | float) else str(value) for name, value in error.values.items()
        },
    }


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _limit(max_duration_ms: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    seconds = 60 + max_duration_ms // 1000 // 5
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)


if __name__ == "__main__":
    main()
