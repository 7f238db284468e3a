"""Rigs written with OpenCV's FileStorage (YAML, XML or JSON), as its stereo calibration sample and countless programs do."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from calib import files
from calib.camera import Camera
from calib.errors import CalibrationError
from calib.geometry import Array, rotation_from_vector
from calib.rig import StereoRig
from calib.rig_files.parts import Given, choose_size, choose_unit, named, rounded_rotation, whole_size
from calib.rig_files.storage import read_storage, to_number

_SIDES = (("1", "l", "left"), ("2", "r", "right"))
_MATRIX_NAMES = ("m", "k", "cm", "cameramatrix", "intrinsics", "intrinsicmatrix")
_DISTORTION_NAMES = ("d", "dist", "distcoeffs", "distcoeff", "distortion", "distortioncoefficients", "distortioncoeffs")
_ROTATION_NAMES = ("r", "rotation", "rotationmatrix", "rmat")
_TRANSLATION_NAMES = ("t", "translation", "translationvector", "tvec")
_MODEL_NAMES = ("distortionmodel", "lensmodel")
_MODELS = {
    "radtan": ("radtan", "pinhole", "plumbbob", "rationalpolynomial", "rational", "brownconrady", "opencv"),
    "fisheye": ("fisheye", "equidistant", "kannalabrandt", "kannalabrandt4", "kb4"),
}
_LARGEST_TANGENTIAL = 0.05


def parse_opencv(text: str, path: Path, given: Given) -> StereoRig:
    """Read an OpenCV stereo calibration: two camera matrices, two distortion vectors, R and T with x_right = R x_left + T.

    Names may be M1 D1 M2 D2 R T, K1 .., cameraMatrix1 distCoeffs1 .., with `_left` and `_right`, and so on. The numbers may lie
    in one file, or in `intrinsics.*` and `extrinsics.*` beside each other. Such files seldom state the image size and never the
    unit: both must then be given. Rectification results (R1 R2 P1 P2 Q) are ignored: they are computed anew. The lens is a
    pinhole unless the file says otherwise (`distortion_model: fisheye` or `equidistant`, `fisheye_model: 1`).

    Raises
    ------
    CalibrationError, UsageError
    """
    entries = _read(text, path)
    partner = _partner(path)
    if partner is not None:
        entries = {**_read(files.read_bytes(partner, kind="calibration file").decode("utf-8", "replace"), partner), **entries}
    with named(path):
        matrices = [_find(entries, _with_side(_MATRIX_NAMES, side), "camera matrix", path) for side in _SIDES]
        distortions = [_find(entries, _with_side(_DISTORTION_NAMES, side), "distortion", path) for side in _SIDES]
        rotation = _find(entries, _ROTATION_NAMES, "rotation R", path)
        translation = _find(entries, _TRANSLATION_NAMES, "translation T", path)
        models = [_lens_model(entries, side) for side in _SIDES]
        size = _size(entries)
    width_height = choose_size(path, size, given)
    unit = entries.get("unit", entries.get("units"))
    per_metre = choose_unit(path, unit if isinstance(unit, str) else None, given)
    with named(path):
        for d, model in zip(distortions, models, strict=True):
            if model is None:
                _refuse_fisheye(d.reshape(-1))
        cameras = [
            Camera.from_matrix(k, d, width_height, model or "radtan")
            for k, d, model in zip(matrices, distortions, models, strict=True)
        ]
        R = rotation_from_vector(rotation) if rotation.size == 3 else rotation
        R, notes = rounded_rotation(R)
        if any(model is None and d.size == 4 and d.any() for d, model in zip(distortions, models, strict=True)):
            notes["lens model"] = "four coefficients taken as k1 k2 p1 p2 of a pinhole; the file names no lens model"
        return StereoRig(
            cameras[0], cameras[1], R, translation.reshape(-1) / per_metre, {"source": f"OpenCV file {path.name}", **notes}
        )


def _read(text: str, path: Path) -> dict[str, Any]:
    """Top-level entries: matrices as arrays, numbers as floats, texts, short lists; names in lower case without underscores."""
    return {re.sub("[_ -]", "", name).lower(): _value(entry) for name, entry in read_storage(text, path).items()}


def _value(entry: Any) -> Any:
    if isinstance(entry, dict):
        return _matrix(entry)
    if isinstance(entry, list):
        return [_value(each) for each in entry[:100]]
    number = to_number(entry)
    return entry if number is None else number


def _matrix(entry: dict[str, Any]) -> Array | None:
    """The array of an `opencv-matrix` or `opencv-nd-matrix`; None for another map or where shape and data disagree."""
    shape = entry.get("sizes", [entry.get("rows"), entry.get("cols")])
    shape = [shape] if isinstance(shape, str) else shape  # one number in XML
    data = entry.get("data")
    if not isinstance(shape, list) or not isinstance(data, list):
        return None
    lengths, numbers = [to_number(each) for each in shape], [to_number(each) for each in data]
    if None in lengths or None in numbers:
        return None
    array = np.array(numbers, np.float64)
    return array.reshape([int(n) for n in lengths if n]) if np.prod(np.array(lengths, float)) == array.size > 0 else None


def _partner(path: Path) -> Path | None:
    """`extrinsics.yml` for `intrinsics.yml` and the other way round, where it is there."""
    for here, there in (("intrinsic", "extrinsic"), ("extrinsic", "intrinsic")):
        if here in path.name and (partner := path.with_name(path.name.replace(here, there))).is_file():
            return partner
    return None


def _with_side(names: tuple[str, ...], side: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}{end}" for name in names for end in side) + tuple(f"{side[2]}{name}" for name in names)


def _find(entries: dict[str, Any], names: tuple[str, ...], what: str, path: Path) -> Array:
    for name in names:
        value = entries.get(name)
        if name in entries and value is None:
            raise CalibrationError(f"{name} cannot be read as a matrix: its rows x cols must equal the count of its data")
        if isinstance(value, (list, np.ndarray)) and len(value):
            try:
                return np.array(value, np.float64)
            except (TypeError, ValueError):  # texts, or rows of unequal length
                continue
    if "cameramatrix" in entries:
        raise CalibrationError(
            "holds one camera only (camera_matrix); a rig needs both cameras, R and T: calibrate the pair together"
        )
    partner = "; its partner (intrinsics / extrinsics) is not beside it" if "trinsic" in path.name and not _partner(path) else ""
    raise CalibrationError(f"has no {what}: none of the names {', '.join(names[:6])} ... holds numbers{partner}")


def _size(entries: dict[str, Any]) -> tuple[int, int] | None:
    for pair in (("imagewidth", "imageheight"), ("width", "height")):
        width, height = (entries.get(name) for name in pair)
        if isinstance(width, float) and isinstance(height, float):
            return whole_size(width, height)
    for name in ("imagesize", "size", "resolution"):
        value = entries.get(name)
        numbers = value.ravel().tolist() if isinstance(value, np.ndarray) else value
        if isinstance(numbers, list) and len(numbers) == 2 and all(isinstance(n, float) for n in numbers):
            return whole_size(numbers[0], numbers[1])
    return None


def _lens_model(entries: dict[str, Any], side: tuple[str, ...]) -> str | None:
    """The lens model that a file states for a camera, by our name; None where it states none."""
    for name in (*_with_side(_MODEL_NAMES, side), *_MODEL_NAMES):
        if name not in entries:
            continue
        word = re.sub("[^a-z0-9]", "", str(entries[name]).lower())
        for model, words in _MODELS.items():
            if word in words:
                return model
        known = ", ".join(each for words in _MODELS.values() for each in words)
        raise CalibrationError(f"{name} is {str(entries[name])[:40]!r}; known lens models are {known}")
    flags = [entries.get(name) for name in ("fisheyemodel", "fisheye")]
    return "fisheye" if any(isinstance(flag, float) and flag != 0.0 for flag in flags) else None


def _refuse_fisheye(d: Array) -> None:
    """Four coefficients that no pinhole has, in a file that names no lens model."""
    if len(d) == 4 and np.abs(d[2:]).max() > _LARGEST_TANGENTIAL:
        raise CalibrationError(
            f"distortion {d.tolist()}: as a pinhole its tangential part would be above {_LARGEST_TANGENTIAL:g}, so these look"
            " like the four coefficients of a fisheye lens; if they are, add the line 'distortion_model: fisheye' to the file"
        )
