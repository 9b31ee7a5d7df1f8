"""A centre without a wire: tables, media, keys, a clock that only moves when told."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pytest
from sqlmodel import Session

from controller.media import MediaStore
from controller.services.areas import add_area, ensure_province
from controller.services.bulletins import BulletinView, NewRendition, approve_bulletin, draft_bulletin
from controller.services.context import Context
from controller.services.nodes import enrol_node
from controller.store import Database
from devices.protocol.keys import SigningKey
from devices.protocol.media import manifest_for
from devices.protocol.reports import Receipt, ReceiptCause, ReceiptEvent
from loa.clock import Timer
from loa.names import AreaPath
from loa.units import DurationMs, Id16, InstantMs, NodeId
from tests.migrated import put, taken
from tests.postgres import Postgres

T = TypeVar("T")
START = InstantMs(1_790_000_000_000)  # Monday 2026-09-21, 21:13:20 in Vietnam
QN = "quang-ninh"


class HandClock:
    """Moves when told to."""

    def __init__(self, at: int = START) -> None:
        self.at = at

    def now_ms(self) -> InstantMs:
        return InstantMs(self.at)

    def monotonic_s(self) -> float:
        return self.at / 1000

    async def sleep(self, seconds: float) -> None:
        self.at += round(seconds * 1000)

    def call_later(self, seconds: float, act: Callable[[], object]) -> Timer:
        raise NotImplementedError


class CountedEntropy:
    """Different bytes each time, the same in each run."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, length: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(length, "big")


@dataclass
class World:
    db: Database
    clock: HandClock
    ctx: Context
    numbers: dict[str, int] = field(default_factory=dict)

    def run(self, work: Callable[[Session], T]) -> T:
        return self.db.run(work)

    def bulletin(self, title: str = "Thông báo", seconds: float = 20, *, approve: bool = True) -> BulletinView:
        data = title.encode() * 400
        duration = DurationMs(int(seconds * 1000))
        fresh = NewRendition(data, manifest_for(data, duration_ms=duration))

        def work(session: Session) -> BulletinView:
            view = draft_bulletin(session, replace(self.ctx, account="mai"), title=title, area=QN, renditions=[fresh])
            if approve:
                view = approve_bulletin(session, self.ctx, id=view.id, content_hash=view.content_hash)
            return view

        return self.run(work)

    def receipt(
        self, node: str, event: ReceiptEvent, subject: bytes | str | None = None, *, number: int | None = None,
        cause: ReceiptCause = ReceiptCause.NONE, late_ms: int | None = None, epoch: bytes = b"epoch-01",
    ) -> tuple[Receipt, bytes]:  # fmt: skip
        self.numbers[node] = number or self.numbers.get(node, 0) + 1
        raw = bytes.fromhex(subject) if isinstance(subject, str) else subject
        receipt = Receipt(
            node=NodeId(node), epoch=epoch, number=self.numbers[node], at=self.clock.now_ms(), event=event,
            subject=None if raw is None else Id16(raw), cause=cause, late_ms=late_ms,
        )  # fmt: skip
        return receipt, b"signed"


def node_key(name: str) -> SigningKey:
    return SigningKey(name.encode().ljust(32, b"."))


def context(folder: Path, *, start: int = START) -> Context:
    """Of the person Lan; where the clock does not begin at START, ids are drawn from there on."""
    entropy = CountedEntropy()
    entropy.count = start - START
    return Context(HandClock(start), entropy, SigningKey(b"c" * 32), AreaPath(QN), "lan", MediaStore(folder))


_built: list[tuple[sqlite3.Connection, int]] = []
"""What `build` made of the first SQLite database, and how often it had drawn: the others are given the same."""


def build(db: Database, folder: Path) -> World:
    """Quảng Ninh with Cô Tô (two nodes in thôn 1, one in the commune) and Hồng Gai (one)."""
    clock = HandClock()
    ctx = replace(context(folder), clock=clock)

    def work(session: Session) -> None:
        ensure_province(session, ctx, "Quảng Ninh")
        for path, name in (("co-to", "Cô Tô"), ("co-to/thon-1", "Thôn 1"), ("hong-gai", "Hồng Gai")):
            add_area(session, ctx, path=f"{QN}/{path}", name=name)
        places = {"ct-1": "co-to/thon-1", "ct-2": "co-to/thon-1", "ct-3": "co-to", "hg-1": "hong-gai"}
        for node, path in places.items():
            enrol_node(session, ctx, id=node, area=f"{QN}/{path}", public_key=node_key(node).public_key)

    entropy = ctx.entropy
    assert isinstance(entropy, CountedEntropy)
    plain = db.engine.dialect.name == "sqlite"
    if plain and _built:
        copy, entropy.count = _built[0]
        put(db, copy)
    else:
        db.run(work)
        if plain:
            _built.append((taken(db), entropy.count))
    return World(db, clock, ctx)


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.needs("postgresql")])]
)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """The same tests on both."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'loa.db'}"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.fresh_url()
    db = Database(url, inline=True)
    db.upgrade()
    try:
        yield db
    finally:
        db.close()


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return build(database, tmp_path / "media")
