"""`loa simulate`: worlds in virtual time, and what must hold in them."""

import sys
from typing import Annotated

import typer

from loa.cli.simulation.runs import Outcome, run_scenario
from loa.cli.simulation.scenarios import Scenario, all_scenarios
from loa.cli.simulation.tried import table
from loa.errors import Refused

app = typer.Typer(
    help="Run a province in virtual time under faults, and check what must always hold.",
    rich_markup_mode=None,
    add_completion=False,
)


@app.command()
def simulate(  # noqa: PLR0917 - typer's options
    scenario: Annotated[
        str, typer.Argument(help="A scenario's name, `all`, or `attacks`; --list shows them.")
    ] = "storm",
    seed: Annotated[
        int | None, typer.Option(help="The seed of every choice; the same one gives the same world.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Several: A-B.")] = None,
    boxes: Annotated[int | None, typer.Option(min=1, max=5000, help="How many loudspeaker boxes.")] = None,
    days: Annotated[float | None, typer.Option(min=0.01, max=400, help="How long, where the scenario asks.")] = None,
    story: Annotated[bool, typer.Option("--story", help="Print everything that happened, in order.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="The scenarios, a line each.")] = False,
) -> None:
    """Play a scenario. A seed that breaks a rule is printed with what happened; --seed plays it again."""
    known = all_scenarios()
    if list_them:
        _list(known)
        return
    if scenario not in ("all", "attacks") and scenario not in known:
        raise Refused("not_found", field="scenario", value=scenario[:64])
    chosen = [
        one for one in known.values() if scenario in ("all", one.name) or (scenario == "attacks" and one.is_attack)
    ]
    outcomes = []
    for one in chosen:
        for number in seeds_of(seed, seeds):
            outcomes.append(_play(one, number, boxes, days, whole_story=story))
    failed = [one for one in outcomes if not one.ok]
    for line in table([attack for one in outcomes for attack in one.tried]):
        typer.echo(line)
    if len(outcomes) > 1:
        hours = sum(one.node_hours for one in outcomes)
        typer.echo(f"{len(outcomes)} worlds, {hours:.0f} node-hours, {len(failed)} with a breach")
    if failed:
        raise typer.Exit(1)


def seeds_of(seed: int | None, seeds: str | None) -> range:
    """One seed, or A-B; 1 where none is given. Raises Refused(bad_value)."""
    if seeds is None:
        first = 1 if seed is None else seed
        return range(first, first + 1)
    first_word, _, last_word = seeds.partition("-")
    try:
        first, last = int(first_word), int(last_word or first_word)
    except ValueError as error:
        raise Refused("bad_value", field="seeds", limit="A-B", reason=seeds[:40]) from error
    if not 0 <= first <= last:
        raise Refused("bad_value", field="seeds", limit="A-B", reason=seeds[:40])
    return range(first, last + 1)


def _list(known: dict[str, Scenario]) -> None:
    width = max(map(len, known))
    for one in known.values():
        number = f"fault {one.fault:>2}" if one.fault else " " * 8
        typer.echo(f"{one.name:<{width}}  {number}  {one.words}")


def _play(scenario: Scenario, seed: int, boxes: int | None, days: float | None, *, whole_story: bool) -> Outcome:
    def progress(words: str) -> None:
        if sys.stderr.isatty():
            typer.echo(f"  {scenario.name}, seed {seed}: {words}", err=True)

    outcome = run_scenario(scenario, seed, boxes=boxes, days=days, progress=progress)
    if whole_story:
        for line in outcome.story:
            typer.echo(line)
    tell(outcome, with_tale=not whole_story)
    return outcome


def tell(outcome: Outcome, *, with_tale: bool = True) -> None:
    """The figures; and of a failure the seed, what broke, and how it came about."""
    if outcome.ok:
        typer.echo(f"{outcome.scenario}, seed {outcome.seed}: holds. {outcome.figures()}")
        return
    typer.echo(f"{outcome.scenario}, SEED {outcome.seed} BREAKS {len(outcome.breaches)} RULES. {outcome.figures()}")
    for breach in outcome.breaches[:20]:
        typer.echo(f"  {breach}")
    if with_tale:
        typer.echo("What happened:")
        for line in outcome.tale():
            typer.echo(f"  {line}")
    typer.echo(f"Again: loa simulate {outcome.scenario} --seed {outcome.seed}{outcome.asked} --story")
