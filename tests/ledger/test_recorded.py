"""Asked once, committed before it is seen, failures to the run that met them, replay to the bit."""

import subprocess
import sys

import polars as pl
import pytest

from abm.errors import DecisionFailed, LedgerError, PolicyError, ReplayMiss
from abm.ledger import (
    Asked,
    Entry,
    Ledger,
    Recorded,
    Replayed,
    RunRecorder,
    answer_key,
    export_run,
    read_table,
    write_tables,
)
from abm.ledger.recorded import Remembered
from abm.policies import Answerer, ByQuestion, FailureHandling, LLMPolicy, RulePolicy, Ticket
from abm.questions import Answer, Question, Status, TextConstraint

BAN = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
POST = Question("post", 1, "Age {age}. Write.", text=TextConstraint(40))


class Model:
    """Counts what it is asked; `script` maps an age to what happens each time it is asked."""

    recorded = True

    def __init__(self, script=None, *, coverage=0.9, fingerprint="model", floor=0.05):
        self.script = {age: list(answers) for age, answers in (script or {}).items()}
        self.coverage, self.fingerprint, self.coverage_floor = coverage, fingerprint, floor
        self.asked = []

    def answer(self, requests):
        self.asked.append([request["age"] for request in requests])
        return [self.one(request) for request in requests]

    def one(self, request):
        script = self.script.get(request["age"], [])
        if script and (told := script.pop(0)) is not None:
            return told
        if request.seed is not None:
            return Answer(text=f"{request['age']}:{request.seed}:{request.attempt}", tokens_in=5)
        return Answer(scores=(-request["age"] / 7, -1.0), coverage=self.coverage, tokens_in=5)


TIMEOUT = Answer.failed(Status.TIMEOUT, "no answer in 30 s")


def ages(*values):
    return [BAN.request({"age": age}) for age in values]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_equal_requests_are_asked_once_across_runs_and_processes(tmp_path):
    model = Model()
    with Ledger(tmp_path / "l.sqlite") as ledger:
        policy = Recorded(model, ledger)
        first = policy.answer(ages(1, 2, 1, 1))
        assert policy.answer(ages(2, 3)) == [first[1], *policy.answer(ages(3))]
        assert model.asked == [[1, 2], [3]]
        counts = policy.counts
        assert (counts.asked, counts.distinct, counts.inferred, counts.saved) == (7, 3, 3, 4)
        assert (counts.tokens_in, counts.inferred_tokens_in) == (35, 15)
        assert (counts.batches, counts.largest_batch) == (2, 2)
    again = Model()
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert Recorded(again, ledger).answer(ages(1, 2)) == first[:2]
    assert again.asked == []


def test_what_is_no_longer_remembered_is_read_from_the_file(ledger):
    policy = Recorded(Model({3: [TIMEOUT]}), ledger)
    policy._memory = Remembered(most=2)
    run = RunRecorder(policy, "run")
    first = run.answer(ages(*range(30)))
    again = run.answer(ages(*reversed(range(30))))
    assert again[::-1][:3] == first[:3]
    assert again[::-1][4:] == first[4:]
    assert [first[3].status, again[26].status] == ["timeout", "ok"]
    assert policy.inner.asked == [list(range(30)), [3]]
    assert (run.counts.asked, run.counts.distinct, len(run.entries)) == (60, 30, 30)
    assert (policy.counts.failures, policy.counts.distinct) == ({"timeout": 1}, 30)


def test_notional_costs_do_not_depend_on_what_the_ledger_held(ledger):
    cold, warm = Recorded(Model(), ledger), Recorded(Model(), ledger)
    cold.answer(ages(1, 2))
    warm.answer(ages(1, 2))
    assert cold.counts.tokens_in == warm.counts.tokens_in == 10
    assert (cold.counts.inferred_tokens_in, warm.counts.inferred_tokens_in) == (10, 0)


def test_an_answer_is_on_disk_before_it_is_seen(tmp_path, monkeypatch):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        policy = Recorded(Model(), ledger)

        def refuse(*_):
            raise LedgerError("the disk is full")

        monkeypatch.setattr(ledger, "put_batch", refuse)
        with pytest.raises(LedgerError, match="full"):
            policy.answer(ages(1))
        monkeypatch.undo()
        assert policy.answer(ages(1))[0].ok
        assert policy.counts.inferred == 1
        assert policy.inner.asked == [[1], [1]]
        assert len(ledger) == 1


@pytest.mark.parametrize(
    "answer",
    [Answer(scores=(0.0,)), Answer(scores=(0.0, float("nan"))), Answer(), Answer(text="yes")],
)
def test_what_is_no_answer_is_not_stored(ledger, answer):
    policy = Recorded(Model({1: [answer]}), ledger)
    with pytest.raises(PolicyError, match="expected 2 log-scores"):
        policy.answer(ages(1))
    assert len(ledger) == 0
    assert policy.answer(ages(1))[0].ok


def test_large_batches_are_committed_in_parts_and_answers_do_not_depend_on_it(tmp_path):
    whole, parts = Model(), Model()
    with Ledger(tmp_path / "a.sqlite") as a, Ledger(tmp_path / "b.sqlite") as b:
        requests = ages(*range(10), *range(5))
        one = Recorded(whole, a).answer(requests)
        other = Recorded(parts, b, max_batch=4).answer(requests)
    assert one == other
    assert [len(batch) for batch in whole.asked] == [10]
    assert [len(batch) for batch in parts.asked] == [4, 4, 2]


def test_two_floors_share_one_measurement(ledger):
    strict = Recorded(Model(coverage=0.1, floor=0.5), ledger)
    loose = Recorded(Model(coverage=0.1, floor=0.05), ledger)
    (failed,), (fine,) = strict.answer(ages(3)), loose.answer(ages(3))
    assert failed.status is Status.OFF_MENU
    assert "0.1, below the declared floor 0.5" in failed.detail
    assert fine.ok
    assert failed.scores == fine.scores
    assert loose.inner.asked == []
    assert ledger.get_many([answer_key("model", ages(3)[0])])[answer_key("model", ages(3)[0])].ok


def test_the_floor_of_a_language_model_is_in_no_key():
    class Backend:
        fingerprint = "m"

    floors = [LLMPolicy(Backend(), coverage_floor=floor).fingerprint for floor in (0.0, 0.9)]
    assert floors[0] == floors[1]


# Failures


def test_a_failure_without_content_is_not_shared_with_another_run(ledger):
    model = Model({1: [TIMEOUT]})
    policy = Recorded(model, ledger)
    one, two = RunRecorder(policy, "one"), RunRecorder(policy, "two")
    assert one.answer(ages(1))[0].status is Status.TIMEOUT
    assert two.answer(ages(1))[0].ok
    assert model.asked == [[1], [1]]
    assert len(ledger) == 1


def test_runs_that_ask_together_do_not_share_a_failure_either(ledger):
    model = Model({1: [TIMEOUT, TIMEOUT]})
    policy = Recorded(model, ledger)
    request = ages(1)[0]
    answers = policy.answer_asked([Asked(request, run) for run in ("a", "b", "c", "a")])
    assert [a.status for a in answers] == ["timeout", "timeout", "ok", "timeout"]
    assert model.asked == [[1], [1], [1]]


def test_a_cut_text_is_content_and_is_shared(ledger):
    cut = Answer(text="I thi", status=Status.TRUNCATED)
    model = Model({1: [cut]})
    policy = Recorded(model, ledger)
    request = POST.request({"age": 1}, seed=4)
    assert policy.answer([request]) == policy.answer([request]) == [cut]
    assert len(model.asked) == 1


def test_a_resumed_run_meets_its_failures_again_and_a_new_attempt_does_not(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        run = RunRecorder(Recorded(Model({1: [TIMEOUT]}), ledger), "run")
        before = [run.answer(ages(1))[0], run.answer(ages(1))[0]]
    with Ledger(tmp_path / "l.sqlite") as ledger:
        model = Model()
        policy = Recorded(model, ledger)
        run = RunRecorder(policy, "run")
        assert [run.answer(ages(1))[0], run.answer(ages(1))[0]] == before
        assert model.asked == []
        policy.forget_failures("run")
        assert RunRecorder(policy, "run").answer(ages(1))[0].ok
    assert [answer.status for answer in before] == ["timeout", "ok"]


# Replay


TWIN = ByQuestion(
    {
        "ban": RulePolicy(lambda fields, _: [[0.0, 0.0]] * len(fields["age"])),
        "post": RulePolicy(lambda fields: ["a rule's text"] * len(fields["age"]), returns="texts"),
    }
)


def decide(policy, requests, failures="abort"):
    answerer = Answerer({"llm": policy, "twin": TWIN}, FailureHandling(failures))
    return [answerer.answer([Ticket("llm", request)])[0] for request in requests]


@pytest.mark.parametrize("failures", ["skip", "rule twin", "retry 1 then skip", "retry 3"])
def test_a_replay_repeats_a_run_with_all_its_failures(tmp_path, failures):
    """Time-outs, an overflow, an off-menu answer and a text that fails once and is retried."""
    overflow = Answer.failed(Status.CONTEXT_OVERFLOW, "5000 tokens, 4096 fit")
    off_menu = Answer(scores=(-9.0, -9.0), coverage=0.001)
    script = {1: [TIMEOUT, TIMEOUT], 2: [TIMEOUT], 5: [TIMEOUT]}
    if failures != "retry 3":
        script |= {3: [overflow, overflow], 4: [off_menu]}
    requests = [*ages(1, 2, 1, 3, 4, 3, 2), POST.request({"age": 5}, seed=9), *ages(1)]
    with Ledger(tmp_path / "study.sqlite") as ledger:
        recorder = RunRecorder(Recorded(Model(script), ledger), "run 1")
        live = decide(recorder, requests, failures)
        export_run(tmp_path / "run.sqlite", [recorder])
    with Ledger(tmp_path / "run.sqlite", read_only=True) as ledger:
        replayed = Replayed(ledger, "model")
        assert decide(replayed, requests, failures) == live
        assert replayed.counts.to_dict() | {"inferred": 0} == recorder.counts.to_dict()
    assert {outcome.failure for outcome in live} >= {None, "timeout"}


def test_an_aborted_run_aborts_again(tmp_path):
    with Ledger(tmp_path / "study.sqlite") as ledger:
        recorder = RunRecorder(Recorded(Model({2: [TIMEOUT]}), ledger), "run 1")
        with pytest.raises(DecisionFailed, match="no answer in 30 s"):
            decide(recorder, ages(1, 2))
        export_run(tmp_path / "run.sqlite", [recorder])
    with (
        Ledger(tmp_path / "run.sqlite", read_only=True) as ledger,
        pytest.raises(DecisionFailed, match="no answer in 30 s"),
    ):
        decide(Replayed(ledger, "model"), ages(1, 2))


def test_a_missing_answer_is_named(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put_batch([Entry("model", ages(1)[0], Answer(scores=(0.0, -1.0)))])
        replayed = Replayed(ledger, "model", run="arm A, replication 3")
        with pytest.raises(ReplayMiss, match=r"'ban' version 1 .*'age': 44.*arm A, replication 3"):
            replayed.answer(ages(1, 44))
        with pytest.raises(ReplayMiss, match=r"holds answers of \['model'\] only"):
            Replayed(ledger, "another").answer(ages(1))
        with pytest.raises(ReplayMiss, match="version 2"):
            replayed.answer([Question("ban", 2, "?", ("yes", "no")).request({})])


def test_a_run_exports_no_more_than_it_used(tmp_path):
    with Ledger(tmp_path / "study.sqlite") as ledger:
        policy = Recorded(Model(), ledger)
        one, two = RunRecorder(policy, "one"), RunRecorder(policy, "two")
        one.answer(ages(1, 2))
        two.answer(ages(2, 3))
        export_run(tmp_path / "two.sqlite", [two])
    with Ledger(tmp_path / "two.sqlite", read_only=True) as ledger:
        found = sorted(entry.request["age"] for _, entry in ledger.entries())
    assert found == [2, 3]


def test_peeking_leaves_no_trace(ledger):
    model = Model()
    recorder = RunRecorder(Recorded(model, ledger), "run")
    recorder.answer(ages(1))
    before = recorder.counts.to_dict(), recorder.inner.counts.to_dict(), len(ledger)
    assert [answer.ok for answer in recorder.peek(ages(1, 2))] == [True, True]
    assert (recorder.counts.to_dict(), recorder.inner.counts.to_dict(), len(ledger)) == before
    assert model.asked == [[1], [2]]


def test_a_replay_imports_no_model(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.put_batch([Entry("model", ages(1)[0], Answer(scores=(0.0, -1.0)))])
    code = f"""
import sys
from abm.ledger import Ledger, Replayed
from abm.questions import Question
ban = Question("ban", 1, "Age {{age}}. Ban cars?", ("yes", "no"))
replayed = Replayed(Ledger({str(tmp_path / "l.sqlite")!r}, read_only=True), "model")
assert replayed.answer([ban.request({{"age": 1}})])[0].scores == (0.0, -1.0)
assert not {{"llama_cpp", "torch", "abm.llm"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_cached_answer_costs_no_query(ledger, monkeypatch):
    policy = Recorded(Model(), ledger)
    policy.answer(ages(1, 2))
    monkeypatch.setattr(ledger, "rows", lambda *_: pytest.fail("asked the disk"))
    assert len(policy.answer(ages(2, 1, 2))) == 3


def test_decisions_lie_beside_the_answers_of_a_run(tmp_path):
    table = pl.DataFrame(
        {
            "question": ["ban", "ban"],
            "time": [0, 1],
            "choice": ["yes", None],
            "share": [0.1 + 0.2, None],
            "ok": [True, False],
        }
    )
    with Ledger(tmp_path / "study.sqlite") as ledger:
        recorder = RunRecorder(Recorded(Model(), ledger), "run")
        recorder.answer(ages(1))
        export_run(
            tmp_path / "run.sqlite", [recorder], tables={"decisions": table, "none": table[:0]}
        )
        with pytest.raises(LedgerError, match="cannot be called 'answers'"):
            write_tables(ledger, {"answers": table})
        with pytest.raises(LedgerError, match=r"column 'x' of type List"):
            write_tables(ledger, {"lists": pl.DataFrame({"x": [[1]]})})
    assert read_table(tmp_path / "run.sqlite", "decisions").equals(table)
    assert read_table(tmp_path / "run.sqlite", "none").schema == table.schema
    with Ledger(tmp_path / "run.sqlite", read_only=True) as ledger:
        assert Replayed(ledger, "model").answer(ages(1))[0].ok
    with pytest.raises(LedgerError, match="no table 'others'"):
        read_table(tmp_path / "run.sqlite", "others")
