"""An export of the record: true as it is, and found out however it is altered, by whoever alters it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from controller.audit import Verdict, verify
from controller.chain import NO_HASH, Entry, Heard, OutcomeCount, entry_hash
from controller.keyfiles import write_roots
from controller.recordfile import EntryLine, Header, KnownHead, read_known, written
from devices.protocol.envelope import seal
from devices.protocol.keys import SigningKey
from devices.protocol.record import MARK_BYTES, HeadMark, RecordHead
from loa.cli.audit import app
from loa.units import InstantMs
from tests.protocol import world
from tests.protocol.world import CONTROLLER, NOW, PROVINCE

TRUST = world.Centre.usual().document()
HEARD = Heard(outcomes=(OutcomeCount(outcome="finished", nodes=3),), receipts=9, digest=bytes(range(32)))


def chained(entries: Sequence[Entry], previous: bytes = NO_HASH, number: int = 0) -> list[EntryLine]:
    """Entries numbered and linked anew, each with a hash that holds: what whoever owns the server can make."""
    lines = []
    for at, entry in enumerate(entries, number + 1):
        linked = replace(entry, number=at, previous=previous)
        previous = entry_hash(linked)
        lines.append(EntryLine(linked, previous))
    return lines


def deed(at: int, verb: str = "issue", **more: Any) -> Entry:
    values: dict[str, Any] = {
        "account": "lan",
        "object_kind": "broadcast",
        "object_id": f"{at:032x}",
        "origin": "203.0.113.7",
    }
    return Entry(
        number=0, at=InstantMs(NOW + at), verb=verb, previous=NO_HASH, key=CONTROLLER.key_id, **(values | more)
    )


def signed(line: EntryLine, key: SigningKey = CONTROLLER, at: int = NOW) -> bytes:
    number, forks = line.entry.number, line.entry.forks
    return seal(RecordHead(area=PROVINCE, number=number, hash=line.hash, at=InstantMs(at), forks=forks), key)


@dataclass
class Export:
    """A record of ten entries; nodes were told of entries 4, 8 and 10."""

    entries: list[EntryLine]
    heads: list[bytes]
    trust: bytes = TRUST

    @classmethod
    def usual(cls) -> "Export":
        deeds = [deed(n) for n in range(8)] + [deed(8, "heard", heard=HEARD), deed(9, "recall")]
        lines = chained(deeds)
        return cls(lines, [signed(lines[n]) for n in (3, 7, 9)])

    def lines(self) -> list[str]:
        return list(written(Header(str(PROVINCE), self.trust), self.entries, self.heads))

    def told(self, number: int) -> KnownHead:
        """As a node's health says it."""
        return KnownHead(number, self.entries[number - 1].hash[:MARK_BYTES], source="co-to-01")

    def resigned(self) -> None:
        """The controller's own key signs what the record says now: the attacker has the whole server."""
        self.heads = [signed(self.entries[-1])]


def codes(verdict: Verdict) -> set[str]:
    return {one.code for one in verdict.findings}


def judged(export: Export, *known: KnownHead) -> set[str]:
    return codes(verify(export.lines(), known, world.ROOTS))


def test_an_untouched_export_is_true() -> None:
    export = Export.usual()
    verdict = verify(export.lines(), [export.told(n) for n in (1, 4, 10)], world.ROOTS)
    assert (verdict.findings, verdict.notices, verdict.entries, verdict.heads) == ([], [], 10, 3)
    assert verdict.last == KnownHead(10, export.entries[-1].hash)


def test_what_was_not_checked_is_said() -> None:
    notices = " ".join(verify(Export.usual().lines()).notices)
    assert "--roots" in notices
    assert "--head" in notices


# One way of altering each, by somebody who makes hashes and the file's end fit again.


def changed(export: Export) -> None:
    line = export.entries[4]
    export.entries[4] = replace(line, entry=replace(line.entry, account="hoa"))


def removed(export: Export) -> None:
    del export.entries[4]


def inserted(export: Export) -> None:
    extra = chained([deed(99)], export.entries[3].hash, 4)
    export.entries[4:4] = extra


def truncated(export: Export) -> None:
    del export.entries[8:]
    export.resigned()


def rechained(export: Export) -> None:
    export.entries = chained([replace(one.entry, account="hoa") for one in export.entries])
    export.resigned()


def forked(export: Export) -> None:
    """The record was put back to entry 5 and went on as if nothing had been: both ends were signed."""
    other = export.entries[:5] + chained([deed(n) for n in range(50, 58)], export.entries[4].hash, 5)
    export.heads = [*export.heads, signed(other[7]), signed(other[-1])]
    export.entries = other


@pytest.mark.parametrize(
    ("alter", "code", "place"),
    [
        (changed, "entry_changed", "entry 5"),
        (removed, "entry_removed", "entry 5"),
        (inserted, "entry_inserted", "entry 5"),
        (truncated, "record_truncated", "entry 10"),
        (rechained, "record_rechained", "entry 10"),
        (forked, "record_forked", "entry 8"),
    ],
)
def test_each_way_of_altering_has_its_own_code(alter: Callable[[Export], None], code: str, place: str) -> None:
    export = Export.usual()
    told = export.told(10)
    assert judged(export, told) == set()
    alter(export)
    verdict = verify(export.lines(), [told], world.ROOTS)
    assert (code, place) in {(one.code, one.place) for one in verdict.findings}
    others = {"entry_changed", "entry_removed", "entry_inserted", "record_truncated", "record_rechained"} - {code}
    if alter is not forked:  # which is a record written anew as well, for whoever was told of the other end
        assert not codes(verdict) & others


def test_two_runs_in_one_file_are_a_fork() -> None:
    export = Export.usual()
    export.entries += chained([deed(60), deed(61), deed(62)], export.entries[4].hash, 5)
    assert "record_forked" in judged(export)


def test_an_entry_in_another_order_is_found() -> None:
    export = Export.usual()
    export.entries[4:6] = reversed(export.entries[4:6])
    assert judged(export) >= {"entry_removed", "entry_inserted"}


def test_the_beginning_cannot_be_cut_off() -> None:
    export = Export.usual()
    del export.entries[:3]
    assert "entry_removed" in judged(export)


def test_only_a_head_from_elsewhere_shows_a_record_cut_off_or_written_anew() -> None:
    """The control: with the controller's key, and without what nodes were told, such a file is flawless."""
    for alter in (truncated, rechained):
        export = Export.usual()
        alter(export)
        assert judged(export) == set()


def test_a_restore_that_the_record_tells_of_is_no_fault() -> None:
    export = Export.usual()
    told = export.told(10)
    lost = HeadMark(number=10, mark=export.entries[9].hash[:MARK_BYTES])
    said = [deed(70, "restore", forks=1), deed(71, "lost", forks=1, known=lost), deed(72, forks=1)]
    export.entries = export.entries[:6] + chained(said, export.entries[5].hash, 6)
    export.resigned()
    verdict = verify(export.lines(), [told], world.ROOTS)
    assert verdict.findings == []
    assert any("branch 1 from here" in one for one in verdict.notices)
    assert any("entry 10 of branch 0 was lost by a restore; entry 8 says so" in one for one in verdict.notices)


def test_a_restore_that_hides_what_was_lost_is_found() -> None:
    export = Export.usual()
    told = export.told(10)
    lost = HeadMark(number=8, mark=export.entries[7].hash[:MARK_BYTES])  # less than what there was
    for said in ([deed(70, "restore", forks=1)], [deed(70, "fork", forks=1, known=lost)]):
        after = replace(export, entries=export.entries[:6] + chained(said, export.entries[5].hash, 6))
        after.resigned()
        assert judged(after, told) == {"record_forked"}


def test_a_branch_without_a_restore_is_found() -> None:
    export = Export.usual()
    export.entries = chained([*(one.entry for one in export.entries[:6]), deed(70, forks=1)])
    export.resigned()
    assert judged(export) == {"entry_changed"}


def test_heads_count_by_their_signature_alone() -> None:
    export = Export.usual()
    stranger = world.key_of("stranger")
    export.heads[1] = signed(export.entries[7], stranger)
    assert judged(export) == {"head_forged"}
    export.heads[1] = signed(export.entries[7], world.PERSON)  # appointed, but not for this
    assert judged(export) == {"head_forged"}
    export.heads[1] = signed(export.entries[7], at=NOW + 400 * world.DAY)  # beyond the appointment
    assert judged(export) == {"head_forged"}
    export.heads = export.heads[:1]
    assert judged(export) == {"head_forged"}  # nothing signed covers entries 5 to 10


def test_heads_from_before_what_the_trust_document_lists_are_no_forgeries() -> None:
    """It leaves out appointments that ended long ago: what was signed under them, by a former key too, is older."""
    export, now = Export.usual(), NOW + 400 * world.DAY
    begun, until = InstantMs(now - 65 * world.DAY), InstantMs(now + 300 * world.DAY)
    renewed = world.appointment("controller", CONTROLLER, not_before=begun, until=until)
    person = world.releaser("person", world.PERSON, not_before=begun, until=until)
    export.trust = world.Centre([world.by_roots(renewed), world.by_roots(person)]).document(version=now, now_ms=now)
    former, last = world.key_of("former controller"), signed(export.entries[9], at=now)
    export.heads = [signed(export.entries[3]), signed(export.entries[7], former), last]
    verdict = verify(export.lines(), [export.told(10)], world.ROOTS)
    assert verdict.findings == []
    assert verdict.notices == [
        "1 of the heads are older than the appointments that the trust document lists, and were not checked"
    ]
    export.heads[1] = signed(export.entries[7], former, at=begun + world.DAY)
    assert judged(export) == {"head_forged"}
    export.heads[1] = signed(export.entries[7], world.PERSON)  # never appointed for this
    assert judged(export) == {"head_forged"}
    export.heads[1] = signed(export.entries[3])  # the same key's, and it is of another record
    export.entries = chained([replace(one.entry, account="hoa") for one in export.entries])
    export.heads[2] = signed(export.entries[9], at=now)
    assert "record_rechained" in judged(export)


def test_a_head_that_names_an_earlier_one_as_nodes_know_it_gives_a_rewritten_record_away() -> None:
    """Naming the true old hash, nodes would take it; the file then contradicts its own signed head."""
    export = Export.usual()
    told = export.told(8)
    rechained(export)
    last = export.entries[-1]
    after = (HeadMark(number=8, mark=told.hash),)
    head = RecordHead(area=PROVINCE, number=10, hash=last.hash, at=NOW, after=after)
    export.heads = [seal(head, CONTROLLER)]
    assert judged(export) == {"record_rechained"}


def test_the_trust_document_rests_on_the_roots() -> None:
    own = [world.key_of(f"own root {n}") for n in range(3)]
    export = Export.usual()
    spoilt = bytearray(TRUST)
    spoilt[len(spoilt) // 2] ^= 1
    export.trust = bytes(spoilt)
    assert "trust_unsound" in judged(export)
    assert "trust_unsound" in codes(verify(export.lines()))
    others = replace(
        world.ROOTS,
        roots=tuple(replace(one, public_key=key.public_key) for one, key in zip(world.ROOTS.roots, own, strict=True)),
    )
    assert "trust_unsound" in codes(verify(Export.usual().lines(), (), others))


# Any single mutation.

WHOLE = "".join(Export.usual().lines())
RAW = WHOLE.encode()
TOLD = [Export.usual().told(n) for n in (4, 8, 10)]


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").splitlines(keepends=True) if data else []


@settings(max_examples=120, deadline=None)
@given(st.integers(0, len(RAW) - 1), st.integers(0, 255), st.sampled_from(["change", "remove", "insert"]))
def test_any_single_byte_is_detected(at: int, byte: int, how: str) -> None:
    put = bytes([byte])
    if how == "change":
        mutated = RAW[:at] + put + RAW[at + 1 :]
    elif how == "remove":
        mutated = RAW[:at] + RAW[at + 1 :]
    else:
        mutated = RAW[:at] + put + RAW[at:]
    assume(mutated != RAW)
    lines = mutated.decode("utf-8", "surrogateescape").split("\n")
    found = verify([f"{one}\n" for one in lines[:-1]] + ([lines[-1]] if lines[-1] else []), TOLD)
    assert not found.ok or mutated == RAW.removesuffix(b"\n")  # the last line feed says nothing


@st.composite
def altered(draw: st.DrawFn) -> Export:
    """One entry changed in one field, removed, repeated, moved, cut off behind, or put in; then all made to fit."""
    export = Export.usual()
    at = draw(st.integers(0, 9))
    line = export.entries[at]
    how = draw(st.sampled_from(["field", "hash", "rehashed", "remove", "repeat", "move", "cut", "put", "anew"]))
    match how:
        case "field" | "rehashed" | "anew":
            change: dict[str, object] = draw(
                st.sampled_from(
                    [
                        {"account": "x"}, {"at": line.entry.at + 1}, {"verb": "plan"}, {"object_id": "z"},
                        {"detail": "…"}, {"origin": ""}, {"key": b"otherkey"}, {"object_kind": "node"},
                        {"heard": replace(HEARD, receipts=8)}, {"known": HeadMark(number=1, mark=bytes(16))},
                    ]
                )
            )  # fmt: skip
            entry = replace(line.entry, **change)  # type: ignore[arg-type]
            export.entries[at] = EntryLine(entry, line.hash if how == "field" else entry_hash(entry))
            if how == "anew":
                export.entries = chained([one.entry for one in export.entries])
        case "hash":
            export.entries[at] = replace(line, hash=bytes(32))
        case "remove":
            del export.entries[at]
        case "repeat":
            export.entries.insert(at, line)
        case "move":
            export.entries.insert((at + draw(st.integers(1, 8))) % 9, export.entries.pop(at))
        case "cut":
            del export.entries[at:]
        case "put":
            export.entries[at:at] = chained([deed(99)], export.entries[at - 1].hash if at else NO_HASH, at)
    if draw(st.booleans()) and export.entries:
        export.resigned()
    return export


@settings(max_examples=60, deadline=None)
@given(altered())
def test_any_single_alteration_is_detected_against_what_a_node_was_told(export: Export) -> None:
    detected(export)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(altered())
def test_thousands_of_alterations_are_detected(export: Export) -> None:
    detected(export)


def detected(export: Export) -> None:
    assume(export.entries != Export.usual().entries)
    assert judged(export, *TOLD) != set()


# The command.


def audit(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(one) for one in words])
    return result.exit_code, result.output


def test_the_command_proves_a_file(tmp_path: Path) -> None:
    export = Export.usual()
    file, roots = tmp_path / "record.jsonl", tmp_path / "roots.json"
    file.write_text(WHOLE)
    write_roots(roots, world.ROOTS)
    head = f"10:{export.entries[-1].hash.hex()[:32]}:0"
    code, output = audit("verify", file, "--head", head, "--roots", roots)
    assert (code, "The record is whole." in output, "note:" in output) == (0, True, False)
    truncated(export)
    file.write_text("".join(export.lines()))
    code, output = audit("verify", file, "--head", head, "--roots", roots)
    assert code == 1
    assert "WRONG record_truncated at entry 10: the record ends at entry 8" in output


def test_heads_as_people_write_them() -> None:
    assert read_known("812:5c1f00112233445566:2") == KnownHead(
        812, bytes.fromhex("5c1f00112233445566"), 2, "812:5c1f00112233445566:2"
    )
    for bad in ("812", "812:5c1f", "x:5c1f00112233445566", "8:5c1f00112233445566:x", "8:zz1f00112233445566"):
        with pytest.raises(ValueError):
            read_known(bad)
