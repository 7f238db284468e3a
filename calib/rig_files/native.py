"""The project's own rig file: YAML with units, sizes and words that explain each entry; the round trip is exact."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from calib import files
from calib.camera import Camera
from calib.config import dump_config, parse_config
from calib.errors import CalibrationError, ConfigError
from calib.rig import StereoRig
from calib.rig_files.parts import Given, choose_size, choose_unit, named

_Row = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _CameraEntry:
    image_size: tuple[int, int]
    focal_px: tuple[float, float]
    centre_px: tuple[float, float]
    distortion: tuple[float, ...]

    def camera(self) -> Camera:
        return Camera(*self.image_size, *self.focal_px, *self.centre_px, np.array(self.distortion))

    @classmethod
    def of(cls, camera: Camera) -> "_CameraEntry":
        focal, centre = (camera.focal_x_px, camera.focal_y_px), (camera.centre_x_px, camera.centre_y_px)
        return cls(camera.size, focal, centre, tuple(camera.distortion.tolist()))


@dataclass(frozen=True, slots=True)
class _RigEntry:
    format: Literal["stereo-rig 1"]
    unit: Literal["m", "cm", "mm"]
    left: _CameraEntry
    right: _CameraEntry
    R_right_left: tuple[_Row, _Row, _Row]
    t_right_left: _Row
    provenance: dict[str, str] = field(default_factory=dict)


_CAMERA_COMMENTS = {
    "image_size": "width and height in pixels",
    "focal_px": "focal lengths fx and fy in pixels",
    "centre_px": "principal point cx and cy in pixels; the centre of the top-left pixel is (0, 0)",
    "distortion": "k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4]]] in OpenCV's order; [] for none",
}
_COMMENTS = {
    "": "A stereo rig: two cameras and the motion between them.\n"
    "A point x of the left camera's frame (x right, y down, z forward) is"
    "\nR_right_left x + t_right_left in the right camera's frame.",
    "unit": "unit of all lengths in this file: m, cm or mm",
    "R_right_left": "rotation from the left camera's frame to the right camera's, row by row",
    "t_right_left": "translation, in the unit above; a right camera that stands to the right has a negative first entry",
    "provenance": "where the numbers come from",
    **{f"left.{name}": text for name, text in _CAMERA_COMMENTS.items()},
}


def parse_native(text: str, path: Path, given: Given) -> StereoRig:
    """Read the text of a native rig file.

    Raises
    ------
    CalibrationError
        One line for each mistake, with its line and column, or what makes the rig impossible.
    """
    try:
        entry = parse_config(text, _RigEntry, source=str(path))
    except ConfigError as error:  # a rig is data, not settings: another exit code
        raise CalibrationError(str(error)) from error
    choose_size(path, entry.left.image_size, given)
    per_metre = choose_unit(path, entry.unit, given)
    with named(path):
        rotation, translation_m = np.array(entry.R_right_left), np.array(entry.t_right_left) / per_metre
        return StereoRig(_camera(entry.left, "left"), _camera(entry.right, "right"), rotation, translation_m, entry.provenance)


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
    files.write_text(path, dump_config(entry, comments=_COMMENTS))


def _camera(entry: _CameraEntry, name: str) -> Camera:
    try:
        return entry.camera()
    except CalibrationError as error:
        raise CalibrationError(f"{name} {error}") from error
