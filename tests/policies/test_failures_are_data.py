"""What becomes of a failed answer is declared, and never a behaviour in silence."""

import pytest

from abm.errors import DecisionFailed, PolicyError, ScenarioError
from abm.policies import Answerer, FailureHandling, Outcome, RulePolicy, Ticket
from abm.questions import Answer, Question, Status, TextConstraint

BAN = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
POST = Question("post", 1, "Age {age}. Write.", text=TextConstraint(40))
FAILURES = [status for status in Status if status is not Status.OK]
TRANSIENT = [Status.TIMEOUT, Status.BACKEND_ERROR]
FINE = Answer(scores=(0.0, -1.0))
TWIN = RulePolicy(lambda fields, options: [[0.0, 0.0]] * fields.n)


class Told:
    """Gives the answers that it was told, in order, and remembers what it was asked."""

    recorded, fingerprint = True, "told"

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def answer(self, requests):
        self.asked.append([(r["age"], r.seed, r.attempt) for r in requests])
        return [self.answers.pop(0) for _ in requests]


def ticket(age=1, policy="llm", question=BAN):
    return Ticket(policy, question.request({"age": age}, seed=9 if question is POST else None))


def failed(status, **values):
    return Answer.failed(status, f"it was {status}", **values)


def settle(policy, failures, *tickets, **by_status):
    answerer = Answerer({"llm": policy, "twin": TWIN}, FailureHandling(failures, by_status))
    return answerer.answer(tickets or [ticket()])


@pytest.mark.parametrize("status", FAILURES)
def test_the_default_is_to_abort_by_name(status):
    with pytest.raises(DecisionFailed, match=f"'ban': {status} from policy 'llm': it was") as info:
        settle(Told(failed(status)), "abort")
    assert info.value.status is status
    assert info.value.request == ticket().request


@pytest.mark.parametrize("status", FAILURES)
def test_a_skipped_answer_keeps_its_status(status):
    assert settle(Told(failed(status)), "skip") == [
        Outcome(failed(status), "llm", failure=status, retries=0)
    ]


@pytest.mark.parametrize("status", FAILURES)
def test_a_declared_rule_stands_in_by_name(status):
    (outcome,) = settle(Told(failed(status)), "rule twin")
    assert (outcome.policy, outcome.failure, outcome.answer.scores) == ("twin", status, (0.0, 0.0))


@pytest.mark.parametrize("status", FAILURES)
def test_only_transient_failures_are_asked_again(status):
    policy = Told(failed(status), failed(status), FINE)
    (outcome,) = settle(policy, "retry 2 then skip")
    if status in TRANSIENT:
        assert outcome == Outcome(FINE, "llm", failure=status, retries=2)
        assert policy.asked == [[(1, None, 0)]] * 3
    else:
        assert outcome == Outcome(failed(status), "llm", failure=status, retries=0)
        assert len(policy.asked) == 1


def test_retries_end_as_declared():
    lost = [failed(Status.TIMEOUT) for _ in range(3)]
    with pytest.raises(DecisionFailed, match="timeout"):
        settle(Told(*lost), "retry 2")
    assert settle(Told(*lost), "retry 2 then rule twin")[0].policy == "twin"
    assert settle(Told(*lost), "retry 2 then skip")[0].retries == 2


def test_a_text_is_retried_under_the_number_of_the_attempt():
    policy = Told(failed(Status.TIMEOUT), failed(Status.TIMEOUT), Answer(text="hello"))
    (outcome,) = settle(policy, "retry 2", ticket(question=POST))
    assert outcome.answer.text == "hello"
    assert policy.asked == [[(1, 9, 0)], [(1, 9, 1)], [(1, 9, 2)]]


def test_each_status_may_have_its_own_handling():
    policy = Told(failed(Status.OFF_MENU), failed(Status.TIMEOUT), FINE, FINE)
    outcomes = settle(
        policy, "skip", ticket(1), ticket(2), ticket(3), off_menu="rule twin", timeout="retry 1"
    )
    assert [(o.policy, o.failure) for o in outcomes] == [
        ("twin", "off_menu"),
        ("llm", "timeout"),
        ("llm", None),
    ]


def test_a_stand_in_that_fails_aborts():
    answerer = Answerer(
        {"llm": Told(failed(Status.TIMEOUT)), "second": Told(failed(Status.OFF_MENU))},
        FailureHandling("rule second"),
    )
    with pytest.raises(DecisionFailed, match="off_menu from policy 'second'"):
        answerer.answer([ticket()])


def test_one_failure_leaves_the_other_decisions_of_the_batch_alone():
    answerer = Answerer({"llm": Told(FINE, failed(Status.TIMEOUT), FINE)})
    results = answerer.settle([ticket(1), ticket(2), ticket(3)])
    assert [type(result) for result in results] == [Outcome, DecisionFailed, Outcome]


def test_equal_tickets_are_asked_once_and_other_policies_apart():
    llm, other = Told(FINE, FINE), Told(FINE)
    answerer = Answerer({"llm": llm, "other": other})
    tickets = [ticket(1), ticket(2, "other"), ticket(3), ticket(1), ticket(3)]
    outcomes = answerer.answer(tickets)
    assert llm.asked == [[(1, None, 0), (3, None, 0)]]
    assert other.asked == [[(2, None, 0)]]
    assert [outcome.policy for outcome in outcomes] == ["llm", "other", "llm", "llm", "llm"]


@pytest.mark.parametrize(
    "text", ["ignore", "retry", "retry 0", "retry x", "rule ", "skip then abort", "retry 1 then x"]
)
def test_an_unknown_handling_is_refused_before_a_run(text):
    with pytest.raises(ScenarioError, match="expected 'abort', 'skip', 'rule NAME'"):
        FailureHandling(text)
    with pytest.raises(ScenarioError, match="expected 'abort', 'skip', 'rule NAME'"):
        FailureHandling("abort", {"timeout": text})


def test_unknown_names_are_refused_before_a_run():
    with pytest.raises(ScenarioError, match="unknown status 'slow'"):
        FailureHandling("abort", {"slow": "skip"})
    with pytest.raises(PolicyError, match=r"no policy is called 'twn'; declared are \['twin'\]"):
        Answerer({"twin": TWIN}, FailureHandling("rule twn"))
    with pytest.raises(PolicyError, match="no policy is called 'llm'"):
        Answerer({"twin": TWIN}).answer([ticket()])


@pytest.mark.parametrize(
    "answer",
    [
        Answer(scores=(0.0,)),
        Answer(scores=(0.0, float("nan"))),
        Answer(scores=(float("-inf"), float("-inf"))),
        Answer(scores=(0.0, float("inf"))),
        Answer(text="yes"),
    ],
)
def test_an_answer_of_the_wrong_shape_is_no_answer(answer):
    with pytest.raises(PolicyError, match="expected 2 log-scores, none nan, one finite"):
        settle(Told(answer), "skip")


def test_a_policy_that_drops_a_request_is_stopped():
    class Lazy(Told):
        def answer(self, requests):
            return [FINE] * (len(requests) - 1)

    with pytest.raises(PolicyError, match="gave 1 answers to 2 requests"):
        settle(Lazy(), "skip", ticket(1), ticket(2))


class Down:
    """A recorded policy that is down for its first `n` batches; notes how large they were."""

    recorded, fingerprint = True, "down"

    def __init__(self, n, live=True):
        self.left, self.batches, self.live = n, [], live

    def answer(self, requests):
        self.batches.append(len(requests))
        self.left -= 1
        if self.left >= 0:
            return [Answer.failed(Status.TIMEOUT, "no answer") for _ in requests]
        return [Answer(scores=(0.0, -1.0)) for _ in requests]


def waiting(policy, failures):
    slept = []
    answerer = Answerer({"llm": policy}, failures, sleep=slept.append)
    question = Question("q", 1, "{n}", ("a", "b"))
    outcomes = answerer.settle([Ticket("llm", question.request({"n": n})) for n in range(5)])
    assert answerer.waited == sum(slept)
    return slept, outcomes


def test_retries_wait_longer_each_time_and_ask_a_batch_together():
    policy = Down(3)
    slept, outcomes = waiting(policy, FailureHandling("retry 5", wait=2.0))
    assert slept == [2.0, 4.0, 8.0]
    assert policy.batches == [5, 5, 5, 5]
    assert [outcome.retries for outcome in outcomes] == [3] * 5
    assert {outcome.failure for outcome in outcomes} == {Status.TIMEOUT}


def test_waiting_changes_no_outcome_and_a_replay_does_not_wait():
    slow = waiting(Down(2), FailureHandling("retry 2 then skip", wait=1.0))
    fast = waiting(Down(2), FailureHandling("retry 2 then skip", wait=0.0))
    read = waiting(Down(2, live=False), FailureHandling("retry 2 then skip", wait=1.0))
    assert slow[1] == fast[1] == read[1]
    assert (slow[0], fast[0], read[0]) == ([1.0, 2.0], [], [])


def test_a_wait_that_is_no_time_is_refused():
    with pytest.raises(ScenarioError, match=r"wait = -1, expected seconds >= 0"):
        FailureHandling("retry 2", wait=-1)
