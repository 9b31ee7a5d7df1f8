"""A centre and an offline machine, and a stick between them."""

from itertools import count
from pathlib import Path
from typing import Any

from controller import keyfiles
from devices.protocol.authority import Authority, accept_trust
from loa.units import InstantMs
from tests.cli.test_keys import PROVINCE, loa

A, B, SPARE = "root-1", "root-2", "root-3-sealed"


class Ceremony:
    """A centre and an offline machine, and a stick between them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.keys, self.offline = folder, folder / "keys", folder / "offline"
        self.numbers = count(1)
        for name in (A, B, SPARE, "root-4", "lan"):
            (folder / f"{name}.words").write_text(f"lời riêng của {name} đó\n")

    def words(self, *names: str) -> list[str]:
        return [word for name in names for word in ("--passphrase-file", str(self.folder / f"{name}.words"))]

    def root(self, name: str) -> Path:
        return self.offline / "roots" / f"{name}.json"

    def begin(self) -> None:
        """Everything up to a centre whose controller is appointed."""
        loa("init", self.offline, *self.words(A, B, SPARE))
        first = self.ask("controller", "--area", PROVINCE)
        self.sign(first, A, B)
        loa("install", first, "--roots", self.offline / "roots.json", "--dir", self.keys)

    def ask(self, *what: object) -> Path:
        out = self.folder / f"{next(self.numbers)}.request"
        loa("request", *what, "--dir", self.keys, "--out", out)
        return out

    def sign(self, request: Path, *names: str) -> str:
        roots = [word for name in names for word in ("--root", str(self.root(name)))]
        return loa("sign", request, *roots, *self.words(*names), "--yes")

    def install(self, *requests: Path) -> str:
        return loa("install", *requests, "--dir", self.keys)

    def appoint(self, holder: str, *more: str, key: str = "ab" * 32) -> Path:
        return self.ask("appoint", holder, "--area", "quang-ninh/co-to", "--public", key, *more)

    def authority(self, pinned: Any = None) -> Authority:
        """What a node makes of the centre's trust document."""
        keys = keyfiles.load_centre(self.keys)
        now = InstantMs(keys.appointment.not_before + 90_000_000)
        return accept_trust(keys.trust(version=now, now_ms=now), Authority.pinned(pinned or keys.roots), now)
