"""What the readers of rig files share: units, sizes, and errors that name the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from calib.camera import Camera
from calib.errors import CalibrationError, UsageError
from calib.geometry import Array, nearest_rotation, orthonormality_error
from calib.units import UNITS_PER_METRE

_ROTATION_ROUNDING = 1e-3
_ROTATION_EXACT = 1e-9


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller knows and the file may not say."""

    image_size: tuple[int, int] | None = None
    """(width, height), px"""
    unit: str | None = None
    """"m", "cm", "mm" or "in" """
    cameras: str | None = None
    """which of several pairs in the file"""


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Put the file's name before a `CalibrationError` raised inside."""
    try:
        yield
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def choose_size(path: Path, stated: tuple[int, int] | None, given: Given) -> tuple[int, int]:
    """(width, height) from the file or from the caller; absent or contradictory sizes are refused."""
    if stated is None and given.image_size is None:
        raise UsageError(
            f"{path}: states no image size; how large are the images of this rig? give --image-size WxH (in Python:"
            " image_size=(width, height))"
        )
    if stated is not None and given.image_size is not None and tuple(given.image_size) != stated:
        raise UsageError(
            f"{path}: states images of {_times(stated)} px, but --image-size (image_size) is {_times(given.image_size)};"
            " leave it out, or correct the file"
        )
    size = stated or given.image_size
    assert size is not None
    return int(size[0]), int(size[1])


def choose_unit(path: Path, stated: str | None, given: Given) -> float:
    """Units per metre, from the file or from the caller; absent or contradictory units are refused."""
    if stated is None and given.unit is None:
        raise UsageError(
            f"{path}: states no unit of length; in which unit is its translation (that of the board's squares at calibration)?"
            f" give --unit with one of {', '.join(UNITS_PER_METRE)} (in Python: unit=...)"
        )
    if stated is not None and given.unit is not None and stated != given.unit:
        raise UsageError(
            f"{path}: states lengths in {stated}, but --unit (unit) is {given.unit}; leave it out, or correct the file"
        )
    unit = stated or given.unit
    if unit not in UNITS_PER_METRE:
        raise UsageError(f"{path}: unit {unit!r} is not known; use one of {', '.join(UNITS_PER_METRE)}")
    return UNITS_PER_METRE[unit]


def whole_size(width: float, height: float) -> tuple[int, int]:
    """(width, height) from numbers that may be written as 1.242e+03."""
    if not (1 <= width < 1e9 and 1 <= height < 1e9 and width % 1 == 0 and height % 1 == 0):
        raise CalibrationError(f"the image size {width:g} x {height:g} must be whole numbers of pixels >= 1")
    return round(width), round(height)


def rounded_rotation(R: ArrayLike) -> tuple[Array, dict[str, str]]:
    """A rotation written with few digits, made orthonormal again, with the note for the rig's provenance.

    Errors above 1e-3 are left as they are, for `StereoRig` to refuse.
    """
    error = orthonormality_error(R)
    if _ROTATION_EXACT < error < _ROTATION_ROUNDING:
        return nearest_rotation(R), {"rotation": f"made orthonormal again (R R^T - I was {error:.2g}, few digits in the file)"}
    return np.asarray(R, np.float64), {}


def rectified_cameras(left: Camera, right: Camera) -> None:
    """Refuse the two cameras of a file that promises rectified images unless focal lengths and cy agree."""
    for name in ("focal_x_px", "focal_y_px", "centre_y_px"):
        a, b = getattr(left, name), getattr(right, name)
        if abs(a - b) > 1e-9 * max(1.0, abs(a)):
            raise CalibrationError(f"{name} is {a:g} on the left but {b:g} on the right; in a rectified rig they agree")


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
