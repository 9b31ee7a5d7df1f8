"""The centre's keys on disk: roots, the controller's own key, people's keys, what the roots signed, nodes' identities.

    DIR/roots.json           the root set that new nodes pin (public)
    DIR/roots/*.json         the roots' private keys, where they were made here: they belong offline
    DIR/controller.json      the running controller's private key, open or under a passphrase
    DIR/people/*.json        keys of people, where they were made here
    DIR/appointments/*.cose  what the roots appointed
    DIR/revocations/*.cose   what the roots revoked
    DIR/root-sets/*.cose     how one root set followed another
    DIR/nodes/*.json         a node's identity: give it to its box, then delete it here

Imports nothing beyond the wire, so that `loa keys` runs without the controller's packages.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from controller.keydisk import (
    Ask,
    KeyFile,
    look_at_key,
    make_folder,
    nobody_to_ask,
    public_root,
    read_bytes,
    read_key,
    read_roots,
    write_key,
    write_locked_key,
    write_roots,
    write_whole,
)
from controller.rootwork import CONTROLLER_POWERS, DAY_MS, MOST_ROOTS, appoint, counts, install, new_root_set, revoke
from devices.protocol.envelope import open_sealed
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey
from devices.protocol.renewal import trust_document
from devices.protocol.trust import Appointment, Revocation, Root, RootSet
from loa.entropy import Entropy
from loa.errors import OperatorNeeded, Refused
from loa.names import AreaPath, node_id
from loa.precedence import Precedence
from loa.units import InstantMs

__all__ = [
    "CONTROLLER_POWERS", "DAY_MS", "Ask", "CentreKeys", "KeyFile", "appoint", "create_centre", "create_node",
    "create_roots", "install", "load_centre", "look_at_key", "new_root_set", "read_appointments", "read_key",
    "read_node", "read_revocations", "read_roots", "revoke", "root_names", "write_key",
    "write_locked_key", "write_roots",
]  # fmt: skip

UNKNOWN = InstantMs(0)


@dataclass(frozen=True)
class CentreKeys:
    """What a running controller loads."""

    directory: Path
    roots: RootSet
    controller_file: KeyFile
    appointments: tuple[bytes, ...]
    revocations: tuple[bytes, ...]
    root_sets: tuple[bytes, ...]
    left_out: tuple[str, ...] = ()
    """Files that too few of these roots signed: in the trust document they would have nodes refuse all of it."""
    roots_here: tuple[KeyFile, ...] = ()
    """Private keys of roots that lie in the folder, which they should not."""
    unlocked: SigningKey | None = None
    """The controller's private key; None where it lies under a passphrase that was not given."""

    @property
    def controller(self) -> SigningKey:
        """The controller's private key. Raises Refused(controller_locked)."""
        if self.unlocked is None:
            raise Refused("controller_locked", field=str(self.controller_file.path))
        return self.unlocked

    @property
    def appointment(self) -> Appointment:
        """The controller's own, the longest one. Raises OperatorNeeded(controller_not_appointed)."""
        own = [one for one in read_appointments(self.appointments) if one.public_key == self.controller_file.public_key]
        if not own:
            raise OperatorNeeded("controller_not_appointed", directory=str(self.directory))
        return max(own, key=lambda one: one.until)

    @property
    def area(self) -> AreaPath:
        """The province, from the controller's appointment."""
        return self.appointment.area

    @property
    def revoked(self) -> frozenset[bytes]:
        """Ids of appointments, mandates and keys."""
        return frozenset(one for revocation in read_revocations(self.revocations) for one in revocation.ids)

    def trust(self, *, version: int, now_ms: InstantMs) -> bytes:
        """The trust document with mandates renewed now, signed by the controller."""
        return trust_document(
            area=self.area,
            version=version,
            now_ms=now_ms,
            key=self.controller,
            appointments=self.appointments,
            revocations=self.revocations,
            root_sets=self.root_sets,
        )


def create_centre(
    directory: Path,
    area: AreaPath,
    now_ms: InstantMs,
    entropy: Entropy,
    *,
    roots: int = 3,
    sealed: int = 1,
    threshold: int = 2,
    passphrases: Mapping[str, str] | None = None,
    ask: Ask | None = None,
) -> CentreKeys:
    """Make whatever is missing of a centre's keys, and load them. What is there is never replaced.

    passphrases: of the roots to be made, by their names; without them roots lie open, for a centre that starts
    unattended. ask: for the passphrase of the controller's key, as `load_centre`. Raises what `ask` raises; Refused:
    bad_root_count, bad_key_file, weak_passphrase, key_missing (`roots.json` was lost; new roots would cut off all).
    """
    if not (directory / "roots.json").exists() and (directory / "controller.json").exists():
        # It is written later: the roots are lost, not unmade, or they are made elsewhere.
        raise Refused("key_missing", field=str(directory / "roots.json"), detail="No such file or directory")
    create_roots(directory, entropy, roots=roots, sealed=sealed, threshold=threshold, passphrases=passphrases)
    if not (directory / "controller.json").exists():
        write_key(directory / "controller.json", SigningKey(entropy(32)), "controller", "controller")
    keys = load_centre(directory, ask)
    if not any(one.public_key == keys.controller_file.public_key for one in read_appointments(keys.appointments)):
        named = {path: words for path, words in _named(directory, passphrases).items() if path.exists()}
        appoint(
            directory,
            holder="controller",
            public_key=keys.controller_file.public_key,
            area=area,
            ceiling=Precedence.PRIORITY,
            powers=CONTROLLER_POWERS,
            now_ms=now_ms,
            entropy=entropy,
            root_files=named,
            ask=lambda file: named[file.path] if file.path in named else nobody_to_ask(file),
        )
        keys = replace(load_centre(directory), unlocked=keys.unlocked)
    return keys


def root_names(roots: int, sealed: int) -> tuple[str, ...]:
    """What the roots of a new set are called; the last ones are sealed spares."""
    return tuple(f"root-{number}{'-sealed' if number > roots - sealed else ''}" for number in range(1, roots + 1))


def create_roots(
    directory: Path,
    entropy: Entropy,
    *,
    roots: int = 3,
    sealed: int = 1,
    threshold: int = 2,
    passphrases: Mapping[str, str] | None = None,
) -> RootSet:
    """Make the first root set in DIR, or what is missing of it, or read the one that is there.

    Raises Refused: bad_root_count, bad_key_file, weak_passphrase.
    """
    if not 1 <= threshold <= roots <= MOST_ROOTS or not 0 <= sealed < roots:
        raise Refused("bad_root_count", field="roots", limit=MOST_ROOTS)
    make_folder(directory)
    if not (directory / "roots.json").exists():
        made = [
            _made_root(directory / "roots" / f"{name}.json", number > roots - sealed, entropy, passphrases)
            for number, name in enumerate(root_names(roots, sealed), 1)
        ]
        write_roots(directory / "roots.json", RootSet(version=1, roots=tuple(made), threshold=threshold))
    return read_roots(directory / "roots.json")


def load_centre(directory: Path, ask: Ask | None = None) -> CentreKeys:
    """Load a centre's keys. ask: gives the passphrase of the controller's key where it lies under one; without it the
    public half alone is loaded then. Raises Refused: key_missing, bad_key_file, and what `ask` raises."""
    own = look_at_key(directory / "controller.json")
    roots = read_roots(directory / "roots.json")
    appointments, revocations = _all_of(directory / "appointments"), _all_of(directory / "revocations")
    return CentreKeys(
        directory=directory,
        roots=roots,
        controller_file=own,
        appointments=tuple(data for data in appointments.values() if counts(data, roots)),
        revocations=tuple(data for data in revocations.values() if counts(data, roots)),
        root_sets=tuple(_all_of(directory / "root-sets").values()),
        left_out=tuple(path.stem for path, data in (appointments | revocations).items() if not counts(data, roots)),
        roots_here=tuple(look_at_key(path) for path in sorted((directory / "roots").glob("*.json"))),
        unlocked=read_key(own.path, ask or nobody_to_ask) if ask is not None or not own.locked else None,
    )


def create_node(directory: Path, node: str, entropy: Entropy, now_ms: InstantMs = UNKNOWN) -> NodeIdentity:
    """Make a node's identity under DIR/nodes, pinned to the centre's newest roots; the one that is there, if any."""
    path = directory / "nodes" / f"{node_id(node)}.json"
    if path.exists():
        return read_node(path)
    identity = NodeIdentity(node_id(node), SigningKey(entropy(32)), read_roots(directory / "roots.json"), now_ms)
    make_folder(path.parent)
    write_whole(path, identity.to_text().encode(), 0o600)
    return identity


def read_node(path: Path) -> NodeIdentity:
    """Raises Refused(key_missing), Refused(bad_key_file)."""
    return NodeIdentity.from_text(read_bytes(path).decode("utf-8", "replace"))


def read_appointments(sealed_ones: Iterable[bytes]) -> tuple[Appointment, ...]:
    """The appointments within, unchecked. Raises WireRefusal."""
    messages = (open_sealed(one).message for one in sealed_ones)
    return tuple(message for message in messages if isinstance(message, Appointment))


def read_revocations(sealed_ones: Iterable[bytes]) -> tuple[Revocation, ...]:
    """The revocations within, unchecked. Raises WireRefusal."""
    messages = (open_sealed(one).message for one in sealed_ones)
    return tuple(message for message in messages if isinstance(message, Revocation))


def _all_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.glob("*.cose"))}


def _named(directory: Path, passphrases: Mapping[str, str] | None) -> dict[Path, str]:
    return {directory / "roots" / f"{name}.json": words for name, words in (passphrases or {}).items()}


def _made_root(path: Path, spare: bool, entropy: Entropy, passphrases: Mapping[str, str] | None) -> Root:
    if not path.exists():
        key = SigningKey(entropy(32))
        if passphrases is None:
            write_key(path, key, "root", path.stem, sealed=spare)
        else:
            write_locked_key(
                path, key, "root", path.stem, passphrase=passphrases[path.stem], entropy=entropy, sealed=spare
            )
    return public_root(look_at_key(path))
