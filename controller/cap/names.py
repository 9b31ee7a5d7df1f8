"""Names of places as people write them, made comparable: "TT. Cô Tô", "xã Co To", "Đặc khu Cô Tô" are one name."""

import re
import unicodedata
from typing import Final

_KINDS: Final = (
    r"dac khu hanh chinh|dac khu|thi tran|thi xa|thanh pho|phuong|huyen dao|huyen|quan|tinh|vung|dao|xa"
    r"|tp|tx|tt|p|x|h|q|t"
    r"|(?:commune|ward|special zone|district|city|town|province|island) of"
)
_AFTER: Final = (
    "special administrative zone|special zone|commune|ward|district|city|township|town|province|islands|island"
)
_BEFORE = re.compile(rf"(?:{_KINDS})(?:\s*[.:]\s*|\s+)(?=\S)")
_BEHIND = re.compile(rf"\s+(?:{_AFTER})\Z")
_PROVINCE = re.compile(r"(?:tinh|thanh pho|tp|province of)(?:\s*[.:]\s*|\s+)(?=\S)")
_APART = re.compile(r"[,;/\n\r\t()|•]+|\s+[-–—]\s+|\s+(?:va|và|and|&)\s+|:\s+", re.IGNORECASE)
MAX_PARTS: Final = 400


def folded(text: str) -> str:
    """Lower case, without marks, one space between words: Đầm Hà → dam ha."""
    plain = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return " ".join("".join(one for one in plain if not unicodedata.combining(one)).split())


def bare(text: str) -> str:
    """A folded name without the kind of place before or behind it."""
    name = folded(text).strip(" .,-")
    for _ in range(3):
        shorter = _BEHIND.sub("", _BEFORE.sub("", name, count=1))
        if shorter == name or not shorter:
            break
        name = shorter
    return name


def is_province(text: str) -> bool:
    """Whether the name says of itself that it is a province or a city of that rank."""
    name = folded(text)
    return _PROVINCE.match(name) is not None or name.endswith(" province")


def parts(description: str) -> tuple[str, ...]:
    """The names in a description: "các xã Hải Sơn, Quảng Đức và Bình Liêu" → three."""
    text = unicodedata.normalize("NFC", description)
    text = re.sub(r"\A\s*(?:các|những|cac|nhung)\s+", "", text, flags=re.IGNORECASE)
    return tuple(part.strip() for part in _APART.split(text)[:MAX_PARTS] if part and part.strip())
