"""`loa cap`: judge alerts in CAP before anything is made of them."""

import json
from pathlib import Path
from typing import Annotated

import typer

from controller.cap.areas import KnownAreas, schemes_with
from controller.cap.judgement import Terms, Verdict, judge_file
from controller.cap.memory import Name, Seen, content_digest, seen
from controller.cap.places import known_areas
from controller.cap.reading import MAX_BYTES
from controller.cap.signature import PinnedKeys, pinned_key
from controller.cap.values import instant
from loa.cli import cap_server
from loa.cli.cap_lines import Row, json_object, line
from loa.clock import SystemClock
from loa.errors import LoaError, Refused
from loa.names import AreaPath
from loa.problems import explain
from loa.units import Digest, InstantMs

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Alerts in CAP, the Common Alerting Protocol: judged here; handed in, looked at and fetched at a server.

\b
loa cap check warning.xml                judge files, with no server
loa cap submit warning.xml               hand one in: it waits for people
loa cap list --waiting                   what waits for them
loa cap compose 4f1c --to quang-ninh/co-to      where one is for that only named its areas
loa cap sources                          whose alerts are taken, and how their feeds are doing
loa cap put-source kttv --url https://example.vn/cap.atom --sender kttv@example.vn --key kttv.pem""",
)
cap_server.register(app)
KEY_SUFFIXES = (".pem", ".crt", ".cer", ".der", ".pub")


Readable = Annotated[
    list[Path], typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="Alerts or feeds.")
]


@app.command()
def check(  # noqa: PLR0917 - options, all of them given by name
    files: Readable,
    at: Annotated[
        str, typer.Option("--at", metavar="INSTANT|sent", help="Judge as of then; `sent`: as of each alert's own day.")
    ] = "now",
    areas: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Our places, CSV or GeoJSON, named after their province: quang-ninh.csv.",
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", exists=True, file_okay=False, help="Certificates and public keys that we trust: NAME.pem."
        ),
    ] = None,
    scheme: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One more valueName under which alerts give codes of our places; repeat."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON: an array with an object an alert.")] = False,
) -> None:
    """Judge alerts, one line an alert, also for those that are refused.

    \b
    FILE: identifier | version | status/msgType | infos (languages) | expires | areas | signature | verdict: code

    \b
    loa cap check warning.xml --areas quang-ninh.csv
    loa cap check feed.atom --keys trusted-senders
    loa cap check archive/*.xml --at sent --json
    loa cap check warning.xml --at 2026-09-07T12:00:00+07:00

    The order of judgement: XML, DTD, namespace, required, values, references, geometry, signature, kind, expiry, area;
    the first that is wrong is what is said. An alert found again is `already_known`; so that a folder of versions can
    be looked at, other content under the same name is a conflict only within one FILE.

    Exit code 0: all accepted. 1: some refused. 2: wrong usage.
    """
    terms = Terms(at=_instant(at), known=_places(areas, schemes_with(scheme or ())), pinned=_pinned(keys))
    earlier: dict[Name, Digest] = {}
    rows: list[Row] = []
    for file in files:
        judged = judge_file(_content(file), terms)
        rows += [Row(str(file), len(judged), one, _seen_earlier(one, earlier)) for one in judged]
        for one in judged:
            if one.alert is not None and not one.refused:
                earlier.setdefault(one.alert.name, content_digest(one.alert))
    if as_json:
        objects = ",\n".join(json.dumps(json_object(row), ensure_ascii=False) for row in rows)
        typer.echo(f"[\n{objects}\n]")
    else:
        for row in rows:
            typer.echo(line(row))
    if any(row.verdict.refused for row in rows):
        raise typer.Exit(1)


def _seen_earlier(verdict: Verdict, earlier: dict[Name, Digest]) -> bool:
    """Whether an earlier FILE held this very alert."""
    return verdict.alert is not None and not verdict.refused and seen(verdict.alert, earlier) is Seen.KNOWN


def _content(file: Path) -> bytes:
    """No more of a file than shows that it is too large."""
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def _instant(text: str) -> InstantMs | None:
    if text == "sent":
        return None
    if text == "now":
        return SystemClock().now_ms()
    try:
        return instant(text, "--at")
    except Refused as problem:
        raise _usage(problem, "--at") from problem


def _places(file: Path | None, schemes: frozenset[str]) -> KnownAreas | None:
    if file is None:
        return None
    try:
        return known_areas(file.read_bytes(), _province(file), schemes=schemes)
    except Refused as problem:
        raise _usage(problem, "--areas") from problem


def _province(file: Path) -> str | None:
    """The file's name, where that can be a province's code."""
    try:
        return AreaPath(file.name.split(".")[0].lower())
    except Refused:
        return None


def _pinned(folder: Path | None) -> PinnedKeys:
    if folder is None:
        return PinnedKeys()
    names: dict[bytes, str] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in KEY_SUFFIXES or not file.is_file():
            continue
        try:
            names.setdefault(pinned_key(file.read_bytes()), file.stem)
        except Refused as problem:
            raise typer.BadParameter(f"{file}: {explain(problem, 'en').title}", param_hint="--keys") from problem
    if not names:
        raise typer.BadParameter(f"no key in {folder} ({', '.join(KEY_SUFFIXES)})", param_hint="--keys")
    return PinnedKeys(names)


def _usage(problem: LoaError, option: str) -> typer.BadParameter:
    words = explain(problem, "en")
    return typer.BadParameter(f"{words.title}. {words.remedy}", param_hint=option)
