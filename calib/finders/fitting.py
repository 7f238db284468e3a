"""Models of light fitted to the pixels around many points at once, and how far the fits can be trusted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.geometry import Array

Model = Callable[[Array], tuple[Array, Array]]
"""parameters (N, K') -> light (N, P) and its derivatives (N, K, P) by the first K of them"""

FLOOR_PX = 0.008
"""standard deviation that remains without noise: the model is not the lens"""
_ROUNDS = 12
_PRIOR_PIXELS = 20.0  # a point's own residuals count against the common ones like its pixels against these
_MOST_ALIKE = 0.85
_MOST_DAMPING = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """For each parameter of a model (K',); inf where there is none."""

    step: Array
    """greatest change in one round"""
    low: Array
    high: Array
    done: Array
    """changes below these are the last ones"""


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Square windows of an image around points."""

    light: Array
    """(N, P)"""
    inside: NDArray[np.bool_]
    """(N, P) whether a pixel belongs to the image"""
    dx: Array
    dy: Array
    """(P,) px from the middle"""

    @classmethod
    def of(cls, image: NDArray[np.float32], centre: Array, size: int) -> "Patches":
        """Windows of half size `size` around whole pixels (N, 2)."""
        dy, dx = (g.ravel().astype(np.float64) for g in np.mgrid[-size : size + 1, -size : size + 1])
        x, y = (centre[:, :1] + dx).astype(np.int64), (centre[:, 1:] + dy).astype(np.int64)
        height, width = image.shape
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return cls(image[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(np.float64), inside, dx, dy)


@dataclass(frozen=True, slots=True, eq=False)
class Fits:
    """Fitted models."""

    p: Array
    """(N, K') parameters; the first two are x and y from the middle, px"""
    cov: Array
    """(N, 2, 2) covariance of x and y for noise of 1 grey level, larger where residuals are alike"""
    square: Array
    """(N,) mean square residual; NaN where the fit failed"""
    freedom: Array
    """(N,) pixels less parameters, 0 where the fit failed"""


def fit(p: Array, light: Array, weight: Array, model: Model, unknowns: int, limits: Limits, farthest_px: float) -> Fits:
    """Least squares over the pixels of weight 1 (others: 0) of square windows, from the parameters `p`."""
    side = round(light.shape[1] ** 0.5)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        start = p[:, :2]
        p, normal, cost = _least_squares(p, light, weight, model, unknowns, limits)
        alike = _correlation((light - model(p)[0]) * weight, weight, side)
        matrix, scale = _scaled(normal)
        cov = np.linalg.pinv(matrix, hermitian=True)[:, :2, :2] * scale[:, :2, None] * scale[:, None, :2]
        cov = cov * ((1.0 + alike) / (1.0 - alike))[:, None, None]
        freedom = weight.sum(1) - unknowns
        good = np.isfinite(p).all(1) & np.isfinite(cost) & (freedom > 0) & (np.abs(p[:, :2] - start).max(1) < farthest_px)
    return Fits(p, cov, np.where(good, cost / np.maximum(freedom, 1.0), np.nan), np.where(good, freedom, 0.0))


def sigmas_px(cov: Array, square: Array, freedom: Array) -> Array:
    """(N,) standard deviations along each axis; inf where the fit failed. Few pixels tell the noise with the help of all."""
    good = np.isfinite(square) & (freedom > 0)
    common = float(np.median(square[good])) if good.any() else 1.0
    noise2 = (freedom * np.where(good, square, 0.0) + _PRIOR_PIXELS * common) / (freedom + _PRIOR_PIXELS)
    variance = noise2 * np.trace(cov, axis1=1, axis2=2) / 2.0
    return np.where(good, np.sqrt(np.where(good, variance, 0.0) + FLOOR_PX**2), np.inf)


def erf(s: Array) -> tuple[Array, Array]:
    """erf(s / sqrt 2) to 1.5e-7 (Abramowitz and Stegun 7.1.26) and its derivative."""
    bell = np.exp(-0.5 * s * s)
    t = 1.0 / (1.0 + (0.3275911 / np.sqrt(2.0)) * np.abs(s))
    tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.copysign(1.0 - tail * bell, s), np.sqrt(2.0 / np.pi) * bell


def _correlation(residual: Array, weight: Array, side: int) -> Array:
    """(N,) how alike the residuals of neighbouring pixels are, 0 ... 0.85.

    Where something disturbs the model (a marker beside a blurred edge, compression), they are, and n pixels say less than n
    independent ones: by (1 - r) / (1 + r) along a line of residuals that forget by a factor r from pixel to pixel. (Over an area
    the square of that would hold for noise; for the small misfits of the model to the lens it is too much.)
    """
    r, w = residual.reshape(-1, side, side), weight.reshape(-1, side, side)
    total, pairs, square = np.zeros(len(r)), np.zeros(len(r)), np.zeros(len(r))
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :, 1:], np.s_[:, :, :-1])):
        both = w[a] * w[b]
        total += (r[a] * r[b] * both).sum((1, 2))
        square += (0.5 * (r[a] ** 2 + r[b] ** 2) * both).sum((1, 2))
        pairs += both.sum((1, 2))
    rho = np.nan_to_num(total / np.maximum(square, 1e-30)) - 2.0 / np.sqrt(np.maximum(pairs, 1.0))
    return np.asarray(np.clip(rho, 0.0, _MOST_ALIKE))


def _least_squares(
    p: Array, light: Array, weight: Array, model: Model, unknowns: int, limits: Limits
) -> tuple[Array, Array, Array]:
    """Levenberg and Marquardt, for all points at once; those that have converged are left alone."""
    p = p.copy()
    count = len(p)
    damping = np.full(count, 1e-3)
    normal, cost = np.zeros((count, unknowns, unknowns)), np.full(count, np.inf)
    gradient = np.zeros((count, unknowns))
    active = np.arange(count)
    trial = p.copy()
    for _ in range(_ROUNDS):
        seen, jacobian = model(trial[active])
        residual = (light[active] - seen) * weight[active]
        new = (residual**2).sum(1)
        better = new <= cost[active]
        won = active[better]
        p[won], cost[won] = trial[won], new[better]
        jacobian = jacobian[better] * weight[won][:, None]
        normal[won] = jacobian @ jacobian.transpose(0, 2, 1)
        gradient[won] = np.einsum("nkp,np->nk", jacobian, residual[better])
        damping[active] = np.where(better, damping[active] * 0.2, damping[active] * 8.0)
        matrix, scale = _scaled(normal[active])
        matrix = matrix + damping[active][:, None, None] * np.eye(unknowns) + 1e-9 * np.eye(unknowns)
        finite = np.asarray(np.isfinite(matrix).all((1, 2)))
        matrix[~finite] = np.eye(unknowns)
        step = np.linalg.solve(matrix, (np.nan_to_num(gradient[active]) * scale)[..., None])[..., 0] * scale
        step = np.clip(step, -limits.step[:unknowns], limits.step[:unknowns])
        trial[active] = p[active]
        trial[active, :unknowns] += np.where(finite[:, None], step, 0.0)
        trial[active] = np.clip(trial[active], limits.low, limits.high)
        moving = (np.abs(trial[active] - p[active]) > limits.done).any(1)
        moving |= ~better & (damping[active] < _MOST_DAMPING)
        moving |= np.isinf(cost[active])
        active = active[moving & finite]
        if not len(active):
            break
    return p, normal, cost


def _scaled(normal: Array) -> tuple[Array, Array]:
    """Normal matrices with ones on their diagonals, and the factors (N, K) that made them so."""
    diagonal = np.einsum("nkk->nk", normal)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    return np.nan_to_num(normal * scale[:, :, None] * scale[:, None, :]), scale
