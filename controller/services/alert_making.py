"""Alerts out of words: spoken in each language that has a voice, sounded as the table says, then composed as any.

In three steps, so that nothing waits for a voice: `plan_words` looks at the tables, `speak_words` speaks beside the
event loop, `make_alert` writes the alert down with the very renditions that people will hear and sign.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from sqlmodel import Session

from audio.render import RenditionFile
from audio.voices import PROGRAM, Voice, primary, spoken
from controller.permissions import Permission
from controller.services import alerts
from controller.services.alert_bodies import AlertForm
from controller.services.alert_levels import Level, check_words, level_table
from controller.services.alert_release import RECORDING
from controller.services.bulletins import NewRendition, keep_alert_words, keep_rendition
from controller.services.context import Context
from controller.services.direct_rules import DirectRule
from controller.services.emergencies import whole_of
from controller.services.sight import targets_for
from controller.services.stored_sounds import languages_at, standing_for
from devices.protocol.common import MAX_RENDITIONS
from devices.protocol.media import manifest_for
from loa.entropy import new_id
from loa.errors import OperatorNeeded, Refused
from loa.precedence import Kind
from loa.units import InstantMs

LONGEST_EVENT = 200
LONGEST_SOURCE = 400


@dataclass(frozen=True)
class Words:
    """What is said in one language (BCP 47)."""

    language: str
    text: str


@dataclass(frozen=True)
class Draft:
    """An alert as somebody, or a CAP alert, words it."""

    title: str
    kind: Kind
    event: str
    """In CAP's sense: what it is about."""
    severity: str
    """CAP 1.2: Extreme, Severe, Moderate, Minor, Unknown."""
    urgency: str
    """CAP 1.2: Immediate, Expected, Future, Past, Unknown."""
    target_areas: tuple[str, ...]
    target_nodes: tuple[str, ...]
    words: tuple[Words, ...]
    expires_at: InstantMs | None
    """None: as long as the table says, from now."""
    references: tuple[str, ...]
    """Released alerts whose place it takes."""
    source: str | None
    """Where it came from, if not from who composes it: a CAP alert's sender, identifier and instant."""
    template: str | None
    bulletins: tuple[str, ...] = ()
    """Approved bulletins that sound after its own words."""
    siren: int | None = None
    """This and the following instead of what the table says."""
    repeats: int | None = None
    gap_ms: int | None = None
    volume: int | None = None
    direct: DirectRule | None = None
    """It waits for a source once it is approved."""


@dataclass(frozen=True)
class Spoken:
    """A language's words and what will be heard of them. `voice`: a voice's name, or `recording`."""

    language: str
    text: str
    voice: str
    rendition: NewRendition | None = None
    """Fresh speech; None where a recording is there already."""
    digest: str = ""
    """Of the recording, in hex."""


@dataclass(frozen=True)
class Plan:
    """What has to be spoken, what is there already, and how it will sound."""

    level: Level
    to_speak: tuple[Words, ...]
    recorded: tuple[Spoken, ...]


def plan_words(session: Session, ctx: Context, draft: Draft, *, voices: Sequence[str]) -> Plan:
    """Nothing is changed. `voices`: languages that can be spoken, primary tags.

    Raises Refused(bad_value, field_required, not_found, not_permitted, empty_target, text_empty, too_large, too_many,
    already_exists, no_voice), OperatorNeeded(voice_unavailable) where nothing speaks at all.
    """
    _check_draft(draft)
    targets = targets_for(session, ctx, Permission.ALERT_COMPOSE, draft.target_areas, draft.target_nodes)
    level = level_table(session).levels[draft.severity, draft.urgency]
    worded = {words.language.casefold(): place for place, words in enumerate(draft.words)}
    unspoken = [one.language for one in draft.words if primary(one.language) not in voices]
    heard = {primary(one.language) for one in draft.words}
    there = [one for one in languages_at(session, targets.areas, targets.nodes) if primary(one) not in heard]
    places = [*targets.areas, *whole_of(session, (), targets.nodes)]
    standing = standing_for(session, [draft.template or "", draft.event], [*unspoken, *there], places)
    for language in unspoken:
        if language not in standing:
            field = f"words.{worded[language.casefold()]}.language"
            if not voices:
                raise OperatorNeeded("voice_unavailable", field=field, value=PROGRAM, reason="not installed")
            raise Refused("no_voice", field=field, limit=", ".join(voices), value=language[:35])
    to_speak = tuple(one for one in draft.words if one.language not in unspoken)
    texts = {one.language: spoken(one.text) for one in draft.words}
    recorded = tuple(
        Spoken(language, texts.get(language, ""), RECORDING, digest=row.digest) for language, row in standing.items()
    )
    if len(to_speak) + len(recorded) > MAX_RENDITIONS:
        raise Refused("too_many", field="words", limit=MAX_RENDITIONS)
    return Plan(level, to_speak, recorded)


def speak_words(plan: Plan, voice: Voice) -> tuple[Spoken, ...]:
    """What each language will sound like, one after another; blocks for about a second a language. Touches no table.

    What lies at the nodes comes first: the rest has that long to come in.

    Raises OperatorNeeded(voice_unavailable), Refused(no_voice).
    """
    return (*plan.recorded, *(_said(words, voice) for words in plan.to_speak))


def make_alert(session: Session, ctx: Context, draft: Draft, plan: Plan, said: Sequence[Spoken]) -> str:
    """Keep the renditions, write the alert down for people to approve; its id.

    Raises Refused as `alerts.compose`, Fault(storage_full).
    """
    digests = [
        one.digest if one.rendition is None else keep_rendition(session, ctx, one.rendition)
        for one in said
    ]  # fmt: skip
    own = list(dict.fromkeys(digest for digest, one in zip(digests, said, strict=True) if one.rendition is not None))
    bulletin = new_id(ctx.entropy).hex() if own else None
    made = alerts.Making(
        event=draft.event.strip(), severity=draft.severity, urgency=draft.urgency, template=draft.template,
        source=draft.source,
        words=[
            {"language": one.language, "text": one.text, "digest": digest, "voice": one.voice}
            for one, digest in zip(said, digests, strict=True)
        ],
        bulletin=bulletin,
    )  # fmt: skip
    name = alerts.compose(
        session, ctx, _form(draft, plan.level, list(dict.fromkeys(digests))), title=draft.title, made=made
    )
    if bulletin is not None:
        row = alerts.alert_row(session, ctx, name)
        keep_alert_words(session, ctx, id=bulletin, alert=name, title=row.title, area=row.area, digests=own)
    return name


def _check_draft(draft: Draft) -> None:
    check_words(draft.severity, draft.urgency)
    for field, value, most in (("title", draft.title, 200), ("event", draft.event, LONGEST_EVENT)):
        if not value.strip():
            raise Refused("field_required", field=field)
        if len(value) > most:
            raise Refused("too_large", field=field, limit=f"{most} characters")
    if draft.source is not None and len(draft.source) > LONGEST_SOURCE:
        raise Refused("too_large", field="source", limit=f"{LONGEST_SOURCE} characters")
    languages: set[str] = set()
    for place, words in enumerate(draft.words):
        if words.language.casefold() in languages:
            raise Refused("already_exists", field=f"words.{place}.language", value=words.language[:35])
        languages.add(words.language.casefold())
        try:
            spoken(words.text)
        except Refused as error:
            raise Refused(error.code, field=f"words.{place}.text", limit=error.limit) from error


def new_rendition(made: RenditionFile, language: str) -> NewRendition:
    """Encoded audio as it is kept."""
    by_peak = made.levelled_by == "peak"
    manifest = manifest_for(
        made.data, duration_ms=made.duration_ms, loudness_centi_lufs=0 if by_peak else round(made.loudness_lufs * 100),
        peak_centi_db=round(made.peak_dbtp * 100),
    )  # fmt: skip
    return NewRendition(made.data, manifest, language=language, levelled_by=made.levelled_by)


def _said(words: Words, voice: Voice) -> Spoken:
    made = voice.speak(words.text, words.language)
    return Spoken(words.language, spoken(words.text), voice.name, new_rendition(made, words.language))


def _form(draft: Draft, level: Level, digests: Sequence[str]) -> AlertForm:
    form = AlertForm(
        target_areas=draft.target_areas, target_nodes=draft.target_nodes, bulletins=draft.bulletins, kind=draft.kind,
        renditions=digests, references=draft.references, expires_at=draft.expires_at, direct=draft.direct,
        **asdict(level),
    )  # fmt: skip
    given = {name: getattr(draft, name) for name in ("siren", "repeats", "gap_ms", "volume")}
    return replace(form, **{name: value for name, value in given.items() if value is not None})
