"""`./run bench [NAME …] [--quick] [--json FILE] [--plots FOLDER]`: measure the promises; print them beside their bars.

A benchmark is a module of this folder with `BARS: dict[str, Bar]` and `run(quick: bool) -> dict[str, float]`; figures
without a bar of their own (raw baselines) are printed beside those that have one.
"""

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks.bars import Bar
from benchmarks.plots import draw


def available() -> dict[str, ModuleType]:
    """The benchmarks by name."""
    names = [
        module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in ("__main__", "bars")
    ]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in sorted(names)}
    return {name: module for name, module in modules.items() if hasattr(module, "BARS")}


def main(arguments: list[str]) -> int:
    """0 where every bar is met, 1 where one is missed, 2 for wrong arguments."""
    modules = available()
    parser = argparse.ArgumentParser(prog="./run bench", description="Measure the promises.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(modules)}; all where none is named"
    )
    parser.add_argument("--quick", action="store_true", help="smaller and fewer runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw cost against number of nodes there (SVG)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in modules]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(modules)}")
    console = Console()
    figures: dict[str, float] = {}
    bars: dict[str, Bar] = {}
    for name in options.names or modules:
        console.print(f"[dim]{name} …[/dim]")
        run: Callable[[bool], dict[str, float]] = modules[name].run
        figures |= run(options.quick)
        bars |= modules[name].BARS
    table = Table("figure", "value", "bar", "")
    for key, value in figures.items():
        bar = bars.get(key)
        mark = "" if bar is None else "met" if bar.met(value) else "[red]missed[/red]"
        table.add_row(f"{key}\n[dim]{bar.what}[/dim]" if bar else key, f"{value:.4g}", bar.words if bar else "", mark)
    console.print(table)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.plots:
        for path in draw(figures, options.plots):
            console.print(f"[dim]drawn: {path}[/dim]")
    return 0 if all(bars[key].met(value) for key, value in figures.items() if key in bars) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
