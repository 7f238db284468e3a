"""Find the board in images: several detectors, the first one whose corners prove to be those of the board.

Accuracy does not depend on the detector, for every corner is refined afterwards in a window of its own (`calib.corners.refine`):
the quickest comes first, those that find boards under worse conditions follow.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from calib import corners
from calib.detection import BoardViews, Detection, PairView
from calib.errors import InputError, UsageError
from calib.geometry import Array
from calib.images import Image, read_image, to_grey
from calib.target import Target

_WORKING_SIDE_PX = 1280
"""longer images are searched at this size; the corners found are then refined in the full image"""
_LEAST_SPREAD = 64  # grey levels; flatter images are stretched before the search
_MOST_THREADS = 8
_SB = cv2.CALIB_CB_ACCURACY
_CLASSIC = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE
_GUESSES = ((3, 3), (4, 3), (5, 4), (6, 4), (7, 5), (8, 5), (8, 6))


def detect_board(image: Image, target: Target) -> Detection | None:
    """The board's corners in one image, or None where it is not seen whole.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array in BGR order, uint8, uint16 or float32
    target : Target

    Returns
    -------
    Detection or None
        Refined to a few hundredths of a pixel (`calib.corners.refine`). None, too, where the board has more corners than
        `target` says, since a part of it cannot be told from another part.

    References
    ----------
    Duda and Frese, "Accurate Detection and Localization of Checkerboard Corners for Calibration", BMVC 2018 (the detector "sb").
    """
    return _search(image, target)[0]


def detect_pairs(
    left: Sequence[Path | str | Image],
    right: Sequence[Path | str | Image],
    target: Target,
    *,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> BoardViews:
    """The board's corners in pairs of images, several at a time.

    Parameters
    ----------
    left, right : sequences of files or images
        `left[i]` and `right[i]` were taken at the same moment.
    target : Target
    threads : int, optional
        Default: one for each processor, at most 8.
    progress : callable, optional
        Called with the image's name after each image, from this thread.

    Returns
    -------
    BoardViews

    Raises
    ------
    UsageError
        The two sequences have different lengths, or none at all.
    InputError
        A file that cannot be read, or images of one camera that differ in size.
    """
    if len(left) != len(right) or not left:
        raise UsageError(
            f"{len(left)} left and {len(right)} right images; a calibration needs as many of one as of the other, at least one"
        )
    sources = [source for pair in zip(left, right, strict=True) for source in pair]
    names = [_name(source, i) for i, source in enumerate(sources)]

    def search(source: Path | str | Image) -> tuple[Detection | None, str, tuple[int, int]]:
        image = source if isinstance(source, np.ndarray) else read_image(source)
        return *_search(image, target), (image.shape[1], image.shape[0])

    found = []
    with ThreadPoolExecutor(threads or min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        tasks = [pool.submit(search, source) for source in sources]
        try:
            for name, task in zip(names, tasks, strict=True):
                found.append(task.result())
                if progress is not None:
                    progress(name)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    sizes = [_common_size(names[side::2], [item[2] for item in found[side::2]]) for side in (0, 1)]
    pairs = []
    for i in range(len(left)):
        (a, why_a, _), (b, why_b, _) = found[2 * i], found[2 * i + 1]
        problem = "; ".join(f"{why} in {name}" for why, name in ((why_a, names[2 * i]), (why_b, names[2 * i + 1])) if why)
        pairs.append(PairView(f"{names[2 * i]}, {names[2 * i + 1]}", a, b, problem))
    return BoardViews(tuple(pairs), sizes[0], sizes[1], target)


def guess_board(image: Image) -> tuple[int, int] | None:
    """(columns, rows) of the chessboard in an image, whatever its size, or None: for telling a user what the board really is."""
    grey = to_grey(image)
    sharp = corners.smooth(grey)
    small, scale = _resized(_eight_bit(grey), _working_scale(grey))
    for guess in _GUESSES:
        found, uv, meta = cv2.findChessboardCornersSBWithMeta(small, guess, cv2.CALIB_CB_ACCURACY | cv2.CALIB_CB_LARGER)
        rows, columns = np.shape(meta) if found else (0, 0)
        if min(rows, columns) < 3 or np.size(uv) != 2 * rows * columns:
            continue
        grid = corners.refine(sharp, _full_size(uv, scale).reshape(rows, columns, 2))
        if corners.is_board(sharp, grid) and not corners.goes_on(sharp, grid):
            return max(columns, rows), min(columns, rows)
    return None


def _search(image: Image, target: Target) -> tuple[Detection | None, str]:
    """The detection, or None and the reason."""
    grey = to_grey(image)
    sharp = corners.smooth(grey)
    reason = "no board found"
    for detector, points in _attempts(grey, target):
        grid = corners.refine(sharp, points.reshape(target.rows, target.columns, 2))
        if not corners.is_board(sharp, grid):
            continue
        if corners.goes_on(sharp, grid):
            reason = f"a board of more than {target.columns} x {target.rows} inner corners"
            continue
        return Detection(corners.first_corner_first(sharp, grid).reshape(-1, 2), detector), ""
    return None, reason


def _attempts(grey: Image, target: Target) -> Iterator[tuple[str, Array]]:
    """What the detectors find; each is tried only when it is asked for."""
    size, eight_bit = (target.columns, target.rows), _eight_bit(grey)
    for suffix, times in (("", 1.0), ("-x2", 2.0)):
        image, scale = _resized(eight_bit, times * _working_scale(grey))
        for name, flags in (("classic", _CLASSIC), ("sb", _SB), ("sb-exhaustive", _SB | cv2.CALIB_CB_EXHAUSTIVE)):
            if name == "sb-exhaustive" and suffix:
                continue  # slow, and it finds no more
            find = cv2.findChessboardCorners if name == "classic" else cv2.findChessboardCornersSB
            found, uv = find(image, size, flags=flags)
            if found and np.size(uv) == 2 * target.corner_count:
                yield name + suffix, _full_size(uv, scale)


def _working_scale(grey: Image) -> float:
    return min(1.0, _WORKING_SIDE_PX / float(max(grey.shape)))


def _resized(image: Image, factor: float) -> tuple[Image, Array]:
    """The image resized, and the exact factors of x and y."""
    height, width = image.shape
    if factor == 1.0:
        return image, np.ones(2)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=method)), np.array([size[0] / width, size[1] / height])


def _full_size(uv: Image, scale: Array) -> Array:
    """Pixels of a resized image to those of the original (pixel centres at integers)."""
    return np.asarray((np.asarray(uv, np.float64).reshape(-1, 2) + 0.5) / scale - 0.5)


def _eight_bit(grey: Image) -> Image:
    """The image as the detectors want it; all but ordinary 8-bit images are stretched to their own range."""
    values = grey[np.isfinite(grey)] if grey.dtype == np.float32 else grey
    if not values.size:
        return np.zeros(grey.shape, np.uint8)
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    if grey.dtype == np.uint8 and high - low >= _LEAST_SPREAD:
        return grey
    stretched = (grey.astype(np.float32) - low) * (255.0 / max(high - low, 1e-30))
    return np.asarray(np.clip(np.nan_to_num(stretched, nan=0.0, posinf=255.0, neginf=0.0), 0.0, 255.0), np.uint8)


def _name(source: Path | str | Image, index: int) -> str:
    return f"{('left', 'right')[index % 2]} image {index // 2 + 1}" if isinstance(source, np.ndarray) else Path(source).name


def _common_size(names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The size of one camera's images; all must agree, for a calibration belongs to one size."""
    most = max(sizes, key=sizes.count)
    for name, size in zip(names, sizes, strict=True):
        if size != most:
            raise InputError(
                f"{name} is {size[0]} x {size[1]} px, but other images of this camera are {most[0]} x {most[1]} px; all images of"
                " one camera need one size: leave it out or take it again"
            )
    return most
