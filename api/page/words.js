"use strict";
// Every word on the page, Vietnamese and English.
const WORDS = {
  sign_in_title: ["Đăng nhập", "Sign in"],
  sign_in_hint: ["Lần đầu: dùng mật khẩu một lần mà bạn được cấp. Của tài khoản admin thì “loa serve” đã in ra, kèm khoá mã.", "The first time: with the one-time password that you were given. Of the account admin, “loa serve” printed it, and the code secret."],
  code: ["Mã xác nhận 6 số, hoặc một mã dự phòng", "Six-digit code, or a recovery code"], confirm: ["Xác nhận", "Confirm"],
  set_up_title: ["Cài mã xác nhận", "Set up codes"], qr: ["Mã QR cho ứng dụng xác thực", "QR code for an authenticator app"],
  set_up_hint: ["Vai trò của bạn cần mã xác nhận thay đổi mỗi 30 giây. Quét mã này bằng ứng dụng xác thực (Google Authenticator, FreeOTP, Aegis…).", "Your role needs a code that changes every 30 seconds. Scan this with an authenticator app (Google Authenticator, FreeOTP, Aegis …)."],
  open_app: ["Đang dùng điện thoại? Mở ứng dụng xác thực", "On the phone already? Open the authenticator app"], or_type: ["Không quét được? Gõ khoá này vào ứng dụng:", "Cannot scan? Type this key into the app:"],
  set_up_code: ["Mã 6 số đang hiện trên ứng dụng", "The six digits that the app shows now"],
  recovery: ["Mã dự phòng mới", "New recovery codes"], recovery_hint: ["Chép các mã dự phòng này ra giấy: mỗi mã dùng được một lần khi mất điện thoại. Chúng chỉ hiện lần này.", "Copy these recovery codes onto paper: each is good once if the phone is lost. They are shown this once."],
  written_down: ["Tôi đã chép", "I have copied them"],
  step_up_title: ["Xác nhận trước khi phát", "Confirm before it sounds"], step_up_hint: ["Việc này làm loa kêu. Nhập mã mới trên ứng dụng xác thực; sau đó 5 phút không hỏi lại.", "This makes loudspeakers sound. Enter a fresh code of your authenticator app; for 5 minutes you are not asked again."],
  nothing_done: ["Chưa làm gì.", "Nothing was done."], wants_another: ["Chờ người khác duyệt: không ai tự duyệt bản tin của mình.", "Waits for somebody else: nobody approves their own."],
  role_duty_officer: ["trực ban tỉnh", "duty officer"], role_province_admin: ["quản trị tỉnh", "province administrator"], role_operator: ["cán bộ truyền thanh", "operator"],
  role_approver: ["người duyệt", "approver"], role_technician: ["kỹ thuật viên", "technician"], role_auditor: ["kiểm tra", "auditor"], role_reader: ["người xem", "reader"],
  account: ["Tài khoản", "Account"], password: ["Mật khẩu", "Password"], sign_in: ["Đăng nhập", "Sign in"], sign_out: ["Đăng xuất", "Sign out"],
  change_password_hint: ["Bạn đang dùng mật khẩu được in một lần. Hãy đổi mật khẩu.", "You are using the password that was printed once. Please change it."],
  old_password: ["Mật khẩu cũ", "Old password"], new_password: ["Mật khẩu mới (từ 10 ký tự)", "New password (10 characters or more)"], change_password: ["Đổi mật khẩu", "Change password"],
  password_changed: ["Đã đổi mật khẩu; các phiên khác của bạn đã kết thúc.", "The password is changed; your other sessions have ended."],
  line_open: ["Trực tiếp", "Live"], line_lost: ["Mất kết nối, đang nối lại…", "Connection lost, trying again…"], line_wait: ["Đang kết nối…", "Connecting…"],
  on_air: ["Đang phát", "On the air"], nothing_on_air: ["Không có gì đang phát.", "Nothing is on the air."], next: ["Tiếp theo", "Next"],
  playing_at: ["{n} bộ thu đang phát", "loudspeakers playing: {n}"], starts_in: ["phát sau {n} giây", "starts in {n} s"],
  speak: ["Đưa bản ghi lên sóng", "Put a recording on the air"], recording: ["Bản ghi (MP3, M4A, WAV, OGG, FLAC, AMR)", "Recording (MP3, M4A, WAV, OGG, FLAC, AMR)"],
  choose_file: ["Chọn tệp…", "Choose a file…"],
  title: ["Tên bản tin", "Title"], area: ["Địa bàn", "Area"], chime: ["Nhạc hiệu mở đầu và kết thúc", "Chimes before and after"],
  accept_part: ["Chấp nhận phần phát được của tệp hỏng", "Accept the part that plays of a damaged file"],
  upload: ["Tải lên", "Upload"], uploading: ["Đang tải lên", "Uploading"], cancel: ["Huỷ", "Cancel"],
  reading: ["Đang đọc", "Reading"], encoding: ["Đang nén", "Encoding"], checking: ["Đang kiểm tra", "Checking"],
  bulletins: ["Bản tin", "Bulletins"], no_bulletins: ["Chưa có bản tin nào. Tải lên một bản ghi.", "No bulletins yet. Upload a recording."],
  draft: ["chờ duyệt", "to be approved"], approved: ["đã duyệt", "approved"], withdrawn: ["đã rút", "withdrawn"],
  hear_first: ["Nghe thử; một người khác sẽ duyệt.", "Hear it; somebody else approves it."], approve: ["Duyệt", "Approve"], withdraw: ["Rút", "Withdraw"], put_out: ["Phát…", "Broadcast…"],
  by: ["bởi {who}", "by {who}"],
  to_area: ["Phát tới", "Broadcast to"], say_now: ["Phát ngay", "At once"], in_programme: ["Đưa vào chương trình", "In the programme"],
  priority_hint: ["Ưu tiên: ngắt bản tin thường đang phát", "Priority: interrupts an ordinary one on the air"],
  at_times: ["Giờ phát", "At"], on_days: ["Ngày", "On"], every_day: ["Mọi ngày", "Every day"], weekdays: ["Thứ 2 đến thứ 6", "Monday to Friday"], weekend: ["Thứ 7, Chủ nhật", "Saturday, Sunday"], once: ["Một lần", "Once"],
  back: ["Quay lại", "Back"], choose: ["— chọn —", "— choose —"], add_programme: ["Đưa vào", "Add"], next_times: ["Sắp tới: {times}", "Next: {times}"], no_times: ["Không có lần phát nào trong 7 ngày tới.", "It does not happen within the next 7 days."],
  said: ["Đã phát lệnh: {title}", "Issued: {title}"], added: ["Đã đưa vào chương trình: {title}", "Added to the programme: {title}"], undone: ["Đã thu hồi.", "Recalled."], undo: ["Thu hồi", "Recall"],
  loudspeakers: ["Bộ thu", "Loudspeakers"], no_nodes: ["Chưa có bộ thu nào. Xem `loa nodes enrol`.", "No loudspeakers yet. See `loa nodes enrol`."],
  trouble_silent: ["{n} bộ thu mất liên lạc", "{n} out of contact"], do_silent: ["Vẫn phát theo lịch đã lưu nếu có điện. Kiểm tra nguồn điện, rồi đường mạng hoặc SIM tại chỗ.", "They still play the timetable that they keep, if they have power. Check the power there, then the network or SIM."],
  trouble_muted: ["{n} loa câm", "{n} muted"], do_muted: ["Bộ thu chạy nhưng loa không kêu. Kiểm tra công tắc, âm ly và dây loa tại chỗ.", "The box runs, but its speaker does not sound. Check the switch, the amplifier and the wiring there."],
  trouble_never: ["{n} bộ thu chưa từng liên lạc", "{n} never heard from"], do_never: ["Cắm điện, kiểm tra tệp nhận dạng và địa chỉ broker của bộ thu.", "Power them up; check the identity file and the broker's address on the box."],
  and_more: ["; và {n} bộ thu khác", "; and {n} more"],
  online: ["trực tuyến", "online"], silent: ["mất liên lạc", "out of contact"], never: ["chưa thấy", "not heard from yet"],
  counts: ["{online}/{all} trực tuyến", "{online}/{all} online"], playing: ["đang phát: {title}", "playing: {title}"], muted: ["loa câm", "muted"],
  volume: ["âm lượng {n}", "volume {n}"], link: ["{n} kB/s", "{n} kB/s"], clock: ["đồng hồ ±{n} ms", "clock ±{n} ms"], heard: ["liên lạc {ago}", "heard from {ago}"], never_heard: ["chưa từng liên lạc", "never heard from"],
  set_volume: ["Âm lượng", "Volume"], test_tone: ["Thử loa (nhỏ)", "Test tone (quiet)"], volume_sent: ["Đã gửi âm lượng.", "Volume sent."], tone_sent: ["Đã gửi tiếng thử.", "Test tone sent."],
  broadcasts: ["Lượt phát", "Broadcasts"], no_broadcasts: ["Chưa có lượt phát nào.", "No broadcasts yet."], stop: ["Dừng", "Stop"], recall: ["Thu hồi", "Recall"],
  planned: ["theo lịch", "planned"], issued: ["đã phát lệnh", "issued"], recalled: ["đã thu hồi", "recalled"], ended: ["đã xong", "ended"], crowded_out: ["không còn chỗ", "crowded out"],
  ordinary: ["thông thường", "ordinary"], priority: ["ưu tiên", "priority"], emergency: ["khẩn cấp", "emergency"],
  coverage: ["{finished}/{nodes} đã phát xong", "{finished}/{nodes} finished"], coverage_started: ["{n} đang phát", "{n} playing"], coverage_waiting: ["{n} chưa báo", "{n} not heard from"], coverage_ready: ["{n} sẵn sàng", "{n} ready"], coverage_failed: ["{n} không phát", "{n} did not play"], coverage_unconfirmed: ["{n} không rõ", "{n} unconfirmed"],
  timetable: ["Lịch phát 7 ngày tới", "Timetable, next 7 days"], empty_timetable: ["Chưa có gì trong lịch.", "Nothing is planned."], confirm_stop: ["Dừng “{title}” ở mọi bộ thu?", "Stop “{title}” everywhere?"],
  ago_now: ["vừa xong", "just now"], ago_s: ["{n} giây trước", "{n} s ago"], ago_min: ["{n} phút trước", "{n} min ago"], ago_h: ["{n} giờ trước", "{n} h ago"], ago_d: ["{n} ngày trước", "{n} days ago"],
  unreachable: ["Không kết nối được với máy chủ.", "The server cannot be reached."], today: ["hôm nay", "today"],
};
let language = localStorage.getItem("loa-language") === "en" ? "en" : "vi";

/** The word for a key in the page's language, its {blanks} filled. Unknown keys are shown as they are. */
function word(key, values = {}) {
  const found = WORDS[key];
  const text = found ? found[language === "en" ? 1 : 0] : key;
  return text.replace(/\{(\w+)\}/g, (_, name) => (name in values ? String(values[name]) : "?"));
}

/** Put the words into everything that names one. */
function fillWords(root = document) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  document.getElementById("language").textContent = language === "vi" ? "English" : "Tiếng Việt";
}
