"""Codes as the command gives them: typed, from LOA_TOTP, or made from LOA_TOTP_SECRET; and setting them up."""

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import typer

from controller import codes
from loa.clock import Clock, SystemClock
from loa.errors import Refused

T = TypeVar("T")


def give_code(send: Callable[[str], T], why: Refused, *, clock: Clock | None = None) -> T:
    """Send a code. One that is made here is of another step where its own was used already.

    Raises what `send` raises; `why` where nobody can be asked.
    """
    if secret := os.environ.get("LOA_TOTP_SECRET"):
        return _made(send, secret.strip(), clock or SystemClock())
    if given := os.environ.get("LOA_TOTP"):
        return send(given.strip())
    if not sys.stdin.isatty():
        raise why
    return send(typer.prompt("Code", err=True).strip())


def _made(send: Callable[[str], T], secret: str, clock: Clock) -> T:
    now = codes.step_at(clock.now_ms())
    try:
        return send(codes.code_of(secret, now))
    except Refused as error:
        if error.code != "code_used":
            raise
        return send(codes.code_of(secret, now + codes.WINDOW))


def set_up_code(ask: Callable[..., Any], *, secret_out: str | None) -> None:
    """Set up codes for whoever is signed in: with an authenticator app, or with the secret in a file, for scripts."""
    begun = ask("POST", "/session/code")
    if secret_out is None:
        from loa.cli.qr import show_qr

        typer.echo("Your role needs codes. Scan this with an authenticator app, or type the secret into it:", err=True)
        show_qr(begun["address"], sys.stderr)
        typer.echo(f"Secret: {begun['secret']}", err=True)
        code = typer.prompt("The code that it shows", err=True).strip()
    else:
        handle = os.open(secret_out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(begun["secret"] + "\n")
        code = codes.code_of(begun["secret"], codes.step_at(SystemClock().now_ms()))
    done = ask("POST", "/session/code/confirm", body={"code": code})
    typer.echo("Recovery codes, each good once where the device is lost; keep them on paper:", err=True)
    typer.echo("  " + "  ".join(done["recovery_codes"]), err=True)
