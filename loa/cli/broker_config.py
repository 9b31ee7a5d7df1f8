"""`loa broker-config`: mosquitto's configuration for production."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from sqlmodel import Session

from controller.broker_files import (
    AUTHORITY,
    CONFIGURATION,
    Listener,
    configuration,
    reload,
    write_logins,
)
from controller.certificates import ensure_server, names_all, write_private
from controller.config import load_config
from controller.services.broker_logins import CENTRE, Logins, logins, set_login
from controller.store import Database
from controller.tables import BrokerLogin
from devices.protocol.crockford import base32
from loa.clock import Clock, SystemClock
from loa.entropy import Entropy, system_entropy
from loa.errors import Refused

app = typer.Typer(rich_markup_mode=None, add_completion=False)
ENVIRONMENT = "centre.env"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,45}")
_TOLD = re.compile(rf"^LOA_BROKER=mqtts://{re.escape(CENTRE)}:([0-9A-Z]+)@", re.MULTILINE)


@app.command(
    help="""Write what mosquitto needs to run for this centre: TLS, passwords, and who may speak and hear where.

\b
loa broker-config --out /var/lib/loa/mosquitto --host loa.example.vn
loa broker-config --out mosquitto --host loa.example.vn --cert fullchain.pem --key privkey.pem --ca chain.pem

Run it on the centre's machine, with the centre's --data. Without --cert it makes a small certificate authority; boxes
pin it when they are enrolled, and look at no dates. It may be run again, with another --host too: certificates that
serve and passwords are kept, configuration and centre.env are written anew. The running centre keeps passwords and
rules in step with who is enrolled, and has mosquitto read them again; for that both run as one user. What the centre
itself needs is in DIR/centre.env."""
)
def broker_config(  # noqa: PLR0917 - options, all of them given by name
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write it.")],
    host: Annotated[list[str], typer.Option(help="The name or address by which boxes reach it; repeat.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it listens.")] = 8883,
    bind: Annotated[str, typer.Option(help="On which address; on all of them without this.")] = "",
    cert: Annotated[Path | None, typer.Option(metavar="FILE", help="A certificate (PEM) of your own.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key.")] = None,
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="The authority that signed it.")] = None,
    user: Annotated[str | None, typer.Option(help="Whom mosquitto becomes where root starts it.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The centre's folder.")] = None,
    database: Annotated[str | None, typer.Option(help="postgresql://… [default: SQLite in the folder].")] = None,
) -> None:
    if (cert is None) != (key is None) or (cert is None) != (ca is None):
        raise Refused("bad_argument", field="--cert", reason="give --cert, --key and --ca together")
    for one in host:
        if _HOST.fullmatch(one) is None:
            raise Refused("bad_argument", field="--host", reason=f"{one[:80]!r} is no host name or address")
    folder = out.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if cert is not None and key is not None and ca is not None:
        if not names_all(cert.read_bytes(), host):
            raise Refused("bad_certificate", field=str(cert), reason=f"it is not for {', '.join(host)}")
        shutil.copy(ca, folder / AUTHORITY)
        certificate, private = cert.resolve(), key.resolve()
    else:
        certificate, private = ensure_server(folder, host, SystemClock().now_ms())
    config = load_config(data=data, database=database)
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    held, password = _centre_login(Database(config.database_url), folder)
    become = user or ("root" if os.geteuid() == 0 else None)
    text = configuration(folder, Listener(port, certificate, private, bind, become))
    write_private(folder / CONFIGURATION, text.encode())
    write_logins(folder, held)
    _write_environment(folder, host[0], port, password)
    running = reload(folder)
    typer.echo(
        f"{folder / CONFIGURATION}: {host[0]}:{port}, {len(held.hashes)} names{' (reloaded)' if running else ''}"
    )
    typer.echo(f"Run it: mosquitto -c {folder / CONFIGURATION}. For the centre: {folder / ENVIRONMENT}")


def _centre_login(db: Database, folder: Path) -> tuple[Logins, str]:
    """All names, and the centre's own password: a new one where there is none yet or centre.env does not tell it."""
    try:
        db.upgrade()

        def work(session: Session) -> tuple[Logins, str]:
            password = _told_before(folder / ENVIRONMENT)
            if session.get(BrokerLogin, CENTRE) is None or password is None:
                password = base32(system_entropy(16))
                set_login(session, _Means(), CENTRE, password)
            return logins(session), password

        return db.run(work)
    finally:
        db.close()


def _told_before(file: Path) -> str | None:
    found = _TOLD.search(file.read_text()) if file.is_file() else None
    return None if found is None else found[1]


@dataclass(frozen=True)
class _Means:
    clock: Clock = SystemClock()
    entropy: Entropy = system_entropy


def _write_environment(folder: Path, host: str, port: int, password: str) -> None:
    host = f"[{host}]" if ":" in host else host
    lines = [
        f"LOA_BROKER=mqtts://{CENTRE}:{password}@{host}:{port}",
        f"LOA_BROKER_FILES={folder}",
        f"LOA_BOXES_BROKER=mqtts://{host}:{port}",
    ]
    write_private(folder / ENVIRONMENT, ("\n".join(lines) + "\n").encode())
