"""Words for alerts between people: vi, en, remedy vi, remedy en."""

ALERT_PROBLEMS: dict[str, tuple[str, str, str, str]] = {
    "alert_over": (
        "Cảnh báo này không còn hiệu lực: {value}",
        "This alert is over: {value}",
        "Soạn cảnh báo mới nếu cần; nếu đã được thay bằng cảnh báo khác thì huỷ cảnh báo đó.",
        "Compose another where one is needed; one that was updated is cancelled by its update.",
    ),
    "alert_not_released": (
        "Cảnh báo chưa được phát: {value}",
        "This alert is not released: {value}",
        "Người soạn rút lại cảnh báo, hoặc không ai duyệt nữa: nó tự hết hạn.",
        "Its author withdraws it, or nobody approves it any more: it expires by itself.",
    ),
    "source_unsigned": (
        "Nguồn {value} chưa có khoá ký nào được ghim",
        "The source {value} has no pinned key",
        "Thêm chứng thư của nguồn (Thiết lập → Cảnh báo CAP): chỉ cảnh báo có chữ ký đúng mới được tự phát.",
        "Pin its certificate (Settings → CAP): only what is verified puts anything out by itself.",
    ),
    "alert_altered": (
        "Cảnh báo trong cơ sở dữ liệu không còn như khi soạn: {field}",
        "The alert in the database is not as it was composed: {field}",
        "Đừng duyệt. Báo cho người quản trị: có người đã sửa cơ sở dữ liệu. Soạn lại cảnh báo.",
        "Do not approve it. Tell the administrator that the database was altered, and compose it anew.",
    ),
    "board_open": (
        "Bảng theo dõi chưa đóng được: còn {value} bộ thu chưa rõ",
        "The board cannot be closed yet: {value} nodes are open",
        "Xem từng bộ thu còn mở và làm theo bước tiếp theo ghi ở đó; bảng tự đóng khi không còn gì để chờ.",
        "See the nodes that are open and do what their next step says; it closes by itself once nothing is awaited.",
    ),
    "bad_notice_address": (
        "Địa chỉ báo tin không dùng được: {reason}",
        "Not an address for notices: {reason}",
        "Thư: mailtos://tên:mật-khẩu@máy-chủ?to=người@nơi. Webhook: jsons://máy-chủ/đường-dẫn.",
        "E-mail: mailtos://user:password@server?to=who@where. Webhook: jsons://server/path.",
    ),
    "not_your_key": (
        "Đây là khoá của {value}, không phải của bạn",
        "This is the key of {value}, not yours",
        "Mỗi người ký bằng khoá của mình, khi chính mình đang đăng nhập.",
        "Everybody approves with a key of their own, signed in as themselves.",
    ),
    "no_voice": (
        "Không có giọng đọc cho ngôn ngữ {value}; giọng đọc có: {limit}",
        "No voice speaks {value} here; voices: {limit}",
        "Ghi âm sẵn câu này bằng ngôn ngữ đó và lưu vào bộ thu, hoặc bỏ ngôn ngữ này.",
        "Keep a standing recording in that language at the nodes, or leave the language out.",
    ),
    "voice_unavailable": (
        "Giọng đọc {value} không chạy được: {reason}",
        "The voice {value} does not work: {reason}",
        "Cài espeak-ng trên máy trung tâm; trong lúc chờ, dùng bản tin ghi âm hoặc chỉ còi.",
        "Install espeak-ng at the centre; meanwhile use a recorded bulletin, or the siren alone.",
    ),
    "text_empty": (
        "Không có gì để đọc ở {field}",
        "There is nothing to say in {field}",
        "Viết ít nhất một từ.",
        "Write at least one word.",
    ),
    "alerts_own_words": (
        "Lời này thuộc một cảnh báo và chỉ phát cùng cảnh báo đó: {value}",
        "These words belong to an alert and are aired with that alone: {value}",
        "Duyệt chính cảnh báo; để phát ngoài cảnh báo, soạn bản tin riêng.",
        "Approve the alert itself; make a bulletin of its own for anything else.",
    ),
    "blank_empty": (
        "Chưa điền: {value}",
        "Not filled in: {name}",
        "Điền chỗ trống này; cảnh báo không phát câu còn thiếu chữ.",
        "Fill it in: no alert is spoken with a gap in it.",
    ),
    "blank_unlisted": (
        "Lời dùng chỗ trống chưa khai báo: {names}",
        "The words have blanks that are not listed: {names}",
        "Khai báo các chỗ trống đó, hoặc bỏ chúng khỏi lời.",
        "List those blanks, or take them out of the words.",
    ),
    "blank_unused": (
        "Chỗ trống “{name}” không có trong lời nào",
        "The blank “{name}” is in none of the words",
        "Đặt nó vào lời hoặc tên cảnh báo, hoặc bỏ nó.",
        "Put it into the words or the title, or remove it.",
    ),
    "language_differs": (
        "Bản ghi này bằng ngôn ngữ {value}, không phải {limit}",
        "This recording is in {value}, not in {limit}",
        "Chọn bản tin đúng ngôn ngữ, hoặc nhập lại với ngôn ngữ đúng.",
        "Choose a bulletin in that language, or import it again under the right one.",
    ),
    "siren_length": (
        "Còi dài {value} giây; cần {limit} giây",
        "This siren lasts {value} s; {limit} s are wanted",
        "Cắt hoặc lặp lại âm thanh: ngắn hơn thì không ai để ý, dài hơn thì che mất lời.",
        "Cut it, or repeat it: shorter is not noticed, longer keeps people from the words.",
    ),
}
