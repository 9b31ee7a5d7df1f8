"""`loa cap` against a running server, as people type it; and a feed that this server reads by itself."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loa.cli.main import main
from loa.clock import SystemClock
from tests.api.cap_texts import SENDER, alert_text
from tests.api.server import Served
from tests.cap.test_signature import pem, rsa_key
from tests.controller.wire.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
AREA = "quang-ninh/cap-xa"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A folder that is served by HTTP on this machine."""
    folder = tmp_path / "web"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def code(area: str) -> str:
    return f"<geocode><valueName>loa</valueName><value>{area}</value></geocode>"


class Here:
    """`loa …` in this process, which is quicker: as the first account at the server, in its home folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def loa(self, *words: str, expect: int = 0) -> str:
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        out, err = self.capsys.readouterr()
        assert (ended.value.code or 0) == expect, out + err
        return out if expect == 0 else out + err

    def json(self, *words: str) -> Any:
        return json.loads(self.loa(*words, "--json"))


@pytest.fixture
def admin(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    for name, value in (("HOME", str(tmp_path)), ("LOA_SERVER", served.url), ("LOA_TOKEN", served.token)):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    served.ask("POST", "/api/v1/areas", {"path": AREA, "name": "Cáp Xã"})
    served.ask("POST", "/api/v1/nodes", {"id": "cap-xa-1", "area": AREA, "public_key": "cd" * 32})
    return Here(capsys)


async def test_alerts_of_others_at_a_terminal(admin: Here, tmp_path: Path, web: tuple[str, Path]) -> None:
    now = SystemClock().now_ms()
    (tmp_path / "a.xml").write_text(alert_text(now, "cli.1", area=code(AREA)))
    said = admin.loa("cap", "submit", "a.xml")
    assert "cli.1: accepted" in said
    assert "waits for people" in said
    assert "cli.1: already_known" in admin.loa("cap", "submit", "a.xml")
    (tmp_path / "b.xml").write_text(alert_text(now, "cli.2", area="", description="xã Cáp Xã"))
    assert f'named only "xã Cáp Xã": {AREA}' in admin.loa("cap", "submit", "b.xml")
    (tmp_path / "c.xml").write_text(alert_text(now, "cli.3", area=code(AREA)).replace("<event>Bão</event>", ""))
    assert "[required_missing]" in admin.loa("cap", "submit", "c.xml", expect=1)

    (named,) = admin.json("cap", "list", "--waiting")
    assert "waits for people" in admin.loa("cap", "compose", named["id"][:8], "--to", AREA)
    assert [one["identifier"] for one in admin.json("cap", "list", "--refused")] == ["cli.3"]
    shown = admin.loa("cap", "show", named["id"][:8])
    assert "<identifier>cli.2</identifier>" in shown
    assert "signature: unsigned" in shown

    address, folder = web
    (folder / "feed.xml").write_text(alert_text(now, "cli.4", area=code(AREA)))
    (tmp_path / "kttv.pem").write_bytes(pem(rsa_key("a")))
    feed = ("--url", f"{address}/feed.xml", "--sender", SENDER)
    assert "[bad_source_url]" in admin.loa("cap", "put-source", "kttv", *feed, expect=1)
    assert "kttv: new, 1 signers pinned" in admin.loa(
        "cap", "put-source", "kttv", *feed, "--local", "--key", "kttv.pem"
    )

    async def is_read() -> bool:
        return [one["state"] for one in admin.json("cap", "sources")] == ["good"]

    await eventually(is_read, within_s=30, every_s=0.5)
    (fetched,) = admin.json("cap", "list", "--source", "kttv")
    assert (fetched["identifier"], fetched["state"], fetched["received_by"]) == ("cli.4", "composed", "loa")
    assert "kttv removed" in admin.loa("cap", "remove-source", "kttv")
    assert "No sources" in admin.loa("cap", "sources")
    assert "0 new in out, 0 in out.atom" in admin.loa("cap", "export", "out")
