"""What was found in an image before, kept on disk under the content of the image, the board and the version of the search.

A torn, foreign or missing file costs a search; a folder that cannot be used costs the cache, never the run.
"""

import hashlib
import io
import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calib import files
from calib.detection import Detection
from calib.target import Target

_FORMAT = 1
_SUFFIX = ".npz"
_SEARCH = (
    *("finders/*.py", "corners.py", "detection.py", "geometry.py", "images.py", "markers.py", "target.py", "video.py"),
    *("frame_choice.py", "board_search.py"),
)
"""the sources that decide what is found, in this package's folder"""
MOST_BYTES = 200_000_000
MOST_FILES = 50_000
_KEPT_SHARE = 0.8  # of the limit, when the oldest are removed


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """What the search for a board in one image brought."""

    detection: Detection | None
    reason: str
    """why there is none; empty otherwise"""
    target: Target
    """the board as it turned out to be"""
    size: tuple[int, int] | None
    """(width, height) of the image, px; None where it could not be read"""
    note: str = ""
    """in what the board differs from the one asked for"""
    motion_px: float = float("nan")
    """median motion of the corners to the next frame of the video; NaN where unknown"""
    digest: str = ""
    """of the image's content; empty where unknown"""
    is_late: bool = False
    """True where nothing was found because the time was over; such a result is not kept"""


def default_folder() -> Path:
    """Where detections are kept: `STEREO_CACHE_DIR`, else the user's cache folder; in it `stereo/boards`."""
    return files.cache_folder("stereo") / "boards"


class DetectionCache:
    """Detections in a folder.

    Parameters
    ----------
    folder : str or Path, optional
        Created where needed; default: `default_folder()`.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self.problem = ""
        """why the folder cannot be used, in words; empty as long as it can"""
        self._has_written = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            self._give_up(error)

    def load(self, digest: str, target: object) -> Searched | None:
        """What was found in an image of this content, or None where that is not known.

        Parameters
        ----------
        digest : str
            Of the image's content.
        target : object
            The board searched for; its `str` and `repr` name it.
        """
        if self.problem:
            return None
        path = self._path(digest, target)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        try:
            found = _decoded(data, digest)
        except Exception:  # a torn or foreign file raises anything from BadZipFile to UnicodeDecodeError
            return None
        with suppress(OSError):
            os.utime(path)  # the oldest go first
        return found

    def save(self, digest: str, target: object, found: Searched) -> None:
        """Keep what was found."""
        if self.problem:
            return
        path = self._path(digest, target)
        temporary = path.with_name(f".partial-{os.getpid()}-{secrets.token_hex(4)}")
        try:  # renamed without a flush to disk, which would take longer than the search: a torn file is noticed by its reader
            temporary.write_bytes(_encoded(found))
            temporary.replace(path)
            self._has_written = True
        except OSError as error:
            self._give_up(error)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def trim(self, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> None:
        """Remove what was used longest ago where there is too much; nothing to do when nothing was written."""
        if self.problem or not self._has_written:
            return
        entries = []
        with suppress(OSError), os.scandir(self.folder) as listing:
            for entry in listing:
                if entry.name.endswith(_SUFFIX) or entry.name.startswith(".partial-"):
                    with suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        entries.append((status.st_mtime_ns, status.st_size, entry.path))
        size, count = sum(entry[1] for entry in entries), len(entries)
        if size <= most_bytes and count <= most_files:
            return
        for _, length, path in sorted(entries):
            if size <= _KEPT_SHARE * most_bytes and count <= _KEPT_SHARE * most_files:
                break
            with suppress(OSError):
                Path(path).unlink()
            size, count = size - length, count - 1

    def _path(self, digest: str, target: object) -> Path:
        key = hashlib.sha256(f"{_FORMAT}\n{_version()}\n{digest}\n{target}\n{target!r}".encode())
        return self.folder / (key.hexdigest()[:40] + _SUFFIX)

    def _give_up(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        self.problem = f"{self.folder}: boards that were found cannot be kept here ({reason}); the next run will search again"


@cache
def _version() -> str:
    """A digest of everything but the image that decides what is found."""
    digest = hashlib.sha256(f"{cv2.__version__} {np.__version__}".encode())
    package = Path(__file__).parent
    for pattern in _SEARCH:
        for source in sorted(package.glob(pattern)):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _encoded(found: Searched) -> bytes:
    detection = found.detection
    meta: dict[str, Any] = {"reason": found.reason, "target": asdict(found.target), "size": found.size, "note": found.note}
    meta |= {"motion_px": found.motion_px, "digest": found.digest, "detection": None}
    arrays = {}
    if detection is not None:
        meta["detection"] = {
            "detector": detection.detector,
            "is_inverted": bool(detection.is_inverted),
            "blur_px": float(detection.blur_px),
        }
        arrays = {name: getattr(detection, name) for name in ("corners_uv", "ids", "sigma_px")}
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    return stream.getvalue()


def _decoded(data: bytes, digest: str) -> Searched:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        meta = json.loads(stored["meta"].tobytes())
        arrays = {name: stored[name] for name in stored.files if name != "meta"}
    if meta["digest"] != digest:
        raise ValueError("of another image")
    detection = None
    if meta["detection"] is not None:
        detection = Detection(
            arrays["corners_uv"],
            ids=arrays["ids"],
            sigma_px=arrays["sigma_px"],
            **{str(k): v for k, v in meta["detection"].items()},
        )
    size = None if meta["size"] is None else (int(meta["size"][0]), int(meta["size"][1]))
    target = Target(**meta["target"])
    return Searched(detection, str(meta["reason"]), target, size, str(meta["note"]), float(meta["motion_px"]), digest)
