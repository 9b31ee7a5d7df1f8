"""How an alert sounds by its CAP severity and urgency: siren, repeats, silence between, volume, how long it holds.

The words are those of CAP 1.2, section 3.2.2 (OASIS, 2010). What is shipped is a start; a province edits it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.alert_bodies import LONGEST_GAP_MS
from controller.services.context import Context, note_deed
from controller.services.settings_changes import LEAST_EMERGENCY_VOLUME
from controller.tables import AlertLevelTable
from devices.protocol.alerts import LONGEST_ALERT_MS
from devices.protocol.common import DRILL_ANNOUNCEMENT
from loa.errors import Refused
from loa.units import DurationMs, InstantMs, Percent

SEVERITIES: Final = ("Extreme", "Severe", "Moderate", "Minor", "Unknown")
"""Extraordinary threat to life or property; significant; possible; minimal; not known."""
URGENCIES: Final = ("Immediate", "Expected", "Future", "Past", "Unknown")
"""To act on at once; within the hour; in the near future; no longer; not known."""
WAIL, TWO_TONE, GONG = 1, 2, 3
"""The sirens that are shipped: the highest alarm, an alarm, a call for attention."""
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True)
class Level:
    """What an alert of one severity and urgency gets. `repeats` 0: until it is cancelled or expires."""

    siren: int
    repeats: int
    gap_ms: DurationMs
    volume: Percent
    lasts_ms: DurationMs
    """Where the alert says no expiry of its own."""


Levels = Mapping[tuple[str, str], Level]
"""By severity and urgency, every pair of the two."""


def _level(siren: int, repeats: int, gap_s: int, volume: int, hours: int) -> Level:
    return Level(siren, repeats, DurationMs(gap_s * 1000), Percent(volume), DurationMs(hours * _HOUR_MS))


_LOUDEST: Final = {
    "Immediate": _level(WAIL, 0, 10, 100, 1),
    "Expected": _level(WAIL, 5, 20, 100, 6),
    "Future": _level(TWO_TONE, 3, 30, 100, 12),
}
_SERIOUS: Final = {
    "Immediate": _level(WAIL, 5, 20, 100, 1),
    "Expected": _level(TWO_TONE, 3, 30, 100, 6),
    "Future": _level(TWO_TONE, 2, 30, 90, 12),
}
_POSSIBLE: Final = {
    "Immediate": _level(TWO_TONE, 3, 30, 90, 1),
    "Expected": _level(GONG, 2, 30, 80, 6),
    "Future": _level(GONG, 1, 30, 80, 12),
}
_SMALL: Final = {
    "Immediate": _level(GONG, 2, 30, 80, 1),
    "Expected": _level(GONG, 1, 30, 70, 6),
    "Future": _level(GONG, 1, 30, 70, 12),
}
_OVER: Final = _level(0, 1, 0, 70, 1)
"""Nothing has to be done any more: said once, with no siren."""


def _shipped() -> Levels:
    # What is not known is taken for serious, and to be acted upon within the hour.
    of_severity = dict(zip(SEVERITIES, (_LOUDEST, _SERIOUS, _POSSIBLE, _SMALL, _SERIOUS), strict=True))
    return {
        (severity, urgency): _OVER if urgency == "Past" else by_urgency.get(urgency, by_urgency["Expected"])
        for severity, by_urgency in of_severity.items()
        for urgency in URGENCIES
    }


SHIPPED: Final[Levels] = _shipped()


def check_words(severity: str, urgency: str) -> None:
    """Raises Refused(bad_value) for a word that is not CAP's."""
    for field, value, known in (("severity", severity, SEVERITIES), ("urgency", urgency, URGENCIES)):
        if value not in known:
            raise Refused("bad_value", field=field, limit=", ".join(known), reason=value[:40])


@dataclass(frozen=True)
class LevelTable:
    """The table in force. Version 0 is the shipped one."""

    version: int
    levels: Levels
    changed_by: str | None = None
    changed_at: InstantMs | None = None


def level_table(session: Session) -> LevelTable:
    """The newest version."""
    row = session.exec(select(AlertLevelTable).order_by(col(AlertLevelTable.version).desc()).limit(1)).first()
    if row is None:
        return LevelTable(0, SHIPPED)
    held = {(one["severity"], one["urgency"]): _read(one) for one in row.levels}
    return LevelTable(row.version, {**SHIPPED, **held}, row.changed_by, InstantMs(row.changed_at))


def change_levels(session: Session, ctx: Context, changes: Levels, *, seen: int) -> LevelTable:
    """Change some rows of the table; what was composed before keeps its sound. `seen`: the version that was looked at.

    Raises Refused(not_permitted, content_changed, bad_value, volume_range, field_required).
    """
    ctx.demand(Permission.SETTINGS_MANAGE, ctx.province)
    held = level_table(session)
    if held.version != seen:
        raise Refused("content_changed", field="version", limit=held.version)
    if not changes:
        raise Refused("field_required", field="levels")
    for place, ((severity, urgency), level) in enumerate(changes.items()):
        check_words(severity, urgency)
        _check_level(level, f"levels.{place}.")
    fresh = {pair: level for pair, level in changes.items() if held.levels[pair] != level}
    if not fresh:
        return held
    levels = {**held.levels, **fresh}
    session.add(
        AlertLevelTable(
            version=held.version + 1, changed_by=ctx.account, changed_at=ctx.now,
            levels=[{"severity": pair[0], "urgency": pair[1], **asdict(level)} for pair, level in levels.items()],
        )
    )  # fmt: skip
    session.flush()
    told = "; ".join(f"{'/'.join(pair)} {_told(held.levels[pair])} → {_told(level)}" for pair, level in fresh.items())
    note_deed(session, ctx, "levels", "area", ctx.province, detail=f"version {held.version + 1}: {told}")
    return level_table(session)


def _read(row: Mapping[str, Any]) -> Level:
    return Level(
        row["siren"], row["repeats"], DurationMs(row["gap_ms"]), Percent(row["volume"]), DurationMs(row["lasts_ms"])
    )


def _check_level(level: Level, where: str) -> None:
    if not LEAST_EMERGENCY_VOLUME <= level.volume <= 100:
        raise Refused("volume_range", field=f"{where}volume", limit=f"{LEAST_EMERGENCY_VOLUME}–100", value=level.volume)
    for field, value, least, most in (
        ("siren", level.siren, 0, DRILL_ANNOUNCEMENT - 1),
        ("repeats", level.repeats, 0, 255),
        ("gap_ms", level.gap_ms, 0, LONGEST_GAP_MS),
        ("lasts_ms", level.lasts_ms, 60_000, LONGEST_ALERT_MS),
    ):
        if not least <= value <= most:
            raise Refused("bad_value", field=where + field, limit=f"{least}–{most}", reason=value)


def _told(level: Level) -> str:
    return f"{level.siren},{level.repeats},{level.gap_ms},{level.volume},{level.lasts_ms}"
