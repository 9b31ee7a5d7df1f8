"""By which areas' topics emergencies were handed to the broker, until the tables hold it."""

from collections.abc import Mapping
from dataclasses import dataclass

from loa.units import InstantMs


@dataclass(frozen=True)
class Went:
    """One order on one area's topic."""

    first_at: InstantMs
    last_at: InstantMs
    times: int

    def with_(self, other: "Went") -> "Went":
        return Went(
            min(self.first_at, other.first_at), max(self.last_at, other.last_at), self.times + other.times
        )  # fmt: skip


class Routes:
    """What is not written down yet."""

    def __init__(self) -> None:
        self._went: dict[tuple[str, str], Went] = {}

    def __bool__(self) -> bool:
        return bool(self._went)

    def went(self, order: str, area: str, at: InstantMs) -> None:
        self._add((order, area), Went(at, at, 1))

    def older_than(self, at: float) -> bool:
        """Whether something has waited since then."""
        return any(one.first_at <= at for one in self._went.values())

    def taken(self) -> Mapping[tuple[str, str], Went]:
        """All of it; from here on it is the caller's."""
        taken, self._went = self._went, {}
        return taken

    def back(self, taken: Mapping[tuple[str, str], Went]) -> None:
        """It could not be written."""
        for key, one in taken.items():
            self._add(key, one)

    def _add(self, key: tuple[str, str], one: Went) -> None:
        held = self._went.get(key)
        self._went[key] = one if held is None else held.with_(one)
