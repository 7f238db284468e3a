"""The maps of a result folder: float32 TIFF (NaN and infinity kept) and the 16-bit PNG of reasons, each read back after writing.

PNG and TIFF are lossless, and that is proven for every file: the bytes are decoded and compared before they get their name.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, OutputError, UsageError
from calib.files import write_bytes
from calib.images import read_image
from stereo.maps import Float32


def write_float_map(path: str | Path, values: Float32) -> None:
    """Write a (H, W) float32 map as a TIFF; every bit pattern of a number comes back, NaN as NaN.

    Raises
    ------
    UsageError
        A suffix other than .tif and .tiff, or an array that is not a float32 map.
    OutputError
        The file cannot be written.
    """
    _write(Path(path), values, (".tif", ".tiff"), np.float32)


def read_float_map(path: str | Path) -> Float32:
    """Read a (H, W) float32 map that `write_float_map` wrote.

    Raises
    ------
    InputError
        Missing, damaged, or another kind of image.
    """
    return np.asarray(_read(Path(path), np.float32), np.float32)


def write_reason(path: str | Path, reason: NDArray[np.uint16]) -> None:
    """Write the (H, W) bits of `Reason` as a 16-bit grey PNG; errors as `write_float_map`."""
    _write(Path(path), reason, (".png",), np.uint16)


def read_reason(path: str | Path) -> NDArray[np.uint16]:
    """Read the bits that `write_reason` wrote; errors as `read_float_map`."""
    return np.asarray(_read(Path(path), np.uint16), np.uint16)


def _write(path: Path, values: NDArray[Any], suffixes: tuple[str, ...], kind: type[np.generic]) -> None:
    if path.suffix.lower() not in suffixes:
        raise UsageError(
            f"{path}: {path.suffix or 'a name without a suffix'} does not fit a {kind.__name__} map; use {' or '.join(suffixes)}"
        )
    if values.dtype != kind or values.ndim != 2 or not values.size:
        raise UsageError(f"{path}: {values.dtype} of shape {values.shape}; it must be a {kind.__name__} map of shape (H, W)")
    try:
        good, encoded = cv2.imencode(suffixes[0], np.ascontiguousarray(values))
    except cv2.error as error:
        raise OutputError(f"{path}: cannot be encoded: {error.err}") from error
    back = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if good else None
    if back is None or back.dtype != kind or not np.array_equal(back, values, equal_nan=kind is np.float32):
        raise OutputError(f"{path}: cannot be encoded without loss by this build of OpenCV ({cv2.__version__}); please report it")
    write_bytes(path, encoded.tobytes())


def _read(path: Path, kind: type[np.generic]) -> NDArray[Any]:
    values = read_image(path)
    if values.dtype != kind or values.ndim != 2:
        raise InputError(f"{path}: {values.dtype} of shape {values.shape}; it must be a {kind.__name__} map with one channel")
    return values
