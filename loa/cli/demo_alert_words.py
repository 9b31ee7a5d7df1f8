"""What `loa demo --alert` says, in English and Vietnamese."""

ALERT_WORDS: dict[str, tuple[str, str]] = {
    "phase_cap": ("A storm warning comes in", "Có tin bão"),
    "phase_release": ("Two people release it, and an island is cut off", "Hai người duyệt phát, đảo đang mất liên lạc"),
    "phase_back": ("The island comes back", "Đảo có lại liên lạc"),
    "phase_cancel": ("One person takes it back", "Một người huỷ"),
    "officers": ("on duty", "trực ban"),
    "officers_wait": ("{name}: account, codes, release key, appointment", "{name}: tài khoản, mã, khoá, bổ nhiệm"),
    "officers_done": (
        "{names}: each with codes and a release key of their own, appointed by the roots",
        "{names}: mỗi người có mã và khoá duyệt riêng, được khoá gốc bổ nhiệm",
    ),
    "sirens": ("sirens", "còi"),
    "sirens_wait": (
        "{held} of {all} stored; all of them on {ready} of {nodes} nodes",
        "đã lưu {held}/{all}; đủ ở {ready}/{nodes} bộ thu",
    ),
    "sirens_done": (
        "{count} stored sounds on all {nodes} nodes in {seconds:.0f} s: no emergency waits for them",
        "{count} âm thanh lưu sẵn ở cả {nodes} bộ thu sau {seconds:.0f} s: khi khẩn cấp không phải chờ",
    ),
    "sirens_late": ("on {ready} of {nodes} nodes only", "mới lưu ở {ready}/{nodes} bộ thu"),
    "cap": ("CAP file", "tệp CAP"),
    "cap_done": (
        "{file}: {status} {code}, {title}; signature: {signature}; {areas}",
        "{file}: {status} {code}, {title}; chữ ký: {signature}; {areas}",
    ),
    "unsigned": ("none, so people judge", "không có, người trực xem xét"),
    "untrusted": ("untrusted", "chưa tin cậy"),
    "verified": ("verified", "đã xác minh"),
    "composed": ("alert", "cảnh báo"),
    "composed_done": (
        "“{title}” (CAP: {severity}, {urgency}) composed; nothing sounds until {count} people have approved it",
        "“{title}” (CAP: {severity}, {urgency}) đã soạn; chưa phát gì khi chưa đủ {count} người duyệt",
    ),
    "reach": ("reaches", "nơi nghe"),
    "reach_done": (
        "{villages} villages, {nodes} nodes, {people} people: {communes}",
        "{villages} thôn/khu, {nodes} bộ thu, {people} người dân: {communes}",
    ),
    "said": ("words", "lời đọc"),
    "said_done": (
        "siren {siren} ({siren_s:.0f} s), then: “{text}” ({seconds:.0f} s), again after {gap:.0f} s until cancelled",
        "còi {siren} ({siren_s:.0f} s), rồi: “{text}” ({seconds:.0f} s), lặp lại sau {gap:.0f} s đến khi huỷ",
    ),
    "no_voice": ("(no voice on this machine)", "(máy này không có giọng đọc)"),
    "first": ("1 of 2", "1/2 duyệt"),
    "first_done": (
        "{name}: password, code and passphrase. {words} Silent so far: {silent} of {nodes} nodes",
        "{name}: mật khẩu, mã và cụm từ khoá. {words} Vẫn im: {silent}/{nodes} bộ thu",
    ),
    "second": ("2 of 2", "2/2 duyệt"),
    "second_done": (
        "{name}. {words} First sound {first:.2f} s after the approval, all {reached} in reach within {last:.2f} s",
        "{name}. {words} Tiếng đầu sau {first:.2f} s, cả {reached} bộ thu còn liên lạc trong {last:.2f} s",
    ),
    "second_wait": ("sounding on {started} nodes", "đang phát ở {started} bộ thu"),
    "ladder": ("ladder", "độ phủ"),
    "ladder_done": (
        "{started} of {nodes} nodes sounded, {people} of {all_people} people; not reached: {unreached} villages",
        "{started}/{nodes} bộ thu đã phát, {people}/{all_people} người; chưa tới: {unreached} thôn/khu",
    ),
    "live_first": (
        "Siren and words go out, {left:.0f} s more; the island hears nothing yet",
        "Đang phát còi và lời, còn {left:.0f} s; đảo chưa nghe được",
    ),
    "live_again": (
        "All of it sounds again, on the island too; the cancel in {left:.0f} s",
        "Đang phát lại, cả trên đảo; huỷ sau {left:.0f} s",
    ),
    "live_close": ("Each node signs that it took the cancel", "Từng bộ thu ký nhận lệnh huỷ"),
    "back": ("island", "đảo"),
    "back_wait": ("{started} of {nodes} island nodes sound", "{started}/{nodes} bộ thu trên đảo đang phát"),
    "back_done": (
        (
            "link back; {started} of {nodes} nodes got it after {received:.1f} s, and sounded with the others "
            "after {sounded:.1f} s; {left:.0f} min before its expiry"
        ),
        (
            "có lại liên lạc; {started}/{nodes} bộ thu nhận sau {received:.1f} s, phát cùng nhịp với đất liền "
            "sau {sounded:.1f} s; còn {left:.0f} phút mới hết hạn"
        ),
    ),
    "cancel": ("cancel", "huỷ"),
    "cancel_wait": ("still sounding on {sounding} nodes", "còn phát ở {sounding} bộ thu"),
    "cancel_done": (
        "{name}, alone, confirms with the passphrase: {sounding} nodes were sounding, all silent after {seconds:.2f} s",
        "{name}, một mình, xác nhận bằng cụm từ khoá: {sounding} bộ thu đang phát, im hết sau {seconds:.2f} s",
    ),
    "cancel_late": (
        "{sounding} nodes still sound {seconds:.0f} s after the cancel",
        "{sounding} bộ thu còn phát {seconds:.0f} s sau khi huỷ",
    ),
    "board": ("board", "bảng"),
    "board_closed": (
        "closed by itself: {ended} of {nodes} nodes signed that they took the cancel",
        "tự đóng: {ended}/{nodes} bộ thu đã ký nhận lệnh huỷ",
    ),
    "board_open": (
        "open: {ended} of {nodes} nodes signed that they took the cancel, {open} are awaited",
        "chưa đóng: {ended}/{nodes} bộ thu đã ký nhận lệnh huỷ, còn chờ {open}",
    ),
    "papers": ("report", "báo cáo"),
    "papers_done": ("{page} to be printed, {table} node by node", "{page} để in, {table} theo từng bộ thu"),
    "papers_differ": (
        "{table} has {rows} nodes that sounded and took the cancel, not {nodes}",
        "{table} có {rows} bộ thu đã phát và đã huỷ, không phải {nodes}",
    ),
    "sirens_compare": ("compare", "đối chiếu"),
    "sirens_compared": (
        "{good} of {all} recordings of the loudspeakers begin with siren {siren}",
        "{good}/{all} bản ghi từ loa mở đầu đúng bằng còi {siren}",
    ),
    "col_village": ("village", "thôn/khu"),
    "col_loudspeakers": ("nodes", "bộ thu"),
    "col_sent": ("sent", "gửi"),
    "col_received": ("received", "nhận"),
    "col_started": ("started", "phát"),
    "col_ended": ("ended", "dừng"),
    "col_people": ("people", "dân số"),
    "col_first_sound": ("first sound", "tiếng đầu"),
    "col_silent": ("silent", "im sau huỷ"),
    "col_siren": ("siren heard", "đúng còi"),
    "since_link_back": (
        "* {names}: since its link was back; it joins the others' next repeat, from the siren on",
        "* {names}: tính từ khi có lại liên lạc; phát cùng lượt kế tiếp của đất liền, từ còi",
    ),
    "alert_passed": (
        "Every node in reach sounded, the island on reconnection, and one person silenced all.",
        "Mọi bộ thu còn liên lạc đã phát, đảo phát khi nối lại, một người huỷ là im hết.",
    ),
    "alert_failed": ("Not everything was shown:", "Chưa diễn ra đầy đủ:"),
    "alert_figures": (
        (
            "first sound {first:.2f} s after the second approval · silent {silent:.2f} s after the cancel · "
            "{seconds:.0f} s in all"
        ),
        "tiếng đầu {first:.2f} s sau người duyệt thứ hai · im {silent:.2f} s sau khi huỷ · cả buổi {seconds:.0f} s",
    ),
    "alert_files": (
        "heard: {heard}   report: {page}, {table}   CAP: {cap}",
        "âm thanh: {heard}   báo cáo: {page}, {table}   CAP: {cap}",
    ),
}
