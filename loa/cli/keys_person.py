"""`loa keys person` and `loa keys approve`: a key that stays on its person's own device."""

from pathlib import Path
from typing import Annotated

import typer

from controller.keydisk import look_at_key, read_bytes, read_key, write_locked_key, write_public_half, write_whole
from controller.peoplekeys import alert_in
from controller.peoplekeys import approve as approve_body
from devices.protocol.keys import SigningKey
from devices.protocol.readable import message_lines
from loa.cli.keys_asking import PassphraseFiles, asker, consent, new_passphrases
from loa.cli.keys_words import file_words
from loa.entropy import system_entropy

app = typer.Typer()
person = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""A person's key, under a release passphrase, on the person's own device.

    \b
    loa keys person new lan.json
    loa keys person show lan.json
    loa keys passphrase lan.json
    """,
)
app.add_typer(person, name="person")


@person.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it, e.g. lan.json.")],
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Make a key under a passphrase that is asked for twice. FILE.public.json beside it goes to the centre.

    Another passphrase than the one that signs in at the centre. A drill wants a key of its own.

    \b
    loa keys person new lan.json
    """
    if not file.exists():
        words = new_passphrases([file.stem], passphrase_file)[file.stem]
        write_locked_key(
            file, SigningKey(system_entropy(32)), "person", file.stem, passphrase=words, entropy=system_entropy
        )
    made = look_at_key(file)
    typer.echo(f"{file_words(made)}\n{write_public_half(made)}")


@person.command(name="show")
def show_person(file: Annotated[Path, typer.Argument(metavar="FILE", help="The key's file.")]) -> None:
    """Print the public half.

    \b
    loa keys person show lan.json
    """
    typer.echo(file_words(look_at_key(file)))


@app.command()
def approve(
    body: Annotated[Path, typer.Argument(metavar="BODYFILE", help="An alert's body, as the centre gives it.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Your key's file.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: BODYFILE.approval")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="For scripts: do not ask.")] = False,
    passphrase_file: PassphraseFiles = None,
) -> None:
    """Show an alert's body, and approve its very bytes by a detached signature (COSE_Sign1).

    \b
    loa keys approve storm.body --key lan.json
    """
    data = read_bytes(body)
    typer.echo("\n".join(message_lines(alert_in(data))))
    consent("Do you release this? (Đồng ý phát?)", yes)
    approval = approve_body(data, read_key(key, asker([key], passphrase_file)))
    target = out or body.with_name(f"{body.name}.approval")
    write_whole(target, approval, 0o644)
    typer.echo(f"{target}: {len(approval)} bytes")
