"""`loa alert levels`, `loa alert templates`, `loa alert sounds`: by what emergencies are made."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from loa.cli.client import Json, Server, find, minutes, print_table, segment, show, verbs
from loa.errors import Refused

levels = verbs(
    """How alerts sound, by CAP's severity and urgency: siren, repeats, gap, volume, window.

\b
loa alert levels list
loa alert levels set Severe Expected --siren 2 --repeats 3 --gap 30 --volume 100 --minutes 360"""
)
templates = verbs(
    """What alerts say: words with blanks that must be filled.

\b
loa alert templates list
loa alert templates show storm > storm.json    its words, to be edited
loa alert templates keep storm storm.json      in its place, or as a new one
loa alert templates remove storm"""
)
sounds = verbs(
    """What lies at the nodes before it is needed: sirens, standing recordings, what drills begin with.

\b
loa alert sounds list --area quang-ninh/ba-che
loa alert sounds shipped                       three sirens and the drill announcement, made at the centre
loa alert sounds store 5d6c --code 4 --area quang-ninh
loa alert sounds store 5d6c --event storm --language tyz --area quang-ninh/ba-che
loa alert sounds remove 64 --area quang-ninh/ba-che"""
)
_LEVELS = ("SEVERITY", "URGENCY", "SIREN", "REPEATS", "GAP", "VOLUME", "WINDOW")
_TEMPLATES = ("ID", "NAME", "SEVERITY", "URGENCY", "LANGUAGES", "BLANKS", "VERSION")
_SOUNDS = ("CODE", "TITLE", "LANGUAGE", "LENGTH", "EVENT", "BULLETIN")
Area = Annotated[str | None, typer.Option("--area", help="Of which place; the province unless given.")]


def words_of(template: Any) -> Any:
    """What is kept of a template, without what the centre adds."""
    return {name: value for name, value in template.items() if name not in ("id", "version")}


@levels.command("list")
def list_levels(as_json: Json = False) -> None:
    """The table in force."""
    table = Server.known().ask("GET", "/alert-levels")

    def tell() -> None:
        print_table(_LEVELS, [_level(row) for row in table["levels"]], none="")
        by = f", by {table['changed_by']}" if table["changed_by"] else ", as shipped"
        typer.echo(f"Version {table['version']}{by}")

    show(table, as_json, tell)


def _level(row: Any) -> tuple[object, ...]:
    repeats = row["repeats"] or "until cancelled"
    return (
        row["severity"], row["urgency"], row["siren"] or "none", repeats, f"{row['gap_ms'] / 1000:g} s",
        f"{row['volume']} %", minutes(row["lasts_ms"]),
    )  # fmt: skip


@levels.command("set")
def set_level(  # noqa: PLR0917 - options, all of them given by name
    severity: str,
    urgency: str,
    siren: Annotated[int | None, typer.Option(min=0, max=254, help="Its code; 0 for none.")] = None,
    repeats: Annotated[int | None, typer.Option(min=0, max=255, help="0: until cancelled or over.")] = None,
    gap: Annotated[float | None, typer.Option(min=0, max=30, help="Seconds between repeats.")] = None,
    volume: Annotated[int | None, typer.Option(min=50, max=100)] = None,
    window: Annotated[int | None, typer.Option("--minutes", min=1, help="Where an alert says no end itself.")] = None,
    as_json: Json = False,
) -> None:
    """Change one row, for the whole province. What is not given stays as it is."""
    server = Server.known()
    table = server.ask("GET", "/alert-levels")
    row = next((one for one in table["levels"] if (one["severity"], one["urgency"]) == (severity, urgency)), None)
    if row is None:
        known = sorted({f"{one['severity']} {one['urgency']}" for one in table["levels"]})
        raise Refused("bad_value", field="severity", limit=", ".join(known), reason=f"{severity} {urgency}")
    given = {
        "siren": siren, "repeats": repeats, "gap_ms": None if gap is None else round(gap * 1000), "volume": volume,
        "lasts_ms": None if window is None else window * 60_000,
    }  # fmt: skip
    row |= {name: value for name, value in given.items() if value is not None}
    done = server.ask("PUT", "/alert-levels", body={"version": table["version"], "levels": [row]})
    show(done, as_json, lambda: typer.echo(f"Version {done['version']}"))


@templates.command("list")
def list_templates(as_json: Json = False) -> None:
    """All of them."""
    items = Server.known().ask("GET", "/alert-templates")
    show(items, as_json, lambda: print_table(_TEMPLATES, [_template(one) for one in items], none="No templates."))


def _template(one: Any) -> tuple[object, ...]:
    blanks = ", ".join(row["name"] for row in one["blanks"])
    name = one["names"].get("vi") or one["event"]
    return one["id"], name, one["severity"], one["urgency"], ", ".join(one["texts"]), blanks, one["version"]


@templates.command("show")
def show_template(template: str) -> None:
    """Its words as JSON, as `keep` takes them."""
    one = Server.known().ask("GET", f"/alert-templates/{segment(template)}")
    typer.echo(json.dumps(words_of(one), ensure_ascii=False, indent=2))


@templates.command()
def keep(template: str, file: Path, as_json: Json = False) -> None:
    """Put a template's words in the place of what is there, or add it."""
    server = Server.known()
    try:
        words = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused("file_missing", field="file", value=str(file)) from error
    except ValueError as error:
        raise Refused("bad_json", field="file") from error
    held = next((one for one in server.ask("GET", "/alert-templates") if one["id"] == template), None)
    body = words | {"version": held["version"] if held else None}
    done = server.ask("PUT", f"/alert-templates/{segment(template)}", body=body)
    show(done, as_json, lambda: typer.echo(f"{done['id']}  version {done['version']}"))


@templates.command()
def remove(template: str) -> None:
    """Take it out of use."""
    server = Server.known()
    held = server.ask("GET", f"/alert-templates/{segment(template)}")
    server.ask("DELETE", f"/alert-templates/{segment(template)}", query={"version": held["version"]})
    typer.echo(f"{template}  removed")


@sounds.command("list")
def list_sounds(area: Area = None, as_json: Json = False) -> None:
    """What nodes of a place keep."""
    _tell(Server.known().ask("GET", "/stored-sounds", query={"area": area} if area else None), as_json)


def _tell(found: Any, as_json: bool) -> None:
    rows = [
        (one["code"], one["title"], one["language"], f"{one['duration_ms'] / 1000:.1f} s", one["event"] or "",
         (one["bulletin"] or "")[:12])
        for one in found["sounds"]
    ]  # fmt: skip
    show(found, as_json, lambda: print_table(_SOUNDS, rows, none="No stored sounds: run `loa alert sounds shipped`."))


@sounds.command()
def shipped(
    anew: Annotated[bool, typer.Option("--anew", help="Also in the place of the province's own.")] = False,
    as_json: Json = False,
) -> None:
    """Three sirens and the announcement that drills begin with, made at the centre, to every node."""
    _tell(Server.known().ask("POST", "/stored-sounds/shipped", body={"anew": anew}), as_json)


@sounds.command()
def store(  # noqa: PLR0917 - options, all of them given by name
    bulletin: Annotated[str, typer.Argument(help="An approved bulletin, the beginning of its id.")],
    area: Annotated[str, typer.Option(help="All nodes of it keep the sound.")],
    code: Annotated[int | None, typer.Option(min=1, max=255, help="Of a siren; 255: what drills begin with.")] = None,
    event: Annotated[str | None, typer.Option(help="Of a standing recording: a template's id, or an event.")] = None,
    language: Annotated[str | None, typer.Option(help="Of a standing recording: BCP 47, as tyz.")] = None,
    as_json: Json = False,
) -> None:
    """A siren by its code, or a standing recording by event and language."""
    server = Server.known()
    body = {
        "area": area, "bulletin": find(server, "/bulletins", bulletin, "bulletin")["id"], "code": code, "event": event,
        "language": language,
    }  # fmt: skip
    _tell(server.ask("POST", "/stored-sounds", body=body), as_json)


@sounds.command("remove")
def remove_sound(
    code: int, area: Annotated[str, typer.Option(help="Its nodes give the sound up.")], as_json: Json = False
) -> None:
    """Nodes of a place give it up. Without 255 no drill sounds there."""
    _tell(Server.known().ask("DELETE", f"/stored-sounds/{code}", query={"area": area}), as_json)
