"""Lanes, contexts that share a batch: they change no bit of `strict`, and fail by themselves."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

from abm.errors import BackendError
from abm.llm import LlamaCpp
from abm.llm.llamacpp import contexts as contexts_module
from abm.llm.llamacpp import loaded as loaded_module
from abm.llm.llamacpp import scores as scores_module
from abm.llm.llamacpp.lanes import Portions, by_prompt, gathered, side_by_side
from abm.llm.llamacpp.layout import Layout
from abm.llm.llamacpp.prefixes import PrefixStore
from abm.llm.llamacpp.scoring import ScoreJob
from abm.questions import Prompt, Status, TextConstraint

WORDS = ["you", "are", "the", "friends", "read", "your", "post", "and", "park", "age", "topic"]
MENU = [*"1234567"]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_every_piece_of_work_is_taken_once_by_lanes_of_any_speed(n):
    """Lane 0 sleeps at its first piece until all others are taken: nobody waits for it."""
    costs = random.Random(3).choices(range(1, 50), k=40)
    work, taken, last = Portions(costs, n), [], threading.Event()

    def lane(number: int) -> None:
        while (at := work.take(number)) is not None:
            taken.append(at)
            if len(taken) == 40:
                last.set()
            if number == 0 and n > 1:
                last.wait(10)

    assert side_by_side(lane, n, work.drop) == []
    assert sorted(taken) == list(range(40))
    assert work.take(0) is None


def test_a_lane_keeps_to_its_own_portion_of_equal_cost():
    """When its own is done it takes from the end of the other."""
    costs = [90, 10, *[10] * 8, 10]
    work = Portions(costs, 2)
    assert [work.take(0), work.take(1), work.take(1)] == [0, 2, 3]
    assert [work.take(0) for _ in range(3)] == [1, 10, 9]
    work.drop()
    assert work.take(1) is None


def test_other_errors_than_those_of_a_lane_are_raised_when_all_have_ended():
    ended = []

    def lane(number: int) -> None:
        if number == 1:
            raise ZeroDivisionError
        if number == 2:
            raise BackendError("lane 2")
        ended.append(number)

    with pytest.raises(ZeroDivisionError):
        side_by_side(lane, 4, lambda: ended.append("dropped"))
    assert sorted(map(str, ended)) == ["0", "3", "dropped"]


def test_equal_prompts_and_neighbours_stay_together():
    draw = random.Random(1)
    paths = [((1, 2), tuple(draw.choices(range(3), k=3))) for _ in range(60)]
    jobs = [ScoreJob(k, path, ((7,),), []) for k, path in enumerate(paths)]
    parts = by_prompt(jobs, 3)
    assert sorted(job.index for part in parts for job in part) == list(range(60))
    found = [[job.path for job in part] for part in parts]
    assert [path for part in found for path in part] == sorted(paths)
    assert max(map(len, found)) < 40
    assert not set(found[0]) & set(found[1]) | set(found[1]) & set(found[2])
    assert len(by_prompt(jobs[:1] * 4, 3)) == 1


@pytest.mark.parametrize("n", [1, 2, 5])
def test_every_portion_is_taken_once_and_those_of_a_lane_that_fails_by_others(n):
    """Lane 0 fails at its first portion when there are others; no portion after it is lost."""
    parts, failed = [[3 * k, 3 * k + 1, 3 * k + 2] for k in range(9)], threading.Event()

    def act(lane, part):
        if n > 1 and lane == 0:
            failed.set()
            raise BackendError("lane 0")
        failed.wait(10 * (n > 1))
        return ((job, part) for job in part)

    found, errors = gathered(act, parts, n)
    lost = [part for part in parts if part[0] not in found]
    assert [len(lost), len(errors)] == ([0, 0] if n == 1 else [1, 1])
    assert found == {job: part for part in parts for job in part if part not in lost}


def test_a_copy_that_two_lanes_keep_is_counted_once():
    store = PrefixStore(10)
    store.add(((1,),), b"abcd")
    store.add(((1,),), b"abcd")
    assert (store.used, len(store)) == (4, 1)


def questions(n: int, seed: int = 5) -> list[Prompt]:
    draw = random.Random(seed)
    firsts = [" ".join(draw.choices(WORDS, k=40)) + "\n" for _ in range(3)]
    return [
        Prompt.plain(
            firsts[0], draw.choice(firsts), " ".join(draw.choices(WORDS, k=draw.randint(1, 40)))
        )
        for _ in range(n)
    ]


@pytest.fixture(scope="module", params=["F16", "Q8_0", "embedded"])
def one_lane(request, model_file):
    """A file, 24 prompts with their scores, and 12 texts, from one lane without residents."""
    file = model_file(request.param)
    prompts = questions(24)
    with LlamaCpp(file, n_threads=1, resident_bytes=0) as model:
        assert model.info["lanes"] == 1
        scores = model.score(prompts, [MENU] * 24)
        return file, prompts, scores, texts(model, prompts)


def texts(model: LlamaCpp, prompts: list[Prompt], n: int = 12):
    """A third of them of one prompt; of 1 to 12 tokens."""
    few = [prompts[max(0, k - n // 3)] for k in range(n)]
    return model.generate(few, [TextConstraint(1 + k) for k in range(n)], range(n))


@pytest.mark.llama
@pytest.mark.parametrize(("n_lanes", "resident_bytes"), [(2, 0), (2, 1 << 28), (4, 200_000)])
def test_lanes_leave_every_bit_of_strict(one_lane, n_lanes, resident_bytes):
    file, prompts, scores, written = one_lane
    with LlamaCpp(file, n_threads=n_lanes, resident_bytes=resident_bytes) as model:
        assert model.info["lanes"] == n_lanes
        assert model.score(prompts, [MENU] * 24) == scores
        assert model.score(prompts[::-1], [MENU] * 24) == scores[::-1]  # from what is resident
        assert texts(model, prompts) == written
        assert texts(model, prompts) == written
        assert {"strict 1", "text 1"} <= model._contexts.keys()
        assert model.memory()["resident"] <= resident_bytes
        counted = model.statistics()
    assert counted.tokens_evaluated <= n_lanes * counted.tree_nodes
    assert counted.requests == 2 * 24 + 2 * 12


@pytest.mark.llama
def test_lanes_are_not_in_the_fingerprint(gguf_files):
    found = set()
    for n_threads in (1, 2, 3):
        with LlamaCpp(gguf_files["F16"], n_threads=n_threads) as model:
            found.add(model.fingerprint)
    assert len(found) == 1


@pytest.mark.llama
def test_what_all_prompts_share_is_evaluated_in_one_lane(gguf_files):
    prompts = questions(24)
    counts = []
    for n_threads in (1, 2):
        with LlamaCpp(gguf_files["F16"], n_threads=n_threads) as model:
            model.score(prompts, [MENU] * 24)
            counts.append(model.statistics())
    one, two = counts
    assert two.tokens_evaluated <= one.tokens_evaluated + 2 * 45  # at most both second blocks again
    assert two.tree_nodes == one.tree_nodes


@pytest.mark.llama
@pytest.mark.parametrize(("portion", "n_threads"), [(32, 2), (4, 2), (4, 3)])
def test_lanes_of_fast_evaluate_what_all_prompts_share_once(
    gguf_files, monkeypatch, portion, n_threads
):
    """At a border between portions some tokens of an own text are evaluated twice, no beginning."""
    monkeypatch.setattr(scores_module, "PORTION", portion)
    own = ["park " * (1 + k % 3) + "age " * (k % 5) + f"{k} answer:" for k in range(60)]
    prompts = [Prompt.plain("you read your post " * 60 + "\n", text) for text in own]
    counts = []
    for n in (1, n_threads):
        with LlamaCpp(gguf_files["F16"], n_threads=n, mode="fast") as model:
            model._layout = Layout(False, 128, 4, "given")
            model.score(prompts, [MENU] * 60)
            counts.append(model.statistics())
    one, several = counts
    assert several.tree_nodes == one.tree_nodes
    assert one.tokens_evaluated <= 1.02 * one.tree_nodes
    assert 0 <= several.tokens_evaluated - one.tokens_evaluated < 200 < one.tokens_asked / 120


@pytest.mark.llama
@pytest.mark.parametrize("resident_bytes", [0, 1000, 60_000])
def test_lanes_of_fast_that_find_no_copy_evaluate_the_beginning_themselves(
    gguf_files, monkeypatch, resident_bytes
):
    monkeypatch.setattr(scores_module, "PORTION", 4)
    prompts = questions(40)
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        exact = model.score(prompts, [MENU] * 40)
    with LlamaCpp(
        gguf_files["F16"], n_threads=3, mode="fast", resident_bytes=resident_bytes
    ) as model:
        model._layout = Layout(False, 128, 4, "given")
        found = model.score(prompts, [MENU] * 40)
        assert model.memory()["resident"] <= resident_bytes
    for a, b in zip(exact, found, strict=True):
        p, q = np.exp(a.scores), np.exp(b.scores)
        assert np.abs(p / p.sum() - q / q.sum()).sum() / 2 < 2e-3


@pytest.mark.llama
@pytest.mark.parametrize("portion", [32, 4])
def test_fast_in_two_lanes_differs_from_strict_by_rounding_only(gguf_files, monkeypatch, portion):
    """The same batch has the same scores, whoever takes its portions."""
    monkeypatch.setattr(scores_module, "PORTION", portion)
    prompts = questions(40)
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        exact = model.score(prompts, [MENU] * 40)
        written = texts(model, prompts, 24)
    with LlamaCpp(gguf_files["F16"], n_threads=2, mode="fast") as model:
        model._layout = Layout(False, 128, 4, "given")
        found = model.score(prompts, [MENU] * 40)
        free = texts(model, prompts, 24)
        assert {"fast 1", "text 1"} <= model._contexts.keys()
        assert found == model.score(prompts, [MENU] * 40)
    for a, b in zip(exact, found, strict=True):
        p, q = np.exp(a.scores), np.exp(b.scores)
        assert np.abs(p / p.sum() - q / q.sum()).sum() / 2 < 2e-3
    assert sum(a.text == b.text for a, b in zip(written, free, strict=True)) >= 21


FAILURE = BackendError("llama.cpp stopped with code -3")


def failing(context, error: BaseException = FAILURE, after: int = 1) -> threading.Event:
    """Let a call of a context fail, once; the event tells when it has."""
    run, calls, failed = context.run, [], threading.Event()

    def broken(*args, **options):
        calls.append(1)
        if len(calls) == after:
            context.clear()
            failed.set()
            raise error
        run(*args, **options)

    context.run = broken
    return failed


def waiting(context, event: threading.Event) -> None:
    """Let the calls of a context wait for an event."""
    run = context.run

    def patient(*args, **options):
        event.wait(10)
        run(*args, **options)

    context.run = patient


@pytest.mark.llama
def test_a_lane_that_fails_loses_what_it_was_at_and_no_other_answer(one_lane):
    file, prompts, scores, written = one_lane
    with LlamaCpp(file, n_threads=2) as model:
        model.score(prompts, [MENU] * 24)
        texts(model, prompts)
        for kind in ("strict", "text"):
            waiting(model._contexts[kind], failing(model._contexts[f"{kind} 1"], after=3))
        found, made = model.score(prompts, [MENU] * 24), texts(model, prompts)
        assert model.score(prompts, [MENU] * 24) == scores
        assert texts(model, prompts) == written
    for answers, expected, most in ((found, scores, 2), (made, written, 2)):
        lost = [answer for answer in answers if answer.status is Status.BACKEND_ERROR]
        assert 1 <= len(lost) <= most
        assert all("code -3" in answer.detail and answer.status.transient for answer in lost)
        for answer, right in zip(answers, expected, strict=True):
            assert answer in lost or answer == right


@pytest.mark.llama
def test_a_failure_of_every_lane_is_an_error(gguf_files):
    prompts = questions(6)
    with LlamaCpp(gguf_files["F16"], n_threads=2) as model:
        expected = model.score(prompts, [MENU] * 6)
        for name in ("strict", "strict 1"):
            failing(model._contexts[name])
        with pytest.raises(BackendError, match="code -3"):
            model.score(prompts, [MENU] * 6)
        assert model.score(prompts, [MENU] * 6) == expected


@pytest.mark.llama
def test_an_interrupt_ends_all_lanes_and_leaves_nothing_behind(gguf_files):
    prompts = questions(24)
    with LlamaCpp(gguf_files["F16"], n_threads=2) as model:
        expected = model.score(prompts, [MENU] * 24)
        waiting(
            model._contexts["strict 1"], failing(model._contexts["strict"], KeyboardInterrupt())
        )
        n_threads = threading.active_count()
        with pytest.raises(KeyboardInterrupt):
            model.score(prompts, [MENU] * 24)
        assert threading.active_count() == n_threads
        assert model.score(prompts, [MENU] * 24) == expected


@pytest.mark.llama
def test_without_memory_for_another_lane_there_are_fewer(gguf_files, monkeypatch):
    prompts = questions(6)
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        expected = model.score(prompts, [MENU] * 6)
    made = []

    class Scarce(contexts_module.PathContext):
        def __init__(self, *args, **options):
            if made:
                raise BackendError("out of memory")
            made.append(self)
            super().__init__(*args, **options)

    monkeypatch.setattr(contexts_module, "PathContext", Scarce)
    with LlamaCpp(gguf_files["F16"], n_threads=4) as model:
        assert model.score(prompts, [MENU] * 6) == expected
        assert model.info["lanes"] == 1


@pytest.mark.llama
def test_the_memory_for_texts_bounds_the_lanes_together(gguf_files):
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        expected = texts(model, questions(24))
        cell = model._model.cell_bytes
    with LlamaCpp(gguf_files["F16"], n_threads=4, text_bytes=5 * 1024 * cell) as model:
        assert "rows=2" in model.fingerprint
        assert texts(model, questions(24)) == expected
        assert sum(name.startswith("text") for name in model._contexts) == 2
        assert model.memory()["cells"] <= 5 * 1024 * cell


@pytest.mark.llama
def test_one_request_alone_takes_no_second_lane(gguf_files):
    with LlamaCpp(gguf_files["F16"], n_threads=2) as model:
        model.score(questions(1), [MENU])
        assert model._contexts.keys() == {"strict"}
        assert model._contexts["strict"].n_threads == 2
        model.score(questions(2), [MENU] * 2)
        assert model._contexts["strict"].n_threads == 1


@pytest.mark.llama
def test_a_larger_model_gives_a_lane_several_texts_and_all_threads(gguf_files, monkeypatch):
    """12 texts want two lanes of eight; two requests share four threads."""
    prompts = questions(12)
    monkeypatch.setattr(loaded_module, "SMALL", 1)
    with LlamaCpp(gguf_files["F16"], n_threads=4) as model:
        scores, written = model.score(prompts, [MENU] * 12), texts(model, prompts)
        n_threads = {name: context.n_threads for name, context in model._contexts.items()}
        scoring = dict.fromkeys(("strict", "strict 1", "strict 2", "strict 3"), 1)
        assert n_threads == {**scoring, "text": 2, "text 1": 2}
        assert "rows=8" in model.fingerprint
        assert model.score(prompts[:2], [MENU] * 2) == scores[:2]
        assert [model._contexts[name].n_threads for name in ("strict", "strict 1")] == [2, 2]
    monkeypatch.setattr(loaded_module, "MEDIUM", 1)
    with LlamaCpp(gguf_files["F16"], n_threads=2) as model:
        assert (model.score(prompts, [MENU] * 12), texts(model, prompts)) == (scores, written)
        assert model._contexts.keys() == {"strict", "text"}
        assert [context.n_threads for context in model._contexts.values()] == [2, 2]


@pytest.mark.llama
def test_there_are_as_many_lanes_as_have_cells_within_the_memory(gguf_files):
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        cell = model._model.cell_bytes
    for n_texts, n_lanes in ((1, 1), (3, 2), (9, 4)):
        with LlamaCpp(gguf_files["F16"], n_threads=4, text_bytes=n_texts * 1024 * cell) as model:
            assert model.info["lanes"] == n_lanes


@pytest.mark.llama
def test_closing_waits_for_the_lanes_of_another_thread(gguf_files):
    prompts, found, begun, go_on = questions(12), [], threading.Event(), threading.Event()
    with LlamaCpp(gguf_files["F16"], n_threads=2) as model:
        expected = model.score(prompts, [MENU] * 12)
        run = model._contexts["strict"].run

        def patient(*args, **options):
            begun.set()
            go_on.wait(10)
            run(*args, **options)

        model._contexts["strict"].run = patient
        asking = threading.Thread(target=lambda: found.extend(model.score(prompts, [MENU] * 12)))
        asking.start()
        assert begun.wait(10)
        closing = threading.Thread(target=model.close)
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
        go_on.set()
        for thread in (asking, closing):
            thread.join(10)
        assert found == expected
        with pytest.raises(BackendError, match="was closed"):
            model.score(prompts, [MENU] * 12)


def test_by_default_there_are_as_many_threads_as_cpus(monkeypatch):
    monkeypatch.setattr(loaded_module.os, "sched_getaffinity", lambda _: range(6), raising=False)
    assert [loaded_module.default_threads(is_small) for is_small in (True, False)] == [4, 6]
    monkeypatch.delattr(loaded_module.os, "sched_getaffinity")  # as on macOS
    monkeypatch.setattr(loaded_module.os, "cpu_count", lambda: 3)
    assert [loaded_module.default_threads(is_small) for is_small in (True, False)] == [3, 3]
