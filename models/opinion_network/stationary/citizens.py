"""The same society with citizens who are asked: rule twin, surrogate or language model answers.

A citizen who meets somebody within its bound reads that person's post and is asked how much it
agrees with a statement, from 1 to 7; its next stance is drawn from the answer's distribution. The
question is the family's own. Who answers is the fidelity:

    rule        the rule twin of the family (biased assimilation)
    surrogate   a multinomial logit, fitted to every third answer of the language model
    embedded    the embedded model: an instrument check, no evidence about people

The persona is the left-right self-placement of a respondent of the first half; what is fitted is
party identification, the polarised item. Each distinct request (persona, own view, post read; at
most 245 of them) is answered once per process. The notional cost of a run counts the tokens of the
distinct requests that it needed, as if none had been answered before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.calibration import Simulated, Targets, distribution, scalar
from abm.errors import CalibrationError, require
from abm.llm.embedded import language
from abm.models.opinion_network.questions import OPINION, canned_post, statement_of
from abm.models.opinion_network.stationary.survey import FITTED, K, halves, moments, targets
from abm.models.opinion_network.twin import TWIN
from abm.policies import Policy, SurrogatePolicy
from abm.questions import Answer, Request
from abm.questions import distribution as answer_distribution
from abm.rng import chance

__all__ = ["FIDELITIES", "Table", "citizen_targets", "cumulated", "request_of", "simulate", "table"]

Floats = NDArray[np.float64]
TOPIC = "gun control"
FIDELITIES = ("rule", "surrogate", "embedded")
TOKENS_PER_UNIT = 50.0
"""Notional tokens that cost as much as a run without a language model; an assumption."""
SURROGATE_COST = 2.0
_TAUGHT = 3
_FIRST = 0.5 / K


@dataclass(frozen=True)
class Table:
    """Answers to every request that can come up.

    Attributes
    ----------
    shares
        Probabilities of the answers, shape (7 personas, 7 own stances, 7 stances read, 7).
    tokens
        Notional tokens of each request, shape (7, 7, 7); 0 where no language model answers.
    request
        Number of the request in each cell, shape (7, 7, 7): two stances that are voiced alike make
        one request.
    """

    shares: Floats
    tokens: Floats
    request: NDArray[np.int64]


def request_of(ideology: int, own: int, read: int) -> Request:
    """What a citizen is asked: self-placement, own stance, stance of the post read, each 1-7.

    Examples
    --------
    >>> dict(request_of(6, 5, 2).fields)["view"]
    'So far you somewhat agree.\\n'
    """
    step = language.stance_of(read, points=7)
    return OPINION.request(
        {
            "statement": statement_of(TOPIC),
            "persona": language.persona_text(ideology=ideology),
            "view": language.view_text(own, points=7),
            "own_view": own,
            "posts": language.posts_text([canned_post(TOPIC, read, 0)]),
            "n_read": 1,
            "read_mean": round(step / 2.0, 3),
            "friends": language.friends_text(None),
            "friends_share": -1.0,
        }
    )


@lru_cache(maxsize=8)
def table(fidelity: str) -> Table:
    """All answers of one fidelity.

    Raises
    ------
    CalibrationError
        An unknown fidelity, or a request that was not answered.
    """
    require(
        fidelity in FIDELITIES,
        CalibrationError,
        f"fidelity = {fidelity!r}, expected one of {FIDELITIES}",
        argument="fidelity",
        value=fidelity,
    )
    numbers, requests = _requests()
    answers = _policy(fidelity).answer(requests)
    bad = [answer.status for answer in answers if not answer.ok or answer.scores is None]
    require(not bad, CalibrationError, f"{fidelity}: {len(bad)} requests failed: {bad[:3]}")
    shares = answer_distribution([answer.scores or () for answer in answers])
    tokens = np.array([a.tokens_in + a.tokens_out for a in answers], dtype=np.float64)
    return Table(shares[numbers], tokens[numbers], numbers)


def cumulated(shares: Floats, slope: float = 1.0, middle: float = 0.0) -> Floats:
    """Cumulated probabilities of calibrated answers, softmax(slope x score + bias), shape (..., 7).

    The form is that of `abm.calibration.choice`; the only option with a bias is the middle one.

    Parameters
    ----------
    shares
        Probabilities as answered, shape (..., 7).
    slope
        1 / temperature: 0 makes all answers alike, a large one leaves the likeliest.
    middle
        Bias of the middle option; below 0 it is avoided.

    Examples
    --------
    >>> answered = np.full(7, 1 / 7)
    >>> np.diff(cumulated(answered, middle=-np.log(2)), prepend=0).round(3).tolist()
    [0.154, 0.154, 0.154, 0.077, 0.154, 0.154, 0.154]
    """
    powered = shares**slope
    powered[..., K // 2] *= np.exp(middle)
    found = np.cumsum(powered, axis=-1)
    return np.asarray(found / found[..., -1:])


def simulate(
    parameters: Mapping[str, float],
    seed: int,
    fidelity: str,
    *,
    n: int = 400,
    sweeps: int = 20,
    snapshots: int = 10,
    between: int = 4,
) -> Simulated:
    """Simulator for a calibration: moments and shares of the settled society of citizens.

    Parameters
    ----------
    parameters
        `bound` on the scale [0, 1] (6 steps), `noise`, `stubborn` and `lean` in [0, 1]; `slope`
        of the answers' scores, >= 0, and `middle`, a bias of the middle answer, 1 and 0 where they
        are not given (see `cumulated`).
    fidelity
        One of `FIDELITIES`.
    n, sweeps, snapshots, between
        As in `abm.models.opinion_network.stationary.society.settle`.

    Examples
    --------
    >>> made = simulate({"bound": 0.5, "noise": 0.1, "stubborn": 0.1, "lean": 0.5}, 1, "rule", n=50)
    >>> made.cost, round(float(made.summaries["shares"].sum()), 6)
    (1.0, 1.0)
    """
    from abm.models.opinion_network.stationary.encounters import answered_encounters

    known = table(fidelity)
    calibration = {name: parameters[name] for name in ("slope", "middle") if name in parameters}
    answers = cumulated(known.shares, **calibration)
    rng = chance(seed, "citizens")
    stance, persona, movers = _start(parameters, n, rng)
    asked = np.zeros((K, K, K), dtype=np.bool_)
    total = np.zeros(K)
    for number in range(snapshots):
        events = (sweeps if number == 0 else between) * n
        readers = movers[(rng.random(events) * len(movers)).astype(np.int64)]
        partners = (rng.random(events) * n).astype(np.int64)
        answered_encounters(
            stance, persona, readers, partners, rng.random(events), rng.random(events),
            answers, asked, 6.0 * parameters["bound"], parameters["noise"],
        )  # fmt: skip
        total += np.bincount(stance, minlength=K)
    shares = total / total.sum()
    tokens = _tokens(known, asked)
    cost = SURROGATE_COST if fidelity == "surrogate" else 1.0 + tokens / TOKENS_PER_UNIT
    return Simulated({**moments(shares), "shares": shares}, cost, int(tokens))


def citizen_targets(seed: int = 1996) -> Targets:
    """Party in the first half, turned round: who disagrees with gun control is Republican.

    The four fitted moments are those of `survey.targets`; the shares of the second half are held
    out.

    Examples
    --------
    >>> round(float(citizen_targets()["mean"].value + targets("party")["mean"].value), 6)
    1.0
    """
    made = targets("party", seed)
    _, score = halves(seed)
    found = []
    for name in FITTED:
        value = float(made[name].value)
        value = 1.0 - value if name == "mean" else value
        found.append(scalar(name, value, float(made[name].standard_error[0])))
    turned = made["shares"].value[::-1]
    found.append(distribution("shares", turned, n=score.height, held_out=True))
    return Targets(found)


def _start(
    parameters: Mapping[str, float], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Stances 0 to 6 (the stubborn first, at the ends), personas of the survey, who can move."""
    stance = (rng.random(n) * K).astype(np.int64)
    personas = _personas()
    persona = personas[(rng.random(n) * len(personas)).astype(np.int64)]
    n_stubborn = min(round(parameters["stubborn"] * n), n - 1)
    n_upper = round(parameters["lean"] * n_stubborn)
    stance[:n_upper], stance[n_upper:n_stubborn] = K - 1, 0
    return stance, persona, np.arange(n_stubborn, n)


@lru_cache(maxsize=1)
def _personas() -> NDArray[np.int64]:
    """Self-placements, 0 to 6, of the respondents of the first half."""
    found = halves()[0]["selfLR"].to_numpy() - 1
    found.setflags(write=False)
    return found


def _tokens(known: Table, asked: NDArray[np.bool_]) -> float:
    """Tokens of the distinct requests that were needed."""
    used, first = np.unique(known.request[asked], return_index=True)
    del used
    return float(known.tokens[asked][first].sum())


@lru_cache(maxsize=1)
def _requests() -> tuple[NDArray[np.int64], list[Request]]:
    """Distinct requests, and which of them each (persona, own, read) is; shape (7, 7, 7)."""
    place: dict[Request, int] = {}
    numbers = np.empty((K, K, K), dtype=np.int64)
    for persona, own, read in np.ndindex(K, K, K):
        request = request_of(persona + 1, own + 1, read + 1)
        numbers[persona, own, read] = place.setdefault(request, len(place))
    return numbers, list(place)


def _policy(fidelity: str) -> Policy:
    if fidelity == "rule":
        return TWIN
    requests = _requests()[1]
    if fidelity == "embedded":
        return _Remembered(requests)
    taught = requests[::_TAUGHT]
    answers = _embedded_answers()
    return SurrogatePolicy.fit(zip(taught, answers[::_TAUGHT], strict=True))


@dataclass(frozen=True)
class _Remembered:
    """The embedded model's answers to the society's requests, inferred once per process."""

    requests: list[Request]
    recorded: bool = True

    @property
    def fingerprint(self) -> str:
        return "embedded"

    def answer(self, requests: Sequence[Request]) -> Sequence[Answer]:
        known = dict(zip(self.requests, _embedded_answers(), strict=True))
        return [known[request] for request in requests]


@lru_cache(maxsize=1)
def _embedded_answers() -> list[Any]:
    from abm.llm import load_backend
    from abm.policies import LLMPolicy

    return list(LLMPolicy(load_backend("embedded")).answer(_requests()[1]))
