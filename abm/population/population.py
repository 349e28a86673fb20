"""The population: the state of n agents as columns, with agent handles on rows.

A column is a NumPy array and is the truth; Polars frames come in and go out. An agent object is a
handle onto one row and exists only where an agent needs a life of its own. Ids are never used
again; rows move up when somebody is removed, and handles follow their id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.errors import PopulationError, RuleError, require
from abm.population.columns import Columns, fitted
from abm.population.keys import as_keys, check_distinct_keys, check_new_keys, common_length
from abm.population.microdata import check_frame
from abm.population.table import Selection, Table
from abm.population.undoing import as_before_if_it_fails
from abm.rng import agent_key, child_key

if TYPE_CHECKING:
    from abm.population.agents import RowAgent
    from abm.population.asking import Asked
    from abm.population.rows import Rows
    from abm.questions import Question

    A = TypeVar("A", bound=RowAgent)

__all__ = ["Population"]


class Population(Table):
    """The state of n agents as columns.

    Parameters
    ----------
    model
        The model that the agents live in; needed for handles and questions, and may be set later.
    n
        Number of agents; may be left out when a column or `keys` tells it.
    keys
        One key per agent, integers or texts, all different: whose chance is whose. Row numbers if
        `None`.
    **columns
        Name -> values, shape (n,) or (n, k), or one value for all.

    Attributes
    ----------
    ids : int64 array, shape (n,)
        Ascending; an id is never used again.
    keys : uint64 array, shape (n,)
        Keys as counter words of `abm.rng.uniform`; texts are hashed.

    Raises
    ------
    PopulationError
        Columns of different lengths, repeated keys, a name that is taken.

    Examples
    --------
    >>> people = Population(n=3, opinion=[0.1, 0.5, 0.9], party="none")
    >>> people.opinion[1] = 0.7
    >>> people.frame()["opinion"].to_list(), len(people)
    ([0.1, 0.7, 0.9], 3)
    """

    model: Any
    _next_id: int
    _version: int
    _agents: dict[int, Any]
    _cohorts: tuple[Any, ...]
    _bindings: dict[int, tuple[str | None, ...]]

    def __init__(
        self,
        model: Any = None,
        n: int | None = None,
        *,
        keys: ArrayLike | None = None,
        **columns: Any,
    ) -> None:
        size = common_length(n, keys, columns)
        put = object.__setattr__
        put(self, "model", model)
        put(self, "_columns", Columns(size))
        put(self, "_state", Columns(size))  # what belongs to rows but is no column of the user
        put(self, "_next_id", size)
        put(self, "_version", 0)
        put(self, "_agents", {})
        put(self, "_cohorts", ())
        put(self, "_bindings", {})  # id of a cohort -> names of the columns that it moves
        if keys is not None:
            words = as_keys(keys, size)
            check_distinct_keys(words)
            self._state.put("keys", words)
        for name, values in columns.items():
            self[name] = values

    @classmethod
    def from_frame(
        cls, frame: pl.DataFrame, key: str | None = None, model: Any = None
    ) -> Population:
        """A population with one agent per row of a Polars frame.

        Parameters
        ----------
        key
            Column of respondent ids, all different, to be the agents' keys; it stays a column too
            (unless it is called `key`, which every agent has anyway).
            `None` takes row numbers.

        Examples
        --------
        >>> frame = pl.DataFrame({"respondent": ["a", "b"], "age": [30, 40]})
        >>> Population.from_frame(frame, key="respondent").age.tolist()
        [30, 40]
        """
        check_frame("frame", frame)
        require(
            key is None or key in frame.columns,
            PopulationError,
            f"key = {key!r}, expected a column of the frame: {frame.columns}",
        )
        made = cls(model, frame.height, keys=None if key is None else frame[key].to_numpy())
        for name in frame.columns:
            if not (name == key == "key"):
                made[name] = frame[name]
        return made

    def select(self, selection: Selection = None) -> Rows:
        """Some rows, to read, write and ask together; they follow their ids.

        Examples
        --------
        >>> people = Population(age=[30, 40, 50], opinion=0.0)
        >>> people.select(pl.col("age") > 35)["opinion"] = 1.0
        >>> people.opinion.tolist()
        [0.0, 1.0, 1.0]
        """
        from abm.population.rows import Rows

        return Rows(self, self._ids_at(self.rows(selection)))

    def add(
        self,
        n: int | None = None,
        *,
        keys: ArrayLike | None = None,
        parents: Selection = None,
        **columns: Any,
    ) -> NDArray[np.int64]:
        """Add agents at the end; returns their rows.

        All or nothing: if it fails, the population, its cohorts and their ties are as they were.

        Parameters
        ----------
        n
            How many; may be left out when `keys`, `parents` or a column tells it, and is 1 if
            nothing does.
        keys
            Their keys. Without keys, those with `parents` (one row each) get the hash of the
            parent's key and birth number, and others a hash of their id.
        **columns
            A value for every column of the population.

        Raises
        ------
        PopulationError
            A column that is missing, unknown, of another length or with values that its type would
            change; keys that are there already; a cohort that cannot follow.

        Examples
        --------
        >>> people = Population(age=[30])
        >>> people.add(age=[0, 0], parents=[0, 0]).tolist(), people.age.tolist()
        ([1, 2], [30, 0, 0])
        """
        missing, unknown = set(self.columns) - set(columns), set(columns) - set(self.columns)
        require(
            not missing and not unknown,
            PopulationError,
            f"add: missing columns {sorted(missing)}, unknown columns {sorted(unknown)}; "
            "newcomers need a value in every column",
        )
        self._cohorts_follow("add")
        elders = None if parents is None else self.rows(parents)
        size = common_length(n, keys if elders is None else elders, columns, otherwise=1)
        values = {name: fitted(name, columns[name], self._columns[name], size) for name in columns}
        state = self._named_rows()
        words = self._newborn(state, elders, size) if keys is None else as_keys(keys, size)
        check_new_keys(words, state["keys"])
        ids = np.arange(self._next_id, self._next_id + size)
        hidden = {name: np.zeros(size, dtype=np.int64) for name in state}
        first = self.n
        self._exchange(
            self._columns.grown(size, values),
            state.grown(size, {**hidden, "ids": ids, "keys": words}),
            self._next_id + size,
            np.arange(first),
        )
        return np.arange(first, first + size)

    def _named_rows(self) -> Columns:
        """What belongs to rows, with ids and keys written down, before rows come, go or move."""
        state = self._state.copy()
        for name in ("ids", "keys"):
            if name not in state:
                state.put(name, self._row_numbers(name))
        return state

    def _newborn(
        self, state: Columns, parents: NDArray[np.int64] | None, size: int
    ) -> NDArray[np.uint64]:
        """Keys of the newborn; the births of their parents are counted in `state`."""
        if parents is None:
            names = range(self._next_id, self._next_id + size)
            return np.array([agent_key(f"added {i}") for i in names], dtype=np.uint64)
        births = state["births"].copy() if "births" in state else np.zeros(self.n, dtype=np.int64)
        words = []
        for row in parents.tolist():
            births[row] += 1
            words.append(child_key(int(state["keys"][row]), int(births[row])))
        state.put("births", births)
        return np.array(words, dtype=np.uint64)

    def _exchange(
        self, columns: Columns, state: Columns, next_id: int, kept: NDArray[np.int64]
    ) -> None:
        """Take other rows, and have the cohorts follow; if one cannot, nothing has changed."""
        before = (self._columns, self._state, self._next_id, self._version)
        own = [self._columns[name] for name in self._columns]
        try:
            with as_before_if_it_fails(self._cohorts, own):
                self._take((columns, state, next_id, self._version + 1))
                self._move_cohorts(kept)
        except BaseException:
            self._take(before)
            raise

    def _take(self, rows: tuple[Columns, Columns, int, int]) -> None:
        for name, value in zip(("_columns", "_state", "_next_id", "_version"), rows, strict=True):
            object.__setattr__(self, name, value)

    def next_birth(self, row: int) -> int:
        """Count a birth of the agent in this row; returns its number, from 1."""
        births = self._hidden("births")
        births[row] += 1
        return int(births[row])

    def remove(self, selection: Selection) -> NDArray[np.int64]:
        """Remove agents; returns the former rows of those who stay, in order.

        With them a network follows: `network = network.subgraph(kept)`. Handles of removed agents
        end their process and raise from then on; other handles follow their id.

        All or nothing: if it fails, the population, its cohorts and their ties are as they were.
        Only an error in a handle's own `remove`, or in a process that ends, comes too late for
        that: it is raised when all have left.

        Examples
        --------
        >>> people = Population(age=[30, 40, 50])
        >>> people.remove([1]).tolist(), people.ids.tolist()
        ([0, 2], [0, 2])
        """
        self._cohorts_follow("remove")
        rows = self.rows(selection)
        state = self._named_rows()
        gone = set(state["ids"][rows].tolist())
        stays = np.ones(self.n, dtype=bool)
        stays[rows] = False
        kept = np.flatnonzero(stays)
        self._exchange(self._columns.kept(kept), state.kept(kept), self._next_id, kept)
        leaving = [self._agents.pop(i) for i in sorted(gone & self._agents.keys())]
        if leaving:
            from abm.population.agents import leave

            leave(leaving)
        return kept

    # ------------------------------------------------------------------ agents and questions

    @overload
    def agent(self, row: int) -> RowAgent: ...
    @overload
    def agent(self, row: int, cls: type[A], *args: Any, **kwargs: Any) -> A: ...
    def agent(self, row: int, cls: Any = None, *args: Any, **kwargs: Any) -> Any:
        """The handle onto a row, made on first use; `args` and `kwargs` go to the class."""
        from abm.population.agents import handle

        return handle(self, int(row), cls, args, kwargs)

    def agents(
        self, selection: Selection = None, cls: Any = None, *args: Any, **kwargs: Any
    ) -> list[Any]:
        """Handles onto several rows."""
        return [self.agent(row, cls, *args, **kwargs) for row in self.rows(selection).tolist()]

    def asked(self, question_id: str) -> NDArray[np.int64]:
        """How often each agent was asked this question, shape (n,); shared with the handles."""
        return self._hidden(f"asked {question_id}")

    def ask(
        self,
        question: Question,
        rows: Selection = None,
        *,
        policy: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Any:
        """Ask many agents at once and return their drawn choices; see `ask_all` for the details.

        Bit-equal to asking the agents one by one in the order of `rows`. Equal requests are asked
        once.

        Parameters
        ----------
        question
            What to ask.
        rows
            Selection of different rows; all if `None`.
        policy
            Name of the answering policy; the model's assignment if `None`.
        fields
            Columnar perceive: field -> values, shape (n_rows,), or one value for all. If `None`,
            `question.perceive` is called on each row's view.

        Returns
        -------
        For a choice, the index of each chosen option, shape (n_rows,), int64; -1 where the answer
        failed and the scenario says `skip`. For a text question, a list of texts, with `Skipped`
        in the place of skipped ones.
        """
        return self.ask_all(question, rows, policy=policy, fields=fields).values

    def ask_all(
        self,
        question: Question,
        rows: Selection = None,
        *,
        policy: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Asked:
        """As `ask`, with what was skipped and how much was asked."""
        from abm.population.asking import ask_rows

        return ask_rows(self, question, self.rows(rows), policy=policy, fields=fields)

    # ------------------------------------------------------------------ cohorts

    def attach(self, cohort: Any, surface: Callable[[Any], None] | None = None) -> None:
        """Let a cohort move columns of this population in continuous time.

        Whenever a column is read or written, the cohort's events up to now are applied first, so
        that everybody sees and changes the state as of now. Read columns anew at every event: an
        array kept from earlier is not brought up to date.

        Births and deaths are followed: the columns of the cohort become those of the population as
        they then are, and so do the ties among those who stay; `cohort.change(network=...)` gives
        newcomers ties.

        Parameters
        ----------
        cohort
            Has `advance(until)` and `arrays` (the columns it moves), such as
            `abm.kernels.PairwiseCohort`. If it has `time`, that must be now: make it with
            `start=model.now`.
        surface
            Called with every event of the cohort that surfaces (`time`, `row`, `code`), when the
            clock stands at its time, first thing in the instant.

        Raises
        ------
        PopulationError
            Another cohort moves the same column (their events would be out of order), its clock is
            not at now, or there is no model, hence no clock.
        """
        require(
            self.model is not None, PopulationError, "attach: the population has no model, no clock"
        )
        begun, now = getattr(cohort, "time", self.model.now), self.model.now
        require(
            begun == now,
            PopulationError,
            f"attach: the cohort's clock is at {begun} and the model's at {now}; make the cohort "
            "with start=model.now",
        )
        for other in self._cohorts:
            shared = any(np.shares_memory(a, b) for a in other.arrays for b in cohort.arrays)
            require(
                not shared,
                PopulationError,
                "attach: two cohorts move the same column, and their events would be out of order; "
                "give one cohort both rules, or each its own column",
            )
        require(
            surface is not None or not getattr(cohort, "surfaces", False),
            PopulationError,
            "attach: the cohort's rule surfaces events, and nobody looks; pass surface=function",
        )
        names = tuple(self._column_of(array) for array in cohort.arrays)
        object.__setattr__(self, "_cohorts", (*self._cohorts, cohort))
        self._bindings[id(cohort)] = names
        self._note(cohort)
        self._watch(cohort, True)
        if surface is not None:
            self.model.env.look_ahead(cohort, surface)

    def detach(self, cohort: Any) -> None:
        """Bring a cohort up to now and let it go."""
        self.catch_up()
        rest = tuple(other for other in self._cohorts if other is not cohort)
        object.__setattr__(self, "_cohorts", rest)
        self._bindings.pop(id(cohort), None)
        self._watch(cohort, False)
        ties: Any = getattr(cohort, "network", None)
        if hasattr(ties, "unwatch") and all(getattr(o, "network", None) is not ties for o in rest):
            ties.unwatch(self.catch_up)
        self.model.env.look_ahead(cohort, None)

    def _watch(self, cohort: Any, watched: bool) -> None:
        """Tell a cohort whether it hears of everybody who may write into its columns."""
        if hasattr(cohort, "lend"):
            cohort.lend()
            cohort.watched = watched

    def _note(self, cohort: Any) -> None:
        """Have a cohort's rule in the notes of the run, and its ties wait for it to catch up."""
        from abm.kernels.notes import note_cohort
        from abm.kernels.ties import watch_ties

        note_cohort(cohort, 0, "")  # one that never acts is in the manifest too
        if hasattr(cohort, "network"):
            cohort.catch_up = self.catch_up
            watch_ties(cohort)

    def catch_up(self, written: int | None = None) -> None:
        """Apply the events of attached cohorts up to now; column access does it by itself."""
        for cohort in self._cohorts:
            ahead = self.model.env.ahead
            try:
                if ahead is None:
                    cohort.advance(self.model.now)
                else:
                    ahead.catch_up(cohort, self.model.now)
                if written != -1 and hasattr(cohort, "lend"):
                    cohort.lend(written)
            except RuleError as error:
                if 0 <= error.values.get("agent", -1) < self.n:
                    row = int(error.values["agent"])
                    error.add_note(f"row {row} is id {self._id_of(row)}, key {self._key_of(row)}")
                raise

    def _column_of(self, array: NDArray[Any]) -> str | None:
        """Name of the column that an array is; `None` if it is no column."""
        for name in self.columns:
            if self._columns[name] is array or (
                self._columns[name].shape == array.shape
                and np.shares_memory(self._columns[name], array)
            ):
                return name
        return None

    def _cohorts_follow(self, what: str) -> None:
        """Bring cohorts up to now, before rows come or go; refuse those that cannot follow."""
        for cohort in self._cohorts:
            foreign = [
                place
                for place, name in enumerate(self._bindings[id(cohort)])
                if name is None and len(cohort.arrays[place]) == self.n
            ]
            require(
                hasattr(cohort, "resize") and not foreign,
                PopulationError,
                f"{what}: a {type(cohort).__name__} is attached that cannot follow births and "
                + (f"deaths: its arrays {foreign} are no columns; " if foreign else "deaths; ")
                + "detach it first, then attach a new one made with the new columns and network",
            )
        self.catch_up()

    def _move_cohorts(self, kept: NDArray[np.int64]) -> None:
        """Give cohorts the columns as they now are; `kept` has the former rows of the first."""
        for cohort in self._cohorts:
            names = self._bindings[id(cohort)]
            cohort.resize(
                tuple(
                    array if name is None else self._columns[name]
                    for name, array in zip(names, cohort.arrays, strict=True)
                ),
                kept,
                **({"keys": self.keys} if getattr(cohort, "keyed", False) else {}),
            )
