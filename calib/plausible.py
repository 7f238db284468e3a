"""Whether a solution may be believed: the gates between an adjustment, which returns numbers from anything, and a rig."""

from collections.abc import Sequence

import numpy as np

from calib.camera import Camera
from calib.errors import CalibrationError
from calib.fit import CameraFit, Fit
from calib.geometry import Array

LEAST_TILT_DEG = 5.0
_MOST_BASELINE_SIGMA = 0.1
_MOST_FOCAL_SIGMA = 0.05  # of the focal length
_RMS_LIMIT = 1.25e-3  # of the image diagonal: 1 px at 640 x 480
_RUNAWAY, _FEW = 100.0, 5  # size of coefficients, of models that have more than so many
_MARGIN = 0.02  # of the angle at which a lens folds back
_MOST_REJECTED = 0.35  # of one camera's corners
_ADVICE_BOARD = "check that the board is as --target says, flat, and sharp in every image"
_ADVICE_TILT = "Take more pictures with the board tilted by 20 to 40 degrees to all sides"


def rms_limit_px(size: tuple[int, int]) -> float:
    """Above this error the model is not that of the pictures: 1 px at 640 x 480, in proportion to the image."""
    return _RMS_LIMIT * float(np.hypot(*size))


def explains(fit: CameraFit) -> bool:
    """Whether one camera alone explains its corners at all."""
    return fit.rms_px <= rms_limit_px(fit.camera.size) and fit.rejected_share <= _MOST_REJECTED


def check_single(fit: CameraFit, side: str, names: Sequence[str], view_rms_px: Array) -> None:
    """Refuse a camera that does not explain its corners, or whose pictures do not determine its focal length.

    Parameters
    ----------
    fit : CameraFit
    side : str
        "left" or "right", for the message.
    names : sequence of str
        Of the pairs.
    view_rms_px : (pairs,) array
        Error of each view, all corners; NaN where there is none.

    Raises
    ------
    CalibrationError
    """
    if not explains(fit):
        order = [i for i in np.argsort(-np.nan_to_num(view_rms_px, nan=-1.0)) if np.isfinite(view_rms_px[i])][:3]
        worst = "; ".join(f"{names[i]}: {view_rms_px[i]:.1f} px" for i in order)
        raise CalibrationError(
            f"{side} camera: the corners miss their prediction by {fit.rms_px:.2f} px rms (limit"
            f" {rms_limit_px(fit.camera.size):.2f} px), {fit.rejected_share:.0%} of them left out as wrong (limit"
            f" {_MOST_REJECTED:.0%}); the worst pairs are {worst}; {_ADVICE_BOARD}"
        )
    if fit.tilt_deg < LEAST_TILT_DEG:
        raise CalibrationError(
            f"{side} camera: the boards are all held alike, their tilts differ by {fit.tilt_deg:.1f} degrees at most (limit"
            f" {LEAST_TILT_DEG:g}, good: 30 and more); such pictures cannot tell the focal length. {_ADVICE_TILT}"
        )
    focal = fit.camera.focal_x_px
    if not fit.focal_sigma_px < _MOST_FOCAL_SIGMA * focal:
        raise CalibrationError(
            f"{side} camera: the focal length is uncertain by {fit.focal_sigma_px / focal:.0%} ({focal:.0f} px, limit"
            f" {_MOST_FOCAL_SIGMA:.0%}); the pictures do not determine it. {_ADVICE_TILT}"
        )


def check_fit(fit: Fit) -> None:
    """Refuse a rig that does not explain its corners, or whose lenses fold back where corners were seen.

    Raises
    ------
    CalibrationError
    """
    limit = max(rms_limit_px(camera.size) for camera in (fit.rig.left, fit.rig.right))
    if not fit.rms_px <= limit:
        pairs = [_pair_rms(fit, i) for i in range(len(fit.names))]
        worst = sorted(((rms, name) for rms, name in zip(pairs, fit.names, strict=True) if np.isfinite(rms)), reverse=True)[:3]
        raise CalibrationError(
            f"no rig explains all pairs: {fit.rms_px:.2f} px rms (limit {limit:.2f} px), while each camera alone is fine; the"
            f" worst are {'; '.join(f'{name}: {rms:.1f} px' for rms, name in worst)}. Was each pair taken at one moment, by the"
            " same two cameras, and do the names pair up?"
        )
    sigma_m = fit.rig.baseline_sigma_m
    if sigma_m is None or not sigma_m < _MOST_BASELINE_SIGMA * fit.rig.baseline_m:
        raise CalibrationError(
            f"the baseline is {1e3 * fit.rig.baseline_m:.3g} mm, uncertain by {1e3 * (sigma_m or np.inf):.3g} mm (limit"
            f" {_MOST_BASELINE_SIGMA:.0%}): the pictures do not tell two places of the cameras; are left and right of one camera?"
        )
    for name, camera, side in (("left", fit.rig.left, fit.left), ("right", fit.rig.right, fit.right)):
        sigma_px = fit.rig.sigma(f"{name}.focal_x_px")
        if not sigma_px < _MOST_FOCAL_SIGMA * camera.focal_x_px:
            raise CalibrationError(
                f"{name} camera: the focal length found ({fit.model}) is uncertain by {sigma_px / camera.focal_x_px:.0%} (limit"
                f" {_MOST_FOCAL_SIGMA:.0%}); the pictures do not determine it. {_ADVICE_TILT}"
            )
        angle = _widest_rad(camera, side.seen_uv[side.kept])
        if not angle < camera.fold_angle_rad() * (1.0 - _MARGIN):
            raise CalibrationError(
                f"{name} camera: the distortion found ({fit.model}) folds back {np.degrees(camera.fold_angle_rad()):.1f} degrees"
                " off the axis, where corners were seen; try another --model"
            )


def lens_doubt(fit: Fit) -> str:
    """What to say of lenses that are not determined all over the image; empty for sound ones.

    A distortion that folds back sends two directions to one pixel; where corners were seen it may not do so at all, elsewhere
    rectification leaves such pixels out. Eight coefficients that run away cancel each other where corners were, not elsewhere.
    """
    for name, camera in (("left", fit.rig.left), ("right", fit.rig.right)):
        if np.abs(camera.distortion).max(initial=0.0) > _RUNAWAY and len(camera.distortion) > _FEW:
            return (
                f"{name} camera: the coefficients of {fit.model} reach {np.abs(camera.distortion).max():.3g} (limit {_RUNAWAY:g})"
            )
        if not is_invertible(camera):
            return (
                f"{name} camera: the distortion found ({fit.model}) folds back {np.degrees(camera.fold_angle_rad()):.1f} degrees"
                " off the axis, inside the image: nothing can be measured beyond; hold the board into the corners of the image,"
                " too"
            )
    return ""


def is_invertible(camera: Camera) -> bool:
    """Whether every pixel of the image has one direction; of a fisheye's image, whose circle may end before, the middle half."""
    x, y = np.linspace(0.0, camera.width - 1.0, 33), np.linspace(0.0, camera.height - 1.0, 33)
    edge = np.concatenate(
        [np.stack([x, 0 * x + v], -1) for v in (0.0, y[-1])] + [np.stack([0 * y + u, y], -1) for u in (0.0, x[-1])]
    )
    if camera.is_fisheye:
        edge = edge * 0.5 + 0.25 * (np.array(camera.size) - 1.0)
    return bool(np.isfinite(camera.unproject(edge)).all())


def _widest_rad(camera: Camera, uv: Array) -> float:
    """Greatest angle off the axis at which corners were seen; infinite where the lens has none for a corner."""
    rays = camera.unproject(uv)
    angles = np.arctan2(np.linalg.norm(rays[:, :2], axis=1), rays[:, 2])
    return float(np.nan_to_num(angles, nan=np.inf).max(initial=0.0))


def _pair_rms(fit: Fit, pair: int) -> float:
    errors = np.concatenate([side.error_px[(side.moment == pair) & side.kept] for side in fit.sides])
    return float(np.sqrt((errors * errors).sum(1).mean())) if len(errors) else float("nan")
