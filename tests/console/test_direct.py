"""Approved beforehand for a source, in a real browser: composed, armed by two, out by the source's word, disarmed."""

import pytest
from playwright.sync_api import expect

from controller.services.cap_sources import Pin, SourceForm, put_source
from controller.services.context import Changed
from tests.api.cap_texts import alert_text
from tests.api.test_direct import sealed, without
from tests.cap.test_signature import ec_key, public_pem
from tests.console.desks import Desk
from tests.console.watchroom import Watchroom

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]


def test_it_is_composed_armed_put_out_and_another_disarmed(room: Watchroom, thu: Desk, hai: Desk) -> None:
    form = SourceForm(name="vien-vat-ly", senders=("kttv@example.vn",), pins=(Pin("viện", public_pem(ec_key("a"))),))
    room.do(room.duty.change(lambda session, ctx: Changed(put_source(session, ctx, form))))
    page = thu.go("#/alerts/new/live")
    page.check("#compose-areas input[value='quang-ninh']")
    page.check("#compose-form [value=recordings]")
    page.fill("#compose-form [name=title]", "Sóng thần: chạy lên chỗ cao")
    page.locator("#compose-bulletins label", has_text="Về bờ ngay").locator("input").check()
    page.select_option("#compose-form [name=severity]", "Extreme")
    page.select_option("#compose-form [name=urgency]", "Immediate")
    expect(page.locator("#direct-more")).to_be_hidden()
    page.select_option("#compose-form [name=direct_source]", "vien-vat-ly")
    expect(page.locator("#level-now")).to_contain_text("hiệu lực 31 ngày")
    page.click("#compose-go")
    expect(page.locator("#compose-form > .wrong")).to_contain_text("Thiếu")
    page.fill("#compose-form [name=direct_events]", "Sóng thần, Tsunami")
    thu.looks_right("direct-compose")
    page.click("#compose-go")
    expect(page.locator("#direct-rule")).to_contain_text("Tự phát khi nguồn vien-vat-ly báo: Sóng thần, Tsunami")
    page.click("#approve-open")
    thu.approve("that", thu.words)
    expect(page.locator("#alert-next")).to_contain_text("Còn cần 1 người duyệt")
    where = str(page.evaluate("location.hash"))
    hai.go(where)
    hai.page.click("#approve-open")
    expect(hai.page.locator("#approve-go")).to_have_text("Duyệt sẵn: tự phát khi nguồn báo")
    hai.approve("that", hai.words)
    expect(hai.page.locator("#alert-facts .tag")).to_have_text("duyệt sẵn, chờ nguồn")
    hai.looks_right("direct-armed")
    room.do(room.duty.people["hai"].client.post("/api/v1/cap", content=sealed(_word(room))))
    expect(hai.page.locator("#alert-facts .tag")).to_have_text("ĐANG PHÁT")
    expect(hai.page.locator("#direct-rule")).to_contain_text(
        "Đã tự phát theo cảnh báo của nguồn vien-vat-ly, tại Cô Tô"
    )
    hai.looks_right("direct-out")
    body = {"passphrase": thu.words}
    alert = where.rpartition("/")[2]
    room.do(room.duty.people["thu"].client.post(f"/api/v1/alerts/{alert}/cancel", json=body))
    expect(hai.page.locator("#alert-facts .tag")).to_have_text("đã huỷ")
    room.do(room.duty.change(without("vien-vat-ly")))


def _word(room: Watchroom) -> str:
    text = alert_text(
        room.duty.centre.clock.now_ms(),
        "st.1",
        sent_ago_s=0,
        area="<geocode><valueName>loa</valueName><value>co-to</value></geocode>",
    )
    return text.replace("<event>Bão</event>", "<event>Tsunami</event>")
