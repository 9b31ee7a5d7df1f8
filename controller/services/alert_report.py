"""The report of an alert or a drill: who did what and when, where it was heard, where not and why."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from sqlmodel import Session

from controller.ladder import Line, Place
from controller.ladder_words import clock, code_of, end_words, place_words, rung_words
from controller.permissions import Permission
from controller.services.alert_release import approvals_of
from controller.services.boards import Board, Wire, board_of
from controller.services.context import Context
from controller.services.emergencies import whole_of
from controller.services.escalation import escalations_of, notices_of
from controller.tables import Alert
from devices.protocol.alerts import AlertAction
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import NodeId

BOM = "\ufeff"
_NO_VILLAGE = ("bộ thu đặt ở cấp xã, không thuộc thôn", "nodes of no village")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


@dataclass(frozen=True)
class Deed:
    """Something that a person, or the centre, did about the alert."""

    at: int
    what: tuple[str, str]
    """Vietnamese, English."""
    who: str


@dataclass(frozen=True)
class Report:
    """All that a report says."""

    board: Board
    deeds: tuple[Deed, ...]
    only: tuple[AreaPath, ...] = ()
    """Where whoever acts sees it, if that is not all of it: the figures are of there."""

    @property
    def drill(self) -> bool:
        return self.board.alert.kind == int(Kind.DRILL)


def report_of(session: Session, ctx: Context, alert: Alert, wire: Wire) -> Report:
    """Of a released alert, as far as whoever acts sees it. Raises Refused(alert_not_released)."""
    board = board_of(session, ctx, alert, wire)
    whole = whole_of(
        session, [AreaPath(path) for path in alert.target_areas], [NodeId(one) for one in alert.target_nodes]
    )
    only = () if ctx.may.may(Permission.ALERT_READ, *whole) else ctx.may.reach(Permission.ALERT_READ)
    return Report(board, tuple(sorted(_deeds(session, board), key=lambda deed: deed.at)), only)


def _deeds(session: Session, board: Board) -> list[Deed]:
    alert, deeds = board.alert, []
    deeds.append(Deed(alert.composed_at, ("Soạn", "Composed"), alert.composed_by))
    for one in approvals_of(session, alert.id, AlertAction.RELEASE):
        deeds.append(Deed(one.at, ("Duyệt", "Approved"), f"{one.holder} ({one.account})"))
    if alert.released_at is not None:
        alone = f"{alert.sole}: một mình / alone" if alert.sole else ""
        deeds.append(Deed(alert.released_at, ("Phát lệnh", "Released"), alone))
    for area, first, last, times in board.routes:
        words = ("Gửi đi", "Sent out")
        deeds.append(Deed(first, words, f"{area}{f' ×{times}, {clock(last)}' if times > 1 else ''}"))
    for step in escalations_of(session, alert.id):
        if step.told:
            told = f"{step.reached}/{step.nodes}"
            deeds.append(Deed(step.at, ("Báo lên trên", "Escalated"), told))
    for notice, address in notices_of(session, alert.id):
        if notice.sent_at is not None:
            deeds.append(Deed(notice.sent_at, ("Đã báo tin", "Told"), address.name))
        else:
            state = ("Chưa báo được", "Not told yet") if notice.next_at else ("Không báo được", "Could not be told")
            deeds.append(Deed(notice.created_at, state, address.name))
    if board.totals.first_sound_at is not None:
        deeds.append(Deed(board.totals.first_sound_at, ("Tiếng đầu tiên", "First sound"), _first_there(board)))
    if alert.ended_at is not None:
        ended = {"cancelled": ("Huỷ", "Cancelled"), "updated": ("Được thay thế", "Updated")}
        deeds.append(Deed(alert.ended_at, ended.get(alert.status, ("Kết thúc", "Ended")), alert.ended_by or ""))
    if board.closed is not None:
        deeds.append(Deed(board.closed.closed_at, ("Đóng bảng theo dõi", "Board closed"), board.closed.closed_by))
    return deeds


def _first_there(board: Board) -> str:
    return next(
        (one.facts.node for one in board.lines if one.facts.started_at == board.totals.first_sound_at), ""
    )  # fmt: skip


# CSV


def as_csv(report: Report) -> bytes:
    """Node by node, then places without a node; UTF-8 with a byte-order mark."""
    file = io.StringIO(newline="")
    out = csv.writer(file)
    mark = "DIỄN TẬP / DRILL" if report.drill else "THẬT / LIVE"
    out.writerow([
        "alert", "title", "kind", "village", "village_name", "place", "population", "node", "rung", "end", "why",
        "sent_at", "received_at", "started_at", "finished_at", "sounded_at", "refusal", "next_step_vi", "next_step_en",
    ])  # fmt: skip
    alert = report.board.alert
    for place in report.board.places:
        own = [place.path, place.name, _kind_of(place), "" if place.population is None else place.population]
        for line in place.lines:
            facts = line.facts
            words = [place_words(place, "vi"), place_words(place, "en")]
            out.writerow(_safe([
                alert.id, alert.title, mark, *own, facts.node, line.rung.name.lower(), line.end or "open",
                end_words(line, "vi"), *(_stamp(at) for at in _instants(line)), code_of(line), *words,
            ]))  # fmt: skip
        if not place.lines:
            words = [place_words(place, "vi"), place_words(place, "en")]
            out.writerow(_safe([alert.id, alert.title, mark, *own, *[""] * 10, *words]))
    return (BOM + file.getvalue()).encode()


def _kind_of(place: Place) -> str:
    return "thôn / village" if place.is_village else f"{_NO_VILLAGE[0]} / {_NO_VILLAGE[1]}"


def _named(place: Place) -> str:
    return place.name if place.is_village else f"{place.name} ({_NO_VILLAGE[0]} – {_NO_VILLAGE[1]})"


def _instants(line: Line) -> tuple[int | None, ...]:
    facts = line.facts
    return facts.sent_at, facts.received_at, facts.started_at, facts.finished_at, facts.sounded_at


def _stamp(at: int | None) -> str:
    return "" if at is None else clock(at)


def _safe(cells: Iterable[object]) -> list[object]:
    """What a spreadsheet would take for a formula is text (OWASP: CSV injection)."""
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in cells]


# A page for A4

_STYLE = """
@page { size: A4; margin: 15mm }
body { font: 10.5pt/1.35 'Times New Roman', serif; color: #000; max-width: 180mm; margin: 0 auto; padding: 4mm }
h1 { font-size: 16pt; margin: 0 } h2 { font-size: 12pt; margin: 5mm 0 1mm; break-after: avoid }
.mark { border: 2pt solid #000; padding: 1mm 3mm; font-weight: bold; display: inline-block; margin-bottom: 2mm }
table { border-collapse: collapse; width: 100% } td, th { border: .5pt solid #777;
padding: .7mm 1.5mm; text-align: left; vertical-align: top } tr { break-inside: avoid }
thead { display: table-header-group }
.en { color: #555; font-size: 9pt }
.n { text-align: right }
"""


def as_page(report: Report) -> str:
    """HTML by itself: no script, nothing fetched, everything that people wrote escaped."""
    board, alert = report.board, report.board.alert
    mark = "DIỄN TẬP – DRILL" if report.drill else "CẢNH BÁO THẬT – LIVE ALERT"
    heading = ("Báo cáo diễn tập", "Report of a drill") if report.drill else ("Báo cáo cảnh báo", "Report of an alert")
    parts = [
        "<!doctype html><html lang='vi'><head><meta charset='utf-8'>",
        f"<title>{escape(heading[0])}: {escape(alert.title)}</title><style>{_STYLE}</style></head><body>",
        f"<p class='mark'>{mark}</p><h1>{escape(heading[0])}: {escape(alert.title)}</h1>",
        f"<p class='en'>{heading[1]} {escape(alert.id)}. {_open_words(board)}</p>",
        _only_words(report.only),
        _summary(board),
        _section("Diễn biến", "What was done"),
        _table(
            ("Lúc", "Việc", "Ai, ở đâu"),
            [(clock(deed.at), f"{deed.what[0]} ({deed.what[1]})", deed.who) for deed in report.deeds],
        ),
        _section("Thôn chưa nghe, vì sao", "Villages not reached, and why"),
        _unreached(board),
        _section("Theo thôn", "By village"),
        _table(
            ("Thôn", "Dân số", "Bộ thu", "Đã phát"),
            [(_named(place), place.population, len(place.lines), place.reached) for place in board.places],
        ),
        "</body></html>",
    ]
    return "".join(parts)


def _open_words(board: Board) -> str:
    if board.closed is not None:
        return f"Đã đóng lúc {clock(board.closed.closed_at)} / closed."
    return f"Chưa đóng, số liệu lúc {clock(board.facts.now)} / still open."


def _only_words(only: Sequence[AreaPath]) -> str:
    if not only:
        return ""
    where = escape(", ".join(only))
    return (
        f"<p><strong>Chỉ gồm những nơi người lập báo cáo xem được: {where}. Cảnh báo còn phát ở nơi khác.</strong> "
        "<span class='en'>Only of what its reader may see; the alert was for other places too.</span></p>"
    )


def _summary(board: Board) -> str:
    totals = board.totals
    people = "chưa rõ" if totals.people is None else f"{totals.people_reached} / {totals.people}"
    rows: list[tuple[object, ...]] = [
        ("Bộ thu đã phát (nodes that sounded)", f"{totals.reached} / {totals.nodes}"),
        ("Thôn chưa nghe (villages not reached)", f"{totals.villages_unreached} / {totals.villages}"),
        ("Người ở thôn đã nghe (people in villages reached)", people),
        ("Có bằng chứng đo tiếng (with evidence of sound)", totals.rungs.get("sounded", 0)),
        ("Tiếng đầu tiên (first sound)", clock(totals.first_sound_at) if totals.first_sound_at else "–"),
    ]
    return _table(("", ""), rows)


def _unreached(board: Board) -> str:
    rows = [
        (_named(place), place.population, _why(place), place_words(place, "vi"))
        for place in board.places
        if place.state == "unreached"
    ]
    return _table(("Thôn", "Dân số", "Vì sao", "Việc cần làm"), rows) if rows else "<p>Không có. <i>None.</i></p>"


def _why(place: Place) -> str:
    if not place.lines:
        return "không có loa"
    words = [end_words(line, "vi") or rung_words(line.rung, "vi") for line in place.lines]
    return "; ".join(f"{line.facts.node}: {said}" for line, said in zip(place.lines, words, strict=True))


def _section(vi: str, en: str) -> str:
    return f"<h2>{vi} <span class='en'>{en}</span></h2>"


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if any(names) else ''}<tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"<td class='n'>{value}</td>"
    return f"<td>{'' if value is None else escape(str(value))}</td>"
