"""A rig drawn: with letters for the terminal, with lines for reports and picture files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from calib import files, plots
from calib.corner_order import Pose
from calib.errors import UsageError
from calib.geometry import Array
from calib.rig import StereoRig

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 72, 17
_ASPECT = 2.0  # a character is about twice as high as wide
_REACH = 0.8  # of the baseline: length of the rays drawn
_SIDE_SHARE, _SIDE_DEG = 0.1, 2.0  # offset over baseline and tilt from which the view from the side tells something
_WIDEST_SINE = 0.766
_EYE_DEG = (38.0, 24.0)
"""turn and height of the eye in the 3-D drawing"""


class _CameraRays(NamedTuple):
    letter: str
    centre_m: Array
    axis: Array
    across: tuple[Array, Array]
    """unit vectors of the views through the middles of the left and right image border, or the end of what the lens sees"""
    down: tuple[Array, Array]
    corners: Array
    """(4, 3) unit vectors through the image's corners"""


def draw_text(rig: StereoRig) -> list[str]:
    """The rig from above and, where the cameras differ in height or tilt, from the side; letters only, at most 72 wide.

    Both are true to scale (a character counting as twice as high as wide). Lines are the view axes and the borders of the views.
    """
    cameras = _rays(rig)
    lines = ["from above (forwards is up):", "", *_drawn(rig, cameras, across=0, up=2, above=True)]
    y = abs(float(rig.centre_right_m[1]))
    tilt_deg = np.degrees(np.arcsin(np.clip(abs(cameras[1].axis[1]), 0.0, 1.0)))
    if y > _SIDE_SHARE * rig.baseline_m or tilt_deg > _SIDE_DEG:
        lines += ["", "from the side (forwards is to the right):", "", *_drawn(rig, cameras, across=2, up=1, above=False)]
    return lines


def _rays(rig: StereoRig) -> list[_CameraRays]:
    turned = rig.R_right_left.T
    placed = (("L", rig.left, np.eye(3), np.zeros(3)), ("R", rig.right, turned, rig.centre_right_m))
    cameras = []
    for letter, camera, R, centre in placed:
        middle_u, middle_v = camera.centre_x_px, camera.centre_y_px
        right, bottom = camera.width - 1.0, camera.height - 1.0
        pixels = [(0.0, middle_v), (right, middle_v), (middle_u, 0.0), (middle_u, bottom)]
        pixels += [(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)]
        d = camera.unproject(pixels)
        d /= np.linalg.norm(d, axis=-1, keepdims=True)
        fold = min(camera.fold_angle_rad(), np.pi)  # where the lens sees less than its image holds, the view ends there
        ends = [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)]
        rim = np.column_stack([np.sin(fold) * np.array(ends), np.full(4, np.cos(fold))])
        d[:4] = np.where(np.isfinite(d[:4]), d[:4], rim)
        d[4:] = _narrowed(d[4:], np.array(pixels[4:]) - (middle_u, middle_v))
        d = d @ R.T
        cameras.append(_CameraRays(letter, centre, R[:, 2], (d[0], d[1]), (d[2], d[3]), d[4:]))
    return cameras


def _narrowed(rays: Array, from_centre: Array) -> Array:
    """Rays (N, 3) at most 50 degrees off the axis: no frame can be drawn around a wider view."""
    azimuth = from_centre / np.linalg.norm(from_centre, axis=-1, keepdims=True)
    edge = np.column_stack([_WIDEST_SINE * azimuth, np.full(len(rays), np.sqrt(1.0 - _WIDEST_SINE**2))])
    return np.where((rays[:, 2] > edge[:, 2])[:, None], rays, edge)


def _drawn(rig: StereoRig, cameras: Sequence[_CameraRays], *, across: int, up: int, above: bool) -> list[str]:
    """One view; `across` and `up` are the axes of the left camera's frame that run across and up (y is down)."""
    sign = 1.0 if above else -1.0
    reach = _REACH * rig.baseline_m

    def flat(point: Array) -> Array:
        return np.array([point[across], sign * point[up]])

    ends = [flat(camera.centre_m) for camera in cameras]
    rays = []
    for camera in cameras:
        seen = [ray for ray in (camera.axis, *(camera.across if above else camera.down)) if np.isfinite(ray).all()]
        rays += [(flat(camera.centre_m), flat(camera.centre_m + reach * ray), ray is camera.axis) for ray in seen]
    box = np.array([*ends, *(end for _, end, _ in rays)])
    low, high = box.min(0), box.max(0)
    size = np.maximum(high - low, 1e-9)
    scale = min((_WIDTH - 3) / size[0], _ASPECT * (_HEIGHT - 1) / size[1])  # characters in a metre
    columns, rows = round(float(size[0] * scale)) + 3, round(float(size[1] * scale / _ASPECT)) + 1
    canvas = [[" "] * columns for _ in range(rows)]

    def cell(point: Array) -> tuple[int, int]:
        return round((high[1] - point[1]) * scale / _ASPECT), round((point[0] - low[0]) * scale) + 1

    for start, end, is_axis in rays:
        _line(canvas, cell(start), cell(end), dotted=is_axis)
    _line(canvas, cell(ends[0]), cell(ends[1]), dotted=False)
    for camera, end in zip(cameras, ends, strict=True):
        row, column = cell(end)
        canvas[row][column] = camera.letter
    lines = ["".join(row).rstrip() for row in canvas]
    left, right = (camera.view_deg[0 if above else 1] for camera in (rig.left, rig.right))
    step_m = nice_step(20.0 / scale)
    bar = "|" + "-" * max(1, round(step_m * scale) - 1) + "|"
    lines += [
        "",
        f" {bar} {length_text(step_m)}, L to R {1e3 * rig.baseline_m:.2f} mm, views L {left:.1f} and R {right:.1f} degrees",
    ]
    return lines


def _line(canvas: list[list[str]], start: tuple[int, int], end: tuple[int, int], *, dotted: bool) -> None:
    """Characters along a line, chosen by its slope; `dotted` for view axes."""
    down, along = end[0] - start[0], end[1] - start[1]
    steps = max(abs(down), abs(along), 1)
    if dotted:
        mark = "."
    elif abs(down) * _ASPECT < 0.4 * abs(along):
        mark = "-"
    elif abs(along) < 0.4 * abs(down) * _ASPECT * 0.5:
        mark = "|"
    else:
        mark = "\\" if (down > 0) == (along > 0) else "/"
    steep = abs(down) >= abs(along)
    for i in range(steps + 1):
        row, column = round(start[0] + down * i / steps), round(start[1] + along * i / steps)
        if dotted and not steep and i % 2:
            continue
        if 0 <= row < len(canvas) and 0 <= column < len(canvas[0]) and (not dotted or canvas[row][column] == " "):
            canvas[row][column] = mark


def nice_step(rough: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above a positive number."""
    power = 10.0 ** np.floor(np.log10(rough))
    return float(power * next(n for n in (5.0, 2.0, 1.0) if n * power <= rough * (1.0 + 1e-9)))


def length_text(length_m: float) -> str:
    """A round length in mm below 1 m, in m from there on."""
    return f"{1e3 * length_m:g} mm" if length_m < 0.9995 else f"{length_m:g} m"


def rig_figure(
    rig: StereoRig, *, board_m: Array | None = None, poses: Sequence[Pose | None] = (), errors_px: Sequence[float] = ()
) -> "Figure":
    """The rig in three views: in space, from above and from the side; with the boards where they were held.

    Parameters
    ----------
    rig : StereoRig
    board_m : (4, 3) array, optional
        Outline of the board in its own frame, metres.
    poses : sequence of (R, t) or None
        The board in the left camera's frame.
    errors_px : sequence of float
        One for each pose: colours the boards; NaN is grey.

    Returns
    -------
    matplotlib.figure.Figure
    """
    boards = []
    if board_m is not None:
        shades = list(errors_px) if len(errors_px) else [float("nan")] * len(poses)
        boards = [(board_m @ p[0].T + p[1], e) for p, e in zip(poses, shades, strict=True) if p is not None]
    figure = plots.new_figure(10.6, 4.4, columns=2, rows=2, margins_in=(0.1, 0.12, 0.48, 0.3), gaps_in=(0.85, 0.75))
    grid = figure.add_gridspec(2, 2, width_ratios=[1.25, 1.0])
    cameras = _rays(rig)
    nearest = max((float(np.median([quad[:, 2].mean() for quad, _ in boards])) if boards else 0.0), rig.baseline_m)
    reach = 0.45 * nearest if boards else _REACH * rig.baseline_m
    colour = plots.error_colours([e for _, e in boards])
    _space(figure.add_subplot(grid[:, 0]), rig, cameras, boards, reach, colour)
    for row, (across, up, title) in enumerate(((0, 2, "from above"), (2, 1, "from the side"))):
        axes = figure.add_subplot(grid[row, 1])
        for (quad, _), shade in zip(boards, colour, strict=True):
            loop = np.concatenate([quad, quad[:1]])
            axes.plot(loop[:, across], loop[:, up], color=shade, lw=0.9)
        for camera, tint in zip(cameras, plots.SIDES, strict=True):
            edges = camera.across if up == 2 else camera.down
            for ray in (camera.axis, *edges):
                tip = camera.centre_m + reach * ray
                style = (0, (4, 3)) if ray is camera.axis else "-"
                axes.plot(*zip(camera.centre_m[[across, up]], tip[[across, up]], strict=True), color=tint, lw=0.9, ls=style)
            axes.plot(*camera.centre_m[[across, up]], "o", color=tint, ms=5)
        base = np.array([cameras[0].centre_m, cameras[1].centre_m])
        axes.plot(base[:, across], base[:, up], color=plots.INK, lw=1.6)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("x right (m)" if across == 0 else "z forwards (m)")
        axes.set_ylabel("z forwards (m)" if up == 2 else "y down (m)")
        axes.set_title(title)
        if up == 1:
            axes.invert_yaxis()
    return figure


def _space(
    axes: "Axes",
    rig: StereoRig,
    cameras: Sequence[_CameraRays],
    boards: Sequence[tuple[Array, float]],
    reach: float,
    colour: Sequence[str],
) -> None:
    """The drawing in space: parallel projection, seen from behind, above and beside."""
    turn, height = np.radians(_EYE_DEG)
    right = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    forward = np.array([np.sin(turn) * np.cos(height), np.sin(height), np.cos(turn) * np.cos(height)])
    view = np.array([right, np.cross(forward, right), forward])  # rows: right, down, away from the eye

    def flat(points: Array) -> Array:
        return np.asarray(points @ view.T)[..., :2] * [1.0, -1.0]

    far_first = sorted(zip(boards, colour, strict=True), key=lambda item: -float((item[0][0] @ view[2]).mean()))
    for (quad, _), shade in far_first:
        axes.fill(*flat(quad).T, facecolor=shade, edgecolor=shade, alpha=0.22, lw=0)
        axes.plot(*flat(np.concatenate([quad, quad[:1]])).T, color=shade, lw=1.0)
    size = (0.35 if boards else 0.6) * reach
    for camera, tint in zip(cameras, plots.SIDES, strict=True):
        frame = camera.centre_m + size * camera.corners / (camera.corners @ camera.axis)[:, None]
        axes.plot(*flat(np.concatenate([frame, frame[:1]])).T, color=tint, lw=1.3)
        for corner in frame:
            axes.plot(*flat(np.array([camera.centre_m, corner])).T, color=tint, lw=1.0)
        axes.plot(*flat(np.array([frame[0], frame[1]])).T, color=tint, lw=3.0)  # the image's upper side
        name = "left" if camera.letter == "L" else "right"
        axes.annotate(name, tuple(flat(camera.centre_m).tolist()), (7, -4), textcoords="offset points", color=tint, fontsize=9)
        axes.plot(*flat(camera.centre_m), "o", color=tint, ms=4)
    axes.plot(*flat(np.array([cameras[0].centre_m, cameras[1].centre_m])).T, color=plots.INK, lw=2.0)
    _triad(axes, flat)
    axes.set_aspect("equal")
    axes.margins(0.08)
    low, high = axes.get_xlim()
    step = nice_step(0.3 * (high - low))
    bottom = axes.get_ylim()[0]
    axes.plot([low, low + step], [bottom, bottom], color=plots.INK, lw=2.0, clip_on=False)
    axes.annotate(length_text(step), (low + step, bottom), (5, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_title(f"baseline {1e3 * rig.baseline_m:.2f} mm" + (f", {len(boards)} boards" if boards else ""))
    axes.set_axis_off()


def _triad(axes: "Axes", flat: Callable[[Array], Array]) -> None:
    """The directions of x, y and z in a corner of the drawing, 26 points long whatever the scale."""
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    for vector, name in zip(np.eye(3), "xyz", strict=True):
        x, y = 26.0 * flat(vector)
        arrow = {"arrowstyle": "<|-", "color": plots.SOFT, "lw": 1.0, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (0.97, 0.93), (x, y), arrowprops=arrow, **place)
        axes.annotate(name, (0.97, 0.93), (1.3 * x, 1.3 * y), ha="center", va="center", color=plots.SOFT, **place)


def picture_file(path: str | Path) -> Path:
    """The place of a picture, proven fit before the work.

    Raises
    ------
    UsageError
        A suffix other than .png and .svg.
    OutputError
        Not a place where a file can go.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".svg"):
        raise UsageError(
            f"{path}: the picture's name must end in .png or .svg, not {repr(suffix) if suffix else 'without suffix'}"
        )
    return files.output_file(path)


def save_picture(path: str | Path, rig: StereoRig) -> None:
    """Write the rig as PNG or SVG, by the suffix; the same rig gives the same bytes.

    Raises
    ------
    UsageError
        Another suffix.
    OutputError
        The file cannot be written.
    """
    output = picture_file(path)
    with plots.style():
        figure = rig_figure(rig)
    if output.suffix.lower() == ".svg":
        files.write_text(output, plots.svg(figure))
    else:
        files.write_bytes(output, plots.png(figure))
