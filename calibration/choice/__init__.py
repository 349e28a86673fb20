"""Choice calibration: from a language model's answer distributions to survey answers.

`ChoiceData` holds scores of personas and counts of people, `fit_choice` fits temperature, option
bias and persona weights, `score` judges them on questions and groups held out, and
`guard_answer_key` shows whether the model or the calibration knows the answers.
"""

from abm.calibration.choice.data import ChoiceData, SurveyQuestion
from abm.calibration.choice.fit import ChoiceFit, fit_choice, question_bootstrap
from abm.calibration.choice.guard import KeyGuard, guard_answer_key, known_by_heart
from abm.calibration.choice.mixture import MixtureWeights, mixture_weights
from abm.calibration.choice.scores import (
    brier_score,
    log_score,
    ranked_probability_score,
    score,
    score_table,
)

__all__ = [
    "ChoiceData",
    "ChoiceFit",
    "KeyGuard",
    "MixtureWeights",
    "SurveyQuestion",
    "brier_score",
    "fit_choice",
    "guard_answer_key",
    "known_by_heart",
    "log_score",
    "mixture_weights",
    "question_bootstrap",
    "ranked_probability_score",
    "score",
    "score_table",
]
