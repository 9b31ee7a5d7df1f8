"""The console's pages for emergencies in a real browser, against one running centre."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.console.desks import PHONE, Desk
from tests.console.watchroom import Watchroom
from tests.people import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]
_SHIFTS = """() => new Promise((ok) => {
  const found = [];
  const where = (source) => `${source.node && (source.node.id || source.node.nodeName)} ${source.previousRect.top}`;
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) if (!e.hadRecentInput && e.value > 0.005) found.push(...e.sources.map(where));
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => ok(found), 100);
})"""
_LENGTH = """async sound => {
  sound.load();
  await new Promise((ok, no) => { sound.onloadedmetadata = ok; sound.onerror = no; });
  return sound.duration;
}"""
_KEPT = """() => new Promise((ok) => {
  const kept = () => Object.keys(localStorage).some((key) => key.includes("compose-live"));
  const look = () => kept() ? ok() : setTimeout(look, 20);
  look();
})"""


def _alert(room: Watchroom, alert: str) -> Any:
    person = room.duty.people["thu"]
    return room.do(room.duty.get(person, {"id": alert}))


def test_a_live_alert_goes_out_by_two_and_is_taken_back_by_one(
    room: Watchroom, browser: Browser, thu: Desk, hai: Desk
) -> None:
    alert = thu.compose("live", "Bão số 9: về bờ ngay", "quang-ninh")
    first, second = thu.page, hai.page
    assert first.title() == "THẬT: Bão số 9: về bờ ngay – Loa"
    expect(first.locator("#alert-next")).to_contain_text("Còn cần 2 người duyệt")
    expect(first.locator("#alert-next")).to_contain_text("hai")
    expect(first.locator("#alert-reach dd").first).to_have_text("3")
    expect(first.locator("#alert-reach .deaf")).to_contain_text("Thôn Hồng Hải · 410 người")
    _wrong_ones_change_nothing(room, thu, alert)
    thu.approve("that", thu.words)
    expect(first.locator("#alert-next")).to_contain_text("Còn cần 1 người duyệt")
    assert first.locator("#approve-open").count() == 0
    hai.go("#/alerts")
    expect(second.locator("#nav a.alerts")).to_have_text("Khẩn cấp (1)")
    second.click(f"#alerts-live a[href='#/alerts/{alert}']")
    second.click("#approve-open")
    expect(second.locator("#approve-go")).to_have_text("Duyệt và PHÁT THẬT tới 3 bộ thu")
    room.age("hai")
    hai.approve("LIVE", hai.words)
    expect(second.locator("#step-up-password")).to_be_visible()
    second.fill("#step-up [name=password]", PASSWORD)
    second.fill("#step-up [name=code]", hai.room.apps["hai"].code())
    second.click("#step-up-go")
    expect(second.locator("#take-back")).to_be_visible()
    for desk in (thu, hai):  # without anybody reloading
        started = desk.page.locator("#alert-heard .ladder li", has_text="đã bắt đầu phát")
        expect(started).to_contain_text("2/3", timeout=20_000)
        expect(desk.page.locator("#heard-now")).to_contain_text("2/4 thôn CHƯA có loa nào kêu")
    unreached = second.locator("#alert-heard .villages").first.locator("> li")
    expect(unreached.nth(0)).to_contain_text("Thôn Hồng Hải")
    expect(unreached.nth(0)).to_contain_text("không có loa")
    expect(unreached.nth(1)).to_contain_text("chưa tới · 0/1 loa")
    unreached.nth(1).locator("summary").click()
    expect(unreached.nth(1)).to_contain_text("Nhà văn hoá Thôn Nam Đồng (co-to-2)")
    lan = Desk(room, browser, "lan", PHONE)
    seen = lan.go(f"#/alerts/{alert}")
    expect(seen.locator("#alert-next")).to_contain_text("Cần huỷ? Gọi một trong những người này:hai Quảng Ninh")
    assert seen.locator(".take-back:visible").count() == 0, "nobody of a commune cancels what is the province's"
    lan.looks_right("alert-of-the-province")
    lan.close()
    hai.looks_right("alert-live")
    thu.looks_right("alert-live")
    _take_back(room, hai, thu, alert)


def _wrong_ones_change_nothing(room: Watchroom, thu: Desk, alert: str) -> None:
    """The other kind typed, and a wrong passphrase; what is shown is what is signed."""
    page = thu.page
    page.click("#approve-open")
    digest = _alert(room, alert)["body_sha256"]
    assert page.locator("#approve-digest").inner_text().replace(" ", "") == digest
    expect(page.locator("#approve-words")).to_contain_text("CẢNH BÁO THẬT")
    thu.approve("diễn tập", thu.words)
    expect(page.locator("#approve .wrong")).to_contain_text("phải gõ đúng THẬT")
    thu.approve("thật", "không phải cụm này đâu")
    expect(page.locator("#approve .wrong")).to_contain_text("Sai cụm mật khẩu")
    assert _alert(room, alert)["approvals"] == []
    thu.looks_right("approve-wrong-passphrase")


def _take_back(room: Watchroom, hai: Desk, thu: Desk, alert: str) -> None:
    """From any page, with one confirmation and the passphrase, and no code however old the last one is."""
    page = hai.go("#/mine")
    room.age("hai")
    page.click("#sounding .take-back")
    page.keyboard.type("sai cụm mật khẩu")
    page.keyboard.press("Enter")
    expect(page.locator("#cancel-alert .wrong")).to_contain_text("Sai cụm mật khẩu")
    hai.looks_right("cancel-wrong")
    assert room.duty.boxes["co-to-1"].heard(alert)
    page.fill("#cancel-alert [name=passphrase]", hai.words)
    page.keyboard.press("Enter")
    expect(page.locator("#cancel-alert")).to_be_hidden()
    expect(page.locator("#alert-facts")).to_contain_text("đã huỷ")
    expect(thu.page.locator("#alert-facts")).to_contain_text("đã huỷ")
    assert page.locator("#take-back").count() == 0
    expect(page.locator("#heard-now")).to_contain_text("Đã huỷ xong ở 2/3 bộ thu", timeout=20_000)
    assert not any(box.sounds(alert) for box in room.duty.boxes.values())
    held = json.dumps(page.evaluate("Object.assign({}, localStorage)"), ensure_ascii=False)
    assert hai.words not in held
    hai.looks_right("cancelled")
    for link in page.locator("#alert-heard a").all():
        assert page.request.get(room.url + str(link.get_attribute("href"))).ok


def test_a_drill_cannot_be_taken_for_a_live_alert(room: Watchroom, thu: Desk, hai: Desk) -> None:
    alert = thu.compose("drill", "Diễn tập bão", "quang-ninh/co-to")
    first, second = thu.page, hai.page
    for page in (first, hai.go(f"#/alerts/{alert}")):
        expect(page.locator("#band")).to_contain_text("DIỄN TẬP")
        expect(page.locator("#band")).to_contain_text("Không phải cảnh báo thật")
        assert page.title().startswith("DIỄN TẬP: ")
        assert page.evaluate("document.body.dataset.kind") == "drill"
        assert page.locator("main:visible .live, main:visible .take-back").count() == 0
    hai.looks_right("drill")
    for desk, said in ((thu, "dien tap"), (hai, "Diễn tập")):
        desk.page.click("#approve-open")
        desk.approve("thật", desk.words)
        expect(desk.page.locator("#approve .wrong")).to_contain_text("phải gõ đúng DIỄN TẬP")
        desk.approve(said, desk.words)
        expect(desk.page.locator("#approve")).to_be_hidden()
    expect(second.locator("#take-back")).to_have_text("Kết thúc DIỄN TẬP ở mọi loa")
    assert _alert(room, alert)["kind"] == "drill"
    thu.go("#/")
    assert first.locator("#sounding").is_hidden(), "a drill has no bar on other pages"
    second.click("#take-back")
    second.fill("#cancel-alert [name=passphrase]", hai.words)
    hai.context.set_offline(True)
    second.click("#cancel-go")
    expect(second.locator("#cancel-state")).to_contain_text("đang gửi lại")
    hai.context.set_offline(False)
    expect(second.locator("#alert-facts")).to_contain_text("đã huỷ")


@pytest.mark.needs("espeak-ng")
def test_a_template_is_filled_heard_and_withdrawn(room: Watchroom, hai: Desk) -> None:
    page = hai.go("#/alerts/new/live")
    page.check("#compose-areas input[value='quang-ninh/co-to']")
    page.select_option("#compose-form [name=template]", "storm")
    expect(page.locator("#compose-form [name=severity]")).to_have_value("Extreme")
    for name, value in (("number", "số 9"), ("place", "Cô Tô"), ("force", "10"), ("time", "19 giờ")):
        page.fill(f"[name='blanks.{name}']", value)
    page.click("#compose-go")
    expect(page.locator("#compose-form .wrong")).to_contain_text("—")
    expect(page.locator("[name='blanks.shelter']")).to_be_focused()
    page.keyboard.type("nhà văn hoá")
    expect(page.locator("#template-text p").first).to_contain_text("đến nhà văn hoá ngay")
    hai.looks_right("compose-template")
    page.click("#compose-go")
    expect(page.locator("#alert-sound audio").first).to_be_visible(timeout=30_000)
    expect(page.locator("#alert-sound")).to_contain_text("Bão số 9 sẽ ảnh hưởng đến Cô Tô từ 19 giờ")
    length = page.locator("#alert-sound audio").first.evaluate(_LENGTH)
    assert length > 3
    hai.looks_right("alert-template")
    page.click("#withdraw-open")
    expect(page.locator("#alert-facts")).to_contain_text("đã rút")
    assert page.locator("#approve-open").count() == 0


def test_what_was_typed_is_kept_and_the_link_may_break(room: Watchroom, thu: Desk) -> None:
    page = thu.go("#/alerts/new/live")
    page.check("#compose-form [value=recordings]")
    page.fill("#compose-form [name=title]", "Sạt lở ở Thôn 1")
    page.check("#compose-areas input[value='quang-ninh/co-to']")
    expect(page.locator("#compose-reach")).to_contain_text("Cô Tô: 2 bộ thu, 3 thôn, 7.200 người")
    page.evaluate(_KEPT)
    page.reload()
    expect(page.locator("#compose-form [name=title]")).to_have_value("Sạt lở ở Thôn 1")
    expect(page.locator("#compose-areas input[value='quang-ninh/co-to']")).to_be_checked()
    assert page.evaluate(_SHIFTS) == []
    thu.go("#/alerts/new/drill")
    expect(page.locator("#compose-form [name=title]")).to_have_value("")
    thu.go("#/alerts/new/live")
    thu.context.set_offline(True)
    page.click("#compose-go")
    expect(page.locator("#compose-form .wrong")).to_contain_text("Không kết nối được")
    expect(page.locator("#offline")).to_be_visible()
    expect(page.locator("#compose-form [name=title]")).to_have_value("Sạt lở ở Thôn 1")
    thu.context.set_offline(False)
    expect(page.locator("#offline")).to_be_hidden()
    page.click("#compose-go")  # nothing to say: the server's words and its remedy
    expect(page.locator("#compose-form .wrong")).to_contain_text("—")
    page.click("#compose-forget")
    thu.go("#/")
    page.reload()
    expect(page.locator("#nodes")).to_contain_text("co-to-1")
    assert page.evaluate(_SHIFTS) == []
    thu.go("#/alerts/new/live")
    expect(page.locator("#compose-form [name=title]")).to_have_value("")
