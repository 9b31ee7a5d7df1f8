"""Approved beforehand, out by a verified source's word: at real nodes, with every way in which it must stay silent."""

from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio
from lxml import etree
from sqlmodel import Session

from controller.services.bulletins import withdraw_bulletin
from controller.services.cap_sources import Pin, SourceForm, put_source, remove_source
from controller.services.context import Changed, Context
from controller.tables import Alert
from devices.protocol.alerts import LONGEST_ALERT_MS
from loa.errors import Fault
from tests.api.cap_texts import NoVoice, alert_text, reference
from tests.api.duty import ALERTS, CO_TO, MONG_CAI, PROVINCE, Duty
from tests.api.office import problem
from tests.api.test_alerts import outcome
from tests.cap.test_signature import ec_key, public_pem, signed

pytestmark = pytest.mark.slow
CAP = "/api/v1/cap"
THEIRS, OTHERS, STRANGER = ec_key("a"), ec_key("b"), ec_key("c")
RULE = {"source": "kttv", "events": ["Sóng thần", "Tsunami"], "severities": ["Extreme"]}
BOTH = "".join(f"<geocode><valueName>loa</valueName><value>{one}</value></geocode>" for one in ("co-to", "mong-cai"))


@pytest_asyncio.fixture
async def duty(duty: Duty) -> Duty:
    duty.centre.alerts.voice = NoVoice()
    await _source(duty, "kttv", THEIRS)
    await _source(duty, "dia-chat", OTHERS)
    return duty


async def _source(duty: Duty, name: str, key: Any) -> None:
    form = SourceForm(name=name, senders=("kttv@example.vn",), pins=(Pin(name, public_pem(key)),))
    await duty.change(lambda session, ctx: Changed(put_source(session, ctx, form)))


def without(source: str) -> Callable[[Session, Context], Changed[None]]:
    """The change that removes it."""

    def work(session: Session, ctx: Context) -> Changed[None]:
        remove_source(session, ctx, source)
        return Changed(None)

    return work


def withdrawn(bulletin: str) -> Callable[[Session, Context], Changed[None]]:
    """The change after which it may not be aired."""

    def work(session: Session, ctx: Context) -> Changed[None]:
        withdraw_bulletin(session, ctx, id=bulletin)
        return Changed(None)

    return work


async def _armed(duty: Duty, *areas: str, **more: Any) -> Any:
    """Composed by one, approved by two, and it waits."""
    thu, hai = duty.people["thu"], duty.people["hai"]
    form: dict[str, Any] = {
        "kind": "live",
        "title": "Sóng thần",
        "bulletins": [duty.bulletin],
        "target_areas": list(areas or [PROVINCE]),
    }
    form |= {"repeats": 0, "direct": RULE} | more
    reply = await thu.client.post(ALERTS, json=form)
    assert reply.status_code == 201, reply.text
    alert = reply.json()
    outcome(await duty.approve(thu, alert), 202, "second_person_required")
    armed = outcome(await duty.approve(hai, alert), 200, "armed")["alert"]
    assert (armed["status"], armed["people_needed"], armed["direct"]) == ("armed", 0, form["direct"] | {"ready": True})
    return armed


def _word(duty: Duty, name: str = "st.1", *, event: str = "sóng  thần", severity: str = "Extreme", **more: Any) -> str:
    text = alert_text(duty.clock.now_ms(), name, **{"sent_ago_s": 1} | more)
    return text.replace("<event>Bão</event>", f"<event>{event}</event>").replace("Severe</sev", f"{severity}</sev")


def sealed(text: str, key: Any = THEIRS) -> bytes:
    return etree.tostring(signed(etree.fromstring(text.encode()), key), encoding="utf-8")


async def _heard(duty: Duty, data: bytes) -> Any:
    """What the centre says of it, once nodes had time to sound."""
    reply = await duty.people["hai"].client.post(CAP, content=data)
    await duty.clock.advance(3.0)
    return reply.json()


async def test_it_sounds_where_the_source_says_for_as_long_as_it_says_and_once(duty: Duty) -> None:
    alert = await _armed(duty)
    await duty.clock.advance(60)
    assert await duty.silent()
    item = (await _heard(duty, sealed(_word(duty, lasts_s=3600))))["items"][0]
    assert item["signature"] == "verified"
    assert duty.boxes["co-to-1"].sounds(alert["id"])
    assert not duty.boxes["mong-cai-1"].any_sound
    seen = await duty.get(duty.people["lan"], alert)
    assert (seen["status"], seen["broadcast_status"], seen["released_by_cap"]) == ("released", "issued", item["cap"])
    kept = (await duty.people["thu"].client.get(f"{CAP}/{item['cap']}")).json()
    assert (seen["expires_at"], seen["target_areas"], seen["area"]) == (kept["expires_at"], [CO_TO], CO_TO)
    out = (await duty.people["thu"].client.get(f"{CAP}/out/{alert['id']}.xml")).text
    assert "<value>quang-ninh/co-to</value>" in out
    assert "<value>quang-ninh</value>" not in out
    assert [who for _, who, _ in await duty.deeds("release_direct")] == ["loa"]
    assert [sorted(detail.split(", ")) for _, _, detail in await duty.deeds("release")] == [["hai", "thu"]]
    # People have the source's own words all the same, to take its place.
    theirs = await duty.get(duty.people["thu"], {"id": item["alert"]})
    assert (theirs["status"], theirs["updates"]) == ("composed", [alert["id"]])
    await _heard(duty, sealed(_word(duty, "st.2", area=BOTH)))
    assert not duty.boxes["mong-cai-1"].any_sound, "what was approved goes out once"


async def test_one_person_takes_it_back_and_the_sources_cancel_is_asked_of_people(duty: Duty) -> None:
    alert = await _armed(duty)
    now = duty.clock.now_ms()
    await _heard(duty, sealed(_word(duty)))
    assert duty.boxes["co-to-1"].sounds(alert["id"])
    cancel = alert_text(
        now, "st.9", msg_type="Cancel", references=reference(now, "st.1", sent_ago_s=1), info=False, sent_ago_s=0
    )
    await _heard(duty, sealed(cancel))
    seen = await duty.get(duty.people["thu"], alert)
    assert (seen["cancel_asked"]["sender"], seen["cancel_asked"]["signature"]) == ("kttv@example.vn", "verified")
    assert duty.boxes["co-to-1"].sounds(alert["id"]), "a source ends nothing by itself"
    thu = duty.people["thu"]
    reply = await thu.client.post(f"{ALERTS}/{alert['id']}/cancel", json={"passphrase": thu.words})
    assert reply.status_code == 200, reply.text
    await duty.clock.advance(2)
    assert not duty.boxes["co-to-1"].sounds(alert["id"])


WRONG: dict[str, Callable[[Duty, str], bytes]] = {
    "unsigned": lambda d, n: _word(d, n).encode(),
    "by another source's key": lambda d, n: sealed(_word(d, n), OTHERS),
    "by nobody's": lambda d, n: sealed(_word(d, n), STRANGER),
    "altered after it was signed": lambda d, n: sealed(_word(d, n, headline="x")).replace(b">x<", b">y<"),
    "of another sender": lambda d, n: sealed(_word(d, n, sender="other@example.vn")),
    "another event": lambda d, n: sealed(_word(d, n, event="Bão")),
    "less severe": lambda d, n: sealed(_word(d, n, severity="Severe")),
    "an exercise": lambda d, n: sealed(_word(d, n, status="Exercise")),
    "a test": lambda d, n: sealed(_word(d, n, status="Test")),
    "over": lambda d, n: sealed(_word(d, n, lasts_s=-60)),
    "over in a moment": lambda d, n: sealed(_word(d, n, lasts_s=30)),
    "elsewhere": lambda d, n: sealed(_word(d, n, area=BOTH.replace("co-to", "van-don").replace("mong-cai", "x"))),
}  # fmt: skip


async def test_nothing_else_puts_it_out(duty: Duty) -> None:
    alert = await _armed(duty)
    for number, (why, made) in enumerate(WRONG.items()):
        await _heard(duty, made(duty, f"w.{number}"))
        assert await duty.silent(1.0), why
        assert (await duty.get(duty.people["thu"], alert))["status"] == "armed", why
    await _heard(duty, sealed(_word(duty)))
    assert duty.boxes["co-to-1"].sounds(alert["id"]), "and the right one does"


async def test_places_that_nobody_approved_stay_silent(duty: Duty) -> None:
    alert = await _armed(duty, CO_TO)
    await _heard(duty, sealed(_word(duty, area=BOTH)))
    assert duty.boxes["co-to-1"].sounds(alert["id"])
    assert not duty.boxes["mong-cai-1"].any_sound


async def test_one_approval_is_none(duty: Duty) -> None:
    thu = duty.people["thu"]
    form = {"kind": "live", "title": "x", "bulletins": [duty.bulletin], "target_areas": [PROVINCE], "direct": RULE}
    alert = (await thu.client.post(ALERTS, json=form)).json()
    outcome(await duty.approve(thu, alert), 202, "second_person_required")
    await _heard(duty, sealed(_word(duty)))
    assert await duty.silent()
    assert (await duty.get(thu, alert))["status"] == "composed"


async def test_a_rule_that_somebody_edited_puts_nothing_out(duty: Duty) -> None:
    alert = await _armed(duty)

    def edit(session: Any, _: Any) -> Changed[None]:
        row = session.get_one(Alert, alert["id"])
        row.direct = row.direct | {"events": ["Bão"]}
        session.add(row)
        return Changed(None)

    await duty.change(edit)
    assert (await duty.get(duty.people["thu"], alert))["status"] == "altered"
    item = (await _heard(duty, sealed(_word(duty, event="Bão"))))["items"][0]
    assert await duty.silent()
    assert [detail for _, _, detail in await duty.deeds("direct_refused")] == [f"alert_altered {item['cap']}"]


async def test_it_says_when_it_would_not_go_out(duty: Duty) -> None:
    alert = await _armed(duty)
    await duty.change(without("kttv"))
    assert (await duty.get(duty.people["thu"], alert))["direct"]["ready"] is False
    await _heard(duty, sealed(_word(duty)))
    assert await duty.silent()


async def test_it_is_withdrawn_by_whoever_may_compose_there_and_lasts_a_month_at_most(duty: Duty) -> None:
    alert = await _armed(duty)
    problem(await duty.people["mai"].client.post(f"{ALERTS}/{alert['id']}/withdraw"), 404, "not_found")
    reply = await duty.people["hai"].client.post(f"{ALERTS}/{alert['id']}/withdraw")
    assert reply.json()["status"] == "withdrawn"
    await _heard(duty, sealed(_word(duty)))
    assert await duty.silent()
    listed = await _armed(duty)
    items = (await duty.people["thu"].client.get(ALERTS, params={"status": "armed"})).json()["items"]
    assert [(one["id"], one["direct"]) for one in items] == [(listed["id"], RULE | {"ready": None})]
    form = {"kind": "live", "title": "x", "bulletins": [duty.bulletin], "target_areas": [CO_TO], "direct": RULE}
    problem(
        await duty.people["thu"].client.post(ALERTS, json=form | {"lasts_ms": LONGEST_ALERT_MS + 1}), 422, "bad_value"
    )


async def test_what_is_refused(duty: Duty) -> None:
    form = SourceForm(name="no-key", senders=("kttv@example.vn",))
    await duty.change(lambda session, ctx: Changed(put_source(session, ctx, form)))
    asked = {"kind": "live", "title": "x", "bulletins": [duty.bulletin], "target_areas": [MONG_CAI], "direct": RULE}
    thu = duty.people["thu"].client
    cases: list[tuple[Any, int, str | None, str | None]] = [
        ({"kind": "drill"}, 409, "drill_mismatch", "direct"),
        ({"target_areas": [], "target_nodes": ["co-to-1"]}, 422, "too_many", "target_nodes"),
        ({"direct": RULE | {"source": "nobody"}}, 404, "not_found", "direct.source"),
        ({"direct": RULE | {"source": "no-key"}}, 409, "source_unsigned", "direct.source"),
        ({"direct": RULE | {"events": [" "]}}, 422, None, None),
        ({"direct": RULE | {"events": []}}, 422, "field_required", "direct.events"),
        ({"direct": RULE | {"severities": ["Worst"]}}, 422, None, None),
        ({"direct": RULE | {"events": ["x" * 81]}}, 422, "bad_value", "direct.events"),
    ]
    for change, status, code, field in cases:
        reply = await thu.post(ALERTS, json=asked | change)
        assert reply.status_code == status, (change, reply.text)
        if code is not None:
            assert (reply.json()["code"], reply.json()["field"]) == (code, field), change
    assert (await thu.get(ALERTS)).json()["items"] == []


async def test_it_goes_out_when_the_tables_can_be_written_again(duty: Duty, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source's alert was kept, and the tables were locked before what waits for it was out."""
    alert = await _armed(duty)
    desk = duty.centre.alerts

    async def locked(_: object) -> None:
        raise Fault("database_busy")

    with monkeypatch.context() as patched:
        patched.setattr(desk, "put_out_armed", locked)
        await _heard(duty, sealed(_word(duty)))
    assert await duty.silent()
    await duty.centre.cap.finish()
    await duty.clock.advance(3.0)
    assert duty.boxes["co-to-1"].sounds(alert["id"])


async def test_who_reaches_less_than_was_approved_takes_nothing_over(duty: Duty) -> None:
    """The source's own words are composed as its update; nodes hold that against all that was approved."""
    alert = await _armed(duty)
    item = (await _heard(duty, sealed(_word(duty))))["items"][0]
    theirs = await duty.get(duty.people["thu"], {"id": item["alert"]})
    assert {one["holder"]: one["alone"] for one in theirs["could_approve"]} == {"hai": False, "thu": False}
    assert (theirs["people_needed"], theirs["replaced_until"]) == (2, None)
    problem(await duty.approve(duty.people["mai"], theirs), 403, "mandate_exceeded")
    assert duty.boxes["co-to-1"].sounds(alert["id"])
    for name in ("thu", "hai"):
        await duty.approve(duty.people[name], theirs)
    await duty.clock.advance(1.5)
    assert duty.boxes["co-to-1"].sounds(theirs["id"])
    thu = duty.people["thu"]
    await thu.client.post(f"{ALERTS}/{theirs['id']}/cancel", json={"passphrase": thu.words})
    await duty.clock.advance(3.0)
    assert duty.boxes["co-to-1"].node.status().playing is None


async def test_what_its_source_took_back_or_sent_before_starts_nothing(duty: Duty) -> None:
    await _heard(duty, sealed(_word(duty, "early")))
    alert = await _armed(duty)
    await duty.centre.cap.finish()
    assert await duty.silent()
    await duty.clock.advance(700)
    await _heard(duty, sealed(_word(duty, "yesterday", sent_ago_s=86_400, lasts_s=3600)))
    assert await duty.silent()
    now = duty.clock.now_ms()
    both = [etree.fromstring(sealed(_word(duty, "off", sent_ago_s=20)))]
    cancel = alert_text(now, "off.2", msg_type="Cancel", references=reference(now, "off", sent_ago_s=20), info=False)
    both.append(etree.fromstring(sealed(cancel.replace("<sent>", "<sent>", 1))))
    feed = etree.Element("alerts")
    feed.extend(both)
    await _heard(duty, etree.tostring(feed))
    assert await duty.silent(), "both came in one file"
    await _heard(duty, sealed(_word(duty)))
    assert duty.boxes["co-to-1"].sounds(alert["id"])


async def test_of_several_infos_only_those_that_are_meant_count(duty: Duty) -> None:
    """Their places, and their end."""
    alert = await _armed(duty)
    text = _word(duty, lasts_s=3600)
    first = text[text.index("<info>") : text.index("</info>") + 7]
    rain = first.replace("sóng  thần", "Mưa").replace("co-to", "mong-cai")
    clear = first.replace("<urgency>", "<responseType>AllClear</responseType><urgency>").replace("co-to", "mong-cai")
    past = first.replace("Immediate", "Past").replace("co-to", "mong-cai")
    await _heard(duty, sealed(text.replace("</alert>", rain + clear + past + "</alert>")))
    assert duty.boxes["co-to-1"].sounds(alert["id"])
    assert not duty.boxes["mong-cai-1"].any_sound


async def test_of_two_that_wait_for_the_same_the_newer_goes_out(duty: Duty) -> None:
    older = await _armed(duty)
    await duty.clock.advance(5)
    newer = await _armed(duty, title="Sóng thần, tháng sau")
    await _heard(duty, sealed(_word(duty)))
    assert duty.boxes["co-to-1"].sounds(newer["id"])
    assert (await duty.get(duty.people["thu"], older))["status"] == "armed"


async def test_what_went_out_is_not_followed_by_older_words_for_the_same(duty: Duty) -> None:
    """The source updates its alert, or says it once more: that is for people. For another event it is not the same."""
    older = await _armed(duty, direct=RULE | {"severities": ["Extreme", "Severe"]})
    await duty.clock.advance(5)
    newer = await _armed(duty)
    await _heard(duty, sealed(_word(duty, lasts_s=3600)))
    now = duty.clock.now_ms()
    update = {"msg_type": "Update", "references": reference(now, "st.1", sent_ago_s=4)}
    await _heard(duty, sealed(_word(duty, "st.2", **update)))
    await _heard(duty, sealed(_word(duty, "st.3")))
    assert duty.boxes["co-to-1"].sounds(newer["id"])
    assert not duty.boxes["co-to-1"].heard(older["id"])
    assert (await duty.get(duty.people["thu"], older))["status"] == "armed"
    await _heard(duty, sealed(_word(duty, "st.4", severity="Severe", area=BOTH)))
    assert duty.boxes["mong-cai-1"].sounds(older["id"])


async def test_one_that_is_spoilt_holds_up_no_other(duty: Duty) -> None:
    spoilt, bare = await _armed(duty, CO_TO), await _armed(duty, CO_TO)
    alert = await _armed(duty, MONG_CAI)
    await duty.edit(spoilt, body=b"x")
    await duty.edit(bare, direct={})
    await _heard(duty, sealed(_word(duty, area=BOTH)))
    assert duty.boxes["mong-cai-1"].sounds(alert["id"])
    assert not duty.boxes["co-to-1"].any_sound


async def test_it_is_not_ready_without_its_recording(duty: Duty) -> None:
    alert = await _armed(duty)
    await duty.change(withdrawn(duty.bulletin))
    assert (await duty.get(duty.people["thu"], alert))["direct"]["ready"] is False
