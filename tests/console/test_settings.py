"""What the province sets for emergencies, in a real browser: how alerts sound, what they say, what is stored."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.console.desks import PHONE, Desk
from tests.console.watchroom import Watchroom
from tests.node.rig import recording

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]
LEVELS, TEMPLATES = "/api/v1/alert-levels", "/api/v1/alert-templates"


def _asked(room: Watchroom, method: str, path: str, **more: Any) -> Any:
    """By minh, behind the page's back."""
    reply = room.do(room.duty.people["minh"].client.request(method, path, **more))
    assert reply.status_code in (200, 201, 204), reply.text
    return reply.json() if reply.content else None


def _level(room: Watchroom, severity: str, urgency: str) -> Any:
    rows = _asked(room, "GET", LEVELS)["levels"]
    return next(row for row in rows if (row["severity"], row["urgency"]) == (severity, urgency))


def both_languages(desk: Desk, name: str) -> None:
    """It looks right in Vietnamese and in English; back to Vietnamese."""
    desk.looks_right(f"{name}-vi")
    desk.page.click("#language")
    expect(desk.page.locator("#language")).to_have_text("Tiếng Việt")
    expect(desk.page.locator("#settings-body > *").first).not_to_have_text("Loading…")
    desk.looks_right(f"{name}-en")
    desk.page.click("#language")
    expect(desk.page.locator("#language")).to_have_text("English")


def test_nothing_of_these_pages_comes_before_one_is_opened(minh: Desk) -> None:
    page, come = minh.page, "performance.getEntriesByType('resource').map(one => one.name).join()"
    assert "loa-settings" not in page.evaluate(come)
    page.click("#nav a.settings")
    expect(page.locator("#settings h1")).to_have_text("Mức báo động")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    assert re.search(r"loa-settings\.\w+\.js", page.evaluate(come))


def test_a_page_that_did_not_come_is_said_and_can_be_asked_for_again(minh: Desk) -> None:
    page = minh.page
    page.route("**/page/loa-settings.*.js", lambda route: route.abort())
    page.click("#nav a.settings")
    expect(page.locator("#toast")).to_contain_text("Chưa tải được trang này")
    expect(page.locator("#board")).to_be_visible()
    page.unroute("**/page/loa-settings.*.js")
    page.click("#nav a.settings")
    expect(page.locator("#settings h1")).to_have_text("Mức báo động")


def test_a_page_that_comes_late_takes_nobody_away_from_where_they_went(minh: Desk) -> None:
    page, held = minh.page, list[Route]()
    page.route("**/page/loa-settings.*.js", lambda route: held.append(route))  # noqa: PLW0108
    page.click("#nav a.settings")
    expect(page.locator("#toast")).to_contain_text("Đang tải")
    page.click("#nav a.alerts")
    expect(page.locator("#alerts")).to_be_visible()
    page.locator("#language").focus()
    held[0].continue_()
    page.evaluate(
        "new Promise((is) => { const look = () => _came.settings === 'here' ? is() : setTimeout(look); look(); })"
    )
    expect(page.locator("#language")).to_be_focused()
    page.click("#nav a.settings")
    expect(page.locator("#settings h1")).to_have_text("Mức báo động")


def test_levels_are_edited_in_place_saved_and_put_back(room: Watchroom, minh: Desk) -> None:
    page = minh.go("#/settings/levels")
    row = page.locator("[data-key='Severe/Expected']")
    was = _level(room, "Severe", "Expected")
    row.locator("[name$='.repeats']").fill("7")
    row.locator("[name$='.gap_ms']").fill("12.5")
    expect(row.locator(".level-was")).to_contain_text(f"phát {was['repeats']} lần")
    expect(page.locator(".save-bar")).to_contain_text("1 dòng đã sửa, chưa lưu")
    page.reload()
    expect(row.locator("[name$='.repeats']")).to_have_value("7")
    minh.looks_right("levels-edited")
    row.locator("[name$='.gap_ms']").press("Enter")
    expect(page.locator("#undo-bar")).to_contain_text("Đã lưu bản")
    now = _level(room, "Severe", "Expected")
    assert (now["repeats"], now["gap_ms"], now["volume"]) == (7, 12_500, was["volume"])
    page.reload()
    page.click("#undo-it")
    expect(row.locator("[name$='.repeats']")).to_have_value(str(was["repeats"]))
    assert _level(room, "Severe", "Expected") == was


def test_what_a_level_may_not_be_is_said_at_its_field(room: Watchroom, minh_phone: Desk) -> None:
    page = minh_phone.go("#/settings")
    before = _asked(room, "GET", LEVELS)
    row = page.locator("[data-key='Minor/Future']")
    expect(row).to_be_visible()
    expect(row.locator(".level-fields")).to_be_hidden()
    both_languages(minh_phone, "levels")
    row.locator(".level-line").click()
    row.locator("[name$='.volume']").fill("20")
    page.click(".save-bar button.main")
    wrong = page.locator("#levels-form > .wrong")
    expect(wrong).to_contain_text("nhẹ, sắp tới, Âm lượng")
    expect(wrong.locator("code")).to_have_text("volume_range · Minor/Future.volume")
    expect(row.locator("[name$='.volume']")).to_be_focused()
    minh_phone.looks_right("levels-refused")
    assert _asked(room, "GET", LEVELS) == before


def test_who_saves_second_is_told_and_loses_nothing(room: Watchroom, minh: Desk) -> None:
    page = minh.go("#/settings/levels")
    page.locator("[name='Moderate/Immediate.repeats']").fill("9")
    table = _asked(room, "GET", LEVELS)
    theirs = _level(room, "Minor", "Expected") | {"volume": 75}
    _asked(room, "PUT", LEVELS, json={"version": table["version"], "levels": [theirs]})
    page.click(".save-bar button.main")
    told = page.locator("#levels-told")
    expect(told).to_contain_text("trước bạn; chưa có gì của bạn được lưu")
    assert _level(room, "Moderate", "Immediate")["repeats"] != 9
    expect(page.locator("[name='Minor/Expected.volume']")).to_have_value("75")
    expect(page.locator("[name='Moderate/Immediate.repeats']")).to_have_value("9")
    minh.looks_right("levels-collided")
    page.click(".save-bar button.main")
    expect(page.locator("#undo-bar")).to_contain_text("Đã lưu bản")
    assert _level(room, "Moderate", "Immediate")["repeats"] == 9
    assert _level(room, "Minor", "Expected")["volume"] == 75


def test_a_draft_that_waited_while_others_saved_is_told_when_it_comes_back(room: Watchroom, minh: Desk) -> None:
    page = minh.go("#/settings/levels")
    page.locator("[name='Minor/Immediate.repeats']").fill("8")
    table = _asked(room, "GET", LEVELS)
    theirs = _level(room, "Minor", "Immediate") | {"volume": 65}
    _asked(room, "PUT", LEVELS, json={"version": table["version"], "levels": [theirs]})
    page.reload()
    told = page.locator("#levels-told")
    expect(told).to_contain_text(f"đã lưu bản {table['version'] + 1}")
    expect(told).to_contain_text("Cả hai cùng sửa: nhẹ, ngay lập tức")
    page.get_by_text("Bỏ các sửa đổi").click()
    expect(told).to_have_count(0)
    expect(page.locator("[name='Minor/Immediate.volume']")).to_have_value("65")


def test_what_is_done_by_keyboard_keeps_the_focus(room: Watchroom, minh: Desk) -> None:
    page = minh.go("#/settings/levels")
    page.locator("[name='Minor/Future.repeats']").fill("6")
    page.locator(".save-bar button.main").press("Enter")
    expect(page.locator("#undo-it")).to_be_visible()
    expect(page.locator("#settings h1")).to_be_focused()
    page.locator("#undo-it").press("Enter")
    expect(page.locator("[name='Minor/Future.repeats']")).not_to_have_value("6")
    expect(page.locator("#undo-it")).to_be_focused()  # by which it is done again
    page.click(".tabs a[href$=cap]")
    page.locator("[name=state]").focus()
    for _ in range(2):
        with page.expect_response("**/api/v1/cap?*"):
            page.keyboard.press("ArrowDown")
        expect(page.locator("[name=state]")).to_be_focused()
    expect(page.locator("[name=state]")).to_have_value("needs_area")


def test_what_comes_late_is_not_drawn_over_what_was_asked_for_since(minh: Desk) -> None:
    page = minh.go("#/settings/sounds")
    area, held = page.locator("#sounds-area"), list[Route]()
    first, second = page.locator("#sounds-area option").nth(1), page.locator("#sounds-area option").nth(2)
    one, two = first.get_attribute("value") or "", second.get_attribute("value") or ""
    where = re.compile(rf"stored-sounds\?held=true&area={one.replace('/', '%2F')}$")
    page.route(where, lambda route: held.append(route))  # noqa: PLW0108 - playwright wants a function of its own
    area.select_option(one)
    area.select_option(two)
    expect(page.locator("#stored h2")).to_contain_text((second.text_content() or "").strip().split()[-1])
    held[0].continue_()
    page.wait_for_load_state("networkidle")
    expect(area).to_have_value(two)


def test_nobody_is_offered_to_undo_what_another_did_at_the_same_computer(minh: Desk) -> None:
    page = minh.go("#/settings/levels")
    expect(page.locator(".level").first).to_be_visible()
    page.evaluate("canUndo('cap_settled', {}, () => null); undoing.who = 'somebody'; route()")
    expect(page.locator(".level").first).to_be_visible()
    expect(page.locator("#undo-bar")).to_be_empty()


def test_what_was_typed_of_a_template_that_others_deleted_is_still_there(room: Watchroom, minh: Desk) -> None:
    _asked(room, "PUT", f"{TEMPLATES}/song-than", json={
        "event": "Sóng thần", "names": {"vi": "Sóng thần"}, "severity": "Extreme", "urgency": "Immediate",
        "title": "Sóng thần", "blanks": [], "texts": {"vi": "Sóng thần."},
    })  # fmt: skip
    page = minh.go("#/settings/templates/song-than")
    page.fill("[name='texts.vi']", "Lên chỗ cao.")
    _asked(room, "DELETE", f"{TEMPLATES}/song-than?version=1")
    page.reload()
    expect(page.locator("#template-collided")).to_contain_text("Người khác đã xoá mẫu này")
    expect(page.locator("[name='texts.vi']")).to_have_value("Lên chỗ cao.")
    page.click("#take-theirs")
    expect(page.locator("#template-list")).to_be_visible()


def _fill_template(page: Page) -> None:
    for name, value in {
        "id": "dam-vo", "names.vi": "Vỡ đập", "names.en": "Dam failure", "event": "Vỡ đập", "title": "Vỡ đập {where}",
        "texts.vi": "Đập {where} đã vỡ. Lên chỗ cao ngay.", "texts.en": "The dam at {where} has failed.",
    }.items():  # fmt: skip
        page.fill(f"#template-form [name='{name}']", value)


def test_a_template_is_written_previewed_changed_deleted_and_put_back(room: Watchroom, minh: Desk) -> None:
    page = minh.go("#/settings/templates")
    before = len(_asked(room, "GET", TEMPLATES))
    expect(page.locator("#template-list li")).to_have_count(before)
    both_languages(minh, "templates")
    page.click("#template-new")
    _fill_template(page)
    page.click("#blank-chips button")  # where is not listed yet
    page.fill("[name='blanks.0.vi']", "Đập nào")
    page.fill("[name='blanks.0.en']", "Which dam")
    page.fill("[name='blanks.0.example']", "Yên Lập")
    page.fill("#preview-blanks input", "Tràng Vinh")
    expect(page.locator("#preview-texts")).to_contain_text("Đập Tràng Vinh đã vỡ. Lên chỗ cao ngay.")
    expect(page.locator("#preview-title")).to_have_text("Vỡ đập Tràng Vinh")
    minh.looks_right("template-new")
    page.click("#template-form button.main")
    expect(page.locator("#undo-bar")).to_contain_text("Đã lưu “Vỡ đập”")
    page.fill("[name='texts.en']", "Go up.")
    page.click("#template-form button.main")
    expect(page.locator("#undo-bar")).to_contain_text("bản 2")
    page.click("#undo-it")
    expect(page.locator("[name='texts.en']")).to_have_value("The dam at {where} has failed.")
    page.click("#template-delete")
    expect(page.locator("#template-list li")).to_have_count(before)
    page.click("#undo-it")
    expect(page.locator("#template-list li")).to_have_count(before + 1)
    texts = _asked(room, "GET", f"{TEMPLATES}/dam-vo")["texts"]
    assert texts["vi"] == "Đập {where} đã vỡ. Lên chỗ cao ngay."
    _asked(room, "DELETE", f"{TEMPLATES}/dam-vo?version=5")


def test_a_template_is_refused_at_its_field_and_what_others_saved_is_shown(room: Watchroom, minh_phone: Desk) -> None:
    page = minh_phone.go("#/settings/templates/flood")
    text = page.locator("[name='texts.vi']")
    mine = text.input_value() + " Nhanh lên."
    page.fill("#template-form [name=event]", "")
    expect(page.locator("#preview-texts p")).to_have_count(2)
    expect(page.locator("#preview-texts")).to_contain_text("Trường tiểu học")
    both_languages(minh_phone, "template")
    page.click("#template-form button.main")
    expect(page.locator("#template-form > .wrong code")).to_contain_text("event")
    expect(page.locator("#template-form [name=event]")).to_be_focused()
    page.fill("#template-form [name=event]", "Lũ")
    text.fill(mine)
    theirs = _asked(room, "GET", f"{TEMPLATES}/flood")
    version = theirs.pop("version")
    theirs.pop("id")
    saved = _asked(room, "PUT", f"{TEMPLATES}/flood", json=theirs | {"event": "Lụt", "version": version})
    page.reload()
    expect(page.locator("#template-collided")).to_contain_text("Người khác đã lưu mẫu này trước bạn")
    expect(text).to_have_value(mine)
    minh_phone.looks_right("template-collided")
    page.click("#keep-mine")
    expect(page.locator("#undo-bar")).to_contain_text("Đã lưu")
    held = _asked(room, "GET", f"{TEMPLATES}/flood")
    assert (held["event"], held["texts"]["vi"], held["version"]) == ("Lũ", mine, saved["version"] + 1)


def test_sounds_are_heard_stored_removed_and_put_back(room: Watchroom, minh: Desk) -> None:
    room.do(room.duty.approved(recording(4.0, 500.0), "Còi nhà máy"))
    page = minh.go("#/settings/sounds")
    before = len(_asked(room, "GET", "/api/v1/stored-sounds")["sounds"])
    expect(page.locator("#sound-list li")).to_have_count(before)
    expect(page.locator("#sound-list [data-code='255']")).to_contain_text("lời báo diễn tập")
    expect(page.locator("#sound-list li").first).to_contain_text(re.compile(r"có ở \d+/\d+ bộ thu"))
    heard = page.locator("#sound-list audio").first
    plays = "audio => new Promise((done) => { audio.muted = true; audio.onplaying = () => done(true); audio.play(); })"
    assert heard.evaluate(plays)
    page.locator("#store-form [name=bulletin]").select_option(label="Còi nhà máy · 0:04")
    page.evaluate("loaders.areas()")  # as when the link was gone for a moment
    expect(page.locator("#store-form [name=area]")).not_to_have_value("")
    page.fill("#store-form [name=code]", "4")
    minh.looks_right("sounds")
    page.click("#store-form button.main")
    expect(page.locator("#sound-list [data-code='4']")).to_contain_text("Còi nhà máy")
    page.locator("#sound-list [data-code='4'] button.stop").click()
    expect(page.locator("#sound-list li")).to_have_count(before)
    expect(page.locator("#undo-bar")).to_contain_text("Đã bỏ “Còi nhà máy”")
    page.click("#undo-it")
    expect(page.locator("#sound-list [data-code='4']")).to_contain_text("còi số 4")
    page.locator("#store-form [name=bulletin]").select_option(label="Về bờ ngay · 0:02")
    page.fill("#store-form [name=code]", "5")
    page.click("#store-form button.main")
    expect(page.locator("#store-form .wrong code")).to_have_text("siren_length · bulletin")
    minh.looks_right("sounds-refused")


@pytest.mark.needs("espeak-ng")
def test_the_shipped_sounds_are_stored_at_once(room: Watchroom, minh_phone: Desk) -> None:
    page = minh_phone.go("#/settings/sounds")
    expect(page.locator("#sound-list li").first).to_be_visible()
    page.click("#shipped-form button")
    expect(page.locator("#undo-bar")).to_contain_text("Đã lưu các âm gốc", timeout=60_000)
    for code in (1, 2, 3, 255):
        expect(page.locator(f"#sound-list [data-code='{code}']")).to_be_visible()
    both_languages(minh_phone, "sounds")


def test_a_recording_is_uploaded_by_one_who_may(room: Watchroom, hai: Desk, tmp_path: Path) -> None:
    page = hai.go("#/settings/sounds")
    expect(page.locator("#stored")).to_contain_text("Đang lưu ở")
    assert page.locator("#store, #shipped-form, #stored button").count() == 0, "who may not is not offered it"
    page.click("#sound-upload button.main")
    expect(page.locator("#sound-upload .wrong")).to_contain_text("Chưa chọn tệp")
    file = tmp_path / "bao-tay.ogg"
    file.write_bytes(recording(4.0, 700.0).file)
    page.set_input_files("#sound-upload [name=file]", file)
    expect(page.locator("#sound-upload [name=title]")).to_have_value("bao tay")
    page.fill("#sound-upload [name=language]", "tyz")
    hai.looks_right("sound-upload")
    page.click("#sound-upload button.main")
    expect(page.locator("#undo-bar")).to_contain_text("Đã tải lên; chờ người khác duyệt", timeout=60_000)
    found = room.do(room.duty.people["hai"].client.get("/api/v1/bulletins?limit=1")).json()["items"][0]
    assert (found["title"], found["status"], found["renditions"][0]["language"]) == ("bao tay", "draft", "tyz")


def test_who_is_not_there_for_the_province_sees_none_of_it(room: Watchroom, browser: Browser, thu: Desk) -> None:
    page = thu.go("#/settings/levels")
    expect(page.locator(".level").first).to_contain_text("còi số 1 trước")
    assert page.locator("#levels-form input, #levels-form select").count() == 0, "an officer looks"
    lan = Desk(room, browser, "lan", PHONE)
    assert lan.page.locator("#nav a.settings").count() == 0
    lan.go("#/settings/levels")
    expect(lan.page.locator("#board")).to_be_visible()
    lan.close()


def test_without_a_server_the_pages_say_so_and_try_again(minh: Desk) -> None:
    page = minh.go("#/settings/levels")
    expect(page.locator(".level").first).to_be_visible()

    def refuse(route: Route) -> None:
        route.abort()

    page.route("**/api/v1/alert-templates", refuse)
    page.click(".tabs a[href$=templates]")
    expect(page.locator("#settings > .wrong")).to_contain_text("Không kết nối được")
    page.unroute("**/api/v1/alert-templates", refuse)
    page.click("#settings-body button")
    expect(page.locator("#template-list")).to_be_visible()
    expect(page.locator("#settings > .wrong")).to_be_hidden()
