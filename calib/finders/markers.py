"""Square markers in an image, and whether they lie as a board says: each marker foretells where its neighbours must be.

A marker's four corners give a homography from the board to the image that is good enough for the markers next to it, under any
lens. Two neighbours that each find the other in the right place prove the layout; markers read by mistake have no such friends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.finders.prepare import full_size, resized
from calib.geometry import Array
from calib.images import Image
from calib.markers import dictionary, dictionary_names, marker_count

_MOST_PX, _LEAST_PX = 2400, 700
"""long side of the image in which markers are sought; smaller images are enlarged"""
USUAL_COUNT = 250
"""markers on a board, at most, unless it is said to have more"""
_NEAR = 1.6  # pitches: neighbours across an edge or a corner
_AGREE = 0.35  # of a pitch


@dataclass(frozen=True, slots=True, eq=False)
class Markers:
    """Markers read in an image."""

    ids: NDArray[np.int64]
    """(M,) numbers in the dictionary"""
    corners_uv: Array
    """(M, 4, 2) px, clockwise from the marker's own top left"""

    def __getitem__(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Markers":
        return Markers(self.ids[chosen], self.corners_uv[chosen])


def find_markers(image: Image, names: Sequence[str], *, border: int = 1, count: int = USUAL_COUNT) -> list[Markers]:
    """Read the markers of several dictionaries.

    Parameters
    ----------
    image : (H, W) uint8 array
    names : sequence of str
        Dictionaries.
    border : int
        Cells of black around the bits.
    count : int
        Only the first so many markers of each dictionary: reading takes time in proportion.

    Returns
    -------
    list of Markers
        For each dictionary.
    """
    longest = max(image.shape)
    small, scale = resized(image, min(1.0, _MOST_PX / longest) if longest > _LEAST_PX else min(2.0, 1.2 * _LEAST_PX / longest))
    settings = cv2.aruco.DetectorParameters()
    settings.markerBorderBits = border
    settings.minMarkerPerimeterRate = 0.015
    settings.adaptiveThreshWinSizeMax = 33
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_NONE
    detector = cv2.aruco.ArucoDetector(_first(names[0], count), settings)
    result = []
    for name in names:
        detector.setDictionary(_first(name, count))
        quads, ids, _ = detector.detectMarkers(small)
        if ids is None or not len(ids):
            result.append(Markers(np.empty(0, np.int64), np.empty((0, 4, 2))))
            continue
        uv = full_size(np.concatenate([np.reshape(q, (4, 2)) for q in quads]), scale).reshape(-1, 4, 2)
        result.append(Markers(np.asarray(ids, np.int64).ravel(), uv))
    return result


def _first(name: str, count: int) -> cv2.aruco.Dictionary:
    """The first markers of a dictionary."""
    book = dictionary(name)
    return cv2.aruco.Dictionary(np.ascontiguousarray(book.bytesList[:count]), book.markerSize, book.maxCorrectionBits)


def families() -> list[str]:
    """The largest dictionary of each family: it holds the markers of the smaller ones, with the same numbers."""
    largest: dict[str, str] = {}
    for name in dictionary_names():
        family = name.rsplit("_", 1)[0] if name[5].isdigit() else name
        if family not in largest or marker_count(name) > marker_count(largest[family]):
            largest[family] = name
    return list(largest.values())


def smallest_of_family(name: str, least: int) -> str:
    """The smallest dictionary of a family with at least so many markers."""
    if not name[5].isdigit():
        return name
    family = name.rsplit("_", 1)[0]
    fitting = [other for other in dictionary_names() if other.rsplit("_", 1)[0] == family and marker_count(other) >= least]
    return min(fitting, key=marker_count, default=name)


def agreeing(seen: Markers, places: Array, pitch: float) -> tuple[NDArray[np.bool_], int, int]:
    """Which markers lie as the board says.

    Parameters
    ----------
    seen : Markers
    places : (K, 4, 2) array
        Corners of marker number k on the board.
    pitch : float
        Distance of neighbouring markers on the board, in the units of `places`.

    Returns
    -------
    ok : (M,) bool array
        With at least one neighbour that agrees, each number once.
    friends, foes : int
        Pairs of neighbours that agree and that do not.
    """
    known = np.flatnonzero((seen.ids >= 0) & (seen.ids < len(places)))
    ok = np.zeros(len(seen.ids), np.bool_)
    if len(known) < 2:
        return ok, 0, 0
    board, uv, ids = places[seen.ids[known]], seen.corners_uv[known], seen.ids[known]
    middle, seen_middle = board.mean(1), uv.mean(1)
    distance = np.linalg.norm(middle[:, None] - middle[None], axis=-1)
    near = (distance < _NEAR * pitch) & (ids[:, None] != ids[None])
    # On markers that have lost their neighbours, those next but one must do.
    far = (distance < 2.0 * _NEAR * pitch) & (ids[:, None] != ids[None]) & ~near.any(1)[:, None]
    near |= far | far.T
    H = homographies(board, uv)
    foretold = apply_homographies(H, np.broadcast_to(middle, (len(known), *middle.shape)))
    size_px = np.sqrt(np.abs(_area(uv)) / np.maximum(np.abs(_area(board)), 1e-30)) * pitch
    error = np.linalg.norm(foretold - seen_middle[None], axis=-1)
    agree = near & (error < _AGREE * size_px[None] * np.maximum(distance / pitch, 1.0))
    agree &= agree.T
    friends = agree.sum(1)
    ok[known] = friends > 0
    for number in np.unique(ids[ok[known]]):
        twins = known[(ids == number) & ok[known]]
        best = twins[np.argmax([friends[np.searchsorted(known, t)] for t in twins])]
        ok[twins] = False
        ok[best] = True
    pairs = int(np.triu(near, 1).sum())
    good = int(np.triu(agree, 1).sum())
    return ok, good, pairs - good


def homographies(board: Array, uv: Array) -> Array:
    """(M, 3, 3) from four points on the board (M, 4, 2) to four pixels (M, 4, 2)."""
    count = len(board)
    x, y = board[..., 0], board[..., 1]
    u, v = uv[..., 0], uv[..., 1]
    # Scaled to the marker's own size, for a well-conditioned system.
    low, size = board.mean(1), np.maximum(np.ptp(board, axis=1).max(1), 1e-30)
    x, y = (x - low[:, :1]) / size[:, None], (y - low[:, 1:]) / size[:, None]
    zero, one = np.zeros_like(x), np.ones_like(x)
    top = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    bottom = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    system = np.concatenate([top, bottom], 1) + 1e-9 * np.eye(8)
    solution = np.linalg.solve(system, np.concatenate([u, v], 1)[..., None])[..., 0]
    H = np.concatenate([solution, np.ones((count, 1))], 1).reshape(-1, 3, 3)
    shrink = np.zeros((count, 3, 3))
    shrink[:, 0, 0] = shrink[:, 1, 1] = 1.0 / size
    shrink[:, 0, 2], shrink[:, 1, 2], shrink[:, 2, 2] = -low[:, 0] / size, -low[:, 1] / size, 1.0
    return np.asarray(H @ shrink)


def apply_homographies(H: Array, points: Array) -> Array:
    """(M, N, 2) pixels of points (M, N, 2); NaN where they lie behind."""
    mapped = np.einsum("mij,mnj->mni", H[:, :, :2], points) + H[:, None, :, 2]
    w = mapped[..., 2:]
    return np.asarray(np.where(w > 1e-6, mapped[..., :2] / np.where(w > 1e-6, w, 1.0), np.nan))


def _area(quad: Array) -> Array:
    """(M,) signed area of quadrilaterals (M, 4, 2)."""
    a, b = quad[:, 2] - quad[:, 0], quad[:, 3] - quad[:, 1]
    return np.asarray(0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]))
