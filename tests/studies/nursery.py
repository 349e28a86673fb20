"""Starts executions of one study that die when told to: warm, and forking before any thread.

Reads a line of JSON per execution (`out`, `asked`, `death`) and answers with how the child ended.
`asked` is a file that gets the key of every request that reaches the model, one per line. `death`:

- ``["seconds", s]``: killed from outside after s seconds;
- ``["row", n]``: kills itself inside a transaction, before the n-th row is written;
- ``["commit", n]``: kills itself right after the n-th batch was committed;
- ``["publish", n]``: kills itself before the n-th finished run is put in its place;
- ``["gather"]``: kills itself before the tables of the study are written;
- ``None``: lives.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import llama_cpp  # noqa: F401  imported here once, used in the children
import toy_model

import abm.studies.execute
import abm.studies.gather
from abm.ledger import Ledger
from abm.policies.llm import LLMPolicy
from abm.studies import Study
from abm.studies.answering import Answering


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def nth(owner, name, number, *, after=False):
    """Have the number-th call of a function be the last thing that happens."""
    original, calls = getattr(owner, name), [0]

    def counted(*args, **given):
        calls[0] += 1
        if calls[0] == number and not after:
            die()
        result = original(*args, **given)
        if calls[0] == number:
            die()
        return result

    setattr(owner, name, counted)


def doom(death):
    kind, *number = death or ["never"]
    if kind == "row":
        nth(Ledger, "_row", number[0])
    if kind == "commit":
        nth(Ledger, "put_batch", number[0], after=True)
    if kind == "publish":
        nth(abm.studies.execute, "publish", number[0])
    if kind == "gather":
        nth(abm.studies.execute, "gather", 1)


def note_requests(path):
    """Write down every request that reaches a language model, before it is answered."""
    original = LLMPolicy.answer

    def noted(self, requests):
        with open(path, "a", encoding="utf-8") as log:
            log.writelines(request.key + "\n" for request in requests)
        return original(self, requests)

    LLMPolicy.answer = noted


def note_start(path):
    """Say when models are loaded, so that a kill from outside falls into the execution."""
    original = Answering.__enter__

    def entered(self):
        with open(f"{path}.started", "w", encoding="utf-8"):
            return original(self)

    Answering.__enter__ = entered


def study(model_file):
    return Study(
        "town",
        toy_model.TownModel,
        scenario={"duration": 3.0, "n_citizens": 4},
        arms={"base": {}, "open": {"tone": "shrill"}},
        answerers={"model": {"backend": model_file, "n_threads": 1, "coverage_floor": 0.0}},
        failures=toy_model.SKIP,
        replications=2,
        agents=True,
    )


def live(order, model_file):
    note_requests(order["asked"])
    note_start(order["asked"])
    doom(order["death"])
    study(model_file).run(order["out"])
    os._exit(0)


def wait_for(child, order):
    """Kill the child when its time has come; returns its exit status."""
    kind, *number = order["death"] or ["never"]
    if kind == "seconds":
        started = f"{order['asked']}.started"
        while not os.path.exists(started) and os.waitpid(child, os.WNOHANG)[0] == 0:
            time.sleep(0.005)
        time.sleep(number[0])
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def main(model_file):
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                live(order, model_file)
            finally:
                os._exit(1)
        status = wait_for(child, order)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
