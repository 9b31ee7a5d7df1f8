"""`loa escalation`: who is told by e-mail or webhook when an alert does not reach enough in time."""

from pathlib import Path
from typing import Annotated, Any

import typer

from loa.cli.client import Json, Server, local, print_table, segment, show, verbs
from loa.cli.keys_asking import passphrase_in
from loa.errors import Refused

app = verbs(
    """Escalation: who is told by e-mail or webhook when an alert does not reach enough in time.

\b
loa escalation show
loa escalation add "Trực ban tỉnh" --url-file address.txt     mailtos://user:password@server?to=who@where
loa escalation test 5d6c
loa escalation steps 60:80:5d6c 300:village:5d6c,77aa         after 60 s below 80 %; after 300 s a village unreached
loa escalation remove 5d6c"""
)


def _tell(item: Any) -> None:
    names = {one["id"]: one["name"] for one in item["addresses"]}
    print_table(
        ("ID", "NAME", "ADDRESS", "SINCE"),
        [(one["id"], one["name"], one["shown"], local(one["created_at"])) for one in item["addresses"]],
        none="No addresses.",
    )
    rows = []
    for one in item["steps"]:
        few = f"below {one['below_percent']} %" if one["below_percent"] else ""
        when = " or ".join(part for part in (few, "a village unreached" if one["village_unreached"] else "") if part)
        told = ", ".join(names.get(name, name) for name in one["addresses"])
        rows.append((f"{one['after_s']} s", when, "yes" if one["drills"] else "no", told))
    print_table(("AFTER", "WHERE", "DRILLS TOO", "TOLD"), rows, none="No steps: nobody is told.")


@app.command("show")
def show_all(as_json: Json = False) -> None:
    """The steps and the addresses."""
    item = Server.known().ask("GET", "/escalation")
    show(item, as_json, lambda: _tell(item))


@app.command()
def add(
    name: str,
    url_file: Annotated[
        Path | None, typer.Option("--url-file", metavar="FILE", help="Its first line is the address; else it is asked.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep an address. It holds secrets: it is sealed, and never shown again."""
    url = passphrase_in(url_file, option="url-file") if url_file else typer.prompt("Address", hide_input=True, err=True)
    made = Server.known().ask("POST", "/escalation/addresses", body={"name": name, "url": url.strip()})
    show(made, as_json, lambda: typer.echo(f"{made['id']}  {made['name']}  {made['shown']}"))


@app.command("test")
def try_one(address: str, as_json: Json = False) -> None:
    """Send a test there now."""
    server = Server.known()
    done = server.ask("POST", f"/escalation/addresses/{segment(_named(server, address))}/test")
    show(done, as_json, lambda: typer.echo("Sent." if done["sent"] else f"Not sent: {done['trouble']}"))
    if not done["sent"]:
        raise typer.Exit(1)


@app.command()
def remove(address: str) -> None:
    """Wipe an address; steps do not tell it any more."""
    server = Server.known()
    server.ask("DELETE", f"/escalation/addresses/{segment(_named(server, address))}")


@app.command()
def steps(
    step: Annotated[list[str] | None, typer.Argument(help="seconds:percent or village:address,address")] = None,
    drills: Annotated[bool, typer.Option("--drills", help="For drills too.")] = False,
    as_json: Json = False,
) -> None:
    """Replace the list of steps; none: nobody is told."""
    server = Server.known()
    body = {"steps": [_step(server, one, drills=drills) for one in step or []]}
    item = server.ask("PUT", "/escalation/steps", body=body)
    show(item, as_json, lambda: _tell(item))


def _step(server: Server, text: str, *, drills: bool) -> dict[str, Any]:
    parts = text.split(":")
    if len(parts) != 3 or not parts[0].isdecimal() or not (parts[1] == "village" or parts[1].isdecimal()):
        raise Refused("bad_argument", field="step", reason=f"{text} is not seconds:percent:address")
    when = {"village_unreached": True} if parts[1] == "village" else {"below_percent": int(parts[1])}
    told = [_named(server, one) for one in parts[2].split(",")]
    return {"after_s": int(parts[0]), "drills": drills, "addresses": told, **when}


def _named(server: Server, given: str) -> str:
    found = [one["id"] for one in server.ask("GET", "/escalation")["addresses"] if one["id"].startswith(given.lower())]
    if len(found) != 1 or not given:
        raise Refused("not_found", field="address", value=given)
    return str(found[0])
