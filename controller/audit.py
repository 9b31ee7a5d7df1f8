"""Whether an export of the record is whole and is the one that nodes were told of. Values in, findings out."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.chain import FORKING, NO_HASH, Entry, entry_hash
from controller.recordfile import BadLine, End, EntryLine, Header, HeadLine, KnownHead, read_line
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.envelope import open_sealed
from devices.protocol.keys import key_id
from devices.protocol.record import RecordHead
from devices.protocol.refusal import Malformed, WireRefusal
from devices.protocol.trust import Appointment, Power, RootSet, Trust


@dataclass(frozen=True)
class Finding:
    """What is wrong, under a stable code, and where: an entry's number, or a line of the file."""

    code: str
    place: str
    words: str

    def __str__(self) -> str:
        return f"{self.code} at {self.place}: {self.words}"


@dataclass
class Verdict:
    """What came of it."""

    findings: list[Finding] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    """True and worth knowing: restores that the record itself tells of, what was not checked."""
    entries: int = 0
    heads: int = 0
    last: KnownHead | None = None

    @property
    def ok(self) -> bool:
        return not self.findings

    def add(self, code: str, place: str, words: str) -> None:
        self.findings.append(Finding(code, place, words))


@dataclass(frozen=True, slots=True)
class _Link:
    """What is kept of an entry: thousands of megabytes of record need not be held at once."""

    number: int
    forks: int
    previous: bytes
    hash: bytes
    known: tuple[int, int, bytes] | None
    """Forks, number and mark of the lost branch's head that it names."""
    verb: str


def verify(lines: Iterable[str], known: Sequence[KnownHead] = (), roots: RootSet | None = None) -> Verdict:
    """Check a file's lines against themselves, its signed heads, and heads known from elsewhere.

    Codes: line_malformed, file_altered, file_truncated, entry_changed, entry_removed, entry_inserted,
    record_truncated, record_rechained, record_forked, head_forged, trust_unsound.
    """
    verdict = Verdict()
    header, links, payloads = _read(lines, verdict)
    _check_chain(links, verdict)
    verdict.entries, verdict.heads = len(links), len(payloads)
    if links:
        last = max(links, key=lambda one: (one.forks, one.number))
        verdict.last = KnownHead(last.number, last.hash, last.forks)
    signed = _signed_heads(header, payloads, roots, verdict)
    _check_signed(links, signed, verdict)
    by_number: dict[int, list[_Link]] = defaultdict(list)
    for link in links:
        by_number[link.number].append(link)
    ends = _Ends(
        by_number,
        tuple(one for one in links if one.known is not None),
        max((one.number for one in links), default=0),
        max((one.forks for one in links), default=0),
    )
    for one in [*signed, *known]:
        _check_known(ends, one, verdict)
    if roots is None:
        verdict.notices.append("the heads' signatures were checked under keys that the file itself names: give --roots")
    if not known:
        verdict.notices.append(
            "no head from elsewhere was given: whoever has the controller's key could have written all of it anew; "
            "give --head with what a node's health says"
        )
    return verdict


# The file.


def _read(lines: Iterable[str], verdict: Verdict) -> tuple[Header | None, list[_Link], list[bytes]]:
    header: Header | None = None
    end: End | None = None
    links: list[_Link] = []
    payloads: list[bytes] = []
    digest, so_far = hashlib.sha256(), ""
    for at, text in enumerate(lines, 1):
        place = f"line {at}"
        if end is not None:
            verdict.add("file_altered", place, "something follows the end")
            break
        try:
            line = read_line(text.removesuffix("\n"))
        except BadLine as error:
            verdict.add("line_malformed", place, str(error))
            line = None
        so_far = digest.hexdigest()
        digest.update(text.encode("utf-8", "surrogateescape"))
        match line:
            case Header():
                if at != 1:
                    verdict.add("file_altered", place, "a second header")
                header = header or line
            case EntryLine(entry, hashed):
                links.append(_link(entry, hashed, verdict))
            case HeadLine(payload):
                payloads.append(payload)
            case End():
                end = line
    if header is None:
        verdict.add("line_malformed", "line 1", "a record's export begins with its form and province")
    _check_end(end, len(links), len(payloads), so_far, verdict)
    return header, links, payloads


def _link(entry: Entry, hashed: bytes, verdict: Verdict) -> _Link:
    if entry_hash(entry) != hashed:
        verdict.add("entry_changed", f"entry {entry.number}", "its contents are not what its hash was made of")
    known = None if entry.known is None else (entry.known.forks, entry.known.number, entry.known.mark)
    return _Link(entry.number, entry.forks, entry.previous, hashed, known, entry.verb)


def _check_end(end: End | None, entries: int, heads: int, digest: str, verdict: Verdict) -> None:
    if end is None:
        verdict.add("file_truncated", "the end", "the file stops before its last line")
        return
    if (end.entries, end.heads) != (entries, heads):
        words = f"it says {end.entries} entries and {end.heads} heads; there are {entries} and {heads}"
        verdict.add("file_altered", "the end", words)
    elif end.digest != digest:
        verdict.add("file_altered", "the end", "its hash over the lines before does not hold")


# The chain.


def _check_chain(links: Sequence[_Link], verdict: Verdict) -> None:
    """Each entry follows the one before; where it does not, which of the ways of tampering it looks like."""
    previous, number, forks = NO_HASH, 0, 0
    branched = _branches(links)
    for one in links:
        place = f"entry {one.number}"
        if one.hash in branched:
            verdict.add(branched[one.hash], place, _BRANCH_WORDS[branched[one.hash]])
            if branched[one.hash] == "entry_inserted":
                continue
        elif one.number > number + 1:
            gone = f"{number + 1}" if one.number == number + 2 else f"{number + 1} to {one.number - 1}"
            verdict.add("entry_removed", f"entry {gone}", f"entry {one.number} follows entry {number}")
        elif one.number <= number:
            verdict.add("entry_inserted", place, f"it stands after entry {number}")
            continue
        elif one.previous != previous:
            verdict.add("entry_changed", place, f"it was not written after this entry {number}, but after another one")
        if not (one.forks == forks or (one.forks > forks and one.verb in FORKING)):
            verdict.add("entry_changed", place, f"branch {one.forks} after branch {forks}, and it is no restore")
        if one.forks > forks:
            words = f"entry {one.number}: the record went on from a backup; it is branch {one.forks} from here"
            verdict.notices.append(words)
        previous, number, forks = one.hash, one.number, max(forks, one.forks)


_BRANCH_WORDS = {
    "entry_inserted": "nothing follows it, and another entry stands in its place",
    "record_forked": "two runs of entries follow the same one",
}


def _branches(links: Sequence[_Link]) -> dict[bytes, str]:
    """Of entries that share their predecessor: by hash, whether a single one was put in or the record runs twice."""
    children: dict[bytes, list[_Link]] = defaultdict(list)
    for one in links:
        children[one.previous].append(one)
    found: dict[bytes, str] = {}
    for siblings in children.values():
        if len(siblings) < 2:
            continue
        with_more = [one for one in siblings if one.hash in children]
        if len(with_more) == 1 and len(siblings) == 2:
            found |= {one.hash: "entry_inserted" for one in siblings if one not in with_more}
        else:
            found |= {one.hash: "record_forked" for one in siblings[1:]}
    return found


# Heads.


def _signed_heads(
    header: Header | None, payloads: Sequence[bytes], roots: RootSet | None, verdict: Verdict
) -> list[KnownHead]:
    if header is None:
        return []
    appointments = _appointments(header, roots, verdict)
    listed_from = min((one.not_before for one in appointments if one.powers & Power.DOCUMENTS), default=0)
    found, unchecked = [], 0
    for at, payload in enumerate(payloads, 1):
        why = _why_not(payload, header, appointments, listed_from)
        if why is None:
            unchecked += 1
        elif isinstance(why, str):
            verdict.add("head_forged", f"head {at}", why)
        else:
            found.append(KnownHead(why.number, why.hash, why.forks, f"signed head {at}"))
            found += [KnownHead(one.number, one.mark, one.forks, f"named by signed head {at}") for one in why.after]
    if unchecked:
        words = "are older than the appointments that the trust document lists, and were not checked"
        verdict.notices.append(f"{unchecked} of the heads {words}")
    return found


def _appointments(header: Header, roots: RootSet | None, verdict: Verdict) -> list[Appointment]:
    """Of the trust document, under the roots where they are given; otherwise as the document itself says."""
    try:
        if roots is not None:
            authority = accept_trust(header.trust, Authority.pinned(roots), None)
            return [one for group in authority.appointments.values() for one in group]
        sealed = open_sealed(header.trust)
        if not isinstance(sealed.message, Trust):
            raise Malformed("not a trust document")
        found = [open_sealed(one).message for one in sealed.message.appointments]
        appointments = [one for one in found if isinstance(one, Appointment)]
        keys = [one.public_key for one in appointments if key_id(one.public_key) == sealed.signature.key_id]
        if not keys or not sealed.signature.holds_under(keys[0]):
            raise Malformed("its signature does not hold")
    except WireRefusal as refusal:
        verdict.add("trust_unsound", "line 1", f"the trust document: {refusal}")
        return []
    return appointments


def _why_not(
    payload: bytes, header: Header, appointments: Sequence[Appointment], listed_from: int
) -> RecordHead | str | None:
    """The head where it holds, otherwise why not; None where it is from before `listed_from` and nobody can tell.

    A trust document leaves out appointments that ended long ago, and the keys that had only those.
    """
    try:
        sealed = open_sealed(payload)
        signature = sealed.signature
    except WireRefusal as refusal:
        return str(refusal)
    head = sealed.message
    if not isinstance(head, RecordHead) or head.area != header.area:
        return "not a head of this record"
    of_signer = [one for one in appointments if key_id(one.public_key) == signature.key_id]
    if not of_signer and head.at < listed_from:
        return None
    if not of_signer or not signature.holds_under(of_signer[0].public_key):
        return f"not signed by a key that is appointed here ({signature.key_id.hex()})"
    for one in of_signer:
        # Before what is listed, an earlier appointment of a key that serves to this day.
        in_time = one.not_before <= head.at < one.until or head.at < listed_from
        if one.powers & Power.DOCUMENTS and one.area.covers(head.area) and in_time:
            return head
    return f"key {signature.key_id.hex()} was not appointed to sign it at that time"


def _check_signed(links: Sequence[_Link], signed: Sequence[KnownHead], verdict: Verdict) -> None:
    """The heads in the file do not contradict each other, and the last one covers the last entry."""
    by_place: dict[tuple[int, int], bytes] = {}
    for one in signed:
        if not _same(by_place.setdefault((one.forks, one.number), one.hash), one.hash):
            words = f"two heads were signed for it with different hashes ({one.source})"
            verdict.add("record_forked", f"entry {one.number}", words)
    last = max(((one.forks, one.number) for one in links), default=(0, 0))
    if links and max(by_place, default=(0, 0)) < last:
        verdict.add("head_forged", f"entry {last[1]}", "no signed head covers the last entry")


@dataclass(frozen=True)
class _Ends:
    """The record, as a head from elsewhere is held against it."""

    by_number: Mapping[int, Sequence[_Link]]
    naming: Sequence[_Link]
    """Entries that name a lost branch's head."""
    last: int
    forks: int


def _check_known(record: _Ends, head: KnownHead, verdict: Verdict) -> None:
    """Whether the record is the one that this head is of."""
    place, who = f"entry {head.number}", f" ({head.source})" if head.source else ""
    found = record.by_number.get(head.number, ())
    if any(one.forks == head.forks and head.is_of(one.hash) for one in found):
        return
    if any(one.forks == head.forks for one in found):
        verdict.add("record_rechained", place, f"its hash is another one than was told before{who}")
    elif head.forks >= record.forks:
        words = f"the record ends at entry {record.last}, and entry {head.number} was told before{who}"
        verdict.add("record_truncated", place, words)
    elif (naming := _naming(record, head)) is not None:
        words = f"entry {head.number} of branch {head.forks} was lost by a restore; entry {naming.number} says so{who}"
        verdict.notices.append(words)
    else:
        words = f"the record left branch {head.forks}, which it is of, and nothing says so{who}"
        verdict.add("record_forked", place, words)


def _naming(record: _Ends, head: KnownHead) -> _Link | None:
    """The entry that says that this head's branch was lost, this head with it."""
    for one in record.naming:
        assert one.known is not None
        forks, number, mark = one.known
        if forks == head.forks and (number > head.number or (number == head.number and _same(mark, head.hash))):
            return one
    return None


def _same(mark: bytes, hashed: bytes) -> bool:
    length = min(len(mark), len(hashed))
    return mark[:length] == hashed[:length]
