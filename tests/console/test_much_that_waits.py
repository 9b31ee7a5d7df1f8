"""A night with many alerts of others, in a real browser: what sounds stays in reach, what is unwanted is put away."""

from typing import Any

import pytest
from playwright.sync_api import expect

from loa.errors import Refused
from tests.api.cap_texts import alert_text
from tests.api.test_alert_boards import released
from tests.console.desks import Desk
from tests.console.watchroom import Watchroom

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "espeak-ng")]
CO_TO, ALERTS = "quang-ninh/co-to", "/api/v1/alerts"


def hand_in(room: Watchroom, name: str) -> Any:
    text = alert_text(room.duty.clock.now_ms(), name)
    reply = room.do(room.duty.people["hai"].client.post("/api/v1/cap", content=text.encode()))
    assert reply.status_code == 201, reply.text
    return reply.json()["items"][0]


def test_what_sounds_can_be_taken_back_however_much_waits(room: Watchroom, thu: Desk) -> None:
    duty = room.duty
    person = duty.people["thu"]
    alert = room.do(released(duty, CO_TO))
    waiting = [room.do(duty.compose(person, CO_TO, kind="drill", title=f"Chờ {number}")) for number in range(51)]
    thu.page.reload()
    page = thu.go("#/mine")
    expect(page.locator("#sounding .take-back")).to_be_visible()
    for one in waiting:
        room.do(person.client.post(f"{ALERTS}/{one['id']}/withdraw"))
    page.click("#sounding .take-back")
    page.keyboard.type(thu.words)
    page.keyboard.press("Enter")
    expect(page.locator("#sounding")).to_be_hidden()
    assert room.do(duty.get(person, alert))["status"] == "cancelled"


def test_what_nobody_here_composed_can_be_withdrawn(room: Watchroom, hai: Desk) -> None:
    made = hand_in(room, "night.1")
    page = hai.go(f"#/alerts/{made['alert']}")
    page.click("#withdraw-open")
    expect(page.locator("#alert-facts")).to_contain_text("đã rút")


def test_what_could_not_be_composed_is_composed_by_a_person(
    room: Watchroom, hai: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any, **__: Any) -> str:
        raise Refused("empty_target", field="target_areas")

    with monkeypatch.context() as until_looked_at:
        until_looked_at.setattr(room.duty.centre.alerts, "compose_words", refused)
        text = alert_text(room.duty.clock.now_ms(), "night.2").encode()
        reply = room.do(room.duty.people["hai"].client.post("/api/v1/cap", content=text))
        assert reply.status_code == 202, reply.text
    page = hai.go(f"#/alerts/cap/{reply.json()['items'][0]['cap']}")
    page.check(f"#cap-one input[value='{CO_TO}']")
    page.click("#cap-one button")
    expect(page.locator("#alert-facts")).to_contain_text("Cô Tô", timeout=30_000)
    page.click("#withdraw-open")
    expect(page.locator("#alert-facts")).to_contain_text("đã rút")
