"""A process killed at random moments of planning and issuing: what it committed is whole, and nothing comes twice."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlmodel import Session, select

from controller.services.due import do_due
from controller.store import Database
from controller.tables import Broadcast, BroadcastNode, OwedOrder, StateDocument
from devices.protocol.documents import Timetable
from devices.protocol.envelope import open_sealed
from tests.controller.services.conftest import HandClock, build

KILLS, MOST_STEPS, ENOUGH = 8, 12, 20
SCRIPT = """
import sys
from pathlib import Path
from controller.services.broadcasts import IssueForm, issue_now
from controller.services.due import do_due
from controller.services.programmes import ProgrammeForm, add_programme
from controller.store import Database
from tests.controller.services.conftest import QN, context
db = Database(f"sqlite:///{sys.argv[1]}/loa.db", inline=True)
ctx = context(Path(sys.argv[1]) / "media", start=int(sys.argv[3]))
bulletin = sys.argv[2]
print("ready", flush=True)
for number in range(1000):
    form = ProgrammeForm(title="x", area=f"{QN}/co-to", starts_on=f"2026-09-01T05:{number % 60:02}",
                         recurrence="FREQ=DAILY", rundown=(bulletin,))
    db.run(lambda s: add_programme(s, ctx, form))
    print("planned", flush=True)
    db.run(lambda s: issue_now(s, ctx, IssueForm(bulletins=[bulletin], target_areas=[QN])))
    print("issued", flush=True)
    ctx.clock.at += 600_000
    db.run(lambda s: do_due(s, ctx, ctx.now))
    print("done", flush=True)
"""


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'loa.db'}", inline=True)
    db.upgrade()
    world = build(db, tmp_path / "media")
    bulletin = world.bulletin().id
    moments = random.Random(39)
    clock = HandClock()
    known: dict[str, tuple[str | None, int]] = {}
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path), bulletin, str(clock.at)], stdout=subprocess.PIPE
        )
        _kill_within_a_step(child, moments)
        clock.at += 3 * 3_600_000
        _check(db, known)
    world.clock.at = clock.at
    world.run(lambda s: do_due(s, world.ctx, world.ctx.now))
    _check(db, known)
    assert len(known) > ENOUGH
    db.close()


def _kill_within_a_step(child: "subprocess.Popen[bytes]", moments: random.Random) -> None:
    """After some steps, and a part of the time that the last one took: however busy the machine, it got that far."""
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    begun = before = time.monotonic()
    for _ in range(moments.randint(1, MOST_STEPS)):
        assert child.stdout.readline() in (b"planned\n", b"issued\n", b"done\n")
        before, begun = begun, time.monotonic()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(moments.uniform(0, begun - before))
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL
    child.stdout.close()


def _expected(session: Session) -> dict[str, list[str]]:
    return _grouped((row.broadcast, row.node) for row in session.exec(select(BroadcastNode)))


def _owed(session: Session) -> dict[str, list[str]]:
    return _grouped((row.order, row.node) for row in session.exec(select(OwedOrder)))


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for key, node in pairs:
        found[key].append(node)
    return {key: sorted(nodes) for key, nodes in found.items()}


def _check(db: Database, known: dict[str, tuple[str | None, int]]) -> None:
    rows = db.read(lambda s: s.exec(select(Broadcast)).all())
    for row in rows:
        assert known.setdefault(row.id, (row.slot, row.start_at)) == (row.slot, row.start_at)
    assert known.keys() <= {row.id for row in rows}
    active = [row for row in rows if row.status in ("planned", "issued", "ended")]
    slots = [row.slot for row in active if row.slot]
    assert len(slots) == len(set(slots))
    expected, owed = db.read(_expected), db.read(_owed)
    for row in active:
        if not row.scheduled:
            assert expected[row.id] == ["ct-1", "ct-2", "ct-3", "hg-1"]
        if not row.scheduled and row.status == "issued":
            assert owed[row.id] == expected[row.id]
    document = db.read(lambda s: s.get(StateDocument, ("quang-ninh/co-to", "timetable")))
    if document is not None:
        timetable = open_sealed(document.payload).message
        assert isinstance(timetable, Timetable)
        # What began before it was signed is no longer in it, and is marked as issued at the next look at what is due.
        planned = {row.id for row in rows if row.status == "planned" and row.start_at > timetable.version}
        assert planned <= {entry.id.hex() for entry in timetable.entries}
