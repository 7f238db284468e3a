"""Frames of a video, counted from 0. Frames are decoded from the start on: seeking is inexact in many files."""

import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from calib import files
from calib.errors import InputError
from calib.images import Image, quiet_opencv

_MAGIC = re.compile(
    rb"....(?:ftyp(?!heic|heix|mif1|msf1|avif|avis)|moov|mdat|wide|free|skip|pnot)|RIFF....AVI |\x1a\x45\xdf\xa3", re.DOTALL
)
# Read by the decoder when it is first used: its own complaints would stand beside our one message.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
_ADVICE = "copy or record it again, or convert it, e.g. to MP4 with H.264"


@dataclass(frozen=True, slots=True)
class Video:
    """What a video file states about itself."""

    path: Path
    frame_count: int
    """as the file states it; a broken one may end earlier"""
    size: tuple[int, int]
    """(width, height) of a frame, px"""
    frames_per_second: float
    """NaN where it is not stated"""


def is_video(path: str | Path) -> bool:
    """True for a file that begins like MP4, MOV, AVI, MKV or WebM, whatever its name."""
    source = Path(path)
    try:
        if not source.is_file():
            return False
        with source.open("rb") as file:
            return _MAGIC.match(file.read(16)) is not None
    except (OSError, ValueError):
        return False


def open_video(path: str | Path) -> Video:
    """Prove that a video can be read, by its first frame.

    Raises
    ------
    InputError
        Missing, a folder, empty, not a video, broken, or without a single frame.
    """
    source = Path(path)
    with _capture(source) as capture:
        good, frame = capture.read()
        if not good or frame is None or not frame.size:
            raise InputError(f"{source}: holds no frame that can be decoded; {_ADVICE}")
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        stated = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        count = int(stated) if 1.0 <= stated < 1e9 else 1 + sum(1 for _ in iter(capture.grab, False))
    return Video(source, count, (frame.shape[1], frame.shape[0]), rate if 0.0 < rate < 1e6 else float("nan"))


def frames(path: str | Path, indices: Iterable[int]) -> Generator[tuple[Image | None, Image | None], None, None]:
    """Some frames of a video, each with the one that follows it.

    Parameters
    ----------
    path : str or Path
    indices : iterable of int
        Rising.

    Yields
    ------
    (frame, neighbour) : (H, W, 3) uint8 arrays in BGR order
        None for a frame beyond the end. The neighbour of the last frame is the one before, or None if that was not asked for.

    Raises
    ------
    InputError
        The video cannot be opened.
    """
    with _capture(Path(path)) as capture:
        position = -1  # the frame last grabbed
        held: dict[int, Image] = {}  # decoded frames that may be asked for again

        def frame(index: int) -> Image | None:
            nonlocal position
            while position < index:
                if not capture.grab():
                    return None
                position += 1
            if index not in held and index == position:
                good, image = capture.retrieve()
                if good and image is not None:
                    held[index] = np.asarray(image)
            return held.get(index)

        for index in indices:
            for old in [known for known in held if known < index - 1]:
                del held[old]
            this = frame(index)
            following = None if this is None else frame(index + 1)
            yield this, held.get(index - 1) if following is None and this is not None else following


def read_frame(path: str | Path, index: int) -> Image:
    """One frame of a video, counted from 0.

    Returns
    -------
    (H, W, 3) uint8 array in BGR order

    Raises
    ------
    InputError
        The video cannot be read, or ends before this frame.
    """
    for image, _ in frames(path, [index]):
        if image is not None:
            return image
    raise InputError(f"{path}: has no frame {index} that can be decoded; {_ADVICE}")


@contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    """An opened video, closed in the end. Its stored pixels: a turn that players should make is not made, as for photos."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, not a video; give one file")
        if not path.is_file():
            raise InputError(f"{path}: not found; {files.nearby(path)}")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes); copy or record the video again")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if not is_video(path):
        raise InputError(f"{path}: is not a video; MP4, MOV, AVI, MKV and WebM are read")
    with quiet_opencv():
        decoder = cv2.CAP_FFMPEG if cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG) else cv2.CAP_ANY
        capture = cv2.VideoCapture(str(path.absolute()), decoder)
    try:
        if not capture.isOpened():
            raise InputError(f"{path}: is a broken video, or of a kind that cannot be decoded; {_ADVICE}")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0.0)
        yield capture
    finally:
        with suppress(cv2.error):
            capture.release()
