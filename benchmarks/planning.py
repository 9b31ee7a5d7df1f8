"""How long the rolling plan and receipts take: 10,000 weekly programmes begun three years ago; receipts in groups."""

import tempfile
import time
from pathlib import Path

from sqlalchemy import insert
from sqlmodel import Session

from benchmarks.bars import Bar
from controller.media import MediaStore
from controller.services.areas import add_area, ensure_province
from controller.services.bulletins import NewRendition, approve_bulletin, draft_bulletin
from controller.services.context import Context
from controller.services.nodes import enrol_node
from controller.services.planning import plan_week
from controller.services.receipts import record_receipts
from controller.store import Database
from controller.tables import Programme
from devices.protocol.envelope import open_sealed, seal
from devices.protocol.keys import SigningKey
from devices.protocol.media import manifest_for
from devices.protocol.reports import Receipt, ReceiptEvent
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.names import AreaPath
from loa.units import DurationMs, NodeId

BARS = {
    "plan_s": Bar("first plan of 10,000 weekly programmes begun three years ago", at_most=5.0),
    "plan_again_s": Bar("planning them again with nothing changed", at_most=5.0),
    "receipts_per_s": Bar("receipts verified and committed a second, in groups of 200", at_least=3000.0),
}
_COMMUNES = 54
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_GROUP = 200


def run(quick: bool) -> dict[str, float]:
    """Figures over an SQLite file."""
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        db = Database(f"sqlite:///{folder}/loa.db", inline=True)
        db.upgrade()
        media = MediaStore(Path(folder) / "media")
        ctx = Context(SystemClock(), system_entropy, SigningKey(b"c" * 32), AreaPath("qn"), "bench", media)
        keys = db.run(lambda session: _province(session, ctx))
        db.run(lambda session: _programmes(session, ctx, 2000 if quick else 10_000))
        figures = {}
        for name in ("plan_s", "plan_again_s"):
            before = time.perf_counter()
            db.run(lambda session: plan_week(session, ctx))
            figures[name] = time.perf_counter() - before
        figures["receipts_per_s"] = _receipts(db, ctx, keys, 2000 if quick else 10_000)
        db.close()
    return figures


def _province(session: Session, ctx: Context) -> dict[str, SigningKey]:
    ensure_province(session, ctx, "Quảng Ninh")
    keys: dict[str, SigningKey] = {}
    for number in range(_COMMUNES):
        area = f"qn/xa-{number}"
        add_area(session, ctx, path=area, name=area)
        name = f"n-{number}"
        keys[name] = SigningKey(name.encode().ljust(32, b"."))
        enrol_node(session, ctx, id=name, area=area, public_key=keys[name].public_key)
    return keys


def _programmes(session: Session, ctx: Context, count: int) -> None:
    data = b"speech" * 1000
    fresh = NewRendition(data, manifest_for(data, duration_ms=DurationMs(20_000)))
    view = draft_bulletin(session, ctx, title="Bản tin", area="qn", renditions=[fresh])
    approve_bulletin(session, ctx, id=view.id, content_hash=view.content_hash)
    rows = []
    for number in range(count):
        minute = number // (_COMMUNES * 7)
        rows.append(
            {
                "id": f"{number:032x}", "area": f"qn/xa-{number % _COMMUNES}", "title": f"Chương trình {number}",
                "starts_on": f"2023-11-20T{5 + minute // 60:02}:{minute % 60:02}:00",
                "recurrence": f"FREQ=WEEKLY;BYDAY={_DAYS[number // _COMMUNES % 7]}", "excluded": [],
                "rundown": [view.id], "target_areas": [], "target_nodes": [], "precedence": 1, "interruption": 1,
                "created_by": "bench", "created_at": ctx.now,
            }
        )  # fmt: skip
    session.execute(insert(Programme), rows)


def _receipts(db: Database, ctx: Context, keys: dict[str, SigningKey], count: int) -> float:
    signed = []
    for number in range(count):
        node = f"n-{number % _COMMUNES}"
        receipt = Receipt(
            node=NodeId(node), epoch=b"epoch-01", number=number // _COMMUNES + 1, at=ctx.now,
            event=ReceiptEvent.BOOTED,
        )  # fmt: skip
        signed.append((node, seal(receipt, keys[node])))
    before = time.perf_counter()
    for at in range(0, count, _GROUP):
        batch = []
        for node, payload in signed[at : at + _GROUP]:
            sealed = open_sealed(payload)
            assert sealed.signature.holds_under(keys[node].public_key)
            assert isinstance(sealed.message, Receipt)
            batch.append((sealed.message, payload))
        db.run(lambda session, some=batch: record_receipts(session, some, ctx.now))  # type: ignore[misc]
    return count / (time.perf_counter() - before)
