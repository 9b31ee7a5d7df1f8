"""Alerts of others, in CAP, in a real browser: one that only names its area is composed by a person, as what it is."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from loa.clock import SystemClock
from tests.console.desks import Desk
from tests.console.watchroom import Watchroom

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("chromium", "espeak-ng"),
]


def _cap(status: str, name: str) -> bytes:
    now = datetime.fromtimestamp(SystemClock().now_ms() // 1000, UTC)
    return f"""<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>{name}</identifier>
<sender>kttv@example.vn</sender><sent>{now.isoformat()}</sent><status>{status}</status><msgType>Alert</msgType>
<scope>Public</scope><info><language>vi-VN</language><category>Met</category><event>Bão</event>
<urgency>Immediate</urgency><severity>Extreme</severity><certainty>Observed</certainty>
<expires>{(now + timedelta(hours=3)).isoformat()}</expires><headline>{name}</headline>
<description>Tàu thuyền về bờ ngay.</description>
<area><areaDesc>huyện đảo Cô Tô</areaDesc></area></info></alert>""".encode()


def test_an_area_that_is_only_named_is_chosen_by_a_person(room: Watchroom, hai: Desk) -> None:
    person = room.duty.people["hai"]
    for status, name in (("Actual", "Bão số 10"), ("Exercise", "Tập dượt số 11")):
        kind = {"Content-Type": "application/cap+xml"}
        reply = room.do(person.client.post("/api/v1/cap", content=_cap(status, name), headers=kind))
        assert reply.status_code == 202, reply.text
    page = hai.go("#/alerts")
    expect(page.locator("#cap-live li")).to_have_count(1)
    expect(page.locator("#cap-drill li")).to_contain_text("Tập dượt số 11")
    assert page.locator("#cap-live button, #cap-drill button").count() == 0, "nothing is offered where both are seen"
    page.click("#cap-drill a")
    expect(page.locator("#band")).to_contain_text("DIỄN TẬP")
    page.go_back()
    page.click("#cap-live a")
    expect(page.locator("#band")).to_contain_text("CẢNH BÁO THẬT")
    page.click("#cap-one button")
    expect(page.locator("#cap .wrong")).to_contain_text("Chưa chọn nơi nào")
    page.check("#cap-one input[value='quang-ninh/co-to']")
    hai.looks_right("cap")
    page.click("#cap-one button")
    expect(page.locator("#alert-title")).to_contain_text("Bão số 10", timeout=30_000)
    expect(page.locator("#alert-facts")).to_contain_text("Cô Tô")
    page.click("#withdraw-open")
    expect(page.locator("#alert-facts")).to_contain_text("đã rút")
