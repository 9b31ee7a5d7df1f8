"""A province like Quảng Ninh since July 2025, and the demo's 24 loudspeakers in three of its communes.

Terrain, coordinates and populations are approximate and only for the demo.
"""

from dataclasses import dataclass

from loa.names import AreaPath, node_id
from loa.units import NodeId, StationId

PROVINCE = AreaPath("quang-ninh")
PROVINCE_NAME = "Quảng Ninh"

# code;name;kind[;terrain[;latitude;longitude]]
_COMMUNES = """\
an-sinh;An Sinh;phường
dong-trieu;Đông Triều;phường
binh-khe;Bình Khê;phường
mao-khe;Mạo Khê;phường
hoang-que;Hoàng Quế;phường
yen-tu;Yên Tử;phường
vang-danh;Vàng Danh;phường
uong-bi;Uông Bí;phường
dong-mai;Đông Mai;phường
hiep-hoa;Hiệp Hòa;phường
quang-yen;Quảng Yên;phường
ha-an;Hà An;phường
phong-coc;Phong Cốc;phường
lien-hoa;Liên Hòa;phường
tuan-chau;Tuần Châu;phường
viet-hung;Việt Hưng;phường
bai-chay;Bãi Cháy;phường
ha-tu;Hà Tu;phường
ha-lam;Hà Lầm;phường
cao-xanh;Cao Xanh;phường
hong-gai;Hồng Gai;phường;;20.95;107.08
ha-long;Hạ Long;phường
hoanh-bo;Hoành Bồ;phường
mong-duong;Mông Dương;phường
quang-hanh;Quang Hanh;phường
cam-pha;Cẩm Phả;phường
cua-ong;Cửa Ông;phường
mong-cai-1;Móng Cái 1;phường;land-border;21.53;107.97
mong-cai-2;Móng Cái 2;phường
mong-cai-3;Móng Cái 3;phường
hai-son;Hải Sơn;xã;land-border;21.6;107.75
hai-ninh;Hải Ninh;xã
vinh-thuc;Vĩnh Thực;xã;island;21.4;107.93
quang-la;Quảng La;xã
thong-nhat;Thống Nhất;xã
tien-yen;Tiên Yên;xã
dien-xa;Điền Xá;xã
dong-ngu;Đông Ngũ;xã
hai-lang;Hải Lạng;xã
luong-minh;Lương Minh;xã
ky-thuong;Kỳ Thượng;xã
ba-che;Ba Chẽ;xã
quang-tan;Quảng Tân;xã
dam-ha;Đầm Hà;xã
quang-ha;Quảng Hà;xã
duong-hoa;Đường Hoa;xã
quang-duc;Quảng Đức;xã;land-border
hoanh-mo;Hoành Mô;xã;land-border;21.56;107.5
luc-hon;Lục Hồn;xã;land-border
binh-lieu;Bình Liêu;xã;land-border;21.53;107.4
hai-hoa;Hải Hòa;xã
cai-chien;Cái Chiên;xã;island;21.31;107.76
van-don;Vân Đồn;đặc khu;island;21.07;107.42
co-to;Cô Tô;đặc khu;island;20.97;107.77
"""


@dataclass(frozen=True)
class Place:
    """An area as people write it. Coordinates in degrees, where they are known."""

    path: AreaPath
    name: str
    kind: str
    """tỉnh, phường, xã, đặc khu, thôn, khu."""
    terrain: str = ""
    """land-border, island or nothing."""
    latitude: float | None = None
    longitude: float | None = None
    population: int | None = None


def _read(line: str) -> Place:
    code, name, kind, *rest = line.split(";")
    terrain, latitude, longitude = [*rest, "", "", ""][:3]
    return Place(
        AreaPath(f"{PROVINCE}/{code}"),
        name,
        kind,
        terrain,
        float(latitude) if latitude else None,
        float(longitude) if longitude else None,
    )


COMMUNES: tuple[Place, ...] = tuple(_read(line) for line in _COMMUNES.splitlines())
"""The 54 commune-level units: 30 wards, 22 communes, 2 special zones."""


@dataclass(frozen=True)
class LoudspeakerPlan:
    """One loudspeaker set of the demo: its name on the wire, where it hangs, and how it is reached."""

    node: NodeId
    area: AreaPath
    description: str
    bus_address: int = 0
    """On the station's serial bus; 0 for a wireless node."""

    @property
    def wired(self) -> bool:
        return self.bus_address > 0

    @property
    def commune(self) -> AreaPath:
        return AreaPath("/".join(self.area.codes[:2]))


BORDER = AreaPath("quang-ninh/hoanh-mo")
ISLAND = AreaPath("quang-ninh/co-to")
TOWN = AreaPath("quang-ninh/hong-gai")
STATION = StationId("hoanh-mo-station")

_VILLAGES: dict[AreaPath, tuple[tuple[str, str, str, int], ...]] = {
    BORDER: (
        ("dong-thanh", "Đồng Thanh", "thôn", 640),
        ("na-sa", "Nà Sa", "thôn", 410),
        ("cao-son", "Cao Sơn", "thôn", 350),
        ("pac-cuong", "Pắc Cương", "thôn", 480),
    ),
    ISLAND: (
        ("nam-ha", "Nam Hà", "thôn", 720),
        ("hai-tien", "Hải Tiến", "thôn", 890),
        ("hong-hai", "Hồng Hải", "thôn", 560),
        ("thanh-lan", "Thanh Lân", "thôn", 930),
    ),
    TOWN: (
        ("ben-doan", "Bến Đoan", "khu", 2900),
        ("le-loi", "Lê Lợi", "khu", 2400),
        ("long-tien", "Long Tiên", "khu", 3100),
        ("cot-5", "Cột 5", "khu", 2600),
    ),
}

VILLAGES: tuple[Place, ...] = tuple(
    Place(AreaPath(f"{commune}/{code}"), name, kind, population=people)
    for commune, of in _VILLAGES.items()
    for code, name, kind, people in of
)

AREAS: tuple[Place, ...] = (Place(PROVINCE, PROVINCE_NAME, "tỉnh"), *COMMUNES, *VILLAGES)
"""Every area of the demo, parents before children."""

NAMES: dict[AreaPath, str] = {place.path: place.name for place in AREAS}


def _loudspeakers() -> tuple[LoudspeakerPlan, ...]:
    """Two a village; in the border commune the first of each two hangs on the station's bus."""
    plans: list[LoudspeakerPlan] = []
    for commune, villages in _VILLAGES.items():
        for place, (code, name, kind, _) in enumerate(villages):
            for second in (0, 1):
                plans.append(
                    LoudspeakerPlan(
                        node_id(f"{commune.codes[1]}-{2 * place + second + 1}"),
                        AreaPath(f"{commune}/{code}"),
                        f"{kind} {name}, {NAMES[commune]}",
                        place + 1 if commune == BORDER and not second else 0,
                    )
                )
    return tuple(plans)


LOUDSPEAKERS: tuple[LoudspeakerPlan, ...] = _loudspeakers()
"""24: eight in each of the three communes, four of them wired."""
