"""`RunResult`: what a run made; and the figures that people ask of it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from calib.rig import RectifiedPair
from stereo.maps import DepthMap, DisparityMap, PointCloud
from stereo.run_settings import RunFile
from stereo.search_range import SearchRange

_DEPTH_PERCENTS = (2, 25, 50, 75, 98)
_NEIGHBOURS = 0.02
"""part of the pixels around a percentile whose error bars are summarised"""


class DepthRow(NamedTuple):
    """One line of the table of depths."""

    percent: int
    """of the measured pixels are nearer than `depth_m`"""
    depth_m: float
    sigma_m: float
    """median error bar of the pixels at about this depth, one standard deviation"""


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """What a run made."""

    pair: RectifiedPair
    search: SearchRange
    disparity: DisparityMap
    depth: DepthMap | None
    """None without a rig"""
    cloud: PointCloud | None
    run_file: RunFile
    """inputs, resolved settings and record, as in run.yaml"""
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def valid_share(self) -> float:
        """Part of the left image's pixels that have a disparity, 0 to 1."""
        return float(self.disparity.valid.mean())

    @property
    def median_depth_m(self) -> float:
        """Median over the pixels that have an inverse depth (infinity counts as far); NaN without any."""
        if self.depth is None or not np.isfinite(self.depth.inverse_depth_per_m).any():
            return float("nan")
        middle = float(np.nanmedian(self.depth.inverse_depth_per_m))
        return 1.0 / middle if middle > 0.0 else float("inf")


def summary(result: RunResult) -> list[str]:
    """The result in a few lines for people."""
    low, high = result.search.minimum, result.search.maximum
    lines = [
        f"Range      {low}:{high} px, {result.search.evidence}",
        f"Measured   {100.0 * result.valid_share:.1f} % of the left image's pixels",
    ]
    rows = result.disparity.rows
    if rows is not None and not math.isnan(rows.rms_px):
        lines.append(f"Rows       off by {rows.rms_px:.2f} px rms, {'corrected' if rows.applied else 'left as they are'}")
    if result.depth is not None and result.cloud is not None:
        lines.append(f"Depth      median {metres(result.median_depth_m)}{_spread(result.depth)}")
        lines.append(f"Cloud      {len(result.cloud.points_xyz_m)} points")
    else:
        lines.append("Depth      none: give --rig for metres")
    return lines


def _spread(depth: DepthMap) -> str:
    rows = depth_table(depth)
    return f"; 2 to 98 % of the pixels lie between {metres(rows[0].depth_m)} and {metres(rows[-1].depth_m)}" if rows else ""


def depth_table(depth: DepthMap) -> list[DepthRow]:
    """Depths that 2, 25, 50, 75 and 98 % of the measured pixels fall short of, each with the error bar usual there.

    Percentiles are taken in inverse depth, where infinity is a number like others. Depths at or beyond infinity are infinite, and
    their error bar is NaN.
    """
    known = np.isfinite(depth.inverse_depth_per_m)
    rho = depth.inverse_depth_per_m[known].astype(np.float64)
    sigma = depth.inverse_depth_sigma_per_m[known].astype(np.float64)
    if not rho.size:
        return []
    order = np.argsort(-rho, kind="stable")  # near first
    rho, sigma = rho[order], sigma[order]
    reach = max(1, round(0.5 * _NEIGHBOURS * len(rho)))
    rows = []
    for percent in _DEPTH_PERCENTS:
        at = round(percent / 100.0 * (len(rho) - 1))
        middle = float(rho[at])
        z = 1.0 / middle if middle > 0.0 else float("inf")
        spread = float(np.median(sigma[max(0, at - reach) : at + reach + 1]))
        rows.append(DepthRow(percent, z, z * z * spread if middle > 0.0 else float("nan")))
    return rows


def metres(value: float) -> str:
    """A depth with three or four significant digits; infinity as its sign."""
    if np.isnan(value):
        return "none"
    if np.isinf(value):
        return "∞"
    return f"{value:.3f} m" if value < 10.0 else f"{value:.4g} m" if value < 1e4 else f"{value:.3g} m"
