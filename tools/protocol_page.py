"""The generated parts of docs/protocol.md: `python -m tools.protocol_page` brings them up to date."""

import ast
import inspect
import re
import sys
from enum import IntEnum, IntFlag
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from devices.protocol import alerts, common, documents, local, media, orders, record, refusal, reports, trust
from devices.protocol.common import MessageType
from devices.protocol.envelope import CLASSES
from devices.protocol.fields import FieldPlan, plan_of
from devices.protocol.refusal import RefusalReason
from loa import precedence
from tests.protocol.shapes import CLASSES as PARTS
from tools.wire_annotation import annotated
from tools.wire_vectors import keys_json, vectors

PAGE = Path(__file__).parent.parent / "docs" / "protocol.md"
EXAMPLES = ("order", "order-emergency", "timetable", "want", "piece", "receipt", "time-request", "time-reply")
MEANINGS = {
    "id": "Names it for ever.",
    "area": "The place it is for.",
    "areas": "Target: places; all nodes in them obey.",
    "nodes": "Target: nodes by name.",
    "node": "The node it is from or for.",
    "action": "What to do.",
    "precedence": "Who has the air.",
    "kind": "Live or drill; must be the kind that the signer's key signs.",
    "issued_at": "When it was signed.",
    "start_at": "The instant of the first sample.",
    "expires_at": "From here on it counts no more.",
    "renditions": "What is played, one after another.",
    "replaces": "Ancestors of this broadcast; see timetable entries.",
    "interruption": "What becomes of it after something higher interrupted it.",
    "volume": "0 to 100.",
    "repeat": "Plays even where an ancestor was started.",
    "digest": "SHA-256 of the encoded manifest.",
    "rendition": "Its name, the SHA-256 of its encoded manifest.",
    "length_bytes": "Of the Ogg Opus file.",
    "duration_ms": "How long it sounds.",
    "entries": "The coming broadcasts, in any order.",
    "version": "Never goes back.",
    "ordinary_cap": "Loudest volume of ordinary broadcasts.",
    "priority_cap": "Loudest volume of priority broadcasts.",
    "emergency_volume": "Volume of emergencies.",
    "health_interval_s": "Seconds between health reports, at least 1.",
    "sirens": "Sounds to be stored for good.",
    "utc_offset_min": "Local time minus UTC, minutes; for `hours`.",
    "hash": "SHA-256 of the entry.",
    "code": "The number by which an order names it.",
    "event": "What happened.",
    "cause": "Why.",
    "refusal": "REFUSED: the reason.",
    "count": "How many.",
    "epoch": "The journal's epoch.",
    "number": "A receipt's number within its epoch.",
    "first": "The first of the span.",
    "reason": "Why, counted or told.",
    "at": "When it was said, by the sender's estimate of the controller's clock.",
    "uptime_s": "Seconds since the box started.",
    "trust_version": "Of the trust document that is held; 0 none.",
    "placement_version": "Of the placement that is held; 0 none.",
    "settings": "Versions of settings documents that are held.",
    "timetables": "Versions of timetables that are held.",
    "playing": "The broadcast that is sounding; none in silence.",
    "free_bytes": "Room in the store.",
    "time_error_ms": "Bound of the error of the node's time; none where it is not trusted.",
    "refusals": "Refusals since the box started, by reason.",
    "acknowledged": "The newest acknowledgement taken.",
    "state": "Online or offline.",
    "session": "The number of the connection, or of the live session.",
    "data": "The bytes.",
    "manifest": "The manifest is wanted too.",
    "blocks": "Spans of blocks that are wanted.",
    "nonce": "16 fresh random bytes.",
    "received_at": "When the request arrived, by the controller's clock.",
    "replied_at": "When the reply left, by the controller's clock.",
    "public_key": "Raw Ed25519 public key.",
    "roots": "The roots, 1 to 9, at least one of them not sealed.",
    "threshold": "How many of the roots must sign.",
    "holder": "Whom it is for, for people to read.",
    "ceiling": "Up to which precedence.",
    "not_before": "In force from here on.",
    "from_minute": "Minutes since local midnight.",
    "block_bytes": "Always 4096.",
    "until": "In force up to here, this instant not included.",
    "powers": "Bits: see Powers.",
    "appointment": "The id of the appointment that it brings into force.",
    "root_sets": "Sealed RootSets, each signed by the threshold of the one before and by its own.",
    "appointments": "Sealed Appointments (COSE_Sign).",
    "mandates": "Sealed Mandates (COSE_Sign1).",
    "revocations": "Sealed Revocations (COSE_Sign).",
}
"""Meanings of fields that have no docstring of their own, by name."""
MEMBERS = {
    "drop": "It is over.",
    "restart": "It begins anew afterwards.",
    "resume": "It goes on afterwards where it was.",
    "live": "Real.",
    "drill": "Practice; the node plays its stored drill announcement first.",
    "play": "Play renditions, after a siren where one is named.",
    "stop": "End a broadcast.",
    "volume": "Set the volume.",
    "test_tone": "Sound a test tone.",
    "order": "Orders.",
    "placement": "Placements.",
    "ordinary": "Thông thường: the commune chooses.",
    "priority": "Ưu tiên: must be in the programme.",
    "emergency": "Khẩn cấp: at once.",
    "offline": "Not connected.",
    "online": "Connected.",
    "none": "No cause of its own.",
    "ordered": "An order said so.",
    "pre_empted": "A higher precedence took the air.",
    "too_late": "Beyond its grace.",
    "out_of_hours": "Outside the permitted hours.",
    "already_started": "It, or a broadcast that it replaces, was started before.",
    "no_audio": "The audio was not here in time.",
    "bad_audio": "The audio cannot be decoded.",
    "longest_reached": "The longest permitted duration was reached.",
    "power_failed": "Power failed.",
    "time_unknown": "The time was not known.",
    "revoked": "Its signer was revoked.",
    "speaker_failed": "The speaker failed.",
    "withdrawn": "A newer timetable does not have it any more.",
    "expired": "It expired.",
    "shutdown": "The node was shut down in order.",
    "started": "The first sample sounded.",
    "finished": "It sounded to its end.",
    "stopped": "It was ended before its end.",
    "skipped": "It was not played, see cause.",
    "refused": "An order was refused, see refusal.",
    "interrupted": "Something higher took the air; it may go on later.",
    "resumed": "It goes on after an interruption.",
    "booted": "The node started.",
}
"""Meanings of numbers that have no docstring of their own, by name."""
_MODULES: tuple[ModuleType, ...] = (
    alerts,
    common,
    documents,
    local,
    media,
    orders,
    record,
    refusal,
    reports,
    trust,
    precedence,
)


def docstrings() -> dict[tuple[str, str], str]:
    """(class, field or enum member) to the docstring that follows it in the source."""
    found: dict[tuple[str, str], str] = {}
    for module in _MODULES:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                found |= {(node.name, name): words for name, words in _after(node.body)}
    return found


def _after(body: list[ast.stmt]) -> list[tuple[str, str]]:
    pairs = []
    for one, following in pairwise(body):
        if not (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)):
            continue
        target = (
            one.target if isinstance(one, ast.AnnAssign) else one.targets[0] if isinstance(one, ast.Assign) else None
        )
        if isinstance(target, ast.Name) and isinstance(following.value.value, str):
            pairs.append((target.id, " ".join(following.value.value.split())))
    return pairs


def meaning(cls: type[Any], plan: FieldPlan, said: dict[tuple[str, str], str]) -> str:
    """What a field means; empty where nobody wrote it down."""
    return said.get((cls.__name__, plan.name)) or MEANINGS.get(plan.name, "")


def member_meaning(enum: type[Any], one: IntEnum | IntFlag, said: dict[tuple[str, str], str]) -> str:
    """What a number means; empty where nobody wrote it down."""
    return said.get((enum.__name__, one.name or "")) or MEMBERS.get((one.name or "").lower(), "")


def fields_part() -> str:
    """Tables of all messages, their parts and the numbers they use."""
    said = docstrings()
    parts = [cls for cls in PARTS.values() if cls not in CLASSES.values() and plan_of(cls)]
    lines = []
    for number, cls in sorted(CLASSES.items()):
        lines += [f"### {cls.__name__} (type {int(number)})", "", _doc(cls), "", *_table(cls, said)]
    lines += ["### Parts of messages", "", "Keys 0 to 2 have no special meaning inside a part.", ""]
    for cls in sorted(parts, key=lambda cls: cls.__name__):
        lines += [f"#### {cls.__name__}", "", _doc(cls), "", *_table(cls, said)]
    lines += ["### Numbers", ""]
    for enum in _enums():
        lines += [f"#### {enum.__name__}", "", _doc(enum), "", "| number | name | meaning |", "|---|---|---|"]
        lines += [f"| {int(one)} | {(one.name or '').lower()} | {member_meaning(enum, one, said)} |" for one in enum]
        lines.append("")
    return "\n".join(lines)


def _enums() -> list[type[IntEnum] | type[IntFlag]]:
    found = {
        cls.__name__: cls
        for module in _MODULES
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, IntEnum | IntFlag) and cls not in (IntEnum, IntFlag)
    }
    return [found[name] for name in sorted(found) if found[name] not in (MessageType, RefusalReason)]


def _doc(cls: type[Any]) -> str:
    text = inspect.getdoc(cls) or ""
    return "" if text.startswith(f"{cls.__name__}(") else text


def _table(cls: type[Any], said: dict[tuple[str, str], str]) -> list[str]:
    lines = ["| key | field | form | default | meaning |", "|---|---|---|---|---|"]
    for plan in plan_of(cls):
        default = "required" if plan.required else _default(plan.default)
        words = meaning(cls, plan, said).replace("|", "\\|")
        lines.append(f"| {plan.key} | {plan.name} | {plan.form.words} | {default} | {words} |")
    return [*lines, ""]


def _default(value: object) -> str:
    if isinstance(value, IntEnum):
        return value.name.lower()
    if value in ((), None):
        return "empty" if value == () else "none"
    if value == "":
        return "empty"
    return str(value).lower() if isinstance(value, bool) else str(value)


def examples_part() -> str:
    """Worked examples, byte by byte."""
    by_name = {one.name: one for one in vectors()}
    lines = ["| key | seed | public key | key id |", "|---|---|---|---|"]
    for name, key in keys_json()["keys"].items():
        lines.append(f"| {name} | `{key['seed']}` | `{key['public_key']}` | `{key['key_id']}` |")
    for name in EXAMPLES:
        one = by_name[name]
        lines += ["", f"### {name}", "", f"On `{one.topic}`, {len(one.payload)} bytes"]
        lines[-1] += f", signed by the {one.signer}." if one.signer else ", unsigned."
        lines += ["", "```", annotated(one.payload), "```"]
    return "\n".join(lines)


def rendered(page: str) -> str:
    """The page with its generated parts brought up to date."""
    for name, part in (("fields", fields_part()), ("examples", examples_part())):
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of generated: {name} -->"
        if begin not in page or end not in page:
            raise ValueError(f"docs/protocol.md has no place for {name}")
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        page = pattern.sub(lambda _, words=f"{begin}\n\n{part}\n\n{end}": words, page)  # type: ignore[misc]
    return page


def unexplained() -> list[str]:
    """Fields and numbers whose meaning nobody wrote down."""
    said = docstrings()
    classes = {cls.__name__: cls for cls in [*CLASSES.values(), *PARTS.values()]}
    fields = [
        f"{name}.{plan.name}"
        for name, cls in sorted(classes.items())
        for plan in plan_of(cls)
        if not meaning(cls, plan, said)
    ]
    return fields + [
        f"{enum.__name__}.{one.name}" for enum in _enums() for one in enum if not member_meaning(enum, one, said)
    ]


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(rendered(page), encoding="utf-8")
    if unexplained():
        sys.exit(f"no meaning is written down for {', '.join(unexplained())}")


if __name__ == "__main__":
    main()
