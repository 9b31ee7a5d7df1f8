"""The demo's report: figures from what was heard and what was signed, never from what was meant."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "report.json"


@dataclass(frozen=True)
class DemoReport:
    """What `report.json` holds. `played` and `matched` count nodes that did so for both broadcasts."""

    nodes: int
    wired: int
    wireless: int
    played: int
    matched: int
    start_skew_ms_p99: float
    """Over every start at every node: true instant of the first sample minus the ordered instant, absolute."""
    audio_bytes_published: int
    """Audio in pieces that the centre published over the broker, streams and repairs together."""
    repair_bytes: int
    """Of those, what single nodes asked for."""
    duplicates: int
    """Broadcasts that began again at a node that had begun them before."""
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.played == self.matched == self.nodes and self.duplicates == 0 and not self.failures

    def write(self, folder: Path) -> Path:
        """As JSON into `folder`; returns the file."""
        path = folder / FILE_NAME
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def p99(values: Sequence[float]) -> float:
    """The value that 99 % do not exceed (nearest rank); 0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(0.99 * len(values)) - 1)]
