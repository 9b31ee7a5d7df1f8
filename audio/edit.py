"""Cutting and joining of short sounds, by pydub. Long recordings never pass through here: they are streamed."""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

from audio.decode import RATE, Pcm
from audio.render import Surroundings
from audio.tones import closing_chime, opening_chime

with warnings.catch_warnings():
    # pydub looks for ffmpeg when it is imported and complains; nothing here needs it.
    warnings.simplefilter("ignore")
    from pydub import AudioSegment

CHIME_GAP_MS = 400


def join(parts: Sequence[Pcm], gap_ms: int = 0) -> Pcm:
    """Parts one after another with silence between."""
    whole: Any = AudioSegment.empty()
    for number, part in enumerate(parts):
        if number and gap_ms:
            whole += AudioSegment.silent(duration=gap_ms, frame_rate=RATE)
        whole = _segment(part) if number == 0 else whole + _segment(part)
    return _pcm(whole)


def with_chime(body: Pcm, gap_ms: int = CHIME_GAP_MS) -> Pcm:
    """A body between the opening and the closing chime."""
    return join([opening_chime(), body, closing_chime()], gap_ms)


def cut(sound: Pcm, start_ms: int, end_ms: int) -> Pcm:
    """The part from start to end, with soft edges of 10 ms."""
    return _pcm(_segment(sound)[start_ms:end_ms].fade_in(10).fade_out(10))


@cache
def chimes() -> Surroundings:
    """What goes around a bulletin's body: chime and gap, gap and chime. Whole milliseconds long."""
    gap = AudioSegment.silent(duration=CHIME_GAP_MS, frame_rate=RATE)
    before = _segment(opening_chime()).fade_out(200) + gap
    after = gap + _segment(closing_chime()).fade_out(200)
    return Surroundings(_whole_ms(_pcm(before)), _whole_ms(_pcm(after)))


def _whole_ms(sound: Pcm) -> Pcm:
    step = 2 * RATE // 1000
    return Pcm(sound.data[: len(sound.data) // step * step])


def _segment(sound: Pcm) -> Any:
    return AudioSegment(data=sound.data, sample_width=2, frame_rate=sound.rate, channels=1)


def _pcm(segment: Any) -> Pcm:
    mono = segment.set_channels(1).set_frame_rate(RATE).set_sample_width(2)
    return Pcm(bytes(mono.raw_data))
