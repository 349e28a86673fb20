"""Some rows of a population, to read, write and ask together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from abm.population.population import Population
    from abm.questions import Question

__all__ = ["Rows"]


class Rows:
    """Agents of a population, by id. Reading a column gives a copy, writing it writes through.

    Examples
    --------
    >>> from abm.population import Population
    >>> people = Population(age=[30, 40, 50])
    >>> old = people.select(people.age > 35)
    >>> old["age"].tolist(), old.rows.tolist()
    ([40, 50], [1, 2])
    """

    __slots__ = ("ids", "population")

    def __init__(self, population: Population, ids: NDArray[np.int64]) -> None:
        self.population = population
        self.ids = ids

    @property
    def rows(self) -> NDArray[np.int64]:
        """Present rows; a PopulationError if somebody was removed."""
        return self.population.rows_of(self.ids)

    def __len__(self) -> int:
        return int(self.ids.size)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.population[name][self.rows]

    def __setitem__(self, name: str, values: Any) -> None:
        self.population.write_rows(self.rows, name, values)

    def frame(self, *names: str, with_keys: bool = False) -> pl.DataFrame:
        """The columns of these rows as a Polars frame."""
        return self.population.frame(*names, with_keys=with_keys)[self.rows]

    def ask(
        self,
        question: Question,
        *,
        policy: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Any:
        """Ask these agents; see `Population.ask`."""
        return self.population.ask(question, self.rows, policy=policy, fields=fields)
