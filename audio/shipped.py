"""Sounds that come with the program: sirens, and the announcement that every drill begins with. Made by code."""

from collections.abc import Callable, Mapping
from typing import Final

from audio.decode import Pcm
from audio.importing import make_rendition
from audio.render import RenditionFile
from audio.tones import gong, siren, two_tone
from audio.voices import Voice

SHORTEST_MS, LONGEST_MS = 3_000, 10_000
"""Of an alert's siren: shorter is not noticed, and longer keeps people from the words."""
DRILL_WORDS: Final = (
    "Chú ý, chú ý. Đây là diễn tập. Đây là diễn tập, không phải cảnh báo thật. Đề nghị bà con bình tĩnh, tiếp tục công "
    "việc."
)
SIRENS: Final[Mapping[int, tuple[str, Callable[[], Pcm]]]] = {
    1: ("Còi 1: báo động khẩn", lambda: siren(8_000)),
    2: ("Còi 2: báo động", lambda: two_tone(6_000)),
    3: ("Còi 3: chuông chú ý", gong),
}
"""By code, as the table of alert levels names them: title and sound."""


def siren_files() -> dict[int, tuple[str, RenditionFile]]:
    """Title and rendition by code; blocks for a few seconds."""
    return {code: (title, make_rendition(sound())) for code, (title, sound) in SIRENS.items()}


def drill_announcement(voice: Voice) -> tuple[str, RenditionFile]:
    """Raises OperatorNeeded(voice_unavailable) where nothing speaks Vietnamese."""
    return "Đây là diễn tập", voice.speak(DRILL_WORDS, "vi")
