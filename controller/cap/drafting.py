"""What an alert of others would have our loudspeakers say, and where. Values in, values out; people decide."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from controller.cap.areas import KnownAreas, match
from controller.cap.judgement import expiry_of
from controller.cap.model import Alert, Info
from loa.names import AreaPath
from loa.units import DurationMs, InstantMs

MOST_TARGETS: Final = 64
"""Areas of one alert of ours; more become the wider ones that they lie in."""
MAX_TEXT: Final = 2000
"""Characters in one language: some two minutes of speech. More is left to people, and said."""
_SEVERITIES: Final = ("Unknown", "Minor", "Moderate", "Severe", "Extreme")
_URGENCIES: Final = ("Unknown", "Past", "Future", "Expected", "Immediate")


@dataclass(frozen=True)
class Saying:
    """A text and its language: the first part of a BCP 47 tag, since vi and vi-VN are said by one voice."""

    language: str
    text: str


@dataclass(frozen=True)
class Drafted:
    """severity, urgency: CAP's words, the gravest of the infos. expires_at: None where one of them does not say.

    shortened: there was more than `MAX_TEXT`.
    """

    title: str
    event: str
    severity: str
    urgency: str
    sayings: tuple[Saying, ...]
    expires_at: InstantMs | None
    shortened: bool = False


def drafted(alert: Alert, known: KnownAreas, at: InstantMs, default_life_ms: DurationMs) -> Drafted | None:
    """Of the infos that still hold and are for us; None where none is (a Cancel has none)."""
    infos = _for_us(alert, known, at, default_life_ms)
    if not infos:
        return None
    first = next((one for one in infos if _primary(one.language) == "vi"), infos[0])
    texts: dict[str, list[str]] = {}
    for info in (first, *infos):
        texts.setdefault(_primary(info.language), []).extend(_parts(info))
    whole = {language: " ".join(dict.fromkeys(parts)) for language, parts in texts.items()}
    return Drafted(
        title=_plain(first.headline or first.event)[:200],
        event=_plain(first.event)[:200],
        severity=max((one.severity for one in infos), key=_SEVERITIES.index),
        urgency=max((one.urgency for one in infos), key=_URGENCIES.index),
        sayings=tuple(Saying(language, shortened(text)) for language, text in whole.items() if text),
        expires_at=_last(infos),
        shortened=any(len(text) > MAX_TEXT for text in whole.values()),
    )


def targets(paths: Iterable[AreaPath]) -> tuple[AreaPath, ...]:
    """The areas to name; where they are too many, the wider ones that they lie in: too many hear it, not too few."""
    kept = set(paths)
    while len(kept) > MOST_TARGETS:
        deepest = max(len(one.codes) for one in kept)
        kept = {one.parent or one if len(one.codes) == deepest else one for one in kept}
    return tuple(sorted(one for one in kept if not any(other != one and other.covers(one) for other in kept)))


def shortened(text: str) -> str:
    """At most `MAX_TEXT` characters, to the end of a sentence where there is one."""
    if len(text) <= MAX_TEXT:
        return text
    cut = text[:MAX_TEXT]
    end = max(cut.rfind(mark) for mark in (". ", "\n", "! ", "? ", "。"))
    return cut[: end + 1].rstrip() if end > MAX_TEXT // 2 else cut[: cut.rfind(" ")] if " " in cut else cut


def _for_us(alert: Alert, known: KnownAreas, at: InstantMs, default_life_ms: DurationMs) -> list[Info]:
    """Those not over yet whose areas are, or may be, ours; where that is none, all that are not over."""
    holding = [one for one in alert.infos if expiry_of(one, alert, default_life_ms) > at]
    ours = [one for one in holding if match(replace(alert, infos=(one,)), known).anywhere]
    return ours or holding


def _last(infos: Iterable[Info]) -> InstantMs | None:
    said = [one.expires for one in infos]
    return None if None in said else max(one for one in said if one is not None)


def _parts(info: Info) -> list[str]:
    said = [_plain(part) for part in (info.headline or info.event, info.description, info.instruction)]
    return [part if part[-1] in ".!?…。" else f"{part}." for part in said if part]


def _primary(language: str) -> str:
    return language.strip().casefold().split("-")[0]


def _plain(text: str) -> str:
    """Text to be read out and shown: on one line, without what does not print."""
    return "".join(one for one in " ".join(text.split()) if one.isprintable())
