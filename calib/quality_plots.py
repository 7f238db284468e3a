"""Plots of what a calibration is worth: the error of depth over image and range, and the poses that would help most."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from calib import plots
from calib.depth_sigma import USUAL_DISPARITY_SIGMA_PX, depth_sigma, depth_table, suitable_depths_m
from calib.next_poses import MOST_POSES, NextPose
from calib.rig import StereoRig

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAP_CELLS = (64, 48)
_CURVE_POINTS = 13
_MOST_COLOURS = 9
_WIDEST_RANGE = 100.0  # of colours; larger values share the last one


def depth_curve_figure(rig: StereoRig, *, matching_px: float = USUAL_DISPARITY_SIGMA_PX) -> "Figure":
    """Sigma of depth over range: calibration at the middle and the corners, matching, and all of it together."""
    depths = np.geomspace(0.4 * suitable_depths_m(rig)[0], 2.0 * suitable_depths_m(rig)[-1], _CURVE_POINTS)
    rows = depth_table(rig, depths, sigma_disparity_px=matching_px)
    centre, corner, matching = (
        np.array([getattr(row, name) for row in rows])
        for name in ("centre_calibration_m", "corner_calibration_m", "centre_matching_m")
    )
    figure = plots.new_figure(10.6, 3.4, margins_in=(0.85, 0.12, 0.48, 0.1))
    axes = figure.add_subplot()
    axes.loglog(depths, corner, color=plots.ACCENT, lw=1.5, ls=(0, (5, 2)), label="calibration, corners")
    axes.loglog(depths, centre, color=plots.ACCENT, lw=1.8, label="calibration, middle")
    axes.loglog(depths, np.hypot(centre, matching), color=plots.GREY, lw=4.0, zorder=1, label="both, middle")
    axes.loglog(depths, matching, color=plots.SIDES[0], lw=1.5, label=f"matching at {matching_px:g} px, middle")
    _plain_lengths(axes, x=True, y=True)
    axes.set_xlabel("depth (m)")
    axes.set_ylabel("standard deviation of depth")
    axes.grid(which="major")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left")
    return figure


def depth_maps_figure(rig: StereoRig, depths_m: Sequence[float]) -> "Figure":
    """Sigma of depth that the calibration causes, over the left image, for points at each depth; white: not seen by both."""
    import matplotlib

    columns, rows = _MAP_CELLS
    width, height = rig.left.size
    x, y = (np.arange(columns) + 0.5) * width / columns - 0.5, (np.arange(rows) + 0.5) * height / rows - 0.5
    figure = plots.new_figure(10.6, 3.7, columns=len(depths_m), margins_in=(0.66, 0.35, 0.48, 0.3), gaps_in=(0.95, 0.6))
    for place, depth_m in enumerate(depths_m, 1):
        sigma = depth_sigma(rig, np.stack(np.meshgrid(x, y), -1), depth_m)
        axes = figure.add_subplot(1, len(depths_m), place)
        known = plots.finite(sigma)
        if len(known):
            edges = _levels(float(known.min()), float(np.percentile(known, 98.0)))
            shades = matplotlib.colormaps["YlOrBr"](np.linspace(0.05, 0.9, len(edges)))
            drawn = axes.contourf(x, y, np.ma.masked_invalid(sigma), levels=edges, colors=shades, extend="max")
            bar = figure.colorbar(drawn, ax=axes, shrink=0.9, pad=0.03, ticks=edges)
            bar.ax.set_yticklabels([length_label(edge) for edge in edges])
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(height - 0.5, -0.5)
        axes.set_aspect("equal")
        for spine in axes.spines.values():
            spine.set_visible(True)
        axes.set_xlabel("x in the left image (px)")
        axes.set_ylabel("y in the left image (px)")
        axes.set_title(f"calibration's sigma of depth at {depth_m:g} m")
    return figure


def next_poses_figure(rig: StereoRig, poses: Sequence[NextPose]) -> "Figure":
    """Boards to hold: the outline of each over both image frames; the board's upper side is drawn thick."""
    outlines = [(pose.left_outline_uv, pose.right_outline_uv) for pose in poses]
    titles = [f"{i}: depth error \u2212{100.0 * pose.gain:.0f} %" for i, pose in enumerate(poses, 1)]
    figure = plots.new_figure(10.6, 3.5, columns=MOST_POSES, rows=2, margins_in=(0.66, 0.12, 0.48, 0.3), gaps_in=(0.12, 0.12))
    for place, (sides, title) in enumerate(zip(outlines[:MOST_POSES], titles, strict=False)):
        for row, (quad, camera, tint, name) in enumerate(
            zip(sides, (rig.left, rig.right), plots.SIDES, ("left", "right"), strict=True)
        ):
            axes = figure.add_subplot(2, MOST_POSES, row * MOST_POSES + place + 1)
            loop = np.concatenate([quad, quad[:1]])
            axes.fill(quad[:, 0], quad[:, 1], facecolor=tint, alpha=0.2, lw=0)
            axes.plot(loop[:, 0], loop[:, 1], color=tint, lw=1.2)
            axes.plot(quad[:2, 0], quad[:2, 1], color=tint, lw=3.0)
            axes.set_xlim(-0.5, camera.width - 0.5)
            axes.set_ylim(camera.height - 0.5, -0.5)
            axes.set_aspect("equal")
            for spine in axes.spines.values():
                spine.set_visible(True)
            axes.locator_params(nbins=3)
            if row == 0:
                axes.set_title(title, fontsize=9)
                axes.set_xticklabels([])
            else:
                axes.set_xlabel("x (px)")
            if place == 0:
                axes.set_ylabel(f"{name}, y (px)")
            else:
                axes.set_yticklabels([])
    return figure


def length_label(length_m: float) -> str:
    """A length in the unit that suits it: 0.05 mm, 12 mm, 3.4 m."""
    if not np.isfinite(length_m):
        return "\u2014"
    if length_m < 0.9995e-4:
        return f"{float(f'{1e6 * length_m:.2g}'):g} \u00b5m"
    if length_m < 0.9995:
        return f"{float(f'{1e3 * length_m:.2g}'):g} mm"
    return f"{float(f'{length_m:.3g}'):g} m"


def _levels(low: float, high: float) -> list[float]:
    """Round steps that cover a range."""
    high = min(high, _WIDEST_RANGE * low)
    if not high > low * (1.0 + 1e-9):
        high = low * 1.1 + 1e-12
    if high / max(low, 1e-12) > 8.0:  # wide ranges in 1, 2, 5
        powers = range(int(np.floor(np.log10(max(low, high * 1e-4)))), int(np.ceil(np.log10(high))) + 1)
        steps = [n * 10.0**power for power in powers for n in (1.0, 2.0, 5.0)]
    else:
        step = plots.round_up((high - low) / _MOST_COLOURS)
        steps = [step * k for k in range(int(np.floor(low / step)), int(np.ceil(high / step)) + 1)]
    first = max((k for k, edge in enumerate(steps) if edge <= low), default=0)
    last = next((k for k, edge in enumerate(steps) if edge >= high), len(steps) - 1)
    return [float(f"{edge:.6g}") for edge in steps[first : max(last, first + 1) + 1]]


def _plain_lengths(axes: "Axes", *, x: bool, y: bool) -> None:
    """Logarithmic axes with labels that people read: 1, 2, 5 and units instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    for wanted, axis, label in (
        (x, axes.xaxis, lambda value, _: f"{value:g}"),
        (y, axes.yaxis, lambda value, _: length_label(value)),
    ):
        if wanted:
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if axis is axes.xaxis else (1.0,)))
            axis.set_major_formatter(FuncFormatter(label))
            axis.set_minor_locator(NullLocator())
            axis.set_minor_formatter(NullFormatter())
