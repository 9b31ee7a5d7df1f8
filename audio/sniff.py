"""What an uploaded file is, by its content alone, before any codec library sees it.

Only plain recordings pass. Playlists make players fetch addresses, archives unpack, containers may point to other
files: all of these are refused here.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from loa.errors import Refused

_HEAD_BYTES = 64 * 1024
_SCAN_BYTES = 1 << 20
_MAX_NAME = 255


class SoundForm(StrEnum):
    """The forms that are taken; each value names libav's demuxer, which is forced so that nothing is guessed."""

    MP3 = "mp3"
    AAC = "aac"
    MP4 = "mov"
    WAV = "wav"
    OGG = "ogg"
    FLAC = "flac"
    AMR = "amr"
    AIFF = "aiff"
    CAF = "caf"


@dataclass(frozen=True)
class Sniffed:
    """A file's form, and its length in bytes."""

    form: SoundForm
    size: int


_ARCHIVES: tuple[tuple[int, bytes], ...] = (
    (0, b"PK\x03\x04"),
    (0, b"PK\x05\x06"),
    (0, b"PK\x07\x08"),
    (0, b"\x1f\x8b"),
    (0, b"\x1f\x9d"),
    (0, b"BZh"),
    (0, b"\xfd7zXZ\x00"),
    (0, b"7z\xbc\xaf\x27\x1c"),
    (0, b"Rar!\x1a\x07"),
    (0, b"\x28\xb5\x2f\xfd"),
    (0, b"\x04\x22\x4d\x18"),
    (0, b"LZIP"),
    (0, b"MSCF"),
    (0, b"!<arch>"),
    (0, b"07070"),
    (2, b"-lh"),
    (257, b"ustar"),
    (0x8001, b"CD001"),
)
_PLAYLIST = re.compile(
    rb"\A(?:#EXTM3U|#EXT-X-|\[playlist\]|\[reference\]|ffconcat|file\s+['\"]|<asx|<smil|<wpl|<\?wpl|<mpd|<playlist"
    rb"|rtsptext|v=0\r?\n|(?:https?|rtsp|rtmp|ftp|mms|file|concat|crypto|data|tcp|udp)://|concat:)",
    re.IGNORECASE,
)
_XML_PLAYLIST = re.compile(rb"<(?:mpd|asx|smil|playlist|smoothstreamingmedia|wpl)\b", re.IGNORECASE)
_ADDRESS_LINE = re.compile(rb"^(?:https?|rtsp|rtmp|ftp|mms)://|\.(?:mp3|m4a|aac|wav|ogg|flac|ts)\s*$", re.I | re.M)
_HIDDEN = (b"#EXTM3U", b"#EXT-X-", b"<MPD ", b"ffconcat version")
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_ENCRYPTION = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),  # Content Encryption Object
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),  # Extended Content Encryption Object
)
_FOREIGN_CONTAINERS: tuple[tuple[int, bytes], ...] = (
    (8, b"AVI "),
    (0, b"FLV\x01"),
    (0, b"\x1aE\xdf\xa3"),
    (0, b".RMF"),
    (0, _ASF),
)


def check_name(name: str) -> str:
    """A file's own name as the uploader gave it. Raises Refused(bad_name) for a path, control characters or no name."""
    bad = (
        not name.strip()
        or len(name) > _MAX_NAME
        or any(character in "/\\:\x7f" or character < " " for character in name)
        or name.strip(". ") == ""
    )
    if bad:
        raise Refused("bad_name", field="name", limit=_MAX_NAME, value=name[:80])
    return name


def sniff(file: BinaryIO, *, max_bytes: int) -> Sniffed:
    """Look at a file from its start; leaves the position anywhere.

    Raises Refused: empty_audio, too_large, archive_forbidden, playlist_forbidden, container_forbidden, drm_protected,
    unsupported_format.
    """
    size = file.seek(0, 2)
    if size == 0:
        raise Refused("empty_audio", field="file")
    if size > max_bytes:
        raise Refused("too_large", field="file", limit=max_bytes)
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    _refuse_archives(head)
    _refuse_playlists(head)
    start = _after_id3(head)
    if start:
        file.seek(start)
        inner = file.read(_HEAD_BYTES)
        _refuse_archives(inner)
        _refuse_playlists(inner)
    else:
        inner = head
    if head.startswith(_ASF) and any(mark in head for mark in _ASF_ENCRYPTION):
        raise Refused("drm_protected", field="file")
    _refuse_hidden_playlists(file)
    form = _form(inner) or _form(head)
    if form is None:
        raise Refused("unsupported_format", field="file")
    if form is SoundForm.MP4:
        _refuse_bad_mp4(file)
    return Sniffed(form, size)


def _refuse_archives(head: bytes) -> None:
    if any(head[at : at + len(mark)] == mark for at, mark in _ARCHIVES):
        raise Refused("archive_forbidden", field="file")


def _refuse_playlists(head: bytes) -> None:
    text = head
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark) and _form(head) is None:
            text = head[len(mark) :].decode(encoding, "ignore").encode()
    text = text.lstrip(b" \t\r\n\x00")[:4096]
    if not text or min(text[:64]) < 9:
        return
    if _PLAYLIST.match(text) or (text.startswith(b"<") and _XML_PLAYLIST.search(text)):
        raise Refused("playlist_forbidden", field="file")
    if all(byte in b"\t\r\n" or byte >= 32 for byte in text) and _ADDRESS_LINE.search(text):
        raise Refused("playlist_forbidden", field="file")


def _refuse_hidden_playlists(file: BinaryIO) -> None:
    file.seek(0)
    overlap = b""
    while block := file.read(_SCAN_BYTES):
        if any(mark in overlap + block for mark in _HIDDEN):
            raise Refused("container_forbidden", field="file")
        overlap = block[-16:]


def _after_id3(head: bytes) -> int:
    """Where the content after an ID3v2 tag begins; 0 without one."""
    if len(head) < 10 or not head.startswith(b"ID3") or any(byte & 0x80 for byte in head[6:10]):
        return 0
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _form(data: bytes) -> SoundForm | None:
    starts: tuple[tuple[SoundForm, bool], ...] = (
        (SoundForm.WAV, data[:4] in (b"RIFF", b"RF64", b"RIFX") and data[8:12] == b"WAVE"),
        (SoundForm.OGG, data.startswith(b"OggS")),
        (SoundForm.FLAC, data.startswith(b"fLaC")),
        (SoundForm.AMR, data.startswith((b"#!AMR\n", b"#!AMR-WB\n"))),
        (SoundForm.MP4, data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
        (SoundForm.AIFF, data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC")),
        (SoundForm.CAF, data.startswith(b"caff")),
    )
    for form, is_it in starts:
        if is_it:
            return form
    if any(data[at : at + len(mark)] == mark for at, mark in _FOREIGN_CONTAINERS):
        return None
    return _mpeg_form(data)


def _mpeg_form(data: bytes) -> SoundForm | None:
    """MP3 or ADTS by two frames in a row, or MP3 by an ID3 tag in front; some junk may come first."""
    for at in range(min(len(data) - 4, 8192)):
        if data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
            continue
        if data[at + 1] & 0xF6 == 0xF0:
            length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5 if at + 5 < len(data) else 0
            if length > 7 and _sync_or_end(data, at + length, 0xF6, 0xF0):
                return SoundForm.AAC
            continue
        length = _mp3_frame_bytes(data[at : at + 4])
        if length and _sync_or_end(data, at + length, 0xE0, 0xE0):
            return SoundForm.MP3
    return SoundForm.MP3 if data.startswith(b"ID3") else None


def _sync_or_end(data: bytes, at: int, mask: int, value: int) -> bool:
    return at == len(data) or (at + 1 < len(data) and data[at] == 0xFF and data[at + 1] & mask == value)


_BITRATES = {
    (3, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (3, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (2, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
}


def _mp3_frame_bytes(head: bytes) -> int:
    """Length of an MPEG audio frame from its four header bytes; 0 where they are none."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 0 or bitrate in (0, 15) or rate == 3:
        return 0
    row = _BITRATES[(3, layer) if version == 3 else (2, 3 if layer == 3 else 1)]
    hertz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    if layer == 3:
        return (12_000 * row[bitrate] // hertz + padding) * 4
    samples = 72_000 if version != 3 and layer == 1 else 144_000
    return samples * row[bitrate] // hertz + padding


def _refuse_bad_mp4(file: BinaryIO) -> None:
    """Encrypted tracks, and tracks whose sound lies in another file."""
    moov = _mp4_box(file, b"moov")
    if any(mark in moov for mark in (b"enca", b"encv", b"drms", b"sinf")):
        raise Refused("drm_protected", field="file")
    if b"rmra" in moov or b"rmda" in moov:
        raise Refused("container_forbidden", field="file")
    at = -1
    while (at := moov.find(b"dref", at + 1)) >= 0:
        for kind in (b"url ", b"urn ", b"alis", b"rsrc"):
            entry = moov.find(kind, at, at + 64)
            if entry >= 0 and not moov[entry + 7 : entry + 8] == b"\x01":
                raise Refused("container_forbidden", field="file")


def _mp4_box(file: BinaryIO, wanted: bytes) -> bytes:
    """The first top-level box of that kind, at most 64 MiB of it; empty where there is none."""
    size, at = file.seek(0, 2), 0
    for _ in range(10_000):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return b""
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - at
        if length < 8:
            return b""
        if kind == wanted:
            file.seek(at)
            return file.read(min(length, 64 << 20))
        at += length
    return b""
