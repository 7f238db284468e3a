"""The `calib.txt` of Middlebury 2014 / 2021 and of ETH3D two-view scenes: a rectified rig."""

import re
from pathlib import Path

import numpy as np

from calib.camera import Camera
from calib.errors import CalibrationError
from calib.geometry import Array
from calib.rig import StereoRig
from calib.rig_files.parts import Given, choose_size, choose_unit, named, rectified_cameras, whole_size

_DOFFS_TOLERANCE_PX = 0.01  # the files round to 0.001 px


def parse_middlebury(text: str, path: Path, given: Given) -> StereoRig:
    """Read `cam0=[f 0 cx; 0 f cy; 0 0 1]`, `cam1=`, `doffs=` (= cx1 - cx0, px), `baseline=` (mm), `width=`, `height=`.

    Z = baseline f / (d + doffs). The search limits and error statistics of such files (ndisp, vmin, dyavg ...) are not used.
    Format: Scharstein et al., "High-resolution stereo datasets with subpixel-accurate ground truth", GCPR 2014.

    Raises
    ------
    CalibrationError
        An entry is missing or no number, doffs disagrees with the cameras, or the cameras are not those of a rectified rig.
    """
    with named(path):
        entries = dict(re.findall(r"^\s*(\w+)\s*=\s*(.*?)\s*$", text, re.MULTILINE))
        if missing := [name for name in ("cam0", "cam1", "baseline", "width", "height") if name not in entries]:
            raise CalibrationError(
                f"lacks {', '.join(missing)}; a Middlebury calib.txt has cam0, cam1, doffs, baseline, width, height"
            )
        size = whole_size(_number(entries, "width"), _number(entries, "height"))
        cameras = [Camera.from_matrix(_matrix(entries, name), [], size) for name in ("cam0", "cam1")]
        rectified_cameras(*cameras)
        doffs = cameras[1].centre_x_px - cameras[0].centre_x_px
        if "doffs" in entries and not abs(stated := _number(entries, "doffs") - doffs) <= _DOFFS_TOLERANCE_PX:
            raise CalibrationError(
                f"doffs is {stated + doffs:g}, but cx1 - cx0 is {doffs:g} px (they may differ by {_DOFFS_TOLERANCE_PX:g});"
                " one of them belongs to another image size"
            )
        baseline = _number(entries, "baseline")
        if baseline < 0.0:
            raise CalibrationError(f"baseline is {baseline:g} mm; it must be > 0 (cam0 is the left camera)")
    choose_size(path, size, given)
    baseline_m = baseline / choose_unit(path, "mm", given)
    with named(path):
        return StereoRig(
            cameras[0], cameras[1], np.eye(3), np.array([-baseline_m, 0.0, 0.0]), {"source": f"Middlebury file {path.name}"}
        )


def _number(entries: dict[str, str], name: str) -> float:
    try:
        return float(entries[name])
    except ValueError as error:
        raise CalibrationError(f"{name} is {entries[name]!r}; it must be a number") from error


def _matrix(entries: dict[str, str], name: str) -> Array:
    try:
        rows = [[float(word) for word in row.split()] for row in entries[name].strip("[] ").split(";")]
        matrix = np.array(rows, np.float64)
    except ValueError as error:
        raise CalibrationError(f"{name} is {entries[name]!r}; it must be written [f 0 cx; 0 f cy; 0 0 1]") from error
    if matrix.shape != (3, 3):
        raise CalibrationError(f"{name} is {entries[name]!r}; it must be a 3 x 3 matrix")
    return matrix
