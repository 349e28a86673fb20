"""Answering on demand equals answering one by one when raised, order included.

Random models (seeded) with births, deaths, interrupts, interventions, failures, `decide | timeout`
and equal, zero and different deliberations are run twice: as shipped, and with a desk that answers
each request the moment it is raised. Everything that can be observed must be the same: what
happened when to whom and in which order, what each policy was asked first, what was counted.

The policies have state (an answer depends on how many distinct requests came before), and so has
the router, so that a change of order anywhere shows. Two desks that are wrong on purpose must fail.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import simpy

import abm
from abm.engine.desk import Desk
from abm.policies.answering import FailureHandling
from abm.policies.router import Every, Novel, Router
from abm.questions import Answer, Question, Status, TextConstraint

DELIBERATIONS = {
    "zero": (0.0,),
    "equal": (0.5,),
    "different": (0.0, 0.25, 0.5, 1.0, 1.5),
}
MOVE = Question(
    "move",
    1,
    "State {state}, bias {bias}.",
    ("left", "right", "stay"),
    perceive=lambda me: {"state": me.state % 5, "bias": me.bias},
)
MOOD = Question(
    "mood",
    1,
    "Mood {state}?",
    ("good", "bad"),
    draw="persistent",
    perceive=lambda me: {"state": me.state % 3},
)
POST = Question(
    "post",
    1,
    "Post on {state}.",
    text=TextConstraint(9),
    perceive=lambda me: {"state": me.state % 2},
)


class Counting:
    """An answer depends on how many distinct requests came before: any change of order shows."""

    recorded = False

    def __init__(self, fingerprint, fails):
        self.fingerprint, self.fails = fingerprint, fails
        self.seen = {}
        self.batches = []

    def answer(self, requests):
        self.batches.append(len(requests))
        return [self._one(request) for request in requests]

    def _one(self, request):
        first = replace(request, attempt=0).key
        number = self.seen.setdefault(first, len(self.seen))
        if self.fails and number % 5 == 3 and request.attempt == 0:
            return Answer.failed(Status.TIMEOUT if number % 2 else Status.OFF_MENU, "on purpose")
        if request.question.options is None:
            return Answer(text=f"post {number}", tokens_in=number)
        options = request.question.options
        return Answer(scores=tuple(-((number * 7 + i * 3) % 5) * 1.0 for i in range(len(options))))


class Pure:
    """The stand-in for failures: an answer depends on the request alone."""

    fingerprint, recorded, seen, batches = "twin", False, (), ()

    def answer(self, requests):
        return [self._one(request) for request in requests]

    def _one(self, request):
        if request.question.options is None:
            return Answer(text="a post of the twin")
        return Answer(scores=tuple(-float(i) for i in range(len(request.question.options))))


class Actor(abm.Agent):
    """Does what its own chance says; logs everything it notices."""

    def __init__(self, model, state, key=None):
        super().__init__(model, key=key)
        self.state, self.bias = state, model.bias

    def note(self, what, value=None):
        self.model.log.append((self.model.now, self.key, what, value))

    def life(self):
        for turn in range(self.model.turns):
            self.bias = self.model.bias
            act = self.model.acts[int(self.uniform("act", turn) * len(self.model.acts))]
            try:
                yield from getattr(self, act)(turn)
            except simpy.Interrupt as interrupt:
                self.note("interrupted", interrupt.cause)
        self.note("done")

    def pick(self, turn, purpose, values):
        return values[int(self.uniform(purpose, turn) * len(values))]

    def pause(self, turn):
        yield self.wait(self.pick(turn, "pause", (0.0, 0.25, 0.5, 1.0)))
        self.note("paused")

    def choose(self, turn):
        question = self.pick(turn, "question", (MOVE, MOVE, MOOD, POST))
        choice = yield self.decide(question, self.pick(turn, "d", self.model.deliberations))
        self.state += 1 + len(str(choice))
        self.note(question.id, choice)

    def hurry(self, turn):
        decision = self.decide(MOVE, self.pick(turn, "d", self.model.deliberations))
        limit = self.model.timeout(self.pick(turn, "limit", (0.0, 0.25, 0.5, 1.0)))
        done = yield decision | limit
        won = [event.value for event in done.events if event is decision]
        self.note("hurried", (won, decision.triggered))
        self.state += 2 if decision in done else 1

    def bear_child(self, turn):
        if len(self.model.agents) < 12:
            child = self.bear(Actor, self.state + turn)
            self.note("bore", child.key)
        yield self.wait(0.25)

    def someone(self, turn):
        others = sorted((a for a in self.model.agents if a is not self), key=lambda a: str(a.key))
        return self.pick(turn, "other", others) if others else None

    def kill(self, turn):
        victim = self.someone(turn)
        if victim is not None and len(self.model.agents) > 3:
            victim.remove()
            self.note("killed", victim.key)
        yield self.wait(0.0)

    def disturb(self, turn):
        victim = self.someone(turn)
        if victim is not None and victim._life.is_alive:
            victim._life.interrupt(self.key)
        yield self.wait(self.pick(turn, "pause", (0.0, 0.5)))

    def consult(self, turn):
        self.note("asked", self.ask(self.pick(turn, "question", (MOVE, MOOD))))
        yield self.wait(0.25)


class Society(abm.Model):
    turns = 8

    def __init__(self, seed, desk):
        script = Random(seed)
        fails = script.random() < 0.5
        handling = script.choice(("skip", "rule twin", "retry 1 then skip", "abort"))
        policies = {
            "cheap": Counting("cheap", fails),
            "dear": Counting("dear", fails),
            "twin": Pure(),
        }
        router = Router("cheap", "dear", [Novel("state"), Every(2.0)], max_decisions=20)
        super().__init__(
            seed=seed,
            policies=policies,
            assignment=router,
            failures=FailureHandling(handling),
        )
        self._desk = desk(self)
        self.decisions.by_agent = True
        self.log, self.bias = [], 0
        self.deliberations = DELIBERATIONS[script.choice(sorted(DELIBERATIONS))]
        acts = ["pause", "choose", "choose", "hurry", "bear_child", "kill", "disturb", "consult"]
        self.acts = [act for act in acts if act == "choose" or script.random() < 0.75]
        planned = [
            abm.Intervention(at=1.0, change={"bias": 1}),
            abm.Intervention(at=2.5, change={"bias": 2}, assign={"cheap": "dear"}),
        ]
        self.schedule_interventions(planned[: script.randrange(3)])
        for number in range(script.randrange(2, 7)):
            Actor(self, state=number % 3, key=number)


def record(seed, desk):
    """Everything observable about a run, and the number of batches."""
    model = Society(seed, desk)
    error = None
    try:
        model.run_until(6.0)
    except abm.errors.DecisionFailed as failure:
        error = (str(failure), failure.agent_id, failure.time)
        model.desk.finish()
    observed = {
        "error": error,
        "log": [(time, key, what, repr(value)) for time, key, what, value in model.log],
        "asked": {name: list(policy.seen) for name, policy in model.policies.items()},
        "counts": model.decisions.frame().rows(),
        "by agent": sorted(model.decisions.agents_frame().rows(), key=repr),
        "agents": [(agent.key, agent.state) for agent in model.agents],
        "tickets": (model.decisions.asked, model.decisions.distinct),
        "occasions": model.desk.occasions,
        "clock": model.now,
    }
    return observed, sum(len(policy.batches) for policy in model.policies.values())


class OneByOne(Desk):
    """The slow, obvious reference: every request is answered the moment it is raised."""

    def _on_raise(self):
        self.flush()


class WhenTheFirstIsDue(Desk):
    """Wrong: answers when the first pending decision is due, so a shorter one has to wait."""

    due = -1.0

    def decide(self, agent, question, deliberation=0.0, fields=None):
        now = self.env.now
        if self.due < now:
            self.due = now + deliberation
        return super().decide(agent, question, max(deliberation, self.due - now), fields)


class DropsTheAbandoned(Desk):
    """Wrong: does not ask what nobody waits for any more."""

    def __init__(self, model):
        super().__init__(model)
        self.events = {}

    def decide(self, *args, **kwargs):
        decision = super().decide(*args, **kwargs)
        self.events[decision.raised] = decision
        return decision

    def flush(self):
        for raised in list(self._pending):
            event = self.events.get(raised)
            if event is not None and event.callbacks is not None and len(event.callbacks) == 1:
                self._pending.remove(raised)
                self._open.pop(raised)
                raised.logged = True
        super().flush()


MODELS = 800


@pytest.mark.slow
def test_answering_on_demand_equals_answering_one_by_one():
    seen, batched, single, aborted = set(), 0, 0, 0
    for seed in range(MODELS):
        on_demand, batches = record(seed, Desk)
        reference, singles = record(seed, OneByOne)
        for what, value in reference.items():
            assert on_demand[what] == value, f"seed {seed}: {what} differs"
        seen |= {entry[2] for entry in reference["log"]}
        batched, single = batched + batches, single + singles
        aborted += reference["error"] is not None
    # The comparison has something to compare: everything happened, and batches were larger.
    assert {"interrupted", "killed", "bore", "hurried", "move", "mood", "post", "asked"} <= seen
    assert batched < 0.8 * single
    assert aborted > MODELS / 40


@pytest.mark.parametrize("wrong", [WhenTheFirstIsDue, DropsTheAbandoned])
def test_a_desk_that_is_wrong_on_purpose_is_caught(wrong):
    differing = sum(record(seed, wrong)[0] != record(seed, OneByOne)[0] for seed in range(60))
    assert differing >= 15
