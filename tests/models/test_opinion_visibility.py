"""Nobody reads another's mind in the opinion network."""

from __future__ import annotations

from visibility_contract import assert_no_leak, assert_perceive_is_own

import abm
from abm.models.opinion_network import OpinionNetwork, OpinionScenario

SCENARIO = OpinionScenario(n_citizens=60, n_asked=12, duration=4.0, mean_degree=8.0)


def build(policies):
    seeds = abm.Seeds(3, 3, 3)
    return OpinionNetwork(SCENARIO, seeds=seeds, policies=policies, failures="skip")


def test_no_private_text_of_a_citizen_enters_anothers_prompt():
    seen = assert_no_leak(build, roles=["citizen"], until=4.0)
    assert seen.requests >= 12 * 4
    assert seen.own > 0


def test_what_a_citizen_perceives_does_not_depend_on_others_minds():
    model = build(None)
    model.run_until(2.0)
    assert_perceive_is_own(model)
