"""`loa audit`: the record of everything that made or could make sound, and whether an export of it is true."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.audit import Verdict, verify
from controller.keyfiles import read_roots
from controller.recordfile import KnownHead, read_known
from devices.node.records import HEADS
from devices.protocol.envelope import open_sealed
from devices.protocol.journal import unframed
from devices.protocol.record import RecordHead
from devices.protocol.refusal import WireRefusal
from loa.cli.client import Json, Server, local, print_table, show, verbs
from loa.errors import Refused

app = verbs(
    """The record: who did what, when, from where, under which key, and where it was heard.

\b
loa audit list                                   the newest entries
loa audit list --verb issue --account lan
loa audit export --out record.jsonl              all of it, with its signed heads
loa audit heads                                  what each node was told is the newest entry
loa audit heads --box /var/lib/loa-node          the same from a box in hand, as it was signed
loa audit verify record.jsonl --head 812:5c1f…   is it whole, and the one that this node was told of?
loa audit verify record.jsonl --heads-of /var/lib/loa-node --roots roots.json

`verify` needs no server and no network. Exit code 0: nothing is wrong; 1: something is, and it says what and where."""
)
_COLUMNS = ("NUMBER", "WHEN", "WHO", "FROM", "VERB", "WHAT", "DETAIL", "HASH")


def _heard(item: Any) -> str:
    if item["lost"] is not None:
        return f"lost: up to entry {item['lost']['number']} of branch {item['lost']['forks']}"
    if item["heard"] is None:
        return str(item["detail"])
    counts = ", ".join(f"{count} {outcome}" for outcome, count in item["heard"]["outcomes"].items())
    return f"{counts or 'no node'}; {item['heard']['receipts']} receipts"


@app.command("list")
def list_(
    verb: Annotated[str | None, typer.Option(help="Only these: issue, recall, heard, unknown, restore, …")] = None,
    account: Annotated[str | None, typer.Option(help="Only this person's; `loa` is the controller itself.")] = None,
    of: Annotated[str | None, typer.Option("--of", help="Only of this broadcast, bulletin, node, …")] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=100_000, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """The newest entries of the record."""
    query = {"verb": verb, "account": account, "object_id": of, "limit": min(most, 200)}
    items = Server.known().pages("/record", query, most)
    rows = [
        (one["number"], local(one["at"]), one["account"], one["origin"], one["verb"],
         f"{one['object_kind']} {one['object_id'][:20]}", _heard(one)[:60], one["hash"][:16])
        for one in items
    ]  # fmt: skip
    show(items, as_json, lambda: print_table(_COLUMNS, rows, none="Nothing is recorded yet."))


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to; a file that is there is not replaced.")],
) -> None:
    """The whole record with its signed heads, as a file that `loa audit verify` proves without this server."""
    if out.exists():
        raise Refused("already_exists", field="out", value=str(out))
    fresh = out.with_name(out.name + ".part")
    Server.known().download("/api/v1/record/export", fresh)
    fresh.replace(out)
    typer.echo(f"{out}: {out.stat().st_size} bytes. To prove it: loa audit verify {out} --head NUMBER:HASH")


@app.command()
def heads(
    box: Annotated[
        Path | None, typer.Option("--box", metavar="DIR", help="A box's data folder, in place of the server.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What nodes were told is the newest entry: by their health, or from the storage of a box in hand."""
    if box is not None:
        for one in _of_box(box):
            typer.echo(f"{one.number}:{one.hash.hex()}:{one.forks}")
        return
    found = Server.known().ask("GET", "/record/heads")
    rows = [
        (one["node"], f"{one['head']['number']}:{one['head']['mark']}:{one['head']['forks']}",
         "held" if one["held"] else "NOT IN THE RECORD")
        for one in found
    ]  # fmt: skip
    show(found, as_json, lambda: print_table(("NODE", "HEAD", "HERE"), rows, none="No node has told of a head yet."))


@app.command("verify")
def verify_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `loa audit export` wrote it.")],
    head: Annotated[
        list[str] | None,
        typer.Option(
            "--head", metavar="NUMBER:HASH[:BRANCH]", help="As a node's health or a printed page has it; repeat."
        ),
    ] = None,
    heads_of: Annotated[
        list[Path] | None, typer.Option("--heads-of", metavar="DIR", help="A box's data folder: every head it holds.")
    ] = None,
    roots: Annotated[
        Path | None, typer.Option("--roots", metavar="FILE", help="roots.json: whose word the signatures rest on.")
    ] = None,
) -> None:
    """Prove an export: nothing changed, removed, put in, cut off, written anew or written twice."""
    known = [_known(one) for one in head or ()]
    for folder in heads_of or ():
        known += _of_box(folder)
    root_set = None if roots is None else read_roots(roots)
    if not file.is_file():
        raise Refused("file_missing", field="file", value=str(file))
    verdict = verify(_lines(file), known, root_set)
    _say(file, verdict, known)
    if not verdict.ok:
        raise typer.Exit(1)


def _say(file: Path, verdict: Verdict, known: list[KnownHead]) -> None:
    for notice in verdict.notices:
        typer.echo(f"note: {notice}")
    for finding in verdict.findings[:100]:
        typer.echo(f"WRONG {finding}")
    more = len(verdict.findings) - 100
    if more > 0:
        typer.echo(f"… and {more} more")
    last = "" if verdict.last is None else f", the last is {verdict.last.number}:{verdict.last.hash.hex()[:32]}"
    typer.echo(f"{file}: {verdict.entries} entries{last}, {verdict.heads} signed heads, {len(known)} known heads")
    typer.echo("The record is whole." if verdict.ok else "THIS IS NOT THE RECORD AS IT WAS WRITTEN.")


def _known(text: str) -> KnownHead:
    try:
        return read_known(text)
    except ValueError as error:
        raise Refused("bad_head", field="head", value=text[:80]) from error


def _of_box(folder: Path) -> list[KnownHead]:
    """Every head in a box's storage. Raises Refused(file_missing)."""
    path = folder / HEADS
    if not path.is_file():
        raise Refused("file_missing", field="heads-of", value=str(path))
    found = []
    for payload in unframed(path.read_bytes())[0]:
        try:
            message = open_sealed(payload).message
        except WireRefusal:
            continue
        if isinstance(message, RecordHead):
            found.append(KnownHead(message.number, message.hash, message.forks, f"in {folder}"))
    return found


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        yield from lines
