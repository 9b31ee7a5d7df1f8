"""What was heard against what was sent: the loudspeakers' recordings, the decoded rendition, the recording given."""

import hashlib
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio.compare import Match, heard_matches, rendition_matches
from audio.decode import RATE, decode_file
from audio.importing import check_plays
from loa.units import NodeId

_Sound = NDArray[np.int16]


@dataclass(frozen=True)
class Heard:
    """A loudspeaker's recording of one broadcast."""

    node: NodeId
    broadcast: str
    """Its id in hex."""
    path: Path


@dataclass(frozen=True)
class Verdict:
    """Whether a recording of a loudspeaker is what was sent; `reason` says why not."""

    heard: Heard
    ok: bool
    reason: str


def compare_heard(
    heard: Sequence[Heard], rendition: bytes, tick: Callable[[int], None] = lambda _done: None
) -> tuple[Verdict, ...]:
    """Each recording against the decoded rendition. Those alike to the sample are compared once. Blocks."""
    reference = np.frombuffer(decode_file(rendition).data, "<i2")
    known: dict[bytes, Match] = {}
    verdicts: list[Verdict] = []
    for number, one in enumerate(heard):
        verdicts.append(_verdict(one, reference, known))
        tick(number + 1)
    return tuple(verdicts)


def compare_beginnings(heard: Sequence[Heard], rendition: bytes) -> tuple[Verdict, ...]:
    """Whether each recording begins with the decoded rendition, from the first sample on. Blocks."""
    reference = np.frombuffer(decode_file(rendition).data, "<i2")
    known: dict[bytes, Match] = {}
    return tuple(_verdict(one, reference, known, of=len(reference)) for one in heard)


def _verdict(one: Heard, reference: _Sound, known: dict[bytes, Match], *, of: int | None = None) -> Verdict:
    try:
        sound = _read(one.path)[:of]
    except (OSError, EOFError, wave.Error) as error:
        return Verdict(one, False, f"no recording ({error})")
    mark = hashlib.sha256(sound.tobytes()).digest()
    if mark not in known:
        known[mark] = heard_matches(sound, reference, RATE)
    return Verdict(one, known[mark].ok, known[mark].reason)


def _read(path: Path) -> _Sound:
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
            raise wave.Error("not 48 kHz, mono, 16 bits")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def compare_rendition(rendition: bytes, recording: Path) -> Match:
    """The decoded rendition against the recording that was given. Blocks."""
    opened, plan = check_plays(recording)
    given = np.concatenate([plan.mono(block) for block in opened.blocks()])
    return rendition_matches(np.frombuffer(decode_file(rendition).data, "<i2"), given, RATE)
