"""Keys and what the roots sign, in words."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import typer

from controller.keydisk import KeyFile
from controller.keyfiles import CentreKeys, read_appointments, read_node, read_revocations
from controller.keywatch import days_left, key_warnings
from controller.signing import SigningRequest, still_wanted
from devices.protocol.keys import key_id
from devices.protocol.trust import Appointment, Power, Revocation, RootSet
from loa.precedence import Kind
from loa.problems import explain
from loa.units import InstantMs

_VIETNAM = timezone(timedelta(hours=7))
SOLE = "SOLE: MAY RELEASE AN EMERGENCY ALONE (một mình phát khẩn cấp)"


def minute(instant: int) -> str:
    """Vietnam's time."""
    return datetime.fromtimestamp(instant / 1000, tz=_VIETNAM).strftime("%Y-%m-%d %H:%M")


def plain(text: str) -> str:
    """Text that came from elsewhere, with nothing in it that a terminal would obey."""
    return text if text.isprintable() else ascii(text)


def power_words(powers: int) -> str:
    return ",".join((power.name or "").lower() for power in Power if power & powers)


def appointment_words(one: Appointment) -> str:
    """One line."""
    drill = "DRILL ONLY (chỉ diễn tập)" if one.kind is Kind.DRILL else "live"
    return (
        f"{plain(one.holder)}  {one.area}  up to {one.ceiling.name.lower()}  {drill}  until {minute(one.until)}"
        f"  {power_words(one.powers)}{'  ' + SOLE if one.sole else ''}"
    )


def show_keys(keys: CentreKeys, now_ms: InstantMs) -> None:
    """Everything in a folder of keys but the secrets; what is wrong with it last, where it is seen."""
    roots = keys.roots
    typer.echo(f"{keys.directory}: root set {roots.version}, {roots.threshold} of {len(roots.roots)} must sign")
    for line in roots_lines(roots):
        typer.echo(line)
    own = keys.controller_file
    typer.echo(f"  controller's key {own.key_id.hex()}{'  under a passphrase' if own.locked else ''}")
    revoked = keys.revoked
    for each in read_appointments(keys.appointments):
        gone = {each.id, key_id(each.public_key)} & revoked
        left = days_left(each, now_ms)
        state = "  REVOKED" if gone else "  ENDED" if left < 0 else f"  ({left} days)"
        typer.echo(f"  appointment {each.id.hex()}  {appointment_words(each)}{state}")
    for revocation in read_revocations(keys.revocations):
        ids = ", ".join(one.hex() for one in revocation.ids)
        typer.echo(f"  revocation {minute(revocation.at)}  {ids}  {plain(revocation.reason)}")
    for path in sorted((keys.directory / "nodes").glob("*.json")):
        typer.echo(f"  node {path.stem}  key {read_node(path).key.public_key.hex()}")
    for warning in key_warnings(keys, now_ms):
        said = explain(warning.problem, "en")
        typer.echo(f"WARNING  {said.title}\n         {said.remedy}")


def show_request(request: SigningRequest) -> None:
    """What whoever signs agrees to, from the very bytes that are signed."""
    for line in request_lines(request):
        typer.echo(line)


def request_lines(request: SigningRequest) -> Iterator[str]:
    count = len(request.items)
    yield f"Signing request {request.id}, made {minute(request.made_at)}: {count} to sign"
    for number, item in enumerate(request.items, 1):
        match item.message:
            case Appointment() as one:
                yield f"  {number}. APPOINT (bổ nhiệm) {appointment_words(one)}"
                yield f"     key {key_id(one.public_key).hex()}, appointment {one.id.hex()}"
            case Revocation() as revocation:
                ids = ", ".join(each.hex() for each in revocation.ids)
                yield f"  {number}. REVOKE (thu hồi) {ids}  ({plain(revocation.reason) or 'no reason given'})"
            case RootSet() as roots:
                many = f"{roots.threshold} of {len(roots.roots)} must sign"
                yield f"  {number}. NEW ROOT SET (bộ khoá gốc mới) {roots.version}: {many}"
                yield from _changes(request.roots, roots)
    signed = sorted(key.hex() for key in request.signers)
    wanted = still_wanted(request)
    rest = f"at least {wanted} more must sign" if wanted else "that is enough"
    yield f"Signed by: {', '.join(signed) or 'nobody yet'}" + ("" if request.roots is None else f"; {rest}")


def file_words(file: KeyFile) -> str:
    """What a key file says without its passphrase."""
    lock = "under a passphrase" if file.locked else "public half, or without a passphrase"
    return f"{file.role} {plain(file.name)}  key {file.key_id.hex()}  public {file.public_key.hex()}  {lock}"


def _changes(old: RootSet | None, new: RootSet) -> Iterator[str]:
    before = {root.public_key for root in old.roots} if old else set()
    for root in new.roots:
        word = "stays" if root.public_key in before else "COMES "
        yield f"     {word} {key_id(root.public_key).hex()}{'  sealed' if root.sealed else ''}"
    for gone in sorted(before - {root.public_key for root in new.roots}):
        yield f"     GOES   {key_id(gone).hex()}"


def roots_lines(roots: RootSet) -> Iterator[str]:
    """A line a root."""
    for one in roots.roots:
        yield f"  root {key_id(one.public_key).hex()}{'  sealed' if one.sealed else ''}"
