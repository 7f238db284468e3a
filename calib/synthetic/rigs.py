"""Eight rigs on which calibrations are proved: every kind of mounting and lens that people use."""

import inspect
import math

from calib.camera import Camera
from calib.geometry import Array, rotation_from_vector
from calib.rig import StereoRig

LOW_TILT_DEG = 11.0
USUAL_TILT_DEG = 35.0

_LENS_LEFT = (-0.28, 0.10, 0.0005, -0.0003, -0.015)
_LENS_RIGHT = (-0.26, 0.09, -0.0004, 0.0002, -0.012)
_WIDE_LEFT = (-0.25, 0.075, 0.0004, -0.0002, -0.009)
_WIDE_RIGHT = (-0.24, 0.070, -0.0003, 0.0003, -0.008)
_TELE_LEFT = (-0.06, 0.35, 0.0002, -0.0003, -0.5)
_TELE_RIGHT = (-0.05, 0.30, -0.0002, 0.0002, -0.4)
_FISHEYE_LEFT = (0.02, -0.012, 0.004, -0.0009)
_FISHEYE_RIGHT = (0.018, -0.010, 0.003, -0.0007)


def simulated_rigs() -> dict[str, StereoRig]:
    """Rigs by name: normal, wide, tele, toe-in (15 degrees), vertical, unequal, fisheye (150 degrees) and low-tilt.

    Every lens is invertible all over its image. "low-tilt" is the normal rig; what is low is how its boards are held: see
    `tilt_limit_deg`. No camera is mounted quite straight, as in life.
    """
    left = Camera(1280, 960, 1000.0, 1001.0, 645.0, 472.0, _LENS_LEFT)  # type: ignore[arg-type]
    right = Camera(1280, 960, 1006.0, 1006.5, 632.0, 485.0, _LENS_RIGHT)  # type: ignore[arg-type]
    normal = _rig(left, right, (0.120, 0.001, -0.002), (0.4, -0.9, 0.6))
    rigs = {
        "normal": normal,
        "wide": _rig(
            Camera(1280, 720, 680.0, 680.5, 642.0, 355.0, _WIDE_LEFT),  # type: ignore[arg-type]
            Camera(1280, 720, 683.0, 682.5, 635.0, 364.0, _WIDE_RIGHT),  # type: ignore[arg-type]
            (0.075, -0.001, 0.001),
            (-0.5, 0.7, 0.3),
        ),
        "tele": _rig(
            Camera(1920, 1080, 4000.0, 4003.0, 955.0, 548.0, _TELE_LEFT),  # type: ignore[arg-type]
            Camera(1920, 1080, 4020.0, 4018.0, 968.0, 533.0, _TELE_RIGHT),  # type: ignore[arg-type]
            (0.150, 0.002, 0.003),
            (0.2, 1.8, -0.4),
        ),
        "toe-in": _rig(left, right, (0.200, 0.0, 0.004), (0.3, 15.0, -0.5)),
        "vertical": _rig(left, right, (0.003, 0.120, -0.002), (-0.8, 0.4, 0.7)),
        "unequal": _rig(
            left,
            Camera(1920, 1200, 1900.0, 1902.0, 950.0, 610.0, _LENS_RIGHT),  # type: ignore[arg-type]
            (0.100, 0.002, 0.006),
            (0.5, 1.2, -0.8),
        ),
    }
    if "model" in inspect.signature(Camera).parameters:
        rigs["fisheye"] = _rig(
            _fisheye(480.0, 643.0, 475.0, _FISHEYE_LEFT),
            _fisheye(484.0, 634.0, 483.0, _FISHEYE_RIGHT),
            (0.100, 0.001, -0.002),
            (0.6, 1.1, -0.5),
        )
    return rigs | {"low-tilt": normal}


def tilt_limit_deg(name: str) -> float:
    """Greatest tilt of the boards that go with one of `simulated_rigs`, degrees."""
    return LOW_TILT_DEG if name == "low-tilt" else USUAL_TILT_DEG


def _fisheye(focal_px: float, x: float, y: float, coefficients: tuple[float, ...]) -> Camera:
    return Camera(1280, 960, focal_px, focal_px + 0.5, x, y, coefficients, model="fisheye")  # type: ignore[arg-type]


def _rig(left: Camera, right: Camera, centre_m: tuple[float, float, float], turned_deg: tuple[float, float, float]) -> StereoRig:
    """The right camera's centre in the left frame and how it is turned there: about x, y and z; y > 0 looks inwards."""
    R: Array = rotation_from_vector([math.radians(angle) for angle in turned_deg])
    return StereoRig(left, right, R, -R @ centre_m)
