"""The project's own rig file: YAML with units, sizes and words that explain each entry; the round trip is exact."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from calib import files
from calib.camera import Camera
from calib.config import dump_config, parse_config
from calib.covariance import MOST_PARAMETERS, RigCovariance
from calib.errors import CalibrationError, ConfigError, InputError
from calib.geometry import Array
from calib.rig import StereoRig
from calib.rig_files.parts import Given, choose_size, choose_unit, named

_Row = tuple[float, float, float]
_Triangle = tuple[tuple[float, ...], ...]
_LIMIT_BYTES = 1_000_000  # YAML of more takes long to read; the largest covariance fills a fiftieth of it


@dataclass(frozen=True, slots=True)
class _CameraEntry:
    image_size: tuple[int, int]
    focal_px: tuple[float, float]
    centre_px: tuple[float, float]
    model: Literal["radtan", "fisheye"] = field(default="radtan", kw_only=True)  # older files do not say
    distortion: tuple[float, ...]

    def camera(self) -> Camera:
        return Camera(*self.image_size, *self.focal_px, *self.centre_px, np.array(self.distortion), self.model)

    @classmethod
    def of(cls, camera: Camera) -> "_CameraEntry":
        focal, centre = (camera.focal_x_px, camera.focal_y_px), (camera.centre_x_px, camera.centre_y_px)
        distortion = tuple(camera.distortion.tolist())
        return cls(camera.size, focal, centre, distortion, model="fisheye" if camera.is_fisheye else "radtan")


def _triangle_problem(rows: _Triangle) -> str | None:
    """What makes rows no lower triangle of a rig's covariance; None for nothing."""
    if not 1 <= len(rows) <= MOST_PARAMETERS:
        return f"a rig has 1 to {MOST_PARAMETERS} parameters, one row for each"
    wrong = next((i for i, row in enumerate(rows) if len(row) != i + 1), None)
    if wrong is None:
        return None
    return f"row {wrong + 1} has {len(rows[wrong])} numbers, but must have {wrong + 1}: the lower triangle up to the diagonal"


def _names_problem(names: tuple[str, ...]) -> str | None:
    return None if 1 <= len(names) <= MOST_PARAMETERS else f"a rig has 1 to {MOST_PARAMETERS} parameters"


@dataclass(frozen=True, slots=True)
class _CovarianceEntry:
    parameters: Annotated[tuple[str, ...], _names_problem]
    lower_triangle: Annotated[_Triangle, _triangle_problem]

    def __post_init__(self) -> None:
        try:
            self.covariance()
        except CalibrationError as error:  # found here, so that it tells the place in the file
            raise ValueError(str(error).removeprefix("covariance: ")) from error

    def covariance(self) -> RigCovariance:
        if len(self.lower_triangle) != len(self.parameters):
            raise CalibrationError(
                f"lower_triangle has {len(self.lower_triangle)} rows for {len(self.parameters)} parameters; each has one row"
            )
        lower: Array = np.zeros((len(self.parameters), len(self.parameters)))
        lower[np.tril_indices(len(lower))] = [value for row in self.lower_triangle for value in row]
        return RigCovariance(self.parameters, lower + np.tril(lower, -1).T)

    @classmethod
    def of(cls, covariance: RigCovariance) -> "_CovarianceEntry":
        return cls(covariance.names, tuple(tuple(row[: i + 1]) for i, row in enumerate(covariance.matrix.tolist())))


@dataclass(frozen=True, slots=True)
class _RigEntry:
    format: Literal["stereo-rig 1"]
    unit: Literal["m", "cm", "mm"]
    left: _CameraEntry
    right: _CameraEntry
    R_right_left: tuple[_Row, _Row, _Row]
    t_right_left: _Row
    provenance: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _RigEntryWithCovariance(_RigEntry):
    covariance: _CovarianceEntry | None = None


_CAMERA_COMMENTS = {
    "image_size": "width and height in pixels",
    "focal_px": "focal lengths fx and fy in pixels",
    "centre_px": "principal point cx and cy in pixels; the centre of the top-left pixel is (0, 0)",
    "model": "lens model: radtan (pinhole with radial and tangential distortion) or fisheye (Kannala-Brandt, cv2.fisheye)",
    "distortion": "radtan: k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4]]] in OpenCV's order, [] for none; fisheye: k1 k2 k3 k4",
}
_COMMENTS = {
    "": "A stereo rig: two cameras and the motion between them.\n"
    "A point x of the left camera's frame (x right, y down, z forward) is"
    "\nR_right_left x + t_right_left in the right camera's frame.",
    "unit": "unit of all lengths in this file: m, cm or mm",
    "R_right_left": "rotation from the left camera's frame to the right camera's, row by row",
    "t_right_left": "translation, in the unit above; a right camera that stands to the right has a negative first entry",
    "provenance": "where the numbers come from",
    "covariance": "how certain the numbers are, all together",
    "covariance.parameters": "in px, radians and metres, whatever the unit above; the true rotation is exp([w]x) R_right_left"
    "\nwith w = (rotation_x_rad, rotation_y_rad, rotation_z_rad)",
    "covariance.lower_triangle": "covariance matrix of these parameters, row by row, each up to the diagonal",
    **{f"left.{name}": text for name, text in _CAMERA_COMMENTS.items()},
}


def parse_native(text: str, path: Path, given: Given) -> StereoRig:
    """Read the text of a native rig file.

    Raises
    ------
    CalibrationError
        One line for each mistake, with its line and column, or what makes the rig impossible.
    InputError
        More than a million characters.
    """
    if len(text) > _LIMIT_BYTES:
        raise InputError(f"{path}: has {len(text)} characters; a stereo-rig file may have {_LIMIT_BYTES}")
    try:
        entry = parse_config(text, _RigEntryWithCovariance, source=str(path))
    except ConfigError as error:  # a rig is data, not settings: another exit code
        raise CalibrationError(str(error)) from error
    choose_size(path, entry.left.image_size, given)
    per_metre = choose_unit(path, entry.unit, given)
    with named(path):
        rotation, translation_m = np.array(entry.R_right_left), np.array(entry.t_right_left) / per_metre
        left, right = _camera(entry.left, "left"), _camera(entry.right, "right")
        covariance = None if entry.covariance is None else entry.covariance.covariance()
        return StereoRig(left, right, rotation, translation_m, entry.provenance, covariance)


def save_rig(path: str | Path, rig: StereoRig) -> None:
    """Write a rig in the project's own format, in metres and with every digit; `load_rig` gives the same rig back exactly.

    Parameters
    ----------
    path : str or Path
    rig : StereoRig

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    R, t = rig.R_right_left.tolist(), rig.t_right_left_m.tolist()
    entry = _RigEntry(
        "stereo-rig 1",
        "m",
        _CameraEntry.of(rig.left),
        _CameraEntry.of(rig.right),
        (tuple(R[0]), tuple(R[1]), tuple(R[2])),
        tuple(t),
        dict(rig.provenance),
    )
    if rig.covariance is not None:
        known = {name: getattr(entry, name) for name in _RigEntry.__dataclass_fields__}
        entry = _RigEntryWithCovariance(**known, covariance=_CovarianceEntry.of(rig.covariance))
    files.write_text(path, dump_config(entry, comments=_COMMENTS))


def _camera(entry: _CameraEntry, name: str) -> Camera:
    try:
        return entry.camera()
    except CalibrationError as error:
        raise CalibrationError(f"{name} {error}") from error
