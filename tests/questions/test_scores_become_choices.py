"""From scores to a choice: corrections after the ledger, one uniform, the declared order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abm.errors import QuestionError
from abm.questions import Transform, distribution, pick

SCORES = st.lists(
    st.one_of(st.floats(-700, 700), st.just(float("-inf"))), min_size=2, max_size=9
).filter(lambda row: max(row) > float("-inf"))


@settings(max_examples=200, deadline=None)
@given(SCORES, st.floats(0, 1, exclude_max=True))
def test_a_choice_is_the_inverse_of_the_cumulative_distribution(scores, u):
    p = Transform().apply([scores])
    chosen = int(pick(p, [u])[0])
    total, expected = 0.0, None
    for option, share in enumerate(p[0]):
        total += share
        if share > 0 and expected is None and u < total:
            expected = option
    last = max(i for i, share in enumerate(p[0]) if share > 0)
    assert chosen == (last if expected is None else expected)
    assert p[0][chosen] > 0


@settings(max_examples=100, deadline=None)
@given(st.lists(SCORES.filter(lambda r: len(r) == 3), min_size=1, max_size=40))
def test_a_row_has_the_same_bits_in_any_table(rows):
    transform = Transform(0.7, (0.1, 0.0, -0.2), (1, 2, 3))
    table = transform.apply(rows)
    for row, p in zip(rows, table, strict=True):
        assert transform.apply([row])[0].tobytes() == p.tobytes()


def test_shares_of_choices_are_the_probabilities():
    """100,000 evenly spaced uniforms: shares exact to one draw."""
    p = distribution([0.3, -1.2, 0.9])
    u = (np.arange(100_000) + 0.5) / 100_000
    shares = np.bincount(pick(p, u), minlength=3) / 100_000
    assert shares == pytest.approx(p, abs=2e-5)


def test_adding_a_constant_to_the_scores_changes_nothing():
    assert distribution([1.0, 2.0, 700.0]) == pytest.approx(distribution([-699.0, -698.0, 0.0]))


def test_temperature_flattens_and_sharpens_without_changing_the_order():
    raw = [[0.0, 1.0, 2.0]]
    cold, own, hot = (Transform(t).apply(raw)[0] for t in (0.1, 1.0, 10.0))
    assert cold[2] > own[2] > hot[2] > 1 / 3
    assert own == pytest.approx(distribution(raw[0]))


def test_option_bias_takes_off_what_an_empty_prompt_gives():
    prior = (np.log(0.8), np.log(0.1), np.log(0.1))
    corrected = Transform(option_bias=prior).apply([np.log([0.8, 0.15, 0.05])])[0]
    assert corrected == pytest.approx(np.array([1.0, 1.5, 0.5]) / 3.0)


def test_length_correction_takes_the_mean_per_token():
    scores = [[-1.0 * 2, -1.0 * 5, -2.0 * 3]]
    lengths = (2, 5, 3)
    assert Transform(option_lengths=lengths).apply(scores)[0] == pytest.approx(
        distribution([-1.0, -1.0, -2.0])
    )
    none = Transform(option_lengths=lengths, length_exponent=0.0).apply(scores)
    assert none.tolist() == Transform().apply(scores).tolist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": 0.0}, "temperature = 0.0"),
        ({"temperature": float("nan")}, "temperature = nan"),
        ({"option_bias": (1.0, float("inf"))}, "option_bias"),
        ({"option_lengths": (1.0, 0.0)}, "option_lengths"),
        ({"length_exponent": -1.0}, "length_exponent = -1.0"),
    ],
)
def test_corrections_outside_their_range_are_refused(values, message):
    with pytest.raises(QuestionError, match=message):
        Transform(**values)


@pytest.mark.parametrize("name", ["option_bias", "option_lengths"])
@pytest.mark.parametrize("n", [1, 3])
def test_corrections_for_another_menu_are_refused(name, n):
    with pytest.raises(QuestionError, match=f"{name} has {n} values, and the question has 2"):
        Transform(**{name: (1.0,) * n}).apply([[0.0, 1.0]])
