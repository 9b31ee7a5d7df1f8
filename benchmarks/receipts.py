"""Receipts as they come in after a broadcast: judged, kept, coverage and what is owed brought up to date, committed.

Groups of 200, as the centre gathers them, one after another on one thread. SQLite (WAL, synchronous=FULL) and a
PostgreSQL of the benchmark's own with its usual durability. Raw baselines: signatures checked alone, rows inserted
alone.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import insert, make_url
from sqlmodel import Session

from benchmarks.bars import Bar
from benchmarks.province import EPOCH, PROVINCE, Made, area_of, make_province, node_key, node_name
from controller.media import MediaStore
from controller.services.broadcasts import IssueForm, issue_now
from controller.services.context import Context
from controller.store import Database
from controller.tables import ReceiptRow
from controller.wire.records import keep_group
from controller.wire.registry import Enrolled
from controller.wire.reports import MOST_A_GROUP, Arrived, judge_group
from devices.protocol.envelope import seal
from devices.protocol.reports import Receipt, ReceiptEvent
from devices.protocol.topics import UpChannel, UpTopic
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.names import AreaPath
from loa.units import Id16, InstantMs, NodeId
from tests import tools
from tests.postgres import Postgres

BARS = {
    "receipts_per_s": Bar(
        "signed receipts verified and committed a second, the slower of both databases", at_least=3000
    )
}
_EVENTS = (ReceiptEvent.RECEIVED, ReceiptEvent.READY, ReceiptEvent.STARTED, ReceiptEvent.FINISHED)
_Signed = list[tuple[Arrived, Enrolled | None]]


def run(quick: bool) -> dict[str, float]:
    """Receipts a second, medians; every round is a broadcast of its own."""
    nodes, rounds = (100, 2) if quick else (1000, 5)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        made = make_province(Path(folder), nodes, keys=True, health=False)
        figures["receipts_per_s_sqlite"], bare = _measure(f"sqlite:///{folder}/loa.db", made, nodes, rounds)
        figures["receipts_bare_insert_per_s_sqlite"] = bare
        if not tools.missing("postgresql"):
            with _postgresql(made) as url:
                figures["receipts_per_s_postgresql"], bare = _measure(url, made, nodes, rounds)
                figures["receipts_bare_insert_per_s_postgresql"] = bare
        figures["receipts_judged_per_s"] = _judged(nodes)
    of_both = [value for name, value in figures.items() if name.startswith("receipts_per_s_")]
    return {"receipts_per_s": min(of_both), **figures}


def _measure(url: str, made: Made, nodes: int, rounds: int) -> tuple[float, float]:
    """Of ours, and of rows inserted alone in the same groups."""
    db = Database(url, inline=True)
    media = MediaStore(made.data / "media")
    ctx = Context(SystemClock(), system_entropy, made.controller, AreaPath(PROVINCE), "bench", media)
    ours, bare = [], []
    try:
        for number in range(rounds):
            form = IssueForm(bulletins=[made.bulletin], target_areas=[PROVINCE])
            broadcast = db.run(lambda session: issue_now(session, ctx, form)).broadcast_id  # noqa: B023
            signed = _signed(nodes, broadcast, number * len(_EVENTS), ctx.now)
            began = time.perf_counter()
            for at in range(0, len(signed), MOST_A_GROUP):
                _keep(db, signed[at : at + MOST_A_GROUP], ctx.now)
            ours.append(len(signed) / (time.perf_counter() - began))
            bare.append(_bare(db, signed, number))
    finally:
        db.close()
    return statistics.median(ours), statistics.median(bare)


def _keep(db: Database, some: _Signed, now: InstantMs) -> None:
    group = judge_group(some)
    if group.refused:
        raise RuntimeError(str(group.refused[0]))
    db.run(lambda session: keep_group(session, group.believed, now))


def _signed(nodes: int, broadcast: Id16, first: int, now: InstantMs) -> _Signed:
    """What all nodes say of one broadcast, in the order in which it comes in."""
    found: _Signed = []
    for offset, event in enumerate(_EVENTS):
        for number in range(nodes):
            name = node_name(number)
            key = node_key(name)
            receipt = Receipt(
                node=NodeId(name), epoch=EPOCH, number=first + offset + 1, at=now, event=event, subject=broadcast,
                time_error_ms=8,
            )  # fmt: skip
            known = Enrolled(name, area_of(number), key.public_key, 1, b"")
            found.append((Arrived(now, UpTopic(name, UpChannel.RECEIPT), seal(receipt, key), False), known))
    return found


def _bare(db: Database, signed: _Signed, round_number: int) -> float:
    """Rows a second, in groups, without looking at anything."""
    began = time.perf_counter()
    for at in range(0, len(signed), MOST_A_GROUP):
        rows: list[dict[str, Any]] = [
            {
                "node": str(one.topic.node), "epoch": "00" * 8, "number": round_number * len(signed) + at + place + 1,
                "at": one.at, "event": 13, "subject": None, "cause": 0, "refusal": None, "position_ms": None,
                "late_ms": None, "precedence": None, "time_error_ms": None, "payload": one.payload,
                "received_at": one.at,
            }
            for place, (one, _) in enumerate(signed[at : at + MOST_A_GROUP])
        ]  # fmt: skip

        def write(session: Session, rows: list[dict[str, Any]] = rows) -> None:
            session.connection().execute(insert(ReceiptRow), rows)

        db.run(write)
    return len(signed) / (time.perf_counter() - began)


def _judged(nodes: int) -> float:
    signed = _signed(nodes, Id16(bytes(16)), 0, SystemClock().now_ms())
    began = time.perf_counter()
    judge_group(signed)
    return len(signed) / (time.perf_counter() - began)


@contextmanager
def _postgresql(made: Made) -> Iterator[str]:
    """The same province in a PostgreSQL that syncs its log."""
    server = Postgres(durable=True)
    server.start()
    try:
        url = server.fresh_url()
        target = Database(url, inline=True)
        target.upgrade()
        source = Database(f"sqlite:///{made.data}/loa.db", inline=True)
        from sqlmodel import SQLModel

        with source.engine.connect() as old, target.engine.begin() as new:
            for table in SQLModel.metadata.sorted_tables:
                if table.name in ("receipt", "owed_order", "broadcast", "broadcast_node", "deed"):
                    continue
                rows = [dict(row._mapping) for row in old.execute(table.select())]
                if rows:
                    new.execute(table.insert(), rows)
        source.close()
        target.close()
        assert make_url(url).database
        yield url
    finally:
        server.stop()
