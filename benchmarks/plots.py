"""What the figures cost against the number of nodes, drawn on log axes as small SVG files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Plot:
    """One picture: lines of figures whose names end with a number of nodes."""

    name: str
    title: str
    unit: str
    lines: Mapping[str, str]
    """Prefix of the figures → what the line is called."""


PLOTS = (
    Plot(
        "fanout", "An order, from the POST to the last client", "ms",
        {"fanout_ms_": "centre: POST, commit, sign, publish", "fanout_bare_ms_": "bare publish"},
    ),
    Plot(
        "storm", "All nodes back at once", "s",
        {"storm_s_": "all reconciled", "storm_bare_s_": "connected and subscribed, no more"},
    ),
    Plot("once", "Published for one bulletin, as the broker counts", "bytes", {"published_bytes_": "one bulletin"}),
)  # fmt: skip


def curve(figures: Mapping[str, float], prefix: str) -> list[tuple[int, float]]:
    """(nodes, value) of the figures so named, by nodes."""
    found = ((re.fullmatch(re.escape(prefix) + r"(\d+)", name), value) for name, value in figures.items())
    return sorted((int(match[1]), value) for match, value in found if match is not None)


def draw(figures: Mapping[str, float], folder: Path) -> list[Path]:
    """Draw what there are at least two points for; the files."""
    drawn = []
    for plot in PLOTS:
        lines = {called: curve(figures, prefix) for prefix, called in plot.lines.items()}
        if any(len(points) >= 2 for points in lines.values()):
            drawn.append(_draw(plot, lines, folder / f"{plot.name}.svg"))
    return drawn


def _draw(plot: Plot, lines: Mapping[str, list[tuple[int, float]]], path: Path) -> Path:
    import matplotlib as mpl

    mpl.use("svg")
    # Text stays text, and two runs on the same figures write the same bytes.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "loa", "font.size": 9})
    from matplotlib import pyplot

    figure: Any
    axes: Any
    figure, axes = pyplot.subplots(figsize=(5.2, 3.2), layout="constrained")
    for called, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=called)
    axes.set(xscale="log", yscale="log", xlabel="nodes", ylabel=plot.unit, title=plot.title)
    lowest = min(value for points in lines.values() for _, value in points)
    highest = max(value for points in lines.values() for _, value in points)
    axes.set_ylim(lowest / 3, highest * 3)
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return path
