"""Words about what is kept: the record, and backups. vi, en, remedy vi, remedy en."""

KEEPING_PROBLEMS: dict[str, tuple[str, str, str, str]] = {
    "bad_head": (
        "Không đọc được đầu sổ: {value}",
        "Not a head of the record: {value}",
        "Viết SỐ:MÃ hoặc SỐ:MÃ:NHÁNH, mã là ít nhất 16 chữ số hex, như `loa audit heads` in ra.",
        "Write NUMBER:HASH or NUMBER:HASH:BRANCH, at least 16 hex digits of the hash, as `loa audit heads` prints it.",
    ),
    "recipient_missing": (
        "Chưa có khóa để mã hóa bản sao lưu",
        "There is no key to encrypt the backup to",
        "Tạo khóa trên máy không nối mạng (loa backup-key new TỆP), đưa phần công khai cho --recipient.",
        "Make one on a machine that is offline (loa backup-key new FILE), and give its public half to --recipient.",
    ),
    "bad_recipient": (
        "Không phải khóa công khai age: {value}",
        "Not a public age key: {value}",
        "Khóa công khai bắt đầu bằng age1; `loa backup-key new` in nó ra.",
        "A public key begins with age1; `loa backup-key new` prints it.",
    ),
    "bad_backup_key": (
        "Tệp {value} không chứa khóa sao lưu",
        "There is no backup key in {value}",
        "Dùng tệp mà `loa backup-key new` đã tạo.",
        "Use the file that `loa backup-key new` made.",
    ),
    "backup_wrong_key": (
        "Khóa này không mở được bản sao lưu {value}",
        "This key does not open the backup {value}",
        "Dùng khóa bí mật ứng với khóa công khai đã dùng khi sao lưu.",
        "Use the private half of the key that it was encrypted to.",
    ),
    "backup_damaged": (
        "Bản sao lưu {value} bị cụt hoặc hỏng: {reason}",
        "The backup {value} is cut off or damaged: {reason}",
        "Dùng bản sao lưu khác; không có gì được khôi phục từ bản này.",
        "Use another backup; nothing was restored from this one.",
    ),
    "not_empty": (
        "Thư mục {value} không trống",
        "The folder {value} is not empty",
        "Khôi phục vào thư mục mới; chuyển thư mục cũ đi chỗ khác nếu cần dùng tên đó.",
        "Restore into a new folder; move the old one away where its name is needed.",
    ),
    "database_not_empty": (
        "Cơ sở dữ liệu đã có dữ liệu: {value}",
        "The database holds something already: {value}",
        "Khôi phục vào cơ sở dữ liệu mới, còn trống.",
        "Restore into a new, empty database.",
    ),
    "no_centre_here": (
        "Không có dữ liệu trung tâm trong {value}",
        "There is no centre's data in {value}",
        "Cho --data là thư mục mà `loa serve` dùng.",
        "Give --data the folder that `loa serve` uses.",
    ),
    "backup_of_other_version": (
        "Bảng dữ liệu ở phiên bản {value}, chương trình này cần {limit}",
        "The tables are of version {value}, this program is of {limit}",
        "Sao lưu bằng đúng phiên bản đang chạy, hoặc khởi động trung tâm một lần để nâng cấp.",
        "Back up with the version that runs, or start the centre once so that it upgrades them.",
    ),
}
