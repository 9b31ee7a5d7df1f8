"""A recording for those who bring none: a Vietnamese announcement, spoken by espeak-ng or, without it, only hummed.

Without a voice on the machine the fallback has what speech has (syllables, pitch that follows the six tones of
Vietnamese, formants, pauses) but no words: it is there to be sent, levelled and compared.
"""

import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loa.units import DurationMs

RATE = 24_000
TEXT = (
    "Đây là đài truyền thanh cơ sở tỉnh Quảng Ninh. Xin mời bà con và các bạn nghe bản tin thời tiết biển. "
    "Đêm nay và ngày mai, vùng biển Cô Tô có gió đông bắc cấp năm, có lúc cấp sáu, biển động. "
    "Đề nghị bà con neo đậu tàu thuyền chắc chắn và theo dõi các bản tin tiếp theo. Xin trân trọng cảm ơn."
)

_Wave = NDArray[np.float64]

# Pitch from beginning to end of a syllable, relative to the speaker's own: ngang, huyền, sắc, hỏi, ngã, nặng.
_TONES = ((1.0, 1.0), (0.92, 0.78), (1.0, 1.35), (0.95, 0.8), (0.95, 1.3), (0.9, 0.7))
# The first three formants of a, e, i, o, u (Hz).
_VOWELS = ((800, 1300, 2600), (500, 1900, 2600), (300, 2300, 3000), (480, 850, 2500), (320, 700, 2400))


def write_announcement(path: Path, *, seconds: float | None = None, seed: int = 39) -> str:
    """Write a WAV file (mono, 16 bits) and say how it was made: `espeak-ng` or `hummed`.

    seconds: hum exactly this long; None: the whole text, spoken if there is a voice.
    """
    if seconds is None and (espeak := shutil.which("espeak-ng")) is not None:
        command = [espeak, "-v", "vi", "-s", "145", "-w", str(path), TEXT]
        if subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0 and path.exists():
            _as_in_a_studio(path, seed)
            return "espeak-ng"
    _write(path, hum(DurationMs(round(1000 * (18.0 if seconds is None else seconds))), seed))
    return "hummed"


def hum(length_ms: DurationMs, seed: int) -> _Wave:
    """Speech-like sound in [-1, 1] at `RATE`: a chime, then syllables in phrases. One seed, one sound."""
    random = np.random.default_rng(seed)
    total = length_ms * RATE // 1000
    parts: list[_Wave] = [_chime()] if length_ms >= 4000 else []
    done = sum(len(part) for part in parts)
    syllables = 0
    while done < total:
        part = _syllable(random)
        syllables += 1
        pause = 0.35 if syllables % 9 == 0 else 0.03
        parts += [part, np.zeros(int(pause * RATE))]
        done += len(part) + int(pause * RATE)
    sound = np.concatenate(parts)[:total]
    sound += _ROOM * random.standard_normal(total)
    fade = min(total, RATE // 50)
    sound[-fade:] *= np.linspace(1.0, 0.0, fade)
    return np.asarray(sound * (0.7 / max(1e-9, float(np.abs(sound).max()))), dtype=np.float64)


def _as_in_a_studio(path: Path, seed: int) -> None:
    """Round off the peaks of a bare synthetic voice and give it a room, as a microphone and its amplifier do."""
    with wave.open(str(path), "rb") as file:
        form, data = file.getparams(), file.readframes(file.getnframes())
    voice = np.frombuffer(data, "<i2") / 32768
    rounded = 0.6 * np.tanh(2.5 * voice)
    rounded += 0.002 * np.random.default_rng(seed).standard_normal(len(voice))
    with wave.open(str(path), "wb") as file:
        file.setparams(form)
        file.writeframes((rounded * 32767).astype("<i2").tobytes())


def _chime() -> _Wave:
    """Three falling notes, half a second each."""
    time = np.arange(RATE // 2) / RATE
    notes = [np.exp(-4 * time) * (np.sin(2 * np.pi * f * time) + 0.3 * np.sin(4 * np.pi * f * time)) for f in _NOTES]
    return np.asarray(0.5 * np.concatenate(notes), dtype=np.float64)


_ROOM = 0.04
"""The hiss of a room, without which no recording is."""
_NOTES = (784.0, 659.3, 523.3)


def _syllable(random: np.random.Generator) -> _Wave:
    """A breath of noise, then a vowel whose pitch moves as one of the six tones."""
    begin, end = _TONES[random.integers(len(_TONES))]
    formants = _VOWELS[random.integers(len(_VOWELS))]
    length = int(RATE * random.uniform(0.16, 0.26))
    pitch = 120 * np.linspace(begin, end, length)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = np.zeros(length)
    for harmonic in range(1, 45):
        frequency = 120 * harmonic
        weight = sum(1.0 / (1.0 + ((frequency - centre) / 90.0) ** 2) for centre in formants) / harmonic**0.5
        voice += weight * np.sin(harmonic * phase)
    envelope = np.minimum(1.0, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.03 * RATE))
    breath = random.standard_normal(int(0.04 * RATE)) * 0.25
    return np.concatenate([breath, voice * envelope])


def _write(path: Path, sound: _Wave) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    print(write_announcement(Path(sys.argv[1])))
