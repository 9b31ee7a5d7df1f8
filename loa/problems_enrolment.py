"""Words for what enrolment and moved places refuse: vi, en, remedy vi, remedy en."""

ENROLMENT_PROBLEMS: dict[str, tuple[str, str, str, str]] = {
    "bad_label": (
        "Nhãn không đọc được ({field}: {limit})",
        "Not a label ({field}: {limit})",
        "Quét lại mã QR, hoặc gõ lại mã in dưới nó; chữ O là số 0, chữ I và L là số 1.",
        "Scan the QR code again, or type the code below it again; O is read as 0, I and L as 1.",
    ),
    "bad_centre_address": (
        "Địa chỉ trung tâm không hợp lệ: {value}",
        "Not an address of a centre: {value}",
        "Viết https://máy:cổng; ở trung tâm: LOA_ADDRESS, hoặc loa serve --tls.",
        "Write https://host:port; at the centre: LOA_ADDRESS, or loa serve --tls.",
    ),
    "label_used": (
        "Nhãn {value} đã được dùng",
        "The label {value} was used already",
        "In nhãn mới (`loa nodes label`). Nếu hộp này chưa từng dùng nhãn: có kẻ khác đã dùng nó, đừng xác nhận.",
        "Print a new one (`loa nodes label`). If this box never used it, somebody else did: do not confirm that one.",
    ),
    "enrolment_forged": (
        "Bên kia không biết mã bí mật của nhãn, hoặc nhãn không còn hiệu lực",
        "The other end does not know the label's secret, or the label is not valid any more",
        "Kiểm tra địa chỉ trung tâm và mạng ở giữa; nếu nhãn đã hết hạn hay bị huỷ thì in nhãn mới.",
        "Look at the centre's address and the network between; print a new label if this one expired or was revoked.",
    ),
    "enrolment_over": (
        "Lần ghi danh này đã kết thúc: {state}",
        "This enrolment is over: {state}",
        "Đặt lại hộp (`loa node reset`) rồi ghi danh bằng nhãn mới.",
        "Reset the box (`loa node reset`) and enrol it with a new label.",
    ),
    "enrolment_not_ready": (
        "Hộp chưa báo mã so sánh",
        "The box has not told its comparison code yet",
        "Chờ vài giây rồi thử lại.",
        "Wait some seconds, then try again.",
    ),
    "enrolment_rejected": (
        "Trung tâm đã từ chối hộp này",
        "The centre has rejected this box",
        "Hỏi kỹ thuật viên; đặt lại hộp (`loa node reset`) rồi ghi danh bằng nhãn mới.",
        "Ask the technician; reset the box (`loa node reset`) and enrol it with a new label.",
    ),
    "wrong_code": (
        "Mã so sánh không khớp",
        "The comparison code does not fit",
        "Đọc lại sáu chữ số ở hộp. Nếu vẫn khác: có kẻ đứng giữa, hãy từ chối. Sai ba lần thì hộp bị từ chối.",
        "Read the six digits at the box again. If they differ, somebody stands in between: reject it. Three end it.",
    ),
    "wrong_server": (
        "Máy trả lời ở {field} không phải trung tâm ghi trên nhãn",
        "What answers is not the centre that the label names",
        "Kiểm tra địa chỉ và mạng; nếu trung tâm đã đổi khoá chứng thư thì in nhãn mới.",
        "Look at the address and the network; print new labels where the centre's certificate has a new key.",
    ),
    "wrong_roots": (
        "Khoá gốc nhận được không phải khoá ghi trên nhãn",
        "The roots that came are not those that the label names",
        "Không dùng hộp này; báo trung tâm. Nếu bộ khoá gốc đã đổi thì in nhãn mới.",
        "Do not use this box; tell the centre. Print new labels where the roots were changed.",
    ),
    "already_enrolled": (
        "Hộp này đã là {value}",
        "This box is {value} already",
        "Muốn ghi danh lại thì đặt lại hộp tại chỗ: `loa node reset --data …`.",
        "To enrol it again, reset it where it stands: `loa node reset --data …`.",
    ),
    "not_enrolled": (
        "Ở {value} chưa có hộp nào được ghi danh",
        "No box was enrolled in {value}",
        "Cho đúng thư mục dữ liệu của hộp: --data.",
        "Give the box's data folder: --data.",
    ),
    "centre_unreachable": (
        "Không liên lạc được với trung tâm {value}: {reason}",
        "The centre {value} cannot be reached: {reason}",
        "Kiểm tra mạng và địa chỉ; hộp tự thử lại.",
        "Look at the network and the address; the box tries again by itself.",
    ),
    "bad_certificate": (
        "Chứng thư không đọc được: {field} ({reason})",
        "Not a usable certificate: {field} ({reason})",
        "Dùng tệp PEM; chứng thư phải ghi tên máy trong subjectAltName.",
        "Use PEM files; a certificate must name its hosts in subjectAltName.",
    ),
    "sealing_key_changed": (
        "Không mở được bí mật đã niêm phong: {field}",
        "What was sealed cannot be opened: {field}",
        "Lấy lại tệp sealing.key trong thư mục khoá từ bản sao lưu.",
        "Restore sealing.key in the folder of keys from a backup.",
    ),
    "area_moved": (
        "{value} đã chuyển thành {to}",
        "{value} has moved to {to}",
        "Dùng {to}.",
        "Use {to}.",
    ),
    "area_on_air": (
        "Đang có lượt phát ở {value}: {broadcast}",
        "A broadcast is on the air at {value}: {broadcast}",
        "Chờ nó kết thúc hoặc thu hồi nó, rồi chuyển.",
        "Wait until it ends, or recall it; then move.",
    ),
}
