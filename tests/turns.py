"""How tests are spread over processes: long ones first, one by one; those that need a quiet machine last and alone."""

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

QUIET: Sequence[str] = (
    "tests/node/test_soundcard.py::",
    "tests/node/test_box.py::test_what_comes_out_of_the_card_matches",
    "tests/links/test_brokers.py::test_an_order_to_many_at_once",
    "tests/transfer/test_order_behind_audio.py::test_an_order_is_not_stuck",
)
"""How the names of tests begin that measure real time."""

LONG: Sequence[str] = ("tests/api/test_permissions.py::",)
"""How the names of tests begin for which the others would wait at the end."""

_TURN = "quiet"
_SHARED = ("tests/api/", "tests/console/")
"""A file of these shares one office with its limits on strangers, or one watchroom with what sounds and waits in it: it
stays in one process, and in its order."""
_ALONE = "tests/api/test_schemathesis.py"
"""But what takes half a minute for each role, on a server of its own."""


def is_quiet(name: str) -> bool:
    return name.startswith(tuple(QUIET))


def _rank(item: pytest.Item) -> int:
    if is_quiet(item.nodeid):
        return 3
    if item.nodeid.startswith(tuple(LONG)):
        return 0
    return 1 if item.nodeid.startswith(_SHARED) or item.get_closest_marker("slow") is not None else 2


def in_turns(items: list[pytest.Item]) -> None:
    """Sorts what a process has collected; every process comes to the same order."""
    items.sort(key=_rank)


class Turns(LoadScopeScheduling):  # type: ignore[misc]
    """Whoever is free takes the next test. The quiet ones begin when everything else has ended, in one process.

    A process of xdist's runs a test only when it knows the next, or that there is none. So those that will get no more
    are told so, and the one that is left holds its last test until the others have ended.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_SHARED) and not nodeid.startswith(_ALONE):
            return nodeid.partition("::")[0]
        return _TURN if is_quiet(nodeid) else nodeid

    def _assign_work_unit(self, node: WorkerController) -> None:
        if _TURN in self.workqueue:
            self.workqueue.move_to_end(_TURN)
        if not self._only_quiet() or self._alone(node):
            super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if not self._only_quiet():
            super()._reschedule(node)
            return
        going_on = [one for one in self.nodes if not one.shutting_down]
        if node in going_on and len(going_on) > 1:
            node.shutdown()
            going_on.remove(node)
        if len(going_on) == 1:
            self._assign_work_unit(going_on[0])

    def _only_quiet(self) -> bool:
        return list(self.workqueue) == [_TURN]

    def _alone(self, node: WorkerController) -> bool:
        return not any(self._pending_of(work) for other, work in self.assigned_work.items() if other is not node)
