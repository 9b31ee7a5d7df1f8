"""docs/security.md names tests and scenarios that exist and are run."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loa.cli.simulation.scenarios import all_scenarios

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
SCENARIOS = sorted(set(re.findall(r"\[([a-z0-9]+(?:-[a-z0-9]+)+)\](?!\()", PAGE)))


def test_every_named_test_is_there() -> None:
    assert len(TESTS) > 60
    for file, name in TESTS:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in defined, f"{file}::{name}"


def test_every_attack_is_named_and_every_name_is_an_attack() -> None:
    assert set(SCENARIOS) == {name for name, one in all_scenarios().items() if one.is_attack}


def test_every_row_of_a_threat_names_what_shows_it() -> None:
    rows = [line for line in PAGE.partition("## The wire")[2].splitlines() if line.startswith("| ")]
    threats = [row for row in rows if not row.startswith("| threat")]
    assert len(threats) > 40
    for row in threats:
        assert "::" in row.split("|")[3] or "[" in row.split("|")[3], row


@pytest.mark.slow
def test_every_named_test_is_collected() -> None:
    files = sorted({file for file, _ in TESTS})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    plain = {**os.environ, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=plain)
    collected = {line.partition("[")[0] for line in done.stdout.splitlines()}
    assert {f"{file}::{name}" for file, name in TESTS} <= collected, done.stdout[-2000:]
