"""Labels on paper: sheets of A4 with two by seven labels, as PDF or SVG. A QR code, and the same for typing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import segno

_PAGE_MM = (210.0, 297.0)
_COLUMNS, _ROWS = 2, 7
_LEFT_MM, _TOP_MM, _WIDE_MM, _HIGH_MM = 12.0, 13.0, 93.0, 38.7
_CODE_MM = 33.0
_POINTS_A_MM = 72 / 25.4


@dataclass(frozen=True)
class Printed:
    """One label: what its QR code holds, and the lines beside it (ASCII)."""

    text: str
    lines: tuple[str, ...]


def printed(name: str, text: str, code: str) -> Printed:
    """A label as the API gave it."""
    groups = code.split("-")
    rows = [" ".join(groups[at : at + 3]) for at in range(0, len(groups), 3)]
    address = text.split("+")[1].lower()
    return Printed(text, (f"LOA  {name}", address, *rows))


def svg_files(path: Path | None, labels: int) -> Sequence[Path]:
    """One file a page: labels.svg, or labels-1.svg, labels-2.svg …"""
    pages = -(-labels // (_COLUMNS * _ROWS))
    if path is None:
        return ()
    return [path] if pages == 1 else [path.with_stem(f"{path.stem}-{number + 1}") for number in range(pages)]


def svg_sheets(labels: Sequence[Printed]) -> list[str]:
    """One SVG document a page."""
    return [_svg(page) for page in _pages(labels)]


def pdf_sheets(labels: Sequence[Printed]) -> bytes:
    """One PDF (1.4) with all pages."""
    contents = [_pdf_page(page).encode("ascii") for page in _pages(labels)]
    numbers = [4 + 2 * at for at in range(len(contents))]
    kids = " ".join(f"{number} 0 R" for number in numbers)
    width, height = (f"{side * _POINTS_A_MM:.2f}" for side in _PAGE_MM)
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier-Bold >>",
    ]
    for number, content in zip(numbers, contents, strict=True):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents {number + 1} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    return _pdf_file(objects)


def terminal_code(text: str) -> str:
    """A QR code of half blocks, for a terminal."""
    rows = [list(row) for row in segno.make(text, error="m", micro=False).matrix_iter(border=2)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    glyphs = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join("".join(glyphs[bool(a), bool(b)] for a, b in zip(top, low, strict=True)) for top, low in pairs)


def _pages(labels: Sequence[Printed]) -> Iterator[Sequence[Printed]]:
    for at in range(0, len(labels), _COLUMNS * _ROWS):
        yield labels[at : at + _COLUMNS * _ROWS]


def _placed(page: Sequence[Printed]) -> Iterator[tuple[Printed, float, float]]:
    """Each label with its upper left corner in mm."""
    for at, label in enumerate(page):
        row, column = divmod(at, _COLUMNS)
        yield label, _LEFT_MM + column * _WIDE_MM, _TOP_MM + row * _HIGH_MM


def _squares(label: Printed) -> Iterator[tuple[float, float, float]]:
    """Dark modules of the code: left and top in mm from the label's corner, and their side."""
    code = segno.make(label.text, error="m", micro=False)
    rows = list(code.matrix_iter(border=2))
    side = _CODE_MM / len(rows)
    for y, row in enumerate(rows):
        for x, dark in enumerate(row):
            if dark:
                yield x * side, 2 + y * side, side


def _lines(label: Printed) -> Iterator[tuple[str, float, float, float]]:
    """Lines with their left, baseline and size in mm from the label's corner."""
    for at, line in enumerate(label.lines):
        size = 5.0 if at == 0 else min(3.6, 52 / (0.6 * max(1, len(line))))
        yield line, _CODE_MM + 2, 9 + at * 6.0, size


def _svg(page: Sequence[Printed]) -> str:
    width, height = _PAGE_MM
    page_size = f'width="{width:g}mm" height="{height:g}mm" viewBox="0 0 {width:g} {height:g}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {page_size} font-family="monospace" font-weight="bold">']
    for label, left, top in _placed(page):
        path = "".join(f"M{left + x:.3f} {top + y:.3f}h{s:.3f}v{s:.3f}h-{s:.3f}z" for x, y, s in _squares(label))
        parts.append(f'<path d="{path}"/>')
        for line, x, y, size in _lines(label):
            words = line.replace("&", "&amp;").replace("<", "&lt;")
            parts.append(f'<text x="{left + x:.2f}" y="{top + y:.2f}" font-size="{size:.2f}">{words}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _pdf_page(page: Sequence[Printed]) -> str:
    """PDF measures in points from the lower left corner."""

    def at(x: float, y: float) -> str:
        return f"{x * _POINTS_A_MM:.2f} {(_PAGE_MM[1] - y) * _POINTS_A_MM:.2f}"

    parts = []
    for label, left, top in _placed(page):
        for x, y, side in _squares(label):
            points = f"{side * _POINTS_A_MM:.3f}"
            parts.append(f"{at(left + x, top + y + side)} {points} {points} re")
        parts.append("f")
        for line, x, y, size in _lines(label):
            words = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            parts.append(f"BT /F1 {size * _POINTS_A_MM:.2f} Tf {at(left + x, top + y)} Td ({words}) Tj ET")
    return "\n".join(parts)


def _pdf_file(objects: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        out += b"%010d 00000 n \n" % offset
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)
