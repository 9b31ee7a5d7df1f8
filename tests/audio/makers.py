"""Recordings made for the tests."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SAMPLES = Path(os.environ.get("LOA_SAMPLES", Path(__file__).parents[3] / "shared" / "samples")) / "audio"


@cache
def speech_like(seconds: float, rate: int = 48_000, seed: int = 1) -> Array:
    """Syllables: a gliding voice with formants and hiss between pauses. Mono, peak about 0.5."""
    random = np.random.default_rng(seed)
    frames = int(seconds * rate)
    time = np.arange(frames) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time) + 15 * np.sin(2 * np.pi * 2.3 * time + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = np.zeros(frames)
    drift = np.interp(time, np.arange(0, seconds + 1, 0.2), random.uniform(0, 1, len(np.arange(0, seconds + 1, 0.2))))
    for number in range(1, min(25, int(rate / 2 / 160))):
        formant = np.exp(-(((number * 130 - 500 - 500 * drift) / 300) ** 2)) + 0.3 * np.exp(
            -(((number * 130 - 1500 - 900 * drift) / 400) ** 2)
        )
        voice += (formant + 0.02) * np.sin(number * phase)
    hiss = random.standard_normal(frames) * 0.1
    beat = np.clip(np.sin(2 * np.pi * 3.1 * time) + 0.4, 0, 1) * (np.sin(2 * np.pi * 0.3 * time + 0.5) > -0.8)
    whole = beat * (voice + hiss * (np.sin(2 * np.pi * 6.2 * time) > 0.6))
    made = np.asarray(whole / np.abs(whole).max() * 0.5, np.float32)
    made.flags.writeable = False
    return made


def music_like(seconds: float, rate: int = 48_000) -> Array:
    """Stereo chords with a beat."""
    time = np.arange(int(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220.0, 277.2, 329.6, 440.0, 659.3))
    drum = np.random.default_rng(3).standard_normal(len(time)) * np.exp(-((time * 2) % 1) * 12)
    left = 0.12 * chord + 0.25 * drum
    right = 0.12 * np.roll(np.asarray(chord), 200) + 0.25 * drum
    return np.stack([left, right]).astype(np.float32)


def with_silence(sound: Array, head_s: float, tail_s: float, rate: int = 48_000) -> Array:
    channels = np.atleast_2d(sound)
    return np.pad(channels, ((0, 0), (int(head_s * rate), int(tail_s * rate))))


def write_recording(
    path: Path,
    sound: Array,
    rate: int,
    codec: str,
    *,
    container: str | None = None,
    layout: str | None = None,
    bit_rate: int | None = None,
    **options: str,
) -> Path:
    """Encode samples, shape (frames,) or (channels, frames), full scale 1, at their own rate."""
    channels = np.atleast_2d(sound)
    layout = layout or {1: "mono", 2: "stereo", 6: "5.1"}.get(len(channels), f"{len(channels)} channels")
    muxer: dict[str, str] = {name: options.pop(name) for name in ("movflags",) if name in options}
    file: Any = av.open(str(path), "w", format=container, options=muxer)
    with file:
        stream = file.add_stream(codec, rate=rate)
        stream.layout = layout
        if bit_rate:
            stream.bit_rate = bit_rate
        stream.codec_context.options = options
        wanted = stream.codec_context.codec.audio_formats[0].name
        resampler = av.AudioResampler(format=wanted, layout=layout, rate=rate)
        fifo = av.AudioFifo()
        step = 4096
        for at in range(0, channels.shape[1], step):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels[:, at : at + step]), "fltp", layout)
            frame.sample_rate, frame.pts = rate, at
            for piece in resampler.resample(frame):
                fifo.write(piece)
            size = stream.codec_context.frame_size or step
            for piece in fifo.read_many(size):
                file.mux(stream.encode(piece))
        if (rest := fifo.read(0, partial=True)) is not None:
            file.mux(stream.encode(rest))
        file.mux(stream.encode(None))
    return path


FORMATS: dict[str, dict[str, Any]] = {
    "mp3": {"suffix": "mp3", "codec": "libmp3lame", "rate": 44_100, "bit_rate": 128_000},
    "mp3-8k": {"suffix": "mp3", "codec": "libmp3lame", "rate": 8_000, "bit_rate": 16_000, "container": "mp3"},
    "m4a": {"suffix": "m4a", "codec": "aac", "rate": 44_100, "bit_rate": 96_000, "container": "ipod"},
    "m4a-faststart": {"suffix": "m4a", "codec": "aac", "rate": 48_000, "container": "ipod", "movflags": "faststart"},
    "aac": {"suffix": "aac", "codec": "aac", "rate": 32_000, "container": "adts"},
    "wav": {"suffix": "wav", "codec": "pcm_s16le", "rate": 22_050},
    "wav-24-96k": {"suffix": "wav", "codec": "pcm_s24le", "rate": 96_000},
    "wav-float": {"suffix": "wav", "codec": "pcm_f32le", "rate": 48_000},
    "wav-8-bit": {"suffix": "wav", "codec": "pcm_u8", "rate": 11_025},
    "wav-alaw": {"suffix": "wav", "codec": "pcm_alaw", "rate": 8_000},
    "flac": {"suffix": "flac", "codec": "flac", "rate": 44_100},
    "opus": {"suffix": "opus", "codec": "libopus", "rate": 48_000, "container": "ogg"},
    "vorbis": {"suffix": "ogg", "codec": "libvorbis", "rate": 44_100, "container": "ogg"},
    "vorbis-native": {"suffix": "ogg", "codec": "vorbis", "rate": 44_100, "container": "ogg", "strict": "-2"},
    "amr": {"suffix": "amr", "codec": "libopencore_amrnb", "rate": 8_000, "bit_rate": 12_200, "container": "amr"},
    "3gp": {"suffix": "3gp", "codec": "libopencore_amrnb", "rate": 8_000, "bit_rate": 12_200, "container": "3gp"},
    "aiff": {"suffix": "aiff", "codec": "pcm_s16be", "rate": 44_100, "container": "aiff"},
}
"""Every format for which there may be an encoder."""


def write_format(folder: Path, name: str, sound: Array) -> Path:
    """`sound` (mono at the format's rate) in one of FORMATS; stereo where the codec demands it."""
    form = dict(FORMATS[name])
    suffix, codec, rate = form.pop("suffix"), form.pop("codec"), form.pop("rate")
    if codec == "vorbis":
        sound = np.stack([sound, sound])
    return write_recording(folder / f"{name}.{suffix}", sound, rate, codec, **form)
