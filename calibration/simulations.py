"""Simulations: tasks in, records out in order, whatever ran them and whenever it was killed.

Records come in the order of the tasks at any number of workers, so a method that accepts by what
it has seen accepts by proposal and never by arrival. What is in the ledger already is read from
it. A stream may be left early; what was in flight then is kept in the ledger as speculative work,
and no method sees it.

A process that is killed loses what was not committed yet: at most 0.2 seconds of work and the
simulation that was running, and with workers what was on its way to and from them.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from itertools import count, islice
from pathlib import Path
from typing import Any, Protocol, Self

from abm.calibration.ledger import SimulationLedger
from abm.calibration.pool import WorkerPool
from abm.calibration.problem import Problem, Task
from abm.calibration.records import OK, Record, Tally
from abm.calibration.runner import Runner
from abm.errors import CalibrationError, LedgerError, require
from abm.linear_algebra import one_thread

__all__ = ["Progress", "Simulations", "Supply"]

_COMMIT_SECONDS = 0.08
"""After so long what is finished is committed."""
_TELL_SECONDS = 0.2
_BLOCK_SECONDS = 0.1
"""Short simulations are run for so long before their records are made; longer ones one by one."""
_MOST = 512


class Progress(Protocol):
    """Is told how a fit goes on. Nothing that it does changes a result."""

    def stage(self, name: str, expected: int | None) -> None:
        """A stage begins; it will use about `expected` simulations, if that is known."""
        ...

    def advance(self, tally: Tally) -> None:
        """So many simulations have been used."""
        ...


class Simulations:
    """Runs the simulations of one problem.

    Parameters
    ----------
    problem
        What is simulated.
    ledger
        File that keeps every record; `None` keeps them nowhere.
    workers
        1 runs them here, more in a pool of that many processes, which starts once.
    progress
        Is told.

    Attributes
    ----------
    used
        Tally of the records that were given out, by all fits together: a fit whose cost shall be
        its own gets Simulations of its own (a ledger makes them cheap).
    speculative
        How many records a pool made that nobody asked for in the end.

    Examples
    --------
    >>> import numpy as np
    >>> from abm.calibration import Problem, Independent, Targets, scalar, uniform
    >>> def square(parameters, seed, fidelity):
    ...     return {"y": parameters["x"] ** 2}
    >>> problem = Problem(square, Independent({"x": uniform(0, 1)}), Targets([scalar("y", 0.25)]))
    >>> with Simulations(problem) as simulations:
    ...     records = simulations.run_all(problem.tasks("grid", np.array([[0.5], [0.1]])))
    >>> [record.statistics.round(2).tolist() for record in records], simulations.used.n_runs
    ([[0.25], [0.01]], 2)
    """

    def __init__(
        self,
        problem: Problem,
        ledger: str | Path | None = None,
        *,
        workers: int = 1,
        progress: Progress | None = None,
    ) -> None:
        require(
            isinstance(workers, int) and workers >= 1,
            CalibrationError,
            f"workers = {workers!r}, expected a whole number >= 1",
            argument="workers",
            value=workers,
        )
        self.problem, self.workers, self.progress = problem, workers, progress
        self.used, self.speculative = Tally(), 0
        self._runner = Runner.of(problem)
        self._ledger = None if ledger is None else SimulationLedger(ledger, problem)
        self._known: dict[str, dict[tuple[int, str], Record]] = {}
        self._pool: WorkerPool | None = None
        self._owner: Simulations | None = None
        self._unsaved: list[Record] = []
        self._saved_at = self._told_at = time.monotonic()
        self._pace = _BLOCK_SECONDS
        self._threads = ExitStack()
        self._threads.enter_context(one_thread())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Commit what is not yet, end the workers, close the ledger."""
        self._threads.close()
        try:
            self._save()
        finally:
            if self._pool is not None:
                self._pool.stop()
                self._pool = None
            if self._ledger is not None:
                self._ledger.close()
                self._ledger = None

    def beside(self, problem: Problem, ledger: str | Path | None = None) -> Simulations:
        """Simulations of a problem that differs in data, seed or distance alone, by the same
        workers: their processes start once.

        Raises
        ------
        CalibrationError
            The simulator, the parameters, the targets' shapes or the fidelities differ.
        """
        mine, other = self.problem.identity(), problem.identity()
        differing = [k for k in mine if k != "seed" and mine[k] != other[k]]
        require(
            not differing,
            CalibrationError,
            f"the other problem differs in {differing}; give it Simulations of its own",
            argument="problem",
        )
        made = Simulations(problem, ledger, workers=self.workers, progress=self.progress)
        made._owner = self if self._owner is None else self._owner
        return made

    def stage(self, name: str, expected: int | None = None) -> None:
        """Tell the progress that a stage begins."""
        if self.progress is not None:
            self.progress.stage(name, expected)

    def run_all(self, tasks: Iterable[Task]) -> list[Record]:
        """Records of all tasks, in order."""
        if self.workers > 1:
            return list(self.run(tasks))
        try:
            return self._all_here(tasks)
        finally:
            self._save()
            self._tell()

    def supply(self, tasks: Iterable[Task]) -> Supply:
        """Records of tasks, as `run` gives them, so many at a time as are certainly needed."""
        return Supply(self, tasks)

    def run(self, tasks: Iterable[Task]) -> Generator[Record, None, None]:
        """Records in the order of the tasks, one by one as they are needed.

        The iterator may be left early; then tasks that were not reached are not run, or were run in
        vain (`speculative`).

        Raises
        ------
        CalibrationError
            A simulation failed and the problem says `abort`; or no simulation can be used.
        LedgerError
            The ledger holds another simulation at the place of a task, or the disk is full.
        """
        source = self._serial(tasks) if self.workers == 1 else self._pooled(tasks)
        try:
            for record in source:
                self._use([record])
                yield record
        finally:
            source.close()
            self._save()
            self._tell()

    # ------------------------------------------------------------------ here

    def _serial(self, tasks: Iterable[Task]) -> Generator[Record, None, None]:
        for task in tasks:
            yield from self._block([task])

    def _all_here(self, tasks: Iterable[Task]) -> list[Record]:
        """Records of all tasks, block by block; those of the last moment may not be saved yet."""
        found: list[Record] = []
        source = iter(tasks)
        waiting: list[Task] = []
        while waiting := waiting or list(islice(source, self._block_size())):
            done = self._block(waiting)
            waiting = waiting[len(done) :]
            self._use(done)
            found += done
        return found

    def _block(self, tasks: list[Task]) -> list[Record]:
        """Records of the first tasks: at least one, and what is done in `_BLOCK_SECONDS`."""
        known = [self._reused(task) for task in tasks]
        missing = [task for task, record in zip(tasks, known, strict=True) if record is None]
        answers, made = self._runner.answers(len(missing)), list[Record]()
        try:
            self._runner.ask(missing, answers, _BLOCK_SECONDS)
        finally:
            made = self._runner.records(missing, answers)
            self._keep(made)
        fresh = iter(made)
        found: list[Any] = [record or next(fresh, None) for record in known]
        return found[: found.index(None)] if None in found else found

    def _block_size(self) -> int:
        """As many tasks as the last ones let one expect in a block; one, where failures abort."""
        if self.problem.failures == "abort":
            return 1
        return max(1, min(_MOST, round(_BLOCK_SECONDS / self._pace)))

    # ------------------------------------------------------------------ in a pool

    def _pooled(self, tasks: Iterable[Task]) -> Generator[Record, None, None]:
        pool = self._workers()
        waiting: dict[int, Record] = {}
        due = 0
        numbers = count()

        def wanted() -> Iterator[tuple[int, Task]]:
            for task in tasks:
                number = next(numbers)
                record = self._reused(task)
                if record is None:
                    yield number, task
                else:
                    waiting[number] = record

        stream = pool.stream(wanted())
        try:
            for batch in stream:
                for number, record in batch:
                    waiting[number] = record
                    self._unsaved.append(record)
                self._save_now_and_then()
                while due in waiting:
                    yield waiting.pop(due)
                    due += 1
            while due in waiting:
                yield waiting.pop(due)
                due += 1
        except GeneratorExit:
            stream.close()
            self._drain()
            self.speculative += len(waiting)
            raise
        except BaseException:  # an error or Ctrl-C: what is in flight is not waited for
            pool.stop()
            raise

    def _workers(self) -> WorkerPool:
        """The pool, of the owner where there is one; workers start with the first task."""
        if self._owner is not None:
            return self._owner._workers()
        if self._pool is None:
            self._pool = WorkerPool(self._runner, self.workers)
        return self._pool

    def _drain(self) -> None:
        """Wait for what is in flight after a stream was left early, and keep it."""
        for batch in self._workers().drain():
            self._unsaved.extend(record for _, record in batch)
            self.speculative += len(batch)
        self._save()

    # ------------------------------------------------------------------ the ledger

    def _reused(self, task: Task) -> Record | None:
        if self._ledger is None:
            return None
        known = self._known.get(task.stage)
        if known is None:
            known = self._known[task.stage] = self._ledger.stage(task.stage)
        record = known.get((task.index, task.fidelity)) if known else None
        if record is None:
            return None
        require(
            record.task == task,
            LedgerError,
            f"the ledger holds another simulation at {task.stage} number {task.index} "
            f"({task.fidelity}): it ran {record.task.parameters}, seed {record.task.seed}; wanted "
            f"{task.parameters}, seed {task.seed}. The prior, the data or the options of the "
            "method have changed; give another folder, or start anew",
            outcome="another_simulation",
        )
        return record

    def _keep(self, made: list[Record]) -> None:
        if made:
            self._pace = max(sum(record.seconds for record in made) / len(made), 1e-6)
            self._unsaved += made
            self._save_now_and_then()

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved_at > _COMMIT_SECONDS:
            self._save()

    def _save(self) -> None:
        if self._ledger is not None and self._unsaved:
            self._ledger.add(self._unsaved)
        self._unsaved.clear()
        self._saved_at = time.monotonic()

    # ------------------------------------------------------------------ counting

    def _use(self, records: list[Record]) -> None:
        self.used.add_all(records)
        self.used.reused += sum(map(self._is_reused, records))
        if self.problem.failures == "abort":
            self._refuse_failures(records)
        if self.progress is not None and time.monotonic() - self._told_at > _TELL_SECONDS:
            self._tell()

    def _is_reused(self, record: Record) -> bool:
        task = record.task
        known = self._known.get(task.stage)
        return known is not None and known.get((task.index, task.fidelity)) is record

    def _refuse_failures(self, records: list[Record]) -> None:
        for record in records:
            if record.outcome != OK:
                task = record.task
                point = dict(zip(self.problem.names, task.parameters, strict=True))
                raise CalibrationError(
                    f"simulation {task.index} of {task.stage} ({task.fidelity}) at {point}, seed "
                    f"{task.seed}: {record.error}; failures = 'abort'",
                    outcome=record.outcome,
                )

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        if self.progress is not None:
            self.progress.advance(self.used)


class Supply:
    """Records of a stream of tasks, taken so many at a time as are certainly needed.

    Taken together, short simulations are run together; a pool works ahead as in `Simulations.run`.
    Leaving the block commits what is not yet, and what a pool had in flight.

    Examples
    --------
    >>> import numpy as np
    >>> from abm.calibration import Problem, Independent, Targets, scalar, uniform
    >>> def square(parameters, seed, fidelity):
    ...     return {"y": parameters["x"] ** 2}
    >>> problem = Problem(square, Independent({"x": uniform(0, 1)}), Targets([scalar("y", 0.25)]))
    >>> with Simulations(problem) as simulations:
    ...     with simulations.supply(problem.tasks("grid", np.full((9, 1), 0.5))) as supply:
    ...         taken = supply.take(2) + supply.take(1)
    >>> len(taken), simulations.used.n_runs
    (3, 3)
    """

    def __init__(self, simulations: Simulations, tasks: Iterable[Task]) -> None:
        self._simulations, self._tasks = simulations, iter(tasks)
        self._stream = simulations.run(self._tasks)

    def take(self, n: int) -> list[Record]:
        """Records of the next n tasks, or of those that are left."""
        if self._simulations.workers == 1:
            return self._simulations._all_here(islice(self._tasks, n))
        return list(islice(self._stream, n))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._simulations._save()
        self._simulations._tell()
