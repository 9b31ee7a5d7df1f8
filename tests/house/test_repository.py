"""Rules about the files themselves."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Written in pieces, so that this file does not name them either.
REGISTRY_HOSTS = ("pypi" + ".org", "files.python" + "hosted.org", "registry.npm" + "js.org", "deb.deb" + "ian.org")


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_no_tracked_file_names_a_registry() -> None:
    found = []
    for path in tracked_files():
        if path.is_file():
            content = path.read_bytes().decode("utf-8", "replace")
            found += [f"{path.relative_to(ROOT)}: {host}" for host in REGISTRY_HOSTS if host in content]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-node.lock"])
def test_locks_have_hashes_and_no_addresses(name: str) -> None:
    content = (ROOT / name).read_text()
    assert "://" not in content
    pinned = re.findall(r"^[a-z0-9._-]+(?:\[[^\]]*\])?==", content, re.MULTILINE)
    assert pinned
    assert content.count("--hash=sha256:") >= len(pinned)


def test_every_file_of_ours_is_a_small_room() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked_files()
        if path.suffix in (".py", ".js", ".css") and (lines := len(path.read_text().splitlines())) > 450
    }
    assert long == {}
