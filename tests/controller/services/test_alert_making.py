"""Alerts out of words in the tables: what sounds, in which languages, by which table; what is refused."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlmodel import Session, select

from audio.voices import Espeak
from controller.permissions import Authority, Post, Role
from controller.services import alert_levels, alert_making, alert_templates, alerts, bulletins, stored_sounds
from controller.services.alert_levels import SHIPPED, Level
from controller.services.alert_making import Draft, Words
from controller.services.alert_texts import SHIPPED_TEMPLATES, Blank, Template
from controller.services.alert_views import alert_view, sound_of, status_of
from controller.services.settings_changes import change_settings
from controller.tables import Alert, Bulletin, RecordEntry, Rendition
from devices.protocol.approval import approve, read_body
from loa.errors import OperatorNeeded
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import DurationMs, InstantMs, Percent
from tests.controller.services.conftest import QN, World
from tests.controller.services.test_alerts import CO_TO, as_, office, rows  # noqa: F401 - a fixture
from tests.controller.services.test_bulletins_nodes import refused
from tests.protocol.world import PERSON, ROOTS

pytestmark = pytest.mark.needs("espeak-ng")
VOICE = Espeak()
VILLAGE = f"{CO_TO}/thon-1"
BRIEF = Words("vi", "Bão đến. Về bờ ngay.")


def draft(**changes: Any) -> Draft:
    values: dict[str, Any] = {
        "title": "Bão số 9", "kind": Kind.LIVE, "event": "Bão", "severity": "Extreme", "urgency": "Expected",
        "target_areas": (CO_TO,), "target_nodes": (), "words": (BRIEF,), "expires_at": None, "references": (),
        "source": None, "template": None,
    }  # fmt: skip
    return Draft(**(values | changes))


def made(world: World, one: Draft) -> str:
    plan = world.run(lambda s: alert_making.plan_words(s, world.ctx, one, voices=VOICE.languages))
    said = alert_making.speak_words(plan, VOICE)
    return world.run(lambda s: alert_making.make_alert(s, world.ctx, one, plan, said))


def row_of(world: World, name: str) -> Alert:
    return world.run(lambda s: s.get_one(Alert, name))


def test_what_is_signed_names_what_was_spoken(office: World) -> None:  # noqa: F811
    name = made(office, draft(words=(BRIEF, Words("en", "Storm. Return to shore.")), source="cap@nchmf.gov.vn,9"))
    row = row_of(office, name)
    body, level = read_body(row.body), SHIPPED["Extreme", "Expected"]
    assert [ref.language for ref in body.renditions] == ["vi", "en"]
    assert [one["digest"] for one in row.words] == [ref.digest.hex() for ref in body.renditions]
    assert (body.siren, body.repeats, body.gap_ms, body.volume) == (1, 5, 20_000, 100)
    assert body.expires_at == office.ctx.now + level.lasts_ms
    assert (row.event, row.severity, row.urgency, row.source) == ("Bão", "Extreme", "Expected", "cap@nchmf.gov.vn,9")
    for ref in body.renditions:
        hear = partial(sound_of, row=row, language=None, rendition=ref.digest.hex())
        kept = office.run(hear)
        path = office.ctx.media.checked_path(kept)
        assert path.read_bytes()[:4] == b"OggS"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        refused("content_changed", partial(office.ctx.media.checked_path, kept))
    view = office.run(lambda s: alert_view(s, office.ctx, row, roots=ROOTS))
    assert any("Âm lượng 100 %" in line for line in view.words["vi"])
    assert view.siren_missing, "no node keeps a siren yet"


def test_what_approvers_read_is_what_the_voice_was_given(office: World) -> None:  # noqa: F811
    """Nothing in a text may hide from a terminal or a page what is said, or turn it about."""
    hidden = "Bão. \x1b[8mTàu thuyền\x1b[0m\u202e về bờ\x00\r ngay {x}."
    (said,) = row_of(office, made(office, draft(words=(Words("vi", hidden),)))).words
    assert said["text"] == "Bão. 8mTàu thuyền 0m về bờ ngay x ."
    storm = next(one for one in SHIPPED_TEMPLATES if one.id == "storm")
    filled = alert_templates.fill(storm, {blank.name: "\x1b[2K9\u202e\x00" for blank in storm.blanks}, ["vi"])
    assert filled.title.isprintable()
    assert filled.texts["vi"].isprintable()


def test_its_words_are_approved_with_it_and_aired_in_nothing_else(office: World) -> None:  # noqa: F811
    name = made(office, draft())
    (own,) = row_of(office, name).bulletins
    content = office.run(lambda s: s.get_one(Bulletin, own).content_hash)
    refused(
        "alerts_own_words",
        lambda: office.run(lambda s: bulletins.approve_bulletin(s, office.ctx, id=own, content_hash=content)),
    )
    refused("locked", lambda: office.run(lambda s: bulletins.retitle_bulletin(s, office.ctx, id=own, title="x")))
    body = row_of(office, name).body
    seen, ctx = alerts.Seen(Kind.LIVE, alerts.digest_of_body(body)), as_(office, PERSON)
    done = office.run(lambda s: alerts.approve(s, ctx, name, seen, approve(body, PERSON), roots=ROOTS).value)
    assert done.released
    kept = office.run(lambda s: s.get_one(Bulletin, own))
    assert (kept.status, kept.approved_by, kept.alert) == ("approved", "person", name)
    refused(
        "alerts_own_words",
        lambda: office.run(lambda s: bulletins.approved_bulletins(s, office.ctx, [own], field="bulletins")),
    )


def test_withdrawn_words_are_not_released(office: World) -> None:  # noqa: F811
    name = made(office, draft())
    row = row_of(office, name)
    office.run(lambda s: bulletins.withdraw_bulletin(s, office.ctx, id=row.bulletins[0]))
    seen, ctx = alerts.Seen(Kind.LIVE, alerts.digest_of_body(row.body)), as_(office, PERSON)
    refused(
        "withdrawn",
        lambda: office.run(lambda s: alerts.approve(s, ctx, name, seen, approve(row.body, PERSON), roots=ROOTS)),
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda row: setattr(row, "words", [row.words[0] | {"text": "Chỉ là thử."}]),
        lambda row: setattr(row, "severity", "Minor"),
        lambda row: setattr(row, "event", ""),
        lambda row: setattr(row, "source", "somebody else"),
        lambda row: setattr(row, "template", "flood"),
    ],
)
def test_edited_words_are_found_out(office: World, change: Callable[[Alert], None]) -> None:  # noqa: F811
    name = made(office, draft())

    def edit(session: Session) -> None:
        row = session.get_one(Alert, name)
        change(row)
        session.add(row)

    office.run(edit)
    assert office.run(lambda s: status_of(s, s.get_one(Alert, name), office.ctx.now)) == "altered"


@pytest.mark.parametrize(
    ("code", "field", "changes"),
    [
        ("bad_value", "severity", {"severity": "extreme"}),
        ("bad_value", "urgency", {"urgency": "Now"}),
        ("field_required", "title", {"title": " "}),
        ("field_required", "event", {"event": ""}),
        ("too_large", "event", {"event": "x" * 201}),
        ("too_large", "source", {"source": "x" * 401}),
        ("no_voice", "words.1.language", {"words": (BRIEF, Words("tyz", "…chữ"))}),
        ("text_empty", "words.0.text", {"words": (Words("vi", " ?!. "),)}),
        ("too_large", "words.0.text", {"words": (Words("vi", "a " * 1001),)}),
        ("already_exists", "words.1.language", {"words": (BRIEF, Words("VI", "hai"))}),
        ("not_found", "target_areas", {"target_areas": (f"{QN}/nowhere",)}),
        ("empty_target", "target_areas", {"target_areas": ()}),
        ("bad_value", "expires_at", {"expires_at": InstantMs(5)}),
        ("not_found", "alert", {"references": ("00" * 16,)}),
        ("bad_value", "siren", {"siren": 255}),
    ],
)
def test_a_bad_draft(office: World, code: str, field: str, changes: dict[str, Any]) -> None:  # noqa: F811
    before = rows(office, RecordEntry)
    assert refused(code, lambda: made(office, draft(**changes))).field == field
    assert (rows(office, Alert), rows(office, Bulletin), rows(office, Rendition)) == (0, 0, 0)
    assert rows(office, RecordEntry) == before


def test_a_voice_that_is_not_there(office: World, tmp_path: Any) -> None:  # noqa: F811
    gone = Espeak(str(tmp_path / "espeak-ng"))
    assert gone.languages == ()
    with pytest.raises(OperatorNeeded, match="voice_unavailable"):
        gone.speak("Về bờ ngay.", "vi")
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no data here >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(OperatorNeeded, match="no data here"):
        Espeak(str(broken)).speak("Về bờ ngay.", "vi")


def test_the_table_is_changed_and_every_version_is_on_the_record(office: World) -> None:  # noqa: F811
    pair = ("Extreme", "Expected")
    wanted = Level(2, 1, DurationMs(5000), Percent(60), DurationMs(1_200_000))
    first = office.run(lambda s: alert_levels.change_levels(s, office.ctx, {pair: wanted}, seen=0))
    assert (first.version, first.changed_by, first.levels[pair]) == (1, "lan", wanted)
    assert first.levels["Severe", "Immediate"] == SHIPPED["Severe", "Immediate"]
    body = read_body(row_of(office, made(office, draft())).body)
    assert (body.siren, body.repeats, body.gap_ms, body.volume) == (2, 1, 5000, 60)
    assert body.expires_at == office.ctx.now + 1_200_000
    refused(
        "content_changed",
        lambda: office.run(lambda s: alert_levels.change_levels(s, office.ctx, {pair: wanted}, seen=0)),
    )
    same = office.run(lambda s: alert_levels.change_levels(s, office.ctx, {pair: wanted}, seen=1))
    assert same.version == 1
    told = office.run(lambda s: s.exec(select(RecordEntry.detail).where(RecordEntry.verb == "levels")).all())
    assert told == ["version 1: Extreme/Expected 1,5,20000,100,21600000 → 2,1,5000,60,1200000"]
    by_hand = read_body(row_of(office, made(office, draft(siren=0, repeats=3, gap_ms=0, volume=90))).body)
    assert (by_hand.siren, by_hand.repeats, by_hand.gap_ms, by_hand.volume) == (0, 3, 0, 90)


@pytest.mark.parametrize(
    ("code", "field", "change"),
    [
        ("volume_range", "levels.0.volume", {"volume": 49}),
        ("volume_range", "levels.0.volume", {"volume": 101}),
        ("bad_value", "levels.0.gap_ms", {"gap_ms": 30_001}),
        ("bad_value", "levels.0.siren", {"siren": 255}),
        ("bad_value", "levels.0.repeats", {"repeats": 256}),
        ("bad_value", "levels.0.lasts_ms", {"lasts_ms": 59_999}),
    ],
)
def test_a_bad_row_of_the_table(office: World, code: str, field: str, change: dict[str, Any]) -> None:  # noqa: F811
    wanted = replace(SHIPPED["Minor", "Future"], **change)
    error = refused(
        code,
        lambda: office.run(lambda s: alert_levels.change_levels(s, office.ctx, {("Minor", "Future"): wanted}, seen=0)),
    )
    assert error.field == field


def test_no_place_silences_its_alerts(office: World) -> None:  # noqa: F811
    def allow(volume: int) -> None:
        office.run(lambda s: change_settings(s, office.ctx, area=CO_TO, emergency_volume=volume))

    assert refused("volume_range", lambda: allow(49)).limit == "50–100"
    allow(50)


def test_only_the_province_changes_what_alerts_are_made_of(office: World) -> None:  # noqa: F811
    ctx = replace(office.ctx, authority=Authority((Post(Role.OPERATOR, AreaPath(CO_TO)),)))
    row = {("Minor", "Future"): SHIPPED["Minor", "Past"]}
    for work in (
        lambda s: alert_levels.change_levels(s, ctx, row, seen=0),
        lambda s: alert_templates.keep_template(s, ctx, SHIPPED_TEMPLATES[0], seen=0),
        lambda s: alert_templates.remove_template(s, ctx, "storm", seen=0),
        lambda s: stored_sounds.ship_sounds(s, ctx, {}),
        lambda s: stored_sounds.remove_sound(s, ctx, area=CO_TO, code=1),
    ):
        refused("not_permitted", partial(office.run, work))


def test_shipped_levels_and_texts_hold_their_own_rules() -> None:
    for pair, level in SHIPPED.items():
        alert_levels._check_level(level, f"{pair} ")
    assert len(SHIPPED) == 25
    for one in SHIPPED_TEMPLATES:
        alert_templates._check(one)
        assert set(one.texts) == {"vi", "en"}
        blanks = {blank.name: blank.example for blank in one.blanks}
        filled = alert_templates.fill(one, blanks, ["vi", "en-GB", "tyz"])
        assert list(filled.texts) == ["vi", "en-GB"]
        for text in (*filled.texts.values(), filled.title):
            assert "{" not in text
        for name in blanks:
            left = blanks | {name: " ."}
            error = refused("blank_empty", partial(alert_templates.fill, one, left, ["vi", "en"]))
            assert error.field == f"blanks.{name}"
    assert {one.id for one in SHIPPED_TEMPLATES} == {
        "storm", "flood", "landslide", "tsunami", "forest-fire", "epidemic", "border-incident", "missing-person",
    }  # fmt: skip


def test_blanks() -> None:
    one = Template(
        "a", "b", {}, "Minor", "Future", "{x}", (Blank("x", "Chỗ", "Place"),), {"vi": "Ở {x}.", "en": "At {x}."}
    )
    filled = alert_templates.fill(one, {"x": " bến \n cũ {x.y} ", "x.en": "the quay"}, ["vi", "en"])
    assert dict(filled.texts) == {"vi": "Ở bến cũ {x.y}.", "en": "At the quay."}
    assert filled.title == "bến cũ {x.y}"
    assert refused("unknown_field", lambda: alert_templates.fill(one, {"y": "1", "x": "1"}, ["vi"])).field == "blanks.y"
    long = {"x": "a" * 201}
    assert refused("too_large", lambda: alert_templates.fill(one, long, ["vi"])).field == "blanks.x"


def test_a_province_edits_adds_and_removes_templates(office: World) -> None:  # noqa: F811
    def keep(one: Template, seen: int | None) -> Template:
        return office.run(lambda s: alert_templates.keep_template(s, office.ctx, one, seen=seen))

    storm = office.run(lambda s: alert_templates.template(s, "storm"))
    texts = {**storm.texts, "tyz": "…{place}… {number} {time} {force} {shelter}"}
    assert keep(replace(storm, texts=texts), 0).version == 1
    assert office.run(lambda s: alert_templates.template(s, "storm")).texts == texts
    refused("content_changed", lambda: keep(storm, 0))
    refused("already_exists", lambda: keep(storm, None))
    office.run(lambda s: alert_templates.remove_template(s, office.ctx, "storm", seen=1))
    refused("not_found", lambda: office.run(lambda s: alert_templates.template(s, "storm")))
    assert keep(storm, None).version == 3
    assert len(office.run(alert_templates.templates)) == len(SHIPPED_TEMPLATES)
    for code, field, change in (
        ("bad_value", "id", {"id": "Bão"}),
        ("bad_value", "severity", {"severity": "Big"}),
        ("field_required", "texts", {"texts": {}}),
        ("bad_value", "texts.vi", {"texts": {"vi": "{place!r}"}}),
        ("bad_value", "texts.vi", {"texts": {"vi": "{place"}}),
        ("bad_value", "texts.vi", {"texts": {"vi": "{place.__class__}"}}),
        ("blank_unlisted", "texts.vi", {"texts": {"vi": "{elsewhere}"}}),
        ("bad_value", "texts", {"texts": {"vi_VN": "x"}}),
        ("blank_unused", "blanks.0.name", {"title": "Bão", "texts": {"vi": "Bão"}}),
        ("bad_value", "blanks.0.name", {"blanks": (storm.blanks[0], storm.blanks[0])}),
    ):
        wanted = replace(storm, **({"id": "other"} | change))
        assert refused(code, partial(keep, wanted, None)).field == field, change
    told = office.run(lambda s: s.exec(select(RecordEntry.detail).where(RecordEntry.verb == "template")).all())
    assert told == ["version 1: Bão", "version 2: removed", "version 3: Bão"]
