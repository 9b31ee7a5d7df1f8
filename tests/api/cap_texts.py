"""Alerts in CAP of whatever day it is, for the tests of the API and of feeds."""

from datetime import UTC, datetime, timedelta, timezone

from audio.render import RenditionFile

CAP = "urn:oasis:names:tc:emergency:cap:1.2"
SENDER = "kttv@example.vn"
_ICT = timezone(timedelta(hours=7))


class NoVoice:
    """A machine without a voice: sirens and standing recordings sound alone."""

    name = "none"
    languages: tuple[str, ...] = ()

    def speak(self, text: str, language: str) -> RenditionFile:
        raise AssertionError(f"{language}: {text}")


def instant_text(ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(_ICT).isoformat("T", "seconds")


def alert_text(
    now_ms: int,
    name: str = "bao-9.1",
    *,
    status: str = "Actual",
    msg_type: str = "Alert",
    sender: str = SENDER,
    references: str = "",
    area: str = "<geocode><valueName>loa</valueName><value>co-to</value></geocode>",
    description: str = "đặc khu Cô Tô",
    headline: str = "Bão số 9: về bờ ngay",
    sent_ago_s: int = 600,
    lasts_s: int = 6 * 3600,
    info: bool = True,
    more: str = "",
) -> str:
    """One alert, sent ten minutes ago and good for six hours from now."""
    sent = instant_text(now_ms - 1000 * sent_ago_s)
    body = f"""
  <info><language>vi-VN</language><category>Met</category><event>Bão</event><urgency>Immediate</urgency>
    <severity>Severe</severity><certainty>Observed</certainty><expires>{instant_text(now_ms + 1000 * lasts_s)}</expires>
    <headline>{headline}</headline><description>Gió giật cấp 12.</description><instruction>Vào bờ.</instruction>
    <area><areaDesc>{description}</areaDesc>{area}</area></info>"""
    return f"""<alert xmlns="{CAP}">
  <identifier>{name}</identifier><sender>{sender}</sender><sent>{sent}</sent><status>{status}</status>
  <msgType>{msg_type}</msgType><scope>Public</scope>
  {f"<references>{references}</references>" if references else ""}{body if info else ""}{more}
</alert>"""


def reference(now_ms: int, name: str = "bao-9.1", *, sender: str = SENDER, sent_ago_s: int = 600) -> str:
    """As another alert names that one."""
    return f"{sender},{name},{instant_text(now_ms - 1000 * sent_ago_s)}"
