"""A rig in words."""

import numpy as np

from calib.camera import Camera
from calib.geometry import angle_deg
from calib.rig import StereoRig

_NAMES = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4")


def describe(rig: StereoRig) -> list[str]:
    """Lines that tell a person what a rig is: sizes, focal lengths, fields of view, baseline, angles, rectified or not.

    Angles of the right camera against the left one: pan about y (positive: it looks further right), tilt about x (positive:
    further up), roll about the view axis (positive: clockwise, as seen from behind).
    """
    lines = [f"left   {_camera(rig.left)}", f"right  {_camera(rig.right)}"]
    x, y, z = (1e3 * rig.centre_right_m).tolist()
    sides = [(x, "right", "left"), (y, "below", "above"), (z, "in front", "behind")]
    place = ", ".join(f"{abs(value):.2f} mm {more if value >= 0.0 else less}" for value, more, less in sides)
    lines.append(f"baseline {1e3 * rig.baseline_m:.2f} mm: seen from the left camera the right one is {place}")
    axis = rig.R_right_left.T[:, 2]  # the right camera's view axis in the left camera's frame
    up = rig.R_right_left.T[:, 1]
    pan, tilt = np.degrees(np.arctan2(axis[0], axis[2])), np.degrees(np.arcsin(np.clip(-axis[1], -1.0, 1.0)))
    roll = np.degrees(np.arctan2(-up[0], up[1]))
    between = angle_deg(rig.R_right_left)
    pan, tilt, roll = (round(float(angle), 3) + 0.0 for angle in (pan, tilt, roll))  # + 0.0: no minus sign before zero
    lines.append(f"angles {between:.3f} degrees between the cameras: pan {pan:+.3f}, tilt {tilt:+.3f}, roll {roll:+.3f}")
    if rig.is_rectified:
        lines.append(f"rectified: yes; focal length {rig.focal_px:.3f} px, doffs {rig.doffs_px:.3f} px")
    else:
        lines.append("rectified: no")
    lines += [f"{name}: {text}" for name, text in rig.provenance.items()]
    return lines


def _camera(camera: Camera) -> str:
    u, v = camera.centre_x_px, camera.centre_y_px
    wide = _angle(camera, (0.0, v), (camera.width - 1.0, v))
    high = _angle(camera, (u, 0.0), (u, camera.height - 1.0))
    distortion = (
        ", ".join(f"{name} {value:.5g}" for name, value in zip(_NAMES, camera.distortion, strict=False)) or "no distortion"
    )
    return (
        f"{camera.width} x {camera.height} px, focal length {camera.focal_x_px:.2f} x {camera.focal_y_px:.2f} px,"
        f" centre ({u:.2f}, {v:.2f}) px, view {wide:.1f} x {high:.1f} degrees, {distortion}"
    )


def _angle(camera: Camera, a: tuple[float, float], b: tuple[float, float]) -> float:
    """Angle between the views of two pixels, degrees; NaN where the lens model does not reach that far."""
    p, q = camera.unproject([a, b])
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(p, q)), np.dot(p, q))))
