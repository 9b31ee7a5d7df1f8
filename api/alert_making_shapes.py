"""What the table of levels, templates and stored sounds look like over HTTP."""

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, StrictBool

from api.alert_shapes import LanguageText, SeverityWord, UrgencyWord
from api.shapes import AreaText, Asked, Hex16, NameText, Shown, Text, moment_or_none, volume_within, whole
from audio.voices import LONGEST_TEXT
from controller.services.alert_bodies import LONGEST_GAP_MS
from controller.services.alert_levels import Level, LevelTable
from controller.services.alert_texts import Blank, Template
from controller.services.settings_changes import LEAST_EMERGENCY_VOLUME
from controller.services.sounds_held import Held
from controller.services.stored_sounds import StoredSound
from devices.protocol.alerts import LONGEST_ALERT_MS
from loa.units import DurationMs, Percent

_Version = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(whole)]


class LevelRow(Asked):
    """How an alert of this severity and urgency sounds."""

    severity: SeverityWord
    urgency: UrgencyWord
    siren: Annotated[int, Field(ge=0, le=254), BeforeValidator(whole)] = Field(description="Code; 0 for none")
    repeats: Annotated[int, Field(ge=0, le=255), BeforeValidator(whole)] = Field(
        description="0: until it is cancelled or expires"
    )
    gap_ms: Annotated[int, Field(ge=0, le=LONGEST_GAP_MS), BeforeValidator(whole)]
    volume: Annotated[int, Field(ge=LEAST_EMERGENCY_VOLUME, le=100), volume_within(LEAST_EMERGENCY_VOLUME)] = Field(
        description="As far as each place's settings allow it"
    )
    lasts_ms: Annotated[int, Field(ge=60_000, le=LONGEST_ALERT_MS), BeforeValidator(whole)] = Field(
        description="Its window, where it says no end of its own"
    )

    def level(self) -> Level:
        return Level(self.siren, self.repeats, DurationMs(self.gap_ms), Percent(self.volume), DurationMs(self.lasts_ms))


class LevelsShown(Shown):
    version: int = Field(description="0: as shipped")
    changed_by: str | None
    changed_at: datetime | None
    levels: list[LevelRow]


class NewLevels(Asked):
    version: _Version = Field(description="What you looked at; another is refused")
    levels: Annotated[list[LevelRow], Field(min_length=1, max_length=25)] = Field(description="The rows that change")


class BlankRow(Asked):
    """Something that must be filled in."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,29}$")] = Field(examples=["place"])
    vi: Text = Field(examples=["Nơi"], description="What people are asked for")
    en: Text = Field(examples=["Place"])
    example: Text = ""


class TemplateWords(Asked):
    """`{name}` in a text or in the title is a blank; each is listed in `blanks`."""

    event: Annotated[Text, Field(min_length=1, max_length=80)] = Field(examples=["Bão"])
    names: Annotated[dict[LanguageText, Text], Field(max_length=8)] = Field(examples=[{"vi": "Bão", "en": "Storm"}])
    severity: SeverityWord
    urgency: UrgencyWord
    title: Text = Field(examples=["Bão {number}"])
    blanks: Annotated[list[BlankRow], Field(max_length=16)]
    texts: Annotated[
        dict[LanguageText, Annotated[str, Field(max_length=LONGEST_TEXT)]], Field(min_length=1, max_length=8)
    ] = Field(examples=[{"vi": "Bão {number} đang đến.", "en": "Storm {number} is coming."}])


class NewTemplate(TemplateWords):
    version: _Version | None = Field(default=None, description="What you looked at; none for one that is not there yet")

    def template(self, name: str) -> Template:
        return Template(
            id=name, event=self.event, names=self.names, severity=self.severity, urgency=self.urgency,
            title=self.title, blanks=tuple(Blank(one.name, one.vi, one.en, one.example) for one in self.blanks),
            texts=self.texts,
        )  # fmt: skip


class TemplateShown(TemplateWords):
    id: str
    version: int = Field(description="0: as shipped")


class SoundAsked(Asked):
    """A siren by its code, or a standing recording by event and language."""

    area: AreaText = Field(description="All nodes of it keep the sound")
    bulletin: Hex16 = Field(description="Approved, and one sound alone")
    code: Annotated[int, Field(ge=1, le=255), BeforeValidator(whole)] | None = Field(
        default=None, description="1 to 63 for sirens; 255 is what every drill begins with"
    )
    event: Annotated[Text, Field(max_length=80)] | None = Field(
        default=None, description="A template's id, or an event as alerts name it", examples=["storm"]
    )
    language: LanguageText | None = Field(default=None, examples=["tyz"])


class SoundHeld(Shown):
    nodes: int = Field(description="Nodes of the area that are to keep it")
    held: int = Field(description="Of those, how many said in their last health report that they do")


class StoredSoundShown(Shown):
    code: int
    title: str
    digest: str
    language: str
    duration_ms: int
    bulletin: str | None
    event: str | None = Field(description="Of a standing recording")
    at_nodes: SoundHeld | None = Field(default=None, description="Where it was asked for")


class StoredSoundsShown(Shown):
    area: str
    sounds: list[StoredSoundShown]


class ShippedAsked(Asked):
    anew: StrictBool = Field(default=False, description="Also in the place of the province's own")


TemplateName = NameText


def levels_shown(table: LevelTable) -> LevelsShown:
    rows = [
        LevelRow.model_validate({
            "severity": pair[0], "urgency": pair[1], "siren": one.siren, "repeats": one.repeats, "gap_ms": one.gap_ms,
            "volume": one.volume, "lasts_ms": one.lasts_ms,
        })
        for pair, one in table.levels.items()
    ]  # fmt: skip
    return LevelsShown(
        version=table.version, changed_by=table.changed_by, changed_at=moment_or_none(table.changed_at), levels=rows
    )


def template_shown(one: Template) -> TemplateShown:
    return TemplateShown.model_validate({
        "id": one.id, "version": one.version, "event": one.event, "names": dict(one.names), "severity": one.severity,
        "urgency": one.urgency, "title": one.title, "texts": dict(one.texts),
        "blanks": [{"name": row.name, "vi": row.vi, "en": row.en, "example": row.example} for row in one.blanks],
    })  # fmt: skip


def sound_shown(one: StoredSound, held: Held | None = None) -> StoredSoundShown:
    return StoredSoundShown(
        code=one.code, title=one.title, digest=one.digest.hex(), language=one.language, duration_ms=one.duration_ms,
        bulletin=one.bulletin, event=one.event,
        at_nodes=None if held is None else SoundHeld(nodes=held.nodes, held=held.held),
    )  # fmt: skip
