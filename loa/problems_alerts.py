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
    "alert_altered": (
        "Cảnh báo trong cơ sở dữ liệu không còn như khi soạn: {field}",
        "The alert in the database is not as it was composed: {field}",
        "Đừng duyệt. Báo cho người quản trị: có người đã sửa cơ sở dữ liệu. Soạn lại cảnh báo.",
        "Do not approve it. Tell the administrator that the database was altered, and compose it anew.",
    ),
    "not_your_key": (
        "Đây là khoá của {value}, không phải của bạn",
        "This is the key of {value}, not yours",
        "Mỗi người ký bằng khoá của mình, khi chính mình đang đăng nhập.",
        "Everybody approves with a key of their own, signed in as themselves.",
    ),
}
