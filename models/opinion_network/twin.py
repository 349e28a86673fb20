"""The rule twin: the published rule of biased assimilation, written as a distribution over 1 to 7.

It answers the same questions from the same fields as a language model. The centre of its answer is
where biased assimilation (Dandekar, Goel & Lee 2013) moves the citizen's own view after the posts
that it read and the share of its friends who agree; around the centre it answers with an ordered
logit, as a citizen would who is not quite sure. It has no memory beyond the fields.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.models.opinion_network.questions import OPINION, POST, canned_post
from abm.models.opinion_network.rules import assimilated
from abm.models.opinion_network.scale import opinion_of
from abm.policies import ByQuestion, RulePolicy

__all__ = ["BIAS", "SELF_WEIGHT", "SPREAD", "TWIN", "opinion_scores", "post_texts"]

BIAS = 1.0
"""Bias of assimilation: the published threshold of polarisation."""
SELF_WEIGHT = 1.0
"""Weight of the own view against everything heard together."""
SPREAD = 0.1
"""Spread of the ordered logit on the [-1, 1] scale; about two in three stay at the centre."""


def opinion_scores(
    fields: dict[str, NDArray[Any]], options: tuple[str, ...]
) -> NDArray[np.float64]:
    """Log-probabilities of the seven answers, shape (n, 7).

    The friends count as one more post, at the position 2 share - 1; nothing heard leaves the view.
    """
    view = opinion_of(fields["own_view"])
    n_read = fields["n_read"].astype(np.float64)
    friends = fields["friends_share"].astype(np.float64)
    has_friends = (friends >= 0).astype(np.float64)
    weight = n_read + has_friends
    total = n_read * fields["read_mean"] + has_friends * (2.0 * friends - 1.0)
    heard = np.where(weight > 0, total / np.maximum(weight, 1.0), view)
    moved = assimilated((view + 1.0) / 2.0, (heard + 1.0) / 2.0, BIAS, SELF_WEIGHT)
    centre = np.where(weight > 0, 2.0 * moved - 1.0, view)
    return _ordered_logit(centre, len(options))


def post_texts(fields: dict[str, NDArray[Any]]) -> list[str]:
    """A canned post of the stance to voice; its phrasing comes from the request's seed."""
    rows = zip(fields["topic"], fields["voice"], fields["_seed"], strict=True)
    return [canned_post(str(topic), int(voice), int(seed)) for topic, voice, seed in rows]


def _ordered_logit(centre: NDArray[np.float64], n_options: int) -> NDArray[np.float64]:
    """Log of logistic((c_k - m) / s) differences; cuts midway between neighbouring stances."""
    cuts = opinion_of(np.arange(1, n_options) + 0.5)
    below = 1.0 / (1.0 + np.exp(-(cuts - centre[:, None]) / SPREAD))
    ends = np.hstack([np.zeros((centre.size, 1)), below, np.ones((centre.size, 1))])
    return np.log(np.maximum(np.diff(ends, axis=1), 1e-300))


TWIN = ByQuestion(
    {
        OPINION.id: RulePolicy(opinion_scores, "biased assimilation twin"),
        POST.id: RulePolicy(post_texts, "canned post", returns="texts"),
    },
    name="opinion_network twin",
)
"""Stands for the role `citizen` wherever no other answerer is named."""
