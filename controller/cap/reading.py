"""Bytes → text → XML elements, with nothing in them that could expand, fetch or exhaust.

A first pass by expat bounds depth and size and stops at a DOCTYPE before anything in it is looked at (the manner of
defusedxml); lxml then builds the tree, without entities, network or DTD.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final
from xml.parsers import expat

from lxml import etree

from loa.errors import Refused

MAX_BYTES: Final = 8 * 1024 * 1024
"""A national feed with its alerts inside takes some hundred kB, a country's polygons one or two MB."""
MAX_DEPTH: Final = 64
"""An alert in a feed is 8 deep."""
MAX_ELEMENTS, MAX_ATTRIBUTES, MAX_DOCUMENTS = 400_000, 64, 200

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Without a mark, "<" and what follows it tell the width (XML 1.0, appendix F.1).
_WIDE: Final = (
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")
_DECLARATION = re.compile(r"\s*<\?xml\s[^>]{0,400}?\?>")
_ANOTHER = re.compile(rb"<(?:\?xml\s|!DOCTYPE|!--|[A-Za-z_])")
_NARROW: Final = re.compile(
    r"utf-8|ascii|iso8859-\d+|koi8-[ru]|tis-620|cp125[0-8]|cp874|cp437|cp850|cp866"
    r"|big5|big5hkscs|cp950|euc_jp|shift_jis|cp932|iso2022_jp|euc_kr|cp949|gb18030"
)
_ONE_BYTE: Final = re.compile(r"iso8859-\d+|koi8-[ru]|tis-620|cp125[0-8]|cp874|cp437|cp850|cp866")
_READ_AS: Final = {
    # What calls itself GB2312 or GBK is written by programs that know more characters.
    "gb2312": "gb18030",
    "gbk": "gb18030",
    # "<" in one byte is not what these say: a program labelled the file as it holds strings in memory.
    "utf-16": "utf-8",
    "utf-16-le": "utf-8",
    "utf-16-be": "utf-8",
    "utf-32": "utf-8",
}


def safe_parser() -> etree.XMLParser[etree._Element]:
    """lxml's parser with nothing that expands or fetches, and with libxml2's own bounds."""
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
    )


def read(data: bytes) -> tuple[etree._Element, ...]:
    """The root elements in these bytes: one, or as many as alerts were put one after the other.

    Raises Refused(not_xml, bad_encoding, too_large, too_deep, dtd_forbidden).
    """
    return parse(decode(data))


def decode(data: bytes) -> str:
    """Text of bytes: by their mark, else their width, else their declaration, else UTF-8.

    Raises Refused(not_xml, bad_encoding, too_large).
    """
    if len(data) > MAX_BYTES:
        raise Refused("too_large", field="file", limit=f"{MAX_BYTES} bytes", value=len(data))
    encoding, start = _encoding(data)
    if _ONE_BYTE.fullmatch(encoding) and _is_utf_8(data):
        encoding = "utf-8"
    try:
        text = data[start:].decode(encoding)
    except UnicodeDecodeError as error:
        raise Refused("bad_encoding", field="file", limit=encoding, value=f"byte {start + error.start}") from error
    if not text.strip():
        raise Refused("not_xml", field="file", reason="empty")
    return text


def parse(text: str) -> tuple[etree._Element, ...]:
    """The root elements in a text. Raises Refused(not_xml, too_large, too_deep, dtd_forbidden)."""
    try:
        rest = _DECLARATION.sub("", text, count=1).strip().encode() if _declared_first(text) else text.strip().encode()
    except UnicodeEncodeError as error:
        raise Refused("not_xml", field="file", reason="half a character") from error
    return tuple(_tree(part) for part in _documents(rest))


def _encoding(data: bytes) -> tuple[str, int]:
    """Which codec, and how many bytes of mark precede the text."""
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return codec, len(mark)
    for start, codec in _WIDE:
        if data.startswith(start):
            return codec, 0
    declared = _DECLARED.match(data[:1024])
    if declared is None:
        return "utf-8", 0
    name = declared.group(1).decode("ascii")
    try:
        known = codecs.lookup(name).name
    except LookupError:
        known = ""
    codec = _READ_AS.get(known, known)
    if not _NARROW.fullmatch(codec):
        raise Refused("bad_encoding", field="file", limit="UTF-8", value=name)
    return codec, 0


def _is_utf_8(data: bytes) -> bool:
    """Text of one byte a character is never well-formed UTF-8 by chance, but for plain ASCII, where all agree.

    Such a label is a program's habit; taken at its word, it would have the loudspeakers read out rubbish.
    """
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _declared_first(text: str) -> bool:
    return _DECLARATION.match(text) is not None


def _documents(data: bytes) -> Iterator[bytes]:
    """Each document of a file, bounded and without a DOCTYPE."""
    for _ in range(MAX_DOCUMENTS):
        end = _Gate().end_of(data)
        if end is None:
            yield data
            return
        yield data[:end]
        data = re.sub(rb"\A\s*<\?xml\s[^>]{0,400}?\?>", b"", data[end:]).strip()
    raise Refused("too_large", field="file", limit=f"{MAX_DOCUMENTS} documents", value="more")


class _Gate:
    """One pass over a document that builds nothing."""

    def __init__(self) -> None:
        self._depth = self._elements = 0
        self._parser = expat.ParserCreate("utf-8", " ")
        self._parser.buffer_text = False
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.EntityDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def end_of(self, data: bytes) -> int | None:
        """Where the first document ends if another follows it. Raises Refused as `parse` does."""
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            end = self._parser.ErrorByteIndex
            if self._elements and not self._depth and 0 < end < len(data) and _ANOTHER.match(data, end):
                return end
            reason = f"{expat.ErrorString(error.code)}, line {error.lineno}"
            raise Refused("not_xml", field="file", reason=reason) from error
        return None

    def _doctype(self, *_: object) -> None:
        raise Refused("dtd_forbidden", field="file")

    def _start(self, _: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH:
            raise Refused("too_deep", field="file", limit=MAX_DEPTH)
        if self._elements > MAX_ELEMENTS:
            raise Refused("too_large", field="file", limit=f"{MAX_ELEMENTS} elements", value="more")
        if len(attributes) > MAX_ATTRIBUTES:
            raise Refused("too_large", field="file", limit=f"{MAX_ATTRIBUTES} attributes", value=len(attributes))

    def _end(self, _: str) -> None:
        self._depth -= 1


def _tree(data: bytes) -> etree._Element:
    try:
        root = etree.fromstring(data, safe_parser())
    except etree.XMLSyntaxError as error:
        raise Refused("not_xml", field="file", reason=error.msg) from error
    information = root.getroottree().docinfo
    if information.internalDTD is not None or information.externalDTD is not None or information.doctype:
        raise Refused("dtd_forbidden", field="file")
    return root
