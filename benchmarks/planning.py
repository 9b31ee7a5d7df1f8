"""How long the rolling plan takes, and a start on top of it: 10,000 weekly programmes that began three years ago.

The restart is `loa serve` as a process, from its beginning until its API answers and its broker is connected; the bare
start beside it is the same on an empty province.
"""

import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert
from sqlmodel import Session

from benchmarks.bars import Bar
from benchmarks.province import PROVINCE, Served, area_of, make_province
from controller.media import MediaStore
from controller.services.context import Context
from controller.services.planning import plan_week
from controller.store import Database
from controller.tables import Programme
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.names import AreaPath

BARS = {
    "plan_10000_s": Bar("a week of 10,000 weekly programmes that began three years ago, planned", at_most=5.0),
    "restart_10000_s": Bar("`loa serve` on them, from its beginning until it answers", at_most=3.0),
}
_COMMUNES = 54
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def run(quick: bool) -> dict[str, float]:
    """Medians over an SQLite file; the plan's first run and its repetition."""
    count, rounds = (1000, 1) if quick else (10_000, 5)
    found = [_measure(count) for _ in range(rounds)]
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def _measure(count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        made = make_province(Path(folder) / "full", _COMMUNES, keys=True)
        db = Database(f"sqlite:///{made.data}/loa.db", inline=True)
        media = MediaStore(made.data / "media")
        ctx = Context(SystemClock(), system_entropy, made.controller, AreaPath(PROVINCE), "bench", media)
        db.run(lambda session: _programmes(session, ctx, count, made.bulletin))
        figures = {}
        for name in ("plan_10000_s", "plan_again_s"):
            before = time.perf_counter()
            db.run(lambda session: plan_week(session, ctx))
            figures[name] = time.perf_counter() - before
        db.close()
        with Served(made) as served:
            figures["restart_10000_s"] = served.started_in_s
        with Served(make_province(Path(folder) / "empty", 1)) as served:
            figures["restart_bare_s"] = served.started_in_s
        return figures


def _programmes(session: Session, ctx: Context, count: int, bulletin: str) -> None:
    rows = []
    for number in range(count):
        minute = number // (_COMMUNES * 7)
        rows.append(
            {
                "id": f"{number:032x}", "area": str(area_of(number)), "title": f"Chương trình {number}",
                "starts_on": f"2023-11-20T{5 + minute // 60:02}:{minute % 60:02}:00",
                "recurrence": f"FREQ=WEEKLY;BYDAY={_DAYS[number // _COMMUNES % 7]}", "excluded": [],
                "rundown": [bulletin], "target_areas": [], "target_nodes": [], "precedence": 1, "interruption": 1,
                "created_by": "bench", "created_at": ctx.now,
            }
        )  # fmt: skip
    session.execute(insert(Programme), rows)
