"""`loa serve` as a process: what it says, what it refuses, how it ends."""

import asyncio
import re
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

import httpx
import pytest

from controller.certificates import ensure_server
from loa.clock import SystemClock
from tests.controller.wire.waiting import eventually

pytestmark = pytest.mark.slow


async def _serve(folder: Path, *more: str, **environment: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from loa.cli.main import main; main()", "serve"),
        *("--data", str(folder), "--port", "0", "--broker-port", "0", *more),
        stdout=PIPE,
        stderr=STDOUT,
        env={"PATH": "/usr/bin:/bin", "LOA_BROKER": "amqtt"} | environment,
    )


async def _said(process: Process, last: str, within_s: float = 30) -> str:
    """What it says up to the line that begins with `last`."""
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(within_s):
        async for line in process.stdout:
            said += line.decode()
            if line.decode().startswith(last):
                break
    return said


async def _ended(process: Process) -> int:
    process.terminate()
    return await asyncio.wait_for(process.wait(), 15)


async def test_the_first_start_makes_keys_and_says_so_once_and_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    first = await _serve(tmp_path / "loa", "--province", "lang-son")
    said = await _said(first, "       this once; change the password")
    try:
        assert "Broker amqtt mqtt://127.0.0.1:" in said
        assert str(tmp_path / "loa" / "keys") in said
        assert "docs/keys.md" in said
        assert said.count("Private keys of the roots lie on this machine, without a passphrase") == 1
        assert re.search(r"One-time password: \S{12,}", said)
        url = re.search(r"http://\S+", said)
        assert url is not None
        async with httpx.AsyncClient(trust_env=False) as client:
            await eventually(lambda: _well(client, url[0]))
            second = await _serve(tmp_path / "loa")
            refused = await asyncio.wait_for(second.communicate(), 30)
            assert second.returncode == 1
            assert b"already_running" in refused[0]
    finally:
        assert await _ended(first) == 0
    again = await _serve(tmp_path / "loa")
    said = await _said(again, "Data")
    assert "password" not in said.lower()
    assert "made now" not in said
    assert "Private keys of the roots lie on this machine, without a passphrase" in said, "until they are gone"
    assert await _ended(again) == 0


async def test_a_port_in_use_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = await _serve(tmp_path / "loa", "--port", str(taken.getsockname()[1]))
        said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert "[port_in_use]" in said.decode()
    assert not (tmp_path / "loa").exists()


@pytest.mark.parametrize("spoiled", ["certificate", "key", "another's key"])
async def test_a_certificate_that_does_not_serve_is_said_before_anything_is_made(tmp_path: Path, spoiled: str) -> None:
    """The first account's password is told once: what fails must fail before there is one."""
    certificate, key = ensure_server(tmp_path / "tls", ["localhost"], SystemClock().now_ms())
    if spoiled == "another's key":
        _, key = ensure_server(tmp_path / "other", ["localhost"], SystemClock().now_ms())
    else:
        (certificate if spoiled == "certificate" else key).write_text("garbage")
    process = await _serve(tmp_path / "loa", "--tls-cert", str(certificate), "--tls-key", str(key))
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1, said.decode()
    assert "[bad_certificate]" in said.decode()
    assert "Traceback" not in said.decode()
    assert "--tls-cert" in said.decode()
    assert not (tmp_path / "loa").exists()


async def _well(client: httpx.AsyncClient, url: str) -> bool:
    return (await client.get(f"{url}/healthz")).status_code == 200


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    process = await _serve(tmp_path / "file" / "loa")
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 3
    assert "[machine_refused]" in said.decode()
    assert str(tmp_path / "file") in said.decode()
    assert "Traceback" not in said.decode()


@pytest.mark.parametrize(
    ("more", "environment", "code"),
    [
        (("--broker", "mqtt://192.0.2.1:1883"), {}, "insecure_broker"),
        (("--broker-bind", "0.0.0.0"), {}, "insecure_broker"),
        (("--broker", "kafka"), {}, "bad_broker"),
        ((), {"LOA_HEALTH_INTERVAL_S": "0"}, "bad_config"),
        (("--province", "Quảng Ninh"), {}, "bad_area_path"),
        (("--bind", "192.0.2.7", "--port", "8080"), {}, "address_unusable"),
    ],
)
async def test_what_is_wrong_is_said_and_refused(
    tmp_path: Path, more: tuple[str, ...], environment: dict[str, str], code: str
) -> None:
    process = await _serve(tmp_path / "loa", *more, **environment)
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert f"[{code}]" in said.decode()
    assert "Traceback" not in said.decode()
