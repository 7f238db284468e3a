"""Search images for a board, several at a time: with a cache, a limit of time, and a guard against searches that never end."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import cv2

from calib import files, video
from calib.detection_cache import DetectionCache, Searched
from calib.errors import InputError
from calib.finders import find_board
from calib.finders.found import NOTHING
from calib.finders.prepare import eight_bit, resized, working_scale
from calib.frame_choice import motion_px
from calib.images import Image, to_grey
from calib.sources import Source, VideoFrame
from calib.target import Target
from calib.workers import in_order

FRAME_TIME_LIMIT_S, _FRAME_SHARE = 1.0, 0.1
"""for a frame of a video, of which there are many; a share of the limit of photos where that is more"""
_LEAST_SIDE_PX = 20


@dataclass(frozen=True, slots=True)
class _Job:
    """One image to search."""

    source: Source
    target: Target
    known: Searched | None = None
    frames: tuple[Image | None, Image | None] = (None, None)
    """of a video: the frame and its neighbour"""
    digest: str = ""
    seen: list[tuple[tuple[int, int], str]] = field(default_factory=list)
    """size and digest of the image, as soon as it is read: for searches that do not come back"""


@dataclass(frozen=True, slots=True)
class BoardSearch:
    """How images are searched."""

    cache: DetectionCache | None
    time_limit_s: float
    """for each image; frames of videos get a tenth of it, or 1 s where that is more"""
    threads: int
    skips_empty: bool = True
    """pass over frames of videos that a quick look takes for empty"""
    is_strict: bool = False
    """look for just this board, not for other layouts and dictionaries"""

    def __call__(self, sources: Sequence[Source], targets: Sequence[Target]) -> Iterator[Searched]:
        """What is found in each source, in their order."""
        guard_s = 2.0 * self.time_limit_s + 1.0  # the search itself looks at the clock between its attempts only
        return in_order(self._work, self._jobs(sources, targets), threads=self.threads, limit_s=guard_s, late=self._late)

    def _jobs(self, sources: Sequence[Source], targets: Sequence[Target]) -> Iterator[_Job]:
        """Frames of videos are decoded here, one after the other; other images by the threads."""
        jobs = []
        for source, target in zip(sources, targets, strict=True):
            # without a cache no one needs to know what a frame of a video is; of photos it is known for telling copies
            digest = content(source) if self.cache is not None and isinstance(source, VideoFrame) else ""
            known = self.cache.load(digest, self._key(source, target)) if self.cache is not None and digest else None
            jobs.append(_Job(source, target, known, digest=digest))
        missing: dict[Path, list[int]] = {}
        for job in jobs:
            if isinstance(job.source, VideoFrame) and job.known is None:
                missing.setdefault(job.source.path, []).append(job.source.index)
        readers = {path: video.frames(path, indices) for path, indices in missing.items()}
        try:
            for job in jobs:
                is_new_frame = isinstance(job.source, VideoFrame) and job.known is None
                yield replace(job, frames=next(readers[job.source.path])) if is_new_frame else job  # type: ignore[union-attr]
        finally:
            for reader in readers.values():
                reader.close()

    def _work(self, job: _Job) -> Searched:
        if job.known is not None:
            return job.known
        source, digest = job.source, job.digest
        if isinstance(source, VideoFrame):
            image, neighbour = job.frames
            if image is None:
                return Searched(None, "a frame that cannot be decoded", job.target, None)
            if self.skips_empty and looks_empty(image, job.target):
                return self._kept(
                    job, digest, Searched(None, NOTHING, job.target, (image.shape[1], image.shape[0]), digest=digest)
                )
        else:
            digest = content(source)
            known = self.cache.load(digest, self._key(source, job.target)) if self.cache is not None else None
            if known is not None:
                return known
            image, neighbour = source.read(), None
        size = (image.shape[1], image.shape[0])
        job.seen.append((size, digest))
        if min(size) < _LEAST_SIDE_PX:
            return Searched(
                None, f"an image of {size[0]} x {size[1]} px, too small for a board,", job.target, size, digest=digest
            )
        limit_s, start_s = self._limit_s(source), time.monotonic()
        try:
            found = find_board(image, job.target, deadline=start_s + limit_s, strict=self.is_strict)
        except cv2.error as error:  # one image that OpenCV cannot cope with does not end the run
            if error.code == cv2.Error.StsNoMem:
                raise MemoryError from error
            return Searched(None, f"{NOTHING} (OpenCV: {error.err})", job.target, size, digest=digest)
        is_late = found.detection is None and time.monotonic() - start_s > limit_s
        motion = float("nan")
        if found.detection is not None and neighbour is not None and neighbour.shape == image.shape:
            motion = motion_px(image, neighbour, found.detection.corners_uv)
        reason = f"{NOTHING} within {limit_s:g} s" if is_late and found.reason == NOTHING else found.reason
        result = Searched(found.detection, reason, found.target, size, found.note, motion, digest, is_late)
        return result if is_late else self._kept(job, digest, result)  # with more time, or a calmer machine, it may be found

    def _kept(self, job: _Job, digest: str, result: Searched) -> Searched:
        """The result, put into the cache."""
        if self.cache is not None and digest:
            self.cache.save(digest, self._key(job.source, job.target), result)
        return result

    def _late(self, job: _Job) -> Searched:
        """For a search that does not come back."""
        size, digest = job.seen[0] if job.seen else (None, job.digest)
        reason = f"{NOTHING} within {self._limit_s(job.source):g} s"
        return Searched(None, reason, job.target, size, digest=digest, is_late=True)

    def _limit_s(self, source: Source) -> float:
        of_frames = max(FRAME_TIME_LIMIT_S, _FRAME_SHARE * self.time_limit_s)
        return min(self.time_limit_s, of_frames) if isinstance(source, VideoFrame) else self.time_limit_s

    def _key(self, source: Source, target: Target) -> str:
        """What is kept depends on the board, and for frames of videos, most of which show none, on the quick look."""
        key = f"{target!r}{', strict' if self.is_strict else ''}"
        return f"{key}, if it looks so" if isinstance(source, VideoFrame) and self.skips_empty else key


def looks_empty(image: Image, target: Target) -> bool:
    """True where a quick look (about 1 % of the time of a search) finds nothing like a chessboard; False for other boards."""
    if target.kind != "chessboard":
        return False
    grey = to_grey(image)
    small, _ = resized(eight_bit(grey), working_scale(grey))
    return not cv2.checkChessboard(small, (target.columns, target.rows))


def content(source: Source) -> str:
    """What tells an image from others: a digest of its file or values; of a frame, that of its video and the number."""
    if not isinstance(source, VideoFrame):
        return source.digest()
    try:
        status = source.path.stat()
    except OSError as error:
        raise InputError(f"{source.path}: cannot be read: {error.strerror}") from error
    return f"{_video_digest(source.path, status.st_mtime_ns, status.st_size)}#{source.index}"


@lru_cache(maxsize=8)
def _video_digest(path: Path, modified_ns: int, size: int) -> str:
    """Of a whole video; it has a great many frames, and may be large."""
    return files.sha256(path)
