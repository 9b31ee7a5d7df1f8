"""The words for what is refused about recordings. Rows as in `loa.problems`: vi, en, remedy vi, remedy en."""

AUDIO_PROBLEMS: dict[str, tuple[str, str, str, str]] = {
    "empty_audio": (
        "Tệp trống",
        "The file is empty",
        "Chọn lại tệp ghi âm; có thể lần tải lên trước bị ngắt.",
        "Choose the recording again; an upload may have been cut off.",
    ),
    "playlist_forbidden": (
        "Đây là danh sách phát, không phải bản ghi âm",
        "This is a playlist, not a recording",
        "Tải chính tệp âm thanh lên.",
        "Upload the sound file itself.",
    ),
    "container_forbidden": (
        "Tệp trỏ tới âm thanh ở nơi khác hoặc có danh sách phát bên trong",
        "The file points to sound elsewhere, or hides a playlist",
        "Xuất lại thành MP3, M4A hoặc WAV rồi tải lên.",
        "Export it again as MP3, M4A or WAV and upload that.",
    ),
    "archive_forbidden": (
        "Đây là tệp nén, không phải bản ghi âm",
        "This is an archive, not a recording",
        "Giải nén rồi tải từng bản ghi âm lên.",
        "Unpack it and upload each recording.",
    ),
    "duration_limit": (
        "Bản ghi âm dài quá {limit} phút",
        "The recording is longer than {limit} minutes",
        "Cắt ngắn hoặc chia thành nhiều bản tin.",
        "Shorten it, or split it into several bulletins.",
    ),
    "decode_failed": (
        "Không giải mã được âm thanh: phát được {plays_s} giây trong {claimed_s} giây ({why})",
        "The sound cannot be decoded: {plays_s} s of {claimed_s} s play ({why})",
        "Ghi hoặc xuất lại tệp; hoặc chấp nhận phần phát được, nếu có.",
        "Record or export it again; or accept the part that plays, if there is one.",
    ),
    "channel_limit": (
        "Bản ghi âm có {channels} kênh; tối đa {limit}",
        "The recording has {channels} channels; at most {limit} are taken",
        "Xuất lại thành một hoặc hai kênh.",
        "Export it again with one or two channels.",
    ),
    "drm_protected": (
        "Tệp bị khóa bản quyền (DRM) nên không phát được",
        "The file is locked by copy protection (DRM)",
        "Xin người cung cấp một bản không khóa.",
        "Ask its provider for a copy without protection.",
    ),
    "silent_audio": (
        "Bản ghi âm không có tiếng",
        "The recording is silent",
        "Kiểm tra micrô rồi ghi lại.",
        "Check the microphone and record again.",
    ),
    "unsupported_format": (
        "Định dạng tệp không được hỗ trợ",
        "This kind of file is not taken",
        "Dùng MP3, M4A, WAV, OGG, FLAC, AMR hoặc 3GP.",
        "Use MP3, M4A, WAV, OGG, FLAC, AMR or 3GP.",
    ),
    "cancelled": (
        "Việc đã bị hủy",
        "The work was cancelled",
        "Làm lại khi cần.",
        "Start it again when it is wanted.",
    ),
    "import_crashed": (
        "Bộ nhập âm thanh dừng đột ngột ({why})",
        "The import of a recording stopped unexpectedly ({why})",
        "Thử lại; nếu vẫn vậy, gửi tệp này cho người bảo trì.",
        "Try again; if it stays so, send the file to the maintainer.",
    ),
}
