"""Sources of alerts of others with what came from them, and whom escalation tells, in a real browser."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import expect

from loa.clock import SystemClock
from tests.console.desks import Desk
from tests.console.test_settings import both_languages
from tests.console.watchroom import Watchroom

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]
SOURCES, ESCALATION = "/api/v1/cap/sources", "/api/v1/escalation"


def _asked(room: Watchroom, name: str, method: str, path: str, **more: Any) -> Any:
    person = room.duty.people[name]
    room.do(room.duty.fresh(person))
    reply = room.do(person.client.request(method, path, **more))
    assert reply.status_code < 300, reply.text
    return reply.json() if reply.content else None


def _sources(room: Watchroom) -> dict[str, Any]:
    return {one["name"]: one for one in _asked(room, "minh", "GET", SOURCES)["items"]}


def _cap(name: str, *, severity: str = "Extreme") -> bytes:
    now = datetime.fromtimestamp(SystemClock().now_ms() // 1000, UTC)
    return f"""<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>{name}</identifier>
<sender>kttv@example.vn</sender><sent>{now.isoformat()}</sent><status>Actual</status><msgType>Alert</msgType>
<scope>Public</scope><info><language>vi-VN</language><category>Met</category><event>Bão</event>
<urgency>Immediate</urgency><severity>{severity}</severity><certainty>Observed</certainty>
<expires>{(now + timedelta(hours=3)).isoformat()}</expires><headline>{name}</headline>
<area><areaDesc>huyện đảo Cô Tô</areaDesc></area></info></alert>""".encode()


def test_a_source_is_added_edited_deleted_and_put_back_with_its_keys(room: Watchroom, minh: Desk) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    page = minh.go("#/settings/cap")
    page.click("#source-new")
    page.fill("#source-form [name=name]", "kttv")
    page.fill("#source-form [name=url]", "ftp://example.vn/cap.atom")
    page.fill("#source-form [name=senders]", "kttv@example.vn\nkttv@example.org\n")
    page.get_by_text("Thêm khoá").click()
    page.fill("[name='pins.0.name']", "Đài 2026")
    page.fill("[name='pins.0.certificate']", pem)
    minh.looks_right("source")
    page.click("#source-form button.main")
    expect(page.locator("#source-form > .wrong code")).to_have_text("bad_source_url · url")
    expect(page.locator("#source-form [name=url]")).to_be_focused()
    page.fill("#source-form [name=url]", "")
    page.click("#source-form button.main")
    expect(page.locator("#cap-sources [data-name=kttv]")).to_contain_text("tự gửi tới")
    made = _sources(room)["kttv"]
    assert made["senders"] == ["kttv@example.vn", "kttv@example.org"]
    page.click("#cap-sources [data-name=kttv] a")
    page.fill("#source-form [name=interval_s]", "300")
    page.click("#source-form button.main")
    expect(page.locator("#cap-sources [data-name=kttv]")).to_be_visible()
    edited = _sources(room)["kttv"]
    assert (edited["interval_s"], edited["pins"]) == (300, made["pins"]), "its keys stay what they were"
    page.click("#cap-sources [data-name=kttv] a")
    page.click("#source-delete")
    expect(page.locator("#undo-bar")).to_contain_text("Đã xoá nguồn kttv")
    expect(page.locator("#cap-sources [data-name=kttv]")).to_have_count(0)
    assert "kttv" not in _sources(room)
    page.click("#undo-it")
    expect(page.locator("#cap-sources [data-name=kttv]")).to_be_visible()
    assert _sources(room)["kttv"]["pins"] == made["pins"]
    _asked(room, "minh", "DELETE", f"{SOURCES}/kttv")


def test_who_saves_a_source_second_is_told_first(room: Watchroom, minh_phone: Desk) -> None:
    _asked(room, "minh", "PUT", f"{SOURCES}/dia-chat", json={"senders": ["a@example.vn"]})
    page = minh_phone.go("#/settings/cap/dia-chat")
    page.fill("#source-form [name=senders]", "mine@example.vn")
    _asked(room, "minh", "PUT", f"{SOURCES}/dia-chat", json={"senders": ["theirs@example.vn"]})
    both_languages(minh_phone, "source")
    page.click("#source-form button.main")
    expect(page.locator("#source-form > .wrong")).to_contain_text("theirs@example.vn")
    assert _sources(room)["dia-chat"]["senders"] == ["theirs@example.vn"]
    page.click("#source-form button.main")
    expect(page.locator("#undo-bar")).to_contain_text("Đã lưu nguồn dia-chat")
    assert _sources(room)["dia-chat"]["senders"] == ["mine@example.vn"]
    _asked(room, "minh", "DELETE", f"{SOURCES}/dia-chat")


def test_what_came_is_listed_with_why_it_was_refused(room: Watchroom, hai: Desk, minh: Desk) -> None:
    kind = {"Content-Type": "application/cap+xml"}
    client = room.duty.people["hai"].client
    bad = room.do(client.post("/api/v1/cap", content=_cap("Sai mức", severity="Bad"), headers=kind))
    assert bad.status_code == 422
    _asked(room, "hai", "POST", "/api/v1/cap", content=_cap("Bão số 12"), headers=kind)
    page = hai.go("#/settings/cap")
    assert page.locator("#source-new").count() == 0
    waits = page.locator("#cap-list details", has_text="Bão số 12")
    expect(waits).to_contain_text("chọn nơi phát")
    page.select_option("[name=state]", "refused")
    refused = page.locator("#cap-list details").first
    expect(refused).to_contain_text("bị từ chối")
    refused.locator("summary").first.click()
    expect(refused.locator(".wrong").first).to_contain_text("info.severity")
    expect(refused.locator("code").first).to_have_text("bad_value · info.severity")
    refused.get_by_text("Nguyên văn").click()
    expect(refused.locator("pre")).to_contain_text("<severity>Bad</severity>")
    page.evaluate("tell(document.querySelector('#cap-list').parentElement.lastChild, new Problem({title: 'x'}))")
    expect(refused.locator(".wrong").first).to_contain_text("info.severity")  # no trouble elsewhere takes its place
    both_languages(hai, "cap")
    page.select_option("[name=state]", "needs_area")
    waits.locator("summary").first.click()
    hai.looks_right("cap-waits")
    minh.go("#/settings/cap")
    minh.page.locator("#cap-list details", has_text="Bão số 12").locator("summary").first.click()
    expect(minh.page.locator("#cap-list")).to_contain_text("Trực ban tỉnh soạn từ cảnh báo này")
    minh.looks_right("cap-list")
    waits.get_by_text("Chọn nơi và soạn").click()
    expect(page.locator("#cap-title")).to_have_text("Bão số 12")
    expect(page.locator("#band")).to_contain_text("CẢNH BÁO THẬT")


def test_addresses_are_added_tested_and_removed(room: Watchroom, minh_phone: Desk) -> None:
    page = minh_phone.go("#/settings/escalation")
    expect(page.locator("#settings-body")).to_contain_text("Chưa có địa chỉ nào. Thêm một địa chỉ bên dưới")
    assert page.locator("#step-add").is_disabled()
    page.fill("#address-form [name=name]", "Trực ban tỉnh")
    page.click("#address-form button.main")
    expect(page.locator("#address-form [name=to]")).to_be_focused()
    page.fill("#address-form [name=to]", "truc-ban@example.vn, lanh-dao@example.vn")
    page.fill("#address-form [name=server]", "127.0.0.1:9")
    page.fill("#address-form [name=user]", "loa@example.vn")
    page.fill("#address-form [name=pass]", "bí ẩn & dài")
    both_languages(minh_phone, "escalation")
    assert page.input_value("#address-form [name=pass]") == "", "a secret is not kept"
    page.fill("#address-form [name=pass]", "bí ẩn & dài")
    page.click("#address-form button.main")
    row = page.locator("#address-list li", has_text="Trực ban tỉnh")
    expect(row).to_contain_text("truc-ban@example.vn")
    assert "bí ẩn" not in page.content()
    row.get_by_text("Gửi thử").click()
    expect(row.locator(".wrong")).to_contain_text("Gửi thử không được", timeout=30_000)
    minh_phone.looks_right("escalation-tested")
    row.get_by_text("Bỏ địa chỉ").click()
    expect(page.locator("#undo-bar")).to_contain_text("đã xoá hẳn")
    assert _asked(room, "minh", "GET", ESCALATION)["addresses"] == []


def test_steps_are_edited_refused_saved_and_put_back(room: Watchroom, minh: Desk, thu: Desk) -> None:
    address = _asked(
        room, "minh", "POST", f"{ESCALATION}/addresses", json={"name": "Lãnh đạo", "url": "jsons://hook.example.vn/x"}
    )
    page = minh.go("#/settings/escalation")
    page.click("#step-add")
    page.click("#steps-form button.main")
    expect(page.locator("#steps-form > .wrong")).to_contain_text("Bước 1")
    expect(page.locator("#steps-form > .wrong code")).to_have_text("field_required · steps.0.addresses")
    page.check("[name='steps.0.addresses']")
    page.fill("[name='steps.0.after']", "2")
    page.fill("[name='steps.0.below_percent']", "70")
    expect(page.locator(".step-said")).to_have_text(
        "Sau 2 phút: dưới 70 % bộ thu đã kêu hoặc có thôn chưa loa nào kêu → báo Lãnh đạo."
    )
    page.reload()
    expect(page.locator("[name='steps.0.below_percent']")).to_have_value("70")
    minh.looks_right("steps")
    page.click("#steps-form button.main")
    expect(page.locator("#undo-bar")).to_contain_text("Đã lưu các bước (1)")
    (step,) = _asked(room, "minh", "GET", ESCALATION)["steps"]
    assert (step["after_s"], step["below_percent"], step["village_unreached"], step["addresses"]) == (
        120, 70, True, [address["id"]]
    )  # fmt: skip
    thu.go("#/settings/escalation")
    expect(thu.page.locator("#step-list li")).to_contain_text("báo Lãnh đạo")
    assert thu.page.locator("#settings-body button, #settings-body input").count() == 0, "an officer looks"
    thu.looks_right("escalation-read")
    page.click("#undo-it")
    expect(page.locator("#steps-form")).to_contain_text("Chưa có bước nào")
    assert _asked(room, "minh", "GET", ESCALATION)["steps"] == []
    _asked(room, "minh", "DELETE", f"{ESCALATION}/addresses/{address['id']}")


def test_one_who_removes_an_address_is_not_told_of_others(room: Watchroom, minh: Desk) -> None:
    made = [
        _asked(room, "minh", "POST", f"{ESCALATION}/addresses", json={"name": name, "url": f"jsons://hook.vn/{name}"})
        for name in ("mot", "hai")
    ]
    step = {"after_s": 60, "below_percent": 80, "addresses": [one["id"] for one in made]}
    _asked(room, "minh", "PUT", f"{ESCALATION}/steps", json={"steps": [step]})
    page = minh.go("#/settings/escalation")
    page.fill("[name='steps.0.below_percent']", "70")
    page.locator("#address-list li", has_text="hai").locator("button.stop").click()
    expect(page.locator("#address-list li")).to_have_count(1)
    page.click("#steps-form button.main")
    expect(page.locator("#undo-bar")).to_contain_text("Đã lưu các bước (1)")
    (kept,) = _asked(room, "minh", "GET", ESCALATION)["steps"]
    assert (kept["below_percent"], kept["addresses"]) == (70, [made[0]["id"]])
    page.fill("[name='steps.0.below_percent']", "60")
    _asked(room, "minh", "PUT", f"{ESCALATION}/steps", json={"steps": []})
    page.click("#steps-form button.main")
    expect(page.locator("#steps-form > .wrong")).to_contain_text("Người khác vừa sửa các bước")
    assert _asked(room, "minh", "GET", ESCALATION)["steps"] == []
    page.locator("#undo-it").evaluate("undo => { undo.dataset.of = 'the save before' }")
    page.click("#steps-form button.main")
    expect(page.locator("#undo-it:not([data-of])")).to_be_visible()
    expect(page.locator("#undo-bar")).to_contain_text("Đã lưu các bước (1)")
    page.click("#undo-it")
    expect(page.locator("#steps-form")).to_contain_text("Chưa có bước nào")
    _asked(room, "minh", "DELETE", f"{ESCALATION}/addresses/{made[0]['id']}")
