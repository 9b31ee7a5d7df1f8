"""The demo's report: figures from what was heard and what was signed, never from what was meant."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
        return _write(asdict(self), folder)


@dataclass(frozen=True)
class AlertReport:
    """What `report.json` holds after `--alert`. Counts are of nodes, and rest on what was heard at each loudspeaker."""

    nodes: int
    in_reach: int
    """Those whose link was whole at the release."""
    started: int
    """Of those, how many sounded."""
    started_after_link_back: int
    """Of the others, how many sounded, and not before their link was back."""
    sounding_at_cancel: int
    silent: int
    """Those that sounded and do no more."""
    sirens: int
    """Those whose recording begins with the siren."""
    board_closed: bool
    first_sound_ms: float
    """From the second approval's request to the first sample at any node."""
    last_in_reach_ms: float
    """The same to the first sample at the last node in reach."""
    link_back_ms: float
    """From the link's mending to the first sample at the last node behind it: they join the others' next repeat."""
    silent_ms: float
    """From the cancel's request to silence at the last node."""
    seconds: float
    """All of it, the set-up too."""
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        reached = self.started == self.in_reach and self.started + self.started_after_link_back == self.nodes
        return reached and self.silent == self.sirens == self.nodes and not self.failures

    def write(self, folder: Path) -> Path:
        """As JSON into `folder`; returns the file."""
        return _write(asdict(self), folder)


def _write(figures: dict[str, Any], folder: Path) -> Path:
    path = folder / FILE_NAME
    path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def p99(values: Sequence[float]) -> float:
    """The value that 99 % do not exceed (nearest rank); 0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(0.99 * len(values)) - 1)]
