"""QR codes in a terminal."""

from typing import TextIO

import segno


def show_qr(text: str, out: TextIO) -> None:
    """Draw it with half blocks, two rows of it a line."""
    segno.make(text, error="m").terminal(out=out, compact=True)
