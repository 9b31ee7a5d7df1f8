"""Passphrases and consent, from whoever sits at the keyboard or from files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from controller.keydisk import Ask, KeyFile, look_at_key
from controller.passphrases import check_passphrase
from loa.errors import Refused
from loa.problems import explain

PassphraseFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--passphrase-file", metavar="FILE", help="For scripts: its first line is the passphrase; repeat, in order."
    ),
]


def passphrase_in(path: Path, *, option: str = "passphrase-file") -> str:
    """The first line of a file. Raises Refused(file_missing, bad_key_file)."""
    try:
        return path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except OSError as error:
        raise Refused("file_missing", field=option, value=str(path)) from error
    except UnicodeDecodeError as error:
        raise Refused("bad_key_file", field=str(path), limit="UTF-8", detail="not UTF-8") from error


def new_passphrases(names: Sequence[str], files: Sequence[Path] | None) -> dict[str, str]:
    """One for each name, from files in this order or typed twice.

    Raises Refused(passphrase_count, weak_passphrase).
    """
    if files:
        if len(files) != len(names):
            raise Refused("passphrase_count", field="passphrase-file", limit=len(names))
        given = {name: passphrase_in(path) for name, path in zip(names, files, strict=True)}
        for words in given.values():
            check_passphrase(words)
        return given
    return {name: _typed_twice(name) for name in names}


def asker(paths: Iterable[Path], files: Sequence[Path] | None) -> Ask:
    """Gives the passphrase of each locked file of `paths`: from the files in this order, or typed.

    Raises Refused(passphrase_count).
    """
    locked = [file.path for path in dict.fromkeys(paths) if (file := look_at_key(path)).locked]
    if not files:
        return _typed
    if len(files) != len(locked):
        raise Refused("passphrase_count", field="passphrase-file", limit=len(locked))
    given = dict(zip(locked, map(passphrase_in, files), strict=True))
    return lambda file: given[file.path] if file.path in given else _typed(file)


def consent(question: str, yes: bool) -> None:
    """Raises Refused(not_signed) unless somebody types yes."""
    if not yes and typer.prompt(f"{question} Type yes", default="no", show_default=False).strip().lower() != "yes":
        raise Refused("not_signed")


def _typed(file: KeyFile) -> str:
    words: str = typer.prompt(f"Passphrase of {file.name}", hide_input=True)
    return words


def _typed_twice(name: str) -> str:
    while True:
        words: str = typer.prompt(
            f"New passphrase for {name}", hide_input=True, confirmation_prompt=f"The same again, for {name}"
        )
        try:
            check_passphrase(words)
        except Refused as error:
            said = explain(error, "en")
            typer.echo(f"{said.title}. {said.remedy}", err=True)
        else:
            return words
