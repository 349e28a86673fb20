"""Equal requests are the same request, different ones never, and bad ones are refused."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abm.errors import QuestionError
from abm.questions import Prompt, Question, Request, Template, TextConstraint, requests_of_rows

VALUES = st.one_of(
    st.text(max_size=8),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(st.text(max_size=4), max_size=3).map(tuple),
)
FIELDS = st.dictionaries(st.sampled_from(["a", "b", "c", "name"]), VALUES, max_size=4)
FREE = Question("free", 1, "What now?", ("yes", "no"))


def plain(fields):
    """Fields as Python compares them, with the types that it forgets: 1, 1.0, True, -0.0."""
    return sorted((name, repr(value)) for name, value in fields.items())


@settings(max_examples=300, deadline=None)
@given(FIELDS, FIELDS)
def test_requests_are_equal_exactly_when_their_fields_are(one, other):
    a, b = FREE.request(one), FREE.request(other)
    assert (a == b) == (plain(one) == plain(other))
    assert (a.key == b.key) == (a == b)
    shuffled = dict(reversed(list(one.items())))
    assert FREE.request(shuffled) == a
    assert hash(FREE.request(shuffled)) == hash(a)


def column(values, dtype=object):
    array = np.empty(len(values), dtype=dtype)
    for row, value in enumerate(values):
        array[row] = value
    return array


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES, st.text(max_size=4)), max_size=5))
def test_requests_of_columns_are_those_of_their_rows(rows):
    names = ("b%", "a", 'quoted "name"')
    columns = {name: column([row[k] for row in rows]) for k, name in enumerate(names)}
    made = requests_of_rows(FREE, columns, len(rows))
    for request, row in zip(made, rows, strict=True):
        expected = FREE.request(dict(zip(names, row, strict=True)))
        assert (request.key, request.fields) == (expected.key, expected.fields)
        assert [type(v) for _, v in request.fields] == [type(v) for _, v in expected.fields]
        assert pickle.loads(pickle.dumps(request)) == replace(request) == expected


@pytest.mark.parametrize("dtype", ["i1", "u8", "f2", "f4", "f8", "?", "U3", "O"])
def test_columns_of_any_kind_give_plain_values(dtype):
    values = column([0, 1, 0], dtype)
    for request, value in zip(requests_of_rows(FREE, {"a": values}, 3), values, strict=True):
        assert request.key == FREE.request({"a": value}).key


def test_columns_are_refused_as_their_rows_are():
    ban = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
    with pytest.raises(QuestionError, match="field age = inf, expected a finite number"):
        requests_of_rows(ban, {"age": np.array([1.0, np.inf])}, 2)
    with pytest.raises(QuestionError, match="field age = None of type NoneType"):
        requests_of_rows(ban, {"age": column([1, None])}, 2)
    with pytest.raises(QuestionError, match=r"needs the fields \['age'\]"):
        requests_of_rows(ban, {"mood": np.array([1])}, 1)


@pytest.mark.parametrize(
    "other",
    [
        Question("free", 2, "What now?", ("yes", "no")),
        Question("free", 1, "What then?", ("yes", "no")),
        Question("free", 1, ["What", " now?"], ("yes", "no")),
        Question("free", 1, "What now?", ("no", "yes")),
        Question("other", 1, "What now?", ("yes", "no")),
        Question("free", 1, "What now?", text=TextConstraint(5)),
    ],
)
def test_whatever_can_change_an_answer_changes_the_key(other):
    assert other.request({}, seed=1).key != FREE.request({}, seed=1).key


def test_the_seed_of_a_text_is_in_its_key_and_of_a_choice_is_not():
    post = Question("post", 1, "Write.", text=TextConstraint(5))
    assert post.request({}, seed=1) != post.request({}, seed=2)
    assert replace(post.request({}, seed=1), attempt=1) != post.request({}, seed=1)
    assert FREE.request({}, seed=1) == FREE.request({})
    warmer = Question("post", 1, "Write.", text=TextConstraint(5, temperature=0.5))
    assert warmer.request({}, seed=1) != post.request({}, seed=1)


def test_how_it_is_drawn_and_perceived_is_not_in_the_key():
    twin = Question(
        "free", 1, "What now?", ("yes", "no"), draw="persistent", perceive=lambda me: {}
    )
    assert twin.request({}) == FREE.request({})


def test_numpy_values_are_the_values_they_hold():
    a = FREE.request({"n": np.int64(3), "x": np.float64(0.1), "b": np.bool_(True), "t": ["u", "v"]})
    b = FREE.request({"n": 3, "x": 0.1, "b": True, "t": ("u", "v")})
    assert a == b
    assert a["t"] == ("u", "v")


def test_a_question_travels_and_stays_the_same():
    question = Question("q", 3, "{a}\n---\n{b}", ("x", "y"), draw="persistent")
    copy = pickle.loads(pickle.dumps(question))
    assert copy.digest == question.digest
    assert copy.draw == "persistent"
    assert copy.request({"a": 1, "b": 2}) == question.request({"a": 1, "b": 2})


def test_values_are_inserted_once_and_marked_as_untrusted():
    template = Template("Goal: {goal}. {{braces}}\n---\nYou: {persona}")
    prompt = template.render({"goal": "{persona}", "persona": "<|im_end|>{goal}"})
    assert prompt.text == "Goal: {persona}. {braces}\nYou: <|im_end|>{goal}"
    assert len(prompt.blocks) == 2
    untrusted = [s.text for block in prompt.blocks for s in block if not s.trusted]
    assert untrusted == ["{persona}", "<|im_end|>{goal}"]
    assert Template("{a}").render({"a": ("one", "two")}).text == "one\ntwo"
    assert Prompt.plain("a", "b").text == "ab"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Question("", 1, "?", ("a", "b")), "needs an id"),
        (lambda: Question("q", 1, "?"), "either options or a text"),
        (lambda: Question("q", 1, "?", ("yes", "no ")), r"\['no '\] begin or end with white space"),
        (lambda: Question("q", 1, "?", ("a", "b"), TextConstraint(5)), "either options or a text"),
        (lambda: Question("q", 1, "?", ("a",)), "two or more distinct"),
        (lambda: Question("q", 1, "?", ("a", "a")), "two or more distinct"),
        (lambda: Question("q", 1, "?", ("a", "")), "two or more distinct"),
        (lambda: Question("q", 1, "?", ("a", "b"), draw="daily"), "draw = 'daily'"),
        (lambda: Question("q", 1, "{a.b}", ("a", "b")), "expected a plain name"),
        (lambda: Question("q", 1, "{a!r}", ("a", "b")), "expected a plain name"),
        (lambda: Question("q", 1, "{", ("a", "b")), "literal braces"),
        (lambda: Question("q", 1, "{age}", ("a", "b")).request({}), r"needs the fields \['age'\]"),
        (lambda: FREE.request({"x": float("nan")}), "field x = nan, expected a finite number"),
        (lambda: FREE.request({"x": None}), "field x = None of type NoneType"),
        (lambda: FREE.request({"x": {"a": 1}}), "of type dict"),
        (lambda: Question("q", 1, "?", text=TextConstraint(5)).request({}), "a seed"),
        (lambda: TextConstraint(0), "max_tokens = 0"),
        (lambda: TextConstraint(5, temperature=-1), "temperature = -1"),
        (lambda: TextConstraint(5, "{}", "root ::= x"), "keep one"),
    ],
)
def test_what_does_not_hold_together_is_refused_by_name(make, message):
    with pytest.raises(QuestionError, match=message):
        make()


def test_equal_requests_find_each_other_in_a_dictionary():
    seen = {FREE.request({"n": n % 3}): n for n in range(9)}
    assert len(seen) == 3
    assert seen[FREE.request({"n": 2})] == 8
    assert Request(FREE, (("n", 2),)) in seen
