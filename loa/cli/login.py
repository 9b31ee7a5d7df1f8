"""`loa login`: remember a server and a session."""

import os
import socket
from typing import Annotated, Any

import typer

from loa.cli.client import DEFAULT_SERVER, Server, remember, verbs, whole_address
from loa.cli.proving import give_code, set_up_code
from loa.errors import Refused

app = verbs("")


@app.command(
    help="""Sign in and remember server and session for the verbs that speak to a server.

\b
loa login                                     http://127.0.0.1:8080, account admin; asks for password and code
loa login http://centre:8080 --account lan
LOA_PASSWORD=... LOA_TOTP=123456 loa login    without asking
LOA_PASSWORD=... LOA_TOTP_SECRET=... loa login
                                              in scripts: makes the codes itself, later ones too

A session lasts twelve hours and is kept in ~/.config/loa/login.toml, readable by you alone. Verbs that make sound ask
for a fresh code where the last one is older than five minutes. Where your role needs codes and you have none, the
first login sets them up: with a QR code here, or with --secret-out for scripts. LOA_SERVER and LOA_TOKEN in the
environment go before what is remembered."""
)
def login(
    server: Annotated[str, typer.Argument(help="Its address.", envvar="LOA_SERVER")] = DEFAULT_SERVER,
    account: Annotated[str, typer.Option(help="Your account.")] = "admin",
    print_token: Annotated[bool, typer.Option("--print-token", help="Print the token; remember nothing.")] = False,
    secret_out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where codes are set up: their secret into this file, no questions."),
    ] = None,
) -> None:
    server = whole_address(server)
    password = os.environ.get("LOA_PASSWORD") or typer.prompt(f"Password of {account}", hide_input=True, err=True)
    name = f"loa login on {socket.gethostname()}"[:200]
    reply = _sign_in(Server(server), {"account": account, "password": password.strip(), "token_name": name})
    if reply["set_up_code"]:
        set_up_code(Server(server, reply["token"]).ask, secret_out=secret_out)
    if print_token:
        typer.echo(reply["token"])
        return
    path = remember(server, reply["token"])
    typer.echo(f"Signed in at {server} as {account}; remembered in {path}.")
    if reply["change_password"]:
        typer.echo("The password is the one that was printed once: change it on the page.")


def _sign_in(server: Server, body: dict[str, Any]) -> Any:
    try:
        return server.ask("POST", "/session", body=body)
    except Refused as error:
        if error.code not in ("code_required", "rate_limited"):  # a right code is heard whatever others guessed
            raise
        return give_code(lambda code: server.ask("POST", "/session", body=body | {"code": code}), error)
