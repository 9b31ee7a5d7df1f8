"""What a file's own headers claim, where libav does not say: whether something is missing at the end."""

from typing import BinaryIO

_MAX_OGG_PAGE = 65_307


def mp3_counts_frames(file: BinaryIO) -> bool:
    """Whether an MP3's first frame holds the number of frames (Xing, Info or VBRI), so that its length is no guess."""
    file.seek(0)
    head = file.read(10)
    start = 0
    if head.startswith(b"ID3") and len(head) == 10:
        start = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    file.seek(start)
    first = file.read(4096)
    return any(mark in first for mark in (b"Xing", b"Info", b"VBRI"))


def wav_declared_ms(file: BinaryIO) -> int | None:
    """The length that a WAV file claims, even where its samples are cut off; None where it claims none."""
    size = file.seek(0, 2)
    file.seek(0)
    if file.read(12)[:4] != b"RIFF":
        return None
    at, bytes_a_second = 12, 0
    for _ in range(1000):
        file.seek(at)
        head = file.read(24)
        length = int.from_bytes(head[4:8], "little")
        if len(head) < 8:
            return None
        if head[:4] == b"fmt ":
            bytes_a_second = int.from_bytes(head[16:20], "little")
        if head[:4] == b"data":
            # Recorders that were cut off, or that stream, leave 0 or the largest number.
            unknown = length in (0, 0xFFFFFFFF) or length > 0x7FFFFFFF > size
            return None if unknown or not bytes_a_second else length * 1000 // bytes_a_second
        at += 8 + length + length % 2
    return None


def ogg_cut_off(file: BinaryIO) -> bool:
    """Whether the file ends within a page; libav takes what is left for the whole."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 2 * _MAX_OGG_PAGE))
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return True
    if at + 27 > len(tail):
        return True
    lacing = tail[at + 27 : at + 27 + tail[at + 26]]
    return at + 27 + tail[at + 26] + sum(lacing) > len(tail)
