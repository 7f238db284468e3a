"""Plots of a fit's residuals: over the images, over the board, by pair, and as a cloud."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from calib import plots
from calib.camera import Camera
from calib.fit import Fit, Mask, Residuals
from calib.geometry import Array
from calib.residual_tables import point_rms_px, view_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORST_VIEWS = 5
_MOST_BARS = 60
_CELLS = (12, 9)  # mean residuals over the image
_RIMMED: dict[str, Any] = {"edgecolors": plots.GREY, "linewidths": 0.5}
_FEW = 4  # corners in a cell from which a mean is drawn


def view_rms_px(fit: Fit) -> Array:
    """(pairs, 2) rms of the kept corners of each view, left and right; NaN for views without any."""
    return np.array([(view.left_rms_px, view.right_rms_px) for view in view_errors(fit)], np.float64).reshape(-1, 2)


def coverage_figure(fit: Fit) -> "Figure":
    """Where the corners lay in both images; those left out are marked."""
    figure = plots.new_figure(10.6, 3.7, columns=2)
    for axes, camera, side, tint, name in _image_axes(figure, fit):
        _dots(axes, side.seen_uv[side.kept], tint, 1.6)
        out = ~side.kept
        axes.plot(*side.seen_uv[out].T, "x", color=plots.BAD, ms=4.5, mew=1.0)
        axes.set_title(f"{name}: {side.kept.sum()} corners" + (f", {out.sum()} left out (crosses)" if out.any() else ""))
        _frame(axes, camera)
    return figure


def pair_bars_figure(fit: Fit) -> "Figure":
    """The rms of each pair, left and right, in the order of the capture; at most 60, the worst ones."""
    rms = view_rms_px(fit)
    order = np.arange(len(rms))
    if len(rms) > _MOST_BARS:
        worst = np.argsort(-np.nan_to_num(rms, nan=np.inf).max(1), kind="stable")[:_MOST_BARS]
        order = np.sort(worst)
    figure = plots.new_figure(10.6, 2.9)
    axes = figure.add_subplot()
    place = np.arange(len(order))
    for column, (tint, name) in enumerate(zip(plots.SIDES, ("left", "right"), strict=True)):
        axes.bar(place + 0.4 * column - 0.2, np.nan_to_num(rms[order, column]), 0.38, color=tint, label=name)
    top = float(np.nanmax(rms, initial=1e-9)) * 1.15
    for x, pair in zip(place, order, strict=True):
        if int(pair) in fit.dropped or not np.isfinite(rms[pair]).any():
            axes.text(float(x), 0.03 * top, "left out", rotation=90, ha="center", va="bottom", color=plots.BAD, fontsize=8)
    expected = float(np.sqrt(2.0)) * fit.noise_px
    axes.axhline(expected, color=plots.SOFT, lw=0.9, ls=(0, (4, 3)), label=f"corner noise {expected:.3f} px")
    axes.set_ylim(0.0, max(top, 1.3 * expected))
    axes.set_xlim(-0.8, len(order) - 0.2)
    every = max(1, -(-len(order) // 40))
    axes.set_xticks(place[::every], [str(int(pair) + 1) for pair in order[::every]])
    axes.set_xlabel("pair" + (f" (the {_MOST_BARS} worst of {len(rms)})" if len(rms) > _MOST_BARS else ""))
    axes.set_ylabel("rms per corner (px)")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    return figure


def worst_views_figure(fit: Fit) -> "Figure":
    """Residual vectors of the five views with the largest rms, exaggerated."""
    rms = np.nan_to_num(view_rms_px(fit), nan=-1.0)
    worst = [divmod(int(k), 2) for k in np.argsort(-rms.ravel(), kind="stable")[:WORST_VIEWS] if rms.ravel()[k] >= 0.0]
    figure = plots.new_figure(10.6, 2.7, columns=WORST_VIEWS, margins_in=(0.62, 0.05, 0.48, 0.42), gaps_in=(0.42, 0.6))
    for place, (pair, column) in enumerate(worst):
        side, tint = fit.sides[column], plots.SIDES[column]
        mine = (side.moment == pair) & np.isfinite(side.error_px).all(1)
        uv, error, kept = side.seen_uv[mine], side.error_px[mine], side.kept[mine]
        axes = figure.add_subplot(1, WORST_VIEWS, place + 1)
        times = _exaggeration(uv, error[kept])
        axes.plot(*uv.T, ".", color=plots.GREY, ms=3.0, mew=0)
        _vectors(axes, uv[kept], error[kept] * times, tint, 1.0)
        _vectors(axes, uv[~kept], error[~kept] * times, plots.BAD, 1.0)
        half = 0.6 * float(np.ptp(uv, axis=0).max())
        low, high = 0.5 * (uv.min(0) + uv.max(0)) - half, 0.5 * (uv.min(0) + uv.max(0)) + half
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(high[1], low[1])
        axes.set_aspect("equal")
        axes.set_title(
            f"pair {pair + 1} {'left' if column == 0 else 'right'}\n{rms[pair, column]:.3f} px rms, x {times:g}", fontsize=9
        )
        axes.set_xlabel("x (px)")
        if place == 0:
            axes.set_ylabel("y (px)")
        axes.locator_params(nbins=3)
    return figure


def field_figure(fit: Fit) -> "Figure":
    """Residuals over both images, exaggerated: each corner's in pale, the mean of each cell in strong colour."""
    figure = plots.new_figure(10.6, 3.8, columns=2)
    for axes, camera, side, tint, name in _image_axes(figure, fit):
        uv, error = side.seen_uv[side.kept], side.error_px[side.kept]
        centres, means = _cell_means(uv, error, camera)
        middle = float(np.median(np.hypot(*error.T))) if len(error) else 0.0
        times = plots.round_up(0.014 * camera.width / max(middle, 1e-6))
        _vectors(axes, uv, error * times, tint, 0.5, alpha=0.4)
        _vectors(axes, centres, means * 2.0 * times, plots.INK, 1.4)
        axes.plot(*centres.T, ".", color=plots.INK, ms=3.5, mew=0)
        axes.set_title(f"{name}: corners x {times:g}, cell means x {2.0 * times:g}")
        _frame(axes, camera)
    return figure


def scatter_figure(fit: Fit) -> "Figure":
    """Residuals of both cameras as a cloud about the origin, with circles of one and three standard deviations."""
    from matplotlib.patches import Circle

    figure = plots.new_figure(5.4, 2.9, columns=2, margins_in=(0.66, 0.12, 0.48, 0.3), gaps_in=(0.5, 0.6))
    limit = 4.5 * max(fit.noise_px, 1e-6)
    for place, (side, tint, name) in enumerate(zip(fit.sides, plots.SIDES, ("left", "right"), strict=True), 1):
        axes = figure.add_subplot(1, 2, place)
        out = ~side.kept & np.isfinite(side.error_px).all(1)
        _dots(axes, side.error_px[out], plots.BAD, 1.9)
        _dots(axes, side.error_px[side.kept], tint, 1.9, alpha=0.6)
        for times in (1.0, 3.0):
            axes.add_patch(
                Circle((0.0, 0.0), times * fit.noise_px, fill=False, ec=plots.INK, lw=0.8, ls="-" if times == 1.0 else "--")
            )
        beyond = int((np.abs(side.error_px[np.isfinite(side.error_px).all(1)]) > limit).any(1).sum())
        axes.set_xlim(-limit, limit)
        axes.set_ylim(limit, -limit)
        axes.set_aspect("equal")
        axes.set_title(name + (f" ({beyond} beyond the frame)" if beyond else ""))
        axes.set_xlabel("seen - predicted, x (px)")
        if place == 1:
            axes.set_ylabel("seen - predicted, y (px)")
    return figure


def board_figure(fit: Fit) -> "Figure":
    """Residuals carried back to the board: the median of each of its points over all views, and the bow that was found
    (the rms of each point where the board was taken as flat).

    Points of a board that is printed badly or bent otherwise than the bow can say miss the same way in every view.
    """
    in_plane = board_residuals_m(fit)
    figure = plots.new_figure(10.6, 3.5, columns=2, margins_in=(0.66, 0.72, 0.48, 0.3))
    xy = 1e3 * fit.board_m[:, :2]
    seen = np.isfinite(in_plane).all(1)
    axes = figure.add_subplot(1, 2, 1)
    times = _exaggeration(xy[seen], 1e3 * in_plane[seen]) if seen.any() else 1.0
    axes.plot(*xy.T, ".", color=plots.GREY, ms=4.0, mew=0)
    _vectors(axes, xy[seen], 1e3 * in_plane[seen] * times, plots.ACCENT, 1.2)
    largest = 1e6 * float(np.hypot(*in_plane[seen].T).max()) if seen.any() else float("nan")
    axes.set_title(f"median residual of each point, x {times:g} (largest {largest:.0f} \u00b5m)")
    bow = figure.add_subplot(1, 2, 2)
    if np.any(fit.warp_m):
        height = 1e3 * fit.board_m[:, 2]
        reach = float(np.abs(height).max())
        dots = bow.scatter(xy[:, 0], xy[:, 1], c=height, s=46, cmap="RdBu_r", vmin=-reach, vmax=reach, **_RIMMED)
        figure.colorbar(dots, ax=bow, label="height away from the viewer (mm)", shrink=0.9, pad=0.03)
        bow.set_title(f"height, bow {1e3 * fit.warp_m[0]:+.2f} mm along x, {1e3 * fit.warp_m[1]:+.2f} mm along y")
    else:
        dots = bow.scatter(xy[:, 0], xy[:, 1], c=point_rms_px(fit), s=46, cmap="YlOrBr", vmin=0.0, **_RIMMED)
        figure.colorbar(dots, ax=bow, label="rms of each point (px)", shrink=0.9, pad=0.03)
        bow.set_title("board taken as flat")
    for each in (axes, bow):
        each.set_aspect("equal")
        each.margins(0.1)
        each.invert_yaxis()
        each.set_xlabel("x on the board (mm)")
        each.set_ylabel("y on the board (mm)")
    return figure


def board_residuals_m(fit: Fit) -> Array:
    """(N, 2) median residual of each point of the board over all views of both cameras, in the board's plane, metres.

    NaN where a point was kept in fewer than four views.
    """
    ids, values = [], []
    step = 1e-3 * float(np.ptp(fit.board_m, axis=0).max())
    for camera, side, is_right in ((fit.rig.left, fit.left, False), (fit.rig.right, fit.right, True)):
        for moment in np.unique(side.moment[side.kept]):
            pose = fit.poses[int(moment)]
            if pose is None:
                continue
            mine = side.kept & (side.moment == moment)
            board = fit.board_m[side.ids[mine]]

            def image_of(
                points: Array, R: Array = pose[0], t: Array = pose[1], lens: Camera = camera, right: bool = is_right
            ) -> Array:
                x = points @ R.T + t
                return lens.project(x @ fit.rig.R_right_left.T + fit.rig.t_right_left_m if right else x)

            columns = [(image_of(board + offset) - image_of(board - offset)) / (2.0 * step) for offset in step * np.eye(3)[:2]]
            jacobian = np.stack(columns, -1)  # px of the image for metres on the board
            good = np.isfinite(jacobian).all((1, 2)) & (np.abs(np.linalg.det(np.nan_to_num(jacobian))) > 1e-12)
            values.append(np.linalg.solve(jacobian[good], side.error_px[mine][good][..., None])[..., 0])
            ids.append(side.ids[mine][good])
    found = np.full((len(fit.board_m), 2), np.nan)
    if ids:
        which, error = np.concatenate(ids), np.concatenate(values)
        for point in np.unique(which):
            if (which == point).sum() >= _FEW:
                found[point] = np.median(error[which == point], axis=0)
    return found


def _image_axes(figure: "Figure", fit: Fit) -> list[tuple["Axes", Camera, Residuals, str, str]]:
    axes = figure.subplots(1, 2)
    cameras = (fit.rig.left, fit.rig.right)
    return list(zip(axes, cameras, fit.sides, plots.SIDES, ("left", "right"), strict=True))


def _frame(axes: "Axes", camera: Camera) -> None:
    """Axes that are the image."""
    axes.set_xlim(-0.5, camera.width - 0.5)
    axes.set_ylim(camera.height - 0.5, -0.5)
    axes.set_aspect("equal")
    for spine in axes.spines.values():
        spine.set_visible(True)
    axes.set_xlabel("x (px)")
    axes.set_ylabel("y (px)")


def _vectors(axes: "Axes", start: Array, along: Array, colour: str, width: float, *, alpha: float = 1.0) -> None:
    """Lines from `start` along `along`, in the units of the axes, as one path: pages stay small."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not len(start):
        return
    codes = np.tile(np.array([Path.MOVETO, Path.LINETO], np.uint8), len(start))
    path = Path(np.stack([start, start + along], 1).reshape(-1, 2), codes)
    path.should_simplify = False
    lines = PathPatch(path, fill=False, edgecolor=colour, lw=width, alpha=alpha, capstyle="round")
    lines.set_rasterized(len(start) > plots.MOST_VECTOR_MARKS)
    axes.add_artist(lines)
    lines.set_clip_path(axes.patch)


def _dots(axes: "Axes", places: Array, colour: str, size: float, *, alpha: float = 1.0) -> None:
    """Round dots: lines that are all cap."""
    _vectors(axes, places, np.full(places.shape, 1e-6), colour, size, alpha=alpha)


def _exaggeration(places: Array, vectors: Array) -> float:
    """A round factor that makes the longer vectors about as long as the places are apart."""
    lengths = np.hypot(*vectors.T) if len(vectors) else np.zeros(0)
    if len(places) < 2 or not lengths.any():
        return 1.0
    area = float(np.prod(np.maximum(np.ptp(places, axis=0), 1e-9)))
    apart = float(np.sqrt(area / len(places)))
    return plots.round_up(0.45 * apart / float(np.percentile(lengths, 90.0)))


def _cell_means(uv: Array, error: Array, camera: Camera) -> tuple[Array, Array]:
    """Centres and mean residuals of the cells with enough corners."""
    columns, rows = _CELLS
    cell = np.floor((uv + 0.5) / np.array(camera.size) * _CELLS).astype(np.int64)
    cell = np.clip(cell, 0, np.array(_CELLS) - 1)
    index = cell[:, 1] * columns + cell[:, 0]
    count = np.bincount(index, minlength=columns * rows)
    full: Mask = count >= _FEW
    sums = [np.bincount(index, weights=weights, minlength=columns * rows)[full] for weights in (*error.T, *uv.T)]
    du, dv, u, v = (total / count[full] for total in sums)
    return np.stack([u, v], -1), np.stack([du, dv], -1)


def shown_names(names: Sequence[str], most: int = 40) -> list[str]:
    """Names of pairs, the middle of long ones left out."""
    return [name if len(name) <= most else f"{name[: most // 2 - 1]}\u2026{name[-most // 2 + 1 :]}" for name in names]
