"""Real alerts: what `loa cap check` says of each sample, written by hand from the files before there was any code."""

import pytest
from typer.testing import CliRunner

from loa.cli.cap import app
from tests.cap.base import sample

# As of each alert's own `sent`, no areas given. Instants are in UTC, counted from the files' own offsets.
AS_OF_ITS_DAY = {
    "canada-signed.cap": (
        "2.49.0.1.124.f2c83f5f.2013 | CAP 1.2 | Actual/Update | 2 infos (en-CA, fr-CA)"
        " | expires 2013-01-25T13:26:00Z | areas not judged | intact but untrusted | accepted"
    ),
    "canada-two-languages.cap": (
        "2.49.0.1.124.6bddbc91.2012 | CAP 1.2 | Actual/Update | 2 infos (en-CA, fr-CA)"
        " | expires 2012-05-03T00:20:00Z | areas not judged | unsigned | accepted"
    ),
    "earthquake.cap": (
        "USGS-earthquakes-us2010apcd.6.20100831T000925.496Z | CAP 1.1 | Actual/Alert | 1 info (en-US)"
        " | expires 2010-09-02T05:09:25Z | areas not judged | unsigned | accepted"
    ),
    "invalid.cap": (
        "12345 | CAP 1.2 | Actual/Alert | 1 info (en-US)"
        " | expires 2010-09-01T00:09:25Z (by default) | areas not judged | unsigned | refused: required_missing scope"
    ),
    "no-optional-fields.cap": (
        "USGS-earthquakes-us2010apcd.6.20100831T000925.496Z | CAP 1.1 | Actual/Alert | 0 infos"
        " | expires - | areas not judged | unsigned | refused: info_required"
    ),
    "tsunami-update.cap": (
        "PAAQ-2-lqw6d6 | CAP 1.2 | Actual/Update | 1 info (en-US)"
        " | expires 2011-09-02T12:36:50Z | areas not judged | unsigned | accepted"
    ),
    "weather.cap": (
        "NOAA-NWS-ALERTS-MT20100830100700TFXFlashFloodWatchTFX20100830180000MT | CAP 1.1 | Actual/Alert"
        " | 1 info (en-US) | expires 2010-08-30T18:00:00Z | areas not judged | unsigned | accepted"
    ),
}
STILL_REFUSED_FOR_THE_SAME = {"invalid.cap", "no-optional-fields.cap"}


def lines(*arguments: object) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["check", *(str(one) for one in arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output.splitlines()


@pytest.mark.parametrize("name", sorted(AS_OF_ITS_DAY))
def test_each_sample_as_of_its_day(name: str) -> None:
    file = sample("cap", name)
    expected = AS_OF_ITS_DAY[name]
    assert lines(file, "--at", "sent") == (1 if "refused" in expected else 0, [f"{file}: {expected}"])


@pytest.mark.parametrize("name", sorted(AS_OF_ITS_DAY))
def test_each_sample_today_has_expired(name: str) -> None:
    file = sample("cap", name)
    expected = AS_OF_ITS_DAY[name]
    if name not in STILL_REFUSED_FOR_THE_SAME:
        expected = expected.removesuffix("accepted") + "refused: expired"
    assert lines(file) == (1, [f"{file}: {expected}"])


@pytest.mark.parametrize("name", sorted(AS_OF_ITS_DAY))
def test_none_of_them_is_for_quang_ninh(name: str) -> None:
    file, places = sample("cap", name), sample("places", "quang-ninh.csv")
    expected = AS_OF_ITS_DAY[name]
    if name not in STILL_REFUSED_FOR_THE_SAME:
        expected = expected.replace("areas not judged", "areas none").removesuffix("accepted") + "refused: area_unknown"
    assert lines(file, "--at", "sent", "--areas", places) == (1, [f"{file}: {expected}"])


def test_all_of_them_at_once_and_no_sample_is_left_out() -> None:
    files = sorted(sample("cap", "weather.cap").parent.glob("*"))
    assert {one.name for one in files} == set(AS_OF_ITS_DAY)
    expected = [f"{file}: {AS_OF_ITS_DAY[file.name]}" for file in files]
    assert lines(*files, "--at", "sent") == (1, expected)
