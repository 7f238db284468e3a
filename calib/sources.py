"""Where the images of a capture come from: files, arrays, frames of videos; all are read alike."""

import glob
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from calib import files
from calib.errors import InputError, UsageError
from calib.image_lists import pair_up
from calib.images import Image, read_image
from calib.video import Video, frames, is_video, open_video, read_frame

MOST_FRAMES = 240
"""frames of each video that are searched, evenly over its length"""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A photo."""

    path: Path

    @property
    def name(self) -> str:
        """For messages."""
        return self.path.name

    def read(self) -> Image:
        """The image; see `calib.images.read_image`."""
        return read_image(self.path)

    def digest(self) -> str:
        """SHA-256 of the file's bytes."""
        return hashlib.sha256(files.read_bytes(self.path, kind="image")).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class ImageArray:
    """An image in memory."""

    name: str
    array: Image

    def read(self) -> Image:
        """The array itself."""
        return self.array

    def digest(self) -> str:
        """SHA-256 of type, shape and values."""
        start = f"{self.array.dtype.str} {self.array.shape} ".encode()
        return hashlib.sha256(start + np.ascontiguousarray(self.array).tobytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A frame of a video, counted from 0."""

    path: Path
    index: int

    @property
    def name(self) -> str:
        """For messages, e.g. "cam_0.mp4#37"."""
        return f"{self.path.name}#{self.index}"

    def read(self) -> Image:
        """The frame, decoded from the video's start on; for many frames see `calib.video.frames`."""
        return read_frame(self.path, self.index)


Source = ImageFile | ImageArray | VideoFrame


class CaptureSources(NamedTuple):
    """The images of both cameras, in pairs."""

    left: list[Source]
    right: list[Source]
    names: list[str]
    """of each pair, e.g. "left01.png, right01.png" """
    notes: list[str]
    """what looks odd"""


def as_source(image: Source | Path | str | Image, name: str) -> Source:
    """A source for whatever stands for an image; `name` is for arrays, which have none."""
    if isinstance(image, ImageFile | ImageArray | VideoFrame):
        return image
    return ImageArray(name, image) if isinstance(image, np.ndarray) else ImageFile(Path(image))


def images_of(sources: Sequence[Source]) -> Iterator[Image]:
    """The images, one after the other: of videos, each decoded once, first and without the frames that cannot be decoded."""
    wanted: dict[Path, set[int]] = {}
    for source in sources:
        if isinstance(source, VideoFrame):
            wanted.setdefault(source.path, set()).add(source.index)
    for path, indices in wanted.items():
        yield from (image for image, _ in frames(path, sorted(indices)) if image is not None)
    yield from (source.read() for source in sources if not isinstance(source, VideoFrame))


def paths_of(sources: Sequence[Source]) -> list[Path]:
    """The files that sources are read from, each once."""
    return list(dict.fromkeys(source.path for source in sources if not isinstance(source, ImageArray)))


def capture_sources(words: Sequence[str], *, most_frames: int = MOST_FRAMES) -> CaptureSources:
    """The images that the words of a command line name.

    Parameters
    ----------
    words : sequence of str
        As `calib.image_lists.pair_up`, or two videos (told by content), one of each camera.
    most_frames : int, optional
        Longer videos are sampled evenly.

    Returns
    -------
    CaptureSources
        Frames of the same number form a pair.

    Raises
    ------
    UsageError
        Words from which left and right cannot be told.
    InputError
        No images, different counts, the same images on both sides; a broken or empty video, or a video beside images.
    """
    videos = [_video(word) for word in words]
    left: list[Source]
    right: list[Source]
    if len(words) == 2 and videos[0] is not None and videos[1] is not None:
        left, right, notes = _frames(videos[0], videos[1], most_frames)
    elif any(video is not None for video in videos):
        if len(words) == 2:
            with_video, other = words if videos[0] is not None else words[::-1]
            raise InputError(f"{with_video} is a video, but {other} is not; give two videos, or the images of both cameras")
        raise UsageError(f"{len(words)} names are given, videos among them; give two videos: LEFT RIGHT")
    else:
        left_paths, right_paths, notes = pair_up(words)
        left, right = [ImageFile(path) for path in left_paths], [ImageFile(path) for path in right_paths]
    return CaptureSources(left, right, [pair_name(a, b) for a, b in zip(left, right, strict=True)], notes)


def pair_name(left: Source, right: Source) -> str:
    """For messages, e.g. "left01.png, right01.png"."""
    return f"{left.name}, {right.name}"


def _video(word: str) -> Path | None:
    """The video that a word names, itself or as a pattern that only it fits."""
    path = Path(word)
    if is_video(path):
        return path
    try:
        if glob.has_magic(word) and not path.exists():
            found = glob.glob(word, recursive=True)  # noqa: PTH207 - the pattern may be absolute
            return Path(found[0]) if len(found) == 1 and is_video(found[0]) else None
    except (OSError, ValueError):
        pass
    return None


def _frames(left_path: Path, right_path: Path, most: int) -> tuple[list[Source], list[Source], list[str]]:
    left, right = open_video(left_path), open_video(right_path)
    if left_path.samefile(right_path):
        raise InputError(f"{left_path} is both left and right; give the videos of the two cameras")
    count = min(left.frame_count, right.frame_count)
    indices = range(count) if count <= most else sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})
    notes = _doubts(left, right)
    if len(indices) < count:
        notes.append(f"{len(indices)} of the videos' {count} frames are searched, evenly over their length")
    return [VideoFrame(left_path, i) for i in indices], [VideoFrame(right_path, i) for i in indices], notes


def _doubts(left: Video, right: Video) -> list[str]:
    names = f"{left.path.name} and {right.path.name}"
    advice = "frames of the same number are taken for one moment: make sure that both recordings started together and lost none"
    notes = []
    if left.frame_count != right.frame_count:
        notes.append(f"{names} have {left.frame_count} and {right.frame_count} frames; {advice}")
    rates = left.frames_per_second, right.frames_per_second
    if all(map(math.isfinite, rates)) and abs(rates[0] - rates[1]) > 0.01 * max(rates):
        notes.append(f"{names} run at {rates[0]:.4g} and {rates[1]:.4g} frames per second; {advice}")
    return notes
