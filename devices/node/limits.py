"""What an area's settings allow a node: hours, loudness, length. Pure."""

from collections.abc import Iterable

from devices.protocol.documents import Settings
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import DurationMs, InstantMs, Percent

_DAY_MIN = 1440
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0
DEFAULT_LONGEST_MS = DurationMs(3_600_000)


def narrowest(documents: Iterable[Settings], area: AreaPath | None) -> Settings | None:
    """The settings that hold at a place: the narrowest area's, as a whole."""
    here = [one for one in documents if area is not None and one.area.covers(area)]
    return max(here, key=lambda one: len(one.area.codes), default=None)


def hours_allow(settings: Settings | None, precedence: Precedence, at: InstantMs) -> bool:
    """Whether a broadcast may begin at this instant. Emergencies are exempt."""
    if settings is None or not settings.hours or precedence is Precedence.EMERGENCY:
        return True
    day, minute = divmod(at // 60_000 + settings.utc_offset_min, _DAY_MIN)
    weekday = (day + _EPOCH_WEEKDAY) % 7
    return any(hours.days >> weekday & 1 and hours.from_minute <= minute < hours.to_minute for hours in settings.hours)


def loudness(settings: Settings | None, precedence: Precedence, node_volume: Percent, asked: Percent | None) -> Percent:
    """The volume of one broadcast: what it asks for, else the node's own; capped.

    An emergency has nothing to do with the node's own volume or those caps: it is as loud as its place allows one to
    be, or less where the people who released it said so.
    """
    if precedence is Precedence.EMERGENCY:
        most = settings.emergency_volume if settings else Percent(100)
        return most if asked is None else Percent(min(asked, most))
    cap = 100
    if settings is not None:
        cap = settings.priority_cap if precedence is Precedence.PRIORITY else settings.ordinary_cap
    return Percent(min(asked if asked is not None else node_volume, cap))


def longest(settings: Settings | None, precedence: Precedence) -> DurationMs | None:
    """How long a broadcast may keep the amplifier on; an emergency until it is cancelled or expires."""
    if precedence is Precedence.EMERGENCY:
        return None
    return settings.longest_ms if settings else DEFAULT_LONGEST_MS
