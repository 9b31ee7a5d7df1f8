"""The board of an alert at real nodes: who heard it, sent again, closed, told to those who watch; its report."""

import csv
import io
from html.parser import HTMLParser
from typing import Any

import pytest

from controller.services import areas, nodes
from controller.services.context import Changed
from devices.protocol.topics import AreaChannel, area_topic
from loa.names import AreaPath
from tests.api.duty import ALERTS, CO_TO, MONG_CAI, PROVINCE, Duty, Person
from tests.api.office import problem
from tests.protocol.world import key_of

pytestmark = pytest.mark.slow
THON_1, THON_2, FAR = f"{CO_TO}/thon-1", f"{CO_TO}/thon-2", f"{MONG_CAI}/thon-1"


async def released(duty: Duty, *where: str, **more: Any) -> Any:
    """An alert that both officers approved."""
    thu, hai = duty.people["thu"], duty.people["hai"]
    alert = await duty.compose(thu, *where, **more)
    for person in (thu, hai):
        reply = await duty.approve(person, alert)
    assert reply.json()["outcome"] == "released", reply.text
    return alert


async def board(person: Person, alert: Any, **query: Any) -> Any:
    reply = await person.client.get(f"{ALERTS}/{alert['id']}/board", params=query)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def lines(person: Person, alert: Any, **query: Any) -> dict[str, Any]:
    reply = await person.client.get(f"{ALERTS}/{alert['id']}/board/nodes", params=query)
    assert reply.status_code == 200, reply.text
    return {one["node"]: one for one in reply.json()["items"]}


def states(seen: Any) -> list[tuple[str, str, str]]:
    return [(one["path"], one["state"], one["step"]) for one in seen["villages"]["items"]]


async def test_the_ladder_fills_in_and_the_board_closes_by_itself(duty: Duty) -> None:
    thu = duty.people["thu"]
    far = duty.boxes["mong-cai-1"]
    problem(await thu.client.get(f"{ALERTS}/{'0' * 32}/board"), 404, "not_found")
    waiting = await duty.compose(thu, PROVINCE)
    problem(await thu.client.get(f"{ALERTS}/{waiting['id']}/board"), 409, "alert_not_released")
    far.link.drop()
    await duty.clock.advance(1.0)

    with duty.centre.events.subscribed(1000) as told:
        alert = await released(duty, PROVINCE)
        await duty.clock.advance(4.0)
        changes = []
        while not told._waiting.empty():
            changes.append(await told.next())
    boards = [one.data for one in changes if one.kind == "board"]
    assert 1 <= len(boards) <= 3, "several receipts within a second are one change"
    assert (boards[-1]["reached"], boards[-1]["villages_unreached"], boards[-1]["closed"]) == (1, 2, False)

    seen = await board(thu, alert)
    assert states(seen) == [
        (FAR, "unreached", "wait_link_back"), (THON_2, "unreached", "no_loudspeaker"), (THON_1, "reached", "none"),
    ]  # fmt: skip
    totals = seen["totals"]
    assert totals["rungs"] == {"waiting": 0, "sent": 2, "received": 1, "started": 1, "finished": 0, "sounded": 0}
    assert (totals["people"], totals["people_reached"], totals["open"]) == (900, 300, 2)
    assert [(one["route"], one["name"], one["times"]) for one in seen["routes"]] == [("area", PROVINCE, 1)]
    heard = (await lines(thu, alert))["co-to-1"]
    assert (heard["rung"], heard["reached"], heard["step"]) == ("started", True, "none")
    assert heard["received_at"] <= heard["started_at"] == totals["first_sound_at"]
    missing = await lines(thu, alert, unreached=True)
    assert list(missing) == ["mong-cai-1"]
    assert missing["mong-cai-1"]["rung"] == "sent"
    assert missing["mong-cai-1"]["received_at"] is None

    # A commune sees what is its own.
    lan = duty.people["lan"]
    assert {one[0] for one in states(await board(lan, alert))} == {THON_1, THON_2}
    assert list(await lines(lan, alert)) == ["co-to-1"]

    # Silent by now: called, and closed by nobody while something is open.
    await duty.clock.advance(120)
    far_line = (await lines(thu, alert))["mong-cai-1"]
    assert (far_line["end"], far_line["reason"], far_line["step"]) == ("unreachable", "link_cut", "call_head")
    assert far_line["step_words"]["vi"] == "Gọi trưởng thôn."
    assert far_line["attempts"] >= 5
    problem(await thu.client.post(f"{ALERTS}/{alert['id']}/board/close"), 409, "board_open")

    far.link.restore()
    await duty.clock.advance(5)
    assert (await lines(thu, alert))["mong-cai-1"]["rung"] == "started"
    done = await thu.client.post(f"{ALERTS}/{alert['id']}/cancel", json={"passphrase": thu.words})
    assert done.status_code == 200
    await duty.clock.advance(5)
    seen = await board(thu, alert)
    assert seen["totals"]["ends"] == {"cancelled": 2}
    assert (seen["closed_by"], seen["recalled"]) == ("loa", True)
    assert [detail for _, _, detail in await duty.deeds("close_board")] == ["2 of 2 nodes reached; 2 cancelled"]


async def test_a_cancel_that_has_not_come_everywhere_keeps_it_open(duty: Duty) -> None:
    thu, far = duty.people["thu"], duty.boxes["mong-cai-1"]
    far.link.drop()
    alert = await released(duty, PROVINCE)
    await duty.clock.advance(3)
    await thu.client.post(f"{ALERTS}/{alert['id']}/cancel", json={"passphrase": thu.words})
    await duty.clock.advance(120)
    seen = await board(thu, alert)
    assert (seen["totals"]["ends"], seen["closed_at"]) == ({"cancelled": 1, "unreachable": 1}, None)
    assert seen["may_be_closed"]
    # Whoever may take it back everywhere may close it; nobody of a commune may.
    problem(await duty.people["lan"].client.post(f"{ALERTS}/{alert['id']}/board/close"), 403, "not_permitted")
    closed = (await thu.client.post(f"{ALERTS}/{alert['id']}/board/close")).json()
    assert closed["closed_by"] == "thu"
    far.link.restore()
    await duty.clock.advance(10)
    late = (await lines(thu, alert))["mong-cai-1"]
    assert (late["end"], late["reached"]) == ("cancelled", False), "what came after closing is shown"
    assert not far.sounds(alert["id"])


async def test_it_is_said_again_by_other_routes(duty: Duty) -> None:
    """A node whose own topic is deaf hears it on its village's."""
    thu, far = duty.people["thu"], duty.boxes["mong-cai-1"]
    said: list[str] = []
    publish = duty.centre.link.publish

    def watched(topic: str, payload: bytes, **more: Any) -> bool:
        if topic.endswith("/order"):
            said.append(topic)
            if topic == "loa/1/n/mong-cai-1/order":  # handed over, and lost on the way
                return True
        return publish(topic, payload, **more)

    duty.centre.link.publish = watched  # type: ignore[method-assign]
    far.link.drop()
    alert = await released(duty, PROVINCE)
    await duty.clock.advance(3)
    far.link.restore()
    await duty.clock.advance(1)
    assert (await lines(thu, alert))["mong-cai-1"]["reached"] is False
    village = area_topic(AreaPath(FAR), AreaChannel.ORDER)
    assert village not in said
    await duty.clock.advance(30)
    assert village in said
    line = (await lines(thu, alert))["mong-cai-1"]
    assert (line["reached"], line["attempts"]) == (True, 3)
    routes = {(one["route"], one["name"]): one["times"] for one in (await board(thu, alert))["routes"]}
    assert routes == {("area", PROVINCE): 1, ("area", FAR): 1}


async def test_somebody_sends_it_again(duty: Duty) -> None:
    thu, lan, far = duty.people["thu"], duty.people["lan"], duty.boxes["mong-cai-1"]
    far.link.drop()
    alert = await released(duty, PROVINCE)
    path = f"{ALERTS}/{alert['id']}/send-again"
    await duty.clock.advance(40)
    far.link.restore()
    sent = await thu.client.post(path, json={"area": CO_TO})
    assert (sent.status_code, sent.json()) == (200, {"nodes": 0}), "who has it is not told again"
    assert (await thu.client.post(path, json={})).json() == {"nodes": 1}
    await duty.clock.advance(1.5)
    assert far.sounds(alert["id"])
    problem(await lan.client.post(path, json={}), 403, "not_permitted")
    assert ("send_again", "thu", "1 nodes") in await duty.deeds("send_again")
    await thu.client.post(f"{ALERTS}/{alert['id']}/cancel", json={"passphrase": thu.words})
    problem(await thu.client.post(path, json={}), 409, "alert_over")


async def test_pages(duty: Duty) -> None:
    thu = duty.people["thu"]
    alert = await released(duty, PROVINCE)
    await duty.clock.advance(3)
    found, cursor = [], None
    for _ in range(3):
        page = await board(thu, alert, limit=1, **({} if cursor is None else {"cursor": cursor}))
        found += states(page)
        cursor = page["villages"]["next_cursor"]
    assert cursor is None
    assert found == states(await board(thu, alert))
    assert len(states(await board(thu, alert, state="reached"))) == 2
    first = await thu.client.get(f"{ALERTS}/{alert['id']}/board/nodes?limit=1")
    rest = await lines(thu, alert, cursor=first.json()["next_cursor"])
    assert list(rest) == ["mong-cai-1"]
    assert list(await lines(thu, alert, area=CO_TO)) == ["co-to-1"]
    problem(await thu.client.get(f"{ALERTS}/{alert['id']}/board?cursor=x"), 422, "bad_cursor")


class Page(HTMLParser):
    """Elements and text of a report."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


async def test_a_box_with_a_sensor_is_on_the_highest_rung(duty: Duty) -> None:
    """By what it measured and signed; beside it a box without one, of which nobody says more than that it started."""
    box = await duty.box("co-to-2", f"{CO_TO}/thon-2", measured=True)
    await duty.clock.advance(30)
    alert = await released(duty, PROVINCE)
    await duty.clock.advance(4)
    assert box.sounds(alert["id"])
    thu = duty.people["thu"]
    by_node = await lines(thu, alert)
    assert {name: one["rung"] for name, one in by_node.items()} == {
        "co-to-1": "started", "co-to-2": "sounded", "mong-cai-1": "started",
    }  # fmt: skip
    board = (await thu.client.get(f"{ALERTS}/{alert['id']}/board")).json()
    assert (board["totals"]["rungs"]["sounded"], board["totals"]["reached"]) == (1, 3)
    await box.node.stop()
    del duty.boxes["co-to-2"]


async def test_the_report_marks_nodes_of_no_village(duty: Duty) -> None:
    """A node placed in a commune is in the report, and nobody takes that for a village."""

    def place_there(session: Any, ctx: Any) -> Changed[Any]:
        return nodes.enrol_node(session, ctx, id="co-to-office", area=CO_TO, public_key=key_of("office").public_key)

    await duty.change(place_there)
    thu = duty.people["thu"]
    alert = await released(duty, PROVINCE)
    path = f"{ALERTS}/{alert['id']}/report"
    reply = await thu.client.get(f"{path}.csv")
    rows = {row["node"]: row for row in csv.DictReader(io.StringIO(reply.content.decode("utf-8-sig")))}
    mark = "bộ thu đặt ở cấp xã, không thuộc thôn"
    assert (rows["co-to-office"]["village"], rows["co-to-office"]["place"]) == (CO_TO, f"{mark} / nodes of no village")
    assert (rows["co-to-1"]["village"], rows["co-to-1"]["place"]) == (f"{CO_TO}/thon-1", "thôn / village")
    words = Page((await thu.client.get(f"{path}.html")).text).words
    assert f"Cô Tô ({mark} – nodes of no village)" in words


EVIL = '=HYPERLINK("http://x")<script>alert(1)</script>'


async def test_the_report_of_a_drill(duty: Duty) -> None:
    """Marked plainly, nothing in it runs, and no cell is a formula."""
    thu, far = duty.people["thu"], duty.boxes["mong-cai-1"]

    def name_it(session: Any, ctx: Any) -> Changed[None]:
        areas.add_area(session, ctx, path=f"{CO_TO}/thon-3", name=EVIL, kind="thôn", population=12)
        return Changed(None)

    await duty.change(name_it)
    far.link.drop()
    alert = await released(duty, PROVINCE, kind="drill", title="@SUM(1)<b>")
    await duty.clock.advance(3)
    path = f"{ALERTS}/{alert['id']}/report"
    problem(await duty.people["thu"].client.get(f"{ALERTS}/{'1' * 32}/report.csv"), 404, "not_found")
    reply = await thu.client.get(f"{path}.csv")
    assert reply.content.startswith(b"\xef\xbb\xbf")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(reply.content.decode("utf-8-sig"))))
    assert {row["kind"] for row in rows} == {"DIỄN TẬP / DRILL"}
    assert {row["title"] for row in rows} == {"'@SUM(1)<b>"}
    assert EVIL not in {row["village_name"] for row in rows}
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@\t" and cell]
    by_node = {row["node"]: row for row in rows}
    assert (by_node["co-to-1"]["rung"], by_node["mong-cai-1"]["rung"]) == ("started", "sent")
    assert by_node["co-to-1"]["started_at"]

    reply = await thu.client.get(f"{path}.html")
    page = Page(reply.text)
    assert reply.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert page.tags.isdisjoint({"script", "b", "img", "link", "iframe", "a"})
    assert not {one for one in page.attributes if one.startswith("on") or one in ("src", "href")}
    assert page.words.count("DIỄN TẬP – DRILL") == 1
    text = " ".join(page.words)
    assert "Soạn (Composed)" in text
    assert "thu (thu)" in text
    assert "Thôn không có loa: gọi trưởng thôn, cử người đi báo." in text
    assert "1 / 2" in text
    live = await released(duty, PROVINCE)
    shown = (await thu.client.get(f"{ALERTS}/{live['id']}/report.html")).text
    assert "CẢNH BÁO THẬT – LIVE ALERT" in shown
    assert "DIỄN TẬP" not in shown
    assert "Chỉ gồm" not in shown
    part = (await duty.people["lan"].client.get(f"{ALERTS}/{live['id']}/report.html")).text
    assert f"Chỉ gồm những nơi người lập báo cáo xem được: {CO_TO}" in part, "its figures are not the whole alert's"
