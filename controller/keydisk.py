"""Key files: small JSON files, written whole or not at all, private ones readable by their owner alone.

A private key's file holds its seed as it is, or sealed under a passphrase (`controller.peoplekeys`). Imports nothing
beyond the wire, so that `loa keys` runs without the controller's packages, on a machine that has never been on a net.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controller.peoplekeys import seal_seed, unseal_seed
from devices.protocol.envelope import decode, encode
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.refusal import WireRefusal
from devices.protocol.trust import Root, RootSet
from loa.entropy import Entropy
from loa.errors import Fault, Refused
from loa.units import KeyId

KEY_FORM, PUBLIC_FORM, ROOTS_FORM = "loa-key-1", "loa-public-key-1", "loa-roots-1"
OTHER_SECRETS = ("accounts.key", "sealing.key")
"""Of a centre, beside its signing key: what seals people's codes, and what seals boxes' labels."""
_SEALED = b"sealed "
"""What the file of a secret begins with that lies under a passphrase; its blob in hex follows."""


@dataclass(frozen=True)
class KeyFile:
    """What a private key's file says without its passphrase."""

    path: Path
    role: str
    """root, controller or person."""
    name: str
    public_key: bytes
    spare: bool
    """A sealed root: it counts only together with one that is not."""
    locked: bool
    """The seed lies under a passphrase."""

    @property
    def key_id(self) -> KeyId:
        return key_id(self.public_key)


Ask = Callable[[KeyFile], str]
"""Gives the passphrase of a locked file."""


def nobody_to_ask(file: KeyFile) -> str:
    """Where no passphrase can be had. Raises Refused(passphrase_needed)."""
    raise Refused("passphrase_needed", field=str(file.path), value=file.name)


def write_key(path: Path, key: SigningKey, role: str, name: str, *, sealed: bool = False) -> None:
    """A private key as it is; for what must start unattended."""
    words = _words(key, role, name, sealed) | {"seed": key.seed.hex()}
    make_folder(path.parent)
    write_whole(path, _text(words), 0o600)


def write_locked_key(
    path: Path, key: SigningKey, role: str, name: str, *, passphrase: str, entropy: Entropy, sealed: bool = False
) -> None:
    """A private key under a passphrase. Raises Refused(weak_passphrase)."""
    blob = seal_seed(key.seed, passphrase, entropy)
    words = _words(key, role, name, sealed) | {"sealed_seed": blob.hex()}
    make_folder(path.parent)
    write_whole(path, _text(words), 0o600)


def write_public_half(file: KeyFile) -> Path:
    """The public half in a file beside the key's, to be given away: NAME.public.json."""
    path = file.path.with_name(f"{file.path.stem}.public.json")
    words = {
        "form": PUBLIC_FORM, "role": file.role, "name": file.name, "sealed": file.spare, "key_id": file.key_id.hex(),
        "public_key": file.public_key.hex(),
    }  # fmt: skip
    write_whole(path, _text(words), 0o644)
    return path


def look_at_public_half(path: Path) -> KeyFile:
    """A key's public half, from either of its two files. Raises Refused(key_missing, bad_key_file)."""
    if b"seed" in read_bytes(path):
        return look_at_key(path)
    words = read_json(path, PUBLIC_FORM)
    try:
        public_key = bytes.fromhex(str(words["public_key"]))
    except (ValueError, KeyError):
        public_key = b""
    if len(public_key) != 32:
        raise Refused("bad_key_file", field=str(path), limit=PUBLIC_FORM, detail="no public key")
    return KeyFile(
        path,
        str(words.get("role", "")),
        str(words.get("name", path.stem)),
        public_key,
        words.get("sealed") is True,
        False,
    )


def look_at_key(path: Path) -> KeyFile:
    """The public half of a key file. Raises Refused(key_missing, bad_key_file)."""
    words = read_json(path, KEY_FORM)
    try:
        public_key = bytes.fromhex(str(words["public_key"]))
    except (ValueError, KeyError) as error:
        raise Refused("bad_key_file", field=str(path), limit=KEY_FORM, detail="no public key") from error
    if len(public_key) != 32 or not ("seed" in words) ^ ("sealed_seed" in words):
        raise Refused("bad_key_file", field=str(path), limit=KEY_FORM, detail="not one seed and its public key")
    return KeyFile(
        path=path,
        role=str(words.get("role", "")),
        name=str(words.get("name", path.stem)),
        public_key=public_key,
        spare=words.get("sealed") is True,
        locked="sealed_seed" in words,
    )


def read_key(path: Path, ask: Ask = nobody_to_ask) -> SigningKey:
    """Raises Refused: key_missing, bad_key_file, passphrase_needed, wrong_passphrase."""
    file, words = look_at_key(path), read_json(path, KEY_FORM)
    try:
        data = bytes.fromhex(str(words["sealed_seed" if file.locked else "seed"]))
        key = SigningKey(unseal_seed(data, ask(file)) if file.locked else data)
    except ValueError as error:
        raise Refused("bad_key_file", field=str(path), limit=KEY_FORM, detail="no seed of 32 bytes") from error
    if file.public_key != key.public_key:
        raise Refused("bad_key_file", field=str(path), limit=KEY_FORM, detail="seed and public key do not match")
    return key


def lock_key(path: Path, passphrase: str, entropy: Entropy, ask: Ask = nobody_to_ask) -> KeyFile:
    """Put the key in this file under a passphrase, or under another one. Raises as `read_key`; weak_passphrase."""
    file = look_at_key(path)
    key = read_key(path, ask)
    write_locked_key(path, key, file.role, file.name, passphrase=passphrase, entropy=entropy, sealed=file.spare)
    return look_at_key(path)


def read_secret(path: Path, ask: Ask | None = None, lock: Entropy | None = None) -> bytes:
    """32 secret bytes that are no signing key: raw, in hex, or under a passphrase.

    ask: gives the passphrase. lock: put a file that lies open under it. Raises Refused: key_missing, bad_key_file,
    passphrase_needed, wrong_passphrase.
    """
    data = read_bytes(path)
    try:
        if data.startswith(_SEALED):
            file = KeyFile(path, "secret", path.stem, b"", spare=False, locked=True)
            return unseal_seed(bytes.fromhex(data[len(_SEALED) :].decode()), (ask or nobody_to_ask)(file))
        secret = data if len(data) == 32 else bytes.fromhex(data.decode().strip())
    except ValueError as error:
        raise Refused("bad_key_file", field=str(path), limit="32 bytes", detail="not a secret") from error
    if len(secret) != 32:
        raise Refused("bad_key_file", field=str(path), limit="32 bytes", detail="not a secret")
    if ask is not None and lock is not None:
        lock_secret(path, secret, ask(KeyFile(path, "secret", path.stem, b"", spare=False, locked=False)), lock)
    return secret


def lock_secret(path: Path, secret: bytes, passphrase: str, entropy: Entropy) -> None:
    """Put a secret under a passphrase. Raises Refused(weak_passphrase)."""
    write_whole(path, _SEALED + seal_seed(secret, passphrase, entropy).hex().encode() + b"\n", 0o600)


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
    write_whole(path, _text(words), 0o644)


def read_roots(path: Path) -> RootSet:
    """Raises Refused(key_missing), Refused(bad_key_file)."""
    try:
        roots = decode(bytes.fromhex(str(read_json(path, ROOTS_FORM)["encoded"])))
    except (ValueError, KeyError, WireRefusal) as error:
        raise Refused("bad_key_file", field=str(path), limit=ROOTS_FORM, detail="no root set") from error
    if not isinstance(roots, RootSet):
        raise Refused("bad_key_file", field=str(path), limit=ROOTS_FORM, detail="no root set")
    return roots


def public_root(file: KeyFile) -> Root:
    """A root as a root set lists it."""
    return Root(public_key=file.public_key, sealed=file.spare)


def make_folder(path: Path) -> None:
    """For its owner alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """The whole or nothing, durable on return.

    Raises Fault(key_file_unwritable); what was there is then still there.
    """
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise Fault("key_file_unwritable", field=str(path), detail=error.strerror) from error


def _sync_folder(path: Path) -> None:
    """The new name is durable too."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_bytes(path: Path) -> bytes:
    """Raises Refused(key_missing)."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused("key_missing", field=str(path), detail=error.strerror) from error


def read_json(path: Path, form: str) -> dict[str, object]:
    """A JSON object that says it is of this form. Raises Refused(key_missing, bad_key_file)."""
    try:
        words = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise Refused("bad_key_file", field=str(path), limit=form, detail="not JSON") from error
    if not isinstance(words, dict) or words.get("form") != form:
        raise Refused("bad_key_file", field=str(path), limit=form, detail="another kind of file")
    return words


def _words(key: SigningKey, role: str, name: str, spare: bool) -> dict[str, object]:
    return {
        "form": KEY_FORM, "role": role, "name": name, "sealed": spare, "key_id": key.key_id.hex(),
        "public_key": key.public_key.hex(),
    }  # fmt: skip


def _text(words: dict[str, object]) -> bytes:
    return (json.dumps(words, indent=2) + "\n").encode()
