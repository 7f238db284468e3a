"""KITTI calibration files: `calib/*.txt` of the object, odometry and stereo sets, and `calib_cam_to_cam.txt` of the raw sets."""

import re
from pathlib import Path

import numpy as np

from calib.camera import Camera
from calib.errors import CalibrationError, UsageError
from calib.geometry import Array
from calib.rig import StereoRig
from calib.rig_files.parts import Given, choose_size, choose_unit, named, rectified_cameras, whole_size

_PAIRS = {"colour": (2, 3), "grey": (0, 1)}


def parse_kitti(text: str, path: Path, given: Given) -> StereoRig:
    """Read the rectified rig of the colour cameras 2 and 3 (default) or the grey cameras 0 and 1 (`cameras="grey"`).

    Each projection matrix is P = K [I | t] with t in metres in the frame of camera 0, so that t = K^-1 P[:, 3]. A rectified rig
    keeps only the x-part of t_right - t_left. **Dropped** are its y- and z-parts, which KITTI's own benchmark neglects too and
    which are exactly zero for the grey pair: about 2.8 mm and 0.02 mm for the colour pair, that is a row error of f t_y / Z =
    0.2 px at 10 m. They are written down in the rig's provenance. Depth counts from the pair's left camera, not from camera 0.
    Format: Geiger et al., "Vision meets robotics: the KITTI dataset", IJRR 2013.

    Raises
    ------
    CalibrationError
        A matrix is missing or not one of a rectified rig.
    UsageError
        The image size is not stated (only raw files do) and not given, or `cameras` is not known.
    """
    choice = given.cameras or "colour"
    if choice not in _PAIRS:
        raise UsageError(f"{path}: --cameras (cameras) is {choice!r}; KITTI has {' and '.join(_PAIRS)}")
    pair = _PAIRS[choice]
    with named(path):
        entries = dict(re.findall(r"^\s*(\w+):[ \t]*(.*?)\s*$", text, re.MULTILINE))
        projections = [_projection(entries, index, choice) for index in pair]
        stated = [_stated_size(entries, index) for index in pair]
        if stated[0] != stated[1]:
            raise CalibrationError(
                f"S_rect is {stated[0]} for camera {pair[0]} but {stated[1]} for camera {pair[1]}; they must agree"
            )
    size = choose_size(path, stated[0], given)
    choose_unit(path, "m", given)
    with named(path):
        cameras = [Camera.from_matrix(P[:, :3], [], size) for P in projections]
        rectified_cameras(*cameras)
        t = np.linalg.solve(projections[1][:, :3], projections[1][:, 3]) - np.linalg.solve(
            projections[0][:, :3], projections[0][:, 3]
        )
        if not t[0] < 0.0:
            raise CalibrationError(f"camera {pair[1]} stands {-t[0]:g} m to the right of camera {pair[0]}; it must be > 0")
        provenance = {"source": f"KITTI file {path.name}, {choice} cameras {pair[0]} and {pair[1]}"}
        if np.abs(t[1:]).max() > 0.0:
            provenance["dropped"] = f"translation of {t[1] * 1e3:.4g} mm in y and {t[2] * 1e3:.4g} mm in z"
        return StereoRig(cameras[0], cameras[1], np.eye(3), np.array([t[0], 0.0, 0.0]), provenance)


def _projection(entries: dict[str, str], index: int, choice: str) -> Array:
    for name in (f"P{index}", f"P_rect_{index:02d}"):
        if name in entries:
            numbers = _numbers(entries[name], name)
            if len(numbers) != 12:
                raise CalibrationError(f"{name} has {len(numbers)} numbers; a projection matrix has 12")
            if not np.isfinite(numbers).all():
                raise CalibrationError(f"{name} is {numbers}; every number must be finite")
            return np.array(numbers).reshape(3, 4)
    other = next(each for each in _PAIRS if each != choice)
    raise CalibrationError(
        f"has no P{index} or P_rect_{index:02d} for the {choice} cameras; is it a file of the {other} ones? then give"
        f' --cameras {other} (in Python: cameras="{other}")'
    )


def _stated_size(entries: dict[str, str], index: int) -> tuple[int, int] | None:
    name = f"S_rect_{index:02d}"
    if name not in entries:
        return None
    numbers = _numbers(entries[name], name)
    if len(numbers) != 2:
        raise CalibrationError(f"{name} has {len(numbers)} numbers; a size has 2")
    return whole_size(numbers[0], numbers[1])


def _numbers(text: str, name: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError as error:
        raise CalibrationError(f"{name} is {text[:60]!r}; it must hold numbers") from error
