"""Centres of discs seen at an angle, sub-pixel, with standard deviations: a blurred ellipse fitted to the pixels.

    I(x) = m + g . (x - p) + c E(d / w),    q = |L (x - p)|,    d = (q - 1) / |grad q|,    L upper triangular

With noise the fit is as good as the edge allows, and a slope of the light does not pull it as it pulls a centre of gravity.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.finders.fitting import Limits, Patches, erf, fit, sigmas_px
from calib.finders.saddle import BLUR_PX
from calib.geometry import Array

_SIZES = (4, 5, 6, 8, 10, 12, 15, 18, 22, 26, 32, 40, 50)
_AROUND = 1.35  # pixels out to so many radii, and to so many px beyond the edge
_AROUND_PX = 4.0
_PARAMETERS = 10  # p, log blur, L11, L12, L22, m, g, c
_NONE = np.inf
_LIMITS = Limits(
    step=np.array([1.0, 1.0, 0.7, *[_NONE] * 7]),
    low=np.array([-_NONE, -_NONE, np.log(BLUR_PX[0]), *[-_NONE] * 7]),
    high=np.array([_NONE, _NONE, np.log(BLUR_PX[1]), *[_NONE] * 7]),
    done=np.array([2e-3, 2e-3, 0.03, *[_NONE] * 7]),
)
_NUDGE = np.array([0.01, 0.01, 0.01, 1e-3, 1e-3, 1e-3, 1e-2, 1e-4, 1e-4, 1e-2])


@dataclass(frozen=True, slots=True, eq=False)
class Discs:
    """Fitted ellipses."""

    uv: Array
    """(N, 2) centres, px"""
    sigma_px: Array
    """(N,) standard deviation along each axis; inf where the fit failed"""
    blur_px: Array
    """(N,) standard deviation of the blur, px"""
    area_px: Array
    """(N,) area of the ellipse, px^2"""
    is_dark: NDArray[np.bool_]
    """(N,) darker than what is around"""


def fit_discs(image: NDArray[np.float32], uv: Array, radius_px: Array, room_px: Array) -> Discs:
    """Fit an ellipse at each disc.

    Parameters
    ----------
    image : (H, W) float32 array
        As it was taken, not smoothed, finite.
    uv : (N, 2) array
        Centres to about 2 px.
    radius_px : (N,) array
        Radii, roughly.
    room_px : (N,) array
        Distance at which other things are printed.

    Returns
    -------
    Discs
    """
    count = len(uv)
    place, cov = uv.astype(np.float64).copy(), np.full((count, 2, 2), np.inf)
    square, freedom, blur = np.full(count, np.nan), np.zeros(count), np.full(count, np.nan)
    area, dark = np.full(count, np.nan), np.zeros(count, np.bool_)
    reach = np.minimum(np.maximum(radius_px * _AROUND, radius_px + _AROUND_PX), room_px)
    sizes = np.array(_SIZES)[np.clip(np.searchsorted(_SIZES, reach), 0, len(_SIZES) - 1)]
    for size in np.unique(sizes):
        chosen = np.flatnonzero(sizes == size)
        centre = np.rint(uv[chosen])
        patch = Patches.of(image, centre, int(size))
        rx, ry = patch.dx - (uv[chosen] - centre)[:, :1], patch.dy - (uv[chosen] - centre)[:, 1:]
        weight = (patch.inside & (np.hypot(rx, ry) < reach[chosen, None])).astype(np.float64)
        p = _start(patch.light, weight, np.hypot(rx, ry), uv[chosen] - centre, radius_px[chosen])
        fits = fit(
            p,
            patch.light,
            weight,
            lambda q, patch=patch: _model(q, patch.dx, patch.dy),  # type: ignore[misc]
            _PARAMETERS,
            _LIMITS,
            max(3.0, 0.5 * float(size)),
        )
        good = np.isfinite(fits.square)
        place[chosen] = np.where(good[:, None], fits.p[:, :2] + centre, uv[chosen])
        cov[chosen], square[chosen], freedom[chosen] = fits.cov, fits.square, fits.freedom
        blur[chosen] = np.where(good, np.exp(fits.p[:, 2]), np.nan)
        area[chosen] = np.where(good, np.pi / np.maximum(np.abs(fits.p[:, 3] * fits.p[:, 5]), 1e-9), np.nan)
        dark[chosen] = fits.p[:, 9] > 0.0
    return Discs(place, sigmas_px(cov, square, freedom), blur, area, dark)


def _start(light: Array, weight: Array, distance: Array, middle: Array, radius: Array) -> Array:
    """Parameters of round discs."""
    inner = weight * (distance < 0.6 * radius[:, None])
    outer = weight * (distance > radius[:, None] + 1.0)
    inside = (light * inner).sum(1) / np.maximum(inner.sum(1), 1.0)
    outside = np.where(outer.sum(1) > 0, (light * outer).sum(1) / np.maximum(outer.sum(1), 1.0), light.max(1))
    p = np.zeros((len(light), _PARAMETERS))
    p[:, 0:2], p[:, 3], p[:, 5] = middle, 1.0 / radius, 1.0 / radius
    p[:, 6], p[:, 9] = 0.5 * (inside + outside), 0.5 * (outside - inside)
    return p


def _light(p: Array, dx: Array, dy: Array) -> Array:
    rx, ry = dx - p[:, :1], dy - p[:, 1:2]
    a, b, c = (p[:, k, None] for k in (3, 4, 5))
    x, y = a * rx + b * ry, c * ry
    q = np.sqrt(x * x + y * y)
    slope = np.hypot(a * x, b * x + c * y) / np.maximum(q, 1e-6)
    d = (q - 1.0) / np.maximum(slope, 1e-9)
    return np.asarray(p[:, 6, None] + p[:, 7, None] * rx + p[:, 8, None] * ry + p[:, 9, None] * erf(d / np.exp(p[:, 2, None]))[0])


def _model(p: Array, dx: Array, dy: Array) -> tuple[Array, Array]:
    """Light (N, P) and its derivatives (N, K, P), by differences."""
    jacobian = np.empty((len(p), _PARAMETERS, len(dx)))
    for k in range(_PARAMETERS):
        step = np.zeros(_PARAMETERS)
        step[k] = _NUDGE[k]
        jacobian[:, k] = (_light(p + step, dx, dy) - _light(p - step, dx, dy)) / (2.0 * step[k])
    return _light(p, dx, dy), jacobian
