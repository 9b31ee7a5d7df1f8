"""Somebody at a browser, before the console."""

import os
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from api.gate import COOKIE
from tests.console.watchroom import Watchroom

PHONE, DESK = 360, 1280
_WATCH = """
const real = Date.now;
Date.now = () => real() + 3 * 3600000;
window.violations = [];
addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(event.violatedDirective + " " + event.blockedURI);
});
"""


_NAMELESS = """() => [...document.querySelectorAll("input, select, textarea, button, a, meter, progress, audio")]
  .filter((e) => e.offsetParent !== null && e.type !== "hidden")
  .filter((e) => ![e.getAttribute("aria-label"), e.textContent, ...[...(e.labels || [])].map((l) => l.textContent)]
    .some((name) => name && name.trim()) && !e.closest("label") && !e.querySelector("img"))
  .map((e) => e.outerHTML.slice(0, 120))"""

_TWICE = """() => [...document.querySelectorAll("[id]")].map((e) => e.id)
  .filter((id, at, all) => all.indexOf(id) !== at)"""


class Desk:
    """Somebody's browser, in another time zone and on a computer whose clock is three hours fast."""

    def __init__(self, room: Watchroom, browser: Browser, name: str, width: int) -> None:
        self.room, self.name = room, name
        self.words = room.duty.people[name].words
        self.context = browser.new_context(viewport={"width": width, "height": 800}, timezone_id="America/New_York")
        self.page: Page = self.context.new_page()
        self.page.add_init_script(_WATCH)
        self.page.set_default_timeout(15_000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self._sign_in()

    def _sign_in(self) -> None:
        """By a session that there is already, in which password and code were given a moment ago."""
        person = self.room.duty.people[self.name]
        self.room.do(self.room.duty.fresh(person))
        self.context.add_cookies([{"name": COOKIE, "value": person.who.token, "url": self.room.url}])
        self.page.goto(self.room.url)
        expect(self.page.locator("#nav a").first).to_be_visible(timeout=15_000)

    def go(self, where: str) -> Page:
        self.page.evaluate("where => { location.hash = where; }", where)
        return self.page

    def looks_right(self, name: str) -> None:
        """No sideways scrolling, nothing that the policy refused, no script's error; a picture where one is wanted."""
        width = self.page.viewport_size["width"]  # type: ignore[index]
        assert self.page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert self.page.evaluate("window.violations") == [], name
        assert self.errors == [], name
        assert self.page.evaluate(_TWICE) == [], "an id names one thing, whatever page it is on"
        nameless = self.page.evaluate(_NAMELESS)
        assert nameless == [], f"a screen reader has nothing to say of {nameless}"
        if folder := os.environ.get("LOA_SHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)

    def compose(self, kind: str, title: str, where: str) -> str:
        """Composed in the page; the alert's id."""
        page = self.go("#/alerts")
        page.click("#compose-open")
        assert page.locator("#compose-form").is_hidden(), "live or drill comes first"
        page.click(f"a.door.{kind}")
        page.check(f"#compose-areas input[value='{where}']")
        page.check("#compose-form [value=recordings]")
        page.fill("#compose-form [name=title]", title)
        page.locator("#compose-bulletins label", has_text="Về bờ ngay").locator("input").check()
        page.select_option("#compose-form [name=severity]", "Extreme")
        page.select_option("#compose-form [name=urgency]", "Immediate")
        expect(page.locator("#level-now")).to_contain_text("Lặp lại cho tới khi huỷ")
        self.looks_right(f"compose-{kind}")
        page.click("#compose-go")
        expect(page.locator("#alert-title")).to_have_text(title)
        return str(page.evaluate("location.hash")).rpartition("/")[2]

    def approve(self, said: str, words: str) -> None:
        self.page.fill("#approve [name=said]", said)
        self.page.fill("#approve [name=passphrase]", words)
        self.page.click("#approve-go")

    def close(self) -> None:
        self.context.close()
