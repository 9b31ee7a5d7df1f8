"""The templates that are shipped: Vietnamese and English. A province edits them, and adds languages and others.

Blanks take numbers, names and clock times, which are the same in both languages; `name.en` fills one for English alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Blank:
    """Something that must be filled in: `{name}` in texts."""

    name: str
    vi: str
    """What people are asked for."""
    en: str
    example: str = ""


@dataclass(frozen=True)
class Template:
    """What is said in an event, in each language. `title` has blanks too."""

    id: str
    event: str
    names: Mapping[str, str]
    severity: str
    urgency: str
    title: str
    blanks: tuple[Blank, ...]
    texts: Mapping[str, str]
    """By BCP 47 language."""
    version: int = 0
    """0: as shipped."""


_PLACE = Blank("place", "Nơi", "Place", "vùng biển Cô Tô")
_TIME = Blank("time", "Lúc", "Time", "19 giờ")
_SHELTER = Blank("shelter", "Nơi trú", "Shelter", "Trường tiểu học Đồng Tiến")

SHIPPED_TEMPLATES: Final = (
    Template(
        id="storm", event="Bão", names={"vi": "Bão", "en": "Storm"}, severity="Extreme", urgency="Expected",
        title="Bão {number}",
        blanks=(
            Blank("number", "Bão số", "Storm", "số 9"), _PLACE, Blank("force", "Gió cấp", "Wind force", "12"), _TIME,
            _SHELTER,
        ),
        texts={
            "vi": "Cảnh báo bão. Bão {number} sẽ ảnh hưởng đến {place} từ {time}, gió mạnh cấp {force}. Tàu thuyền về "
            "bờ ngay. Người trên lồng bè và trong nhà yếu đến {shelter} ngay. Không ra khơi.",
            "en": "Storm warning. Storm {number} will reach {place} from {time}, with winds of force {force}. Boats, "
            "return to shore now. People on fish rafts and in weak houses, go to {shelter} now. Do not put to sea.",
        },
    ),
    Template(
        id="flood", event="Lũ", names={"vi": "Lũ, lụt", "en": "Flood"}, severity="Severe", urgency="Immediate",
        title="Lũ: {place}",
        blanks=(_PLACE, Blank("river", "Sông, suối", "River", "sông Ba Chẽ"), _TIME, _SHELTER),
        texts={
            "vi": "Cảnh báo lũ. Nước {river} đang lên nhanh, sẽ ngập {place} từ {time}. Đưa người già và trẻ em đến "
            "{shelter} ngay. Ngắt điện trong nhà. Không lội qua suối, không đi qua ngầm tràn.",
            "en": "Flood warning. The {river} is rising fast and will flood {place} from {time}. Take the old and the "
            "young to {shelter} now. Switch off the electricity. Do not wade streams, do not cross fords.",
        },
    ),
    Template(
        id="landslide", event="Sạt lở đất", names={"vi": "Sạt lở đất, lũ quét", "en": "Landslide"},
        severity="Extreme", urgency="Immediate", title="Sạt lở đất: {place}", blanks=(_PLACE, _SHELTER),
        texts={
            "vi": "Cảnh báo sạt lở đất và lũ quét tại {place}. Mọi người rời nhà dưới chân đồi và ven suối ngay, đến "
            "{shelter}. Không quay lại lấy đồ. Giúp người già và trẻ em đi trước.",
            "en": "Landslide and flash flood warning for {place}. Leave houses below slopes and beside streams now, "
            "and go to {shelter}. Do not go back for belongings. Help the old and the young first.",
        },
    ),
    Template(
        id="tsunami", event="Sóng thần", names={"vi": "Sóng thần", "en": "Tsunami"}, severity="Extreme",
        urgency="Immediate", title="Sóng thần: {place}",
        blanks=(_PLACE, _TIME, Blank("height", "Sóng cao, mét", "Waves, metres", "3"), _SHELTER),
        texts={
            "vi": "Cảnh báo sóng thần. Sóng cao đến {height} mét có thể đến {place} từ {time}. Rời bờ biển ngay, chạy "
            "lên chỗ cao: {shelter}. Không quay lại cho đến khi có thông báo hết nguy hiểm.",
            "en": "Tsunami warning. Waves of up to {height} metres may reach {place} from {time}. Leave the shore now "
            "and go to high ground: {shelter}. Do not return until it is announced that the danger is over.",
        },
    ),
    Template(
        id="forest-fire", event="Cháy rừng", names={"vi": "Cháy rừng", "en": "Forest fire"}, severity="Severe",
        urgency="Immediate", title="Cháy rừng: {place}",
        blanks=(_PLACE, Blank("direction", "Lửa lan về", "Spreading towards", "khu 3"), _SHELTER),
        texts={
            "vi": "Cảnh báo cháy rừng tại {place}. Lửa đang lan về phía {direction}. Người trong rừng và nhà gần rừng "
            "rời đi ngay, ngược hướng khói, đến {shelter}. Không tự vào rừng chữa cháy.",
            "en": "Forest fire warning at {place}. The fire is spreading towards {direction}. People in the forest and "
            "in houses near it, leave now, away from the smoke, for {shelter}. Do not fight the fire on your own.",
        },
    ),
    Template(
        id="epidemic", event="Dịch bệnh", names={"vi": "Dịch bệnh", "en": "Epidemic"}, severity="Moderate",
        urgency="Expected", title="Dịch {disease}: {place}",
        blanks=(
            Blank("disease", "Bệnh", "Disease", "sốt xuất huyết"), _PLACE,
            Blank("clinic", "Nơi khám", "Clinic", "Trạm y tế xã"), Blank("phone", "Điện thoại", "Telephone", "115"),
        ),
        texts={
            "vi": "Thông báo khẩn về dịch bệnh. Có dịch {disease} tại {place}. Ai sốt hoặc thấy không khoẻ thì ở nhà "
            "và gọi {phone}, hoặc đến {clinic}. Rửa tay, đeo khẩu trang, không tụ tập đông người.",
            "en": "Urgent health notice. There is an outbreak of {disease} in {place}. If you have a fever or feel "
            "unwell, stay at home and call {phone}, or go to {clinic}. Wash your hands, wear a mask, avoid crowds.",
        },
    ),
    Template(
        id="border-incident", event="Sự cố biên giới", names={"vi": "Sự cố biên giới", "en": "Border incident"},
        severity="Severe", urgency="Immediate", title="Sự cố biên giới: {place}",
        blanks=(_PLACE, _SHELTER, Blank("phone", "Đồn biên phòng", "Border post", "114")),
        texts={
            "vi": "Thông báo khẩn của bộ đội biên phòng. Có sự cố tại {place}. Bà con ở trong nhà hoặc đến {shelter}, "
            "không lại gần đường biên. Thấy người hoặc vật lạ thì gọi {phone}. Chờ thông báo tiếp theo.",
            "en": "Urgent notice of the border guard. There is an incident at {place}. Stay indoors or go to "
            "{shelter}, and keep away from the border. If you see strangers or strange objects, call {phone}. Wait "
            "for further notice.",
        },
    ),
    Template(
        id="missing-person", event="Người mất tích", names={"vi": "Tìm người mất tích", "en": "Missing person"},
        severity="Minor", urgency="Immediate", title="Tìm người: {person}",
        blanks=(
            Blank("person", "Họ tên", "Name", "Nguyễn Văn An"), Blank("age", "Tuổi", "Age", "7"),
            Blank("looks", "Quần áo, hình dáng", "Clothes and looks", "áo đỏ, quần xanh"),
            _PLACE, _TIME, Blank("phone", "Điện thoại", "Telephone", "113"),
        ),
        texts={
            "vi": "Tìm người mất tích. {person}, {age} tuổi, {looks}, được nhìn thấy lần cuối tại {place} lúc {time}. "
            "Ai thấy thì ở bên cạnh và gọi ngay {phone}.",
            "en": "Missing person. {person}, aged {age}, {looks}, was last seen at {place} at {time}. If you see this "
            "person, stay with them and call {phone} at once.",
        },
    ),
)  # fmt: skip
