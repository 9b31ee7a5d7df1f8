"""`loa keys`: roots, appointments, mandates, revocations and nodes' identities, as files."""

from pathlib import Path
from typing import Annotated

import typer

from controller import keyfiles
from controller.keydisk import (
    OTHER_SECRETS,
    lock_key,
    lock_secret,
    look_at_key,
    look_at_public_half,
    read_bytes,
    read_secret,
    write_whole,
)
from controller.passphrases import suggest_passphrase
from controller.signing import FORM as REQUEST_FORM
from controller.signing import read_request
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.renewal import next_version
from loa.cli import keys_person, keys_roots, keys_station
from loa.cli.keys_asking import PassphraseFiles, asker, new_passphrases, passphrase_in
from loa.cli.keys_words import file_words, minute, show_keys, show_request
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import Refused
from loa.names import AreaPath
from loa.units import InstantMs

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Make and look after the keys of a centre.

    Trust begins at the roots: private keys that are made once, kept offline, and sign rarely and together (a
    threshold). They appoint keys (the controller, people); the running controller renews those appointments by
    mandates of at most 7 days; the roots revoke. Every loudspeaker pins the roots when it is enrolled.

    \b
    At the offline machine (docs/keys.md has the whole ceremony):
      loa keys init ceremony                         roots, each under a passphrase of its own
      loa keys sign centre.request --root FILE ...   show what is asked, and sign it
    At the centre:
      loa keys request controller --area quang-ninh --dir keys --out centre.request
      loa keys request appoint lan --area quang-ninh/co-to --key lan.public.json --dir keys --out lan.request
      loa keys install centre.request --roots roots.json --dir keys
      loa keys show keys                             what is there, until when, what is wrong
    At a person's own machine:
      loa keys person new lan.json                   a key under a release passphrase
      loa keys approve BODYFILE --key lan.json       approve an alert's body

    `loa serve` makes open roots by itself at its first start, and warns of them until they are gone.
    """,
)
app.add_typer(keys_roots.app)
app.add_typer(keys_person.app)
app.add_typer(keys_station.app, name="station")

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of keys.")]
DirOption = Annotated[Path, typer.Option("--dir", metavar="DIR", help="The folder of keys.")]


def _now() -> InstantMs:
    return SystemClock().now_ms()


@app.command()
def init(  # noqa: PLR0917  the command's options
    directory: Dir,
    area: Annotated[
        str | None, typer.Option(help="The province, e.g. quang-ninh: make the controller's key and appointment too.")
    ] = None,
    roots: Annotated[int, typer.Option(help="How many roots to make.")] = 3,
    sealed: Annotated[int, typer.Option(help="How many of them are sealed spares.")] = 1,
    threshold: Annotated[int, typer.Option(help="How many must sign.")] = 2,
    plain: Annotated[bool, typer.Option("--plain", help="Without passphrases: for a trial only.")] = False,
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Make roots, each under a passphrase that is asked for twice. What is there already stays as it is.

    \b
    loa keys init ceremony                           at a machine that is never on a net
    loa keys init keys --area quang-ninh             roots, controller and appointment in one folder
    loa keys init keys --area quang-ninh --plain     for a trial
    """
    passphrases = None if plain else _passphrases(directory, roots, sealed, area, passphrase_file)
    if area is None:
        made = keyfiles.create_roots(
            directory, system_entropy, roots=roots, sealed=sealed, threshold=threshold, passphrases=passphrases
        )
        typer.echo(
            f"{directory / 'roots.json'}: root set {made.version}, {made.threshold} of {len(made.roots)} must sign"
        )
        for path in sorted((directory / "roots").glob("*.json")):
            typer.echo(f"  {file_words(look_at_key(path))}  {path}")
        return
    keys = keyfiles.create_centre(
        directory, AreaPath(area), _now(), system_entropy,
        roots=roots, sealed=sealed, threshold=threshold, passphrases=passphrases,
    )  # fmt: skip
    show_keys(keys, _now())


def _passphrases(
    directory: Path, roots: int, sealed: int, area: str | None, files: list[Path] | None
) -> dict[str, str]:
    """Of the roots that are to be made, and of those that must sign the controller's appointment."""
    names = keyfiles.root_names(roots, sealed)
    paths = {name: directory / "roots" / f"{name}.json" for name in names}
    new = [name for name, path in paths.items() if not path.exists() and not (directory / "roots.json").exists()]
    unappointed = area is not None and not any((directory / "appointments").glob("*.cose"))
    old = [path for name, path in paths.items() if path.exists() and look_at_key(path).locked] if unappointed else []
    if files:
        if len(files) != len(names):
            raise Refused("passphrase_count", field="passphrase-file", limit=len(names))
        by_name = dict(zip(names, files, strict=True))
        of_old = {path.stem: passphrase_in(by_name[path.stem]) for path in old}
        return of_old | (new_passphrases(new, [by_name[name] for name in new]) if new else {})
    ask = asker(old, None)
    return {path.stem: ask(look_at_key(path)) for path in old} | new_passphrases(new, None)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A folder of keys, a signing request or a key.")],
) -> None:
    """Print what is there: roots, appointments and until when, revocations, nodes; and what is wrong. No secrets.

    \b
    loa keys show /var/lib/loa/keys
    loa keys show lan.request
    """
    if path.is_dir() or not path.exists():
        show_keys(keyfiles.load_centre(path), _now())
    elif REQUEST_FORM.encode() in (data := read_bytes(path)):
        show_request(read_request(data.decode("utf-8", "replace")))
    else:
        typer.echo(file_words(look_at_public_half(path)))


@app.command()
def mandate(
    directory: Dir,
    out: Annotated[Path | None, typer.Option(help="Write the trust document here.")] = None,
) -> None:
    """Renew all mandates now and write the trust document, as a running controller does daily.

    \b
    loa keys mandate keys --out trust.cose && loa wire decode trust.cose --keys keys
    """
    keys, now = keyfiles.load_centre(directory), _now()
    document = keys.trust(version=next_version(0, now), now_ms=now)
    authority = accept_trust(document, Authority.pinned(keys.roots), now)
    path = out or directory / "trust.cose"
    write_whole(path, document, 0o644)
    for grants in authority.grants.values():
        for grant in grants:
            typer.echo(f"mandate {grant.mandate.hex()}  {grant.holder}  until {minute(grant.until)}")
    typer.echo(f"{path}: version {authority.version}, {len(document)} bytes")


@app.command()
def node(
    name: Annotated[str, typer.Argument(help="The loudspeaker's name, e.g. hong-gai-01.")],
    directory: DirOption = Path("keys"),
) -> None:
    """Make a loudspeaker's identity: its key and the pinned roots, in one file for its box.

    \b
    loa keys node hong-gai-01 --dir keys
    """
    identity = keyfiles.create_node(directory, name, system_entropy, _now())
    typer.echo(f"{directory / 'nodes' / name}.json")
    typer.echo(f"public key {identity.key.public_key.hex()}")
    typer.echo("Take the file to the box (`loa node --identity FILE`), enrol the public key, delete the file here.")


@app.command()
def passphrase(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A root's or a person's key file.")],
    old_passphrase_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For scripts: the present passphrase, where it has one.")
    ] = None,
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Put a key under a passphrase, or under another one. The key stays the same.

    \b
    loa keys passphrase root-1.json
    """
    ask = asker([file], [old_passphrase_file] if old_passphrase_file else None)
    name = look_at_key(file).name
    before = ask(look_at_key(file)) if look_at_key(file).locked else ""
    locked = lock_key(file, new_passphrases([name], passphrase_file)[name], system_entropy, lambda _: before)
    typer.echo(file_words(locked))


@app.command()
def seal_controller(
    directory: Dir,
    old_passphrase_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For scripts: the present passphrase, where it has one.")
    ] = None,
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Put the controller's key under a passphrase, which `loa serve` is given at each start.

    \b
    loa keys seal-controller /var/lib/loa/keys
    loa serve --keys-passphrase-file /run/loa/passphrase
    """
    path = directory / "controller.json"
    file, ask = look_at_key(path), asker([path], [old_passphrase_file] if old_passphrase_file else None)
    before = ask(file) if file.locked else ""
    words = new_passphrases([file.name], passphrase_file)[file.name]
    for other in (directory / name for name in OTHER_SECRETS):
        if other.exists():
            lock_secret(other, read_secret(other, lambda _: before if file.locked else words), words, system_entropy)
    typer.echo(file_words(lock_key(path, words, system_entropy, lambda _: before)))
    typer.echo("Start `loa serve` with --keys-passphrase-file, LOA_KEYS_PASSPHRASE or systemd's credential loa-keys.")
    typer.echo("A copy of the open key may still lie in backups and in freed blocks of this disk: docs/operations.md.")


@app.command()
def suggest() -> None:
    """Print a passphrase of 100 random bits, for an envelope.

    \b
    loa keys suggest
    """
    typer.echo(suggest_passphrase(system_entropy))
