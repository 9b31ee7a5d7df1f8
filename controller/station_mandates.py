"""Mandates of stations: signed by roots that are at hand, carried to the station, needed by no centre."""

from collections.abc import Iterable
from pathlib import Path

from controller.keydisk import Ask, look_at_key, nobody_to_ask, read_key, read_roots
from controller.rootwork import counts
from devices.protocol.envelope import seal_with
from devices.protocol.keys import key_id
from devices.protocol.local import COMMUNE_DEPTH, StationMandate
from loa.entropy import Entropy
from loa.errors import OperatorNeeded, Refused
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import InstantMs

LONGEST_DAYS = 365
_DAY_MS = 86_400_000


def station_mandate(
    directory: Path,
    *,
    holder: str,
    public_key: bytes,
    area: AreaPath,
    kind: Kind,
    days: int,
    now_ms: InstantMs,
    entropy: Entropy,
    root_files: Iterable[Path] = (),
    ask: Ask | None = None,
) -> bytes:
    """What lets a station's key sound stored messages in its commune by local input, signed by roots that are at hand.

    It is carried to the station; the centre does not need it. Raises Refused(bad_days, bad_area_path, not_a_root),
    OperatorNeeded(roots_missing), and what `read_key` raises.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise Refused("bad_value", field="days", limit=f"1–{LONGEST_DAYS}", reason=days)
    if len(area.codes) < COMMUNE_DEPTH:
        raise Refused("bad_area_path", field="area", limit="province/commune", value=area)
    mandate = StationMandate(
        id=entropy(8), holder=holder, public_key=public_key, area=area, kind=kind, not_before=now_ms,
        until=InstantMs(now_ms + days * _DAY_MS),
    )  # fmt: skip
    roots = read_roots(directory / "roots.json")
    at_hand = [path for path in sorted((directory / "roots").glob("*.json")) if not look_at_key(path).locked]
    known = {key_id(root.public_key) for root in roots.roots}
    paths = [path for path in dict.fromkeys([*at_hand, *root_files]) if look_at_key(path).key_id in known]
    sealed = seal_with(mandate, [read_key(path, ask or nobody_to_ask) for path in paths]) if paths else b""
    if not counts(sealed, roots):
        raise OperatorNeeded("roots_missing", limit=roots.threshold, directory=str(directory / "roots"))
    return sealed
