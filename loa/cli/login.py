"""`loa login`: remember a server and a token."""

import os
import socket
from typing import Annotated

import typer

from loa.cli.client import DEFAULT_SERVER, Server, remember, verbs, whole_address

app = verbs("")


@app.command(
    help="""Sign in and remember server and token for the verbs that speak to a server.

\b
loa login                                     http://127.0.0.1:8080, account admin; asks for the password
loa login http://centre:8080 --account lan
LOA_PASSWORD=... loa login                    without asking

The password is used once to get an API token of its own; the token is kept in ~/.config/loa/login.toml, readable by
you alone. LOA_SERVER and LOA_TOKEN in the environment go before what is remembered."""
)
def login(
    server: Annotated[str, typer.Argument(help="Its address.", envvar="LOA_SERVER")] = DEFAULT_SERVER,
    account: Annotated[str, typer.Option(help="Your account.")] = "admin",
    print_token: Annotated[bool, typer.Option("--print-token", help="Print the token; remember nothing.")] = False,
) -> None:
    server = whole_address(server)
    password = os.environ.get("LOA_PASSWORD") or typer.prompt(f"Password of {account}", hide_input=True, err=True)
    name = f"loa login on {socket.gethostname()}"[:200]
    reply = Server(server).ask(
        "POST", "/session", body={"account": account, "password": password.strip(), "token_name": name}
    )
    if print_token:
        typer.echo(reply["token"])
        return
    path = remember(server, reply["token"])
    typer.echo(f"Signed in at {server} as {account}; remembered in {path}.")
    if reply["change_password"]:
        typer.echo("The password is the one that was printed once: change it on the page.")
