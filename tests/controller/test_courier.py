"""Notices by e-mail and webhook, against real servers; which addresses are taken; no secret is told."""

import logging

import pytest

from controller.courier import checked_address, deliver, shown_of
from loa.errors import Refused
from tests.receivers import mailbox, webhook

VI = "Thôn Hồng Hải chưa nghe: gọi trưởng thôn"


def test_by_mail() -> None:
    with mailbox() as box:
        url = f"mailto://loa:s3cret-pass@127.0.0.1:{box.port}?to=truc-ban@example.vn,b@example.vn&from=loa@example.vn"
        url += "&mode=insecure"
        assert deliver(checked_address(url), "Bão số 9 – chưa nghe", VI) == ""
    assert len(box.mails) == 2  # one each: nobody sees who else is told
    sender, to, mail = box.mails[0]
    assert "loa@example.vn" in sender
    assert to[0] in ("truc-ban@example.vn", "b@example.vn")
    assert mail["Subject"] == "Bão số 9 – chưa nghe"
    assert any(VI in part.get_content() for part in mail.walk() if part.get_content_maintype() == "text")
    assert box.logins


def test_by_webhook() -> None:
    with webhook() as hook:
        assert deliver(f"json://127.0.0.1:{hook.port}/s3cret-path?+X-Key=abcd", "Bão", VI) == ""
    ((path, headers, body),) = hook.posts
    assert (path, headers["X-Key"], body["title"], body["message"]) == ("/s3cret-path", "abcd", "Bão", VI)


def test_no_redirect_is_followed() -> None:
    with webhook() as other, webhook() as hook:
        hook.status, hook.location = 307, f"http://127.0.0.1:{other.port}/inside"
        assert deliver(f"json://127.0.0.1:{hook.port}/x?redirect=yes", "a", "b") != ""
        assert other.posts == []


def test_what_goes_wrong_is_told_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with mailbox() as box, webhook() as hook:
        box.refuse, hook.status = True, 503
        mail = f"mailto://loa-user:s3cret-pass@127.0.0.1:{box.port}?to=a@example.vn&from=l@example.vn&mode=insecure"
        web = f"json://hook-user:s3cret-pass@127.0.0.1:{hook.port}/s3cret-path?+X-Key=s3cret-key"
        troubles = [deliver(url, "a", "b") for url in (mail, web)]
    troubles.append(deliver("json://127.0.0.1:9/s3cret-path", "a", "b"))
    assert all(troubles)
    assert "503" in troubles[1]
    for text in (*troubles, caplog.text, shown_of(mail), shown_of(web)):
        assert "s3cret" not in text
    assert shown_of(mail) == f"mailto://127.0.0.1:{box.port} → a@example.vn"
    assert shown_of(web) == f"json://127.0.0.1:{hook.port}/…"


@pytest.mark.parametrize(
    "bad",
    [
        "", "x", "file:///etc/passwd", "http://a/b", "xml://a/b", "slack://a/b/c", "exec://ls", "json://",
        "json:///x", "json://a:99999999/x", "json://a/x?method=GET", "json://a/x?:f=/etc/passwd", "json://a\n/x",
        "mailto://a@b.vn?pgp=sign&pgpprv=/etc/passwd", "mailto://u:p@b.vn?to=a@b.vn&attach=/etc/passwd",
        "json://a/" + "x" * 1000,
    ],
)  # fmt: skip
def test_what_is_no_address(bad: str) -> None:
    with pytest.raises(Refused) as error:
        checked_address(bad)
    assert error.value.code == "bad_notice_address"
