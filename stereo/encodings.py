"""Files of disparities that other programs write: what their numbers mean, and no guessing.

Float files (TIFF, PFM, NPY) hold pixels. Files of whole numbers can mean several things; the caller says which.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from calib.files import write_bytes
from calib.images import quiet_opencv, read_image
from stereo.maps import Float32

Kind = Literal["float", "kitti", "sintel", "scaled"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file stores disparities.

    Raises
    ------
    UsageError
        An unknown kind, or a scale that is not positive or does not belong to the kind.
    """

    kind: Kind = "float"
    """`float`: px, NaN and infinity unknown. `kitti`: 16-bit, d 256, 0 unknown. `sintel`: 8-bit RGB, d = 4 R + G / 64 +
    B / 16384. `scaled`: whole numbers, d times `scale`, 0 unknown (Middlebury 2001 to 2006)"""
    scale: float = 1.0
    """stored units per px, for `scaled`"""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"kind {self.kind!r} is not known; use one of {', '.join(KINDS)}")
        if not (np.isfinite(self.scale) and self.scale > 0.0):
            raise UsageError(f"scale is {self.scale:g}; it must be > 0: the stored units per px")
        if self.kind != "scaled" and self.scale != 1.0:
            raise UsageError(f"scale {self.scale:g} is given for kind {self.kind}; only kind scaled has a scale")

    @property
    def quantum_px(self) -> float:
        """The step of what is stored, px; 0 for floats."""
        return {"float": 0.0, "kitti": 1.0 / 256.0, "sintel": 1.0 / 64.0, "scaled": 1.0 / self.scale}[self.kind]


def read_disparity(path: str | Path, encoding: Encoding | None = None) -> Float32:
    """Read a disparity map; every kind comes back as float32 px with NaN where it is unknown.

    Parameters
    ----------
    path : str or Path
        TIFF, PFM or NPY of floats, or any image of whole numbers
    encoding : Encoding, optional
        what whole numbers mean. Float files do not need it: their values are px, and NaN and infinity mean unknown. Zero and
        negative floats are measurements.

    Returns
    -------
    (H, W) float32 array
        px

    Raises
    ------
    InputError
        Missing, damaged, or not what the encoding says.
    UsageError
        Whole numbers and no encoding that tells what they mean.

    References
    ----------
    KITTI: the development kit's readme. Sintel: D. Butler et al., "A naturalistic open source movie for optical flow
    evaluation", ECCV 2012, and its sintel_io.py. Middlebury: the readme of each set.
    """
    values = read_image(path)
    if values.dtype == np.float32 and not _stores_whole_numbers(Path(path)):
        if values.ndim != 2:
            raise InputError(f"{path}: has three channels; a disparity map of floats has one")
        return np.where(np.isfinite(values), values, np.float32(np.nan)).astype(np.float32)
    if encoding is None or encoding.kind == "float":
        raise UsageError(
            f"{path}: holds whole numbers ({_describe(values)}), which may mean several things; say which with --kind kitti"
            " (d 256), --kind sintel (packed RGB) or --scale S (S units per px)"
        )
    if encoding.kind == "sintel":
        if values.ndim != 3 or values.dtype != np.uint8:
            raise InputError(f"{path}: {_describe(values)}; a Sintel disparity is 8-bit RGB")
        blue, green, red = (values[..., channel].astype(np.float64) for channel in range(3))
        return (red * 4.0 + green / 64.0 + blue / 16384.0).astype(np.float32)
    values = one_channel(values, path)
    if encoding.kind == "kitti" and values.dtype != np.uint16:
        raise InputError(f"{path}: {_describe(values)}; a KITTI disparity is a 16-bit PNG")
    disparity = values.astype(np.float32)
    disparity[values == 0] = np.nan
    return disparity / np.float32(256.0 if encoding.kind == "kitti" else encoding.scale)


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Read a mask of Middlebury or ETH3D: 255 counts, anything else does not (128 is occluded, 0 unknown).

    Raises
    ------
    InputError
        Missing, damaged, coloured, or without a pixel of 255.
    """
    values = one_channel(read_image(path), path)
    mask = values == 255
    if not mask.any():
        raise InputError(f"{path}: no pixel is 255, so nothing counts; in a mask 255 means visible in both images")
    return np.asarray(mask)


def write_pfm(path: str | Path, disparity_px: Float32) -> None:
    """Write a disparity map as Middlebury and ETH3D want it: PFM, little-endian, rows from bottom to top, infinity for unknown.

    Raises
    ------
    UsageError
        An array that is not (H, W) float32.
    OutputError
        The file cannot be written.
    """
    if disparity_px.ndim != 2 or disparity_px.dtype != np.float32 or not disparity_px.size:
        raise UsageError(f"{path}: {disparity_px.dtype} of shape {disparity_px.shape}; a PFM map is float32 of shape (H, W)")
    height, width = disparity_px.shape
    values = np.where(np.isnan(disparity_px), np.float32(np.inf), disparity_px)[::-1].astype("<f4")
    write_bytes(path, f"Pf\n{width} {height}\n-1\n".encode("ascii") + values.tobytes())


def one_channel(values: NDArray[Any], path: str | Path) -> NDArray[Any]:
    """The one channel of an image, or of one that repeats it three times, as old grey pictures often do."""
    if values.ndim == 2:
        return values
    if not (np.array_equal(values[..., 0], values[..., 1]) and np.array_equal(values[..., 0], values[..., 2])):
        raise InputError(f"{path}: is a colour picture; a disparity map or a mask has one channel")
    return values[..., 0]


def _stores_whole_numbers(path: Path) -> bool:
    """Whether a file that `read_image` turned into floats holds integers (16 times the disparity, for example)."""
    with path.open("rb") as file:
        magic = file.read(6)
        if magic == b"\x93NUMPY":
            file.seek(0)
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return bool(read(file)[2].kind in "ui")
    if magic[:2] in (b"II", b"MM"):
        with quiet_opencv():
            stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        return stored is not None and stored.dtype.kind in "ui"
    return False


def _describe(values: NDArray[Any]) -> str:
    depth = {"uint8": "8-bit", "uint16": "16-bit"}.get(values.dtype.name, values.dtype.name)
    return f"{depth} {'grey' if values.ndim == 2 else 'colour'}"
