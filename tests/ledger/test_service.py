"""One process answers for all: spawned workers get the answers they would get alone."""

import multiprocessing
import os
import signal
import threading
import time

import pytest

from abm.errors import BackendError, PolicyError
from abm.ledger import (
    AnsweringService,
    Client,
    Ledger,
    Recorded,
    RemotePolicy,
    RunRecorder,
    answer_key,
)
from abm.ledger.recorded import Asked
from abm.ledger.schema import definition_text
from abm.policies import RulePolicy
from abm.questions import Answer, Question, Status, TextConstraint

SPAWN = multiprocessing.get_context("spawn")
BAN = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"), perceive=lambda me: {"age": me})
POST = Question("post", 1, "Age {age}. Write.", text=TextConstraint(40))


class Model:
    """Answers from the request alone; some ages fail, raise, or wait for a bell."""

    recorded, fingerprint, coverage_floor = True, "model", 0.05

    def __init__(self, gate=None):
        self.gate, self.batches, self.entered = gate, [], SPAWN.Event()

    def answer(self, requests):
        self.batches.append(sorted(request["age"] for request in requests))
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(30)
        return [self.one(request) for request in requests]

    def one(self, request):
        age = request["age"]
        if age == 666:
            raise ZeroDivisionError("no such age")
        if age == 777:
            raise BackendError("the server refuses", server="here")
        if age == 13:
            return Answer.failed(Status.TIMEOUT, "30 s")
        if request.seed is not None:
            return Answer(text=f"{age}:{request.seed}")
        return Answer(scores=(-age / 7, -1 / 3), coverage=0.01 if age == 2 else 0.9, tokens_in=5)

    def as_sent(self, request):
        return f"<user>{request.prompt.text}", (1, 2, 3)


def use(connection, run, ages, results):
    """A worker: asks in batches of three, then tells what it got."""
    policies = Client(connection).policies()
    recorder = RunRecorder(policies["llm"], run)
    told = []
    try:
        for start in range(0, len(ages), 3):
            part = ages[start : start + 3]
            told += recorder.answer([BAN.request({"age": age}) for age in part])
            told += recorder.answer([POST.request({"age": age}, seed=age) for age in part])
    except Exception as error:
        results.put((run, type(error).__name__, str(error)))
        return
    results.put((run, told, len(recorder.failures)))


def start(service, *arguments):
    ours = service.connect()
    process = SPAWN.Process(target=use, args=(ours, *arguments), daemon=True)
    process.start()
    ours.close()
    return process


def alone(ages, tmp_path):
    with Ledger(tmp_path / "alone.sqlite") as ledger:
        recorder = RunRecorder(Recorded(Model(), ledger), "alone")
        told = []
        for first in range(0, len(ages), 3):
            part = ages[first : first + 3]
            told += recorder.answer([BAN.request({"age": age}) for age in part])
            told += recorder.answer([POST.request({"age": age}, seed=age) for age in part])
    return told


@pytest.mark.slow
def test_workers_get_what_they_would_get_alone(tmp_path):
    asked = {"a": [1, 2, 3, 4, 5], "b": [4, 13, 6, 1], "c": [6, 5, 2]}
    results = SPAWN.Queue()
    with Ledger(tmp_path / "l.sqlite") as ledger:
        policy = Recorded(Model(), ledger)
        with AnsweringService({"llm": policy}) as service:
            workers = [start(service, run, ages, results) for run, ages in asked.items()]
            told = {
                run: (answers, n) for run, answers, n in (results.get(timeout=60) for _ in "abc")
            }
            for worker in workers:
                worker.join(30)
            counts = service.counts()
        distinct = {age for ages in asked.values() for age in ages}
        assert len(ledger) == 2 * len(distinct) - 2
        assert ledger.runs_with_failures() == ["b"]
    for run, ages in asked.items():
        (tmp_path / run).mkdir()
        assert told[run][0] == alone(ages, tmp_path / run)
        assert told[run][1] == 2 * ages.count(13)
    counted = counts["policies"]["llm"]
    assert counted["asked"] == 24
    assert counted["inferred"] == 2 * len(distinct)
    assert counted["saved"] == 24 - 2 * len(distinct)


@pytest.mark.slow
def test_a_worker_that_dies_does_not_stop_the_others(tmp_path):
    gate, results = SPAWN.Event(), SPAWN.Queue()
    with Ledger(tmp_path / "l.sqlite") as ledger:
        model = Model(gate)
        with AnsweringService({"llm": Recorded(model, ledger)}) as service:
            doomed = start(service, "doomed", [1, 2, 3], results)
            assert model.entered.wait(30)
            os.kill(doomed.pid, signal.SIGKILL)
            doomed.join(30)
            gate.set()
            other = start(service, "other", [4, 5], results)
            assert results.get(timeout=60)[0] == "other"
            other.join(30)
            deadline = time.monotonic() + 30
            while service._connections and time.monotonic() < deadline:
                time.sleep(0.01)
            assert service._connections == []
        assert len(ledger) == 3 + 4


def test_an_exception_reaches_the_worker_that_caused_it_and_no_other(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        service = AnsweringService({"llm": Recorded(Model(), ledger)})
        clients = [Client(service.connect()) for _ in range(3)]
        service.start()
        policies = [client.policies()["llm"] for client in clients]
        with pytest.raises(BackendError, match=r"ZeroDivisionError .*no such age") as info:
            policies[0].answer([BAN.request({"age": 666})])
        assert "one(request)" in info.value.trace
        with pytest.raises(BackendError, match="the server refuses") as info:
            policies[1].answer([BAN.request({"age": 777})])
        assert info.value.server == "here"
        with pytest.raises(PolicyError, match=r"no policy 'other'; it has \['llm'\]"):
            RemotePolicy(clients[0], "other", "?").answer([BAN.request({"age": 1})])
        assert policies[2].answer([BAN.request({"age": 1})])[0].ok
        assert policies[0].answer([BAN.request({"age": 1})])[0].ok
        service.stop()
        with pytest.raises(BackendError, match=r"answering process is gone.*resume"):
            policies[0].answer([BAN.request({"age": 1})])


def test_a_guilty_request_in_a_gathered_batch_spoils_no_other_answer(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        service = AnsweringService({"llm": Recorded(Model(), ledger)})
        replies = gathered(service, [BAN.request({"age": age}) for age in (1, 666, 2)])
    assert [outcome for outcome, _ in replies] == ["ok", "error", "ok"]
    assert replies[2][1][0].status is Status.OFF_MENU


def gathered(service, requests):
    """Replies to requests that were all pending before the service began."""
    ends = [service.connect() for _ in requests]
    for end, request in zip(ends, requests, strict=True):
        definition = (request.question.digest, definition_text(request.question))
        row = (request.question.digest, request.fields, request.seed, 0, "run", 0)
        end.send(("answer", "llm", [definition], [row]))
    with service:
        return [end.recv() for end in ends]


def test_pending_requests_are_gathered_and_equal_ones_are_asked_once(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        model = Model()
        service = AnsweringService({"llm": Recorded(model, ledger)})
        replies = gathered(service, [BAN.request({"age": age}) for age in (1, 3, 1, 4)])
        assert model.batches == [[1, 3, 4]]
        assert (service.batches, service.gathered) == (1, 1)
    assert [answers[0].scores[0] for _, answers in replies] == [-1 / 7, -3 / 7, -1 / 7, -4 / 7]


def test_previews_pass_through_the_service_and_leave_no_trace(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        service = AnsweringService(
            {"llm": Recorded(Model(), ledger), "rule": RulePolicy(lambda *_: [[0.0, 1.0]])}
        )
        with service:
            policies = Client(service.connect()).policies()
            request = BAN.request({"age": 1})
            assert policies["llm"].peek([request])[0].ok
            assert policies["llm"].as_sent(request) == ("<user>Age 1. Ban cars?", (1, 2, 3))
            assert policies["rule"].as_sent(request) is None
        assert len(ledger) == 0
        assert service.counts()["policies"]["llm"]["asked"] == 0


def test_a_question_travels_without_what_its_agent_perceives(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        model = Model()
        with AnsweringService({"llm": Recorded(model, ledger)}) as service:
            (policy,) = Client(service.connect()).policies().values()
            answers = [policy.answer([BAN.request({"age": age})])[0] for age in (1, 3)]
        key = next(key for key, entry in ledger.entries() if entry.request["age"] == 3)
        assert [a.scores[0] for a in answers] == [-1 / 7, -3 / 7]
        assert key == answer_key("model", BAN.request({"age": 3}))


def test_a_service_that_stops_in_a_hurry_does_not_wait_for_a_server_that_hangs(tmp_path):
    """The deadline is an hour; nothing of the batch is recorded, and the backend may be used on."""
    pytest.importorskip("httpx", reason="needs the extra `remote`")
    from fake_server import FakeServer

    from abm.llm import OpenAICompatible
    from abm.policies import LLMPolicy

    request = Question("q", 1, "Parks?", ("yes", "no")).request({})
    with FakeServer(lambda e: None) as server, Ledger(tmp_path / "ledger.sqlite") as ledger:
        server.behaviour = server.hang
        backend = OpenAICompatible(server.url, "m", timeout=3600.0)
        service = AnsweringService({"llm": Recorded(LLMPolicy(backend), ledger)})
        service.start()
        client, told = Client(service.connect()), []

        def ask() -> None:
            try:
                client.policies()["llm"].answer_asked([Asked(request, "run")])
            except BackendError as error:
                told.append(str(error))

        worker = threading.Thread(target=ask)
        worker.start()
        for _ in range(3000):
            if not server.seen:
                time.sleep(0.01)
        service.stop(hurry=True)
        worker.join()
        assert told == ["stopped before all answers had come"]
        assert (len(ledger), ledger.failures("run")) == (0, {})
        server.behaviour = lambda e: e.tokens({"yes": 0.6, "no": 0.3})
        [again] = LLMPolicy(backend).answer([request])
    assert again.status is Status.OK
