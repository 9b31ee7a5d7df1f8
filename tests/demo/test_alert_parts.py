"""The parts of `loa demo --alert`: CAP file, ladder, table at the end, report, ears that hear the end."""

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console, RenderableType
from shapely.geometry import shape

from audio.decode import RATE
from controller import codes
from controller.cap.areas import KnownArea, KnownAreas
from controller.cap.drafting import drafted
from controller.cap.judgement import DEFAULT_LIFE_MS, Terms, judge_alone
from devices.node.ports import Clip, Playback, PlaybackEvents
from loa.cli.demo_ladder import LadderRow, by_commune, ladder_rows, ladder_table, summary
from loa.cli.demo_people import Authenticator
from loa.cli.demo_proof import Heard, compare_beginnings
from loa.cli.demo_report import AlertReport
from loa.cli.demo_screen import AlertLine, Screen, alert_table
from loa.cli.demo_storm import LASTS_MS, storm_file, storm_map
from loa.cli.demo_words import DemoWords
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.names import AreaPath
from loa.units import DurationMs, InstantMs, NodeId
from simulators.clocks import Skew, SkewedClock
from simulators.ears import Ears, OverheardSpeaker
from simulators.places import BORDER, ISLAND, NAMES, TOWN
from tests.node.hands import HandClock
from tests.node.rig import recording

NOW = InstantMs(1_800_000_000_000)
VI, EN = DemoWords("vi"), DemoWords("en")


def drawn(picture: RenderableType, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(picture)
    return [line.rstrip() for line in out.getvalue().splitlines()]


# People.


def test_codes_are_never_given_twice_and_outlast_a_slow_answer() -> None:
    clock, secret = HandClock(NOW), codes.new_secret(system_entropy)
    app, last = Authenticator(secret, clock), 0
    for _ in range(2):
        last = codes.step_taken(secret, app.code(), InstantMs(clock.now_ms() + codes.STEP_MS - 1), last)


# The CAP file.


def _known(*, with_shape: bool) -> KnownAreas:
    island = shape(storm_map()["features"][0]["geometry"]) if with_shape else None
    return KnownAreas((
        KnownArea(ISLAND, NAMES[ISLAND], frozenset({"co-to"}), island),
        *(KnownArea(one, NAMES[one], frozenset({one.codes[-1]})) for one in (BORDER, TOWN)),
    ))  # fmt: skip


def test_the_storm_is_accepted_for_three_communes_and_lasts_six_hours() -> None:
    known = _known(with_shape=True)
    (verdict,) = judge_alone(storm_file(NOW), Terms(at=NOW, known=known))
    assert (verdict.code, verdict.problem) == ("accepted", None)
    assert verdict.areas is not None
    assert {str(one) for one in verdict.areas.matched} == {ISLAND, BORDER, TOWN}
    assert verdict.expires == NOW + LASTS_MS
    assert verdict.alert is not None
    said = drafted(verdict.alert, known, NOW, DEFAULT_LIFE_MS)
    assert said is not None
    assert (said.severity, said.urgency) == ("Extreme", "Immediate"), "it sounds until it is cancelled"
    (vi,) = said.sayings
    assert vi.language == "vi"
    assert "Tàu thuyền về bến ngay" in vi.text


def test_the_island_is_found_by_its_polygon_alone() -> None:
    (verdict,) = judge_alone(storm_file(NOW), Terms(at=NOW, known=_known(with_shape=False)))
    assert verdict.areas is not None
    assert {str(one) for one in verdict.areas.matched} == {BORDER, TOWN}


# The ladder.


def _place(path: AreaPath, name: str, people: int | None, step: str = "") -> dict[str, Any]:
    words = {"vi": step, "en": f"{step} (en)" if step else ""}
    return {"path": path, "name": name, "population": people, "nodes": 2, "step_words": words}


def _line(path: AreaPath, *, rung: int, end: str | None = None) -> dict[str, Any]:
    """rung: 0 nothing, 1 sent, 2 received, 3 started."""
    at = "2027-01-15T08:00:00Z"
    return {
        "area": path, "sent_at": at if rung else None, "received_at": at if rung > 1 else None, "reached": rung > 2,
        "end": end,
    }  # fmt: skip


SOUTH, EAST, QUAY = AreaPath(f"{ISLAND}/nam-ha"), AreaPath(f"{ISLAND}/hai-tien"), AreaPath(f"{TOWN}/ben-doan")
BOARD = {
    "villages": {
        "items": [
            _place(SOUTH, "Nam Hà", 720, "Chờ."), _place(EAST, "Hải Tiến", None, "Chờ."), _place(QUAY, "Bến Đoan", 2900)
        ]
    }
}  # fmt: skip
LINES = [
    _line(SOUTH, rung=1), _line(SOUTH, rung=0), _line(EAST, rung=2), _line(EAST, rung=1, end="unreachable"),
    _line(QUAY, rung=3, end="cancelled"), _line(QUAY, rung=3),
]  # fmt: skip


def test_rows_say_what_nodes_signed_in_the_boards_own_order() -> None:
    rows = ladder_rows(BOARD, LINES, VI)
    assert rows == (
        LadderRow("Nam Hà", "Cô Tô", 720, 2, 1, 0, 0, 0, "Chờ."),
        LadderRow("Hải Tiến", "Cô Tô", None, 2, 2, 1, 0, 0, "Chờ."),
        LadderRow("Bến Đoan", "Hồng Gai", 2900, 2, 2, 2, 2, 1, ""),
    )
    assert [row.reached for row in rows] == [False, False, True]
    assert ladder_rows(BOARD, LINES, EN)[0].next_step == "Chờ. (en)"


def test_communes_are_summed_and_unknown_people_are_not_nobody() -> None:
    island, town = by_commune(ladder_rows(BOARD, LINES, VI))
    assert (island.commune, island.people, island.nodes, island.sent, island.received, island.started) == (
        "Cô Tô", 720, 4, 3, 1, 0,
    )  # fmt: skip
    assert (town.commune, town.ended) == ("Hồng Gai", 1)
    (alone,) = by_commune([ladder_rows(BOARD, LINES, VI)[1]])
    assert alone.people is None


def test_the_ladder_fits_eighty_columns_and_ends_with_what_to_do() -> None:
    rows = ladder_rows(BOARD, LINES, VI)
    head, *lines = drawn(ladder_table(VI, rows))
    assert head.split() == ["thôn/khu", "xã/phường", "dân", "số", "bộ", "thu", "gửi", "nhận", "phát", "dừng"]
    assert [line.split()[0] for line in lines] == ["Nam", "Hải", "Bến", "tất", "→"]
    assert lines[2].split()[-5:] == ["2", "2", "2", "2", "1"]
    assert lines[3].split()[-5:] == ["6", "5", "3", "2", "1"]
    assert lines[4].strip() == "→ Nam Hà, Hải Tiến: Chờ."
    assert summary(VI, rows) == "2/6 bộ thu đã phát, 2.900/3.620 người; chưa tới: 2 thôn/khu"
    assert summary(EN, rows) == "2 of 6 nodes sounded, 2,900 of 3,620 people; not reached: 2 villages"
    assert all(len(line) <= 80 for line in (head, *lines))
    assert "thôn/khu" not in "\n".join(drawn(ladder_table(VI, by_commune(rows))))


def test_a_terminal_sees_the_ladder_change_and_a_log_nothing_of_it() -> None:
    for terminal in (True, False):
        out = io.StringIO()
        screen = Screen(VI, SystemClock(), Console(file=out, width=80, force_terminal=terminal))
        with screen.live() as draw:
            draw("một")
            draw("hai")
        assert ("một" in out.getvalue(), "hai" in out.getvalue()) == (terminal, terminal)


def test_a_long_line_goes_on_under_its_own_beginning() -> None:
    out = io.StringIO()
    screen = Screen(VI, SystemClock(), Console(file=out, width=40))
    with screen.step("cancel") as step:
        step.finish("từ " * 12)
    first, second = (line.rstrip() for line in out.getvalue().splitlines())
    assert second.index("từ") == first.index("từ")


# Words.


def test_numbers_are_written_as_the_language_has_them() -> None:
    blanks = {"first": 0.716, "silent": 1.5, "seconds": 116.4}
    assert "0,72 s" in VI("alert_figures", **blanks)
    assert "0.72 s" in EN("alert_figures", **blanks)
    assert (VI.seconds(9.0), EN.seconds(9.0)) == ("9,00 s", "9.00 s")


def test_the_table_at_the_end_says_who_is_missing() -> None:
    lines = [AlertLine("Cô Tô", 8, 7, 9.0, 7, 0.4, 7, was_cut_off=True), AlertLine("Hồng Gai", 8, 8, 0.7, 8, 0.5, 8)]
    text = "\n".join(drawn(alert_table(VI, lines)))
    assert "7/8" in text
    assert "15/16" in text
    assert "9,00 s*" in text
    assert text.count("0,70 s ") == 2, "that of all is of those that were in reach"
    assert text.count("0,50 s") == 2
    assert "* Cô Tô: tính từ khi có lại liên lạc" in text
    assert "*" not in "\n".join(drawn(alert_table(VI, lines[1:])))


# The verdict.

GOOD: dict[str, Any] = {
    "nodes": 24, "in_reach": 16, "started": 16, "started_after_link_back": 8, "sounding_at_cancel": 24, "silent": 24,
    "sirens": 24, "board_closed": True, "first_sound_ms": 700.0, "last_in_reach_ms": 750.0, "link_back_ms": 9000.0,
    "silent_ms": 500.0, "seconds": 116.0, "failures": (),
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"started": 15}, {"started_after_link_back": 7}, {"silent": 23}, {"sirens": 23}, {"failures": ("x",)}],
)
def test_one_thing_that_was_not_shown_fails_it(change: dict[str, Any]) -> None:
    assert AlertReport(**GOOD).passed
    assert not AlertReport(**(GOOD | change)).passed


def _wav(path: Path, *parts: NDArray[np.int16]) -> Heard:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.concatenate(parts).tobytes())
    return Heard(NodeId("co-to-1"), "a", path)


def test_a_recording_begins_with_the_siren_or_it_is_said_why_not(tmp_path: Path) -> None:
    siren, words, other = recording(3.0, 900.0), recording(2.0, 400.0).sound, recording(3.0, 600.0).sound
    silence = np.zeros(RATE, np.int16)
    heard = [
        _wav(tmp_path / "whole.wav", siren.sound, words),
        _wav(tmp_path / "late.wav", silence, siren.sound, words),
        _wav(tmp_path / "words.wav", words, siren.sound),
        _wav(tmp_path / "cut.wav", siren.sound[: 2 * RATE]),
        _wav(tmp_path / "other.wav", other, words),
        _wav(tmp_path / "silent.wav", silence, silence, silence),
        Heard(NodeId("co-to-1"), "a", tmp_path / "nothing.wav"),
    ]
    verdicts = compare_beginnings(heard, siren.file)
    assert [verdict.ok for verdict in verdicts] == [True, *[False] * 6]
    assert all(verdict.reason for verdict in verdicts[1:])
    assert "no recording" in verdicts[-1].reason


# Ears.


class _Speaker:
    """Plays what it is given, as far as told."""

    def __init__(self) -> None:
        self.events: list[PlaybackEvents] = []

    def play(self, clip: Clip, at_monotonic_s: float, events: PlaybackEvents) -> Playback:
        del clip, at_monotonic_s
        self.events.append(events)
        return _Playing()


class _Playing:
    position_ms = DurationMs(0)

    def stop(self) -> None:
        return


def _events() -> PlaybackEvents:
    return PlaybackEvents(lambda _at: None, lambda: None, lambda _reason: None)


def test_ears_hear_the_end_whatever_brings_it() -> None:
    ears, inner, clock = Ears(), _Speaker(), SkewedClock(SystemClock(), Skew(2000.0, 0.0))
    node, clip = NodeId("co-to-1"), Clip("a", (), (), DurationMs(0), 1.0)
    speaker = OverheardSpeaker(inner, clock, node, ears)  # type: ignore[arg-type]
    waits = speaker.play(clip, 0.0, _events())
    waits.stop()
    assert (ears.starts, ears.ends) == ([], []), "what never sounded does not fall silent"
    for ends in ("stop", "finished", "failed", "another"):
        playing = speaker.play(clip, 0.0, _events())
        inner.events[-1].started(clock.monotonic_s())
        assert ears.sounding("a") == {node}
        if ends == "stop":
            playing.stop()
            playing.stop()
        elif ends == "finished":
            inner.events[-1].finished()
        elif ends == "failed":
            inner.events[-1].failed("x")
        else:
            speaker.play(clip, 0.0, _events())
        assert ears.sounding("a") == set()
    assert len(ears.starts) == len(ears.ends) == 4
    assert ears.finished == [(node, "a")]
    assert ears.sounding("b") == set()
