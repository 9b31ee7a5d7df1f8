"""The centre's keys on disk: roots, the controller's own key, people's keys, what the roots signed, nodes' identities.

    DIR/roots.json           the root set that new nodes pin (public)
    DIR/roots/*.json         the roots' private keys: take these offline
    DIR/controller.json      the running controller's private key
    DIR/people/*.json        keys of people, where they were made here
    DIR/appointments/*.cose  what the roots appointed
    DIR/revocations/*.cose   what the roots revoked
    DIR/root-sets/*.cose     how one root set followed another
    DIR/nodes/*.json         a node's identity: give it to its box, then delete it here

Imports nothing beyond the wire, so that `loa keys` runs without the controller's packages.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.protocol.envelope import Message, decode, encode, open_sealed, seal_with
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.refusal import WireRefusal
from devices.protocol.renewal import trust_document
from devices.protocol.roots import check_roots
from devices.protocol.trust import Appointment, Power, Revocation, Root, RootSet
from loa.entropy import Entropy
from loa.errors import Fault, OperatorNeeded, Refused
from loa.names import AreaPath, node_id
from loa.precedence import Kind, Precedence
from loa.units import InstantMs

KEY_FORM, ROOTS_FORM = "loa-key-1", "loa-roots-1"
DAY_MS = 86_400_000
CONTROLLER_POWERS = Power.ORDER | Power.DOCUMENTS | Power.PLACEMENT | Power.SERVICE | Power.RENEW


@dataclass(frozen=True)
class CentreKeys:
    """What a running controller loads."""

    directory: Path
    roots: RootSet
    controller: SigningKey
    appointments: tuple[bytes, ...]
    revocations: tuple[bytes, ...]
    root_sets: tuple[bytes, ...]

    @property
    def appointment(self) -> Appointment:
        """The controller's own, the longest one. Raises OperatorNeeded(controller_not_appointed)."""
        own = [one for one in read_appointments(self.appointments) if one.public_key == self.controller.public_key]
        if not own:
            raise OperatorNeeded("controller_not_appointed", directory=str(self.directory))
        return max(own, key=lambda one: one.until)

    @property
    def area(self) -> AreaPath:
        """The province, from the controller's appointment."""
        return self.appointment.area

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
) -> CentreKeys:
    """Make whatever is missing of a centre's keys, and load them. What is there is never replaced.

    Raises Refused: bad_root_count, bad_key_file, key_missing (`roots.json` was lost; new roots would cut off all).
    """
    if not 1 <= threshold <= roots <= 9 or not 0 <= sealed < roots:
        raise Refused("bad_root_count", field="roots", limit=9)
    _folder(directory)
    if not (directory / "roots.json").exists():
        if (directory / "controller.json").exists():  # it is written later: the roots are lost, not unmade
            raise Refused("key_missing", field=str(directory / "roots.json"), detail="No such file or directory")
        made = [_made_root(directory, number, number > roots - sealed, entropy) for number in range(1, roots + 1)]
        write_roots(directory / "roots.json", RootSet(version=1, roots=tuple(made), threshold=threshold))
    if not (directory / "controller.json").exists():
        write_key(directory / "controller.json", SigningKey(entropy(32)), "controller", "controller")
    keys = _loaded(directory)
    if not any(one.public_key == keys.controller.public_key for one in read_appointments(keys.appointments)):
        appoint(
            directory,
            holder="controller",
            public_key=keys.controller.public_key,
            area=area,
            ceiling=Precedence.PRIORITY,
            powers=CONTROLLER_POWERS,
            now_ms=now_ms,
            entropy=entropy,
        )
    return _loaded(directory)


def load_centre(directory: Path) -> CentreKeys:
    """Load a centre's keys. Raises Refused(key_missing), Refused(bad_key_file)."""
    return _loaded(directory)


def appoint(
    directory: Path,
    *,
    holder: str,
    public_key: bytes,
    area: AreaPath,
    ceiling: Precedence,
    powers: Power,
    now_ms: InstantMs,
    entropy: Entropy,
    kind: Kind = Kind.LIVE,
    days: int = 365,
    root_files: Iterable[Path] = (),
) -> Appointment:
    """Have the roots appoint a key and keep what they signed. Raises OperatorNeeded(roots_missing)."""
    if not 1 <= days <= 365:
        raise Refused("bad_days", field="days", limit="1-365")
    appointment = Appointment(
        id=entropy(8),
        holder=holder[:64],
        public_key=public_key,
        ceiling=ceiling,
        area=area,
        kind=kind,
        not_before=InstantMs(now_ms - DAY_MS),
        until=InstantMs(now_ms + days * DAY_MS),
        powers=int(powers),
    )
    sealed = _signed_by_roots(directory, appointment, root_files)
    _folder(directory / "appointments")
    _write(directory / "appointments" / f"{appointment.id.hex()}.cose", sealed, 0o644)
    return appointment


def revoke(
    directory: Path, ids: Sequence[bytes], *, now_ms: InstantMs, reason: str, root_files: Iterable[Path] = ()
) -> Revocation:
    """Have the roots revoke appointments, mandates or keys (8 bytes each). Raises OperatorNeeded(roots_missing)."""
    revocation = Revocation(ids=tuple(ids), at=now_ms, reason=reason[:200])
    sealed = _signed_by_roots(directory, revocation, root_files)
    _folder(directory / "revocations")
    _write(directory / "revocations" / f"{now_ms}-{ids[0].hex()}.cose", sealed, 0o644)
    return revocation


def create_node(directory: Path, node: str, entropy: Entropy) -> NodeIdentity:
    """Make a node's identity under DIR/nodes, pinned to the centre's newest roots; the one that is there, if any."""
    path = directory / "nodes" / f"{node_id(node)}.json"
    if path.exists():
        return read_node(path)
    identity = NodeIdentity(node_id(node), SigningKey(entropy(32)), read_roots(directory / "roots.json"))
    _folder(path.parent)
    _write(path, identity.to_text().encode(), 0o600)
    return identity


def read_node(path: Path) -> NodeIdentity:
    """Raises Refused(key_missing), Refused(bad_key_file)."""
    return NodeIdentity.from_text(_read(path).decode("utf-8", "replace"))


def new_root_set(
    directory: Path,
    *,
    add: Sequence[Root] = (),
    remove: Sequence[bytes] = (),
    threshold: int | None = None,
    root_files: Iterable[Path] = (),
) -> RootSet:
    """Replace the root set, and have the new one sign again all appointments and revocations.

    `remove` holds key ids. The roots that sign must be enough for the old set and for the new one. Raises
    OperatorNeeded(roots_missing).
    """
    old = read_roots(directory / "roots.json")
    stay = tuple(root for root in old.roots if key_id(root.public_key) not in remove)
    try:
        new = RootSet(version=old.version + 1, roots=(*stay, *add), threshold=threshold or old.threshold)
    except WireRefusal as error:
        raise Refused("bad_root_count", field="roots", limit=9) from error
    files = tuple(root_files)
    link = _signed_by_roots(directory, new, files, also=new)
    again = [
        (path, _signed_by_roots(directory, open_sealed(path.read_bytes()).message, files, roots=new))
        for folder in ("appointments", "revocations")
        for path in sorted((directory / folder).glob("*.cose"))
    ]
    _folder(directory / "root-sets")
    _write(directory / "root-sets" / f"{new.version:04d}.cose", link, 0o644)
    for path, sealed in again:
        _write(path, sealed, 0o644)
    write_roots(directory / "roots.json", new)
    return new


def read_appointments(sealed_ones: Iterable[bytes]) -> tuple[Appointment, ...]:
    """The appointments within, unchecked. Raises WireRefusal."""
    messages = (open_sealed(one).message for one in sealed_ones)
    return tuple(message for message in messages if isinstance(message, Appointment))


def write_key(path: Path, key: SigningKey, role: str, name: str, *, sealed: bool = False) -> None:
    """A private key as a small JSON file, readable by its owner alone."""
    words = {"form": KEY_FORM, "role": role, "name": name, "sealed": sealed, "key_id": key.key_id.hex()}
    words |= {"public_key": key.public_key.hex(), "seed": key.seed.hex()}
    _folder(path.parent)
    _write(path, (json.dumps(words, indent=2) + "\n").encode(), 0o600)


def read_key(path: Path) -> SigningKey:
    """Raises Refused(key_missing), Refused(bad_key_file)."""
    words = _json(path, KEY_FORM)
    try:
        key = SigningKey(bytes.fromhex(str(words["seed"])))
    except (ValueError, KeyError) as error:
        raise Refused("bad_key_file", field=str(path), limit=KEY_FORM, detail="no seed of 32 bytes") from error
    if words.get("public_key") != key.public_key.hex():
        raise Refused("bad_key_file", field=str(path), limit=KEY_FORM, detail="seed and public key do not match")
    return key


def write_roots(path: Path, roots: RootSet) -> None:
    """The public root set as JSON: for people, and encoded."""
    words = {
        "form": ROOTS_FORM,
        "version": roots.version,
        "threshold": roots.threshold,
        "roots": [
            {"key_id": key_id(one.public_key).hex(), "public_key": one.public_key.hex(), "sealed": one.sealed}
            for one in roots.roots
        ],
        "encoded": encode(roots).hex(),
    }
    _write(path, (json.dumps(words, indent=2) + "\n").encode(), 0o644)


def read_roots(path: Path) -> RootSet:
    """Raises Refused(key_missing), Refused(bad_key_file)."""
    try:
        roots = decode(bytes.fromhex(str(_json(path, ROOTS_FORM)["encoded"])))
    except (ValueError, KeyError, WireRefusal) as error:
        raise Refused("bad_key_file", field=str(path), limit=ROOTS_FORM, detail="no root set") from error
    if not isinstance(roots, RootSet):
        raise Refused("bad_key_file", field=str(path), limit=ROOTS_FORM, detail="no root set")
    return roots


def _loaded(directory: Path) -> CentreKeys:
    return CentreKeys(
        directory=directory,
        roots=read_roots(directory / "roots.json"),
        controller=read_key(directory / "controller.json"),
        appointments=_all_of(directory / "appointments"),
        revocations=_all_of(directory / "revocations"),
        root_sets=_all_of(directory / "root-sets"),
    )


def _all_of(folder: Path) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(folder.glob("*.cose")))


def _made_root(directory: Path, number: int, sealed: bool, entropy: Entropy) -> Root:
    path = directory / "roots" / f"root-{number}{'-sealed' if sealed else ''}.json"
    if not path.exists():
        write_key(path, SigningKey(entropy(32)), "root", path.stem, sealed=sealed)
    return Root(public_key=read_key(path).public_key, sealed=sealed)


def _signed_by_roots(
    directory: Path,
    message: Message,
    root_files: Iterable[Path],
    *,
    roots: RootSet | None = None,
    also: RootSet | None = None,
) -> bytes:
    """Signed with every root key at hand that is wanted. Raises OperatorNeeded(roots_missing) where too few are."""
    wanted = [roots or read_roots(directory / "roots.json"), *([also] if also else [])]
    known = {root.public_key for one in wanted for root in one.roots}
    paths = [*sorted((directory / "roots").glob("*.json")), *root_files]
    keys = {key.public_key: key for key in map(read_key, paths) if key.public_key in known}
    try:
        if not keys:
            raise OperatorNeeded("roots_missing", limit=wanted[0].threshold, directory=str(directory / "roots"))
        sealed = seal_with(message, list(keys.values()))
        for one in wanted:
            check_roots(open_sealed(sealed).signatures, one)
    except WireRefusal as error:
        raise OperatorNeeded("roots_missing", limit=wanted[0].threshold, directory=str(directory / "roots")) from error
    return sealed


def _folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write(path: Path, data: bytes, mode: int) -> None:
    """The whole or nothing, durable on return."""
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise Fault("key_file_unwritable", field=str(path), detail=error.strerror) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused("key_missing", field=str(path), detail=error.strerror) from error


def _json(path: Path, form: str) -> dict[str, object]:
    try:
        words = json.loads(_read(path))
    except ValueError as error:
        raise Refused("bad_key_file", field=str(path), limit=form, detail="not JSON") from error
    if not isinstance(words, dict) or words.get("form") != form:
        raise Refused("bad_key_file", field=str(path), limit=form, detail="another kind of file")
    return words
