"""Every choice of a world comes from one seed, each by its own name, so that adding one does not move the others."""

import hashlib
import random
from collections.abc import Callable

from loa.entropy import Entropy


class Chance:
    """A tree of named random sources under one seed."""

    def __init__(self, seed: int, path: str = "") -> None:
        self.seed = seed
        self._path = path
        digest = hashlib.sha256(f"{seed}/{path}".encode()).digest()
        self.random = random.Random(digest)

    def named(self, name: str) -> "Chance":
        """An independent source; the same name gives the same one."""
        return Chance(self.seed, f"{self._path}/{name}")

    def entropy(self) -> Entropy:
        """What nodes and controllers draw their ids and jitter from."""
        draw: Callable[[int], bytes] = self.random.randbytes
        return draw

    def key_seed(self) -> bytes:
        """32 bytes for a signing key: keys, too, come from the seed."""
        return hashlib.sha256(f"{self.seed}/{self._path}/key".encode()).digest()
