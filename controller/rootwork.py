"""What the roots do for a centre: appoint, revoke, replace themselves. Asked for by a signing request, signed by files
that lie here or elsewhere, and installed in the folder of keys.

Where the roots are at hand the three steps are one call; where they are offline each is a verb of `loa keys`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from controller.keydisk import (
    Ask,
    look_at_key,
    make_folder,
    nobody_to_ask,
    read_key,
    read_roots,
    write_key,
    write_roots,
    write_whole,
)
from controller.signing import (
    RootWork,
    SigningRequest,
    complete,
    merge_requests,
    request_for,
    sign_request,
    still_wanted,
)
from devices.protocol.envelope import encode, open_sealed
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.refusal import WireRefusal
from devices.protocol.renewal import KEPT_AFTER_MS
from devices.protocol.roots import check_roots
from devices.protocol.trust import LONGEST_APPOINTMENT_MS, Appointment, Power, Revocation, Root, RootSet
from loa.entropy import Entropy
from loa.errors import OperatorNeeded, Refused
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs

M = TypeVar("M", Appointment, Revocation)
DAY_MS = 86_400_000
MOST_ROOTS, MOST_APPOINTMENTS, MOST_REVOCATIONS = 9, 512, 256
CONTROLLER_POWERS = Power.ORDER | Power.DOCUMENTS | Power.PLACEMENT | Power.SERVICE | Power.RENEW
_FOLDERS: dict[type[RootWork], str] = {Appointment: "appointments", Revocation: "revocations", RootSet: "root-sets"}


def appoint(
    directory: Path,
    *,
    holder: str,
    public_key: bytes,
    area: AreaPath,
    ceiling: Precedence,
    powers: Power,
    now_ms: InstantMs,
    entropy: Entropy,
    kind: Kind = Kind.LIVE,
    days: int = 365,
    sole: bool = False,
    root_files: Iterable[Path] = (),
    ask: Ask = nobody_to_ask,
) -> Appointment:
    """Have the roots at hand appoint a key, and keep what they signed. Asked again on the same day: the same one.

    Raises OperatorNeeded(roots_missing), Refused: bad_days, key_of_other_kind, and those of `read_key`.
    """
    wished = new_appointment(
        holder=holder, public_key=public_key, area=area, ceiling=ceiling, powers=powers, kind=kind, days=days,
        sole=sole, now_ms=now_ms, entropy=entropy,
    )  # fmt: skip
    same = _held_already(directory, wished)
    if same is not None:
        return same
    _by_roots_at_hand(directory, [wished], now_ms, root_files, ask)
    return wished


def revoke(
    directory: Path,
    ids: Sequence[bytes],
    *,
    now_ms: InstantMs,
    reason: str,
    root_files: Iterable[Path] = (),
    ask: Ask = nobody_to_ask,
) -> Revocation:
    """Have the roots at hand revoke appointments, mandates or keys (8 bytes each); the one that is there, if any.

    Raises OperatorNeeded(roots_missing), Refused: those of `read_key`.
    """
    for held in messages_in(directory, Revocation):
        if set(ids) <= set(held.ids):
            return held
    revocation = new_revocation(ids, now_ms=now_ms, reason=reason)
    _by_roots_at_hand(directory, [revocation], now_ms, root_files, ask)
    return revocation


def new_root_set(
    directory: Path,
    *,
    add: Sequence[Root] = (),
    remove: Sequence[bytes] = (),
    threshold: int | None = None,
    now_ms: InstantMs,
    root_files: Iterable[Path] = (),
    ask: Ask = nobody_to_ask,
) -> RootSet:
    """Replace the root set by the roots at hand, which sign again all appointments and revocations.

    `remove` holds key ids. The roots that sign must be enough for the old set and for the new one. Raises
    OperatorNeeded(roots_missing), Refused: bad_root_count, and those of `read_key`.
    """
    request = root_set_request(directory, add=add, remove=remove, threshold=threshold, now_ms=now_ms)
    install(directory, [_signed_at_hand(directory, request, root_files, ask)])
    return read_roots(directory / "roots.json")


def new_appointment(
    *,
    holder: str,
    public_key: bytes,
    area: AreaPath,
    ceiling: Precedence,
    powers: Power,
    now_ms: InstantMs,
    entropy: Entropy,
    kind: Kind = Kind.LIVE,
    days: int = 365,
    sole: bool = False,
) -> Appointment:
    """An appointment as it will be signed; begun a day ago, for clocks that lag. Raises Refused(bad_days, bad_key)."""
    if not 1 <= days <= 365:
        raise Refused("bad_days", field="days", limit="1-365")
    if len(public_key) != 32:
        raise Refused("bad_key", field="public_key", limit="32 bytes")
    return Appointment(
        id=entropy(8),
        holder=holder[:64],
        public_key=public_key,
        ceiling=ceiling,
        area=area,
        kind=kind,
        not_before=InstantMs(now_ms - DAY_MS),
        until=InstantMs(now_ms + days * DAY_MS),
        powers=int(powers),
        sole=sole,
    )


def new_revocation(ids: Sequence[bytes], *, now_ms: InstantMs, reason: str) -> Revocation:
    """A revocation as it will be signed. Raises Refused(too_many)."""
    if not 1 <= len(ids) <= 256:
        raise Refused("too_many", field="ids", limit=256)
    return Revocation(ids=tuple(dict.fromkeys(ids)), at=now_ms, reason=reason[:200])


def controller_request(directory: Path, area: AreaPath, now_ms: InstantMs, entropy: Entropy) -> SigningRequest:
    """Asks for the controller's appointment; its key is made here where it is missing, and stays here."""
    path = directory / "controller.json"
    if not path.exists():
        write_key(path, SigningKey(entropy(32)), "controller", "controller")
    wished = new_appointment(
        holder="controller", public_key=look_at_key(path).public_key, area=area, ceiling=Precedence.PRIORITY,
        powers=CONTROLLER_POWERS, now_ms=now_ms, entropy=entropy,
    )  # fmt: skip
    return request_for([wished], roots=_roots_if_any(directory), made_at=now_ms)


def appointment_request(directory: Path, wished: Appointment, now_ms: InstantMs) -> SigningRequest:
    """Asks for an appointment. Raises Refused(key_of_other_kind)."""
    _check_kind(directory, [wished])
    return request_for([wished], roots=_roots_if_any(directory), made_at=now_ms)


def revocation_request(directory: Path, ids: Sequence[bytes], *, now_ms: InstantMs, reason: str) -> SigningRequest:
    """Asks for a revocation."""
    wished = new_revocation(ids, now_ms=now_ms, reason=reason)
    return request_for([wished], roots=_roots_if_any(directory), made_at=now_ms)


def root_set_request(
    directory: Path,
    *,
    add: Sequence[Root] = (),
    remove: Sequence[bytes] = (),
    threshold: int | None = None,
    now_ms: InstantMs,
) -> SigningRequest:
    """Asks for a new root set, and for all appointments and revocations again. Raises Refused(bad_root_count)."""
    old = read_roots(directory / "roots.json")
    stay = tuple(root for root in old.roots if key_id(root.public_key) not in remove)
    try:
        new = RootSet(version=old.version + 1, roots=(*stay, *add), threshold=threshold or old.threshold)
    except WireRefusal as error:
        raise Refused("bad_root_count", field="roots", limit=MOST_ROOTS) from error
    if len(new.roots) > MOST_ROOTS:
        raise Refused("bad_root_count", field="roots", limit=MOST_ROOTS)
    return request_for([new, *_all_signed(directory, old)], roots=old, made_at=now_ms)


def install(
    directory: Path, requests: Sequence[SigningRequest], *, first_roots: RootSet | None = None
) -> tuple[RootWork, ...]:
    """Put what the roots signed into the folder; copies of one request count together. Doing it twice changes nothing.

    first_roots: those that new nodes will pin, at a centre that has none yet. Whatever breaks in the middle, what is
    there is usable, and the next try completes it. Raises OperatorNeeded(signatures_missing), Refused: key_missing (no
    roots here yet), roots_differ, request_outdated, key_of_other_kind, too_many, other_request, bad_signing_request.
    """
    request = merge_requests(requests)
    held = _roots_to_check_by(directory, first_roots)
    signed = complete(request, held)
    _check_kind(directory, [message for message, _ in signed if isinstance(message, Appointment)])
    _check_room(directory, request)
    new = request.new_roots
    if new is not None:
        if new == held:  # written last, so all else is there
            return tuple(message for message, _ in signed)
        _check_succession(directory, request, held, new)
    make_folder(directory)
    if not (directory / "roots.json").exists():
        write_roots(directory / "roots.json", held)
    # Signed by old and new roots alike, so each file counts before the new set is in office and after.
    for message, payload in sorted(signed, key=lambda one: isinstance(one[0], RootSet)):
        _keep(directory, message, payload)
    if new is not None:
        write_roots(directory / "roots.json", new)
    return tuple(message for message, _ in signed)


def messages_in(directory: Path, of: type[M], roots: RootSet | None = None) -> tuple[M, ...]:
    """What the roots signed of this sort, or what counts under `roots` where they are given.

    Raises Refused(bad_key_file).
    """
    found: list[M] = []
    for path in sorted((directory / _FOLDERS[of]).glob("*.cose")):
        payload = path.read_bytes()
        try:
            message = open_sealed(payload).message
        except WireRefusal as error:
            raise Refused("bad_key_file", field=str(path), limit="COSE", detail=error.detail) from error
        if isinstance(message, of) and (roots is None or counts(payload, roots)):
            found.append(message)
    return tuple(found)


def _all_signed(directory: Path, roots: RootSet) -> tuple[Appointment | Revocation, ...]:
    """All that counts under these roots: a file that somebody slipped in is not asked for again."""
    return (*messages_in(directory, Appointment, roots), *messages_in(directory, Revocation, roots))


@lru_cache(maxsize=4096)
def counts(payload: bytes, roots: RootSet) -> bool:
    """Whether enough of these roots signed it."""
    try:
        check_roots(open_sealed(payload, max_bytes=8192).signatures, roots)
    except WireRefusal:
        return False
    return True


def _by_roots_at_hand(
    directory: Path, messages: Sequence[RootWork], now_ms: InstantMs, root_files: Iterable[Path], ask: Ask
) -> None:
    request = request_for(messages, roots=read_roots(directory / "roots.json"), made_at=now_ms)
    install(directory, [_signed_at_hand(directory, request, root_files, ask)])


def _signed_at_hand(directory: Path, request: SigningRequest, root_files: Iterable[Path], ask: Ask) -> SigningRequest:
    """By all wanted roots in DIR/roots that have no passphrase, and by those that were named. Raises as `read_key`."""
    lying_here = [path for path in sorted((directory / "roots").glob("*.json")) if not look_at_key(path).locked]
    for path in dict.fromkeys([*lying_here, *root_files]):
        if request.root(look_at_key(path).key_id) is not None:
            request = sign_request(request, read_key(path, ask))
    if still_wanted(request):
        threshold = request.roots.threshold if request.roots else 1
        raise OperatorNeeded("roots_missing", limit=threshold, directory=str(directory / "roots"))
    return request


def _keep(directory: Path, message: RootWork, payload: bytes) -> None:
    match message:
        case Appointment():
            name = message.id.hex()
        case Revocation():
            name = f"{message.at}-{message.ids[0].hex()}"
        case RootSet():
            name = f"{message.version:04d}"
    folder = directory / _FOLDERS[type(message)]
    make_folder(folder)
    path = folder / f"{name}.cose"
    if not path.exists() or path.read_bytes() != payload:
        write_whole(path, payload, 0o644)


def _roots_if_any(directory: Path) -> RootSet | None:
    path = directory / "roots.json"
    return read_roots(path) if path.exists() else None


def _roots_to_check_by(directory: Path, first_roots: RootSet | None) -> RootSet:
    held = _roots_if_any(directory)
    if held is None:
        return first_roots if first_roots is not None else read_roots(directory / "roots.json")
    if first_roots is not None and first_roots != held:
        raise Refused("roots_differ", field="roots", value=str(directory / "roots.json"))
    return held


def _check_succession(directory: Path, request: SigningRequest, held: RootSet, new: RootSet) -> None:
    """A new root set brings all along that the old ones signed, or nodes would refuse the whole document."""
    asked = {one.body for one in request.items}
    here = [encode(one) for one in _all_signed(directory, held)]
    if new.version != held.version + 1 or not asked.issuperset(here):
        raise Refused("request_outdated", field="request", value=request.id)


def _check_kind(directory: Path, wished: Iterable[Appointment]) -> None:
    """One key signs one kind: nodes refuse a document in which it would sign both."""
    held = messages_in(directory, Appointment)
    for one in wished:
        for other in held:
            if (other.public_key, other.kind) == (one.public_key, _other(one.kind)):
                raise Refused("key_of_other_kind", field="kind", value=other.holder, limit=other.kind.name.lower())


def _check_room(directory: Path, request: SigningRequest) -> None:
    """A trust document has room for so many, and nodes refuse one that has more. Raises Refused(too_many)."""
    asked = [item.message for item in request.items]
    appointments = {*messages_in(directory, Appointment), *(one for one in asked if isinstance(one, Appointment))}
    if sum(one.until > request.made_at - KEPT_AFTER_MS for one in appointments) > MOST_APPOINTMENTS:
        raise Refused("too_many", field="appointments", limit=MOST_APPOINTMENTS)
    revocations = {*messages_in(directory, Revocation), *(one for one in asked if isinstance(one, Revocation))}
    if sum(one.at > request.made_at - 2 * LONGEST_APPOINTMENT_MS for one in revocations) > MOST_REVOCATIONS:
        raise Refused("too_many", field="revocations", limit=MOST_REVOCATIONS)


def _other(kind: Kind) -> Kind:
    return Kind.DRILL if kind is Kind.LIVE else Kind.LIVE


def _held_already(directory: Path, wished: Appointment) -> Appointment | None:
    """One with the same words that ends on the same day and was not revoked."""
    gone = {each for held in messages_in(directory, Revocation) for each in held.ids}
    for one in messages_in(directory, Appointment):
        same_words = replace(wished, id=one.id, not_before=one.not_before, until=one.until) == one
        if same_words and 0 <= wished.until - one.until < DAY_MS and not gone & {one.id, key_id(one.public_key)}:
            return one
    return None
