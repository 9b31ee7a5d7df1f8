"""An alert's body in words for those who approve it, Vietnamese and English, read from the bytes that they sign."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from devices.protocol.alerts import AlertBody
from devices.protocol.common import RenditionRef
from loa.precedence import Kind
from loa.problems import Language

_VIETNAM = timezone(timedelta(hours=7))


@dataclass(frozen=True)
class Names:
    """What people call things: areas by path, alerts and renditions by id in hex. What is missing is told by its id."""

    areas: Mapping[str, str]
    alerts: Mapping[str, str]
    renditions: Mapping[str, str]


def alert_words(body: AlertBody, names: Names, language: Language) -> tuple[str, ...]:
    """One line each: live or drill, where, what, how often, when, instead of what."""
    return _vi(body, names) if language == "vi" else _en(body, names)


def _vi(body: AlertBody, names: Names) -> tuple[str, ...]:
    lines = ["CẢNH BÁO THẬT" if body.kind is Kind.LIVE else "DIỄN TẬP, không phải cảnh báo thật"]
    if body.areas:
        lines.append(f"Nơi phát: {_places(body, names)}")
    if body.nodes:
        lines.append(f"Bộ thu: {', '.join(body.nodes)}")
    if body.siren:
        lines.append(f"Còi số {body.siren}")
    lines += [f"Bản tin: {_sound(ref, names)}" for ref in body.renditions]
    times = "Lặp lại đến khi huỷ hoặc hết hạn" if body.repeats == 0 else f"Phát {body.repeats} lần"
    lines.append(times + (f", cách nhau {_seconds(body.gap_ms)} giây" if body.gap_ms else ""))
    lines.append(f"Từ {_when(body.not_before)} đến {_when(body.expires_at)}, giờ Việt Nam")
    if body.volume is not None:
        lines.append(f"Âm lượng {body.volume} %, trong mức cho phép của từng nơi")
    if body.references:
        lines.append(f"Thay cho: {_alerts(body, names)}")
    return tuple(lines)


def _en(body: AlertBody, names: Names) -> tuple[str, ...]:
    lines = ["A LIVE ALERT" if body.kind is Kind.LIVE else "A DRILL, not a live alert"]
    if body.areas:
        lines.append(f"Where: {_places(body, names)}")
    if body.nodes:
        lines.append(f"Nodes: {', '.join(body.nodes)}")
    if body.siren:
        lines.append(f"Siren {body.siren}")
    lines += [f"Bulletin: {_sound(ref, names)}" for ref in body.renditions]
    times = "Again and again until cancelled or expired" if body.repeats == 0 else f"Played {_times(body.repeats)}"
    lines.append(times + (f", {_seconds(body.gap_ms)} s apart" if body.gap_ms else ""))
    lines.append(f"From {_when(body.not_before)} to {_when(body.expires_at)}, Vietnam's time")
    if body.volume is not None:
        lines.append(f"Volume {body.volume} %, as far as each place allows it")
    if body.references:
        lines.append(f"In place of: {_alerts(body, names)}")
    return tuple(lines)


def _places(body: AlertBody, names: Names) -> str:
    return ", ".join(f"{names.areas.get(path, '?')} ({path})" for path in body.areas)


def _alerts(body: AlertBody, names: Names) -> str:
    return _listed([(names.alerts.get(one.hex(), ""), one.hex()[:12]) for one in body.references])


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({id_})" if name else id_ for name, id_ in pairs)


def _sound(ref: RenditionRef, names: Names) -> str:
    name = names.renditions.get(ref.digest.hex(), "?")
    return f"{name}, {ref.language}, {ref.duration_ms // 60_000}:{ref.duration_ms % 60_000 // 1000:02d}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:g}"


def _when(instant: int) -> str:
    local = datetime.fromtimestamp(instant // 1000, UTC).astimezone(_VIETNAM)
    return local.strftime("%H:%M:%S %d/%m/%Y")
