"""Robust bundle adjustment: wrong corners found and left out, the noise measured, sigmas that follow from it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.bundle import Problem, State, adjust, normal_equations, residuals
from calib.geometry import Array

Mask = NDArray[np.bool_]

OUTLIER = 5.0
"""sigmas of distance beyond which a corner is wrong: one good corner in 270 000 (Rayleigh)"""
_CAUCHY = 2.5  # sigmas
RAYLEIGH_MEDIAN2 = 2.0 * np.log(2.0)  # median of the squared distance of two unit Gaussians
_ROUNDS = 8
_LEAST_CORNERS = 4  # of a view: three unknown angles, three of place
_LEAST_WIDTH = 1e-3  # of the length: what is narrower is a line
_LEAST_SCALE = 1e-4  # of the stated sigmas: corners without noise


@dataclass(frozen=True, slots=True, eq=False)
class Robust:
    """A state, the corners it rests on, and their noise."""

    state: State
    problem: Problem
    """with all corners"""
    kept: tuple[Mask, ...]
    """for each camera"""
    scale: float
    """the corners' standard deviations are the stated ones times this"""

    @property
    def inliers(self) -> Problem:
        """The problem without the corners left out."""
        return self.problem.only(self.kept)

    def covariance(self) -> Array:
        """Covariance of the free shared parameters, from the noise that was measured: scale^2 (J^T J)^-1, poses marginalised."""
        return np.asarray(self.scale**2 * invert_spd(normal_equations(self.inliers, self.state).shared))


def robust_adjust(problem: Problem, start: State) -> Robust:
    """Cauchy's loss first; then least squares without the corners that miss by more than five sigmas, until these are settled.

    The noise is measured on the way (median, later the mean square over the degrees of freedom), so that stated sigmas need be
    right in ratio only.
    """
    state, scale = start, _median_scale(problem, start)
    for _ in range(_ROUNDS):
        state = adjust(problem, state, cauchy=_CAUCHY * scale, steps=25)
        before, scale = scale, _median_scale(problem, state)
        if scale > 0.8 * before:
            break
    kept = _good(problem, state, scale)
    for _ in range(_ROUNDS):
        part = problem.only(kept)
        if part.freedom <= 0:
            break
        state = adjust(part, state)
        scale = mean_scale(part, state)
        last, kept = kept, _good(problem, state, scale)
        if all((a == b).all() for a, b in zip(kept, last, strict=True)):
            break
    return Robust(state, problem, kept, scale)


def distances(problem: Problem, state: State) -> list[Array]:
    """(K,) for each camera: how far each corner misses its prediction, in its stated sigmas; infinite where there is none."""
    found = []
    for sight, error in zip(problem.sights, residuals(problem, state), strict=True):
        with np.errstate(all="ignore"):
            distance = np.sqrt((error * error).sum(1)) / sight.sigma_px
        found.append(np.nan_to_num(distance, nan=np.inf))
    return found


def mean_scale(part: Problem, state: State) -> float:
    """The corners' noise in their stated sigmas: root of chi square over the degrees of freedom."""
    squares = sum(float((d * d).sum()) for d in distances(part, state))
    return max(float(np.sqrt(squares / max(part.freedom, 1))), _LEAST_SCALE)


def invert_spd(matrix: Array) -> Array:
    """Inverse of a symmetric positive matrix whose rows may differ in size by many orders; directions without information get
    huge variances.
    """
    diagonal = np.diagonal(matrix)  # rounding may leave a nonsensical solution's negative
    size = 1.0 / np.sqrt(np.maximum(diagonal, max(1e-24 * float(np.abs(diagonal).max(initial=0.0)), 1e-300)))
    values, vectors = np.linalg.eigh(matrix * size[:, None] * size)
    values = np.maximum(values, 1e-14 * values.max(initial=1e-300))
    return np.asarray((vectors / values) @ vectors.T * size[:, None] * size)


def spreads(points: Array) -> bool:
    """Whether points (n, 2 or 3) span an area: four at least, not on a line, not all in one place."""
    if len(points) < _LEAST_CORNERS:
        return False
    extent = np.linalg.svd(points - points.mean(0), compute_uv=False)
    return bool(extent[1] > _LEAST_WIDTH * extent[0] > 0.0)


def _views(moment: NDArray[np.int64]) -> list[Mask]:
    """The rows of each moment, as masks."""
    return [moment == m for m in np.unique(moment)]


def _median_scale(problem: Problem, state: State) -> float:
    all_distances = np.concatenate(distances(problem, state))
    return max(float(np.sqrt(np.median(all_distances**2) / RAYLEIGH_MEDIAN2)), _LEAST_SCALE)


def _good(problem: Problem, state: State, scale: float) -> tuple[Mask, ...]:
    kept = []
    for sight, distance in zip(problem.sights, distances(problem, state), strict=True):
        good = distance <= OUTLIER * scale
        enough = np.array([spreads(problem.board.points_m[sight.ids[rows & good]]) for rows in _views(sight.moment)])
        kept.append(good & enough[np.unique(sight.moment, return_inverse=True)[1]] if len(good) else good)
    return tuple(kept)
