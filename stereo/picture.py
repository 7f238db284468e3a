"""Pictures for the eye, each with its legend: inverse depth, signed disparity, error bars, confidence, reasons. BGR, uint8.

They show values, they do not carry them: measure in the maps. Pixels without an answer are hatched in grey, a colour that no ramp
has; filled pixels are veiled in grey. Tiny maps are enlarged; larger ones keep their pixels, and the legend is added at the right
or below.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from stereo.drawing import (
    Bar,
    Bgr,
    Picture,
    Swatch,
    attach_legend,
    depth_ticks,
    diverging,
    enlarge_small,
    fill_hatch,
    inferno,
    linear_ticks,
    share,
    to_8_bit,
    viridis,
)
from stereo.maps import FILLED, INFORMING, DepthMap, DisparityMap, Reason

_ROBUST_PERCENT = (2.0, 98.0)
_BEYOND: Bgr = (150, 96, 24)

_VEIL: Bgr = (150, 150, 150)
_VEIL_SHARE = 0.4
"""of a filled pixel's colour"""

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_REASON_SWATCHES: dict[Reason, tuple[Bgr, str]] = {
    Reason.LEFT_NODATA: ((60, 60, 60), "no data in left image"),
    Reason.NO_CANDIDATE: ((178, 114, 0), "no candidate in right image"),
    Reason.OUTSIDE_RIGHT: ((233, 180, 86), "match outside right image"),
    Reason.OCCLUDED: ((0, 94, 213), "left-right check: occluded"),
    Reason.MISMATCHED: ((92, 168, 247), "left-right check: mismatched"),
    Reason.LEFT_RIGHT: ((20, 48, 130), "left-right check"),
    Reason.AMBIGUOUS: ((66, 228, 240), "ambiguous"),
    Reason.SPECKLE: ((167, 121, 204), "speckle"),
    Reason.RIGHT_NODATA: ((120, 90, 60), "match on nodata of right image"),
    Reason.UNSUPPORTED: ((200, 40, 140), "no support around"),
    Reason.LOW_CONFIDENCE: ((140, 60, 110), "low confidence"),
    Reason.RANGE_EDGE: ((115, 158, 0), "edge of search range"),
    Reason.BEYOND_INFINITY: ((0, 159, 230), "beyond infinity"),
    Reason.CUT_RANGE: ((238, 226, 206), "measured, fewer candidates"),
    Reason.FILLED_OCCLUSION: ((190, 190, 190), "filled, occlusion"),
    Reason.FILLED_MISMATCH: ((176, 176, 176), "filled, mismatch"),
}
"""colour and text of each, the more telling first: a pixel is shown as the first of its reasons"""


def inverse_depth_picture(
    depth: DepthMap, *, near_m: float | None = None, far_m: float | None = None, legend: bool = True
) -> Picture:
    """Depth as colours that are linear in 1/Z: near is warm and bright, far is dark; the legend is in metres.

    Parameters
    ----------
    depth : DepthMap, (H, W)
    near_m, far_m : float, optional
        Ends of the colour scale; fix them to compare pictures or frames of a video. `far_m` may be infinite. By default the
        percentiles 2 and 98 of the inverse depths, so that a few wrong pixels do not spoil the scale.
    legend : bool
        False gives the coloured map alone.

    Returns
    -------
    (H', W', 3) uint8, BGR
    """
    rho = depth.inverse_depth_per_m.astype(np.float64)
    valid, beyond = np.isfinite(rho), rho < 0.0
    scale = _inverse_range(np.maximum(rho[valid], 0.0), near_m, far_m)
    low, high = scale or (0.0, 1.0)
    picture = _paint(rho, low, high, inferno())
    picture[beyond] = _BEYOND
    filled = valid & (depth.reason & np.uint16(FILLED) != 0)
    _veil(picture, filled)
    picture = _finish(picture, ~valid)
    if not legend:
        return picture
    swatches = [*_filled_swatch(filled), Swatch(None, f"no answer {_share(~valid)}")]
    if beyond.any():
        swatches.insert(0, Swatch(_BEYOND, f"beyond ∞ {_share(beyond)}"))
    if scale is None and (rho == 0.0).any():
        swatches.insert(0, Swatch(_first(inferno()), f"at ∞ {_share(rho == 0.0)}"))
    return attach_legend(picture, title="Depth", bar=Bar(inferno(), depth_ticks(low, high)) if scale else None, swatches=swatches)


def disparity_picture(disparity: DisparityMap, *, legend: bool = True) -> Picture:
    """Signed disparity: zero is white, positive (nearer than the zero-disparity plane) warm, negative cold; the legend is in px.

    Both sides share one scale, set by the larger of the percentiles 2 and 98; the legend shows the part that occurs.
    """
    d = disparity.disparity_px.astype(np.float64)
    valid = disparity.valid
    low, high = np.percentile(d[valid], _ROBUST_PERCENT) if valid.any() else (0.0, 1.0)
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    limit = max(-low, high, 1.0)
    ramp = diverging()
    picture = _paint(d, -limit, limit, ramp)
    filled = valid & disparity.filled
    _veil(picture, filled)
    picture = _finish(picture, ~valid)
    if not legend:
        return picture
    if high - low < 0.2 * limit:
        low, high = -limit, limit
    shown = ramp[round(255 * (1.0 + low / limit)) : round(255 * (1.0 + high / limit)) + 1]
    swatches = [*_filled_swatch(filled), Swatch(None, f"no answer {_share(~valid)}")]
    bar = Bar(shown, linear_ticks(low, high, "px", signed=True)) if valid.any() else None
    return attach_legend(picture, title="Disparity", bar=bar, swatches=swatches)


def sigma_picture(sigma: NDArray[np.floating[Any]], *, unit: str = "px", legend: bool = True) -> Picture:
    """One standard deviation of each pixel, from 0 (dark, sure) to percentile 98 (bright, unsure).

    Parameters
    ----------
    sigma : (H, W) float array
        `DisparityMap.sigma_px`, or `DepthMap.depth_sigma_m` with `unit="m"`; NaN where there is no answer.
    unit : str
    legend : bool
    """
    if sigma.ndim != 2:
        raise InputError(f"sigma has shape {sigma.shape}; it must be (H, W)")
    values = sigma.astype(np.float64)
    valid = np.isfinite(values)
    high = float(np.percentile(values[valid], _ROBUST_PERCENT[1])) if valid.any() else 1.0
    high = high if high > 0.0 else 1.0
    picture = _finish(_paint(values, 0.0, high, viridis()), ~valid)
    if not legend:
        return picture
    swatches = [Swatch(None, f"no answer {_share(~valid)}")]
    bar = Bar(viridis(), linear_ticks(0.0, high, unit)) if valid.any() else None
    return attach_legend(picture, title="Sigma", bar=bar, swatches=swatches)


def confidence_picture(disparity: DisparityMap, *, legend: bool = True) -> Picture:
    """Estimated probability that each disparity is right within 1 px, from 50 % or less (dark) to 100 % (bright).

    Raises
    ------
    UsageError
        The map has no confidence.
    """
    if disparity.confidence is None:
        raise UsageError("the map has no confidence; only `stereo.match` gives one, files do not keep it")
    values, valid, filled = disparity.confidence.astype(np.float64), disparity.valid, disparity.valid & disparity.filled
    picture = _paint(values, 0.5, 1.0, viridis())
    _veil(picture, filled)
    picture = _finish(picture, ~valid)
    if not legend:
        return picture
    swatches = [*_filled_swatch(filled), Swatch(None, f"no answer {_share(~valid)}")]
    bar = Bar(viridis(), linear_ticks(50.0, 100.0, "%")) if valid.any() else None
    return attach_legend(picture, title="Confidence", bar=bar, swatches=swatches)


def reason_picture(reason: NDArray[np.uint16], *, image: NDArray[Any] | None = None, legend: bool = True) -> Picture:
    """Why pixels have no answer: one colour for each reason, the share of the image in the legend; the rest pale.

    Where several reasons are set the most telling is shown, so that the shares add up to 100 %; warnings only where nothing took
    the answer away. Filled pixels show, paler, why they were not measured.

    Parameters
    ----------
    reason : (H, W) uint16, bits of `Reason`
    image : (H, W) or (H, W, 3), optional
        The left image, shown pale where there is an answer.
    legend : bool
    """
    if reason.ndim != 2 or reason.dtype != np.uint16:
        raise InputError(f"reason: {reason.dtype} of shape {reason.shape}; it must be uint16 of shape (H, W)")
    picture = _pale(image, reason.shape)
    open_ = reason != 0  # not yet shown
    swatches = [Swatch((232, 232, 232), f"measured {_share(~open_)}")]
    for bit, (colour, text) in _REASON_SWATCHES.items():
        where = open_ & (reason & np.uint16(bit) != 0)
        count = int(where.sum())
        if count:
            if bit is Reason.CUT_RANGE:  # a tint, for the image to be seen
                picture[where] = np.minimum(picture[where], colour)
            else:
                picture[where] = colour
            swatches.append(Swatch(colour, f"{text} {share(count, reason.size)}"))
            open_ &= ~where
    filled = (reason & np.uint16(FILLED) != 0) & (reason & ~np.uint16(INFORMING) != 0)
    if filled.any():
        picture[filled] = (picture[filled].astype(np.uint16) + 2 * 232) // 3
        swatches.append(Swatch((232, 232, 232), f"filled: paler {_share(filled)}"))
    picture = enlarge_small(picture)
    return attach_legend(picture, title="Reason", swatches=swatches) if legend else picture


def _inverse_range(rho: NDArray[np.float64], near_m: float | None, far_m: float | None) -> tuple[float, float] | None:
    """Ends of the colour scale, 1 / metres; None where nothing lies in front of infinity and no limit is given."""
    if (near_m is not None and not near_m > 0.0) or (far_m is not None and not far_m > (near_m or 0.0)):
        raise UsageError(f"picture limits {near_m} m to {far_m} m; give 0 < near_m < far_m")
    low, high = (float(v) for v in np.percentile(rho, _ROBUST_PERCENT)) if rho.size else (0.0, 0.0)
    if high <= 0.0 and rho.size:
        high = float(rho.max())  # a near object on an infinite background, smaller than the percentile
    if near_m is not None and far_m is not None:
        low, high = 1.0 / far_m, 1.0 / near_m
    elif far_m is not None:
        low = 1.0 / far_m
        high = max(high, 1.1 * low)
    elif near_m is not None:
        high = 1.0 / near_m
        low = min(low, 0.9 * high)
    elif high - low < 0.05 * high:  # one distance only: give the scale some width
        low, high = 0.95 * low, 1.05 * high
    return (low, high) if high > 0.0 else None


def _veil(picture: Picture, where: NDArray[np.bool_]) -> None:
    """Mix grey into the colours, in place: what was filled is not to be taken for measured."""
    if where.any():
        veiled = (1.0 - _VEIL_SHARE) * picture[where] + _VEIL_SHARE * np.array(_VEIL)
        picture[where] = np.rint(veiled).astype(np.uint8)


def _filled_swatch(filled: NDArray[np.bool_]) -> list[Swatch]:
    return [Swatch(_VEIL, f"filled, veiled {_share(filled)}")] if filled.any() else []


def _share(where: NDArray[np.bool_]) -> str:
    return share(int(where.sum()), where.size)


def _first(ramp: Picture) -> Bgr:
    b, g, r = (int(v) for v in ramp[0])
    return b, g, r


def _paint(values: NDArray[np.float64], low: float, high: float, ramp: Picture) -> Picture:
    t = np.clip((np.where(np.isfinite(values), values, low) - low) / (high - low), 0.0, 1.0)
    return np.asarray(ramp[np.rint(t * (len(ramp) - 1)).astype(np.intp)])


def _finish(picture: Picture, invalid: NDArray[np.bool_]) -> Picture:
    """Enlarge a tiny picture, then hatch: stripes keep their width."""
    picture = enlarge_small(picture)
    factor = picture.shape[0] // invalid.shape[0]
    fill_hatch(picture, np.repeat(np.repeat(invalid, factor, 0), factor, 1))
    return picture


def _pale(image: NDArray[Any] | None, shape: tuple[int, ...]) -> Picture:
    if image is None:
        return np.full((*shape, 3), 232, np.uint8)
    if image.shape[:2] != shape:
        raise InputError(
            f"the image has shape {image.shape} but the map is {shape[1]} x {shape[0]} px; use the rectified left image"
        )
    grey = to_8_bit(image)
    grey = grey if grey.ndim == 2 else np.asarray(cv2.cvtColor(grey, cv2.COLOR_BGR2GRAY), np.uint8)
    return np.repeat((170 + (grey.astype(np.uint16) * 80) // 255).astype(np.uint8)[..., None], 3, -1)
