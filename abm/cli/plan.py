"""`abm plan`: what a study would cost, before it costs anything."""

from __future__ import annotations

import json
from pathlib import Path

from abm.cli import show
from abm.cli.study import read
from abm.studies.planning import Plan, plan

__all__ = ["show_plan"]


def show_plan(
    file: Path,
    replications: int,
    fraction: float,
    tokens_per_second: float | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Plan a study and show it, for people or for programs."""
    made = plan(
        read(file, model),
        replications=replications,
        fraction=fraction,
        tokens_per_second=tokens_per_second,
    )
    if as_json:
        print(json.dumps(made.as_dict(), indent=2))
    else:
        _told(made)


def _told(made: Plan) -> None:
    show.console.print(
        f"{made.study}: {made.runs:,} runs, estimated from {made.dry_runs:,} runs with the rule "
        "twins in the models' place"
    )
    for policy in made.policies:
        hours = "unknown" if policy.hours is None else _hours(policy.hours)
        values = {
            "requests asked": f"{policy.asked:,}",
            "distinct among them": f"{policy.distinct:,} ({policy.choices:,} choices, "
            f"{policy.texts:,} texts)",
            "tokens if nothing were cached": f"{policy.tokens:,}",
            "tokens of distinct requests": f"{policy.distinct_tokens:,}",
            "tokens counted by": policy.tokens_from,
            "inference": f"{hours} ({policy.hours_from})",
        }
        show.console.print(f"\n{policy.model}")
        for name, value in values.items():
            show.console.print(f"  {name + ':':31}{value}", highlight=False)
    if not made.policies:
        show.console.print("no language model is asked")
    show.console.print(
        f"\neverything else: {_hours(made.rule_hours)} in one process; "
        f"disk: {made.disk_bytes / 1e6:,.1f} MB"
    )
    for note in made.notes:
        show.console.print(f"note: {note}")


def _hours(hours: float) -> str:
    """A length of time in the unit that people would use.

    Examples
    --------
    >>> _hours(2.5), _hours(0.1), _hours(0.001)
    ('2.5 h', '6.0 min', '3.6 s')
    """
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.1f} s"
