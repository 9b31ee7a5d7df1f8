"""The controller's key under a passphrase: how a centre gets it, and what it says while it lies open."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller import keyfiles, peoplekeys
from controller.centre import Centre
from controller.config import CREDENTIAL, CentreConfig, load_config
from controller.keydisk import read_secret
from controller.keywatch import key_warnings
from devices.links.loopback import LoopbackBroker, LoopbackLink
from loa.cli.keys import app
from loa.entropy import system_entropy
from loa.errors import LoaError, Refused
from loa.names import AreaPath
from loa.units import InstantMs

NOW = InstantMs(1_790_000_000_000)
WORDS = "chín con trâu qua cầu"
CHEAP = peoplekeys.Cost(memory_kib=64, passes=1, lanes=1)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A centre's folder whose controller's key was sealed by the command."""
    monkeypatch.setattr(peoplekeys, "COST", CHEAP)
    for name in ("LOA_KEYS_PASSPHRASE", "LOA_KEYS_PASSPHRASE_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    keyfiles.create_centre(tmp_path / "data" / "keys", AreaPath("quang-ninh"), NOW, system_entropy)
    words = tmp_path / "words"
    words.write_text(f"{WORDS}\n")
    arguments = ["seal-controller", str(tmp_path / "data" / "keys"), "--passphrase-file", str(words)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "under a passphrase" in result.output
    return tmp_path / "data"


async def opens(**given: object) -> str:
    """The id of the key that a centre started like this signs with."""
    centre = await Centre.start(load_config(**given), link=LoopbackLink(LoopbackBroker()))
    try:
        return centre.keys.controller.key_id.hex()
    finally:
        await centre.stop()


async def refused(**given: object) -> LoaError:
    with pytest.raises(LoaError) as caught:
        await opens(**given)
    return caught.value


async def test_a_sealed_centre_starts_with_its_passphrase_alone(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = json.loads((data / "keys" / "controller.json").read_text())["key_id"]
    outside = data.parent / "words"
    assert (await refused(data=data)).code == "controller_locked"
    assert await opens(data=data, keys_passphrase_file=outside) == key
    monkeypatch.setenv("LOA_KEYS_PASSPHRASE", WORDS)
    assert await opens(data=data) == key
    monkeypatch.setenv("LOA_KEYS_PASSPHRASE", "chín con trâu qua sông")
    assert (await refused(data=data)).code == "wrong_passphrase"
    monkeypatch.delenv("LOA_KEYS_PASSPHRASE")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(data.parent))
    assert (await refused(data=data)).code == "controller_locked"
    outside.rename(data.parent / CREDENTIAL)
    assert await opens(data=data) == key


async def test_the_passphrase_does_not_lie_beside_the_key(data: Path) -> None:
    (data / "words").write_text(WORDS)
    assert (await refused(data=data, keys_passphrase_file=data / "words")).code == "passphrase_beside_key"
    assert (await refused(data=data, keys_passphrase_file=data / "none")).code == "passphrase_beside_key"
    assert (await refused(data=data, keys_passphrase_file=data.parent / "none")).code == "file_missing"
    (data / "loa.toml").write_text(f'keys_passphrase = "{WORDS}"\n')
    with pytest.raises(Refused, match="passphrase_beside_key"):
        load_config(data=data)
    assert WORDS not in repr(CentreConfig(data=data.parent, keys_passphrase=WORDS))


def test_an_open_key_is_warned_of_until_it_is_sealed(data: Path, tmp_path: Path) -> None:
    open_keys = keyfiles.create_centre(tmp_path / "open", AreaPath("quang-ninh"), NOW, system_entropy)
    assert "controller_plain" in {one.code for one in key_warnings(open_keys, NOW)}
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "open")]).output
    assert "seal-controller" in shown
    sealed = keyfiles.load_centre(data / "keys")
    assert "controller_plain" not in {one.code for one in key_warnings(sealed, NOW)}
    with pytest.raises(Refused, match="controller_locked"):
        _ = sealed.controller
    shown = CliRunner().invoke(app, ["show", str(data / "keys")]).output
    assert "seal-controller" not in shown
    assert "under a passphrase" in shown


async def test_a_running_centre_goes_on_when_its_key_is_sealed(data: Path) -> None:
    """The key in memory stays; what the roots signed meanwhile still counts."""
    centre = await Centre.start(
        CentreConfig(data=data, keys_passphrase_file=data.parent / "words"), link=LoopbackLink(LoopbackBroker())
    )
    try:
        before = centre.keys
        keyfiles.revoke(data / "keys", [bytes(8)], now_ms=NOW, reason="test")
        assert centre._read_keys_again()
        assert centre.keys.controller == before.controller
        assert len(centre.keys.revocations) == len(before.revocations) + 1
    finally:
        await centre.stop()


async def test_what_seals_codes_and_labels_goes_under_it_too(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made at the start or lying open: sealed at once; another passphrase seals all three anew."""
    keys, words = data / "keys", data.parent / "words"
    open_before = bytes(range(32))
    (keys / "sealing.key").write_bytes(open_before)

    async def secrets() -> tuple[bytes, bytes]:
        config = CentreConfig(data=data, keys_passphrase_file=words)
        centre = await Centre.start(config, link=LoopbackLink(LoopbackBroker()))
        try:
            return centre.accounts_key, read_secret(keys / "sealing.key", config.ask_passphrase)
        finally:
            await centre.stop()

    accounts, labels = await secrets()
    assert labels == open_before
    for name, secret in (("accounts.key", accounts), ("sealing.key", labels)):
        held = (keys / name).read_bytes()
        assert held.startswith(b"sealed ")
        assert secret.hex().encode() not in held
        assert secret not in held
        with pytest.raises(Refused, match="passphrase_needed"):
            read_secret(keys / name)
    fresh = data.parent / "fresh"
    fresh.write_text("mười hai bến nước trong\n")
    arguments = ["--old-passphrase-file", str(words), "--passphrase-file", str(fresh)]
    assert CliRunner().invoke(app, ["seal-controller", str(keys), *arguments]).exit_code == 0
    assert (await refused(data=data, keys_passphrase_file=words)).code == "wrong_passphrase"
    words.write_text(fresh.read_text())
    assert await secrets() == (accounts, labels)
