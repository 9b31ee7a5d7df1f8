"""`loa serve`: the centre, its broker, its API and its first page, in one process and one event loop."""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
import uvicorn

from api.app import create_app
from controller.accounts import FIRST_ACCOUNT, FirstAccount
from controller.centre import Centre
from controller.certificates import ensure_server, key_pin
from controller.config import CentreConfig, load_config
from controller.first_start import first_start
from loa.cli.qr import show_qr
from loa.clock import SystemClock
from loa.errors import Refused

app = typer.Typer(add_completion=False, no_args_is_help=False, rich_markup_mode=None)
_GRACE_S = 5
_BACKLOG = 2048


@app.command()
def serve(  # noqa: PLR0917 - options, all of them given by name
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of database, recordings and keys [default: loa-data].", show_default=False),
    ] = None,
    bind: Annotated[
        str | None, typer.Option(help="Address of API and page [default: 127.0.0.1].", show_default=False)
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of API and page [default: 8080].", show_default=False)] = None,
    tls: Annotated[
        bool | None, typer.Option("--tls", help="HTTPS with a certificate of its own making, in the data folder.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="HTTPS with this certificate (PEM).", show_default=False)
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key.", show_default=False)] = None,
    broker: Annotated[
        str | None,
        typer.Option(help="auto, mosquitto, amqtt, or mqtt://host:port [default: auto].", show_default=False),
    ] = None,
    broker_bind: Annotated[
        str | None, typer.Option(help="Address of an embedded broker [default: 127.0.0.1].", show_default=False)
    ] = None,
    broker_port: Annotated[
        int | None,
        typer.Option(help="Port of an embedded broker; 0 for any free one [default: 1883].", show_default=False),
    ] = None,
    insecure_broker: Annotated[
        bool | None,
        typer.Option("--insecure-broker", help="Allow a broker that other machines reach without a password."),
    ] = None,
    province: Annotated[
        str | None,
        typer.Option(help="Code of the province; counts at the first start [default: quang-ninh].", show_default=False),
    ] = None,
    province_name: Annotated[str | None, typer.Option(help="Its name as people write it.", show_default=False)] = None,
    keys_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its first line is the passphrase of the controller's key (`loa keys seal-controller`).",
            show_default=False,
        ),
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="postgresql://… [default: SQLite in the data folder].", show_default=False)
    ] = None,
) -> None:
    """Run the centre until Ctrl-C.

    The first start makes keys, the first account, and what every box keeps (sirens, the announcement of drills), and
    says where they are. Each option can also be given as LOA_… in the environment or in loa.toml in the data folder.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = load_config(
        data=data, bind=bind, port=port, tls=tls, tls_cert=tls_cert, tls_key=tls_key,
        broker=broker, broker_bind=broker_bind, broker_port=broker_port,
        insecure_broker=insecure_broker, province=province, province_name=province_name, database=database,
        keys_passphrase_file=keys_passphrase_file,
    )  # fmt: skip
    asyncio.run(_serve(config))


async def _serve(config: CentreConfig) -> None:
    server: _Server | None = None
    ending = False

    def end() -> None:
        nonlocal ending
        ending = True
        if server is not None:
            server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    listener = _listener(config.bind, config.port)
    certificate = _certificate(config)
    centre = await Centre.start(config)
    try:
        server = _Server(
            uvicorn.Config(
                create_app(centre, tls_pin=certificate and key_pin(certificate[0].read_bytes())),
                ssl_certfile=certificate and certificate[0],
                ssl_keyfile=certificate and certificate[1],
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        listener.listen(_BACKLOG)  # whoever reads the address may use it at once
        host, port = listener.getsockname()[:2]
        scheme = "http" if certificate is None else "https"
        # Last of all: what is told once must not be made before it is sure to be told.
        first = await first_start(centre)
        _say(centre, f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}", first)
        server.should_exit = ending
        await server.serve(sockets=[listener])
    finally:
        await centre.stop()


def _certificate(config: CentreConfig) -> tuple[Path, Path] | None:
    """Certificate and key, both PEM; None for HTTP. Raises Refused(bad_config)."""
    if config.tls_cert is not None or config.tls_key is not None:
        if config.tls_cert is None or config.tls_key is None:
            raise Refused("bad_config", field="tls_cert", limit="tls_cert and tls_key belong together")
        for path in (config.tls_cert, config.tls_key):
            if not path.is_file():
                raise Refused("file_missing", field="tls_cert", value=path)
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                config.tls_cert, config.tls_key, password=""
            )
            key_pin(config.tls_cert.read_bytes())
        except (ssl.SSLError, ValueError) as error:
            reason = "not a certificate (PEM) and its private key without a passphrase"
            raise Refused("bad_certificate", field=f"--tls-cert {config.tls_cert}", reason=reason) from error
        return config.tls_cert, config.tls_key
    if not config.tls:
        return None
    hosts = {config.bind if config.bind not in ("0.0.0.0", "::") else "localhost", "localhost", "127.0.0.1"}  # noqa: S104
    if config.address:
        hosts.add(urlsplit(config.address).hostname or "localhost")
    return ensure_server(config.tls_folder, sorted(hosts), SystemClock().now_ms())


def _listener(bind: str, port: int) -> socket.socket:
    """Raises Refused(port_in_use, address_unusable), before anything else was started."""
    listener = socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bind, port))
    except OSError as error:
        listener.close()
        if isinstance(error, socket.gaierror) or error.errno != errno.EADDRINUSE:
            reason = error.strerror or str(error)
            raise Refused("address_unusable", field="bind", value=f"{bind}:{port}", reason=reason) from error
        raise Refused("port_in_use", field="port", value=port) from error
    return listener


class _Server(uvicorn.Server):
    """Leaves the signals to us: they count from the first moment on, and what comes after the server ends in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _say(centre: Centre, url: str, first: FirstAccount | None) -> None:
    lines = [f"Loa    {url}"]
    if centre.broker is not None:
        lines.append(f"Broker {centre.broker.name} {_plain(centre.broker_url)}")
    lines.append(f"Data   {centre.config.data.resolve()}")
    if centre.keys_created:
        lines += [
            f"Keys   {centre.keys_folder.resolve()} (made now)",
            "       Its roots lie open in keys/roots, which is for a trial: whoever has them has every loudspeaker.",
            "       For a real centre make them offline, by the ceremony in docs/keys.md.",
        ]
    if first is not None:
        lines += [
            f"First account: {FIRST_ACCOUNT}",
            f"One-time password: {first.password}",
            f"Code secret: {first.code_secret}",
            f"Code address: {first.address}",
            "       Put secret or address into an authenticator app now: signing in asks for its code. Both are shown",
            "       this once; change the password after signing in.",
        ]
    typer.echo("\n".join(lines))
    if first is not None and sys.stdout.isatty():
        show_qr(first.address, sys.stdout)
    sys.stdout.flush()


def _plain(url: str) -> str:
    """A URL without the password in it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
