"""What a box keeps of its enrolment, in a folder beside its storage: under way, or done.

    .enrolment/state.json      how far it got; holds the label's secret until it is done
    .enrolment/identity.json   name, key, pinned roots (devices.protocol.identity)
    .enrolment/broker.json     where the broker is, and this box's name there
    .enrolment/password        at the broker
    .enrolment/ca.pem          whose certificates the broker's may be

Storage passes over names that begin with a dot, so nothing that is stored can lie here.
"""

import json
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from devices.node.boxfile import BoxConfig
from devices.node.disk import DiskStorage
from devices.protocol.enrolment import Welcome
from devices.protocol.label import Label, read_label
from loa.errors import Refused

FOLDER = ".enrolment"
_FORM = "loa-enrolment-1"


@dataclass(frozen=True)
class Underway:
    """An enrolment as far as it got. Everything that was said can be said again after a reboot, word for word."""

    label: Label
    seed: bytes = field(repr=False)
    exchange: bytes = field(repr=False)
    """The private half of the X25519 key."""
    nonce: bytes = field(repr=False)
    welcome: Welcome | None = None
    """The centre's, once its MAC held."""


@dataclass(frozen=True)
class Done:
    """An enrolment that is over: which label it was, and what the box is called."""

    label: str
    node: str


class Ended(Refused):
    """What ends an enrolment: the centre said it under the label's secret, or the box found it in its own folder."""


class EnrolmentFolder:
    """Each file is whole or not there, on disk when its method returns, and readable by its owner alone."""

    def __init__(self, data: Path) -> None:
        self.folder = data / FOLDER

    def path(self, name: str) -> Path:
        return self.folder / name

    def read(self) -> Underway | Done | None:
        """Raises Ended(bad_key_file) where somebody wrote into it."""
        try:
            raw = json.loads(self.path("state.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise _bad(error) from error
        try:
            if raw["form"] != _FORM:
                raise ValueError(raw["form"])
            if "node" in raw:
                return Done(str(raw["label"]), str(raw["node"]))
            welcome = raw["welcome"]
            seed, exchange, nonce = (bytes.fromhex(raw[name]) for name in ("seed", "exchange", "nonce"))
            said = None if welcome is None else Welcome(*(bytes.fromhex(part) for part in welcome))
            return Underway(read_label(raw["label"]), seed, exchange, nonce, said)
        except (ValueError, KeyError, TypeError, AttributeError, Refused) as error:
            raise _bad(error) from error

    def keep(self, state: Underway | Done) -> None:
        raw: dict[str, object] = {"form": _FORM}
        if isinstance(state, Done):
            raw |= {"label": state.label, "node": state.node}
        else:
            said = state.welcome
            raw |= {"label": state.label.to_text(), "seed": state.seed.hex(), "exchange": state.exchange.hex()}
            raw |= {"nonce": state.nonce.hex(), "welcome": None}
            if said is not None:
                raw["welcome"] = [part.hex() for part in (said.enrolment, said.exchange, said.nonce, said.roots)]
        self.write("state.json", json.dumps(raw, indent=2) + "\n")

    def write(self, name: str, text: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.path(f".{name}.new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path(name))
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def with_enrolled(config: BoxConfig) -> BoxConfig:
    """The configuration with what enrolment told, where nothing else was given. Raises Refused(bad_key_file)."""
    if config.data is None or config.identity is not None:
        return config
    folder = EnrolmentFolder(config.data)
    if not isinstance(folder.read(), Done):
        return config
    config = replace(config, identity=folder.path("identity.json"))
    if config.broker is not None or config.bus is not None:
        return config
    try:
        broker = json.loads(folder.path("broker.json").read_text(encoding="utf-8"))
        url, username = broker["url"], broker["username"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _bad(error) from error
    authority = folder.path("ca.pem")
    return replace(
        config, broker=url or None, username=config.username or username,
        password_file=config.password_file or folder.path("password"),
        ca_file=config.ca_file or (authority if authority.exists() else None),
    )  # fmt: skip


def reset(data: Path) -> str:
    """Forget who this box is, and all that it stored under that name. Returns the name, or its label's.

    Raises Refused(not_enrolled), OperatorNeeded(already_running).
    """
    folder = EnrolmentFolder(data)
    if not folder.path("state.json").exists():
        raise Refused("not_enrolled", field="data", value=str(data))
    storage = DiskStorage(data)
    try:
        state = folder.read()
        for name in storage.names():
            storage.delete(name)
        shutil.rmtree(folder.folder)
    finally:
        storage.close()
    return state.node if isinstance(state, Done) else state.label.name if state is not None else ""


def _bad(error: Exception) -> Ended:
    return Ended("bad_key_file", field="enrolment", limit=_FORM, detail=str(error)[:100])
