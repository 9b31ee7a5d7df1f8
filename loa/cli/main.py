"""The root of the command. A verb's module is imported only when it is used, so that a box needs only its own parts."""

import contextlib
import difflib
import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from loa.errors import Fault, LoaError, OperatorNeeded, Refused
from loa.problems import explain


@dataclass(frozen=True)
class Verb:
    """Where a verb lives: a module with a typer app called `app`, and the extra that it needs."""

    module: str
    help: str
    extra: str | None = None


VERBS: dict[str, Verb] = {
    "serve": Verb("loa.cli.serve", "Run the centre: broker, controller, API and first page.", "controller"),
    "node": Verb("loa.cli.node", "Run a loudspeaker box."),
    "broker-config": Verb("loa.cli.broker_config", "Write mosquitto's configuration for production.", "controller"),
    "station": Verb("loa.cli.station", "Run a commune's station: a serial bus with wired nodes.", "station"),
    "keys": Verb("loa.cli.keys", "Keys: roots, what they sign, people's and nodes' keys."),
    "wire": Verb("loa.cli.wire", "Read what is on the wire."),
    "audio": Verb("loa.cli.audio", "Try a recording: check, level, encode, compare.", "controller"),
    "login": Verb("loa.cli.login", "Sign in at a server, for the verbs below.", "controller"),
    "accounts": Verb("loa.cli.accounts", "People: accounts, roles, tokens.", "controller"),
    "area": Verb("loa.cli.areas", "Areas: add, list.", "controller"),
    "nodes": Verb("loa.cli.nodes", "Nodes: list, enrol, place, volume, test tone.", "controller"),
    "bulletin": Verb("loa.cli.bulletins", "Bulletins: add, list, approve, hear.", "controller"),
    "programme": Verb("loa.cli.programmes", "Programmes: add, list, stop.", "controller"),
    "timetable": Verb("loa.cli.timetable", "The coming broadcasts of an area.", "controller"),
    "say": Verb("loa.cli.say", "Broadcast a recording at once.", "controller"),
    "broadcast": Verb("loa.cli.broadcasts", "Broadcasts: list, show, stop, recall.", "controller"),
    "alert": Verb("loa.cli.alert_boards", "Emergencies: compose, approve, cancel, who heard it.", "controller"),
    "escalation": Verb("loa.cli.escalation", "Who is told when an alert does not reach enough.", "controller"),
    "coverage": Verb("loa.cli.coverage", "Who heard a broadcast.", "controller"),
    "cap": Verb("loa.cli.cap", "Alerts of others in CAP: judge, hand in, sources.", "controller"),
    "backup": Verb("loa.cli.backup", "Back up a centre while it runs, encrypted to an offline key.", "controller"),
    "restore": Verb("loa.cli.restore", "Restore a backup into an empty folder.", "controller"),
    "backup-key": Verb("loa.cli.backup_key", "Make the key that backups are encrypted to.", "controller"),
    "audit": Verb("loa.cli.audit", "The record: list, export, prove an export.", "controller"),
    "simulate": Verb("loa.cli.simulate", "A province in virtual time, under faults.", "simulate"),
    "demo": Verb("loa.cli.demo", "A small province on this machine, from recording to receipts.", "simulate"),
}


INTRODUCTION = """\
Loa: who speaks in the village, when, and who heard it.

  loa VERB [OPTIONS]      do something; `loa VERB --help` says how
  loa --version           which version this is

Start with `loa demo`, or with `loa serve` and a `loa node`.

Verbs:
"""


def overview() -> str:
    """The verbs, a line each."""
    width = max(len(name) for name in VERBS)
    return INTRODUCTION + "".join(f"  {name:<{width}}  {verb.help}\n" for name, verb in VERBS.items())


def _app_of(name: str) -> Any:
    verb = VERBS[name]
    try:
        return importlib.import_module(verb.module).app
    except ModuleNotFoundError as error:
        if verb.extra is None or (error.name or "").split(".")[0] in ("loa", "devices"):
            raise
        raise Refused("extra_missing", field=name, package=error.name, extra=verb.extra) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exit codes: 0 done, 1 refused (change what was asked), 2 usage, 3 an operator, 4 a fault."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return
    if given[0] == "--version":
        sys.stdout.write(f"loa {version('loa')}\n")
        return
    if given[0] not in VERBS:
        near = difflib.get_close_matches(given[0], VERBS, 1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        sys.stderr.write(f"loa: there is no verb `{given[0]}`.{hint} `loa --help` lists them.\n")
        sys.exit(2)
    try:
        with _machine_in_words():
            _app_of(given[0])(args=given[1:], prog_name=f"loa {given[0]}")
    except LoaError as error:
        explained = explain(error, "en")
        sys.stderr.write(f"loa: {explained.title} [{error.code}]\n     {explained.remedy}\n")
        sys.exit(4 if isinstance(error, Fault) else 3 if isinstance(error, OperatorNeeded) else 1)


@contextlib.contextmanager
def _machine_in_words() -> Iterator[None]:
    """A folder that may not be written, a disk that is full: said as what it is, without a trace of our own lines."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason, name = error.strerror or str(error), "" if error.filename is None else str(error.filename)
        raise OperatorNeeded("machine_refused", reason=reason, value=name) from error
