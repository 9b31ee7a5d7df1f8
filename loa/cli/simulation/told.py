"""A rule that did not hold, in words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Breach:
    """An invariant that did not hold."""

    rule: str
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule} broken by {self.who}: {self.what}"
