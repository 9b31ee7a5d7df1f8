"""Templates of alerts: words with blanks that must be filled. Shipped ones, as a province changed them, and its own."""

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlmodel import Session, select

from audio.voices import LONGEST_TEXT, primary, spoken
from controller.permissions import Permission
from controller.services.alert_levels import check_words
from controller.services.alert_texts import SHIPPED_TEMPLATES, Blank, Template
from controller.services.context import Context, note_deed
from controller.tables import AlertTemplateRow
from loa.errors import Refused

LONGEST_BLANK = 200
MOST_BLANKS = 16
MOST_LANGUAGES = 8
_ID = re.compile(r"[a-z0-9-]{1,32}\Z")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}\Z")
_LANGUAGE = re.compile(r"[a-zA-Z]{2,8}(-[a-zA-Z0-9]{1,8}){0,3}\Z")


@dataclass(frozen=True)
class Filled:
    """A template's title, and its text in each language asked for."""

    title: str
    texts: Mapping[str, str]


def templates(session: Session) -> tuple[Template, ...]:
    """All of them by id, as they are now."""
    held = {one.id: one for one in SHIPPED_TEMPLATES}
    for row in session.exec(select(AlertTemplateRow)):
        held.pop(row.id, None)
        if row.content:
            held[row.id] = _read(row.id, row.version, row.content)
    return tuple(held[name] for name in sorted(held))


def template(session: Session, id: str) -> Template:  # noqa: A002
    """Raises Refused(not_found)."""
    for one in templates(session):
        if one.id == id:
            return one
    raise Refused("not_found", field="template", value=id[:32])


def keep_template(session: Session, ctx: Context, wanted: Template, *, seen: int | None) -> Template:
    """Add one, or put it in the place of what has its id. `seen`: the version that was looked at; None for a new one.

    Raises Refused(not_permitted, content_changed, already_exists, bad_value, blank_unlisted, blank_unused,
    field_required, too_large, too_many).
    """
    ctx.demand(Permission.SETTINGS_MANAGE, ctx.province)
    _check(wanted)
    _demand_seen(session, wanted.id, seen)
    return _put(session, ctx, wanted.id, asdict(wanted), wanted.event)


def remove_template(session: Session, ctx: Context, id: str, *, seen: int) -> None:  # noqa: A002
    """Take one out of use, a shipped one too. Raises Refused(not_permitted, not_found, content_changed)."""
    ctx.demand(Permission.SETTINGS_MANAGE, ctx.province)
    template(session, id)
    _demand_seen(session, id, seen)
    _put(session, ctx, id, {}, "removed")


def fill(one: Template, blanks: Mapping[str, str], languages: Sequence[str]) -> Filled:
    """The words in each of these languages that it has a text in.

    blanks: by name; `name.en` for one language alone. Raises Refused(blank_empty, unknown_field, too_large).
    """
    names = {blank.name for blank in one.blanks}
    for given, value in blanks.items():
        if given.split(".")[0] not in names:
            raise Refused("unknown_field", field=f"blanks.{given[:60]}")
        if len(value) > LONGEST_BLANK:
            raise Refused("too_large", field=f"blanks.{given}", limit=f"{LONGEST_BLANK} characters")
    chosen = [language for language in dict.fromkeys(languages) if text_in(one, language) is not None]
    texts = {language: _filled(one, text_in(one, language) or "", blanks, language) for language in chosen}
    return Filled(_filled(one, one.title, blanks, "vi")[:200], texts)


def text_in(one: Template, language: str) -> str | None:
    """Its text in a language, else in the language without its region."""
    by_tag = {tag.casefold(): text for tag, text in one.texts.items()}
    return by_tag.get(language.casefold()) or by_tag.get(primary(language))


def _filled(one: Template, text: str, blanks: Mapping[str, str], language: str) -> str:
    values: dict[str, str] = {}
    for blank in one.blanks:
        value = blanks.get(f"{blank.name}.{language}") or blanks.get(blank.name, "")
        if blank.name in _blanks_in(text):
            if not any(letter.isalnum() for letter in value):
                raise Refused("blank_empty", field=f"blanks.{blank.name}", value=blank.vi, name=blank.en)
            values[blank.name] = "".join(one for one in " ".join(value.split()) if one.isprintable())
    return text.format_map(values)


def _blanks_in(text: str) -> set[str]:
    """Raises ValueError for braces that name no blank."""
    found = set()
    for _, name, form, conversion in string.Formatter().parse(text):
        if name is None:
            continue
        if form or conversion or not _NAME.match(name):
            raise ValueError(name)
        found.add(name)
    return found


def _check(wanted: Template) -> None:
    if not _ID.match(wanted.id):
        raise Refused("bad_value", field="id", limit="a-z 0-9 -, 1–32", reason=wanted.id[:40])
    check_words(wanted.severity, wanted.urgency)
    for field, value, most in (("event", wanted.event, 80), ("title", wanted.title, 200)):
        if not value.strip():
            raise Refused("field_required", field=field)
        if len(value) > most:
            raise Refused("too_large", field=field, limit=f"{most} characters")
    for field, count, most in (
        ("blanks", len(wanted.blanks), MOST_BLANKS),
        ("texts", len(wanted.texts), MOST_LANGUAGES),
    ):
        if count > most:
            raise Refused("too_many", field=field, limit=most)
    if not wanted.texts:
        raise Refused("field_required", field="texts")
    _check_blanks(wanted)


def _check_blanks(wanted: Template) -> None:
    """Each listed once, and used; none used that is not listed."""
    names = [blank.name for blank in wanted.blanks]
    for place, name in enumerate(names):
        if not _NAME.match(name) or names.count(name) > 1:
            raise Refused("bad_value", field=f"blanks.{place}.name", limit="a-z 0-9 _, 1 ×", reason=name[:40])
    used = set()
    for field, text in (("title", wanted.title), *((f"texts.{tag}", text) for tag, text in wanted.texts.items())):
        used |= _checked_text(field, text, set(names))
    for place, name in enumerate(names):
        if name not in used:
            raise Refused("blank_unused", field=f"blanks.{place}.name", name=name)


def _checked_text(field: str, text: str, names: set[str]) -> set[str]:
    """The blanks in a text of a template."""
    if field.startswith("texts.") and not _LANGUAGE.match(field[6:]):
        raise Refused("bad_value", field="texts", limit="BCP 47", reason=field[6:46])
    try:
        found = _blanks_in(text)
    except ValueError as error:
        raise Refused("bad_value", field=field, limit="{name}", reason=str(error)[:80]) from error
    if not found <= names:
        raise Refused("blank_unlisted", field=field, names=", ".join(sorted(found - names)))
    if len(text) > LONGEST_TEXT:
        raise Refused("too_large", field=field, limit=f"{LONGEST_TEXT} characters")
    if field != "title":
        spoken(text)
    return found


def _demand_seen(session: Session, name: str, seen: int | None) -> None:
    held = next((one.version for one in templates(session) if one.id == name), None)
    if seen is None and held is not None:
        raise Refused("already_exists", field="id", value=name)
    if seen is not None and seen != held:
        raise Refused("content_changed", field="version", limit=held)


def _put(session: Session, ctx: Context, name: str, content: dict[str, Any], told: str) -> Template:
    row = session.get(AlertTemplateRow, name)
    version = 1 if row is None else row.version + 1
    if row is None:
        row = AlertTemplateRow(id=name, version=version, changed_by=ctx.account, changed_at=ctx.now)
    row.version, row.content, row.changed_by, row.changed_at = version, content, ctx.account, ctx.now
    session.add(row)
    session.flush()
    note_deed(session, ctx, "template", "alert_template", name, detail=f"version {version}: {told}")
    return _read(name, version, content) if content else Template(name, "", {}, "", "", "", (), {}, version)


def _read(name: str, version: int, content: Mapping[str, Any]) -> Template:
    blanks = tuple(Blank(**one) for one in content["blanks"])
    rest = {key: content[key] for key in ("event", "names", "severity", "urgency", "title", "texts")}
    return Template(id=name, blanks=blanks, version=version, **rest)
