"""The storm of `loa demo --alert`: a CAP 1.2 file as a weather service would send it, and the map it is held against.

The storm, its sender and its figures are made up. Two of its areas are named by code, the island by a polygon alone.
"""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from loa.units import DurationMs, InstantMs
from simulators.places import AREAS, BORDER, ISLAND, TOWN, Place

FILE_NAME: Final = "storm.cap.xml"
LASTS_MS: Final = DurationMs(6 * 3_600_000)
_ZONE = timezone(timedelta(hours=7))
_SIDES = 12
_KM_A_DEGREE = 111.2
_ISLAND_KM, _SEA_KM = 6.0, 20.0
"""From the middle of the island to the edge of the commune on the map, and to the edge of what the alert is for."""
_FILE: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
  <identifier>bao-so-9-{stamp}</identifier>
  <sender>canhbao@kttv.example.vn</sender>
  <sent>{sent}</sent>
  <status>Actual</status>
  <msgType>Alert</msgType>
  <scope>Public</scope>
  <info>
    <language>vi-VN</language>
    <category>Met</category>
    <event>Bão</event>
    <responseType>Shelter</responseType>
    <urgency>Immediate</urgency>
    <severity>Extreme</severity>
    <certainty>Observed</certainty>
    <effective>{sent}</effective>
    <onset>{onset}</onset>
    <expires>{expires}</expires>
    <senderName>Đài khí tượng thuỷ văn (ví dụ)</senderName>
    <headline>Bão số 9 sắp đổ bộ Quảng Ninh</headline>
    <description>Trong vài giờ tới, gió mạnh cấp 12, giật cấp 15, sóng cao 6 mét.</description>
    <instruction>Tàu thuyền về bến ngay. Bà con vào nơi trú ẩn kiên cố, không ra ngoài.</instruction>
    <area>
      <areaDesc>Đặc khu Cô Tô và vùng biển quanh đảo</areaDesc>
      <polygon>{sea}</polygon>
    </area>
    <area>
      <areaDesc>Xã Hoành Mô</areaDesc>
      <geocode><valueName>loa</valueName><value>{border}</value></geocode>
    </area>
    <area>
      <areaDesc>Phường Hồng Gai</areaDesc>
      <geocode><valueName>loa</valueName><value>{town}</value></geocode>
    </area>
  </info>
</alert>
"""


def storm_file(now: InstantMs) -> bytes:
    """Sent now, and good for six hours."""
    sent = _local(now)
    text = _FILE.format(
        stamp=sent.strftime("%Y%m%d%H%M%S"),
        sent=sent.isoformat(),
        onset=_local(InstantMs(now + LASTS_MS // 3)).isoformat(),
        expires=_local(InstantMs(now + LASTS_MS)).isoformat(),
        sea=" ".join(f"{latitude:.4f},{longitude:.4f}" for latitude, longitude in _ring(_place(ISLAND), _SEA_KM)),
        border=BORDER.codes[-1],
        town=TOWN.codes[-1],
    )
    return text.encode()


def storm_map() -> dict[str, Any]:
    """The island's shape, as `loa area import` takes it: a polygon finds no place that has none."""
    island = _place(ISLAND)
    ring = [[round(longitude, 4), round(latitude, 4)] for latitude, longitude in _ring(island, _ISLAND_KM)]
    feature = {
        "type": "Feature",
        "properties": {"path": str(island.path), "name": island.name, "kind": island.kind},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    return {"type": "FeatureCollection", "features": [feature]}


def _place(path: str) -> Place:
    return next(one for one in AREAS if one.path == path)


def _ring(place: Place, radius_km: float) -> list[tuple[float, float]]:
    """Latitudes and longitudes around a place; the last is the first."""
    assert place.latitude is not None
    assert place.longitude is not None
    up = radius_km / _KM_A_DEGREE
    across = up / math.cos(math.radians(place.latitude))
    turns = [2 * math.pi * (number % _SIDES) / _SIDES for number in range(_SIDES + 1)]
    return [(place.latitude + up * math.sin(turn), place.longitude + across * math.cos(turn)) for turn in turns]


def _local(instant: InstantMs) -> datetime:
    """In Vietnam, to the second, as CAP has it."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)
    return moment.astimezone(_ZONE).replace(microsecond=0)
