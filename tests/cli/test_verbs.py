"""The verbs against a running server, as people type them."""

import json
import sqlite3
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from controller import codes
from devices.protocol.identity import NodeIdentity
from loa.clock import SystemClock
from tests.api.office import recording
from tests.api.server import Served

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]


class Shell:
    """`loa …` with a home of its own."""

    def __init__(self, served: Served, home: Path) -> None:
        self.served = served
        self.home = home
        self.environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "LOA_SERVER": served.url,
            "LOA_TOKEN": served.token,
        }  # fmt: skip

    def as_somebody(self, **environment: str) -> "Shell":
        """The same home, another person: with what they give in their environment."""
        other = Shell(self.served, self.home)
        del other.environment["LOA_TOKEN"]
        other.environment |= environment
        return other

    def loa(self, *words: str, expect: int = 0) -> str:
        """Run it; what it printed, both streams where it is refused."""
        run = subprocess.run(
            [sys.executable, "-c", "from loa.cli.main import main; main()", *words],
            env=self.environment, capture_output=True, text=True, cwd=self.home, timeout=60, check=False,
        )  # fmt: skip
        assert run.returncode == expect, run.stdout + run.stderr
        return run.stdout if expect == 0 else run.stdout + run.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.loa(*words, "--json"))


@pytest.fixture
def shell(served: Served, tmp_path: Path) -> Shell:
    """The first account at the server, with a recording in the home folder."""
    served.freshen()
    made = Shell(served, tmp_path)
    (tmp_path / "cat-dien.wav").write_bytes(recording(3.2))
    return made


def test_from_a_recording_to_the_timetable_and_the_air(shell: Shell) -> None:
    area = "quang-ninh/co-to"
    shell.loa("area", "add", area, "Cô Tô", "--kind", "đặc khu")
    assert "Cô Tô" in shell.loa("area", "list")
    shell.loa("nodes", "enrol", "co-to-1", "--area", area, "--identity-out", "co-to-1.json")
    identity = shell.home / "co-to-1.json"
    assert identity.stat().st_mode & 0o777 == 0o600
    assert NodeIdentity.from_text(identity.read_text()).node == "co-to-1"
    assert "co-to-1" in shell.loa("nodes", "--area", area)
    shell.loa("nodes", "volume", "co-to-1", "70")
    shell.loa("nodes", "test-tone", "co-to-1")
    assert shell.json("nodes")[0]["volume"] == 70

    made = shell.loa("accounts", "add", "lan", "--role", f"operator@{area}")
    lan = shell.as_somebody(LOA_PASSWORD=made.partition("One-time password: ")[2].split()[0])
    said = lan.loa("login", "--account", "lan", "--secret-out", "lan.code")
    assert f"Signed in at {shell.served.url} as lan" in said
    assert (shell.home / "lan.code").stat().st_mode & 0o777 == 0o600
    assert "operator@quang-ninh/co-to" in shell.loa("accounts", "list")
    assert "[not_permitted]" in lan.loa("accounts", "list", expect=1)
    assert "[not_found]" in lan.loa("timetable", "quang-ninh/nowhere", expect=1)

    lan.loa("bulletin", "add", "cat-dien.wav", "--title", "Lịch cắt điện", "--area", area, "--no-chime")
    bulletin = shell.json("bulletin", "list")[0]
    assert bulletin["status"] == "draft"
    assert "[not_approved]" in shell.loa("say", bulletin["id"][:8], "--to", area, expect=1)
    shell.loa("bulletin", "hear", bulletin["id"][:8], "-o", "hear.ogg")
    assert (shell.home / "hear.ogg").read_bytes()[:4] == b"OggS"
    assert "[not_permitted]" in lan.loa("bulletin", "approve", bulletin["id"][:8], expect=1)
    shell.loa("bulletin", "approve", bulletin["id"][:8])

    shell.loa("programme", "add", "--area", area, "--at", "05:00,17:00", "--days", "mon-fri", bulletin["id"][:8])
    assert len(shell.json("timetable", area)) >= 8
    assert "Lịch cắt điện" in shell.loa("timetable", area)
    programme = shell.json("programme", "list")[0]
    shell.loa("programme", "stop", programme["id"][:8])
    assert shell.json("timetable", area) == []

    issued = shell.json("say", bulletin["id"][:8], "--to", area, "--priority")
    assert issued["precedence"] == "priority"
    coverage = shell.json("coverage", issued["id"][:8])
    assert (coverage["nodes"], coverage["waiting"]) == (1, 1)
    assert "0 of 1 finished, 1 waiting" in shell.loa("coverage", issued["id"][:8])
    assert issued["id"][:12] in shell.loa("broadcast", "list")
    assert "recalled" in shell.loa("broadcast", "recall", issued["id"][:8])
    said = lan.loa("say", "cat-dien.wav", "--to", area, "--title", "Ngay", expect=1)
    assert "[second_person_required]" in said
    assert "loa bulletin approve" in said
    issued = lan.json("say", bulletin["id"][:8], "--to", area)
    assert shell.json("broadcast", "show", issued["id"])["created_by"] == "lan"
    shell.loa("broadcast", "stop", issued["id"])


def test_a_fresh_code_is_given_where_it_is_wanted(shell: Shell, served: Served) -> None:
    shell.loa("nodes", "enrol", "hong-gai-1", "--area", "quang-ninh", "--public-key", "ab" * 32)
    tam = served.join("tam", ("technician", "quang-ninh"))
    there = shell.as_somebody(LOA_TOKEN=tam.token)
    there.loa("nodes", "test-tone", "hong-gai-1")
    with sqlite3.connect(served.data / "loa.db") as db:
        db.execute("UPDATE api_token SET code_at = code_at - 300001 WHERE account = 'tam'")
    assert "[fresh_code_required]" in there.loa("nodes", "test-tone", "hong-gai-1", expect=1)
    there.environment["LOA_TOTP"] = "000000"
    assert "[bad_code]" in there.loa("nodes", "test-tone", "hong-gai-1", expect=1)
    there.environment["LOA_TOTP_SECRET"] = tam.app.secret
    there.loa("nodes", "test-tone", "hong-gai-1")


def test_accounts_are_disabled_and_reset(shell: Shell, served: Served) -> None:
    mai = served.join("mai", ("reader", "quang-ninh"))
    there = shell.as_somebody(LOA_PASSWORD=mai.password)
    there.environment["LOA_TOKEN"] = there.loa("login", "--account", "mai", "--print-token").strip()
    there.loa("nodes")
    shell.loa("accounts", "disable", "mai")
    assert "[auth_required]" in there.loa("nodes", expect=1)
    assert "[bad_credentials]" in there.loa("login", "--account", "mai", expect=1)
    shell.loa("accounts", "enable", "mai")
    said = shell.loa("accounts", "reset", "mai", "--code")
    there.environment["LOA_PASSWORD"] = said.partition("One-time password: ")[2].split()[0]
    there.loa("login", "--account", "mai")
    assert "[last_admin]" in shell.loa("accounts", "role", "admin", "operator@quang-ninh", expect=1)
    assert "ROLE@AREA" in shell.loa("accounts", "role", "mai", "operator", expect=1)
    token = shell.loa("accounts", "token", "đo", "--may", "node.read", "--area", "quang-ninh").strip()
    machine = shell.as_somebody(LOA_TOKEN=token)
    machine.loa("nodes")
    assert "[not_permitted]" in machine.loa("area", "list", expect=1)


def test_refusals_say_what_to_do_and_have_their_exit_codes(shell: Shell) -> None:
    said = shell.loa("bulletin", "show", "ffff", expect=1)
    assert said.startswith("loa: There is no such bulletin: ffff [not_found]\n     ")
    assert "[no_such_file]" in shell.loa("say", "nothing.mp3", "--to", "quang-ninh", expect=1)
    assert "[empty_target]" in shell.loa("say", "cat-dien.wav", expect=1)
    shell.loa("nodes", "volume", "co-to-1", "170", expect=2)
    (shell.home / "list.mp3").write_text("#EXTM3U\nhttp://127.0.0.1/x\n")
    said = shell.loa("bulletin", "add", "list.mp3", "--title", "x", "--area", "quang-ninh", expect=1)
    assert "[playlist_forbidden]" in said
    shell.environment["LOA_TOKEN"] = "loa_" + "A" * 43
    assert "[auth_required]" in shell.loa("nodes", expect=1)
    shell.environment["LOA_SERVER"] = "http://127.0.0.1:1"
    assert "[server_unreachable]" in shell.loa("nodes", expect=3)


def test_the_record_is_listed_exported_and_proved(shell: Shell) -> None:
    shell.loa("area", "add", "quang-ninh/van-don", "Vân Đồn")
    (newest,) = shell.json("audit", "list", "--most", "1")
    assert (newest["verb"], newest["object_id"], newest["account"]) == ("add", "quang-ninh/van-don", "admin")
    assert "quang-ninh/van-don" in shell.loa("audit", "list", "--verb", "add")
    assert "No node has told of a head yet." in shell.loa("audit", "heads")
    shell.loa("audit", "export", "--out", "record.jsonl")
    assert "[already_exists]" in shell.loa("audit", "export", "--out", "record.jsonl", expect=1)
    head = f"{newest['number']}:{newest['hash']}"
    assert "The record is whole." in shell.loa("audit", "verify", "record.jsonl", "--head", head)
    said = shell.loa("audit", "verify", "record.jsonl", "--head", f"{newest['number']}:{'ab' * 16}", expect=1)
    assert f"WRONG record_rechained at entry {newest['number']}" in said
    assert "[bad_head]" in shell.loa("audit", "verify", "record.jsonl", "--head", "x", expect=1)
    assert "[file_missing]" in shell.loa("audit", "verify", "nothing.jsonl", expect=1)


def test_every_verb_has_help_with_examples(shell: Shell) -> None:
    verbs = ("login", "accounts", "area", "nodes", "bulletin", "programme", "timetable", "say", "broadcast", "coverage")
    for verb in (*verbs, "audit", "backup", "restore", "backup-key"):
        said = shell.loa(verb, "--help")
        assert f"loa {verb}" in said.split("Options")[0]


def test_a_secret_that_cannot_be_kept_is_not_made(shell: Shell) -> None:
    """A file that is in the way, a folder that is not there: nothing was changed at the centre."""
    shell.served.ask("POST", "/api/v1/stations", {"id": "dai-1", "area": "quang-ninh"})
    shell.loa("nodes", "password", "dai-1", "--station", "--out", "first")
    assert len((shell.home / "first").read_text()) > 16

    def logins() -> list[tuple[str, str]]:
        with sqlite3.connect(shell.served.data / "loa.db") as db:
            return sorted(db.execute("SELECT username, password_hash FROM broker_login"))

    before, nodes, labels = logins(), shell.json("nodes"), shell.json("nodes", "labels", "--all")
    for file, code in (("first", 1), ("nowhere/x", 3)):
        said = shell.loa("nodes", "password", "dai-1", "--station", "--out", file, expect=code)
        assert file in said
        shell.loa("nodes", "label", "-n", "20", "--pdf", file, expect=code)
        shell.loa("nodes", "enrol", "lost-1", "--area", "quang-ninh", "--identity-out", file, expect=code)
    (shell.home / "sheet-2.svg").write_text("mine")
    shell.loa("nodes", "label", "-n", "20", "--svg", "sheet.svg", expect=1)
    assert (logins(), shell.json("nodes"), shell.json("nodes", "labels", "--all")) == (before, nodes, labels)
    assert sorted(path.name for path in shell.home.glob("sheet*")) == ["sheet-2.svg"]
    shell.loa("nodes", "label", "-n", "20", "--svg", "page.svg")
    assert (shell.home / "page-2.svg").read_text().startswith("<svg")
    shell.loa("nodes", "enrol", "lost-1", "--area", "quang-nin", "--identity-out", "box.json", expect=1)
    assert not (shell.home / "box.json").exists()


def test_the_brokers_configuration_may_be_written_again_for_another_host(shell: Shell) -> None:
    words = ("broker-config", "--data", "other", "--out", "mq")
    shell.loa(*words, "--host", "a.example.vn")
    first = (shell.home / "mq" / "centre.env").read_text()
    shell.loa(*words, "--host", "b.example.vn", "--port", "8884")
    again = (shell.home / "mq" / "centre.env").read_text()
    assert again == first.replace("a.example.vn:8883", "b.example.vn:8884")
    assert first.count("a.example.vn:8883") == 2
    assert "--host" in shell.loa(*words, "--host", "b.example.vn; x", expect=1)
    assert (shell.home / "mq" / "centre.env").read_text() == again
    (shell.home / "mq" / "centre.env").unlink()
    shell.loa(*words, "--host", "fe80::1")
    assert "@[fe80::1]:8883" in (shell.home / "mq" / "centre.env").read_text()


def test_signing_in_while_others_guess(shell: Shell) -> None:
    who = shell.served.join("guessed", ("operator", "quang-ninh"))
    told = []
    for _ in range(11):
        with pytest.raises(urllib.error.HTTPError) as caught:
            shell.served.ask("POST", "/api/v1/session", {"account": who.name, "password": "not this one"})
        told.append(caught.value.code)
    assert told == [401] * 10 + [429]
    words = ("login", "--account", who.name, "--print-token")
    assert "[rate_limited]" in shell.as_somebody(LOA_PASSWORD=who.password).loa(*words, expect=1)
    while who.app.used < codes.step_at(SystemClock().now_ms()):  # until the code of just now is used up
        shell.served.ask("POST", "/api/v1/session/step-up", {"code": who.app.code()}, token=who.token)
    given = {"LOA_PASSWORD": who.password, "LOA_TOTP_SECRET": who.app.secret}
    assert shell.as_somebody(**given).loa(*words).startswith("loas_")
