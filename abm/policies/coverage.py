"""Off the menu or not: a judgement about a measured answer, made after the ledger.

A ledger shares what a model said: scores and the mass that it gave to the menu. Whether that mass
is enough is declared by a study, so `off_menu` is derived from the floor whenever an answer is
read, and two studies with different floors share the same measurements.
"""

from __future__ import annotations

from dataclasses import replace

from abm.errors import PolicyError, require
from abm.questions import Answer, Status

__all__ = ["DEFAULT_FLOOR", "as_measured", "check_floor", "judged"]

DEFAULT_FLOOR = 0.05


def judged(answer: Answer, floor: float) -> Answer:
    """The answer with `off_menu` set where its coverage is below the floor; scores are kept.

    Parameters
    ----------
    floor
        Least probability mass on the menu, in [0, 1].

    Examples
    --------
    >>> judged(Answer(scores=(0.0, -1.0), coverage=0.01), floor=0.05).status
    <Status.OFF_MENU: 'off_menu'>
    >>> judged(Answer(scores=(0.0, -1.0), coverage=0.01), floor=0.001).ok
    True
    """
    if not _measured(answer):
        return answer
    answer = as_measured(answer)
    if answer.coverage is None or answer.coverage >= floor:
        return answer
    detail = f"the menu has probability {answer.coverage:.3g}, below the declared floor {floor:g}"
    return replace(answer, status=Status.OFF_MENU, detail=detail)


def as_measured(answer: Answer) -> Answer:
    """The answer without the judgement: what a ledger stores."""
    if _measured(answer) and not answer.ok and answer.coverage is not None:
        return replace(answer, status=Status.OK, detail="")
    return answer


def check_floor(floor: float) -> float:
    """The floor, refused outside [0, 1]."""
    require(
        0.0 <= floor <= 1.0,
        PolicyError,
        f"coverage_floor = {floor}, expected 0 <= coverage_floor <= 1 (a probability)",
    )
    return float(floor)


def _measured(answer: Answer) -> bool:
    return answer.scores is not None and answer.status in (Status.OK, Status.OFF_MENU)
