"""Words for keys, passphrases and what the roots sign: vi, en, remedy vi, remedy en."""

KEY_PROBLEMS: dict[str, tuple[str, str, str, str]] = {
    "wrong_passphrase": (
        "Sai cụm mật khẩu của khoá",
        "Not the key's passphrase",
        "Gõ lại; không có cách nào lấy lại cụm mật khẩu đã quên, xem docs/keys.md.",
        "Type it again; a forgotten one cannot be got back, see docs/keys.md.",
    ),
    "weak_passphrase": (
        "Cụm mật khẩu quá dễ đoán",
        "The passphrase is too easy to guess",
        "Dùng ít nhất {limit} ký tự, vài từ của riêng mình, không phải dãy phím; `loa keys suggest` gợi ý.",
        "Use at least {limit} characters, some words of your own, no rows of keys; `loa keys suggest` makes one.",
    ),
    "passphrase_is_password": (
        "Cụm mật khẩu ký phát trùng với mật khẩu đăng nhập",
        "The release passphrase is the sign-in password",
        "Chọn một cụm khác: ai biết mật khẩu đăng nhập không được phép phát khẩn cấp.",
        "Choose another: whoever learns the one must not have the other.",
    ),
    "passphrase_needed": (
        "Khoá {value} có cụm mật khẩu: {field}",
        "The key {value} lies under a passphrase: {field}",
        "Chạy lệnh ở máy có bàn phím, hoặc cho --passphrase-file cho từng tệp khoá.",
        "Run it where somebody can type, or give a --passphrase-file for each key file.",
    ),
    "passphrase_count": (
        "Số tệp cụm mật khẩu không khớp số khoá",
        "Not one passphrase file for each key",
        "Cho đúng {limit} lần --passphrase-file, cùng thứ tự với các khoá.",
        "Give --passphrase-file {limit} times, in the order of the keys.",
    ),
    "argon2_missing": (
        "Thư viện mã hoá của máy này không có Argon2id",
        "This machine's cryptography library has no Argon2id",
        "Cài gói cryptography 44 trở lên, dựng cùng OpenSSL 3.2 trở lên.",
        "Install cryptography 44 or later, built with OpenSSL 3.2 or later.",
    ),
    "bad_signing_request": (
        "Tệp yêu cầu ký không dùng được: {detail}",
        "Not a usable signing request: {detail}",
        "Chép lại tệp từ trung tâm, hoặc tạo yêu cầu mới bằng `loa keys request`.",
        "Copy it from the centre again, or make a new one by `loa keys request`.",
    ),
    "signatures_missing": (
        "Yêu cầu chưa đủ chữ ký: cần ít nhất {limit} khoá gốc, trong đó có một khoá không niêm phong",
        "Too few signatures: at least {limit} roots must sign, one of them not sealed",
        "Cho ký tiếp bằng `loa keys sign`; `loa keys show TỆP` cho biết ai đã ký.",
        "Have it signed on by `loa keys sign`; `loa keys show FILE` says who has.",
    ),
    "other_request": (
        "Hai tệp thuộc hai yêu cầu ký khác nhau: {value} và {limit}",
        "Files of two different signing requests: {value} and {limit}",
        "Đưa vào các bản sao của cùng một yêu cầu.",
        "Give copies of one and the same request.",
    ),
    "not_an_alert_body": (
        "Tệp này không phải nội dung cảnh báo",
        "This is not an alert body",
        "Khoá của người chỉ duyệt nội dung cảnh báo; lấy đúng tệp từ trung tâm.",
        "A person's key approves alert bodies and nothing else; get the right file from the centre.",
    ),
    "request_outdated": (
        "Yêu cầu {value} không còn khớp: bộ khoá gốc hoặc các bổ nhiệm đã thay đổi",
        "Request {value} no longer fits: the roots or the appointments have changed since",
        "Tạo yêu cầu mới bằng `loa keys request roots` và ký lại.",
        "Make a new one by `loa keys request roots`, and have it signed.",
    ),
    "not_a_root": (
        "Khoá {value} không phải khoá gốc của trung tâm này",
        "Key {value} is no root of this centre",
        "Dùng đúng tệp khoá gốc; `loa keys show` in ra các mã khoá gốc.",
        "Use the right root's file; `loa keys show` prints the roots' key ids.",
    ),
    "not_signed": (
        "Chưa ký gì",
        "Nothing was signed",
        "Chạy lại và trả lời yes nếu nội dung đúng.",
        "Run it again, and answer yes if it says what you want.",
    ),
    "roots_differ": (
        "Bộ khoá gốc đưa vào khác bộ đang dùng: {value}",
        "These roots are not those in office: {value}",
        "Bộ thu chỉ tin bộ khoá gốc đã ghim; muốn thay thì dùng `loa keys request roots`.",
        "Nodes trust the roots that they pinned; `loa keys request roots` replaces them.",
    ),
    "key_of_other_kind": (
        "Khoá này của {value} đã được bổ nhiệm loại {limit}",
        "This key of {value} is appointed for {limit} already",
        "Mỗi khoá chỉ ký một loại, thật hoặc diễn tập: tạo khoá khác.",
        "A key signs one kind, live or drill: make another key.",
    ),
    "key_retired": (
        "Khoá {value} đã thôi dùng",
        "Key {value} is retired",
        "Tạo khoá mới và xin bổ nhiệm.",
        "Make a new key, and have it appointed.",
    ),
    "roots_plain": (
        "Khoá gốc nằm trên máy này, không có cụm mật khẩu: {value}",
        "Private keys of the roots lie on this machine, without a passphrase: {value}",
        "Ai lấy được máy này là có mọi loa. Làm lễ tạo khoá ngoại tuyến theo docs/keys.md.",
        "Whoever gets this machine has every loudspeaker. Hold the ceremony of docs/keys.md offline.",
    ),
    "roots_here": (
        "Khoá gốc nằm trên máy này: {value}",
        "Private keys of the roots lie on this machine: {value}",
        "Chuyển chúng sang hai nơi cất giữ ngoại tuyến; trung tâm không cần đến chúng.",
        "Move them to two safe places offline; the centre does not need them.",
    ),
    "appointment_ends": (
        "Bổ nhiệm của {value} hết hạn {until}",
        "The appointment of {value} ends {until}",
        "Xin khoá gốc bổ nhiệm lại: docs/keys.md, phần gia hạn hằng năm.",
        "Have the roots appoint it again: docs/keys.md, yearly renewal.",
    ),
    "appointment_ended": (
        "Bổ nhiệm của {value} đã hết hạn {until}",
        "The appointment of {value} ended {until}",
        "Khoá này không ký được gì nữa. Xin khoá gốc bổ nhiệm lại, hoặc bỏ qua nếu người đó đã thôi việc.",
        "This key can do nothing any more. Have the roots appoint it again, or leave it where the person has left.",
    ),
}
