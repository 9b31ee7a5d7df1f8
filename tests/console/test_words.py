"""Every word of the console is there in both languages, once."""

import re
from collections import Counter
from importlib.resources import files

_PAGE = files("api") / "page"
_SOURCES = {item.name: item.read_text("utf-8") for item in _PAGE.iterdir() if item.name.endswith((".js", ".html"))}
_ENTRY = re.compile(r'(?:^|[{,]) *(\w+): \["((?:[^"\\]|\\.)*)", "((?:[^"\\]|\\.)*)"\]', re.MULTILINE)
_BLANK = re.compile(r"\{\w+\}")


def _words() -> list[tuple[str, str, str]]:
    return [
        (found[1], found[2], found[3])
        for name, text in _SOURCES.items()
        if name.startswith("words")
        for found in _ENTRY.finditer(text)
    ]


def test_no_word_takes_anothers_place() -> None:
    counted = Counter(name for name, _, _ in _words())
    assert len(counted) > 300
    assert [name for name, times in counted.items() if times > 1] == []


def test_both_languages_say_the_same_blanks() -> None:
    differ = [
        name for name, vi, en in _words() if set(_BLANK.findall(vi)) != set(_BLANK.findall(en)) or not vi or not en
    ]
    assert differ == []


def test_what_the_page_asks_for_is_there() -> None:
    known = {name for name, _, _ in _words()}
    asked = set()
    for text in _SOURCES.values():
        asked |= set(re.findall(r'data-word="(\w+)"', text)) | set(re.findall(r'\b(?:word|canUndo)\("(\w+)"[,)]', text))
    assert sorted(asked - known) == []
    begun = {start for text in _SOURCES.values() for start in re.findall(r'\bword\("(\w+_)" \+', text)}
    assert [start for start in begun if not any(name.startswith(start) for name in known)] == []


def test_what_comes_first_needs_no_word_that_comes_later() -> None:
    page = _SOURCES["index.html"]
    first = set(re.findall(r'src="/page/([a-z-]+\.js)"', page))
    later = [set(content.split()) for content in re.findall(r'<meta name="later-[a-z]+" content="([^"]+)">', page)]
    assert first | set().union(*later) >= {name for name in _SOURCES if name.endswith(".js")}, "nobody brings it"
    for bundle in (set(), *later):
        here = [_SOURCES[name] for name in sorted(first | bundle) if name.endswith(".js")]
        known = {found[1] for text in here for found in _ENTRY.finditer(text)}
        asked = {found for text in here for found in re.findall(r'\b(?:word|canUndo)\("(\w+)"[,)]', text)}
        assert sorted(asked - known) == []
