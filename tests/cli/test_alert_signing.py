"""With a key on one's own device: what is signed is what was shown there, whatever the centre says that it is."""

import base64
from typing import Any

import pytest

from devices.protocol.alerts import AlertAction, AlertBody
from devices.protocol.common import RenditionRef
from devices.protocol.envelope import encode
from devices.protocol.media import digest_of, manifest_for
from loa.cli.alerts import check_sound, to_cancel, to_release
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import DurationMs, Id16, InstantMs

OWN, OTHER = Id16(b"a" * 16), Id16(b"b" * 16)
NOW = InstantMs(1_790_000_000_000)


def body(**changes: Any) -> str:
    values: dict[str, Any] = {
        "id": OWN, "kind": Kind.DRILL, "areas": (AreaPath("quang-ninh"),), "siren": 1, "not_before": NOW,
        "expires_at": InstantMs(NOW + 600_000), "composed_at": NOW,
    }  # fmt: skip
    return base64.b64encode(encode(AlertBody(**(values | changes)))).decode()


def cancel(**changes: Any) -> str:
    values: dict[str, Any] = {"id": Id16(b"c" * 16), "action": AlertAction.CANCEL, "siren": 0, "references": (OWN,)}
    return body(**(values | changes))


def item(**changes: str) -> dict[str, str]:
    return {"id": OWN.hex(), "kind": "drill", "body": body(), "cancel_body": cancel()} | changes


def test_what_was_asked_for_is_signed() -> None:
    data, words = to_release(item(), live=False)
    assert data == base64.b64decode(body())
    assert words[:2] == ("DIỄN TẬP, không phải cảnh báo thật", "Nơi phát: ? (quang-ninh)")
    assert to_cancel(item()) == base64.b64decode(cancel())


def test_a_cancel_ends_what_its_alert_took_the_place_of_and_nothing_else() -> None:
    both = cancel(references=(OWN, OTHER))
    assert to_cancel(item(body=body(references=(OTHER,)), cancel_body=both)) == base64.b64decode(both)
    for wrong in (body(id=OTHER), body()):
        with pytest.raises(Refused, match="alert_altered"):
            to_cancel(item(body=wrong, cancel_body=both))


def sound(heard: bytes, **changes: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """An alert that says these bytes, and its sound, as the API shows them."""
    made = manifest_for(heard, duration_ms=DurationMs(2000), loudness_centi_lufs=-1600, peak_centi_db=-100)
    ref = RenditionRef(
        digest=digest_of(encode(made)), length_bytes=made.length_bytes, duration_ms=made.duration_ms, language="vi"
    )
    shown = {"digest": ref.digest.hex(), "language": "vi", "loudness_centi_lufs": -1600, "peak_centi_db": -100}
    return item(body=body(renditions=(ref,))), shown | changes


def test_what_is_heard_is_what_is_signed() -> None:
    """Whatever the centre, or who stands between, plays: the bytes are hashed where they are heard."""
    heard = bytes(range(256)) * 40
    check_sound(*sound(heard), heard)
    wrong = [heard[:-1], heard + b"x", b"", b"y" + heard[1:]]
    for one in wrong:
        with pytest.raises(Refused, match="content_changed"):
            check_sound(*sound(heard), one)
    alert, shown = sound(heard)
    for changes in ({"language": "en"}, {"digest": "0" * 64}):
        with pytest.raises(Refused, match="alert_altered"):
            check_sound(alert, shown | changes, heard)
    with pytest.raises(Refused, match="content_changed"):
        check_sound(alert, shown | {"peak_centi_db": -101}, heard)


@pytest.mark.parametrize("given", [body(kind=Kind.LIVE), body(id=OTHER), cancel(), base64.b64encode(b"x").decode()])
def test_nothing_else_is_released(given: str) -> None:
    with pytest.raises(Refused) as caught:
        to_release(item(body=given), live=False)
    assert caught.value.code in ("drill_mismatch", "alert_altered", "not_an_alert_body")


@pytest.mark.parametrize(
    "given", [body(kind=Kind.LIVE), body(), cancel(references=(OTHER,)), cancel(references=(OWN, OTHER))]
)
def test_a_cancel_is_a_cancel(given: str) -> None:
    """A centre in wrong hands must not get a release signed by who only wants silence."""
    with pytest.raises(Refused) as caught:
        to_cancel(item(cancel_body=given))
    assert caught.value.code == "alert_altered"
