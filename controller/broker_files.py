"""mosquitto's configuration for production: TLS, passwords, and topics by name. Written whole, reloaded by SIGHUP.

Written for mosquitto 2.0.11 (Debian 12). The broker is not trusted with anything: these rules keep one box from
speaking in another's name and from drowning others.
"""

import os
import signal
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controller.certificates import write_private
from controller.config import CentreConfig
from controller.services.broker_logins import CENTRE, Logins
from devices.links.tls import pinned_context
from devices.protocol.topics import PREFIX, DownChannel, UpChannel

CONFIGURATION, PASSWORDS, ACL, PID, LOG = "mosquitto.conf", "passwords", "acl", "mosquitto.pid", "mosquitto.log"
AUTHORITY = "ca.pem"
SHARED = ("a", "m", "l")
"""Branches that every node may read: areas, shared streams, live speech."""


@dataclass(frozen=True)
class Listener:
    """Where mosquitto listens, and with which certificate. `user`: whom it becomes where root starts it."""

    port: int
    certificate: Path
    key: Path
    bind: str = ""
    user: str | None = None


def configuration(folder: Path, listener: Listener) -> str:
    """mosquitto.conf."""
    lines = [
        "# Written by `loa broker-config`; a SIGHUP makes mosquitto read passwords and acl anew.",
        "per_listener_settings false",
        f"pid_file {folder / PID}",
        f"log_dest file {folder / LOG}",
        *(f"log_type {kind}" for kind in ("error", "warning", "notice")),
        "connection_messages true",  # who came and went, and who was pushed aside by a second one of its name
        *((f"user {listener.user}",) if listener.user else ()),
        f"listener {listener.port} {listener.bind}".rstrip(),
        f"certfile {listener.certificate}",
        f"keyfile {listener.key}",
        "allow_anonymous false",
        f"password_file {folder / PASSWORDS}",
        f"acl_file {folder / ACL}",
        "use_username_as_clientid true",  # one name, one connection: nobody pushes another aside
        "allow_zero_length_clientid false",
        "allow_duplicate_messages true",  # 3.5 times faster fan-out; what comes twice is acted on once
        "persistence false",  # its memory is not relied on
        "max_inflight_messages 20",
        "max_queued_messages 20000",
        "max_queued_bytes 16777216",
        "max_packet_size 1100000",  # message_size_limit is its older name
        "max_keepalive 600",
        "set_tcp_nodelay true",
    ]
    return "\n".join(lines) + "\n"


def access_rules(logins: Logins) -> str:
    """The acl file: a node's own topics by %u, what all may read, and the stations' wired nodes one by one."""
    lines = [
        "# Written by `loa broker-config` and by the running centre.",
        f"user {CENTRE}",
        f"topic readwrite {PREFIX}/#",
    ]
    for station, nodes in logins.wired:
        lines += ["", f"user {station}"]
        for node in nodes:
            lines += [f"topic read {PREFIX}/n/{node}/{channel}" for channel in DownChannel]
            lines += [f"topic write {PREFIX}/n/{node}/{channel}" for channel in UpChannel]
    lines.append("")
    lines += [f"pattern read {PREFIX}/{branch}/#" for branch in SHARED]
    lines += [f"pattern read {PREFIX}/n/%u/{channel}" for channel in DownChannel]
    lines += [f"pattern write {PREFIX}/n/%u/{channel}" for channel in UpChannel]
    return "\n".join(lines) + "\n"


def passwords(logins: Logins) -> str:
    """The password file."""
    return "".join(f"{name}:{hashed}\n" for name, hashed in logins.hashes)


def write_logins(folder: Path, logins: Logins) -> bool:
    """Passwords and rules, each whole or not at all; whether anything changed."""
    changed = False
    for name, text in ((ACL, access_rules(logins)), (PASSWORDS, passwords(logins))):
        path = folder / name
        if not path.exists() or path.read_text() != text:
            _write_like(path, text)
            changed = True
    return changed


def reload(folder: Path) -> bool:
    """Have the running mosquitto read passwords and rules anew; clients stay connected. False where it is not there.

    It must run as our own user (deploy/loa-broker.service): a signal to another's process is not allowed.
    """
    with suppress(OSError, ValueError):
        pid = int((folder / PID).read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == "mosquitto":
            os.kill(pid, signal.SIGHUP)
            return True
    return False


def broker_tls(config: CentreConfig) -> ssl.SSLContext | None:
    """How the centre itself knows its broker: by the authority that boxes pin; None for the system's own roots."""
    path = config.broker_files / AUTHORITY if config.broker_files is not None else None
    if path is None or not config.broker.startswith("mqtts://") or not path.exists():
        return None
    return pinned_context(path.read_text(encoding="ascii"))


def _write_like(path: Path, text: str) -> None:
    """Keeps the owner of what it replaces, where we may: mosquitto reads it under a user of its own."""
    owner = path.stat() if path.exists() else None
    write_private(path, text.encode())
    if owner is not None and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(OSError):
            os.chown(path, owner.st_uid, owner.st_gid)
