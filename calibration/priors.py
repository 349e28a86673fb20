"""Priors over several parameters: independent, correlated, constrained.

Arrays of parameters have shape (n, d), columns in the order of `names`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from abm.calibration.checks import floats
from abm.calibration.expressions import Expression
from abm.calibration.marginals import Marginal, marginal_of
from abm.errors import CalibrationError, require

__all__ = ["Constrained", "Correlated", "Independent", "Prior"]

Floats = NDArray[np.float64]


@runtime_checkable
class Prior(Protocol):
    """What a calibration asks of a prior. `log_density` may lack a constant (see `Constrained`)."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def marginals(self) -> tuple[Marginal, ...]: ...

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats: ...

    def log_density(self, x: ArrayLike) -> Floats: ...

    def from_unit(self, u: ArrayLike) -> Floats: ...

    def to_unit(self, x: ArrayLike) -> Floats: ...

    def describe(self) -> dict[str, Any]: ...


class _OfMarginals:
    """What all priors share; names and marginals in one mapping."""

    parameters: Mapping[str, Marginal]

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters, in the order of the columns."""
        return tuple(self.parameters)

    @property
    def marginals(self) -> tuple[Marginal, ...]:
        """Marginals, in the same order."""
        return tuple(self.parameters.values())

    @property
    def bounds(self) -> Floats:
        """Lowest and highest value of each, shape (d, 2); far quantiles where there is no end."""
        return np.array([m.bounds for m in self.marginals])

    def to_unbounded(self, x: ArrayLike) -> Floats:
        """Parameters on the whole line, by the support of each (logit, log or as they are)."""
        columns = _columns(x, len(self.parameters)).T
        moved = [m.to_unbounded(c) for m, c in zip(self.marginals, columns, strict=True)]
        return np.stack(moved, axis=1)

    def from_unbounded(self, z: ArrayLike) -> Floats:
        """Inverse of `to_unbounded`."""
        columns = _columns(z, len(self.parameters)).T
        moved = [m.from_unbounded(c) for m, c in zip(self.marginals, columns, strict=True)]
        return np.stack(moved, axis=1)


@dataclass(frozen=True)
class Independent(_OfMarginals):
    """Parameters that are independent of each other.

    Parameters
    ----------
    parameters
        Name -> marginal, or the way a file writes one.

    Examples
    --------
    >>> from abm.calibration.marginals import normal, uniform
    >>> prior = Independent({"bound": uniform(0, 1), "noise": normal(0, 2)})
    >>> prior.sample(3, rng=np.random.default_rng(1)).shape
    (3, 2)
    >>> prior.log_density([[0.5, 0.0], [1.5, 0.0]]).round(3).tolist()
    [-1.612, -inf]
    """

    parameters: Mapping[str, Marginal]

    def __post_init__(self) -> None:
        _settle(self)

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """n draws, shape (n, d). Row i uses d uniforms: the first rows do not depend on n."""
        return self.from_unit(rng.random((n, len(self.parameters))))

    def from_unit(self, u: ArrayLike) -> Floats:
        """The draws at points of the unit cube, shape (n, d)."""
        columns = _columns(u, len(self.parameters)).T
        return np.stack([m.ppf(c) for m, c in zip(self.marginals, columns, strict=True)], axis=1)

    def to_unit(self, x: ArrayLike) -> Floats:
        """Inverse of `from_unit`."""
        columns = _columns(x, len(self.parameters)).T
        return np.stack([m.cdf(c) for m, c in zip(self.marginals, columns, strict=True)], axis=1)

    def log_density(self, x: ArrayLike) -> Floats:
        """Log density, shape (n,); -inf outside the support."""
        columns = _columns(x, len(self.parameters)).T
        terms = [m.log_density(c) for m, c in zip(self.marginals, columns, strict=True)]
        return np.asarray(np.sum(terms, axis=0))

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        return {name: m.to_dict() for name, m in self.parameters.items()}


@dataclass(frozen=True)
class Correlated(_OfMarginals):
    """Any marginals joined by a Gaussian copula; with normal marginals, a multivariate normal.

    Parameters
    ----------
    parameters
        Name -> marginal.
    correlation
        Correlation of the normal scores, shape (d, d), positive definite.

    Examples
    --------
    >>> from abm.calibration.marginals import normal
    >>> prior = Correlated({"a": normal(0, 1), "b": normal(0, 2)}, [[1, 0.8], [0.8, 1]])
    >>> draws = prior.sample(20000, rng=np.random.default_rng(1))
    >>> round(float(np.corrcoef(draws.T)[0, 1]), 1)
    0.8
    """

    parameters: Mapping[str, Marginal]
    correlation: ArrayLike

    def __post_init__(self) -> None:
        _settle(self)
        matrix = floats(self.correlation, "correlation", argument="correlation")
        d = len(self.parameters)
        good = matrix.shape == (d, d) and bool(np.allclose(matrix, matrix.T))
        good = good and bool(np.allclose(np.diag(matrix), 1.0))
        good = good and bool(np.linalg.eigvalsh(matrix)[0] > 1e-10)
        require(
            good,
            CalibrationError,
            f"correlation = {matrix.tolist()}, expected a positive definite matrix of shape "
            f"({d}, {d}) with ones on the diagonal",
            argument="correlation",
        )
        object.__setattr__(self, "correlation", matrix)

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """n draws, shape (n, d)."""
        return self.from_unit(rng.random((n, len(self.parameters))))

    def from_unit(self, u: ArrayLike) -> Floats:
        """The draws at points of the unit cube, through the Cholesky factor of the scores."""
        d = len(self.parameters)
        tiny = np.finfo(np.float64).tiny
        scores = ndtri(np.clip(_columns(u, d), tiny, 1 - 2**-53))
        joined = ndtr(scores @ np.linalg.cholesky(np.asarray(self.correlation)).T)
        return np.stack([m.ppf(c) for m, c in zip(self.marginals, joined.T, strict=True)], axis=1)

    def to_unit(self, x: ArrayLike) -> Floats:
        """Inverse of `from_unit`."""
        factor = np.linalg.cholesky(np.asarray(self.correlation))
        scores = np.linalg.solve(factor, self._scores(x).T).T
        return np.asarray(ndtr(scores), dtype=np.float64)

    def log_density(self, x: ArrayLike) -> Floats:
        """Log density: that of the copula plus those of the marginals."""
        columns = _columns(x, len(self.parameters)).T
        marginal = np.sum(
            [m.log_density(c) for m, c in zip(self.marginals, columns, strict=True)], axis=0
        )
        scores = self._scores(x)
        factor = np.linalg.cholesky(np.asarray(self.correlation))
        white = np.linalg.solve(factor, scores.T).T
        copula = 0.5 * (scores**2 - white**2).sum(axis=1) - np.log(np.diag(factor)).sum()
        return np.where(np.isfinite(marginal), marginal + copula, -np.inf)

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        plain = {name: m.to_dict() for name, m in self.parameters.items()}
        return {**plain, "correlation": np.asarray(self.correlation).tolist()}

    def _scores(self, x: ArrayLike) -> Floats:
        columns = _columns(x, len(self.parameters)).T
        u = np.stack([m.cdf(c) for m, c in zip(self.marginals, columns, strict=True)], axis=1)
        return np.asarray(ndtri(np.clip(u, 1e-300, 1 - 2**-53)), dtype=np.float64)


Constraint = Callable[[Mapping[str, Floats]], Any]


@dataclass(frozen=True)
class Constrained(_OfMarginals):
    """A prior given that its parameters satisfy constraints.

    Its log density is that of the prior, without the constant log P(constraints): ratios are exact,
    which is all that the methods here use.

    Parameters
    ----------
    prior
        What is constrained.
    constraints
        Texts such as `"low < high"`, or functions from columns by name to truths, shape (n,).

    Raises
    ------
    CalibrationError
        Fewer than 1 draw in 10,000 satisfies the constraints.

    Examples
    --------
    >>> from abm.calibration.marginals import uniform
    >>> prior = Constrained(Independent({"a": uniform(0, 1), "b": uniform(0, 1)}), ["a < b"])
    >>> draws = prior.sample(1000, rng=np.random.default_rng(1))
    >>> bool((draws[:, 0] < draws[:, 1]).all())
    True
    >>> prior.log_density([[0.5, 0.4]]).tolist()
    [-inf]
    """

    prior: Independent | Correlated
    constraints: Sequence[str | Constraint]

    def __post_init__(self) -> None:
        require(
            isinstance(self.prior, (Independent, Correlated)),
            CalibrationError,
            f"prior = {self.prior!r}, expected Independent or Correlated",
            argument="prior",
        )
        given = self.constraints
        good = isinstance(given, (list, tuple))
        good = good and all(isinstance(c, str) or callable(c) for c in given)
        require(
            good,
            CalibrationError,
            f"constraints = {given!r}, expected a list of texts such as ['low < high'], or of "
            "functions",
            argument="constraints",
            place=("constraints",),
        )
        names = self.prior.names
        made = tuple(Expression(c, names) if isinstance(c, str) else c for c in given)
        object.__setattr__(self, "constraints", made)

    @property
    def parameters(self) -> Mapping[str, Marginal]:  # type: ignore[override]
        return self.prior.parameters

    def holds(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Whether each row satisfies all constraints, shape (n,)."""
        rows = _columns(x, len(self.parameters))
        columns = {name: rows[:, i] for i, name in enumerate(self.names)}
        found = np.ones(len(rows), dtype=bool)
        for constraint in self.constraints:
            assert not isinstance(constraint, str)
            found &= _truths(constraint, columns, len(rows))
        return found

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """n draws by rejection, shape (n, d)."""
        kept: list[Floats] = []
        have = tried = 0
        while have < n:
            block = self.prior.sample(max(256, n), rng=rng)
            good = block[self.holds(block)]
            kept.append(good)
            have, tried = have + len(good), tried + len(block)
            require(
                have > 0 or tried < 10_000,
                CalibrationError,
                f"constraints: none of {tried} draws of the prior satisfies them; draw closer, or "
                "write the prior in other parameters",
                argument="constraints",
            )
        return np.concatenate(kept)[:n] if kept else np.empty((0, len(self.parameters)))

    def log_density(self, x: ArrayLike) -> Floats:
        """Log density up to a constant; -inf where a constraint fails."""
        return np.where(self.holds(x), self.prior.log_density(x), -np.inf)

    def from_unit(self, u: ArrayLike) -> Floats:
        """Of the prior without constraints: check `holds` and leave out what fails."""
        return self.prior.from_unit(u)

    def to_unit(self, x: ArrayLike) -> Floats:
        """Of the prior without constraints."""
        return self.prior.to_unit(x)

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        texts = [getattr(c, "text", getattr(c, "__qualname__", str(c))) for c in self.constraints]
        return {**self.prior.describe(), "constraints": texts}


def _truths(constraint: Constraint, columns: Mapping[str, Floats], n: int) -> NDArray[np.bool_]:
    """What a constraint says of n rows, shape () or (n,)."""
    found = np.asarray(constraint(columns))
    require(
        found.dtype == np.bool_ and found.shape in ((), (n,)),
        CalibrationError,
        f"constraint {getattr(constraint, '__qualname__', constraint)} gave {found.dtype} of shape "
        f"{found.shape} for {n} rows, expected truths, one per row",
        argument="constraints",
    )
    return found


def _settle(prior: Any) -> None:
    written = prior.parameters
    require(
        isinstance(written, Mapping) and bool(written),
        CalibrationError,
        f"parameters = {written!r}, expected name -> marginal, at least one",
        argument="parameters",
    )
    made = {str(name): marginal_of(value, str(name)) for name, value in written.items()}
    object.__setattr__(prior, "parameters", made)


def _columns(x: ArrayLike, d: int) -> Floats:
    rows = np.atleast_2d(np.asarray(x, dtype=np.float64))
    require(
        rows.ndim == 2 and rows.shape[1] == d,
        CalibrationError,
        f"parameters of shape {rows.shape}, expected (n, {d})",
    )
    return rows
