"""What a box looks up often is kept ready: whatever comes, fails or is cut, it is what looking it up would give."""

from hypothesis import given, settings
from hypothesis import strategies as st

from devices.node.limits import narrowest
from devices.node.memory import MemoryStorage
from devices.node.records import Kept, Records
from devices.protocol.documents import Placement, Settings
from devices.protocol.envelope import seal
from devices.protocol.identity import NodeIdentity
from devices.protocol.record import RecordHead, marks_told
from loa.errors import Fault
from loa.names import AreaPath
from loa.units import InstantMs
from tests.protocol import world

AREAS = [AreaPath(area) for area in ("xa", "xa/thon-1", "xa/thon-1/to-1", "xa/thon-2", "khac", "khac/thon-1")]


class _PowerCut(BaseException):
    pass


class _Storage(MemoryStorage):
    """Fails once, at the write or the delete that is `left` ahead: it is full, or the power is gone."""

    left = -1
    error: BaseException

    def _may_fail(self) -> None:
        self.left -= 1
        if self.left == -1:
            raise self.error

    def write(self, name: str, data: bytes) -> None:
        self._may_fail()
        super().write(name, data)

    def delete(self, name: str) -> None:
        self._may_fail()
        super().delete(name)


def _begun(storage: MemoryStorage) -> Records:
    records = Records(storage, NodeIdentity(world.NODE, world.NODE_KEY, world.ROOTS, InstantMs(0)))
    records.recover()
    return records


def _placed(records: Records, area: AreaPath, version: int) -> None:
    placement = Placement(
        node=world.NODE, area=area, version=version, issued_at=world.NOW, public_key=world.NODE_KEY.public_key
    )
    records.set_placement(placement, seal(placement, world.CONTROLLER))


def _set(records: Records, area: AreaPath, version: int) -> None:
    document = Settings(area=area, version=version, issued_at=world.NOW, health_interval_s=version)
    records.set_document(document, Kept(seal(document, world.CONTROLLER), (b"basis",)))


def _told(records: Records, area: AreaPath, version: int) -> None:
    head = RecordHead(area=area, number=version, hash=bytes(32), at=world.NOW, forks=version // 3)
    records.keep_head(head, seal(head, world.CONTROLLER))


STEPS = st.tuples(
    st.sampled_from([_placed, _set, _told]),
    st.sampled_from(AREAS),
    st.sampled_from([-1, -1, -1, 0, 1, 2]),
    st.sampled_from([Fault("storage_full"), _PowerCut()]),
)


@settings(deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=20))
def test_what_is_kept_ready_is_never_of_before(steps: list[tuple[object, AreaPath, int, BaseException]]) -> None:
    storage = _Storage()
    records = _begun(storage)
    for version, (step, area, left, error) in enumerate(steps, 1):
        storage.left, storage.error = left, error
        try:
            step(records, area, version)  # type: ignore[operator]
        except Fault:
            pass
        except _PowerCut:
            storage.left = -1
            records = _begun(storage)
        assert records.settings_here == narrowest((one for one, _ in records.settings.values()), records.area)
        assert records.marks == marks_told(records.heads)


def test_settings_change_with_the_place() -> None:
    records = _begun(MemoryStorage())
    for number, area in enumerate(AREAS, 1):
        _set(records, area, number)
    assert records.settings_here is None
    for version, area in enumerate(AREAS, 1):
        _placed(records, area, version)
        assert records.settings_here is not None
        assert records.settings_here.area == area
        for number, other in enumerate(AREAS, 1):
            _set(records, other, number)
