"""`abm audit`: fallback shares, the effect of the wording, and what the rule twin would say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from abm.cli import show
from abm.studies.audit import Audit, audit_granularity, audit_twin, audit_wording
from abm.studies.reading import RunFolder, load_run

__all__ = ["audit_run"]

MOST_OUTCOMES = 12


def audit_run(
    folder: Path,
    kinds: Sequence[str],
    halved: Sequence[str],
    variants: int,
    repeat: bool,
    model: Path | None,
    model_class: str | None,
) -> None:
    """Make the audits that were asked for, print them, and keep them."""
    base = load_run(folder)
    _who_decided(base)
    made = []
    for kind in kinds:
        if kind == "twin":
            made.append(audit_twin(folder, model=model_class))
        else:
            made.append(
                audit_wording(
                    folder,
                    kind,
                    n_variants=variants,
                    repeat=repeat,
                    model=model_class,
                    model_file=model,
                )
            )
    made += [
        audit_granularity(folder, name, model=model_class, model_file=model) for name in halved
    ]
    for audit in made:
        _show(audit)
        show.console.print(f"kept: {audit.write(base)}", markup=False)
    show.labels(base.manifest["labels"])


def _who_decided(base: RunFolder) -> None:
    counts = base.decision_counts()
    if not counts.height:
        show.console.print("nothing was asked: all behaviour follows the model's own rules")
        return
    columns = ("as_assigned", "by_rule", "again_or_skipped")
    rows = [
        [r["question"], r["policy"], r["decisions"]]
        + [show.share(r[name], r["decisions"]) for name in columns]
        + [r["how"] or "none"]
        for r in counts.iter_rows(named=True)
    ]
    head = ("question", "policy", "decisions", "as assigned", "rule stood in")
    show.table("who decided", (*head, "skipped or again", "failures"), rows)


def _show(audit: Audit) -> None:
    show.console.print()
    if audit.questions:
        rows = [
            [q["question"], q["requests"], q["decisions"], q["variants"]]
            + [f"{q[name]:.3f}" for name in ("mean_tv", "max_tv")]
            + [f"{100 * q['other_mode']:.1f} %", q["failed"]]
            for q in audit.questions
        ]
        head = ("question", "requests", "decisions", "variants", "total variation", "largest")
        columns = (*head, "other first choice", "failed")
        show.table(f"{audit.kind}: distance to the recorded answers", columns, rows)
    for row in audit.outcomes:
        changes = [
            (name, before, row["changed"].get(name, float("nan")))
            for name, before in row["recorded"].items()
        ]
        changed = [c for c in changes if c[1] != c[2] and c[1] == c[1]]
        show.table(
            f"{audit.kind}: {row['variant']}",
            ("outcome", "recorded", "with it"),
            changed[:MOST_OUTCOMES] or [("all outcomes", "the same", "")],
        )
        if len(changed) > MOST_OUTCOMES:
            show.console.print(f"and {len(changed) - MOST_OUTCOMES} more outcomes")
    for note in audit.notes:
        show.console.print(note, markup=False)
