"""What every policy promises, ours and other people's.

Use it in a test of a policy::

    from policy_contract import check_policy
    check_policy(my_policy, requests)
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence

import numpy as np

from abm.policies import Policy
from abm.questions import Answer, Request

__all__ = ["bits", "check_policy"]


def bits(answer: Answer) -> tuple:
    """Everything in an answer, floats as their bits: -0.0 differs from 0.0, nan equals nan."""
    row = answer.to_row()
    scores = None if row["scores"] is None else np.array(row["scores"]).tobytes()
    coverage = None if row["coverage"] is None else np.array(row["coverage"]).tobytes()
    return tuple({**row, "scores": scores, "coverage": coverage}.items())


def check_policy(policy: Policy, requests: Sequence[Request], *, travels: bool = False) -> None:
    """Assert that `policy` keeps its promises on these requests (distinct, two or more).

    Answers come one per request and in order, are equal for equal requests, and do not depend on
    the batch, its order, its size, or what was asked before. `travels`: the policy can be pickled
    and answers the same afterwards.
    """
    assert isinstance(policy, Policy)
    assert isinstance(policy.fingerprint, str)
    assert policy.fingerprint
    assert len(set(requests)) == len(requests) >= 2
    name = policy.fingerprint
    answers = policy.answer(list(requests))
    whole = [bits(answer) for answer in answers]
    assert len(whole) == len(requests)
    assert [bits(Answer.from_row(json.loads(json.dumps(a.to_row())))) for a in answers] == whole
    assert list(policy.answer([])) == []
    singly = [bits(policy.answer([request])[0]) for request in requests]
    assert singly == whole, "an answer depends on what else is in the batch"
    backwards = [bits(answer) for answer in policy.answer(list(requests)[::-1])]
    assert backwards[::-1] == whole, "an answer depends on the order of asking"
    twice = [bits(answer) for answer in policy.answer([*requests, *requests])]
    assert twice == whole + whole, "equal requests got different answers"
    assert policy.fingerprint == name
    if travels:
        copy = pickle.loads(pickle.dumps(policy))
        assert copy.fingerprint == name
        assert [bits(answer) for answer in copy.answer(list(requests))] == whole
