"""Point clouds to files and back, without loss: PLY (Turk 1994), binary and little-endian, which every viewer reads.

The vertices carry x y z (float, metres), red green blue (uchar, where the cloud has colours), sigma (float, metres, where it has
error bars) and u v (int, column and row in the left image), so that a cloud stays organised; comments state the units, the frame
and the image size.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement, PlyParseError

from calib.errors import InputError, OutputError, QualityError, UsageError
from calib.files import atomic_path, read_bytes
from stereo.maps import PointCloud

_COMMENTS = ("units metres", "frame rectified left camera: x right, y down, z forward")
_LARGEST_BYTES = 2**33


def save_cloud(path: str | Path, cloud: PointCloud) -> None:
    """Write a cloud in the format that the suffix of `path` names (.ply), whole or not at all.

    Raises
    ------
    UsageError
        Another suffix.
    QualityError
        An empty cloud: nothing was measured, and a file without points would hide that from the next program in line.
    OutputError
        The file cannot be written.
    """
    target = Path(path)
    write, _ = _format(target)
    if not len(cloud.points_xyz_m):
        raise QualityError(
            f"{target}: the cloud has no points, so no file is written; look at the preview: is the search range right,"
            " do the limits of depth and sigma leave anything?"
        )
    with atomic_path(target) as temporary:
        write(temporary, cloud)


def load_cloud(path: str | Path) -> PointCloud:
    """Read a cloud that `save_cloud` wrote: every bit comes back.

    Raises
    ------
    UsageError
        A suffix other than .ply.
    InputError
        Missing, truncated or corrupt, or without the properties and comments that `save_cloud` writes.
    """
    source = Path(path)
    _, read = _format(source)
    return read(source)


def _write_ply(path: Path, cloud: PointCloud) -> None:
    columns: list[tuple[str, str, NDArray[Any]]] = [(n, "<f4", cloud.points_xyz_m[:, i]) for i, n in enumerate("xyz")]
    if cloud.colour_bgr is not None:
        columns += [(n, "u1", cloud.colour_bgr[:, i]) for i, n in ((2, "red"), (1, "green"), (0, "blue"))]
    if cloud.sigma_m is not None:
        columns += [("sigma", "<f4", cloud.sigma_m)]
    columns += [(n, "<i4", cloud.pixel_uv[:, i]) for i, n in enumerate("uv")]
    vertices = np.empty(len(cloud.points_xyz_m), [(name, kind) for name, kind, _ in columns])
    for name, _, values in columns:
        vertices[name] = values
    comments = [*_COMMENTS, "image_size {} {}".format(*cloud.image_size)]
    PlyData([PlyElement.describe(vertices, "vertex")], text=False, byte_order="<", comments=comments).write(str(path))
    # Writers have been seen to report success on a full disk: believe the file, not the call.
    size, header = path.stat().st_size, _ply_header(path)
    if size != len(header) + vertices.nbytes or f"element vertex {len(vertices)}\n".encode() not in header:
        raise OutputError(
            f"{path.name}: arrived with {size} bytes instead of {len(header) + vertices.nbytes}; check the disk and try again"
        )


def _read_ply(path: Path) -> PointCloud:
    size_bytes = len(read_bytes(path, kind="point cloud", limit_bytes=_LARGEST_BYTES))
    header = _ply_header(path)
    count = re.search(rb"^element vertex (\d{1,15})\s*$", header, re.MULTILINE)
    # A header may promise more points than there is memory for: compare with the file before anything is allocated.
    if count is None or int(count[1]) > size_bytes:
        raise InputError(
            f"{path}: is no PLY point cloud, or is corrupt: its header does not fit the file; copy or export it again"
        )
    try:
        data = PlyData.read(str(path))
        vertices = data["vertex"].data
        if not data.text and len(data.elements) == 1 and size_bytes != len(header) + vertices.nbytes:
            raise ValueError(f"{size_bytes} bytes where {len(header) + vertices.nbytes} are needed")
    except (PlyParseError, KeyError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is truncated or corrupt ({error}); copy or export it again") from error
    names = vertices.dtype.names or ()
    missing = [name for name in ("x", "y", "z", "u", "v") if name not in names]
    size = re.search(r"^image_size (\d{1,6}) (\d{1,6})$", "\n".join(data.comments), re.MULTILINE)
    if missing or size is None:
        what = f"the properties {', '.join(missing)}" if missing else 'the comment "image_size WIDTH HEIGHT"'
        raise InputError(f"{path}: lacks {what}, needed to know the pixel of each point; it was not written by save_cloud")

    def columns(wanted: tuple[str, ...], kind: type[np.generic]) -> NDArray[Any]:
        return np.stack([vertices[name].astype(kind, copy=False) for name in wanted], -1)

    try:
        return PointCloud(
            columns(("x", "y", "z"), np.float32),
            columns(("u", "v"), np.int32),
            (int(size[1]), int(size[2])),
            columns(("blue", "green", "red"), np.uint8) if {"red", "green", "blue"} <= set(names) else None,
            columns(("sigma",), np.float32)[:, 0] if "sigma" in names else None,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _ply_header(path: Path) -> bytes:
    """The header with its last line; empty where there is none in the first 64 kB."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    end = re.search(rb"^end_header\r?\n", start, re.MULTILINE)
    return start[: end.end()] if start[:3] == b"ply" and end else b""


_Writer = Callable[[Path, PointCloud], None]
_Reader = Callable[[Path], PointCloud]
_FORMATS: dict[str, tuple[_Writer, _Reader]] = {".ply": (_write_ply, _read_ply)}


def _format(path: Path) -> tuple[_Writer, _Reader]:
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise UsageError(
            f"{path}: {suffix or 'a name without a suffix'} is no format for point clouds here; use one of {', '.join(_FORMATS)}"
        )
    return _FORMATS[suffix]
