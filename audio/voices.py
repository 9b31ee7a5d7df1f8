"""Speech from text, by a voice of this machine: espeak-ng, run as a program of its own (its licence is the GPL).

What the voice says is levelled and encoded like any recording. Languages without a voice are spoken by recordings.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from audio.importing import import_recording
from audio.render import RenditionFile
from loa.errors import OperatorNeeded, Refused

LONGEST_TEXT = 2000
"""Characters: three minutes at the pace of a warning."""
WORDS_A_MINUTE = 140
"""Slower than a newsreader: words over a horn have to be followed from a boat."""
PROGRAM = "espeak-ng"
_VOICES: Mapping[str, str] = {"vi": "vi", "en": "en-gb"}
_TIMEOUT_S = 60
_NOT_SPOKEN = re.compile(r"[\[\]<>{}_\x00-\x08\x0b-\x1f\x7f]")
"""Brackets are phonemes for it, and angles are markup."""


class Voice(Protocol):
    """Says a text. Real implementations: `Espeak`, and whatever a test records."""

    @property
    def name(self) -> str: ...

    @property
    def languages(self) -> tuple[str, ...]:
        """BCP 47 primary tags that it speaks here and now."""
        ...

    def speak(self, text: str, language: str) -> RenditionFile:
        """A rendition of the text. Blocks for about a second.

        Raises Refused(no_voice, text_empty, too_large), OperatorNeeded(voice_unavailable).
        """
        ...


class Espeak:
    """The program espeak-ng, where it is installed."""

    name = PROGRAM

    def __init__(self, program: str = PROGRAM) -> None:
        self._program = program

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(_VOICES) if shutil.which(self._program) else ()

    def speak(self, text: str, language: str) -> RenditionFile:
        voice = _VOICES.get(primary(language))
        if voice is None:
            raise Refused("no_voice", field="language", limit=", ".join(_VOICES), value=language[:35])
        plain = spoken(text)
        program = shutil.which(self._program)
        if program is None:
            raise OperatorNeeded("voice_unavailable", field="voice", value=self._program, reason="not installed")
        with tempfile.TemporaryDirectory(prefix="loa-speech-") as folder:
            sound = Path(folder) / "speech.wav"
            _run([program, "-v", voice, "-s", str(WORDS_A_MINUTE), "--stdin", "-w", str(sound)], plain)
            try:
                return import_recording(sound).rendition
            except Refused as error:  # it said nothing that can be heard
                raise OperatorNeeded("voice_unavailable", field="voice", value=PROGRAM, reason=error.code) from error


def spoken(text: str) -> str:
    """What a voice is given of a text, and people read of it: nothing that a screen would hide or turn about.

    Raises Refused(text_empty, too_large).
    """
    plain = "".join(one for one in " ".join(_NOT_SPOKEN.sub(" ", text).split()) if one.isprintable())
    if not any(letter.isalnum() for letter in plain):
        raise Refused("text_empty", field="text")
    if len(plain) > LONGEST_TEXT:
        raise Refused("too_large", field="text", limit=f"{LONGEST_TEXT} characters")
    return plain


def primary(language: str) -> str:
    """The first part of a BCP 47 tag, in small letters: vi of vi-VN."""
    return language.strip().casefold().split("-")[0]


def _run(command: list[str], text: str) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 - found by which, no shell, the text goes in by stdin
            command, input=text.encode(), capture_output=True, timeout=_TIMEOUT_S, check=False,
            env=kept | {"LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperatorNeeded("voice_unavailable", field="voice", value=PROGRAM, reason=type(error).__name__) from error
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip()[-200:] or f"exit {done.returncode}"
        raise OperatorNeeded("voice_unavailable", field="voice", value=PROGRAM, reason=reason)
