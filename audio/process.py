"""Imports outside the event loop and outside this process. Cancel the task, and the work is killed."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import audio
from audio.importing import ImportedAudio, ImportOptions, Source
from audio.render import RenditionFile
from audio.sniff import SoundForm
from loa.errors import Fault, LoaError, Refused

Progress = Callable[[float, str], None]


async def import_in_process(
    recording: Path | bytes,
    *,
    options: ImportOptions | None = None,
    progress: Progress = lambda _done, _stage: None,
) -> ImportedAudio:
    """As `audio.importing.import_recording`, in a process with limits of its own; `progress` is called on the loop.

    Raises what import_recording raises; Refused(decode_failed) where the file kills the decoder; Fault(import_crashed).
    A cancelled task kills the process and leaves nothing behind.
    """
    options = options or ImportOptions()
    with tempfile.TemporaryDirectory(prefix="loa-import-") as folder:
        out = Path(folder) / "rendition.opus"
        path = recording if isinstance(recording, Path) else Path(folder) / "recording"
        if not isinstance(recording, Path):
            options = _with_name(options, "recording")
            await asyncio.to_thread(path.write_bytes, recording)
        order = {"recording": str(path), "out": str(out), "options": asdict(options)}
        plain = await _run(order, progress)
        return _imported(plain, await asyncio.to_thread(out.read_bytes))


def _with_name(options: ImportOptions, name: str) -> ImportOptions:
    return options if options.name is not None else ImportOptions(**{**asdict(options), "name": name})


async def _run(order: dict[str, Any], progress: Progress) -> dict[str, Any]:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "audio.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(),
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stderr is not None
    complaints = asyncio.ensure_future(worker.stderr.read())
    try:
        worker.stdin.write(json.dumps(order).encode() + b"\n")
        worker.stdin.close()
        answer: dict[str, Any] = {}
        async for line in worker.stdout:
            answer = json.loads(line)
            if "done" in answer:
                progress(float(answer["done"]), str(answer["stage"]))
        code = await worker.wait()
        if "refused" in answer:
            raise _error(answer["refused"])
        if "imported" in answer and code == 0:
            imported: dict[str, Any] = answer["imported"]
            return imported
        raise _crash(code, (await complaints).decode(errors="replace"))
    finally:
        if worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
        complaints.cancel()


def _environment() -> dict[str, str]:
    """Little: where Python and this package are, and one thread for numpy."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    here = str(Path(audio.__file__).parent.parent)
    return kept | {"PYTHONPATH": here, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _crash(code: int, complaint: str) -> LoaError:
    if code < 0:
        return Refused("decode_failed", field="file", plays_s=0, claimed_s="?", why=f"the decoder died, signal {-code}")
    last = complaint.strip().splitlines()[-1:] or ["no word"]
    return Fault("import_crashed", why=last[0][:200])


def _error(plain: dict[str, Any]) -> LoaError:
    kind = Fault if plain["fault"] else Refused
    return kind(plain["code"], field=plain["field"], limit=plain["limit"], **plain["values"])


def _imported(plain: dict[str, Any], data: bytes) -> ImportedAudio:
    source = plain["source"] | {"form": SoundForm(plain["source"]["form"])}
    return ImportedAudio(
        rendition=RenditionFile(data=data, **plain["rendition"]),
        source=Source(**source),
        trimmed_head_ms=plain["trimmed_head_ms"],
        trimmed_tail_ms=plain["trimmed_tail_ms"],
    )
