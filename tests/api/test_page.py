"""The first page in a real browser: sign in, upload, hear, approve, say, take back; nothing written becomes markup."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect, sync_playwright

from tests.api.office import recording
from tests.api.server import Served, serve
from tests.people import App

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "mosquitto")]
EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"

_LENGTH = """async sound => {
  sound.load();
  await new Promise((ok, no) => { sound.onloadedmetadata = ok; sound.onerror = no; });
  return sound.duration;
}"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = serve(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def _first_sign_in(page: Page, served: Served) -> tuple[App, str]:
    """Lan, an operator of Cô Tô, signs in for the first time and sets codes up; what makes them, and her password."""
    roles = [{"role": "operator", "area": "quang-ninh/co-to"}]
    made = served.ask("POST", "/api/v1/accounts", {"name": "lan", "roles": roles})
    page.goto(served.url)
    page.fill("[name=account]", "lan")
    page.fill("[name=password]", "not the password")
    page.click("#sign-in-form button")
    expect(page.locator("#sign-in-form .wrong")).to_contain_text("Sai tên hoặc mật khẩu")
    page.fill("[name=password]", made["one_time_password"])
    page.click("#sign-in-form button")
    expect(page.locator("#qr svg path").last).to_be_visible()
    app = App(page.locator("#secret").inner_text().replace(" ", ""))
    _shot(page, "set-up")
    page.fill("#set-up-form [name=code]", "000000")
    page.click("#set-up-form button")
    expect(page.locator("#set-up .wrong")).to_contain_text("Mã xác nhận sai")
    page.fill("#set-up-form [name=code]", app.code())
    page.click("#set-up-form button")
    expect(page.locator("#recovery-codes li")).to_have_count(10)
    _shot(page, "recovery")
    page.click("#written-down")
    expect(page.locator("#board")).to_be_visible()
    expect(page.locator("#line")).to_have_text("Trực tiếp")
    expect(page.locator("#who")).to_contain_text("lan — cán bộ truyền thanh · Cô Tô")
    assert page.locator("#upload [name=area] option").all_inner_texts() == ["đặc khu Cô Tô"]
    return app, str(made["one_time_password"])


def _grown_old(served: Served) -> None:
    """As if the last code had been given six minutes ago."""
    with sqlite3.connect(served.data / "loa.db") as db:
        db.execute("UPDATE api_token SET code_at = code_at - 360000 WHERE account = 'lan'")


def _shot(page: Page, name: str) -> None:
    """A picture to look at, where LOA_SHOTS names a folder."""
    if folder := os.environ.get("LOA_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}-{page.viewport_size['width']}.png", full_page=True)  # type: ignore[index]


def _upload(page: Page, file: Path, title: str) -> None:
    page.set_input_files("#file", file)
    page.fill("#upload [name=title]", title)
    page.select_option("#upload [name=area]", "quang-ninh/co-to")
    page.click("#upload button.main")


def _new_password(page: Page, old: str, new: str, *, first: bool) -> None:
    """The one that was printed once is to be changed; later ones may be."""
    expect(page.locator("#notice")).to_be_visible(visible=first)
    page.click("#new-password")
    expect(page.locator("#printed-once")).to_be_visible(visible=first)
    page.fill("[name=old]", "not the password")
    page.fill("[name=new]", new)
    page.click("#password-form button")
    expect(page.locator("#notice .wrong")).to_contain_text("Sai tên hoặc mật khẩu")
    _shot(page, "password")
    page.fill("[name=old]", old)
    page.click("#password-form button")
    expect(page.locator("#toast")).to_contain_text("Đã đổi mật khẩu")
    expect(page.locator("#notice")).to_be_hidden()
    assert page.input_value("[name=old]") == page.input_value("[name=new]") == ""


def _story(page: Page, served: Served, folder: Path, mistakes: list[str]) -> None:
    app, printed = _first_sign_in(page, served)
    (folder / "list.mp3").write_text("#EXTM3U\nhttp://127.0.0.1/x\n")
    _upload(page, folder / "list.mp3", "x")
    expect(page.locator("#speak .wrong")).to_be_visible(timeout=20_000)
    (folder / "a.wav").write_bytes(recording(3.2))
    _upload(page, folder / "a.wav", EVIL)
    item = page.locator("#bulletins .item").first
    expect(item).to_contain_text(EVIL, timeout=30_000)
    expect(item).to_contain_text("Chờ người khác duyệt")
    expect(item.locator("button", has_text="Duyệt")).to_have_count(0)
    made = served.ask("GET", "/api/v1/bulletins")["items"][0]
    served.ask("POST", f"/api/v1/bulletins/{made['id']}/approve", {"content_hash": made["content_hash"]})
    expect(item).to_contain_text("đã duyệt", timeout=30_000)
    _shot(page, "board")
    sound = item.locator("audio")
    length = sound.evaluate(_LENGTH)
    assert 5 < length < 10, "three seconds and two chimes"
    item.locator("button", has_text="Phát…").click()
    _grown_old(served)
    page.click("#say-go")
    expect(page.locator("#step-up")).to_be_visible()
    _shot(page, "step-up")
    page.fill("#step-up-form [name=code]", "000000")
    page.click("#step-up-go")
    expect(page.locator("#step-up .wrong")).to_contain_text("Mã xác nhận sai")
    assert served.ask("GET", "/api/v1/broadcasts")["items"] == []
    page.fill("#step-up-form [name=code]", app.code())
    page.click("#step-up-go")
    expect(page.locator("#air")).to_contain_text(EVIL, timeout=30_000)
    expect(page.locator("#broadcasts .item").first).to_contain_text("0/1 đã phát xong", timeout=30_000)
    page.locator("#toast button").click()
    expect(page.locator("#broadcasts .item").first).to_contain_text("đã thu hồi", timeout=30_000)
    item.locator("button", has_text="Phát…").click()
    page.check("input[value=programme]")
    expect(page.locator("#preview")).to_contain_text("05:00", timeout=30_000)
    page.click("#say-go")
    expect(page.locator("#timetable")).to_contain_text("05:00", timeout=30_000)
    _new_password(page, printed, "mật khẩu thứ hai", first=True)
    _new_password(page, "mật khẩu thứ hai", "mật khẩu thứ ba", first=False)
    page.click("#language")
    expect(page.locator("#nodes")).to_contain_text("not heard from yet")
    expect(page.locator("#trouble")).to_contain_text("1 never heard from: co-to-1")
    expect(page.locator("#trouble")).to_contain_text("Power them up")
    assert page.title() == "Loa"
    assert page.locator("#board img, #board script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    _shot(page, "english")
    page.click("#sign-out")
    expect(page.locator("#sign-in-form")).to_be_visible()
    assert [text for text in mistakes if "Failed to load resource" not in text] == []


@pytest.mark.parametrize("width", [360, 1280])
def test_the_whole_way(served: Served, tmp_path: Path, width: int) -> None:
    served.ask("POST", "/api/v1/areas", {"path": "quang-ninh/co-to", "name": "Cô Tô", "kind": "đặc khu"})
    served.ask("POST", "/api/v1/nodes", {"id": "co-to-1", "area": "quang-ninh/co-to", "public_key": "ab" * 32})
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
        mistakes: list[str] = []
        page.on("pageerror", lambda error: mistakes.append(str(error)))
        page.on("console", lambda said: mistakes.append(said.text) if said.type == "error" else None)

        def refuse(dialog: Dialog) -> None:
            mistakes.append("dialog " + dialog.message)
            dialog.dismiss()

        page.on("dialog", refuse)
        try:
            _story(page, served, tmp_path, mistakes)
        finally:
            browser.close()
