"""Rig files: `load_rig` reads every supported format, `save_rig` writes the project's own."""

import re
from collections.abc import Callable
from pathlib import Path

from calib import files
from calib.errors import InputError
from calib.rig import StereoRig
from calib.rig_files.kitti import parse_kitti
from calib.rig_files.middlebury import parse_middlebury
from calib.rig_files.native import parse_native
from calib.rig_files.native import save_rig as save_rig
from calib.rig_files.opencv import parse_opencv
from calib.rig_files.parts import Given

_LIMIT_BYTES = 10_000_000
_Reader = Callable[[str, Path, Given], StereoRig]

_FORMATS: tuple[tuple[str, str, _Reader], ...] = (
    ("stereo-rig YAML (this project's own)", r"^format:\s*['\"]?stereo-rig", parse_native),
    (
        "OpenCV FileStorage with M1 D1 M2 D2 R T",
        r"\A%YAML|opencv[-_](?:matrix|storage|nd-matrix)|^(?:[MK]1|cameraMatrix1|camera_matrix)\s*:",
        parse_opencv,
    ),
    ("Middlebury or ETH3D calib.txt", r"^\s*cam[01]\s*=", parse_middlebury),
    ("KITTI calib", r"^\s*P(?:[0-3]|_rect_0[0-3]):", parse_kitti),
)


def load_rig(
    path: str | Path,
    *,
    image_size: tuple[int, int] | None = None,
    unit: str | None = None,
    cameras: str | None = None,
) -> StereoRig:
    """Read a rig; the format is recognised from the content: stereo-rig YAML, OpenCV, Middlebury / ETH3D or KITTI.

    Parameters
    ----------
    path : str or Path
        for OpenCV either one file with everything, or one of `intrinsics.*` and `extrinsics.*` that lie beside each other
    image_size : (int, int), optional
        (width, height) in px of the calibrated images, for files that do not state it (OpenCV, KITTI object)
    unit : str, optional
        "m", "cm", "mm" or "in": the unit of the file's translation, for files that do not state it (OpenCV)
    cameras : str, optional
        "colour" (default) or "grey", for KITTI

    Returns
    -------
    StereoRig
        in metres

    Raises
    ------
    InputError
        The file is missing, unreadable or of no known format.
    CalibrationError
        The file has mistakes or the rig is impossible.
    UsageError
        A size or unit is neither stated nor given, or both and different.
    """
    source = Path(path)
    data = files.read_bytes(source, kind="rig file", limit_bytes=_LIMIT_BYTES)
    known = "; ".join(name for name, _, _ in _FORMATS)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: is not a text file; known rig formats: {known}") from error
    for _, pattern, reader in _FORMATS:
        if re.search(pattern, text, re.MULTILINE):
            return reader(text, source, Given(image_size, unit, cameras))
    raise InputError(
        f"{source}: is in no rig format known here; known: {known};"
        " a rig written by hand begins with the line 'format: stereo-rig 1'"
    )
