"""The contracts catch what they are there for: broken policies and leaky models fail them."""

import dataclasses

import pytest
from policy_contract import check_policy
from visibility_contract import assert_no_leak, assert_perceive_is_own

import abm
from abm.questions import Answer, Question, TextConstraint

BAN = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
REQUESTS = [BAN.request({"age": age}) for age in range(5)]


class Broken:
    recorded, fingerprint = False, "broken"

    def __init__(self):
        self.n = 0

    def answer(self, requests):
        return [self.one(request, row, requests) for row, request in enumerate(requests)]


class ReadsTheBatch(Broken):
    def one(self, request, row, requests):
        return Answer(scores=(float(len(requests)), 0.0))


class CountsItsCalls(Broken):
    def one(self, request, row, requests):
        self.n += 1
        return Answer(scores=(float(self.n), 0.0))


class FollowsTheOrder(Broken):
    def one(self, request, row, requests):
        first = requests[0]["age"] if row == len(requests) - 1 and row > 0 else request["age"]
        return Answer(scores=(float(first), 0.0))


class LosesTheSignOfZero(Broken):
    def one(self, request, row, requests):
        return Answer(scores=(-0.0 if len(requests) > 1 else 0.0, 1.0))


@pytest.mark.parametrize("kind", Broken.__subclasses__())
def test_a_policy_whose_answers_depend_on_more_than_the_request_is_caught(kind):
    with pytest.raises(AssertionError):
        check_policy(kind(), REQUESTS)


# Visibility


@dataclasses.dataclass(frozen=True)
class Diary:
    text: str = "dear diary"


def see(me):
    return {"persona": me.persona, "said": me.heard, "mood": me.mood, "age": me.age}


MOOD = Question(
    "mood", 1, "You are {persona}, {age}.\n---\n{said}\n{mood}", ("good", "bad"), perceive=see
)
SAY = Question("say", 1, "You are {persona}.", text=TextConstraint(9), perceive=see)


class Person(abm.Agent):
    def __init__(self, model, n):
        super().__init__(model, key=f"person {n}")
        self.persona, self.age, self.mood = f"a person of type {n}", 20.0 + n, "good"
        self.diary, self.notes, self.heard = Diary(), ["quiet"], ()

    def life(self):
        while True:
            yield self.wait(1)
            self.mood = yield self.decide(MOOD)
            said = yield self.decide(SAY)
            self.model.tell(self, said)


class Honest(abm.Model):
    questions = (MOOD, SAY)

    def __init__(self, policies, kind=Person):
        super().__init__(seed=1, policies=policies, assignment="llm")
        self.people = [kind(self, n) for n in range(4)]

    def tell(self, author, said):
        for person in self.people:
            if person is not author:
                person.heard = (*person.heard, said)[-2:]


class Gossip(Honest):
    """A model that passes on what an author wrote in private."""

    def tell(self, author, said):
        super().tell(author, f"{said} ({author.diary.text})")


class ReadAloud(Honest):
    """A model that reads the author's private notes to the others."""

    def tell(self, author, said):
        for person in self.people:
            person.heard = tuple(author.notes)


PEOPLE = {}


def peep(me):
    others = [person.mood for person in PEOPLE["all"] if person.key != me.key]
    ages = [person.age for person in PEOPLE["all"] if person.key != me.key]
    return {**see(me), "said": tuple(others), "age": sum(ages)}


PEEP = Question("peep", 1, "{persona} {said} {age}", ("good", "bad"), perceive=peep)


def test_an_honest_model_passes_and_its_prompts_show_own_state():
    seen = assert_no_leak(Honest, until=3.0)
    assert seen.own == seen.requests == 4 * 3 * 2
    assert seen.planted >= 4 * 3
    model = Honest({"llm": abm.RulePolicy(lambda f, o: [[0.0, 0.0]] * f.n)})
    assert assert_perceive_is_own(model) == 8
    assert [person.age for person in model.people] == [20.0, 21.0, 22.0, 23.0]


@pytest.mark.parametrize("leaky", [Gossip, ReadAloud])
def test_a_model_that_hands_over_private_texts_is_caught(leaky):
    with pytest.raises(AssertionError, match="shows private state of the agent with key"):
        assert_no_leak(leaky, until=3.0)


def test_a_perceive_that_looks_at_others_is_caught_even_where_it_reads_numbers():
    model = Honest({"llm": abm.RulePolicy(lambda f, o: [[0.0, 0.0]] * f.n)})
    PEOPLE["all"] = model.people
    with pytest.raises(AssertionError, match=r"changes with other .* \['age', 'said'\]"):
        assert_perceive_is_own(model, [PEEP])


def test_a_check_that_saw_nothing_fails():
    class Silent(Honest):
        def __init__(self, policies):
            super().__init__(policies)
            for person in list(self.people):
                person.remove()

    with pytest.raises(AssertionError, match="nothing was tested"):
        assert_no_leak(Silent, until=3.0)
    with pytest.raises(AssertionError, match="nothing was asked"):
        assert_no_leak(Honest, until=0.5)


def test_what_is_declared_public_gets_no_token():
    class Named(Honest):
        def tell(self, author, said):
            super().tell(author, f"{author.diary.text}: {said}")

    seen = assert_no_leak(Named, until=2.0, public=["diary"])
    assert seen.requests == 16
