"""A rig in words, with the error bars that its covariance gives."""

import numpy as np

from calib.camera import Camera
from calib.depth_sigma import USUAL_DISPARITY_SIGMA_PX, depth_table
from calib.geometry import angle_deg
from calib.rig import StereoRig


def describe(rig: StereoRig) -> list[str]:
    """Lines that tell a person what a rig is: sizes, focal lengths, fields of view, baseline, angles, rectified or not.

    Angles of the right camera against the left one: pan about y (positive: it looks further right), tilt about x (positive:
    further up), roll about the view axis (positive: clockwise, as seen from behind). Where the rig has a covariance, each number
    carries its standard deviation, and the error of depth that follows from all of them is told for some depths.
    """
    lines = [f"left   {_camera(rig, 'left')}", f"right  {_camera(rig, 'right')}"]
    x, y, z = (1e3 * rig.centre_right_m).tolist()
    sides = [(x, "right", "left"), (y, "below", "above"), (z, "in front", "behind")]
    place = ", ".join(f"{abs(value):.2f} mm {more if value >= 0.0 else less}" for value, more, less in sides)
    baseline = f"{1e3 * rig.baseline_m:.2f}"
    if rig.baseline_sigma_m is not None and np.isfinite(rig.baseline_sigma_m):
        baseline = with_sigma(1e3 * rig.baseline_m, 1e3 * rig.baseline_sigma_m)
    lines.append(f"baseline {baseline} mm: seen from the left camera the right one is {place}")
    lines.append(_angles(rig))
    if rig.is_rectified:
        lines.append(f"rectified: yes; focal length {rig.focal_px:.3f} px, doffs {rig.doffs_px:.3f} px")
    else:
        lines.append("rectified: no")
    if rig.covariance is not None:
        lines += _depths(rig)
    lines += [f"{name}: {text}" for name, text in rig.provenance.items()]
    return [part for line in lines for part in line.split("\n")]


def with_sigma(value: float, sigma: float, *, sign: str = "+-") -> str:
    """A number and its standard deviation, rounded so that the latter keeps two figures, or one from 0.3 of its place on.

    `with_sigma(120.2034, 0.0812)` is "120.20 +- 0.08".
    """
    if not np.isfinite(sigma) or sigma < 0.0:
        return f"{value:.6g}"
    if sigma == 0.0:
        return f"{value:.6g} {sign} 0"
    power = int(np.floor(np.log10(sigma)))
    digits = max(0, -power if sigma / 10.0**power >= 2.95 else 1 - power)
    return f"{value:.{digits}f} {sign} {sigma:.{digits}f}" if digits <= 7 else f"{value:.4g} {sign} {sigma:.1g}"


def _camera(rig: StereoRig, side: str) -> str:
    camera: Camera = rig.left if side == "left" else rig.right

    def number(value: float, name: str, plain: str) -> str:
        return plain if rig.covariance is None else with_sigma(value, rig.sigma(f"{side}.{name}"))

    u, v = camera.centre_x_px, camera.centre_y_px
    focal_x = number(camera.focal_x_px, "focal_x_px", f"{camera.focal_x_px:.2f}")
    focal_y = number(camera.focal_y_px, "focal_y_px", f"{camera.focal_y_px:.2f}")
    centre = f"{number(u, 'centre_x_px', f'{u:.2f}')}, {number(v, 'centre_y_px', f'{v:.2f}')}"
    names = camera.coefficient_names
    terms = [f"{name} {number(value, name, f'{value:.5g}')}" for name, value in zip(names, camera.distortion, strict=True)]
    lens = "fisheye " if camera.is_fisheye else ""
    wide, high = camera.view_deg
    size, view = f"{camera.width} x {camera.height} px", f"view {wide:.1f} x {high:.1f} degrees"
    scale = f"focal length {focal_x} x {focal_y} px, centre ({centre}) px"
    distortion = f"{lens}{', '.join(terms) or 'no distortion'}"
    if rig.covariance is None:
        return f"{size}, {scale}, {view}, {distortion}"
    return f"{size}, {view}\n       {scale}\n       {distortion}"


def _angles(rig: StereoRig) -> str:
    axis = rig.R_right_left.T[:, 2]  # the right camera's view axis in the left camera's frame
    up = rig.R_right_left.T[:, 1]
    pan, tilt = np.degrees(np.arctan2(axis[0], axis[2])), np.degrees(np.arcsin(np.clip(-axis[1], -1.0, 1.0)))
    roll = np.degrees(np.arctan2(-up[0], up[1]))
    between = angle_deg(rig.R_right_left)
    pan, tilt, roll = (round(float(angle), 3) + 0.0 for angle in (pan, tilt, roll))  # + 0.0: no minus sign before zero
    text = f"angles {between:.3f} degrees between the cameras: pan {pan:+.3f}, tilt {tilt:+.3f}, roll {roll:+.3f}"
    if rig.covariance is None:
        return text
    about = ", ".join(f"{axis} {np.degrees(rig.sigma(f'rotation_{axis}_rad')):.2g}" for axis in "xyz")
    return f"{text}; certain to (degrees about the right camera's axes) {about}"


def _depths(rig: StereoRig) -> list[str]:
    """The errors of depth in the middle and in the corners of the left image."""
    return [f"error of depth, one sigma, matching at {USUAL_DISPARITY_SIGMA_PX:g} px:", *(f"  {row}" for row in depth_table(rig))]
