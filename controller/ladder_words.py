"""What people are told of a board, Vietnamese and English. Values in, text out."""

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from controller.ladder import End, Line, Place, Reason, Rung, Step
from devices.protocol.reports import ReceiptCause

Language = Literal["vi", "en"]
_VILLAGE_TIME = ZoneInfo("Asia/Ho_Chi_Minh")

RUNGS: dict[Rung, tuple[str, str]] = {
    Rung.WAITING: ("chưa gửi", "not sent yet"),
    Rung.SENT: ("đã gửi, chưa có hồi âm", "sent, no word yet"),
    Rung.RECEIVED: ("đã nhận", "received"),
    Rung.STARTED: ("đang phát", "started"),
    Rung.FINISHED: ("đã phát xong", "finished"),
    Rung.SOUNDED: ("đã đo được tiếng", "sound measured"),
}
ENDS: dict[End, tuple[str, str]] = {
    End.CONFIRMED: ("đã xác nhận", "confirmed"),
    End.CANCELLED: ("đã huỷ tại bộ thu", "cancelled at the node"),
    End.EXPIRED: ("quá hạn, không phát", "expired, not played"),
    End.UNREACHABLE: ("không liên lạc được", "unreachable"),
}
REASONS: dict[Reason, tuple[str, str]] = {
    Reason.SILENT: ("im lặng từ {since}", "silent since {since}"),
    Reason.LINK_CUT: ("mất kết nối, tin cuối lúc {since}", "link cut, last heard at {since}"),
    Reason.NEVER_HEARD: ("chưa từng có tin", "never heard from"),
    Reason.CONTESTED: ("hai thiết bị dùng chung một tên", "two boxes under one name"),
    Reason.REFUSED: ("từ chối lệnh: {code}", "refused the order: {code}"),
    Reason.NOT_PLAYED: ("báo không phát được: {cause}", "says it could not play: {cause}"),
    Reason.POWER_FAILED: ("mất điện khi đang phát", "power failed while it played"),
    Reason.NO_WORD: ("đã bắt đầu, không báo kết thúc", "started, never said how it ended"),
    Reason.RETIRED: ("đã ngừng sử dụng", "retired"),
}
STEPS: dict[Step, tuple[str, str]] = {
    Step.NONE: ("", ""),
    Step.CENTRE_LINK: (
        "Trung tâm mất kết nối với máy chủ MQTT: khôi phục kết nối trước, lệnh sẽ tự đi.",
        "The centre has lost its broker: bring that back first, the order then goes out by itself.",
    ),
    Step.WAIT_START: ("Chờ: bộ thu đã nhận, sắp phát.", "Wait: it has received, and is about to sound."),
    Step.WAIT_LINK_BACK: (
        "Chờ: vừa có tin trong phút qua, lệnh đang được gửi lại.",
        "Wait: it was heard from within the last minute, and the order is sent to it again.",
    ),
    Step.SEND_AGAIN: (
        "Gửi lại ngay: bộ thu còn liên lạc mà chưa nhận lệnh.",
        "Send again now: it is there and has not taken the order.",
    ),
    Step.SEND_AGAIN_BY_STATION: (
        "Gửi lại qua đài xã (đường dây {station}).",
        "Send again by the station's line ({station}).",
    ),
    Step.STATION_KEY: (
        "Gọi người giữ khoá ở đài {station}: phát cảnh báo lưu sẵn tại đài. Đồng thời gọi trưởng thôn.",
        "Call who holds the key at the station {station}: sound a stored alert there. Call the village head too.",
    ),
    Step.LOOK_AT_REFUSAL: (
        "Bộ thu từ chối lệnh ({code}): báo quản trị tỉnh. Gọi trưởng thôn ngay.",
        "It refuses the order ({code}): tell the administrator. Call the village head now.",
    ),
    Step.LOOK_AT_BOX: (
        "Loa không phát được: gọi trưởng thôn, cử kỹ thuật viên.",
        "The loudspeaker cannot sound: call the village head, send a technician.",
    ),
    Step.TWO_UNDER_ONE_NAME: (
        "Hai thiết bị tranh một tên: gọi trưởng thôn, cử kỹ thuật viên tìm thiết bị lạ.",
        "Two boxes fight over one name: call the village head, send a technician to find the stranger.",
    ),
    Step.CALL_HEAD: ("Gọi trưởng thôn.", "Call the village head."),
    Step.NO_LOUDSPEAKER: (
        "Thôn không có loa: gọi trưởng thôn, cử người đi báo.",
        "No loudspeaker there: call the village head, send somebody.",
    ),
}
_CAUSES: dict[ReceiptCause, tuple[str, str]] = {
    ReceiptCause.NO_AUDIO: ("chưa có âm thanh", "no audio"),
    ReceiptCause.BAD_AUDIO: ("âm thanh hỏng", "spoilt audio"),
    ReceiptCause.SPEAKER_FAILED: ("hỏng loa", "the speaker failed"),
    ReceiptCause.PRE_EMPTED: ("bị cảnh báo khác chiếm sóng", "another alert had the air"),
    ReceiptCause.NO_ANNOUNCEMENT: ("thiếu lời báo diễn tập", "the drill announcement is missing"),
    ReceiptCause.REVOKED: ("khoá bị thu hồi", "a key was revoked"),
}


def rung_words(rung: Rung, language: Language) -> str:
    return RUNGS[rung][language == "en"]


def end_words(line: Line, language: Language) -> str:
    """Its end with the reason; empty while something is awaited."""
    if line.end is None:
        return ""
    words = ENDS[line.end][language == "en"]
    return words if line.reason is None else f"{words}: {reason_words(line, language)}"


def reason_words(line: Line, language: Language) -> str:
    if line.reason is None:
        return ""
    return REASONS[line.reason][language == "en"].format(
        since=clock(line.since), code=code_of(line), cause=_cause(line, language)
    )


def step_words(step: Step, lines: tuple[Line, ...], language: Language) -> str:
    """What to do next about these nodes."""
    own = [line for line in lines if line.step is step] or list(lines)
    stations = sorted({line.facts.station for line in own if line.facts.station})
    codes = sorted({code_of(line) for line in own} - {""})
    return STEPS[step][language == "en"].format(station=", ".join(stations), code=", ".join(codes))


def place_words(place: Place, language: Language) -> str:
    return step_words(place.step, place.lines, language)


def code_of(line: Line) -> str:
    """The code by which it refused; empty where it did not."""
    return "" if line.facts.refusal is None else line.facts.refusal.code


def clock(at: int | None) -> str:
    """By the villages' clock."""
    if at is None:
        return "?"
    return datetime.fromtimestamp(at / 1000, _VILLAGE_TIME).strftime("%H:%M:%S %d/%m/%Y")


def _cause(line: Line, language: Language) -> str:
    words = _CAUSES.get(line.facts.cause)
    return line.facts.cause.name.lower() if words is None else words[language == "en"]
