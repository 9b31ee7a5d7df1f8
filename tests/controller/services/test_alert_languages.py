"""Stored sounds, and which languages are heard where."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session, select

from audio import shipped
from controller.services import alert_making, alerts, bulletins, stored_sounds
from controller.services.alert_languages import Piece, pieces, spoken_at
from controller.services.alert_making import Words
from controller.services.alert_views import alert_view
from controller.services.bulletins import BulletinView, NewRendition
from controller.services.context import widest
from controller.services.settings import settings_of
from controller.services.settings_changes import change_settings, store_siren
from controller.tables import Alert, Area, OwedOrder
from devices.protocol.approval import approve, check_within, read_body
from devices.protocol.common import DRILL_ANNOUNCEMENT
from devices.protocol.envelope import open_sealed
from devices.protocol.media import manifest_for
from devices.protocol.orders import Order
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import DurationMs, NodeId
from tests.controller.services.conftest import QN, World
from tests.controller.services.test_alert_making import VILLAGE, VOICE, draft, made, row_of
from tests.controller.services.test_alerts import CO_TO, as_, office, rows  # noqa: F401 - a fixture
from tests.controller.services.test_bulletins_nodes import refused
from tests.protocol.world import FIRST, ROOTS, SECOND

pytestmark = [pytest.mark.slow, pytest.mark.needs("espeak-ng")]


def speaks(world: World, area: str, *languages: str) -> None:
    def work(session: Session) -> None:
        row = session.get_one(Area, area)
        row.languages = list(languages)
        session.add(row)

    world.run(work)


def recorded(world: World, title: str, language: str) -> BulletinView:
    data = title.encode() * 400
    fresh = NewRendition(data, manifest_for(data, duration_ms=DurationMs(9000)), language=language)

    def work(session: Session) -> BulletinView:
        ctx = replace(world.ctx, account="mai")
        view = bulletins.draft_bulletin(session, ctx, title=title, area=QN, renditions=[fresh])
        return bulletins.approve_bulletin(session, world.ctx, id=view.id, content_hash=view.content_hash)

    return world.run(work)


def standing(world: World, event: str, language: str, area: str = QN) -> str:
    view = recorded(world, f"{event} {language} {area}", language)
    world.run(
        lambda s: stored_sounds.keep_standing(s, world.ctx, area=area, bulletin=view.id, event=event, language=language)
    )
    return view.renditions[0].digest.hex()


def test_a_recording_where_no_voice_speaks(office: World) -> None:  # noqa: F811
    """A village speaks Tày and Dao: of storms there is a recording in Tày, and in Dao one at Hồng Gai alone."""
    speaks(office, QN, "vi")
    speaks(office, VILLAGE, "tyz", "ium")
    tay = standing(office, "storm", "tyz")
    standing(office, "storm", "ium", area=f"{QN}/hong-gai")
    row = row_of(office, made(office, draft(template="storm")))
    assert [(one["language"], one["voice"]) for one in row.words] == [("tyz", "recording"), ("vi", "espeak-ng")]
    assert read_body(row.body).renditions[0].digest.hex() == tay
    elsewhere = row_of(office, made(office, draft(template="storm", target_areas=(f"{QN}/hong-gai",))))
    assert [one["language"] for one in elsewhere.words] == ["vi"]
    flood = row_of(office, made(office, draft(event="Lũ", template="flood")))
    assert [one["language"] for one in flood.words] == ["vi"]
    alone = row_of(office, made(office, draft(template="storm", words=(Words("tyz", "…chữ"),))))
    assert [(one["language"], one["digest"]) for one in alone.words] == [("tyz", tay)]
    assert len(alone.bulletins) == 0, "nothing was spoken"
    by_event = standing(office, " BÃO  số ", "tyz")
    row = row_of(office, made(office, draft(event="bão số")))
    assert row.words[0]["digest"] == by_event


def test_standing_recordings_are_stored_and_given_up(office: World) -> None:  # noqa: F811
    world = office
    world.run(lambda s: change_settings(s, world.ctx, area=CO_TO, ordinary_cap=40))
    digest = standing(world, "storm", "tyz")
    sounds = world.run(lambda s: stored_sounds.stored_sounds(s, world.ctx, CO_TO))
    assert [(one.code, one.event, one.language, one.digest.hex()) for one in sounds] == [(64, "storm", "tyz", digest)]
    again = standing(world, "storm", "tyz", area=QN)
    assert again == digest
    standing(world, "flood", "tyz")
    assert [one.code for one in world.run(lambda s: stored_sounds.stored_sounds(s, world.ctx, QN))] == [64, 65]
    view = recorded(world, "x", "ium")
    wrong = refused(
        "language_differs",
        lambda: world.run(
            lambda s: stored_sounds.keep_standing(
                s, world.ctx, area=QN, bulletin=view.id, event="storm", language="tyz"
            )
        ),
    )
    assert wrong.field == "language"
    world.run(lambda s: stored_sounds.remove_sound(s, world.ctx, area=QN, code=64))
    assert [one.code for one in world.run(lambda s: settings_of(s, world.ctx, CO_TO)).sirens] == [65]
    assert world.run(lambda s: stored_sounds.standing_for(s, ["storm"], ["tyz"], [AreaPath(CO_TO)])) == {}
    refused("not_found", lambda: world.run(lambda s: stored_sounds.remove_sound(s, world.ctx, area=QN, code=64)))


def test_a_place_that_says_nothing_speaks_as_what_holds_it(office: World) -> None:  # noqa: F811
    def heard(*areas: str, nodes: tuple[str, ...] = ()) -> tuple[str, ...]:
        return office.run(lambda s: stored_sounds.languages_at(s, [AreaPath(one) for one in areas], nodes))

    assert heard(QN) == ()
    speaks(office, QN, "vi")
    speaks(office, VILLAGE, "tyz")
    assert heard(QN) == ("vi", "tyz")
    assert heard(VILLAGE) == ("tyz",)
    assert heard(f"{QN}/hong-gai") == ("vi",)
    assert heard(nodes=("ct-1",)) == ("tyz",)


def test_shipped_sounds(office: World) -> None:  # noqa: F811
    files = shipped.siren_files()
    for code, (_, made_file) in files.items():
        assert shipped.SHORTEST_MS <= made_file.duration_ms <= shipped.LONGEST_MS, code
    files |= {DRILL_ANNOUNCEMENT: shipped.drill_announcement(VOICE)}
    sounds = {code: (title, alert_making.new_rendition(one, "vi")) for code, (title, one) in files.items()}
    own = recorded(office, "còi của tỉnh", "vi")
    office.run(lambda s: store_siren(s, office.ctx, area=QN, code=2, bulletin=own.id))
    got = office.run(lambda s: stored_sounds.ship_sounds(s, office.ctx, sounds)).value
    assert got == (1, 3, DRILL_ANNOUNCEMENT)
    assert office.run(lambda s: stored_sounds.ship_sounds(s, office.ctx, sounds)).value == ()
    listed = office.run(lambda s: stored_sounds.stored_sounds(s, office.ctx, CO_TO))
    assert [one.code for one in listed] == [1, 2, 3, 255]
    assert listed[1].bulletin == own.id
    assert office.run(lambda s: stored_sounds.ship_sounds(s, office.ctx, sounds, anew=True)).value == (1, 2, 3, 255)
    name = made(office, draft())
    assert not office.run(lambda s: alert_view(s, office.ctx, s.get_one(Alert, name), roots=ROOTS)).siren_missing
    office.run(lambda s: stored_sounds.remove_sound(s, office.ctx, area=CO_TO, code=1))
    assert office.run(lambda s: alert_view(s, office.ctx, s.get_one(Alert, name), roots=ROOTS)).siren_missing


def test_a_drill_says_where_it_would_stay_silent(office: World) -> None:  # noqa: F811
    """No drill sounds unannounced: those who release one are told before, not by boards full of silence after."""

    def lacks(**changes: Any) -> bool:
        name = made(office, draft(**changes))
        return office.run(lambda s: alert_view(s, office.ctx, s.get_one(Alert, name), roots=ROOTS)).announcement_missing

    assert lacks(kind=Kind.DRILL, siren=0)
    assert not lacks()
    own = recorded(office, "đây là diễn tập", "vi")
    office.run(lambda s: store_siren(s, office.ctx, area=QN, code=DRILL_ANNOUNCEMENT, bulletin=own.id))
    assert not lacks(kind=Kind.DRILL, siren=0)
    office.run(lambda s: stored_sounds.remove_sound(s, office.ctx, area=CO_TO, code=DRILL_ANNOUNCEMENT))
    assert lacks(kind=Kind.DRILL, siren=0)


def test_a_recording_is_heard_where_its_language_is_spoken(office: World) -> None:  # noqa: F811
    """Of a provincial alert: Kinh villages hear Vietnamese alone, the Tày village its recording first, then both."""
    speaks(office, QN, "vi")
    speaks(office, VILLAGE, "vi", "tyz-VN")
    tay = standing(office, "storm", "tyz")
    name = made(office, draft(template="storm", target_areas=(QN,)))
    body = row_of(office, name).body
    seen = alerts.Seen(Kind.LIVE, alerts.digest_of_body(body))
    for key in (FIRST, SECOND):
        approval = approve(body, key)
        office.run(partial(alerts.approve, ctx=as_(office, key), name=name, seen=seen, approval=approval, roots=ROOTS))
    orders = office.run(lambda s: {one.node: open_sealed(one.payload).message for one in s.exec(select(OwedOrder))})
    assert set(orders) == {"ct-1", "ct-2", "ct-3", "hg-1"}
    for node, order in orders.items():
        assert isinstance(order, Order)
        assert order.id.hex() == name
        home = AreaPath({"ct-3": CO_TO, "hg-1": f"{QN}/hong-gai"}.get(node, VILLAGE))
        check_within(order, read_body(body), NodeId(node), home)
        languages = [ref.language for ref in order.renditions]
        assert languages == (["tyz", "vi"] if home == VILLAGE else ["vi"]), node
        if home == VILLAGE:
            assert order.renditions[0].digest.hex() == tay
        if node == "ct-3":
            assert order.nodes == ("ct-3",), "the commune's own node: its villages differ"


def test_pieces() -> None:
    province, a, b, a1, a2 = (AreaPath(one) for one in ("p", "p/a", "p/b", "p/a/1", "p/a/2"))
    said: dict[AreaPath, tuple[str, ...]] = {province: ("vi",), a: (), b: (), a1: ("tyz",), a2: ()}
    none, tay = frozenset[str](), frozenset({"tyz"})
    assert pieces([province], said, tay) == {none: Piece((a2, b), (province, a)), tay: Piece((a1,), ())}
    assert pieces([b, a1], said, tay) == {none: Piece((b,), ()), tay: Piece((a1,), ())}
    assert pieces([province], said | {a1: ()}, tay) == {none: Piece((province,), ())}
    assert pieces([province], dict.fromkeys(said, ("tyz",)), tay) == {tay: Piece((province,), ())}


@given(
    st.lists(st.sampled_from([0, 1, 2, 3]), min_size=13, max_size=13),
    st.lists(st.integers(0, 12), min_size=1, max_size=4, unique=True),
)
def test_pieces_are_the_target_and_nothing_twice(spoken: list[int], chosen: list[int]) -> None:
    """Every place of the target is in exactly one piece, and in the one that its languages say."""
    names = ["p", *(f"p/{c}" for c in "abc"), *(f"p/{c}/{v}" for c in "abc" for v in "123")]
    paths = [AreaPath(name) for name in names]
    languages: list[tuple[str, ...]] = [(), ("vi",), ("tyz",), ("vi", "ium")]
    said = {path: languages[one] for path, one in zip(paths, spoken, strict=True)}
    targets = list(widest([paths[one] for one in chosen]))
    found = pieces(targets, said, {"tyz", "ium"})
    for path in paths:
        meant = any(target.covers(path) for target in targets)
        kept = [
            one for one, piece in found.items()
            if path in piece.own or any(area.covers(path) for area in piece.areas)
        ]  # fmt: skip
        assert len(kept) == meant
        if meant:
            assert kept == [frozenset(one for one in spoken_at(path, said) if one != "vi")]


def test_a_siren_lasts_three_to_ten_seconds(office: World) -> None:  # noqa: F811
    short, fine, long = (office.bulletin(f"còi {seconds}", seconds) for seconds in (2.9, 10, 10.1))

    def keep(code: int, view: BulletinView) -> None:
        office.run(lambda s: stored_sounds.keep_siren(s, office.ctx, area=QN, code=code, bulletin=view.id))

    assert refused("siren_length", lambda: keep(4, short)).field == "bulletin"
    refused("siren_length", lambda: keep(4, long))
    assert refused("bad_value", lambda: keep(64, fine)).field == "code"
    keep(4, fine)
    assert refused("bad_value", lambda: made(office, draft(gap_ms=30_001))).field == "gap_ms"
