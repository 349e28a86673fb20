"""Targets: what the data say, how sure they are, and how the answer of a simulator is compared.

A target is a scalar, a time series, a distribution over ordered or unordered categories, or a
cross-table. Its value comes with a sampling error and a weight. Targets that are `held_out` are
for scoring: a fit gets neither their values nor what a simulation says about them.

A simulator answers with a mapping from the names of targets to numbers or arrays; `Targets` lays
them out as one vector of *statistics*, in the order of the targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import floats, real
from abm.errors import CalibrationError, require

__all__ = ["Kind", "Target", "Targets", "cross_table", "distribution", "scalar", "series"]

Floats = NDArray[np.float64]
_ROUNDING = 0.005
"""How far a share may be off by rounding; shares are then divided by their sum."""
_NOT_SHARES = 0.01
"""How far the sum of a simulator's shares may be from 1."""
Kind = Literal["scalar", "series", "distribution", "cross_table"]


@dataclass(frozen=True)
class Target:
    """One quantity of the data. Made by `scalar`, `series`, `distribution` and `cross_table`.

    Attributes
    ----------
    name
        The key in a simulator's answer.
    value
        Array of the data, of any shape; a scalar has shape ().
    covariance
        Sampling covariance of the flattened value, shape (m, m); zeros where it is taken as exact.
    weight
        Factor of this target in a distance, > 0.
    kind
        What the numbers are; a distribution and a cross-table hold shares that add up to 1.
    positions
        Places of the categories, for distances that know an order: shape (K,); `None` where
        categories have no order.
    held_out
        Whether only scores may see it.
    """

    name: str
    value: Floats
    covariance: Floats
    weight: float = 1.0
    kind: Kind = "scalar"
    positions: Floats | None = None
    held_out: bool = False

    def __post_init__(self) -> None:
        require(
            isinstance(self.name, str) and bool(self.name),
            CalibrationError,
            f"target {self.name!r}: expected a text as its name, the key of a simulator's answer",
        )
        value = floats(self.value, f"target {self.name!r}", argument=self.name)
        require(
            bool(np.isfinite(value).all()) and value.size > 0,
            CalibrationError,
            f"target {self.name!r} = {value.tolist()}, expected finite numbers",
            argument=self.name,
        )
        require(
            np.shape(self.covariance) == (value.size, value.size),
            CalibrationError,
            f"target {self.name!r} = {value.tolist()} with a sampling covariance of shape "
            f"{np.shape(self.covariance)}, expected one number for a scalar; use series for more",
            argument=self.name,
        )
        require(
            isinstance(self.held_out, bool),
            CalibrationError,
            f"target {self.name!r}: held_out = {self.held_out!r}, expected true or false",
            argument=self.name,
        )
        require(
            real(self.weight, f"target {self.name!r}: weight", argument=self.name) > 0,
            CalibrationError,
            f"target {self.name!r}: weight = {self.weight}, expected > 0; leave out a target "
            "that should not count",
            argument=self.name,
            value=self.weight,
        )
        object.__setattr__(self, "value", value)

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(self.value.size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what a simulator answers."""
        return self.value.shape

    @property
    def standard_error(self) -> Floats:
        """Standard error of each number, flattened, shape (size,)."""
        return np.sqrt(np.diag(self.covariance))


def scalar(
    name: str,
    value: float,
    standard_error: float = 0.0,
    *,
    weight: float = 1.0,
    held_out: bool = False,
) -> Target:
    """One number.

    Examples
    --------
    >>> scalar("mean", 0.3, 0.01).standard_error.tolist()
    [0.01]
    """
    covariance = _covariance(name, standard_error, 1)
    return Target(
        name,
        floats(value, f"target {name!r}", argument=name),
        covariance,
        weight,
        "scalar",
        None,
        held_out,
    )


def series(
    name: str,
    values: ArrayLike,
    standard_error: ArrayLike = 0.0,
    *,
    weight: float = 1.0,
    held_out: bool = False,
) -> Target:
    """Numbers in order of time, shape (T,).

    Parameters
    ----------
    standard_error
        One for all, one each (independent errors), or a covariance of shape (T, T).
    """
    value = floats(values, f"target {name!r}", argument=name)
    require(
        value.ndim == 1,
        CalibrationError,
        f"target {name!r}: values of shape {value.shape}, expected (T,): a list of numbers",
        argument=name,
    )
    covariance = _covariance(name, standard_error, value.size)
    return Target(name, value, covariance, weight, "series", None, held_out)


def distribution(
    name: str,
    counts: ArrayLike,
    *,
    positions: ArrayLike | None = None,
    n: float | None = None,
    weight: float = 1.0,
    held_out: bool = False,
) -> Target:
    """Shares of K categories, with the sampling covariance of a multinomial.

    Parameters
    ----------
    counts
        People per category, shape (K,); or shares that add up to 1, if `n` is given.
    positions
        Places of the categories, for distances that know an order; `None` takes 0 .. K-1.
    n
        Size of the sample; by default the sum of the counts.

    Examples
    --------
    >>> target = distribution("answer", [30, 50, 20])
    >>> target.value.tolist(), target.standard_error.round(4).tolist()
    ([0.3, 0.5, 0.2], [0.0458, 0.05, 0.04])
    """
    shares, size = _shares(name, counts, n)
    require(
        shares.ndim == 1,
        CalibrationError,
        f"target {name!r}: counts of shape {shares.shape}, expected (K,); use cross_table for more",
        argument=name,
    )
    what = f"target {name!r}: positions"
    places = floats(range(shares.size) if positions is None else positions, what, argument=name)
    growing = places.shape == shares.shape and bool((np.diff(places) > 0).all())
    require(
        growing and bool(np.isfinite(places).all()),
        CalibrationError,
        f"target {name!r}: positions = {places.tolist()}, expected {shares.size} growing numbers",
        argument=name,
    )
    covariance = (np.diag(shares) - np.outer(shares, shares)) / size
    return Target(name, shares, covariance, weight, "distribution", places, held_out)


def cross_table(
    name: str,
    counts: ArrayLike,
    *,
    n: float | None = None,
    weight: float = 1.0,
    held_out: bool = False,
) -> Target:
    """Shares of the cells of a table, shape (K, L, ...), with multinomial sampling covariance.

    Examples
    --------
    >>> cross_table("party by vote", [[10, 30], [40, 20]]).value.tolist()
    [[0.1, 0.3], [0.4, 0.2]]
    """
    shares, size = _shares(name, counts, n)
    flat = shares.ravel()
    covariance = (np.diag(flat) - np.outer(flat, flat)) / size
    return Target(name, shares, covariance, weight, "cross_table", None, held_out)


@dataclass(frozen=True)
class Targets:
    """Targets in order, as one vector of statistics.

    Examples
    --------
    >>> targets = Targets([scalar("mean", 0.3, 0.1), distribution("answer", [3, 7])])
    >>> targets.names, targets.observed.tolist()
    (('mean', 'answer'), [0.3, 0.3, 0.7])
    >>> targets.vector({"mean": 0.5, "answer": [0.4, 0.6], "more": 1}).tolist()
    [0.5, 0.4, 0.6]
    """

    targets: Sequence[Target]

    def __post_init__(self) -> None:
        given: Any = self.targets
        good = isinstance(given, (list, tuple)) and all(isinstance(t, Target) for t in given)
        require(
            good,
            CalibrationError,
            f"targets = {given!r}, expected a list of scalar(...), series(...), distribution(...) "
            "or cross_table(...)",
            argument="targets",
        )
        object.__setattr__(self, "targets", tuple(given))
        names = [target.name for target in self.targets]
        twice = sorted({name for name in names if names.count(name) > 1})
        require(
            not twice,
            CalibrationError,
            f"targets {twice} are given twice; give each a name of its own",
            argument="targets",
        )

    def __iter__(self) -> Iterator[Target]:
        return iter(self.targets)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, name: str) -> Target:
        for target in self.targets:
            if target.name == name:
                return target
        raise CalibrationError(
            f"there is no target {name!r}; there are {list(self.names)}", value=name
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(target.name for target in self.targets)

    @cached_property
    def size(self) -> int:
        """How many statistics there are, m."""
        return sum(target.size for target in self.targets)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each target lies in the vector."""
        found, start = {}, 0
        for target in self.targets:
            found[target.name] = slice(start, start + target.size)
            start += target.size
        return found

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A name for each statistic: `mean`, `answer[0]`, `table[1,0]`; shape (m,)."""
        found: list[str] = []
        for target in self.targets:
            for index in np.ndindex(target.shape):
                inner = ",".join(map(str, index))
                found.append(f"{target.name}[{inner}]" if index else target.name)
        return tuple(found)

    @cached_property
    def observed(self) -> Floats:
        """The data as one vector, shape (m,)."""
        parts = [target.value.ravel() for target in self.targets]
        return np.concatenate(parts) if parts else np.empty(0)

    @cached_property
    def covariance(self) -> Floats:
        """Sampling covariance, block by block, shape (m, m)."""
        found = np.zeros((self.size, self.size))
        for target in self.targets:
            place = self.slices[target.name]
            found[place, place] = target.covariance
        return found

    @property
    def standard_error(self) -> Floats:
        """Sampling standard errors, shape (m,)."""
        return np.sqrt(np.diag(self.covariance))

    @cached_property
    def weights(self) -> Floats:
        """Weight of each statistic, shape (m,)."""
        parts = [np.full(target.size, target.weight) for target in self.targets]
        return np.concatenate(parts) if parts else np.empty(0)

    @cached_property
    def _plan(self) -> list[tuple[str, tuple[int, ...], slice, bool]]:
        shares = ("distribution", "cross_table")
        return [(t.name, t.shape, self.slices[t.name], t.kind in shares) for t in self.targets]

    @property
    def fitted(self) -> Targets:
        """Those that a fit sees."""
        return Targets([target for target in self.targets if not target.held_out])

    @property
    def held_out(self) -> Targets:
        """Those that only scores see."""
        return Targets([target for target in self.targets if target.held_out])

    def vector(self, summaries: Mapping[str, Any], out: Floats | None = None) -> Floats:
        """The statistics of one simulation, shape (m,).

        Parameters
        ----------
        out
            Is written to and returned, where given; shape (m,).

        Raises
        ------
        CalibrationError
            A target is missing from the answer, or has another shape than the data, or shares that
            do not add up to 1 (within 0.01): counts, say.
        """
        found = np.empty(self.size) if out is None else out
        for name, shape, place, shares in self._plan:
            if name not in summaries:
                raise CalibrationError(
                    f"the simulator's answer has no {name!r}; it has {sorted(summaries)}",
                    value=name,
                )
            value = summaries[name]
            if shape == () and isinstance(value, float):
                found[place.start] = value
                continue
            array = floats(value, f"the simulator's {name!r}", value=name)
            if array.shape != shape:
                raise CalibrationError(
                    f"the simulator's {name!r} has shape {array.shape}, the data have {shape}",
                    value=name,
                )
            if shares and abs(float(array.sum()) - 1.0) > _NOT_SHARES:  # never for nan
                raise CalibrationError(
                    f"the simulator's {name!r} adds up to {array.sum():g}, expected shares that "
                    "add up to 1 like those of the data",
                    value=name,
                )
            found[place] = array.ravel()
        return found

    def mapping(self, vector: ArrayLike) -> dict[str, Floats]:
        """Inverse of `vector`: name -> array of the target's shape."""
        values = np.asarray(vector, dtype=np.float64)
        return {name: values[place].reshape(shape) for name, shape, place, _ in self._plan}

    def describe(self) -> list[dict[str, Any]]:
        """Plain values, for a ledger or a report."""
        return [
            {
                "name": t.name,
                "kind": t.kind,
                "value": t.value.tolist(),
                "standard_error": t.standard_error.tolist(),
                "weight": t.weight,
                "held_out": t.held_out,
            }
            for t in self.targets
        ]


def _covariance(name: str, error: ArrayLike, size: int) -> Floats:
    given = floats(error, f"target {name!r}: standard_error", argument=name)
    require(
        bool(np.isfinite(given).all()),
        CalibrationError,
        f"target {name!r}: standard_error = {given.tolist()}, expected finite numbers",
        argument=name,
    )
    if given.shape == (size, size) and size > 1:
        require(
            bool(np.allclose(given, given.T)) and bool(np.linalg.eigvalsh(given)[0] > -1e-10),
            CalibrationError,
            f"target {name!r}: the covariance is not symmetric and positive semidefinite",
            argument=name,
        )
        return given
    good = given.shape in ((), (size,)) and bool((given >= 0).all())
    require(
        good,
        CalibrationError,
        f"target {name!r}: standard_error of shape {given.shape}, expected one number >= 0, "
        f"{size} of them, or a covariance ({size}, {size})",
        argument=name,
    )
    return np.diag(np.broadcast_to(given, size) ** 2.0)


def _shares(name: str, counts: ArrayLike, n: float | None) -> tuple[Floats, float]:
    values = floats(counts, f"target {name!r}: counts", argument=name)
    total = float(values.sum())
    good = bool(np.isfinite(values).all()) and bool((values >= 0).all()) and total > 0
    require(
        good and values.size > 1,
        CalibrationError,
        f"target {name!r}: counts = {values.tolist()}, expected at least two numbers >= 0",
        argument=name,
    )
    off = abs(total - 1.0)
    require(
        total >= 1.0 - 1e-9 or (n is not None and off <= _ROUNDING * values.size),
        CalibrationError,
        f"target {name!r}: counts = {values.tolist()} add up to {total:g}, expected counts of "
        "people, or shares that add up to 1",
        argument=name,
    )
    require(
        n is not None or off >= 1e-9,
        CalibrationError,
        f"target {name!r}: these are shares; say of how many people with n=",
        argument=name,
    )
    require(
        n is None or real(n, f"target {name!r}: n", argument=name) > 0,
        CalibrationError,
        f"target {name!r}: n = {n}, expected > 0",
        argument=name,
    )
    return values / total, float(total if n is None else n)
