"""Words for the verdicts on alerts in CAP: vi, en, remedy vi, remedy en."""

CAP_PROBLEMS: dict[str, tuple[str, str, str, str]] = {
    "accepted": (
        "Cảnh báo hợp lệ",
        "A valid alert",
        "Soạn cảnh báo khẩn cấp từ nội dung này rồi chờ người có thẩm quyền ký phát.",
        "Compose an alert from it, to be released by people who are appointed to.",
    ),
    "accepted_test": (
        "Tin thử hợp lệ; không bao giờ phát thật",
        "A valid test; it never becomes a live alert",
        "Không cần làm gì.",
        "Nothing needs doing.",
    ),
    "accepted_exercise": (
        "Tin diễn tập hợp lệ; không bao giờ phát thật",
        "A valid exercise; it never becomes a live alert",
        "Có thể dùng cho một cuộc diễn tập.",
        "It may be used for a drill.",
    ),
    "already_known": (
        "Cảnh báo này đã nhận rồi",
        "This alert was received before",
        "Không cần làm gì.",
        "Nothing needs doing.",
    ),
    "alert_conflict": (
        "Cảnh báo {value} đã nhận rồi nhưng nội dung lần này khác",
        "Alert {value} was received before, with other content",
        "Hỏi nơi gửi bản nào đúng; bản mới phải có số hiệu mới.",
        "Ask the sender which one is right; a new one needs a new identifier.",
    ),
    "not_xml": (
        "Không phải XML đọc được: {reason}",
        "Not readable XML: {reason}",
        "Gửi lại nguyên tệp như nơi phát hành đã đưa ra.",
        "Send the file again, whole and as its issuer gave it out.",
    ),
    "bad_encoding": (
        "Bảng mã của tệp không đúng hoặc không dùng được: {limit} ({value})",
        "The file is not in the encoding it says, or in one that is not read: {limit} ({value})",
        "Lưu lại tệp bằng UTF-8 và ghi đúng như vậy ở dòng đầu.",
        "Save the file as UTF-8, and have its first line say so.",
    ),
    "too_deep": (
        "XML lồng nhau quá {limit} cấp",
        "XML nested more than {limit} deep",
        "Kiểm tra nguồn của tệp; một cảnh báo thật không như vậy.",
        "Look at where the file comes from; no real alert is like that.",
    ),
    "dtd_forbidden": (
        "Tệp có khai báo DOCTYPE",
        "The file has a DOCTYPE",
        "Bỏ DOCTYPE và các thực thể; CAP không dùng đến.",
        "Leave out the DOCTYPE and its entities; CAP has no use for them.",
    ),
    "no_alert": (
        "Không có cảnh báo CAP nào trong tệp <{value}>",
        "There is no CAP alert in this <{value}>",
        "Nếu là danh mục, hãy tải các tệp cảnh báo mà nó trỏ tới.",
        "If it is an index, fetch the alerts that it points to.",
    ),
    "bad_namespace": (
        "Không phải không gian tên của CAP: {value}",
        "Not a namespace of CAP: {value}",
        "Dùng {limit}.",
        "Use {limit}.",
    ),
    "required_missing": (
        "Thiếu phần tử bắt buộc {field}",
        "The required element {field} is missing",
        "Bổ sung {field} theo CAP 1.2.",
        "Add {field}, as CAP 1.2 demands.",
    ),
    "info_required": (
        "Cảnh báo không có phần tử info",
        "The alert has no info",
        "Chỉ lệnh hủy mới được thiếu info; nói rõ chuyện gì xảy ra.",
        "Only a cancel may lack it; say what happens.",
    ),
    "duplicate_element": (
        "Có hai {field} khác nhau",
        "There are two different {field}",
        "Để lại một.",
        "Leave one of them.",
    ),
    "bad_date": (
        "{field} không phải thời điểm: {value}",
        "{field} is not an instant: {value}",
        "Viết như {limit}.",
        "Write it like {limit}.",
    ),
    "references_required": (
        "{value} phải nêu cảnh báo trước đó trong references",
        "This {value} has to name earlier alerts in its references",
        "Ghi sender,identifier,sent của cảnh báo được thay hoặc hủy.",
        "Give sender,identifier,sent of what it replaces or cancels.",
    ),
    "bad_references": (
        "references viết sai: {value}",
        "Not references: {value}",
        "Viết {limit}, các bộ cách nhau bằng dấu cách.",
        "Write {limit}, with space between the triples.",
    ),
    "bad_circle": (
        "Vòng tròn không hợp lệ: {value}",
        "Not a circle: {value}",
        "Cần: {limit}.",
        "Needed: {limit}.",
    ),
    "signature_invalid": (
        "Chữ ký của cảnh báo không đúng: {reason}",
        "The alert's signature does not hold: {reason}",
        "Không dùng cảnh báo này; gọi cho nơi gửi để hỏi lại.",
        "Do not use it; call the sender.",
    ),
    "not_an_alert": (
        "{field} là {value}: không phải cảnh báo để phát",
        "{field} is {value}: not an alert to be sounded",
        "Chỉ nhận {limit}.",
        "Only {limit} are taken.",
    ),
    "not_public": (
        "Cảnh báo không dành cho công chúng: {value}",
        "The alert is not for the public: {value}",
        "Chỉ cảnh báo {limit} mới được phát ra loa.",
        "Only {limit} alerts are for loudspeakers.",
    ),
    "expired": (
        "Cảnh báo đã hết hạn",
        "The alert has expired",
        "Xin bản mới của nơi phát hành; xem tệp cũ như hôm đó bằng --at sent.",
        "Get the issuer's newest; judge an old file as of its day with --at sent.",
    ),
    "area_unknown": (
        "Không có địa bàn nào của ta trong cảnh báo: {value}",
        "Nothing of ours is in the alert's area: {value}",
        "Nếu cảnh báo vẫn liên quan, soạn tay và chọn địa bàn.",
        "If it concerns us all the same, compose by hand and choose the areas.",
    ),
    "bad_places": (
        "Tệp địa bàn không dùng được: {reason}",
        "Not a usable file of places: {reason}",
        "Cần: {limit}; xem mẫu CSV code,name,kind,terrain,latitude_approx,longitude_approx.",
        "Needed: {limit}; CSV with code,name,kind,terrain,latitude_approx,longitude_approx, or GeoJSON.",
    ),
}
"""One row a code. `too_large`, `bad_value`, `bad_polygon` and `timezone_required` stand where they are used first."""
