"""The first page in a real browser: sign in, upload, hear, approve, say, take back; nothing written becomes markup."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect, sync_playwright

from tests.api.office import recording
from tests.api.server import Served, serve

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


def _sign_in(page: Page, served: Served) -> None:
    page.goto(served.url)
    page.fill("[name=password]", "not the password")
    page.click("#sign-in-form button")
    expect(page.locator("#sign-in-form .wrong")).to_contain_text("Sai tên hoặc mật khẩu")
    page.fill("[name=password]", served.password)
    page.click("#sign-in-form button")
    expect(page.locator("#board")).to_be_visible()
    expect(page.locator("#line")).to_have_text("Trực tiếp")


def _upload(page: Page, file: Path, title: str) -> None:
    page.set_input_files("#file", file)
    page.fill("#upload [name=title]", title)
    page.select_option("#upload [name=area]", "quang-ninh/co-to")
    page.click("#upload button.main")


def _story(page: Page, served: Served, folder: Path, mistakes: list[str]) -> None:
    _sign_in(page, served)
    (folder / "list.mp3").write_text("#EXTM3U\nhttp://127.0.0.1/x\n")
    _upload(page, folder / "list.mp3", "x")
    expect(page.locator("#speak .wrong")).to_be_visible(timeout=20_000)
    (folder / "a.wav").write_bytes(recording())
    _upload(page, folder / "a.wav", EVIL)
    item = page.locator("#bulletins .item").first
    expect(item).to_contain_text(EVIL, timeout=30_000)
    item.locator("button", has_text="Duyệt").click()
    expect(item).to_contain_text("đã duyệt")
    sound = item.locator("audio")
    length = sound.evaluate(_LENGTH)
    assert 5 < length < 10, "three seconds and two chimes"
    item.locator("button", has_text="Phát…").click()
    page.click("#say-go")
    expect(page.locator("#air")).to_contain_text(EVIL, timeout=10_000)
    expect(page.locator("#broadcasts .item").first).to_contain_text("0/1 đã phát xong", timeout=10_000)
    page.locator("#toast button").click()
    expect(page.locator("#broadcasts .item").first).to_contain_text("đã thu hồi", timeout=10_000)
    item.locator("button", has_text="Phát…").click()
    page.check("input[value=programme]")
    expect(page.locator("#preview")).to_contain_text("05:00", timeout=10_000)
    page.click("#say-go")
    expect(page.locator("#timetable")).to_contain_text("05:00", timeout=10_000)
    page.click("#language")
    expect(page.locator("#nodes")).to_contain_text("not heard from yet")
    expect(page.locator("#trouble")).to_contain_text("1 never heard from: co-to-1")
    expect(page.locator("#trouble")).to_contain_text("Power them up")
    assert page.title() == "Loa"
    assert page.locator("#board img, #board script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
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
