"""Read and write images. A file that is missing, damaged or of an odd kind is an error that says so; nothing returns None.

The array is what the file stores: EXIF orientation is ignored on purpose, since a calibration belongs to the sensor's rows and
columns, and a photo turned by its viewer would not fit it.
"""

import glob
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cv2.utils import logging as log
from numpy.typing import NDArray

from calib import files
from calib.errors import InputError, OutputError, UsageError
from calib.image_checks import DamageError, check_structure

Image = NDArray[Any]

MAX_MEGAPIXELS = 500
"""larger images are refused before they are decoded"""

_PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".mpo", ".tif", ".tiff", ".pgm", ".ppm", ".pnm", ".bmp", ".webp"})
_DATA_SUFFIXES = frozenset({".pfm", ".npy"})
_WRITABLE = {
    ".png": (np.uint8, np.uint16),
    ".jpg": (np.uint8,),
    ".jpeg": (np.uint8,),
    ".tif": (np.uint8, np.uint16, np.float32),
    ".tiff": (np.uint8, np.uint16, np.float32),
}
_DECODE = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION


def read_image(path: str | Path) -> Image:
    """Read one image file (PNG, JPEG, TIFF, PGM/PPM, BMP, WebP, PFM or NPY, told by content, not by name).

    Alpha is dropped, palettes and CMYK become BGR, of several pages the first is taken. Types other than the three below become
    float32 where that is exact (integers) or merely rounds (float64), and are refused otherwise. NaN and infinity are kept. The
    three channels of an NPY file are taken as BGR.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    (H, W) or (H, W, 3) array in BGR order; uint8, uint16 or float32

    Raises
    ------
    InputError
        Missing, a folder or device, empty, truncated, corrupt, larger than `MAX_MEGAPIXELS` or of a kind that is not read.
    """
    data = files.read_bytes(path, kind="image", limit_bytes=2**31 - 1)
    try:
        if data[:6] == b"\x93NUMPY":
            array = _decode_npy(data)
        elif data[:2] in (b"PF", b"Pf"):
            array = _decode_pfm(data)
        else:
            array = _decode(data)
        return _as_image(array)
    except DamageError as damage:
        raise InputError(f"{path}: {damage}") from damage


def read_pair(left: str | Path, right: str | Path) -> tuple[Image, Image]:
    """Read two images of one size, type and number of channels; see `read_image`.

    Returns
    -------
    (left, right)

    Raises
    ------
    InputError
        One cannot be read, or the two differ.
    """
    a, b = read_image(left), read_image(right)
    if a.shape != b.shape or a.dtype != b.dtype:
        raise InputError(
            f"{left} is {_describe(a)}, but {right} is {_describe(b)}; a pair needs one size and kind: check that the files"
            " belong together, and convert one of them if they do"
        )
    return a, b


def write_image(path: str | Path, array: Image) -> None:
    """Write an image whole or not at all: PNG (8 or 16 bit), JPEG (8 bit, quality 95) or TIFF (8, 16 bit or float32).

    Parameters
    ----------
    path : str or Path
        the suffix chooses the format
    array : (H, W) or (H, W, 3) array in BGR order

    Raises
    ------
    UsageError
        The format cannot hold this type without loss, or is not known.
    OutputError
        The file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITABLE:
        raise UsageError(f"{path}: cannot write {suffix or 'a name without a suffix'}; use one of {', '.join(_WRITABLE)}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or array.size == 0:
        raise UsageError(f"{path}: an array of shape {array.shape} is no image; use (H, W) or (H, W, 3)")
    if array.dtype not in _WRITABLE[suffix]:
        able = [name for name, types in _WRITABLE.items() if array.dtype in types]
        advice = f"use {' or '.join(able)}" if able else "convert it to uint8, uint16 or float32 first"
        raise UsageError(f"{path}: {suffix} cannot hold {array.dtype} without loss; {advice}")
    try:
        good, encoded = cv2.imencode(suffix, np.ascontiguousarray(array))
    except cv2.error as error:
        raise OutputError(f"{path}: cannot be encoded: {error.err}") from error
    if not good:
        raise OutputError(f"{path}: cannot be encoded as {suffix}")
    files.write_bytes(path, encoded.tobytes())


def find_images(spec: str | Path) -> list[Path]:
    """The images that a file name, a folder or a glob pattern names, in natural order (`left2` before `left10`).

    A folder gives its pictures (not those of its subfolders, not PFM and NPY data); hidden files are left out.

    Raises
    ------
    InputError
        There are none.
    """
    text, path = str(spec), Path(spec)
    try:
        if path.is_file():  # first, for a name may hold [ and ]
            return [path]
        if path.is_dir():
            found = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
            suffixes = _PICTURE_SUFFIXES
        elif glob.has_magic(text):
            found = [Path(name) for name in glob.glob(text, recursive=True)]  # noqa: PTH207 - the pattern may be absolute
            suffixes = _PICTURE_SUFFIXES | _DATA_SUFFIXES
        else:
            raise InputError(f"{spec}: not found; {files.nearby(path)}")
        images = [entry for entry in found if entry.suffix.lower() in suffixes and entry.is_file()]
    except (OSError, ValueError) as error:
        raise InputError(f"{spec}: cannot be searched: {error}") from error
    if not found:
        raise InputError(f"{spec}: no file is called so, or the folder is empty")
    if not images:
        raise InputError(f"{spec}: {len(found)} files, but no image; images end in {', '.join(sorted(suffixes))}")
    return sorted(images, key=_natural)


def to_grey(image: Image) -> Image:
    """One channel of the same type: 0.114 B + 0.587 G + 0.299 R (ITU-R BT.601); grey images are returned as they are.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array, uint8, uint16 or float32

    Returns
    -------
    (H, W) array
    """
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Switch off OpenCV's own complaints, which would stand beside our one message."""
    before = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(before)


def _decode(data: bytes) -> Image:
    _check_size(*check_structure(data))
    try:
        with quiet_opencv():
            array = cv2.imdecode(np.frombuffer(data, np.uint8), _DECODE)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from error
        raise DamageError(f"cannot be decoded: {error.err}; convert it to PNG first") from error
    if array is None:
        raise DamageError("is corrupt: its data cannot be decoded; copy or record it again")
    return np.asarray(array)


def _decode_pfm(data: bytes) -> Image:
    """PFM (Debevec): rows from bottom to top, a negative scale means little-endian; the scale's size is ignored, as is usual."""
    header = re.match(rb"(P[Ff])\s+(\d{1,9})\s+(\d{1,9})\s+([-+.\deE]{1,40})(?:[ \t\r]*\n|\s)", data)
    if header is None:
        raise DamageError("is corrupt: the header of this PFM cannot be understood; copy or export it again")
    width, height, channels = int(header[2]), int(header[3]), 3 if header[1] == b"PF" else 1
    _check_size(width, height)
    try:
        scale = float(header[4])
    except ValueError:
        scale = 0.0
    if scale == 0.0 or not np.isfinite(scale):
        raise DamageError(f"is corrupt: the scale of this PFM is {header[4].decode()}; its sign must tell the byte order")
    have, need = len(data) - header.end(), 4 * width * height * channels
    if have != need:
        raise DamageError(f"is {'truncated' if have < need else 'corrupt'}: {have} bytes of image where {need} are needed")
    values = np.frombuffer(data, "<f4" if scale < 0.0 else ">f4", offset=header.end())
    image = values.reshape((height, width, 3) if channels == 3 else (height, width))[::-1]
    return image[..., ::-1] if channels == 3 else image  # RGB -> BGR


def _decode_npy(data: bytes) -> Image:
    """NPY without pickled objects; the declared size is compared with the file before anything is allocated."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except Exception as error:  # NumPy lets many kinds of errors out of its header's small language
        raise DamageError("is corrupt: the header of this NPY cannot be understood; save it again") from error
    if dtype.kind not in "uif":
        raise DamageError(f"holds {dtype} values; an image holds numbers (a boolean mask: save it as uint8)")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        raise DamageError(f"holds an array of shape {shape}; an image is (H, W), (H, W, 3) or (H, W, 4)")
    _check_size(shape[1], shape[0])
    count = int(np.prod(shape, dtype=np.int64))
    have = len(data) - stream.tell()
    if have < count * dtype.itemsize:
        raise DamageError(f"is truncated: {have} bytes of data where {count * dtype.itemsize} are needed; copy or save it again")
    values = np.frombuffer(data, dtype, count=count, offset=stream.tell())
    return values.reshape(shape, order="F" if fortran else "C")


def _as_image(array: Image) -> Image:
    """(H, W) or (H, W, 3), C-contiguous and writable, of one of the three types."""
    if array.ndim == 3 and array.shape[2] in (1, 4):
        array = array[..., 0] if array.shape[2] == 1 else array[..., :3]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise DamageError(f"has {array.shape[2]} channels; an image has 1, 3 or 4")
    native = array.dtype.newbyteorder("=")
    if native in (np.uint8, np.uint16, np.float32):
        return np.array(array, native, order="C")
    with np.errstate(over="ignore"):
        converted = np.array(array, np.float32, order="C")
    lost = np.isinf(converted) & np.isfinite(array) if native.kind == "f" else converted.astype(np.float64) != array
    if lost.any():
        raise DamageError(f"holds {native} values such as {array[lost][0]}, too large for float32; scale them down first")
    return converted


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise DamageError(f"is corrupt: its header states {width} x {height} px")
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise DamageError(
            f"has {width * height / 1e6:.0f} megapixels ({width} x {height} px), the limit is {MAX_MEGAPIXELS}; cut it into tiles"
        )


def _describe(image: Image) -> str:
    kind = {"uint8": "8-bit", "uint16": "16-bit", "float32": "float"}[image.dtype.name]
    return f"{image.shape[1]} x {image.shape[0]} px {kind} {'grey' if image.ndim == 2 else 'colour'}"


def _natural(path: Path) -> tuple[list[list[str | int]], str]:
    parts = [[int(t) if t.isdecimal() else t for t in re.split(r"([0-9]+)", part.casefold())] for part in path.parts]
    return parts, str(path)
