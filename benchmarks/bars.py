"""What each figure is measured against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """A promise: what is measured, and the least or the most that it may be."""

    what: str
    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    @property
    def words(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return f"≤ {self.at_most:g}" if self.at_most is not None else "printed"
