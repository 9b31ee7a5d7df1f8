"""The console's pages for accounts and new boxes in a real browser, against one running centre."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.console.desks import PHONE, Desk
from tests.console.watchroom import Watchroom

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]


def test_accounts_and_what_others_see_of_them(room: Watchroom, browser: Browser, hai: Desk) -> None:
    minh = Desk(room, browser, "minh", PHONE)
    page = minh.go("#/accounts")
    page.fill("#account-form [name=name]", "Bà Hoa")
    page.click("#account-form button.main")
    page.fill("#account-form [name=name]", "hoa")
    page.fill("#account-form [name=full_name]", "Nguyễn Thị Hoa")
    page.select_option("#new-roles .role", "technician")
    page.select_option("#new-roles .role-area", "quang-ninh/co-to")
    page.click("#account-form button.main")
    expect(page.locator("#once")).to_be_visible()
    assert len(page.locator("#once-secret").inner_text()) > 10
    page.click("#once-close")
    row = page.locator("#account-list details", has_text="Nguyễn Thị Hoa")
    expect(row).to_contain_text("kỹ thuật viên · Cô Tô")
    minh.looks_right("accounts")
    row.locator("summary").click()
    row.locator("button", has_text="Khoá tài khoản").click()
    expect(row).to_contain_text("đã khoá")
    assert hai.page.locator("#nav a.accounts").count() == 0
    hai.go("#/accounts")
    expect(hai.page.locator("#board")).to_be_visible()
    minh.close()


def test_a_box_is_confirmed_by_its_six_digits(room: Watchroom, browser: Browser, tmp_path: Path) -> None:
    minh = Desk(room, browser, "minh", PHONE)
    page = minh.go("#/enrolments")
    page.click("#label-form button")
    expect(page.locator("#fresh-label-list svg")).to_be_visible()
    minh.looks_right("labels")
    made = room.do(room.label())
    box = room.box(tmp_path, made)
    page.click("#labels-done")
    room.do(box.step())
    form = page.locator("form.box")
    room.do(box.step())
    assert box.code is not None
    digits = "".join(c for c in box.code if c.isdigit())
    expect(form.locator(".six")).to_have_text(f"{digits[:3]} {digits[3:]}", timeout=20_000)
    form.locator("[name=name]").fill("co-to-7")
    form.locator("[name=area]").select_option("quang-ninh/co-to")
    form.locator("button.main").click()
    assert room.do(room.node_area("co-to-7")) is None, "not before somebody said that the digits are the same"
    form.locator("[name=same]").check()
    minh.looks_right("enrolments")
    form.locator("button.main").click()
    expect(page.locator("#toast")).to_contain_text("Đã xác nhận co-to-7")
    assert room.do(room.node_area("co-to-7")) == "quang-ninh/co-to"
    minh.close()
