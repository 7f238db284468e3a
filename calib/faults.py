"""What is wrong with a capture, in words: every fault with the evidence that separates it from all others, and what to do.

Each test looks at what only its own fault does. Corners are judged against each camera alone (`calib.faults_evidence`), so that
the other camera cannot spoil them; pairs by the motion between the cameras that each tells, weighed by the noise of its corners
(`calib.faults_motion`). Limits are in units of that noise, with a least effect below which a fault does no harm.
"""

from dataclasses import replace

import cv2
import numpy as np

from calib import faults_told as told
from calib.board_shape import Board
from calib.detection import BoardViews, Detection
from calib.errors import CalibrationError
from calib.faults_capture import (
    declared_scale,
    detections,
    duplicate_pairs,
    exchanged_share,
    mirrored_share,
    rough_tilt_deg,
    tilt_spread_deg,
)
from calib.faults_corners import ROW_LIMIT, clustered_outliers, lens_pattern, parity_pattern, shifted_rows
from calib.faults_evidence import Side, fit_bow, scale_of, side_of
from calib.faults_kinds import Fault, ranked
from calib.faults_motion import Fine, Rough, explain, fine_motion, rough_motion
from calib.fit import CameraFit, Fit
from calib.geometry import Array
from calib.single import solve_camera

__all__ = ["Fault", "diagnose"]

Sides = tuple[Side | None, Side | None]

SIDES = ("left", "right")

_MODELS = ("radtan5", "fisheye")  # a pinhole unless a fisheye is much better
_MUCH_BETTER = 0.7
_LEAST_PAIRS, _GOOD_PAIRS = 5, 10
_LOW_TILT_DEG = 8.0
_PATTERN_SHARE, _PATTERN_PX = 0.15, 0.15
_SURE_SHARE = 0.03  # below it no other lens is tried
_PARITY_SHARE, _PARITY_SIGMAS, _PARITY_PX = 0.15, 10.0, 0.3
_BLUR_PX = 4.5
_STRANGE = 3.0  # times the median view's error: another resolution is tried
_BOW_SHARE = 1e-3  # of the board's longer side
_UNSTEADY, _UNSTEADY_RATIO = 2.5, 1.15  # chi square per degree of freedom; joint error over single error
_PAIR_CHI2 = 40.0  # of 6 degrees of freedom: 5e-7 by chance


def diagnose(
    views: BoardViews,
    fit: Fit | None = None,
    *,
    mono: tuple[CameraFit | None, CameraFit | None] | None = None,
    model: str = "auto",
) -> tuple[Fault, ...]:
    """Name what is wrong with a capture.

    Parameters
    ----------
    views : BoardViews
        As detected, before any repair.
    fit : Fit, optional
        What the solver made of it; None where it failed.
    mono : two CameraFit or None, optional
        Each camera alone, as far as solved; default: those of the fit, or solved here where there is none.
    model : str
        The lens model that was asked for; for solving here.

    Returns
    -------
    tuple of Fault
        Most harmful and most certain first. The last ones are the two faults that no picture shows, a constant lag between the
        cameras and a wrong size of the squares, each with the check that would reveal it.
    """
    found = _of_capture(views, fit)
    names = {fault.name for fault in found}
    if not names & {"mirrored-images", "board-not-found", "identical-images"}:
        read = _by_rows(views) if any(exchanged_share(detections(views, k), views.target) > 0.5 for k in (0, 1)) else views
        if fit is not None:
            mono = fit.mono
        elif mono is None or read is not views:  # lenses fitted to corners in disorder tell nothing
            mono = _alone(read, model)
        sides = _sides(read, mono)
        found += _of_sides(views, sides, fit)
        if not {fault.name for fault in found} & {"wrong-resolution", "mixed-resolutions"}:
            found += _of_pairs(views, sides, fit, {fault.name for fault in found})
    return ranked(found + told.invisible(views.target))


def _alone(views: BoardViews, model: str) -> tuple[CameraFit | None, CameraFit | None]:
    """Each camera alone, whatever comes of it; None where nothing does."""
    found: list[CameraFit | None] = []
    flat = views.target.object_points()
    for number, size in enumerate((views.left_size, views.right_size)):
        best: CameraFit | None = None
        seen = detections(views, number)
        for name in _MODELS if model == "auto" else (model,):
            try:
                single = solve_camera(Board(flat), seen, size, name).fit
            except (CalibrationError, np.linalg.LinAlgError, cv2.error):
                continue
            if best is None or single.rms_px < _MUCH_BETTER * best.rms_px:
                best = single
            side = side_of(single.camera, flat, seen, single.poses)
            if side is not None and lens_pattern(side)[0] < _SURE_SHARE:
                break  # this lens is what the model says
        found.append(best)
    return found[0], found[1]


def _grave(fit: Fit | None) -> str:
    """How bad a fault is that leaves the solver an answer, or none."""
    return "warning" if fit is not None else "refused"


def _of_capture(views: BoardViews, fit: Fit | None) -> list[Fault]:
    """From the bare corners."""
    found: list[Fault] = []
    both = sum(pair.left is not None and pair.right is not None for pair in views.pairs)
    if both < _LEAST_PAIRS:
        lost = [pair.problem for pair in views.pairs if pair.problem]
        is_lost = len(views.pairs) >= _LEAST_PAIRS and bool(lost)
        found.append(
            told.not_found(views, both, lost, _LEAST_PAIRS)
            if is_lost
            else told.too_few(both, _LEAST_PAIRS, _GOOD_PAIRS, _grave(fit))
        )
    exchanged = ("", 0.0)
    for number, name in enumerate(SIDES):
        seen = detections(views, number)
        swapped, mirrored = exchanged_share(seen, views.target), mirrored_share(seen, views.target)
        if swapped > 0.5:
            exchanged = exchanged if exchanged[0] else (name, swapped)
        elif mirrored > 0.5:
            found.append(told.mirrored(name, mirrored))
    if exchanged[0]:
        found.append(told.exchanged(*exchanged, views.target, fit is not None))
    same = duplicate_pairs(views)
    found += [told.duplicates(views, same)] if same else []
    names = {fault.name for fault in found}
    return found + [fault for fault in told.noted(views) if fault.name not in names]


def _sides(views: BoardViews, mono: tuple[CameraFit | None, CameraFit | None]) -> Sides:
    """Each camera's own evidence, for a flat board."""
    sides: list[Side | None] = []
    for number, alone in enumerate(mono):
        side = None
        if alone is not None:
            poses = (list(alone.poses) + [None] * len(views.pairs))[: len(views.pairs)]
            side = side_of(alone.camera, views.target.object_points(), detections(views, number), poses)
        sides.append(side)
    return sides[0], sides[1]


def _of_sides(views: BoardViews, sides: Sides, fit: Fit | None) -> list[Fault]:
    """From each camera alone."""
    found: list[Fault] = []
    tilts = []
    for number, (name, side) in enumerate(zip(SIDES, sides, strict=True)):
        size = (views.left_size, views.right_size)[number]
        if side is None:
            tilts.append(rough_tilt_deg(detections(views, number), views.target, size))
            continue
        if len(side.views) >= 3:
            tilts.append(tilt_spread_deg(side))
        found += _resolution(views, name, side, size, fit)
    low = [tilt for tilt in tilts if tilt < _LOW_TILT_DEG]
    if low:
        found.append(told.low_tilt(min(low), _LOW_TILT_DEG, _grave(fit)))
    if any(fault.name in ("wrong-resolution", "mixed-resolutions") for fault in found):
        return found
    judged = [(name, side) for name, side in zip(SIDES, sides, strict=True) if side is not None and len(side.views) >= 3]
    flat = views.target.object_points()
    bowed = [(name, fit_bow(side, flat)[0]) for name, side in judged]
    for (name, side), (_, better) in zip(judged, bowed, strict=True):
        share, size_px = min(lens_pattern(side), lens_pattern(better))
        if share > _PATTERN_SHARE and size_px > _PATTERN_PX:
            kind = "fisheye" if side.camera.model == "fisheye" else f"pinhole with {len(side.camera.distortion)} coefficients"
            return [*found, told.lens(name, kind, share, size_px)]
    for name, side in bowed:
        share, sigmas, size_px = parity_pattern(side, views.target)
        if share > _PARITY_SHARE and sigmas > _PARITY_SIGMAS and size_px > _PARITY_PX:
            return [*found, told.parity(name, share, sigmas, size_px)]
    return found + _bent(views, judged, bowed, fit) + _local(views, bowed)


def _resolution(views: BoardViews, name: str, side: Side, size: tuple[int, int], fit: Fit | None) -> list[Fault]:
    """Corners of images of another size, all or some."""
    scale = declared_scale(side, size)
    if scale != 1.0:
        return [told.resolution(name, scale, size, _grave(fit))]
    usual = float(np.median([view.rms_px for view in side.views.values()]))
    strange = side.odd | {moment: view for moment, view in side.views.items() if view.rms_px > _STRANGE * usual}
    scales = {moment: scale_of(side, view) for moment, view in strange.items()}
    other = {moment: scale for moment, scale in scales.items() if scale != 1.0}
    return [told.mixed(views, name, other, _grave(fit))] if other else []


def _bent(views: BoardViews, judged: list[tuple[str, Side]], bowed: list[tuple[str, Side]], fit: Fit | None) -> list[Fault]:
    """The bow that the fit has found, or one that both cameras see alike."""
    limit = _BOW_SHARE * float(np.ptp(views.target.object_points()[:, :2], axis=0).max())
    bow: Array = np.zeros(2) if fit is None else np.asarray(fit.warp_m, np.float64)
    if not bow.any():
        bows = np.array([side.bow_m for _, side in bowed])
        helps = [after.noise_px < 0.98 * before.noise_px for (_, before), (_, after) in zip(judged, bowed, strict=True)]
        if not bowed or not all(helps) or np.abs(bows[0] - bows[-1]).max() > 0.3 * np.abs(bows).max():
            return []
        bow = bows.mean(0)
    is_mended = fit is not None and bool(np.any(fit.warp_m))
    return [told.bent(bow, limit, is_mended)] if np.abs(bow).max() > limit else []


def _local(views: BoardViews, judged: list[tuple[str, Side]]) -> list[Fault]:
    """Blur, glare and single rows: what spoils some views only."""
    found: list[Fault] = []
    every = [view for _, side in judged for view in (*side.views.values(), *side.odd.values())]
    blurry = {view.moment for view in every if view.blur_px > _BLUR_PX}
    if blurry:
        sharp = [view.rms_px for view in every if view.moment not in blurry]
        soft = [view for view in every if view.moment in blurry]
        errors = f", errors {np.median([v.rms_px for v in soft]):.2f} px against {np.median(sharp):.2f} px" if sharp else ""
        width = float(np.nanmedian([view.blur_px for view in soft]))
        found.append(told.blurred(views, blurry, len({view.moment for view in every}), width, _BLUR_PX, errors))
    for name, side in judged:
        rows = [row for row in shifted_rows(side, views.target) if row.moment not in blurry]
        cluster = clustered_outliers(side, views.target)
        if cluster is not None and set(cluster.moments) - {row.moment for row in rows} - blurry:
            found.append(told.glare(views, name, cluster))
        elif rows:
            found.append(told.shifted_row(views, name, rows, ROW_LIMIT))
    return found


def _of_pairs(views: BoardViews, sides: Sides, fit: Fit | None, known: set[str]) -> list[Fault]:
    """From the motion between the cameras that each pair tells."""
    left, right = sides
    rough = None if left is None or right is None else rough_motion(left, right)
    if left is None or right is None or rough is None:
        return []
    found: list[Fault] = []
    names = {i: pair.name for i, pair in enumerate(views.pairs)}
    apart = tuple(int(m) for m in rough.moments[~rough.agrees])
    cause = explain(left, right, rough) if apart and len(rough.moments) >= 4 else None
    repaired = tuple(fit.repaired) if fit is not None and "rows-columns-swapped" not in known else ()
    if cause is not None and cause.kind.startswith("mirrored"):
        return [told.mirrored(cause.kind.split()[-1], 1.0)]
    if cause is not None and cause.kind == "shifted":
        return [told.shifted_pairs(cause, rough, names, _grave(fit))]
    if cause is not None and cause.kind.startswith("turned"):
        found.append(told.turned(cause, rough, names, _grave(fit)))
    elif cause is not None or repaired:
        pairs = tuple(sorted({*repaired, *(cause.pairs if cause is not None else ())}))
        found.append(told.flipped(pairs, names, fit is not None))
    if "wrong-lens-model" not in known:
        flat = views.target.object_points()
        fine = fine_motion(fit_bow(left, flat)[0], fit_bow(right, flat)[0], rough)
        mended = {*repaired, *(cause.pairs if cause is not None else ())}
        found += _unsteady(fine, rough, [m for m in apart if m not in mended], names, fit)
    x, y, z = -rough.R.T @ rough.t_m
    if rough.share > 0.5 and x < 0.0 and abs(x) > max(abs(y), abs(z)) and not found:
        found.append(told.swapped(-rough.R.T @ rough.t_m))
    return found


def _unsteady(fine: Fine | None, rough: Rough, apart: list[int], names: dict[int, str], fit: Fit | None) -> list[Fault]:
    """A camera that moved, or pictures that are not of one moment."""
    grave = "warning" if fit is not None and rough.share > 0.5 else "refused"
    if fine is not None and fine.scatter > _UNSTEADY and fine.rms_ratio > _UNSTEADY_RATIO:
        if fine.split and fine.split_scatter < max(_UNSTEADY, 0.1 * fine.scatter):
            return [told.moved(fine, names, grave)]
        late = sorted({*apart, *(int(m) for m in fine.moments[fine.chi2 > _PAIR_CHI2])})
        return [told.unsynchronised(late, rough, fine, names, grave)]
    return [told.unsynchronised(apart, rough, None, names, grave)] if apart else []


def _by_rows(views: BoardViews) -> BoardViews:
    """The views with corners listed column by column put in order."""
    shape = views.target.shape
    assert shape is not None
    order = np.argsort(np.arange(views.target.corner_count).reshape(shape).T.ravel())

    def change(d: Detection | None) -> Detection | None:
        return None if d is None or len(d.ids) != len(order) else replace(d, corners_uv=d.corners_uv[order])

    return replace(views, pairs=tuple(replace(p, left=change(p.left), right=change(p.right)) for p in views.pairs))
