"""What is suspicious about a run: things that were declared and never happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abm.engine.agent import Agent

if TYPE_CHECKING:
    from abm.engine.model import Model

__all__ = ["run_flags"]


def run_flags(model: Model) -> list[str]:
    """In words, sorted by kind: policies, agent classes, questions, interventions, time.

    A policy that only stands in for failures is not expected to run. An agent class is expected to
    act if it defines `life` or `step`, or if an activation was given its agents.
    """
    return [
        *_policies(model),
        *_agent_classes(model),
        *_questions(model),
        *_interventions(model),
        *(["the model never ran: time is 0"] if model.now == 0 else []),
    ]


def _policies(model: Model) -> list[str]:
    frame = model.decisions.frame()
    used = {*frame["policy"], *frame["answered_by"]}
    stands_for_others = {*model.answerer.failures.rules, *model.desk.mixtures}
    expected = [name for name in model.policies if name not in stands_for_others]
    return [f"policy {name!r} never ran" for name in expected if name not in used]


def _agent_classes(model: Model) -> list[str]:
    acted = model.desk.acted
    expected = [kind for kind in model._seen_classes if kind not in acted and _acts(kind)]
    expected += [kind for kind in model._activated if kind not in acted and kind not in expected]
    names = sorted({kind.__name__ for kind in expected})
    return [f"agent class {name} never acted" for name in names]


def _acts(kind: type) -> bool:
    if not issubclass(kind, Agent):
        return False
    return kind.life is not Agent.life or "step" in {
        name for base in kind.__mro__ if issubclass(base, Agent) for name in vars(base)
    }


def _questions(model: Model) -> list[str]:
    frame = model.decisions.frame()
    flags = []
    declared = [question.id for question in getattr(model, "questions", ())]
    raised = frame["question"].unique(maintain_order=True).to_list()
    for name in dict.fromkeys([*declared, *raised]):
        mine = frame.filter(frame["question"] == name)
        if mine.height == 0:
            flags.append(f"question {name!r} was declared and never asked")
        elif not (mine["choice"].is_not_null() | (mine["status"] == "ok")).any():
            n = int(mine["decisions"].sum())
            flags.append(f"question {name!r} was asked {n} times and never answered")
    return flags


def _interventions(model: Model) -> list[str]:
    return [
        f"intervention {intervention.name!r} never acted: the run ended at {model.now:g}"
        for intervention in model._interventions
        if intervention not in model._interventions_done
    ]
