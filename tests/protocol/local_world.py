"""A station of the commune with a mandate of the roots, for tests of local input."""

from dataclasses import replace

from devices.protocol.envelope import seal_with
from devices.protocol.local import StationMandate
from devices.protocol.local_orders import local_play, local_stop
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import Id16, InstantMs
from tests.protocol.world import COMMUNE, DAY, NOW, ROOT_KEYS, id_of, key_of

STATION = key_of("station")
MANDATE = StationMandate(
    id=id_of("mandate of the station")[:8], holder="Đài Cô Tô", public_key=STATION.public_key, area=COMMUNE,
    kind=Kind.LIVE, not_before=InstantMs(NOW - 30 * DAY), until=InstantMs(NOW + 300 * DAY),
)  # fmt: skip


def mandate(*roots: int, **changes: object) -> bytes:
    """Signed by two roots unless said otherwise."""
    signers = [ROOT_KEYS[number] for number in roots or (0, 1)]
    return seal_with(replace(MANDATE, **changes), signers)  # type: ignore[arg-type]


def sounded(name: str = "local", siren: int = 1, at: int = NOW, **changes: object) -> bytes:
    return local_play(STATION, mandate(**changes), siren, id_of(name), InstantMs(at))


def stopped(name: str, subject: Id16, at: int = NOW) -> bytes:
    return local_stop(STATION, mandate(), subject, id_of(name), InstantMs(at))


ELSEWHERE = AreaPath("quang-ninh/mong-cai")
