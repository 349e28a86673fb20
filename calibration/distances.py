"""Distances between simulated statistics and data.

A distance compares many simulations at once: `distance(simulated, targets)` takes statistics of
shape (n, m) and gives shape (n,). A simulation with a statistic that is no number is infinitely
far away. Scales that come from simulations are taken from a pilot, once, by `fitted`; they never
change during a fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import floats
from abm.calibration.targets import Target, Targets
from abm.calibration.whitening import whitening
from abm.errors import CalibrationError, require
from abm.studies.parameters import closest

__all__ = [
    "Combined",
    "Disagreement",
    "Distance",
    "Energy",
    "Mahalanobis",
    "ScaledEuclidean",
    "Wasserstein",
    "check_distance",
    "distance_of",
]

Floats = NDArray[np.float64]
_NOTHING_VARIES = (
    "degenerate distance: the covariance has rank 0 or is not finite; nothing varies. Leave out "
    "what is constant, or give numbers"
)


@runtime_checkable
class Distance(Protocol):
    """What a method asks of a distance."""

    @property
    def needs_pilot(self) -> bool:
        """Whether `fitted` must be called with simulations before the first comparison."""
        ...

    def fitted(self, pilot: Floats, targets: Targets, discrepancy: Floats) -> Distance:
        """The distance with its scales from pilot statistics, shape (n, m).

        `discrepancy` is the standard deviation of what the model leaves out, shape (m,).

        Raises
        ------
        CalibrationError
            The distance would be degenerate: names the statistic.
        """
        ...

    def __call__(self, simulated: Floats, targets: Targets) -> Floats: ...

    def describe(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class ScaledEuclidean:
    """sqrt(sum_k w_k ((s_k - z_k) / scale_k)^2).

    Parameters
    ----------
    scale
        `"spread"` (standard deviation of a pilot, robust: 1.4826 times the median absolute
        deviation, or the standard deviation where that is 0), `"error"` (sampling error of the data
        and discrepancy together), `"none"` (1), or numbers, shape (m,).

    Examples
    --------
    >>> from abm.calibration.targets import scalar
    >>> targets = Targets([scalar("a", 0.0), scalar("b", 0.0)])
    >>> ScaledEuclidean("none")(np.array([[3.0, 4.0]]), targets).tolist()
    [5.0]
    """

    scale: str | ArrayLike = "spread"
    scales: Floats | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.scale, str):
            known = ("spread", "error", "none")
            require(
                self.scale in known,
                CalibrationError,
                f"scale = {self.scale!r}, expected one of {known} or numbers",
                argument="scale",
                value=self.scale,
            )
        else:
            given = floats(self.scale, "scale", argument="scale")
            require(
                given.ndim == 1 and bool((np.isfinite(given) & (given > 0)).all()),
                CalibrationError,
                f"degenerate distance: scale = {given.tolist()}, expected numbers > 0, one per "
                "statistic",
                argument="scale",
                outcome="degenerate_distance",
            )
            object.__setattr__(self, "scales", given)

    @property
    def needs_pilot(self) -> bool:
        return self.scales is None and self.scale == "spread"

    def fitted(self, pilot: Floats, targets: Targets, discrepancy: Floats) -> Self:
        """With its scales; refuses one that is 0 or no number."""
        if self.scales is not None:
            scales = self.scales
        elif self.scale == "none":
            scales = np.ones(targets.size)
        elif self.scale == "error":
            scales = np.hypot(targets.standard_error, discrepancy)
        else:
            scales = _spread(_finite(pilot))
        _refuse_degenerate(scales, targets, f"its {self.scale} is")
        return replace(self, scales=scales)

    def __call__(self, simulated: Floats, targets: Targets) -> Floats:
        """Shape (n,)."""
        scales = self.scales
        if scales is None:
            require(
                self.scale == "none",
                CalibrationError,
                "this distance has no scales yet; call fitted(pilot, targets, discrepancy) first",
            )
            scales = np.ones(targets.size)
        gaps = (np.atleast_2d(simulated) - targets.observed) / scales
        return _far_if_nan(np.sqrt(gaps * gaps @ targets.weights))

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        scales = None if self.scales is None else self.scales.tolist()
        scale = self.scale if isinstance(self.scale, str) else "given"
        return {"distance": "scaled_euclidean", "scale": scale, "scales": scales}


@dataclass(frozen=True)
class Mahalanobis:
    """sqrt((s - z)' C^-1 (s - z)), with s - z first multiplied by the square roots of the weights.

    Parameters
    ----------
    covariance
        `"spread"` (covariance of a pilot), `"error"` (sampling covariance of the data plus squared
        discrepancy), or a matrix, shape (m, m).

    Notes
    -----
    Shares of a distribution add up to 1, so their covariance has rank K - 1; directions in which
    neither data nor pilot vary are left out (pseudo-inverse at a relative tolerance of 1e-9).
    """

    covariance: str | ArrayLike = "spread"
    whitening: Floats | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.covariance, str):
            require(
                self.covariance in ("spread", "error"),
                CalibrationError,
                f"covariance = {self.covariance!r}, expected 'spread', 'error' or a matrix",
                argument="covariance",
                value=self.covariance,
            )
        else:
            matrix = floats(self.covariance, "covariance", argument="covariance")
            _refuse_no_covariance(matrix)
            object.__setattr__(self, "whitening", whitening(matrix, nothing=_NOTHING_VARIES))

    @property
    def needs_pilot(self) -> bool:
        return self.whitening is None and self.covariance == "spread"

    def fitted(self, pilot: Floats, targets: Targets, discrepancy: Floats) -> Self:
        """With its covariance; refuses one of rank 0."""
        if self.whitening is not None:
            require(
                self.whitening.shape[1] == targets.size,
                CalibrationError,
                f"covariance of {self.whitening.shape[1]} statistics, expected shape "
                f"({targets.size}, {targets.size}): the fitted targets are {targets.labels}",
                argument="covariance",
            )
            return self
        if self.covariance == "error":
            matrix = targets.covariance + np.diag(discrepancy**2)
        else:
            good = _finite(pilot)
            enough = len(good) > targets.size
            require(
                enough,
                CalibrationError,
                f"a Mahalanobis distance over {targets.size} statistics needs a pilot of more "
                f"than that many finite simulations; there are {len(good)}",
            )
            matrix = np.atleast_2d(np.cov(good.T))
        return replace(self, whitening=whitening(matrix, nothing=_NOTHING_VARIES))

    def __call__(self, simulated: Floats, targets: Targets) -> Floats:
        """Shape (n,)."""
        require(
            self.whitening is not None,
            CalibrationError,
            "this distance has no covariance yet; call fitted(pilot, targets, discrepancy) first",
        )
        assert self.whitening is not None
        gaps = (np.atleast_2d(simulated) - targets.observed) * np.sqrt(targets.weights)
        with np.errstate(invalid="ignore"):
            white = gaps @ self.whitening.T
        return _far_if_nan(np.sqrt((white * white).sum(axis=1)))

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        covariance = self.covariance if isinstance(self.covariance, str) else "given"
        made = None if self.whitening is None else self.whitening.tolist()
        return {"distance": "mahalanobis", "covariance": covariance, "whitening": made}


class _Fixed:
    """Distances without scales."""

    @property
    def needs_pilot(self) -> bool:
        return False

    def fitted(self, pilot: Floats, targets: Targets, discrepancy: Floats) -> Self:
        """Itself."""
        del pilot, discrepancy
        for target in targets:
            self._of(np.zeros((1, target.size)), target)
        return self

    def __call__(self, simulated: Floats, targets: Targets) -> Floats:
        """Sum over the targets of weight times distance, shape (n,)."""
        rows = np.atleast_2d(simulated)
        found = np.zeros(len(rows))
        for target in targets:
            found = found + target.weight * self._of(rows[:, targets.slices[target.name]], target)
        return _far_if_nan(found)

    def _of(self, rows: Floats, target: Target) -> Floats:
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        return {"distance": type(self).__name__.lower()}


@dataclass(frozen=True)
class Wasserstein(_Fixed):
    """Wasserstein-1 distance of distributions on ordered categories: the area between their CDFs.

    Divided by the range of the positions, so that it lies in [0, 1].

    Examples
    --------
    >>> from abm.calibration.targets import distribution
    >>> targets = Targets([distribution("answer", [10, 0, 0])])
    >>> Wasserstein()(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), targets).tolist()
    [0.5, 1.0]
    """

    def _of(self, rows: Floats, target: Target) -> Floats:
        positions = _positions(target, "Wasserstein")
        gaps = np.cumsum(rows - target.value.ravel(), axis=1)[:, :-1]
        steps = np.diff(positions)
        return np.asarray((np.abs(gaps) * steps).sum(axis=1) / (positions[-1] - positions[0]))


@dataclass(frozen=True)
class Energy(_Fixed):
    """Energy distance sqrt(2 E|X-Y| - E|X-X'| - E|Y-Y'|) of distributions.

    On ordered categories |X - Y| is the gap of the positions, divided by their range; in a
    cross-table it is the Euclidean distance of the cells, each axis scaled to [0, 1]; series and
    scalars are compared as points, sqrt(2 |x - y|) in Euclidean norm.

    References
    ----------
    Szekely & Rizzo (2013), Journal of Statistical Planning and Inference 143, 1249-1272.

    Examples
    --------
    >>> from abm.calibration.targets import distribution
    >>> targets = Targets([distribution("answer", [10, 0])])
    >>> Energy()(np.array([[1.0, 0.0], [0.0, 1.0]]), targets).round(4).tolist()
    [0.0, 1.4142]
    """

    def _of(self, rows: Floats, target: Target) -> Floats:
        gap = rows - target.value.ravel()
        if target.kind in ("scalar", "series"):
            return np.asarray(np.sqrt(2.0 * np.linalg.norm(gap, axis=1)))
        between = _cell_distances(target)
        squared = -np.einsum("ni,ij,nj->n", gap, between, gap)
        return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


@dataclass(frozen=True)
class Disagreement(_Fixed):
    """1 minus the agreement over categories: the share of people who would have to move.

    This is half the sum of the absolute differences of shares (total variation), in [0, 1]. It
    knows no order; it takes distributions and cross-tables.

    Examples
    --------
    >>> from abm.calibration.targets import distribution
    >>> targets = Targets([distribution("answer", [5, 3, 2])])
    >>> Disagreement()(np.array([[0.5, 0.2, 0.3]]), targets).round(6).tolist()
    [0.1]
    """

    def _of(self, rows: Floats, target: Target) -> Floats:
        _need(target, ("distribution", "cross_table"), "Disagreement")
        return np.asarray(np.abs(rows - target.value.ravel()).sum(axis=1) / 2.0)


@dataclass(frozen=True)
class Combined:
    """Different distances for different targets, added.

    Parameters
    ----------
    parts
        Target -> distance. Targets that are not named are compared by `rest`.
    rest
        Distance of all others together.

    Examples
    --------
    >>> from abm.calibration.targets import distribution, scalar
    >>> targets = Targets([scalar("mean", 0.0), distribution("answer", [10, 0])])
    >>> both = Combined({"answer": Wasserstein()}, rest=ScaledEuclidean("none"))
    >>> both(np.array([[2.0, 0.0, 1.0]]), targets).tolist()
    [3.0]
    """

    parts: Mapping[str, Distance]
    rest: Distance = field(default_factory=ScaledEuclidean)

    def __post_init__(self) -> None:
        good = isinstance(self.parts, Mapping) and isinstance(self.rest, Distance)
        good = good and all(isinstance(part, Distance) for part in self.parts.values())
        require(
            good,
            CalibrationError,
            f"Combined: parts = {self.parts!r}, rest = {self.rest!r}, expected target -> distance, "
            "and a distance",
            argument="parts",
        )

    @property
    def needs_pilot(self) -> bool:
        return any(d.needs_pilot for d in (*self.parts.values(), self.rest))

    def fitted(self, pilot: Floats, targets: Targets, discrepancy: Floats) -> Combined:
        """Each part fitted to its own statistics."""
        for name in self.parts:
            _ = targets[name]
        made: dict[str | None, Distance] = {}
        for key, inner, place in self._split(targets):
            part = self.rest if key is None else self.parts[key]
            made[key] = part.fitted(pilot[:, place], inner, discrepancy[place])
        rest = made.pop(None, self.rest)
        return Combined({str(k): v for k, v in made.items()}, rest)

    def __call__(self, simulated: Floats, targets: Targets) -> Floats:
        """Shape (n,)."""
        rows = np.atleast_2d(simulated)
        found = np.zeros(len(rows))
        for key, inner, place in self._split(targets):
            part = self.rest if key is None else self.parts[key]
            found = found + part(rows[:, place], inner)
        return found

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        parts = {name: part.describe() for name, part in self.parts.items()}
        return {"distance": "combined", "parts": parts, "rest": self.rest.describe()}

    def _split(self, targets: Targets) -> list[tuple[str | None, Targets, NDArray[np.int64]]]:
        every = np.arange(targets.size)
        found: list[tuple[str | None, Targets, NDArray[np.int64]]] = [
            (t.name, Targets([t]), every[targets.slices[t.name]])
            for t in targets
            if t.name in self.parts
        ]
        others = [t for t in targets if t.name not in self.parts]
        if others:
            places = [every[targets.slices[t.name]] for t in others]
            found.append((None, Targets(others), np.concatenate(places)))
        return found


def check_distance(distance: Distance, targets: Targets, discrepancy: Floats) -> None:
    """Refuse a distance that cannot compare these targets, where that shows without a pilot.

    Parameters
    ----------
    targets
        The fitted ones.
    discrepancy
        Standard deviation of what the model leaves out, shape (m,).

    Raises
    ------
    CalibrationError
        A part for a target that is not there; targets of a kind that the distance does not know;
        scales of another shape, or of 0.

    Examples
    --------
    >>> from abm.calibration.targets import scalar
    >>> check_distance(Combined({"mood": Energy()}), Targets([scalar("mean", 0.0)]), np.zeros(1))
    Traceback (most recent call last):
    abm.errors.CalibrationError: there is no target 'mood'; there are ['mean']
    """
    if isinstance(distance, Combined):
        for name in distance.parts:
            _ = targets[name]
        for key, inner, place in distance._split(targets):
            part = distance.rest if key is None else distance.parts[key]
            check_distance(part, inner, discrepancy[place])
    elif not distance.needs_pilot:
        distance.fitted(np.empty((0, targets.size)), targets, discrepancy)


def distance_of(written: Any) -> Distance:
    """A distance as a calibration file writes it.

    Parameters
    ----------
    written
        `"scaled_euclidean"`, `"mahalanobis"`, `"wasserstein"`, `"energy"`, `"disagreement"`; a
        table `{distance = "scaled_euclidean", scale = "error"}`; or `{parts = {target = ...},
        rest = ...}`.

    Examples
    --------
    >>> distance_of({"distance": "scaled_euclidean", "scale": "error"}).scale
    'error'
    """
    if isinstance(written, Distance):
        return written
    require(
        isinstance(written, (str, Mapping)),
        CalibrationError,
        f"distance = {written!r}, expected a name or a table such as {{distance = 'energy'}}",
        argument="distance",
        value=written,
    )
    table: dict[str, Any] = {"distance": written} if isinstance(written, str) else dict(written)
    return _combined(table) if "parts" in table else _named(table)


_KINDS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "scaled_euclidean": (ScaledEuclidean, ("scale",)),
    "mahalanobis": (Mahalanobis, ("covariance",)),
    "wasserstein": (Wasserstein, ()),
    "energy": (Energy, ()),
    "disagreement": (Disagreement, ()),
}
"""Name in a file -> the class and its options."""


def _combined(table: Mapping[str, Any]) -> Combined:
    more = sorted(set(table) - {"parts", "rest"})
    require(
        not more and isinstance(table["parts"], Mapping),
        CalibrationError,
        f"distance = {dict(table)!r}, expected a table parts = {{target = ...}}, rest, and nothing "
        "else",
        argument="distance",
        value=table,
    )
    parts = {name: distance_of(value) for name, value in table["parts"].items()}
    return Combined(parts, distance_of(table.get("rest", "scaled_euclidean")))


def _named(table: Mapping[str, Any]) -> Distance:
    name = table.get("distance")
    require(
        isinstance(name, str) and name in _KINDS,
        CalibrationError,
        f"distance = {name!r}: {closest(str(name), _KINDS)}",
        argument="distance",
        value=table,
    )
    kind, known = _KINDS[str(name)]
    options = {key: value for key, value in table.items() if key != "distance"}
    more = sorted(set(options) - set(known))
    require(
        not more,
        CalibrationError,
        f"distance {name!r} has no option {more}, expected {list(known) or 'none'}",
        argument="distance",
        value=table,
    )
    made: Distance = kind(**options)
    return made


def _finite(pilot: Floats) -> Floats:
    good = pilot[np.isfinite(pilot).all(axis=1)]
    require(
        len(good) >= 2,
        CalibrationError,
        f"only {len(good)} of {len(pilot)} pilot simulations gave finite statistics; look at "
        "their outcomes before choosing a distance",
    )
    return good


def _spread(rows: Floats) -> Floats:
    deviations = np.abs(rows - np.median(rows, axis=0))
    robust = 1.4826 * np.median(deviations, axis=0)
    return np.where(robust > 0, robust, rows.std(axis=0, ddof=1))


def _refuse_degenerate(scales: Floats, targets: Targets, why: str) -> None:
    require(
        scales.shape == (targets.size,),
        CalibrationError,
        f"scale has shape {scales.shape}, expected ({targets.size},), one per statistic",
        argument="scale",
    )
    bad = [targets.labels[k] for k in np.flatnonzero(~(np.isfinite(scales) & (scales > 0)))]
    require(
        not bad,
        CalibrationError,
        f"degenerate distance: {why} 0 or no number for {bad}. Leave these statistics out, or "
        "give numbers as scale",
        argument="scale",
        statistics=bad,
        outcome="degenerate_distance",
    )


def _refuse_no_covariance(matrix: Floats) -> None:
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    good = square and bool(np.isfinite(matrix).all()) and bool(np.allclose(matrix, matrix.T))
    if good:
        values = np.linalg.eigvalsh(matrix)
        good = bool(values[0] >= -1e-9 * max(float(values[-1]), 0.0))
    require(
        good,
        CalibrationError,
        f"covariance = {matrix.tolist()}, expected a symmetric positive semidefinite matrix of "
        "finite numbers, one row per statistic",
        argument="covariance",
        outcome="degenerate_distance",
    )


def _positions(target: Target, who: str) -> Floats:
    _need(target, ("distribution",), who)
    assert target.positions is not None
    return target.positions


def _need(target: Target, kinds: tuple[str, ...], who: str) -> None:
    require(
        target.kind in kinds,
        CalibrationError,
        f"{who} cannot compare target {target.name!r}, a {target.kind}; it takes "
        f"{' and '.join(kinds)}. Use Combined for targets of several kinds",
        argument="distance",
        value=target.name,
    )


def _cell_distances(target: Target) -> Floats:
    if target.positions is not None:
        axes = [target.positions]
    else:
        axes = [np.arange(size, dtype=np.float64) for size in target.shape]
    scaled = [(a - a[0]) / (a[-1] - a[0]) if len(a) > 1 else a for a in axes]
    cells = np.stack([g.ravel() for g in np.meshgrid(*scaled, indexing="ij")], axis=1)
    return np.asarray(np.linalg.norm(cells[:, None] - cells[None], axis=2))


def _far_if_nan(distances: Floats) -> Floats:
    return np.where(np.isnan(distances), np.inf, distances)
