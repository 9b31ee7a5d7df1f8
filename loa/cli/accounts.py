"""`loa accounts`: people, their roles, and machines' tokens."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from loa.cli.client import Json, Server, local, print_table, segment, show, verbs
from loa.errors import Refused

app = verbs(
    """People: accounts and their roles. A role is written ROLE@AREA.

\b
loa accounts add lan --full-name "Nguyễn Thị Lan" --role operator@quang-ninh/co-to
loa accounts add tam --role technician@quang-ninh/co-to --role technician@quang-ninh/van-don
loa accounts list
loa accounts role lan operator@quang-ninh/co-to approver@quang-ninh/van-don      instead of those she had
loa accounts role lan                                                            none at all
loa accounts disable lan
loa accounts reset lan --code                      a new one-time password; her codes are set up anew

Roles: duty_officer, province_admin, auditor (at the province); operator, approver, technician, reader (anywhere).
Whoever can make a sound signs in with a code besides the password; nobody approves their own bulletins."""
)


def _roles(given: Sequence[str]) -> list[dict[str, str]]:
    found = []
    for text in given:
        role, at, area = text.partition("@")
        if not at or not area:
            raise Refused("bad_argument", field="ROLE", reason=f"{text} is not ROLE@AREA")
        found.append({"role": role, "area": area})
    return found


def _said(item: Any) -> str:
    return ", ".join(f"{one['role']}@{one['area']}" for one in item["roles"]) or "no role"


def _password(item: Any) -> None:
    if item.get("one_time_password"):
        typer.echo(f"One-time password: {item['one_time_password']}")
        typer.echo("       It is shown this once; it is to be changed after signing in.")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Everyone, with their roles."""
    items = Server.known().ask("GET", "/accounts")["items"]
    rows = [
        (
            item["name"], item["full_name"], _said(item), item["status"],
            "set up" if item["has_code"] else "missing" if item["needs_code"] else "", local(item["created_at"]),
        )
        for item in items
    ]  # fmt: skip
    show(items, as_json, lambda: print_table(("NAME", "PERSON", "ROLES", "STATUS", "CODES", "MADE"), rows, none=""))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What they sign in as: a-z, 0-9, . _ -")],
    role: Annotated[list[str] | None, typer.Option(metavar="ROLE@AREA", help="May be repeated.")] = None,
    full_name: Annotated[str, typer.Option(help="As people write it.")] = "",
    as_json: Json = False,
) -> None:
    """Add somebody; prints the password for their first sign-in."""
    body = {"name": name, "full_name": full_name, "roles": _roles(role or [])}
    item = Server.known().ask("POST", "/accounts", body=body)

    def plain() -> None:
        typer.echo(f"{item['name']}  {_said(item)}")
        _password(item)

    show(item, as_json, plain)


@app.command()
def role(
    name: str,
    roles: Annotated[list[str] | None, typer.Argument(metavar="[ROLE@AREA]...")] = None,
    as_json: Json = False,
) -> None:
    """Give somebody these roles instead of those they had; their sessions end."""
    item = Server.known().ask("PUT", f"/accounts/{segment(name)}/roles", body={"roles": _roles(roles or [])})
    show(item, as_json, lambda: typer.echo(f"{item['name']}  {_said(item)}"))


@app.command()
def disable(name: str, as_json: Json = False) -> None:
    """They cannot sign in any more; sessions and tokens end at once."""
    _change(name, "disable", as_json)


@app.command()
def enable(name: str, as_json: Json = False) -> None:
    """They may sign in again."""
    _change(name, "enable", as_json)


@app.command()
def reset(
    name: str,
    code: Annotated[bool, typer.Option("--code", help="Set codes up anew too: the device is lost.")] = False,
    as_json: Json = False,
) -> None:
    """A new one-time password; sessions and tokens end."""
    item = Server.known().ask("POST", f"/accounts/{segment(name)}/reset", body={"code": code})
    show(item, as_json, lambda: _password(item))


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Whose or what for: a line that the list shows.")],
    may: Annotated[list[str], typer.Option(metavar="PERMISSION", help="May be repeated: node.read, broadcast.issue …")],
    area: Annotated[str, typer.Option(help="Where it counts.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it lasts.")] = 365,
    as_json: Json = False,
) -> None:
    """A token for a machine, of your own permissions. What it makes sound must have been approved by somebody else."""
    body = {"name": name, "permissions": may, "area": area, "lasts_days": days}
    item = Server.known().ask("POST", "/tokens", body=body)
    show(item, as_json, lambda: typer.echo(item["token"]))


def _change(name: str, verb: str, as_json: bool) -> None:
    item = Server.known().ask("POST", f"/accounts/{segment(name)}/{verb}")
    show(item, as_json, lambda: typer.echo(f"{item['name']}  {item['status']}"))
