"""Every code that is raised anywhere has its words in both languages."""

import ast
import string
from pathlib import Path

import pytest

from loa.errors import Refused
from loa.problems import PROBLEMS, explain

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("loa", "controller", "devices", "audio", "scheduler", "api", "simulators")


def raised_codes() -> dict[str, str]:
    """Code -> file, for every Refused("code"), OperatorNeeded("code") and Fault("code") with a literal code."""
    found: dict[str, str] = {}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                first = node.args[0]
                if name in ("Refused", "OperatorNeeded", "Fault") and isinstance(first, ast.Constant):
                    found[str(first.value)] = str(path.relative_to(ROOT))
    return found


def test_every_raised_code_has_words() -> None:
    assert {code: where for code, where in raised_codes().items() if code not in PROBLEMS} == {}


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_words_are_whole_in_both_languages(code: str) -> None:
    words = PROBLEMS[code]
    for text in (words.vi, words.en, words.remedy_vi, words.remedy_en):
        assert text.strip()
        list(string.Formatter().parse(text))


def test_a_blank_without_a_value_does_not_break_the_error() -> None:
    assert explain(Refused("bad_node_id"), "vi").title
    assert explain(Refused("never_heard_of"), "en").title == "Error: never_heard_of"
