"""Labels on paper: whole documents, all labels on them, no module of a code missing."""

import re
import xml.etree.ElementTree as ET

import segno

from devices.protocol.label import Label
from loa.cli.label_sheet import Printed, pdf_sheets, printed, svg_sheets, terminal_code

LABELS = [Label(bytes([at] * 5), bytes([at] * 16), "https://loa.example.vn:8443") for at in range(30)]
SHEETS = [printed(one.name, one.to_text(), one.code) for one in LABELS]


def _dark(one: Printed) -> int:
    return sum(map(sum, segno.make(one.text, error="m", micro=False).matrix))


def test_a_pdf_of_three_pages() -> None:
    data = pdf_sheets(SHEETS)
    assert data.startswith(b"%PDF-1.4\n")
    start = int(data.split(b"startxref\n")[1].split(b"\n")[0])
    offsets = [int(line.split()[0]) for line in data[start:].splitlines()[3:] if line.endswith(b" n ")]
    assert len(offsets) == 3 + 2 * 3
    for number, offset in enumerate(offsets, 1):
        assert data[offset:].startswith(b"%d 0 obj\n" % number)
    lengths = re.findall(rb"<< /Length (\d+) >>\nstream\n(.*?)\nendstream", data, re.DOTALL)
    assert [int(length) for length, _ in lengths] == [len(content) for _, content in lengths]
    assert len(re.findall(rb" re$", data, re.MULTILINE)) == sum(map(_dark, SHEETS))
    for one in LABELS:
        for group in (one.code[:14], one.code[-14:]):
            assert group.replace("-", " ").encode() in data


def test_svg_pages() -> None:
    pages = svg_sheets(SHEETS)
    assert len(pages) == 3
    words = [element.text for page in pages for element in ET.fromstring(page).iter("{http://www.w3.org/2000/svg}text")]
    assert [word for word in words if word and word.startswith("LOA ")] == [f"LOA  {one.name}" for one in LABELS]
    assert sum(page.count("M") for page in pages) >= sum(map(_dark, SHEETS))


def test_on_a_terminal() -> None:
    shown = terminal_code(SHEETS[0].text).splitlines()
    side = segno.make(SHEETS[0].text, error="m", micro=False).symbol_size(border=2)[0]
    assert {len(row) for row in shown} == {side}
    assert len(shown) == (side + 1) // 2
