"""The words for every stable code, in Vietnamese and English: what is wrong and what to do about it.

Texts may hold blanks, ``{name}``, filled from the error's values, its field and its limit.
"""

from dataclasses import dataclass
from typing import Literal

from loa.errors import LoaError
from loa.problems_alerts import ALERT_PROBLEMS
from loa.problems_api import API_PROBLEMS
from loa.problems_audio import AUDIO_PROBLEMS
from loa.problems_cap import CAP_PROBLEMS
from loa.problems_centre import CENTRE_PROBLEMS
from loa.problems_enrolment import ENROLMENT_PROBLEMS
from loa.problems_keeping import KEEPING_PROBLEMS
from loa.problems_keys import KEY_PROBLEMS

Language = Literal["vi", "en"]


@dataclass(frozen=True)
class Words:
    """What is wrong, and the remedy, in both languages."""

    vi: str
    en: str
    remedy_vi: str
    remedy_en: str


PROBLEMS: dict[str, Words] = {
    "bad_area_path": Words(
        "Mã địa bàn không hợp lệ: {value}",
        "Not an area path: {value}",
        "Viết dạng tỉnh/xã/thôn, chỉ dùng a-z, 0-9 và dấu gạch nối.",
        "Write province/commune/village with a-z, 0-9 and hyphens only.",
    ),
    "serial_unavailable": Words(
        "Không mở được cổng nối tiếp {value}: {reason}",
        "Cannot open the serial port {value}: {reason}",
        "Kiểm tra bộ chuyển đổi, đường dẫn và quyền truy cập (nhóm dialout).",
        "Check the adapter, the path and the permission (group dialout).",
    ),
    "bad_station_config": Words(
        "Tệp cấu hình đài sai ở {field}: {reason}",
        "The station's file is wrong at {field}: {reason}",
        "Xem mẫu: loa station --example.",
        "See an example: loa station --example.",
    ),
    "duplicate_bus_address": Words(
        "Hai bộ thu trùng {field} = {value} (dòng {first} và {second})",
        "Two nodes share {field} = {value} (lines {first} and {second})",
        "Cho mỗi bộ thu trên đường dây một địa chỉ và một tên riêng.",
        "Give every node on the bus an address and a name of its own.",
    ),
    "bad_node_id": Words(
        "Tên bộ thu không hợp lệ: {value}",
        "Not a node name: {value}",
        "Dùng 1 đến 32 ký tự a-z, 0-9 và dấu gạch nối.",
        "Use 1 to 32 of a-z, 0-9 and hyphens.",
    ),
    "storage_full": Words(
        "Hết chỗ lưu: {field}",
        "No room left to store {field}",
        "Giải phóng bộ nhớ hoặc thay thẻ nhớ lớn hơn.",
        "Free some space, or use a larger card.",
    ),
    "bad_storage_name": Words(
        "Tên tệp lưu không hợp lệ: {value}",
        "Not a name for something stored: {value}",
        "Báo cho người bảo trì.",
        "Tell the maintainer.",
    ),
    "already_running": Words(
        "Một tiến trình khác đang dùng thư mục {folder}",
        "Another process is using the folder {folder}",
        "Dừng tiến trình kia, hoặc chọn thư mục dữ liệu khác.",
        "Stop the other process, or choose another data folder.",
    ),
    "port_in_use": Words(
        "Cổng {value} đang được dùng",
        "Port {value} is in use",
        "Dừng tiến trình kia, hoặc chọn cổng khác: --port SỐ; --port 0 lấy một cổng còn trống.",
        "Stop the other process, or choose another port: --port NUMBER; --port 0 takes any free one.",
    ),
    "address_unusable": Words(
        "Không nhận kết nối được ở {value}: {reason}",
        "Cannot listen at {value}: {reason}",
        "--bind nhận một địa chỉ của chính máy này; 0.0.0.0 là mọi địa chỉ. Cổng dưới 1024 cần quyền root.",
        "--bind takes an address that this machine has; 0.0.0.0 means all of them. Ports below 1024 need root.",
    ),
    "machine_refused": Words(
        "Máy này từ chối: {reason} {value}",
        "This machine refused: {reason} {value}",
        "Kiểm tra đường dẫn, quyền truy cập và chỗ trống trên ổ đĩa.",
        "Check the path, its permissions and the room on the disk.",
    ),
    "file_missing": Words(
        "Không có tệp {value}",
        "There is no file {value}",
        "Kiểm tra đường dẫn.",
        "Check the path.",
    ),
    "file_unreadable": Words(
        "Không được phép đọc tệp {value}",
        "The file {value} may not be read",
        "Cho phép đọc tệp rồi thử lại.",
        "Give permission to read it, then try again.",
    ),
    "demo_no_contact": Words(
        "Bộ thu mô phỏng không liên lạc được: {nodes}",
        "Simulated nodes that did not come into contact: {nodes}",
        "Máy có thể đang quá bận; chạy lại.",
        "The machine may be too busy; run it again.",
    ),
    "options_exclude": Words(
        "{field} không đi cùng {value}",
        "{field} does not go with {value}",
        "Bỏ một trong hai; xem --help.",
        "Leave one of the two out; see --help.",
    ),
    "demo_failed": Words(
        "Chạy thử hỏng: {what}",
        "The demo failed: {what}",
        "Báo cho người bảo trì.",
        "Tell the maintainer.",
    ),
    "speaker_unavailable": Words(
        "Không mở được loa: {reason}",
        "The speaker cannot be opened: {reason}",
        "Kiểm tra cạc âm thanh và dây nối.",
        "Check the sound card and its wiring.",
    ),
    "extra_missing": Words(
        "`loa {field}` cần gói {package}",
        "`loa {field}` needs the package {package}",
        "Cài loa[{extra}].",
        "Install loa[{extra}].",
    ),
    "bad_broker": Words(
        "Không hiểu địa chỉ broker: {value}",
        "Not a broker: {value}",
        "Dùng auto, mosquitto, amqtt hoặc mqtt://máy:cổng.",
        "Use auto, mosquitto, amqtt or mqtt://host:port.",
    ),
    "broker_missing": Words(
        "Chưa cài {value} trên máy này",
        "{value} is not installed on this machine",
        "Cài mosquitto, hoặc chạy với --broker amqtt.",
        "Install mosquitto, or run with --broker amqtt.",
    ),
    "broker_unreachable": Words(
        "Không khởi động được broker: {reason}",
        "The broker did not start: {reason}",
        "Chọn cổng khác hoặc xem nhật ký của broker trong thư mục dữ liệu.",
        "Choose another port, or look at the broker's log in the data folder.",
    ),
    "insecure_broker": Words(
        "Broker {value} mở cho mọi máy mà không cần mật khẩu",
        "The broker {value} lets anybody in from other machines",
        "Đặt tên và mật khẩu cho broker, hoặc chạy với --insecure-broker nếu mạng đã được bảo vệ.",
        "Give the broker a name and password, or run with --insecure-broker where the network is protected.",
    ),
    "bad_config": Words(
        "Cấu hình sai ở {field}: {limit}",
        "The setting {field} is wrong: {limit}",
        "Sửa loa.toml, biến LOA_… hoặc tuỳ chọn dòng lệnh.",
        "Change loa.toml, the LOA_… variable or the option.",
    ),
    "bad_box_config": Words(
        "Cấu hình bộ thu sai ở {field}: {reason}",
        "The box's setting {field} is wrong: {reason}",
        "Sửa tệp cấu hình; xem mẫu bằng `loa node --example`.",
        "Change the configuration file; `loa node --example` prints one.",
    ),
    "node_broken": Words(
        "Bộ thu không thể chạy tiếp: {reason}",
        "The node cannot go on: {reason}",
        "Bộ thu đã im lặng; khởi động lại và gửi nhật ký cho người bảo trì.",
        "It has fallen silent; start it anew, and send its log to the maintainer.",
    ),
    "audio_missing": Words(
        "Âm thanh không đến kịp trong {limit} giây",
        "The audio did not come in for {limit} seconds",
        "Kiểm tra đường truyền; bộ thu sẽ tự xin phần còn thiếu.",
        "Check the link; the node asks for what it lacks by itself.",
    ),
    "bad_key_file": Words(
        "Tệp khoá không đọc được: {field} ({detail})",
        "Not a usable key file: {field} ({detail})",
        "Dùng tệp do `loa keys` tạo ra, dạng {limit}; lấy lại từ bản sao lưu nếu tệp hỏng.",
        "Use a file made by `loa keys`, of the form {limit}; take it from a backup where it is spoiled.",
    ),
    "key_missing": Words(
        "Không đọc được tệp khoá {field}: {detail}",
        "The key file {field} cannot be read: {detail}",
        "Kiểm tra đường dẫn và quyền đọc; `loa keys init` tạo bộ mới, `loa keys install` đưa vào bộ tạo ở máy khác.",
        "Look at the path and permissions; `loa keys init` makes a new set, `loa keys install` brings one in.",
    ),
    "key_file_unwritable": Words(
        "Không ghi được tệp khoá {field}: {detail}",
        "The key file {field} cannot be written: {detail}",
        "Kiểm tra ổ đĩa còn chỗ và quyền ghi của thư mục.",
        "Look at the disk's room and the folder's permissions.",
    ),
    "roots_missing": Words(
        "Không đủ khoá gốc để ký: cần ít nhất {limit}, trong đó có một khoá không niêm phong",
        "Too few root keys to sign: at least {limit} are needed, one of them not sealed",
        "Đưa khoá gốc đang cất giữ vào {directory} hoặc chỉ ra bằng --root.",
        "Bring the roots that are kept offline to {directory}, or name them by --root.",
    ),
    "controller_not_appointed": Words(
        "Khoá của trung tâm chưa được khoá gốc nào bổ nhiệm",
        "The controller's key has no appointment by the roots",
        "Chạy `loa keys init` hoặc `loa keys appoint` với khoá gốc; thư mục khoá: {directory}.",
        "Run `loa keys init` or `loa keys appoint` with the roots; the keys are in {directory}.",
    ),
    "bad_root_count": Words(
        "Bộ khoá gốc không hợp lệ",
        "Not a possible set of roots",
        "Cần 1 đến {limit} khoá gốc, ít nhất một khoá không niêm phong, ngưỡng không quá số khoá.",
        "There are 1 to {limit} roots, at least one of them not sealed, and the threshold is no more than that.",
    ),
    "bad_days": Words(
        "Thời hạn bổ nhiệm không hợp lệ",
        "Not a possible length of an appointment",
        "Cho số ngày trong khoảng {limit}.",
        "Give a number of days within {limit}.",
    ),
    "unsendable": Words(
        "Lỗi trong hệ thống: nội dung không đúng dạng để gửi ({detail})",
        "A fault of ours: not in a form that can be sent ({detail})",
        "Báo cho người bảo trì; chưa có gì được gửi đi.",
        "Tell the maintainer; nothing was sent.",
    ),
    "bad_hex": Words(
        "Không phải chuỗi hex đúng độ dài: {value}",
        "Not hex of the right length: {value}",
        "Cho {limit} byte viết dạng hex, như `loa keys show` in ra.",
        "Give {limit} bytes in hex, as `loa keys show` prints them.",
    ),
}
"""One row a code, sorted by where it arises. Every code raised anywhere has a row; a test checks it."""
PROBLEMS |= {
    code: Words(*row)
    for code, row in (AUDIO_PROBLEMS | API_PROBLEMS | CENTRE_PROBLEMS | KEEPING_PROBLEMS | KEY_PROBLEMS).items()
}
PROBLEMS |= {code: Words(*row) for code, row in (ENROLMENT_PROBLEMS | CAP_PROBLEMS | ALERT_PROBLEMS).items()}

_UNKNOWN = Words("Lỗi: {code}", "Error: {code}", "Báo cho người bảo trì.", "Tell the maintainer.")


class _Blanks(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


@dataclass(frozen=True)
class Explained:
    """A problem in one language: title and remedy."""

    title: str
    remedy: str


def explain(error: LoaError, language: Language = "vi") -> Explained:
    """The words for an error."""
    words = PROBLEMS.get(error.code, _UNKNOWN)
    blanks = _Blanks(error.values, field=error.field, limit=error.limit, code=error.code)
    if language == "vi":
        return Explained(words.vi.format_map(blanks), words.remedy_vi.format_map(blanks))
    return Explained(words.en.format_map(blanks), words.remedy_en.format_map(blanks))
