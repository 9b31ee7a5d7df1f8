"""Signing requests: what the roots are asked to sign, carried by hand to where they are, and back with signatures.

Values in, values out. A request holds the very bytes that are signed, and whoever signs is shown those bytes read as
words, never a text that came beside them. Each root signs for itself, on the same copy or on copies; together they
make the COSE_Sign that nodes check.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from devices.protocol import cose
from devices.protocol.envelope import decode, encode, open_sealed, seal_with
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.refusal import RefusalReason, WireRefusal
from devices.protocol.roots import check_roots
from devices.protocol.trust import Appointment, Revocation, Root, RootSet
from loa.errors import OperatorNeeded, Refused
from loa.units import InstantMs, KeyId

FORM = "loa-signing-request-1"
RootWork = Appointment | Revocation | RootSet
MAX_ITEMS = 1024
MAX_TEXT_BYTES = 8 * 1024 * 1024
_MAX_PART_BYTES = 16384


@dataclass(frozen=True)
class Asked:
    """One thing to be signed, and the signatures so far (each a COSE_Sign of its own, by key id)."""

    body: bytes
    parts: tuple[bytes, ...] = ()

    @property
    def message(self) -> RootWork:
        """What it says."""
        message = decode(self.body)
        if not isinstance(message, Appointment | Revocation | RootSet):
            raise _bad("not for roots to sign")
        return message

    @property
    def signers(self) -> frozenset[KeyId]:
        """Under whose names there are signatures; whether they hold is for `complete` to say."""
        return frozenset(open_sealed(part).signature.key_id for part in self.parts)


@dataclass(frozen=True)
class SigningRequest:
    made_at: InstantMs
    roots: RootSet | None
    """Those in office where it was made; None at a centre that has none yet."""
    items: tuple[Asked, ...]

    @property
    def id(self) -> str:
        """Names what is asked, whoever has signed."""
        return hashlib.sha256(b"".join(hashlib.sha256(one.body).digest() for one in self.items)).hexdigest()[:16]

    @property
    def signers(self) -> frozenset[KeyId]:
        """Who has signed all of it."""
        return frozenset.intersection(*(one.signers for one in self.items))

    @property
    def new_roots(self) -> RootSet | None:
        """The root set that it would put in office."""
        sets = [message for one in self.items if isinstance(message := one.message, RootSet)]
        return sets[0] if sets else None

    def root(self, key: KeyId) -> Root | None:
        """The root of this key id, in office or coming in; None where it is neither."""
        for roots in (self.roots, self.new_roots):
            for root in roots.roots if roots else ():
                if key_id(root.public_key) == key:
                    return root
        return None

    def to_text(self) -> str:
        """JSON. Public: it may be shown and copied."""
        words = {
            "form": FORM,
            "id": self.id,
            "made_at": self.made_at,
            "roots": None if self.roots is None else encode(self.roots).hex(),
            "items": [{"body": one.body.hex(), "signed": [part.hex() for part in one.parts]} for one in self.items],
        }
        return json.dumps(words, indent=1) + "\n"


def request_for(messages: Sequence[RootWork], *, roots: RootSet | None, made_at: InstantMs) -> SigningRequest:
    """A fresh request, signed by nobody. Raises Refused(too_many)."""
    if not 1 <= len(messages) <= MAX_ITEMS:
        raise Refused("too_many", field="items", limit=MAX_ITEMS)
    return SigningRequest(made_at, roots, tuple(Asked(encode(message)) for message in messages))


def read_request(text: str) -> SigningRequest:
    """Raises Refused(bad_signing_request) for anything that `to_text` did not write."""
    try:
        words = json.loads(text[:MAX_TEXT_BYTES])
        if words["form"] != FORM:
            raise _bad("another kind of file")
        roots = None if words["roots"] is None else decode(bytes.fromhex(words["roots"]))
        if roots is not None and not isinstance(roots, RootSet):
            raise _bad("no root set")
        items = tuple(_asked(one["body"], one["signed"]) for one in words["items"])
        request = SigningRequest(InstantMs(int(words["made_at"])), roots, items)
        if not 1 <= len(items) <= MAX_ITEMS or request.id != words["id"]:
            raise _bad("spoiled on the way")
        sets = sum(isinstance(one.message, RootSet) for one in items)
        if sets > 1:
            raise _bad("more than one root set")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, WireRefusal) as error:
        raise _bad(str(error)[:100]) from error
    return request


def sign_request(request: SigningRequest, key: SigningKey) -> SigningRequest:
    """With this root's signatures in it; signing again changes nothing. Raises Refused(not_a_root)."""
    if (request.roots is not None or request.new_roots is not None) and request.root(key.key_id) is None:
        raise Refused("not_a_root", field="root", value=key.key_id.hex())
    return replace(request, items=tuple(_signed(one, key) for one in request.items))


def merge_requests(requests: Sequence[SigningRequest]) -> SigningRequest:
    """Copies of one request that were signed in different places. Raises Refused(other_request)."""
    first = requests[0]
    for other in requests[1:]:
        if other.id != first.id:
            raise Refused("other_request", field="request", value=other.id, limit=first.id)
    columns = zip(*(request.items for request in requests), strict=True)
    return replace(first, items=tuple(_merged(column) for column in columns))


def complete(request: SigningRequest, held: RootSet) -> tuple[tuple[RootWork, bytes], ...]:
    """What was asked, as signed by enough roots of `held` and, where new roots come in, of those too.

    Raises OperatorNeeded(signatures_missing), and Refused(bad_signing_request) where a signature does not hold.
    """
    new = request.new_roots
    wanted = [held, *([new] if new is not None and new != held else [])]
    return tuple((one.message, _complete(one, wanted)) for one in request.items)


def still_wanted(request: SigningRequest) -> int:
    """How many more roots must sign, as far as the request itself can tell (0: enough)."""
    wanted = [roots for roots in (request.roots, request.new_roots) if roots is not None]
    missing = 0
    for roots in wanted:
        ids = {key_id(root.public_key): root.sealed for root in roots.roots}
        signed = [ids[key] for key in request.signers if key in ids]
        missing = max(missing, roots.threshold - len(signed), int(all(signed)))
    return missing


def _complete(one: Asked, wanted: Iterable[RootSet]) -> bytes:
    threshold = max(roots.threshold for roots in wanted)
    if not one.parts:
        raise OperatorNeeded("signatures_missing", limit=threshold)
    known = {root.public_key for roots in wanted for root in roots.roots}
    names = {key_id(public) for public in known}
    # Signatures of strangers would only cost every node the bytes.
    ours = [part for part in one.parts if open_sealed(part).signature.key_id in names]
    if not ours:
        raise OperatorNeeded("signatures_missing", limit=threshold)
    try:
        sealed = cose.joined(ours, max_bytes=_MAX_PART_BYTES)
        for roots in wanted:
            check_roots(open_sealed(sealed).signatures, roots)
    except WireRefusal as error:
        if error.reason in (RefusalReason.BAD_SIGNATURE, RefusalReason.MALFORMED):
            raise _bad(error.detail) from error
        raise OperatorNeeded("signatures_missing", limit=threshold) from error
    return sealed


def _signed(one: Asked, key: SigningKey) -> Asked:
    if key.key_id in one.signers:
        return one
    return _sorted(one.body, (*one.parts, seal_with(one.message, [key])))


def _merged(copies: Iterable[Asked]) -> Asked:
    parts: dict[KeyId, bytes] = {}
    body = b""
    for copy in copies:
        body = copy.body
        for part in copy.parts:
            parts.setdefault(open_sealed(part).signature.key_id, part)
    return _sorted(body, parts.values())


def _sorted(body: bytes, parts: Iterable[bytes]) -> Asked:
    return Asked(body, tuple(sorted(parts, key=lambda part: open_sealed(part).signature.key_id)))


def _asked(body: str, parts: Sequence[str]) -> Asked:
    """Raises Refused(bad_signing_request), WireRefusal, ValueError."""
    asked = Asked(bytes.fromhex(body), tuple(bytes.fromhex(part) for part in parts))
    if encode(asked.message) != asked.body:
        raise _bad("not in its one form")
    for part in asked.parts:
        signed = cose.read(part, max_bytes=_MAX_PART_BYTES)
        if signed.payload != asked.body or len(signed.signatures) != 1:
            raise _bad("a signature of something else")
    return asked


def _bad(detail: str) -> Refused:
    return Refused("bad_signing_request", field="request", limit=FORM, detail=detail)
