"""Whose word counts, and what becomes of what sources say: composed once, by and by, and when there is a voice."""

from typing import Any

import pytest
from lxml import etree

from controller.cap_desk import MOST_AT_ONCE
from controller.services import cap_sources
from controller.services.cap_sources import Pin, SourceForm
from loa.errors import OperatorNeeded, Refused
from tests.api.cap_texts import SENDER, NoVoice, reference
from tests.cap.test_signature import pem, rsa_key, signed
from tests.controller.feeds.world import World

pytestmark = pytest.mark.slow


async def test_verified_only_by_a_key_that_is_pinned_for_its_sender(world: World) -> None:
    async def state(path: str, name: str, key: str, sender: str) -> tuple[str, str, bool]:
        alert = etree.fromstring(world.text(name, sender=sender).encode())
        world.web.put(path, etree.tostring(signed(alert, rsa_key(key))))
        await world.source(path, pins=[Pin("Đài KTTV", pem(rsa_key("a")))])
        await world.poll()
        row = next(one for one in await world.kept() if one.identifier == name)
        return row.signature, row.signer, row.is_expected

    assert await state("/1", "h.1", "a", SENDER) == ("verified", "Đài KTTV", True)
    signature, _, expected = await state("/2", "h.2", "a", "other@example.vn")
    assert (signature, expected) == ("untrusted", False), "that key may not speak for others"
    assert (await state("/3", "h.3", "b", SENDER))[0] == "untrusted"


async def test_a_weaker_word_does_not_take_back_a_signed_one(world: World) -> None:
    alert = etree.fromstring(world.text("i.1").encode())
    world.web.put("/feed", etree.tostring(signed(alert, rsa_key("a"))))
    await world.source(pins=[Pin("Đài KTTV", pem(rsa_key("a")))])
    await world.poll()
    (first,) = await world.kept()
    cancel = world.text(
        "i.2", msg_type="Cancel", references=reference(world.clock.now_ms(), "i.1"), info=False, sent_ago_s=5
    )
    (answer,) = await world.centre.cap.submit(cancel.encode(), account="loa")
    assert (answer.withdrawn, answer.asked) == ((), (first.alert,))
    by_key = etree.tostring(signed(etree.fromstring(cancel.replace("i.2", "i.3").encode()), rsa_key("a")))
    (answer,) = await world.centre.cap.submit(by_key, account="loa")
    assert answer.withdrawn == (first.alert,), "signed by the same hand, by whatever way it comes"


async def test_what_could_not_be_composed_for_want_of_a_voice_is_composed_later(world: World) -> None:
    class Broken(NoVoice):
        languages = ("vi",)

        def speak(self, text: str, language: str) -> Any:
            raise OperatorNeeded("voice_unavailable", field="voice", value="x", reason="y")

    world.centre.alerts.voice = Broken()
    world.web.put("/feed", world.text("j.1"))
    await world.source()
    await world.poll()
    (kept,) = await world.kept()
    assert (kept.state, kept.trouble, kept.alert) == ("waiting", "voice_unavailable", None)
    world.centre.alerts.voice = NoVoice()
    await world.centre.cap.finish()
    (kept,) = await world.kept()
    assert (kept.state, kept.trouble) == ("composed", "")
    assert [one.id for one in await world.alerts()] == [kept.alert]


def form_of(**more: Any) -> SourceForm:
    given: dict[str, Any] = {"name": "kttv", "senders": [SENDER]}
    return SourceForm(**given | more)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (form_of(url="http://a.example/"), "bad_source_url"),
        (form_of(url="ftp://a.example/", is_local=True), "bad_source_url"),
        (form_of(url="https://u:p@a.example/"), "bad_source_url"),
        (form_of(url="https:///x"), "bad_source_url"),
        (form_of(url="https://a.example:99999/"), "bad_source_url"),
        (form_of(name="Bad Name"), "bad_value"),
        (form_of(senders=[]), "field_required"),
        (form_of(senders=["a\nb"]), "bad_value"),
        (form_of(hosts=["a b"]), "bad_value"),
        (form_of(interval_s=1), "bad_value"),
        (form_of(pins=[Pin("x", b"no key")]), "bad_key_file"),
    ],
)
async def test_sources_that_are_refused(world: World, form: SourceForm, code: str) -> None:
    with pytest.raises(Refused) as caught:
        await world.change(lambda session, ctx: cap_sources.put_source(session, ctx, form))
    assert caught.value.code == code


async def test_what_is_being_spoken_is_not_composed_twice_and_ends_with_its_cancel(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def while_it_is_spoken(work: Any) -> Any:
        """In the place of the centre's own, where the voice would be at work."""
        if not work.__qualname__.startswith("AlertDesk.compose_words"):
            return work()
        await world.centre.cap.finish()
        named = reference(world.clock.now_ms(), "q.1")
        cancel = world.text("q.2", msg_type="Cancel", references=named, info=False, sent_ago_s=5)
        (answer,) = await world.centre.cap.submit(cancel.encode(), account="loa")
        assert (answer.withdrawn, answer.asked) == ((), ())
        return work()

    monkeypatch.setattr(world.centre, "aside", while_it_is_spoken)
    (answer,) = await world.centre.cap.submit(world.text("q.1").encode(), account="loa")
    assert answer.withdrawn == ()
    (alert,) = await world.alerts()
    first, _ = sorted(await world.kept(), key=lambda one: one.identifier)
    assert (alert.status, first.alert, first.state, first.trouble) == ("withdrawn", alert.id, "kept", "cap_over")


async def test_a_flood_of_alerts_is_composed_by_and_by(world: World) -> None:
    """Each takes a voice a second or two: two thousand at once would hold up feeds, and whoever posts, for an hour."""
    texts = "".join(world.text(f"t.{number}") for number in range(2 * MOST_AT_ONCE + 5)).encode()
    answers = await world.centre.cap.submit(texts, account="loa")
    assert [one.waits for one in answers] == [False] * MOST_AT_ONCE + [True] * (MOST_AT_ONCE + 5)
    assert len(await world.alerts()) == MOST_AT_ONCE
    await world.centre.cap_feeds.turn()  # does not wait, for there is more to do
    assert len(await world.alerts()) == 2 * MOST_AT_ONCE
    assert not await world.centre.cap.finish()
    assert len(await world.alerts()) == len(answers)
    assert {one.state for one in await world.kept()} == {"composed"}


async def test_what_was_taken_and_is_over_by_now_is_the_same_alert(world: World) -> None:
    text = world.text("r.1", lasts_s=600).encode()
    (first,) = await world.centre.cap.submit(text, account="loa")
    await world.clock.advance(700)
    (again,) = await world.centre.cap.submit(text, account="loa")
    assert (again.verdict.code, again.id, again.alert) == ("expired", first.id, first.alert)
    assert len(await world.kept()) == 1
