"""Find the board in the images of a capture, several at a time."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from calib.detection import BoardViews, Detection, PairView
from calib.errors import InputError, UsageError
from calib.finders import find_board
from calib.finders.chessboard import guess_chessboard
from calib.images import Image, read_image
from calib.target import Target

_MOST_THREADS = 8


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
    return find_board(image, target).detection


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
        seen = find_board(image, target)
        return seen.detection, seen.reason, (image.shape[1], image.shape[0])

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
    return guess_chessboard(image)


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
