"""From any recording to a rendition, in this process. See `audio.process` for the same in a process of its own."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio.decode import RATE, Pcm
from audio.headers import ogg_cut_off
from audio.level import Mono
from audio.recording import HeldSound, RecordingFile
from audio.render import RenditionFile, Surroundings, render
from audio.sniff import Sniffed, SoundForm, check_name, sniff
from audio.survey import Survey, survey
from loa.errors import Refused
from loa.units import DurationMs, Lufs

Progress = Callable[[float, str], None]
"""Called with how much is done, 0 to 1 and never less than before, and the stage: reading, encoding, checking."""

Cancelled = Callable[[], bool]

MAX_BYTES = 2 << 30
MAX_DURATION_MS = DurationMs(2 * 3600 * 1000)
_SHORTFALL = 0.02
_SHORTFALL_MS = 500
_BAD_SHARE = 0.01
_READING, _ROUND = 0.2, 0.6


@dataclass(frozen=True)
class ImportOptions:
    """What to make of a recording."""

    name: str | None = None
    """The file's name as the uploader gave it; only checked. None: the path's own."""
    chime: bool = False
    """Put an opening and a closing chime around it."""
    accept_part: bool = False
    """Take the part that plays of a damaged file."""
    max_bytes: int = MAX_BYTES
    max_duration_ms: int = MAX_DURATION_MS


@dataclass(frozen=True)
class Source:
    """What the file was."""

    form: SoundForm
    codec: str
    rate: int
    channels: int
    declared_ms: DurationMs | None
    decoded_ms: DurationMs
    bad_packets: int
    partial: bool
    """Whether only a part of it played, and was accepted."""
    loudness_lufs: Lufs


@dataclass(frozen=True)
class ImportedAudio:
    """A rendition and where it came from."""

    rendition: RenditionFile
    source: Source
    trimmed_head_ms: DurationMs
    trimmed_tail_ms: DurationMs


def import_recording(
    recording: Path | bytes,
    *,
    options: ImportOptions | None = None,
    progress: Progress = lambda _done, _stage: None,
    cancelled: Cancelled = lambda: False,
) -> ImportedAudio:
    """Read, trim, level and encode a recording. Blocks for about a second a minute of sound.

    Raises Refused: bad_name, empty_audio, too_large, archive_forbidden, playlist_forbidden, container_forbidden,
    drm_protected, unsupported_format, channel_limit, duration_limit, decode_failed (values: plays_s, claimed_s),
    silent_audio, cancelled, file_missing, file_unreadable.
    """
    options = options or ImportOptions()
    if isinstance(recording, bytes):
        check_name(options.name if options.name is not None else "recording")
        if len(recording) > options.max_bytes:
            raise Refused("too_large", field="file", limit=options.max_bytes)
        with tempfile.NamedTemporaryFile(prefix="loa-import-") as file:
            file.write(recording)
            file.flush()
            return _import_file(Path(file.name), options, progress, cancelled)
    check_name(options.name if options.name is not None else recording.name)
    return _import_file(recording, options, progress, cancelled)


def make_rendition(sound: Pcm, *, chime: bool = False) -> RenditionFile:
    """A rendition of mono sound at 48 kHz held in memory (a tone, a siren, speech that was synthesised).

    Raises Refused(silent_audio).
    """
    held = HeldSound(sound)
    return render(held, survey(held, lambda _frames: None), _surroundings(chime), lambda _stage, _part: None)


def read_mono(path: Path, *, max_duration_ms: int = MAX_DURATION_MS) -> Mono:
    """A recording as it is, mono at 48 kHz, untrimmed and not levelled: what a rendition is compared with.

    Holds all of it in memory: 11 MB a minute. Raises Refused as import_recording does.
    """
    sniffed = _sniffed(path, MAX_BYTES)
    opened = RecordingFile(path, sniffed.form, max_duration_ms=max_duration_ms)
    plan = survey(opened, lambda _frames: None)
    return np.concatenate([plan.mono(block) for block in opened.blocks()])


def _import_file(path: Path, options: ImportOptions, progress: Progress, cancelled: Cancelled) -> ImportedAudio:
    steps = _Steps(progress, cancelled)
    opened, plan, partial = _read_through(path, options, steps)
    rendition = render(opened, plan, _surroundings(options.chime), steps.at)
    progress(1.0, "checking")
    return ImportedAudio(
        rendition=rendition,
        source=_source(opened, opened.form, plan, partial),
        trimmed_head_ms=DurationMs(plan.start * 1000 // RATE),
        trimmed_tail_ms=DurationMs(max(0, plan.frames - plan.end) * 1000 // RATE),
    )


def check_plays(recording: Path, options: ImportOptions | None = None) -> tuple[RecordingFile, Survey]:
    """Read all of a recording without making a rendition of it. Blocks. Raises as `import_recording` does."""
    options = options or ImportOptions()
    check_name(options.name if options.name is not None else recording.name)
    opened, plan, _ = _read_through(recording, options, _Steps(lambda _done, _stage: None, lambda: False))
    return opened, plan


def _read_through(path: Path, options: ImportOptions, steps: "_Steps") -> tuple[RecordingFile, Survey, bool]:
    """Open and survey; whether only a part plays."""
    sniffed = _sniffed(path, options.max_bytes)
    opened = RecordingFile(path, sniffed.form, max_duration_ms=options.max_duration_ms)
    expected = max(1, opened.frames_hint)
    plan = survey(opened, lambda frames: steps.at("reading", min(1.0, frames / expected)))
    decoded_ms = DurationMs(plan.frames * 1000 // RATE)
    partial = _plays_in_part(opened, path, decoded_ms)
    if partial and not options.accept_part:
        claimed_ms = max(decoded_ms, opened.declared_ms or 0)
        raise Refused(
            "decode_failed",
            field="file",
            plays_s=round(decoded_ms / 1000, 1),
            claimed_s=round(claimed_ms / 1000, 1),
            why="damaged or cut off",
        )
    return opened, plan, partial


def _sniffed(path: Path, max_bytes: int) -> Sniffed:
    # Not even opened where it is no file: a named pipe would wait for a writer for ever.
    if not path.is_file():
        raise Refused("file_missing", field="file", value=path.name)
    try:
        with path.open("rb") as file:
            return sniff(file, max_bytes=max_bytes)
    except PermissionError as error:
        raise Refused("file_unreadable", field="file", value=path.name) from error


def _source(opened: RecordingFile, form: SoundForm, plan: Survey, partial: bool) -> Source:
    return Source(
        form=form,
        codec=opened.codec,
        rate=opened.rate,
        channels=opened.channels,
        declared_ms=None if opened.declared_ms is None else DurationMs(opened.declared_ms),
        decoded_ms=DurationMs(plan.frames * 1000 // RATE),
        bad_packets=opened.damage.bad_packets,
        partial=partial,
        loudness_lufs=plan.loudness_lufs,
    )


def _plays_in_part(opened: RecordingFile, path: Path, decoded_ms: int) -> bool:
    damage = opened.damage
    if damage.cut_off or damage.bad_packets > max(2, damage.packets * _BAD_SHARE):
        return True
    if opened.form is SoundForm.OGG:
        with path.open("rb") as file:
            if ogg_cut_off(file):
                return True
    if opened.declared_ms is None or not opened.declared_exactly:
        return False
    return decoded_ms < opened.declared_ms - max(_SHORTFALL_MS, opened.declared_ms * _SHORTFALL)


def _surroundings(chime: bool) -> Surroundings:
    if not chime:
        return Surroundings()
    from audio.edit import chimes  # pydub is wanted only here

    return chimes()


class _Steps:
    """One number for all the work: reading, then rounds of encoding and checking, of which most often one is enough."""

    def __init__(self, progress: Progress, cancelled: Cancelled) -> None:
        self._progress, self._cancelled = progress, cancelled
        self._base, self._span, self._done = 0.0, _READING, 0.0
        self._stage = "reading"

    def at(self, stage: str, part: float) -> None:
        """Raises Refused(cancelled)."""
        if self._cancelled():
            raise Refused("cancelled")
        if stage != self._stage:
            self._base += self._span
            left = 1.0 - self._base
            self._span = left * (_ROUND if stage == "encoding" else 0.5)
            self._stage = stage
        self._done = max(self._done, self._base + self._span * part)
        self._progress(self._done, stage)
