"""`loa audio`: try a recording before anything is broadcast."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from audio.compare import Match, heard_matches, rendition_matches
from audio.decode import RATE, decode_file
from audio.importing import ImportedAudio, ImportOptions, read_mono
from audio.process import import_in_process
from loa.errors import Refused

app = typer.Typer(
    no_args_is_help=True,
    help="Try a recording: check, level, encode, compare.",
    rich_markup_mode=None,
    add_completion=False,
)

Recording = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Any recording: MP3, M4A, WAV, OGG, ...")]
AcceptPart = Annotated[bool, typer.Option("--accept-part", help="Take the part that plays of a damaged file.")]
Chime = Annotated[bool, typer.Option("--chime/--no-chime", help="Put an opening and a closing chime around it.")]


@app.command()
def check(file: Recording, accept_part: AcceptPart = False) -> None:
    """Say what a recording is, how loud, and what would be broadcast of it; nothing is written."""
    imported = _import(file, ImportOptions(accept_part=accept_part))
    _describe(imported)
    match = rendition_matches(decode_file(imported.rendition.data), read_mono(file))
    typer.echo(f"faithful     {_verdict(match)}")
    if not match.ok:
        raise typer.Exit(1)


@app.command()
def make(
    file: Recording,
    out: Annotated[Path, typer.Option("--out", "-o", help="The Ogg Opus file to write.")],
    chime: Chime = False,
    accept_part: AcceptPart = False,
) -> None:
    """Make the file that goes out to the loudspeakers."""
    imported = _import(file, ImportOptions(chime=chime, accept_part=accept_part))
    out.write_bytes(imported.rendition.data)
    _describe(imported)
    typer.echo(f"written      {out} ({len(imported.rendition.data):,} bytes)")


@app.command()
def compare(
    heard: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What came out of a loudspeaker.")],
    reference: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The rendition, or the recording.")],
    drift: Annotated[bool, typer.Option("--drift", help="Allow for the clock of a real sound card.")] = False,
    recording: Annotated[
        bool, typer.Option("--recording", help="REFERENCE is the input recording: compare by ear, not by sample.")
    ] = False,
) -> None:
    """Say whether two files hold the same sound. Exit code 1 where they do not."""
    first, second = read_mono(heard), read_mono(reference)
    match = rendition_matches(first, second) if recording else heard_matches(first, second, RATE, drift=drift)
    typer.echo(_verdict(match))
    typer.echo(f"lag          {match.lag_ms:.2f} ms")
    typer.echo(f"gain         {match.gain:.3f}")
    if drift:
        typer.echo(f"drift        {match.drift_ppm:+.1f} ppm")
    if match.failed_windows:
        typer.echo("differs at   " + ", ".join(f"{place / 1000:.1f} s" for place in match.failed_windows))
    if not match.ok:
        raise typer.Exit(1)


def _import(file: Path, options: ImportOptions) -> ImportedAudio:
    shown = sys.stderr.isatty()

    def progress(done: float, stage: str) -> None:
        if shown:
            sys.stderr.write(f"\r{stage:9} {done:4.0%} ")

    try:
        return asyncio.run(import_in_process(file, options=options, progress=progress))
    except KeyboardInterrupt:
        raise Refused("cancelled") from None
    finally:
        if shown:
            sys.stderr.write("\r" + " " * 20 + "\r")


def _describe(imported: ImportedAudio) -> None:
    source, rendition = imported.source, imported.rendition
    channels = f"{source.channels} channel{'s' if source.channels != 1 else ''}"
    part = ", only a part plays" if source.partial else ""
    typer.echo(f"recording    {source.codec}, {source.rate} Hz, {channels}, {source.decoded_ms / 1000:.2f} s{part}")
    typer.echo(
        f"trimmed      {imported.trimmed_head_ms / 1000:.2f} s of silence before, "
        f"{imported.trimmed_tail_ms / 1000:.2f} s after"
    )
    typer.echo(
        f"rendition    {rendition.duration_ms / 1000:.2f} s, {rendition.loudness_lufs:.1f} LUFS, "
        f"{rendition.peak_dbtp:.1f} dBTP, levelled by {rendition.levelled_by}"
    )


def _verdict(match: Match) -> str:
    return "the same sound" if match.ok else f"not the same sound: {match.reason}"
