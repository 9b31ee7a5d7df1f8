"""A changed boundary: nodes, programmes and timetables follow in one unit of work, and a dry run says so beforehand."""

import pytest

from controller.services import nodes
from controller.services.area_moves import MovePlan, ProgrammeMove, move_area
from controller.services.areas import add_area, list_areas
from controller.services.broadcasts import IssueForm, issue_now, recall
from controller.services.context import Changed
from controller.services.planning import plan_week
from controller.services.programmes import ProgrammeView, add_programme, programme
from controller.services.settings import settings_of
from controller.services.settings_changes import change_settings
from controller.tables import Area, AreaMove, Broadcast
from devices.protocol.documents import Placement
from devices.protocol.envelope import open_sealed
from loa.errors import Refused
from tests.controller.services.conftest import QN, World
from tests.controller.services.test_planning import entries, form, rows

OLD, NEW = f"{QN}/co-to/thon-1", f"{QN}/hong-gai/thon-1"


def move(world: World, path: str = OLD, to: str = NEW, *, dry_run: bool = False) -> Changed[MovePlan]:
    return world.run(lambda session: move_area(session, world.ctx, path=path, to=to, dry_run=dry_run))


def programme_of(world: World, title: str, **changes: object) -> str:
    wanted = form(world, title=title, **changes)
    return world.run(lambda session: add_programme(session, world.ctx, wanted)).value.id


def everything(world: World) -> str:
    views = world.run(lambda session: (nodes.list_nodes(session, world.ctx), list_areas(session)))
    return repr((views, [row.model_dump() for row in rows(world)]))


def shown(world: World, id: str) -> ProgrammeView:  # noqa: A002
    return world.run(lambda session: programme(session, id))


def gone_to(world: World, path: str) -> str | None:
    row = world.run(lambda session: session.get(AreaMove, path))
    return None if row is None else row.to


def test_nodes_are_placed_anew_and_the_timetable_follows(world: World) -> None:
    village = programme_of(world, "Thôn", area=OLD)
    before = entries(world, OLD)
    assert before.entries
    world.clock.at += 1000
    changed = move(world)
    assert [control.node for control in changed.outgoing.controls] == ["ct-1", "ct-2"]
    for control in changed.outgoing.controls:
        sealed = open_sealed(control.payload)
        assert sealed.signature.holds_under(world.ctx.keys.public_key)
        assert isinstance(sealed.message, Placement)
        assert sealed.message.area == NEW
    after = entries(world, NEW)
    assert [one.start_at for one in after.entries] == [one.start_at for one in before.entries]
    assert [set(one.replaces) >= {old.id} for one, old in zip(after.entries, before.entries, strict=True)]
    assert entries(world, OLD).entries == ()
    assert {document.area for document in changed.outgoing.documents} == {OLD, NEW}
    assert world.run(lambda session: programme(session, village)).area == NEW
    # The next roll of the plan has nothing to add.
    assert not world.run(lambda session: plan_week(session, world.ctx)).documents


def test_a_dry_run_says_what_then_happens_and_changes_nothing(world: World) -> None:
    programme_of(world, "Thôn", area=OLD)
    programme_of(world, "Cả tỉnh", area=QN, target_areas=(OLD, f"{QN}/hong-gai"))
    before = everything(world)
    said = move(world, dry_run=True)
    assert not said.outgoing
    assert everything(world) == before
    assert move(world).value == said.value
    assert everything(world) != before


def test_what_becomes_of_programmes(world: World) -> None:
    """Each keeps to its own area: what left it is not spoken to by the old commune any more."""
    ids = {
        "with its area": programme_of(world, "a", area=OLD),
        "of the province": programme_of(world, "b", area=QN, target_areas=(OLD,)),
        "whole commune": programme_of(world, "c"),
        "one village": programme_of(world, "d", target_areas=(OLD,)),
        "a village and a node": programme_of(world, "e", target_areas=(OLD,), target_nodes=("ct-3",)),
        "nodes": programme_of(world, "f", target_nodes=("ct-1", "ct-3")),
        "elsewhere": programme_of(world, "g", area=f"{QN}/hong-gai"),
    }
    found: dict[str, ProgrammeMove] = {one.id: one for one in move(world).value.programmes}
    fates = {what: found[one].fate if one in found else "as it was" for what, one in ids.items()}
    assert fates == {
        "with its area": "moved",
        "of the province": "retargeted",
        "whole commune": "as it was",
        "one village": "stopped",
        "a village and a node": "narrowed",
        "nodes": "narrowed",
        "elsewhere": "as it was",
    }
    assert found[ids["of the province"]].target_areas == (NEW,)
    views = {what: shown(world, one) for what, one in ids.items()}
    assert views["one village"].stopped_at == world.ctx.now
    assert (views["a village and a node"].target_areas, views["a village and a node"].target_nodes) == ((), ("ct-3",))
    coming = [row for row in rows(world) if row.status == "planned"]
    assert not [row.title for row in coming if OLD in row.target_areas]
    assert {row.title for row in coming if NEW in row.target_areas} == {"a", "b"}


def test_a_whole_commune_with_its_settings_and_villages(world: World) -> None:
    world.run(lambda session: change_settings(session, world.ctx, area=f"{QN}/co-to", ordinary_cap=40))
    moved = move(world, f"{QN}/co-to", f"{QN}/dac-khu-co-to").value
    assert moved.areas == ((f"{QN}/co-to", f"{QN}/dac-khu-co-to"), (OLD, f"{QN}/dac-khu-co-to/thon-1"))
    assert moved.nodes == ("ct-1", "ct-2", "ct-3")
    held = world.run(lambda session: settings_of(session, world.ctx, f"{QN}/dac-khu-co-to/thon-1"))
    assert held.ordinary_cap == 40
    listed = {view.path for view in world.run(list_areas)}
    assert listed == {QN, f"{QN}/hong-gai", f"{QN}/dac-khu-co-to", f"{QN}/dac-khu-co-to/thon-1"}


def test_history_stays_where_it_was_and_the_old_path_says_where_it_went(world: World) -> None:
    programme_of(world, "Thôn", area=OLD)
    old = rows(world)[0].id
    world.clock.at += 40 * 3_600_000
    move(world)
    assert world.run(lambda session: session.get_one(Broadcast, old)).area == OLD
    assert world.run(lambda session: session.get(Area, OLD)) is not None
    with pytest.raises(Refused, match="area_moved") as refusal:
        world.run(lambda session: nodes.move_node(session, world.ctx, id="hg-1", area=OLD))
    assert refusal.value.values["to"] == NEW
    with pytest.raises(Refused, match="area_moved"):
        world.run(lambda session: add_area(session, world.ctx, path=OLD, name="Thôn 1"))


def test_there_and_back_again(world: World) -> None:
    move(world)
    world.clock.at += 1000
    third = f"{QN}/hong-gai/thon-9"
    move(world, NEW, third)
    assert gone_to(world, OLD) == third
    world.clock.at += 1000
    move(world, third, OLD)
    assert world.run(lambda session: nodes.node(session, world.ctx, "ct-1")).area == OLD
    assert [gone_to(world, path) for path in (OLD, NEW, third)] == [None, OLD, OLD]


@pytest.mark.parametrize(
    ("path", "to", "code"),
    [
        (QN, f"{QN}/x", "bad_area_path"),
        (OLD, "lang-son/x", "bad_area_path"),
        (OLD, QN, "bad_area_path"),
        (f"{QN}/co-to", f"{QN}/co-to/x", "bad_area_path"),
        (f"{QN}/co-to", f"{QN}/hong-gai/co-to", "bad_area_path"),  # its village would lie too deep
        (OLD, f"{QN}/nowhere/thon-1", "not_found"),
        (f"{QN}/nowhere", f"{QN}/x", "not_found"),
        (OLD, f"{QN}/hong-gai", "already_exists"),
    ],
)
def test_what_cannot_be(world: World, path: str, to: str, code: str) -> None:
    before = everything(world)
    with pytest.raises(Refused, match=code):
        move(world, path, to)
    assert everything(world) == before


@pytest.mark.parametrize(
    ("target", "busy"), [(OLD, True), (f"{QN}/co-to", True), (f"{QN}/hong-gai", False), (QN, False)]
)
def test_not_while_something_sounds_there_that_would_not_reach_it_afterwards(
    world: World, target: str, busy: bool
) -> None:
    bulletin = world.bulletin().id
    form_now = IssueForm(bulletins=[bulletin], target_areas=[target], title="Nước lên")
    issued = world.run(lambda session: issue_now(session, world.ctx, form_now))
    if not busy:
        assert move(world).value.nodes == ("ct-1", "ct-2")
        return
    with pytest.raises(Refused, match="area_on_air"):
        move(world)
    world.run(lambda session: recall(session, world.ctx, id=issued.broadcast_id.hex()))
    assert move(world).value.nodes == ("ct-1", "ct-2")
