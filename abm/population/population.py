"""The population: the state of n agents as columns, with agent handles on rows.

A column is a NumPy array and is the truth; Polars frames come in and go out. An agent object is a
handle onto one row and exists only where an agent needs a life of its own. Ids are never used
again; rows move up when somebody is removed, and handles follow their id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.errors import PopulationError, require
from abm.population.columns import Columns, as_column, is_one, to_series
from abm.rng import agent_key, child_key

if TYPE_CHECKING:
    from abm.population.agents import RowAgent
    from abm.population.asking import Asked
    from abm.population.rows import Rows
    from abm.questions import Question

    A = TypeVar("A", bound=RowAgent)

__all__ = ["Population"]

_RESERVED = {"ids", "keys", "model", "key", "unique_id", "now"}
Selection = Any  # None, a mask, row numbers, a slice, or a Polars expression


class Population:
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

    ids: NDArray[np.int64]
    keys: NDArray[np.uint64]
    model: Any
    _columns: Columns
    _state: Columns
    _next_id: int
    _version: int
    _agents: dict[int, Any]
    _cohorts: tuple[Any, ...]

    def __init__(
        self,
        model: Any = None,
        n: int | None = None,
        *,
        keys: ArrayLike | None = None,
        **columns: Any,
    ) -> None:
        size = _length(n, keys, columns)
        put = object.__setattr__
        put(self, "model", model)
        put(self, "_columns", Columns(size))
        put(self, "_state", Columns(size))  # what belongs to rows but is no column of the user
        put(self, "_next_id", size)
        put(self, "_version", 0)
        put(self, "_agents", {})
        put(self, "_cohorts", ())
        self._state.put("ids", np.arange(size, dtype=np.int64))
        words = np.arange(size, dtype=np.uint64) if keys is None else _words(keys, size)
        self._state.put("keys", words)
        self._state.put("births", np.zeros(size, dtype=np.int64))
        _check_distinct(words)
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
            Column of respondent ids, all different, to be the agents' keys; it stays a column too.
            `None` takes row numbers.

        Examples
        --------
        >>> frame = pl.DataFrame({"respondent": ["a", "b"], "age": [30, 40]})
        >>> Population.from_frame(frame, key="respondent").age.tolist()
        [30, 40]
        """
        require(
            key is None or key in frame.columns,
            PopulationError,
            f"key = {key!r}, expected a column of the frame: {frame.columns}",
        )
        made = cls(model, frame.height, keys=None if key is None else frame[key].to_numpy())
        for name in frame.columns:
            made[name] = frame[name]
        return made

    # ------------------------------------------------------------------ columns

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._columns)

    @property
    def n(self) -> int:
        """Number of agents."""
        return int(self._columns.n)

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"Population({self.n} agents, columns {list(self.columns)})"

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        require(
            name in self._columns,
            PopulationError,
            f"no column {name!r}; the population has {list(self.columns)}",
            column=name,
        )
        self.catch_up()
        return self._columns[name]

    def __setitem__(self, name: str, values: Any) -> None:
        """Fill a column in place, or add a new one."""
        if name in self._columns:
            self._fill(name, values)
            return
        require(
            name.isidentifier() and name not in _RESERVED and not hasattr(type(self), name),
            PopulationError,
            f"column name {name!r} is taken by Population or is no plain name; rename it",
            column=name,
        )
        self._columns.put(name, as_column(name, values, self.n))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in ("ids", "keys"):
            return self._state[name]
        if name in self._columns:
            self.catch_up()
            return self._columns[name]
        raise AttributeError(f"no column {name!r}; the population has {list(self.columns)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._columns:
            self._fill(name, value)
        elif name == "model":
            object.__setattr__(self, name, value)
        else:
            raise PopulationError(
                f"no column {name!r}; add one with population[{name!r}] = values. "
                f"The population has {list(self.columns)}",
                column=name,
            )

    def _fill(self, name: str, values: Any) -> None:
        self.catch_up()
        column = self._columns[name]
        given = as_column(name, values, self.n)
        try:
            np.copyto(column, given, casting="same_kind")
        except (TypeError, ValueError) as error:
            raise PopulationError(
                f"column {name!r} holds {column.dtype} of shape {column.shape} and cannot take "
                f"these values: {error}",
                column=name,
            ) from error

    def write_rows(self, rows: NDArray[np.int64], name: str, values: Any) -> None:
        """Write a column in some rows; values of a type that the column cannot hold are refused."""
        column = self[name]
        given = np.asarray(values, dtype=object if column.dtype == object else None)
        try:
            column[rows] = given.astype(column.dtype, casting="same_kind")
        except (TypeError, ValueError) as error:
            raise PopulationError(
                f"column {name!r} holds {column.dtype} and cannot take these values: {error}",
                column=name,
            ) from error

    def write(self, row: int, name: str, value: Any) -> None:
        """Write one cell; a value that the column's type would change is refused."""
        self.catch_up()
        column = self._columns[name]
        before = column[row].copy() if column.ndim > 1 else column[row]
        try:
            column[row] = value
        except (TypeError, ValueError) as error:
            raise PopulationError(
                f"column {name!r} holds {column.dtype} and cannot take {value!r}", column=name
            ) from error
        if column.dtype.kind in "iub" and not np.array_equal(column[row], value):
            column[row] = before
            raise PopulationError(
                f"column {name!r} holds {column.dtype} and would turn {value!r} into something "
                "else; make the column float when the population is made",
                column=name,
            )

    def frame(self, *names: str, with_keys: bool = False) -> pl.DataFrame:
        """The columns as a Polars frame; all, or those named. `with_keys` puts id and key first.

        Examples
        --------
        >>> Population(age=[30, 40]).frame(with_keys=True).columns
        ['id', 'key', 'age']
        """
        series = [to_series(name, self[name].copy()) for name in names or self.columns]
        if with_keys:
            series = [pl.Series("id", self.ids), pl.Series("key", self.keys), *series]
        return pl.DataFrame(series)

    # ------------------------------------------------------------------ rows

    def rows(self, selection: Selection = None) -> NDArray[np.int64]:
        """Row numbers, ascending for masks and expressions, of a selection.

        Parameters
        ----------
        selection
            `None` for all, a truth value per row, row numbers, a slice, or a Polars expression.

        Examples
        --------
        >>> Population(age=[30, 40, 50]).rows(pl.col("age") > 35).tolist()
        [1, 2]
        """
        if isinstance(selection, pl.Expr):
            selection = self.frame(*_roots(self, selection)).select(selection).to_series()
            require(
                selection.dtype == pl.Boolean and len(selection) == self.n,
                PopulationError,
                "a selecting expression must give one truth value per row",
            )
            selection = selection.fill_null(False).to_numpy()
        if selection is None:
            return np.arange(self.n)
        if isinstance(selection, slice):
            return np.arange(self.n)[selection]
        return _numbers(np.atleast_1d(np.asarray(selection)), self.n)

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

        return Rows(self, self.ids[self.rows(selection)])

    def rows_of(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Present rows of these ids.

        Raises
        ------
        PopulationError
            Somebody with one of these ids was removed or never was.
        """
        wanted = np.atleast_1d(np.asarray(ids, dtype=np.int64))
        place = np.searchsorted(self.ids, wanted)
        found = np.zeros(wanted.size, dtype=bool)
        inside = place < self.n
        found[inside] = self.ids[place[inside]] == wanted[inside]
        require(
            bool(found.all()),
            PopulationError,
            f"{int((~found).sum())} ids are not in the population (removed, or never there), "
            f"among them {wanted[~found][:5].tolist()}",
            ids=wanted[~found][:5].tolist(),
        )
        return place.astype(np.int64)

    def add(
        self,
        n: int | None = None,
        *,
        keys: ArrayLike | None = None,
        parents: Selection = None,
        **columns: Any,
    ) -> NDArray[np.int64]:
        """Add agents at the end; returns their rows.

        Parameters
        ----------
        n
            How many; may be left out when `keys`, `parents` or a column tells it.
        keys
            Their keys. Without keys, those with `parents` (one row each) get the hash of the
            parent's key and birth number, and others a hash of their id.
        **columns
            A value for every column of the population.

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
        self._free_of_cohorts("add")
        elders = None if parents is None else self.rows(parents)
        size = _length(n, keys if elders is None else elders, columns)
        words = self._newborn(elders, size) if keys is None else _words(keys, size)
        _check_distinct(np.concatenate([self.keys, words]))
        values = {name: as_column(name, columns[name], size) for name in self.columns}
        for name, column in values.items():
            require(
                np.can_cast(column.dtype, self._columns[name].dtype, "same_kind"),
                PopulationError,
                f"column {name!r} holds {self._columns[name].dtype}, newcomers bring "
                f"{column.dtype}",
            )
        first = self.n
        ids = np.arange(self._next_id, self._next_id + size)
        hidden: dict[str, Any] = {name: np.zeros(size, dtype=np.int64) for name in self._state}
        self._columns.append(size, values)
        self._state.append(size, hidden | {"ids": ids, "keys": words})
        object.__setattr__(self, "_next_id", self._next_id + size)
        object.__setattr__(self, "_version", self._version + 1)
        return np.arange(first, first + size)

    def _newborn(self, parents: NDArray[np.int64] | None, size: int) -> NDArray[np.uint64]:
        if parents is None:
            names = range(self._next_id, self._next_id + size)
            return np.array([agent_key(f"added {i}") for i in names], dtype=np.uint64)
        words = [child_key(int(self.keys[row]), self.next_birth(row)) for row in parents.tolist()]
        return np.array(words, dtype=np.uint64)

    def next_birth(self, row: int) -> int:
        """Count a birth of the agent in this row; returns its number, from 1."""
        births = self._state["births"]
        births[row] += 1
        return int(births[row])

    def remove(self, selection: Selection) -> NDArray[np.int64]:
        """Remove agents; returns the former rows of those who stay, in order.

        With them a network follows: `network = network.subgraph(kept)`. Handles of removed agents
        end their process and raise from then on; other handles follow their id.

        Examples
        --------
        >>> people = Population(age=[30, 40, 50])
        >>> people.remove([1]).tolist(), people.ids.tolist()
        ([0, 2], [0, 2])
        """
        self._free_of_cohorts("remove")
        rows = self.rows(selection)
        gone = set(self.ids[rows].tolist())
        stays = np.ones(self.n, dtype=bool)
        stays[rows] = False
        kept = np.flatnonzero(stays)
        self._columns.keep(kept)
        self._state.keep(kept)
        object.__setattr__(self, "_version", self._version + 1)
        for agent in [self._agents.pop(i) for i in sorted(gone & self._agents.keys())]:
            agent.remove()
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
        name = f"asked {question_id}"
        if name not in self._state:
            self._state.put(name, np.zeros(self.n, dtype=np.int64))
        return self._state[name]

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

    def attach(self, cohort: Any) -> None:
        """Let a cohort move columns of this population in continuous time.

        Whenever a column is read or written, the cohort's events up to now are applied first, so
        that everybody sees and changes the state as of now. Read columns anew at every event: an
        array kept from earlier is not brought up to date.

        Parameters
        ----------
        cohort
            Has `advance(until)` and `arrays`, such as `abm.kernels.PairwiseCohort`.

        Raises
        ------
        PopulationError
            Another cohort moves the same column (their events would be out of order), or there is
            no model, hence no clock.
        """
        require(
            self.model is not None, PopulationError, "attach: the population has no model, no clock"
        )
        for other in self._cohorts:
            shared = any(np.shares_memory(a, b) for a in other.arrays for b in cohort.arrays)
            require(
                not shared,
                PopulationError,
                "attach: two cohorts move the same column, and their events would be out of order; "
                "give one cohort both rules, or each its own column",
            )
        object.__setattr__(self, "_cohorts", (*self._cohorts, cohort))

    def detach(self, cohort: Any) -> None:
        """Bring a cohort up to now and let it go."""
        self.catch_up()
        rest = tuple(other for other in self._cohorts if other is not cohort)
        object.__setattr__(self, "_cohorts", rest)

    def catch_up(self) -> None:
        """Apply the events of attached cohorts up to now; column access does it by itself."""
        for cohort in self._cohorts:
            cohort.advance(self.model.now)

    def _free_of_cohorts(self, what: str) -> None:
        require(
            not self._cohorts,
            PopulationError,
            f"{what}: a cohort is attached to the rows; detach it first, then attach a new one "
            "made with the new columns and network",
        )


def _length(n: int | None, keys: Any, columns: Mapping[str, Any]) -> int:
    lengths = {name: len(values) for name, values in columns.items() if not is_one(values)}
    if keys is not None:
        lengths["keys"] = len(np.atleast_1d(np.asarray(keys, dtype=object)))
    if n is not None:
        lengths["n"] = int(n)
    require(
        len(set(lengths.values())) == 1 and min(lengths.values()) >= 0,
        PopulationError,
        f"lengths differ: {lengths}"
        if lengths
        else "give n, keys, or a column with one value per agent",
    )
    return next(iter(lengths.values()))


def _words(keys: ArrayLike | Iterable[Any], n: int) -> NDArray[np.uint64]:
    array = np.atleast_1d(np.asarray(keys))
    if array.dtype.kind == "i":
        array = array.astype(np.int64).view(np.uint64)
    elif array.dtype.kind != "u":
        names: Sequence[Any] = array.tolist()
        good = all(isinstance(name, (str, int)) for name in names)
        require(good, PopulationError, f"keys of type {array.dtype}, expected integers or texts")
        array = np.array([agent_key(name) for name in names], dtype=np.uint64)
    require(array.shape == (n,), PopulationError, f"keys has shape {array.shape}, expected ({n},)")
    return array.astype(np.uint64)


def _check_distinct(words: NDArray[np.uint64]) -> None:
    ordered = np.sort(words)
    twice = ordered[:-1][ordered[1:] == ordered[:-1]]
    require(
        twice.size == 0,
        PopulationError,
        f"keys: {twice.size} are not unique, for example {twice[:3].tolist()}; two agents with one "
        "key would share their chance. Resampled people need keys of their own: leave keys out to "
        "take row numbers",
    )


def _roots(population: Population, expression: pl.Expr) -> list[str]:
    names = [name for name in expression.meta.root_names() if name in population]
    return names or list(population.columns)


def _numbers(array: NDArray[Any], n: int) -> NDArray[np.int64]:
    if array.dtype == bool:
        require(
            array.shape == (n,),
            PopulationError,
            f"rows: a mask of shape {array.shape}, expected ({n},)",
        )
        return np.flatnonzero(array)
    require(
        array.size == 0 or array.dtype.kind in "iu",
        PopulationError,
        f"rows of type {array.dtype}, expected truth values, row numbers or a Polars expression",
    )
    numbers = array.astype(np.int64)
    outside = numbers[(numbers < 0) | (numbers >= n)]
    require(
        outside.size == 0,
        PopulationError,
        f"rows {outside[:5].tolist()} are outside 0..{n - 1}",
        rows=outside[:5].tolist(),
    )
    return numbers
