"""What the demo says, in English and Vietnamese."""

from dataclasses import dataclass

from loa.cli.demo_alert_words import ALERT_WORDS
from loa.problems import Language

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("Loa demo", "Loa: chạy thử"),
    "subtitle": (
        "{nodes} loudspeakers in three communes of Quảng Ninh: {wireless} wireless, {wired} wired",
        "{nodes} bộ thu ở ba xã, phường, đặc khu của Quảng Ninh: {wireless} không dây, {wired} có dây",
    ),
    "phase_setup": ("Set-up", "Chuẩn bị"),
    "phase_story": ("From the recording to the villages", "Từ bản ghi âm đến các thôn"),
    "phase_proof": ("What was heard", "Bà con đã nghe được gì"),
    "recording": ("recording", "bản ghi"),
    "recording_done": (
        "{name}: {seconds:.1f} s, {kilobytes:.0f} kB of Opus, {level}",
        "{name}: {seconds:.1f} s, {kilobytes:.0f} kB Opus, {level}",
    ),
    "recording_first": (" (its first {seconds:.0f} s)", " ({seconds:.0f} giây đầu)"),
    "made_espeak-ng": ("an announcement spoken by espeak-ng", "thông báo do espeak-ng đọc"),
    "made_hummed": ("a generated announcement", "thông báo tự tạo"),
    "level_loudness": ("levelled to {lufs:.1f} LUFS", "cân bằng ở {lufs:.1f} LUFS"),
    "level_peak": ("levelled by its peak, {peak:.1f} dBTP", "cân theo đỉnh, {peak:.1f} dBTP"),
    "broker": ("broker", "máy chủ MQTT"),
    "centre": ("centre", "trung tâm"),
    "centre_done": ("page and API at {url}", "trang web và API tại {url}"),
    "sign_in": (
        "sign in as {account} with the one-time password {password} and a code; the authenticator app's key: {secret}",
        "đăng nhập {account}, mật khẩu dùng một lần {password} và mã; khoá cho ứng dụng xác thực: {secret}",
    ),
    "page": ("page", "trang web"),
    "bulletin": ("Sea weather", "Thời tiết biển"),
    "province": ("province", "tỉnh"),
    "province_wait": ("{ready} of {nodes} nodes in contact, on time and placed", "{ready}/{nodes} bộ thu sẵn sàng"),
    "province_settles": (
        "clocks are being set: within {error} ms so far",
        "đang chỉnh đồng hồ: còn sai dưới {error} ms",
    ),
    "province_done": (
        "{nodes} nodes in contact; their own clocks are up to {worst:.1f} s wrong",
        "{nodes} bộ thu sẵn sàng; đồng hồ riêng sai tới {worst:.1f} s",
    ),
    "plan": ("timetable", "lịch phát"),
    "plan_done": (
        "a broadcast to the whole province at {time}",
        "phát toàn tỉnh lúc {time}",
    ),
    "audio": ("audio", "âm thanh"),
    "audio_wait": ("{ready} of {nodes} nodes have it", "{ready}/{nodes} bộ thu đã có"),
    "audio_done": (
        "on all {nodes} nodes in {seconds:.0f} s; once on the air: {kilobytes:.0f} kB",
        "đã đến cả {nodes} bộ thu sau {seconds:.0f} s; phát sóng một lần: {kilobytes:.0f} kB",
    ),
    "audio_late": ("on {ready} of {nodes} nodes at the start", "mới đến {ready}/{nodes} bộ thu khi bắt đầu"),
    "cut": ("link cut", "mất liên lạc"),
    "cut_done": (
        "the island Cô Tô is on its own ({how}): {nodes} nodes",
        "đảo Cô Tô bị cô lập ({how}): {nodes} bộ thu",
    ),
    "dropped": ("connections dropped", "ngắt kết nối"),
    "half-open": ("half-open", "đứt ngầm"),
    "scheduled": ("scheduled", "theo lịch"),
    "waiting_for": ("starts at {time}, in {seconds:.0f} s", "bắt đầu lúc {time}, còn {seconds:.0f} s"),
    "heard_wait": ("sounding on {started} nodes, ended on {finished}", "{started} bộ thu đã phát, {finished} đã xong"),
    "scheduled_done": (
        "heard on {finished} of {nodes} nodes, {island} of them on the cut-off island; receipts from {receipts}",
        "{finished}/{nodes} bộ thu đã phát, trong đó {island} trên đảo mất liên lạc; biên nhận từ {receipts}",
    ),
    "mend": ("link back", "có lại liên lạc"),
    "mend_wait": ("{up} of {nodes} island nodes are back", "{up}/{nodes} bộ thu trên đảo đã trở lại"),
    "mend_done": (
        "{up} of {nodes} island nodes after {seconds:.1f} s",
        "{up}/{nodes} bộ thu trên đảo sau {seconds:.1f} s",
    ),
    "immediate": ("immediate", "phát ngay"),
    "immediate_done": (
        "ordered and heard on {finished} of {nodes} nodes",
        "ra lệnh và đã phát trên {finished}/{nodes} bộ thu",
    ),
    "receipts": ("receipts", "biên nhận"),
    "receipts_wait": (
        "scheduled {first}, immediate {second} of {nodes}",
        "theo lịch {first}, phát ngay {second}/{nodes}",
    ),
    "receipts_done": (
        "of both broadcasts from {count} of {nodes} nodes, those of the cut time too",
        "cả hai lượt từ {count}/{nodes} bộ thu, kể cả lúc mất liên lạc",
    ),
    "compare": ("compare", "đối chiếu"),
    "compare_wait": ("{done} of {all} recordings compared", "đã đối chiếu {done}/{all} bản ghi"),
    "compare_done": (
        "{good} of {all} recordings of the loudspeakers are what was sent",
        "{good}/{all} bản ghi từ loa đúng với bản đã gửi",
    ),
    "col_commune": ("commune", "xã/phường"),
    "col_node": ("node", "bộ thu"),
    "col_place": ("place", "nơi đặt"),
    "col_way": ("way", "đường truyền"),
    "col_nodes": ("nodes", "bộ thu"),
    "col_scheduled": ("scheduled", "theo lịch"),
    "col_immediate": ("immediate", "phát ngay"),
    "col_receipts": ("receipts", "biên nhận"),
    "col_matched": ("matched", "khớp"),
    "col_skew": ("worst start", "lệch lớn nhất"),
    "col_now": ("now", "hiện tại"),
    "col_audio": ("audio", "âm thanh"),
    "col_clock": ("clock", "đồng hồ"),
    "col_last": ("last heard", "tin cuối"),
    "all": ("all", "tất cả"),
    "wired": ("wired", "có dây"),
    "wireless": ("wireless", "không dây"),
    "cut_off": ("cut off", "mất liên lạc"),
    "on_air": ("on the air", "đang phát"),
    "silent": ("silent", "im"),
    "passed": (
        "Every node played both broadcasts, and every recording matches.",
        "Mọi bộ thu đã phát cả hai lượt, mọi bản ghi đều khớp.",
    ),
    "failed": ("Not everything was heard:", "Chưa nghe được đầy đủ:"),
    "figures": (
        (
            "starts within {skew:.1f} ms (p99) · {published:.0f} kB of audio published, {repair:.0f} kB of it repair · "
            "{duplicates} duplicates · {seconds:.0f} s after set-up"
        ),
        (
            "lệch giờ phát {skew:.1f} ms (p99) · phát {published:.0f} kB âm thanh, gửi bù {repair:.0f} kB · "
            "{duplicates} lượt trùng · {seconds:.0f} s sau khi chuẩn bị"
        ),
    ),
    "files": ("heard: {heard}   report: {report}", "âm thanh: {heard}   báo cáo: {report}"),
    "files_heard": ("heard: {heard}", "âm thanh: {heard}"),
    "again": (
        "The recording is on the air every {minutes} minutes. Ctrl-C ends the demo.",
        "Cứ {minutes} phút phát một lần. Nhấn Ctrl-C để dừng.",
    ),
    "stopping": ("Stopping …", "Đang dừng …"),
    "stopped": ("Stopped. What was heard: {heard}", "Đã dừng. Âm thanh: {heard}"),
    "next": ("next broadcast {time}", "lượt tới {time}"),
    "ready": ("ready", "đã có"),
    "none": ("–", "–"),
    **ALERT_WORDS,
}


class _Comma(float):
    """A number as it is written in Vietnamese."""

    def __format__(self, spec: str) -> str:
        return super().__format__(spec).replace(".", ",")


@dataclass(frozen=True)
class DemoWords:
    """The demo's words in one language."""

    language: Language

    def __call__(self, key: str, **blanks: object) -> str:
        en, vi = _WORDS[key]
        if self.language != "vi":
            return en.format(**blanks)
        return vi.format(**{name: _Comma(one) if isinstance(one, float) else one for name, one in blanks.items()})

    def seconds(self, value: float) -> str:
        """0.72 s; in Vietnamese 0,72 s."""
        return f"{_Comma(value) if self.language == 'vi' else value:.2f} s"
