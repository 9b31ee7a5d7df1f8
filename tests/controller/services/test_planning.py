"""The rolling plan in the tables: idempotent, resumed after a stop, changed and recalled without repeats."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from controller.services.broadcasts import list_broadcasts, recall
from controller.services.bulletins import withdraw_bulletin
from controller.services.due import do_due, next_due
from controller.services.planning import plan_due, plan_week
from controller.services.programmes import ProgrammeForm, add_programme, change_programme, form_of, stop_programme
from controller.services.settings_changes import change_settings
from controller.services.streams import due_streams, stream_ended
from controller.services.timetables import timetable
from controller.store import Database
from controller.tables import Broadcast, BroadcastNode
from devices.protocol.documents import Hours, Timetable
from devices.protocol.envelope import open_sealed
from loa.errors import Refused
from loa.precedence import Precedence
from loa.units import InstantMs
from tests.controller.services.conftest import QN, START, World, build

DAY = 86_400_000


def form(world: World, **changes: object) -> ProgrammeForm:
    base = ProgrammeForm(
        title="Bản tin sáng", area=f"{QN}/co-to", starts_on="2026-09-01T05:00", recurrence="FREQ=DAILY;BYHOUR=5,17",
        rundown=(world.bulletin().id,),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def rows(world: World) -> list[Broadcast]:
    return world.run(lambda s: list(s.exec(select(Broadcast).order_by(col(Broadcast.start_at), col(Broadcast.id)))))


def entries(world: World, area: str = f"{QN}/co-to") -> Timetable:
    found = world.run(lambda s: timetable(s, area))
    assert found is not None
    return found


def test_a_programme_becomes_a_timetable(world: World) -> None:
    changed = world.run(lambda s: add_programme(s, world.ctx, form(world)))
    document = changed.outgoing.documents[0]
    sealed = open_sealed(document.payload)
    assert sealed.signature.holds_under(world.ctx.keys.public_key)
    held = entries(world)
    assert held == sealed.message
    assert len(held.entries) == 14  # two a day from tomorrow to the end of Monday week
    assert held.entries[0].start_at == 1_790_028_000_000  # 05:00 in Vietnam
    assert all(one.start_at > START for one in held.entries)
    assert held.covers_until >= START + 7 * DAY
    refs = held.entries[0].renditions
    assert refs[0].stream_at is not None
    assert START < refs[0].stream_at < held.entries[0].start_at


def test_planning_again_changes_nothing(world: World) -> None:
    world.run(lambda s: add_programme(s, world.ctx, form(world)))
    before = [row.model_dump() for row in rows(world)]
    for step in (0, 1, 3_600_000, 3_600_000):
        world.clock.at += step
        assert not world.run(lambda s: plan_week(s, world.ctx))
        assert [row.model_dump() for row in rows(world)] == before


def test_rolling_on_adds_a_day_and_never_touches_what_began(world: World) -> None:
    world.run(lambda s: add_programme(s, world.ctx, form(world)))
    seen = {row.slot: row.id for row in rows(world)}
    for _ in range(20):
        due = world.run(lambda s: next_due(s, world.ctx))
        assert due is not None
        world.clock.at = max(world.clock.at, due)
        world.run(lambda s: do_due(s, world.ctx, world.clock.now_ms()))
        for stream in world.run(lambda s: due_streams(s, world.clock.now_ms())):
            world.run(lambda s, d=stream.digest: stream_ended(s, d, world.clock.now_ms()))  # type: ignore[misc]
        for row in rows(world):
            assert seen.setdefault(row.slot, row.id) == row.id
    assert world.clock.at > START + 2 * DAY
    assert len({row.slot for row in rows(world)}) == len(rows(world)) > 15
    assert {"planned", "ended"} <= {row.status for row in rows(world)} <= {"planned", "issued", "ended"}
    ended = next(row for row in rows(world) if row.status == "ended")
    expected = world.run(lambda s: s.exec(select(BroadcastNode.node).where(BroadcastNode.broadcast == ended.id)).all())
    assert sorted(expected) == ["ct-1", "ct-2", "ct-3"]


def test_a_recalled_one_stays_recalled(world: World) -> None:
    world.run(lambda s: add_programme(s, world.ctx, form(world)))
    first = world.run(list_broadcasts)[0]
    version = entries(world).version
    out = world.run(lambda s: recall(s, world.ctx, id=first.id)).outgoing
    assert len(out.documents) == 1
    assert len(out.orders) == 1
    held = entries(world)
    assert held.version > version
    assert bytes.fromhex(first.id) not in {one.id for one in held.entries}
    for _ in range(2):
        world.run(lambda s: plan_week(s, world.ctx))
    assert bytes.fromhex(first.id) not in {one.id for one in entries(world).entries}
    assert len([row for row in rows(world) if row.start_at == first.start_at]) == 1
    assert not world.run(lambda s: recall(s, world.ctx, id=first.id)).outgoing


def test_a_change_withdraws_and_names_what_it_replaces(world: World) -> None:
    view = world.run(lambda s: add_programme(s, world.ctx, form(world))).value
    before = {row.start_at: row.id for row in rows(world)}
    other = world.bulletin("Tin mới")
    world.run(lambda s: change_programme(s, world.ctx, view.id, replace(form_of(s, view.id), rundown=(other.id,))))
    held = entries(world)
    assert len(held.entries) == len(before)
    for one in held.entries:
        assert one.id.hex() not in before.values()
        assert bytes.fromhex(before[one.start_at]) in one.replaces
    # Back again: other ids once more, and the whole line of ancestors.
    world.run(lambda s: change_programme(s, world.ctx, view.id, replace(form_of(s, view.id), rundown=view.rundown)))
    again = entries(world).entries[0]
    assert again.id not in {one.id for one in held.entries}
    assert bytes.fromhex(before[again.start_at]) in again.replaces
    assert held.entries[0].id in again.replaces


def test_stopping_and_withdrawing_empty_the_timetable(world: World) -> None:
    view = world.run(lambda s: add_programme(s, world.ctx, form(world))).value
    out = world.run(lambda s: withdraw_bulletin(s, world.ctx, id=view.rundown[0])).outgoing
    assert len(out.documents) == 1
    assert entries(world).entries == ()
    assert not world.run(lambda s: stop_programme(s, world.ctx, id=view.id)).outgoing
    assert {row.status for row in rows(world)} == {"withdrawn"}


def test_overlaps_are_resolved_and_shown(world: World) -> None:
    world.run(lambda s: add_programme(s, world.ctx, form(world)))
    village = form(world, title="Thôn 1", area=f"{QN}/co-to/thon-1", starts_on="2026-09-01T05:00:10")
    world.run(lambda s: add_programme(s, world.ctx, village))
    elsewhere = form(world, title="Hồng Gai", area=f"{QN}/hong-gai")
    world.run(lambda s: add_programme(s, world.ctx, elsewhere))
    urgent = form(world, title="Ưu tiên", precedence=Precedence.PRIORITY)
    world.run(lambda s: add_programme(s, world.ctx, urgent))
    views = world.run(list_broadcasts)
    moved = [view for view in views if view.wanted_at is not None]
    assert {view.title for view in moved} == {"Thôn 1"}
    assert {view.start_at - (view.wanted_at or 0) for view in moved} == {12_000}
    assert all(view.note.startswith("overlap:") for view in moved)


def test_out_of_hours_is_shown_and_never_signed(world: World) -> None:
    hours = (Hours(from_minute=300, to_minute=360),)
    world.run(lambda s: change_settings(s, world.ctx, area=f"{QN}/co-to", hours=hours))
    world.run(lambda s: add_programme(s, world.ctx, form(world)))
    assert {view.status for view in world.run(list_broadcasts) if view.note} == {"crowded_out"}
    assert len(entries(world).entries) == 7
    world.run(lambda s: change_settings(s, world.ctx, area=f"{QN}/co-to", hours=()))
    assert len(entries(world).entries) == 14


def test_what_is_refused(world: World) -> None:
    draft = world.bulletin("Nháp", approve=False)
    cases: list[tuple[str, dict[str, object]]] = [
        ("not_found", {"rundown": ("00",)}),
        ("field_required", {"rundown": ()}),
        ("not_approved", {"rundown": (draft.id,)}),
        ("bad_recurrence", {"recurrence": "FREQ=SECONDLY"}),
        ("bad_start", {"starts_on": "2026-09-01T05:00+07:00"}),
        ("bad_excluded_date", {"excluded": ("tết",)}),
        ("outside_area", {"target_areas": (f"{QN}/hong-gai",)}),
        ("outside_area", {"target_nodes": ("hg-1",)}),
        ("not_found", {"target_nodes": ("nobody",)}),
        ("not_found", {"area": f"{QN}/nowhere"}),
        ("volume_range", {"volume": 101}),
        ("emergency_needs_release", {"precedence": Precedence.EMERGENCY}),
        ("field_required", {"title": " "}),
    ]
    for code, changes in cases:
        wanted = form(world, **changes)
        with pytest.raises(Refused) as caught:
            world.run(lambda s, w=wanted: add_programme(s, world.ctx, w))  # type: ignore[misc]
        assert caught.value.code == code
    assert rows(world) == []


def test_streams_are_spread_and_go_out_once(world: World) -> None:
    ids = tuple(world.bulletin(f"Tin {n}").id for n in range(3))
    world.run(lambda s: add_programme(s, world.ctx, form(world, rundown=ids)))
    world.clock.at += 10_000
    streams = world.run(lambda s: due_streams(s, world.clock.now_ms()))
    assert len(streams) == 3
    assert len({one.stream_at for one in streams}) == 3
    for one in streams:
        world.run(lambda s, d=one.digest: stream_ended(s, d, world.clock.now_ms()))  # type: ignore[misc]
    world.run(lambda s: plan_week(s, world.ctx))
    assert world.run(lambda s: due_streams(s, InstantMs(world.clock.at + DAY))) == ()


async def test_two_planners_at_once_plan_once(world: World) -> None:
    wanted = form(world)
    url = world.db.engine.url.render_as_string(hide_password=False)
    both = Database(url), Database(url)
    await both[0].unit_of_work(lambda s: add_programme(s, world.ctx, wanted))
    await asyncio.gather(*(one.unit_of_work(lambda s: plan_week(s, world.ctx)) for one in both * 3))
    assert len(rows(world)) == len({row.slot for row in rows(world)}) == 14
    world.clock.at += DAY
    await asyncio.gather(*(one.unit_of_work(lambda s: do_due(s, world.ctx, world.ctx.now)) for one in both * 3))
    assert len(rows(world)) == len({row.slot for row in rows(world)}) == 16
    for one in both:
        one.close()


class Stop(Exception):
    """The process ends here."""


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3 * DAY)), min_size=1, max_size=4))
def test_a_stop_at_any_statement_leaves_the_plan_whole(
    stops: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Stopped at the n-th statement of planning, and planned again later: the same as planned once."""
    folder = tmp_path_factory.mktemp("stop")
    db = Database("sqlite://", inline=True)
    db.upgrade()
    world = build(db, folder)
    world.run(lambda s: add_programme(s, world.ctx, form(world)))
    before = {row.slot: row.id for row in rows(world)}
    for after, pause in stops:
        world.clock.at += pause

        def work(session: Session, after: int = after) -> None:
            count = 0
            plain = session.execute

            def counted(*args: Any, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                if count > after:
                    raise Stop
                return plain(*args, **kwargs)

            session.execute = counted  # type: ignore[method-assign]
            plan_week(session, world.ctx)
            raise Stop

        with pytest.raises(Stop):
            world.run(work)
    assert {row.slot: row.id for row in rows(world)} == before
    world.run(lambda s: plan_week(s, world.ctx))
    after_all = {row.slot: row.id for row in rows(world)}
    assert len(after_all) == len(rows(world))
    assert before.items() <= after_all.items()
    assert world.run(lambda s: plan_due(s, world.ctx)) > world.clock.at
    db.close()
