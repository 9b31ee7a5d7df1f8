"""Words for what the centre's services refuse: vi, en, remedy vi, remedy en."""

CENTRE_PROBLEMS: dict[str, tuple[str, str, str, str]] = {
    "already_exists": (
        "Đã có rồi: {value}",
        "There is one already: {value}",
        "Chọn tên khác, hoặc sửa cái đang có.",
        "Choose another name, or change the one that is there.",
    ),
    "bad_key": (
        "Khóa công khai không hợp lệ",
        "Not a public key",
        "Cho đúng {limit} của khóa Ed25519, như tệp nhận dạng của bộ thu ghi.",
        "Give {limit} of an Ed25519 key, as the node's identity file has it.",
    ),
    "bus_address_range": (
        "Địa chỉ trên tuyến không hợp lệ",
        "Not a bus address",
        "Địa chỉ phải là {limit}.",
        "The address must be {limit}.",
    ),
    "bus_address_taken": (
        "Địa chỉ {value} đã thuộc bộ thu {node}",
        "Address {value} belongs to node {node} already",
        "Chọn địa chỉ khác cho bộ thu này.",
        "Give this node another address.",
    ),
    "content_changed": (
        "Nội dung đã thay đổi",
        "The content has changed",
        "Xem và nghe lại bản hiện tại, rồi duyệt bản đó.",
        "Look at the present version, hear it, and approve that one.",
    ),
    "empty_target": (
        "Chưa chọn nơi phát, hoặc nơi đó chưa có bộ thu nào",
        "Nowhere to sound: no target was given, or it has no node",
        "Chọn địa bàn có bộ thu, hoặc chọn bộ thu.",
        "Choose an area that has nodes, or choose nodes.",
    ),
    "outside_area": (
        "{value} nằm ngoài {limit}",
        "{value} lies outside {limit}",
        "Chọn trong địa bàn của chương trình, hoặc đổi địa bàn đó.",
        "Choose within the programme's area, or change that area.",
    ),
    "locked": (
        "{field} đã khóa, không sửa được: {value}",
        "This {field} is locked: {value}",
        "Tạo cái mới thay cho nó.",
        "Make a new one in its place.",
    ),
    "withdrawn": (
        "Bản tin đã bị rút: {value}",
        "The bulletin was withdrawn: {value}",
        "Chọn bản tin khác.",
        "Choose another bulletin.",
    ),
    "not_approved": (
        "Bản tin chưa được duyệt: {value}",
        "The bulletin is not approved: {value}",
        "Duyệt bản tin rồi mới đưa vào lịch phát hoặc phát ngay.",
        "Approve the bulletin before it is put in a programme or on the air.",
    ),
    "too_many": (
        "Quá nhiều {field}",
        "Too many {field}",
        "Nhiều nhất là {limit}.",
        "At most {limit}.",
    ),
    "too_long": (
        "Dài hơn thời lượng cho phép ở {value}",
        "Longer than is allowed at {value}",
        "Rút ngắn xuống dưới {limit} giây, hoặc đổi cài đặt của địa bàn.",
        "Make it shorter than {limit} s, or change the area's settings.",
    ),
    "out_of_hours": (
        "Ngoài giờ được phép phát ở {value}",
        "Outside the permitted hours at {value}",
        "Chọn giờ khác, hoặc đổi giờ phát của địa bàn.",
        "Choose another time, or change the area's hours.",
    ),
    "bad_recurrence": (
        "Quy tắc lặp lại không dùng được: {value}",
        "Not a usable recurrence: {value}",
        "Viết theo RFC 5545, ví dụ FREQ=DAILY;BYHOUR=5,17. Cần: {limit}.",
        "Write it as RFC 5545 does, e.g. FREQ=DAILY;BYHOUR=5,17. Needed: {limit}.",
    ),
    "bad_start": (
        "Ngày giờ bắt đầu không hợp lệ: {value}",
        "Not a local date and time: {value}",
        "Viết {limit}, giờ Việt Nam, không kèm múi giờ.",
        "Write {limit} in Vietnam's local time, without a zone.",
    ),
    "bad_excluded_date": (
        "Ngày nghỉ không hợp lệ",
        "Not a date to be left out",
        "Viết {limit}.",
        "Write {limit}.",
    ),
    "emergency_needs_release": (
        "Cảnh báo khẩn cấp phải do người có thẩm quyền ký phát",
        "An emergency is released by people who are appointed to, not by this",
        "Dùng mức ưu tiên ({limit}), hoặc quy trình cảnh báo khẩn cấp.",
        "Use {limit}, or the way of alerts.",
    ),
    "broadcast_over": (
        "Lượt phát đã kết thúc: {value}",
        "The broadcast is over: {value}",
        "Không còn gì để thu hồi.",
        "There is nothing left to recall.",
    ),
    "database_busy": (
        "Cơ sở dữ liệu đang bận",
        "The database is busy",
        "Thử lại sau ít giây; nếu vẫn bận, xem tiến trình nào đang giữ tệp.",
        "Try again in a few seconds; if it stays so, see which process holds the file.",
    ),
    "database_unreachable": (
        "Không mở được cơ sở dữ liệu: {reason}",
        "The database cannot be opened: {reason}",
        "Kiểm tra địa chỉ, máy chủ cơ sở dữ liệu và quyền của tệp.",
        "Check its address, its server and the file's permissions.",
    ),
}
