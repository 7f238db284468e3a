"""Which board do the images show? Kind, counts and dictionary from the images; the size of a square must be known."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib.detection import Detection
from calib.errors import InputError, UsageError
from calib.finders.chessboard import guess_chessboard
from calib.finders.circles import blob_detector, find_circles, grid_among
from calib.finders.found import is_late
from calib.finders.marked import find_marked
from calib.finders.markers import Markers, apply_homographies, families, find_markers, homographies, smallest_of_family
from calib.finders.prepare import eight_bit, resized, working_scale
from calib.geometry import Array
from calib.images import Image, to_grey
from calib.target import APRILGRID_BORDER, Target

_LEAST_MARKERS = 4
_UNIT = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]) - 0.5
_MOST_RATIO = 3.0  # pitch of the markers, in markers
_LATTICE = 0.2  # of a step: how far a neighbour may be from its place
_MOST_IMAGES_WITH_CIRCLES = 4
_MOST_IN_A_ROW = 40
_MOST_CIRCLES, _MOST_GRIDS = 400, 6
_TIME_LIMIT_S = 20.0
_UNTIL = (0.5, 0.7, 0.85, 1.0)  # of the time: markers, chessboards, circles, markers in the negative
_ENOUGH_IMAGES = 4
_GAP_ERROR = 0.012  # of a tag


@dataclass(frozen=True, slots=True, eq=False)
class _Lattice:
    """Markers of one image on the lattice in which they were printed."""

    ids: NDArray[np.int64]
    column: NDArray[np.int64]
    row: NDArray[np.int64]
    is_charuco: bool
    ratio: float
    """square (charuco) or pitch (aprilgrid) in sides of a marker"""


def guess_target(images: Sequence[Image], square_m: float, *, deadline: float | None = None) -> Target:
    """The board that images show.

    Markers tell ChArUco boards and AprilGrids: their places give the columns, their greatest number the rows, provided that the
    last row is seen in one image at least. The size of a ChArUco's markers, which the corners do not depend on, is measured and
    rounded. Chessboards are found by their corners, seen whole; grids of circles by the number of circles in an image.

    Parameters
    ----------
    images : sequence of (H, W) or (H, W, 3) arrays
    square_m : float
        Side of one square, distance of circles (acircles: of rows), side of a tag (aprilgrid), metres.
    deadline : float, optional
        `time.monotonic()` after which no further attempt is made; default: in 20 s.

    Returns
    -------
    Target

    Raises
    ------
    InputError
        No kind of board explains the images.
    """
    greys = [to_grey(image) for image in images]
    flats = [eight_bit(grey) for grey in greys]
    start_s = time.monotonic()
    end_s = start_s + _TIME_LIMIT_S if deadline is None else deadline
    until = [start_s + share * (end_s - start_s) for share in _UNTIL]
    target = (
        _marked(greys, flats, square_m, until[0])
        or _chessboard(greys, square_m, until[1])
        or _circles(greys, flats, square_m, until[2])
        or _marked(greys, [255 - flat for flat in flats], square_m, until[3])  # in the negative
    )
    if target is None:
        some = f"{len(images)} image{'s' * (len(images) != 1)}"
        raise InputError(
            f"no board could be made out in the first {some}; say what it is, e.g. --target chessboard:9x6:25mm, or"
            " put images first that show all of it, sharp and large"
        )
    return target


def _marked(greys: Sequence[Image], flats: Sequence[Image], square_m: float, deadline: float) -> Target | None:
    """A ChArUco or AprilGrid that is then found in an image indeed."""
    seen: dict[tuple[str, int, bool], list[_Lattice]] = {}
    tags = [name for name in families() if "APRILTAG" in name]
    for flat in flats:
        for border, names in ((1, families()), (APRILGRID_BORDER, tags)):
            if is_late(deadline):
                break
            for name, found in zip(names, find_markers(flat, names, border=border), strict=True):
                lattice = _lattice(found) if len(found.ids) >= _LEAST_MARKERS else None
                if lattice is not None:
                    seen.setdefault((name, border, lattice.is_charuco), []).append(lattice)
        if any(len(lattices) >= _ENOUGH_IMAGES for lattices in seen.values()):
            break
    ranked = sorted(seen.items(), key=lambda item: -sum(len(lattice.ids) for lattice in item[1]))
    for (name, _, is_charuco), lattices in ranked:
        for target in (_charuco if is_charuco else _aprilgrid)(name, lattices, square_m):
            tries = (find_marked(grey, target, strict=True, deadline=deadline).detection for grey in greys)
            seen_well = next((detection for detection in tries if detection is not None), None)
            if seen_well is not None:
                return target if is_charuco else _with_gap(target, seen_well)
    return None


def _lattice(seen: Markers) -> _Lattice | None:
    """Rows and columns of markers from where each one sees its nearest neighbours; those that join no one are left out."""
    count = len(seen.ids)
    H = homographies(np.broadcast_to(_UNIT, (count, 4, 2)), seen.corners_uv)
    middle = seen.corners_uv.mean(1)
    back: Array = np.asarray(np.linalg.inv(H), np.float64)
    offset = apply_homographies(back, np.broadcast_to(middle, (count, count, 2)))  # [m, n]: n seen from m, in markers
    distance = np.linalg.norm(offset, axis=-1)
    np.fill_diagonal(distance, np.inf)
    distance = np.nan_to_num(distance, nan=np.inf)
    nearest = distance.argmin(1)
    step = offset[np.arange(count), nearest]
    good = np.isfinite(distance.min(1)) & (distance.min(1) < _MOST_RATIO * np.sqrt(2.0))
    if good.sum() < _LEAST_MARKERS:
        return None
    small, large = np.sort(np.abs(step[good]), axis=1).T
    is_charuco = bool(np.median(small / large) > 0.5)
    ratio = float(np.median(np.concatenate([small, large]) if is_charuco else large))
    if not 1.02 < ratio < _MOST_RATIO:
        return None
    place = np.round(offset / ratio)
    stray = np.abs(offset / ratio - place).max(-1)
    near = np.abs(place).max(-1) == 1
    near &= (np.abs(place).min(-1) == 1) if is_charuco else (np.abs(place).sum(-1) == 1)
    links = near & (stray < _LATTICE)
    links &= links.T & (place == -place.transpose(1, 0, 2)).all(-1)
    spots = _connected(links, place)
    if len(spots) < _LEAST_MARKERS:
        return None
    chosen = np.array(sorted(spots))
    at = np.array([spots[m] for m in chosen])
    return _Lattice(seen.ids[chosen], at[:, 0], at[:, 1], is_charuco, ratio)


def _connected(links: NDArray[np.bool_], place: Array) -> dict[int, tuple[int, int]]:
    """(column, row) of the markers of the largest connected part, from an arbitrary origin."""
    largest: dict[int, tuple[int, int]] = {}
    left = set(range(len(links)))
    while left:
        first = left.pop()
        spots, todo = {first: (0, 0)}, [first]
        while todo:
            m = todo.pop()
            for n in np.flatnonzero(links[m]):
                if int(n) not in spots:
                    spots[int(n)] = (spots[m][0] + int(place[m, n, 0]), spots[m][1] + int(place[m, n, 1]))
                    todo.append(int(n))
        left -= set(spots)
        if len(spots) > len(largest):
            largest = spots
    return largest


def _charuco(name: str, lattices: Sequence[_Lattice], square_m: float) -> Iterator[Target]:
    """Boards whose numbering explains the markers, the best first."""
    last = max(int(_trusted(lattice.ids).max()) for lattice in lattices)
    ratio = float(np.median([lattice.ratio for lattice in lattices]))
    ranked = []
    for columns in range(3, 2 * last + 4):
        for first_white in (False, True):  # whether the top left square is white, with a marker
            n = np.arange(2 * (last + 2) + columns)
            row, column = np.divmod(np.arange(len(n) * 2), columns)
            white = (row + column + first_white) % 2 == 1
            row, column = row[white], column[white]
            votes = sum(_votes(lattice, column, row) for lattice in lattices)
            rows = int(row[last]) + 1
            if first_white and rows % 2:
                rows += 1  # the old layout differs only where the count of rows is even
            ranked.append((votes, -columns, columns, max(rows, 3), first_white))
    for votes, _, columns, rows, first_white in sorted(ranked, reverse=True)[:3]:
        if votes < _LEAST_MARKERS:
            return
        try:
            yield Target(
                "charuco",
                columns,
                rows,
                square_m,
                _rounded(square_m / ratio),
                smallest_of_family(name, columns * rows // 2),
                legacy=first_white,
            )
        except UsageError:
            continue


def _aprilgrid(name: str, lattices: Sequence[_Lattice], square_m: float) -> Iterator[Target]:
    """AprilGrids whose numbering explains the tags; there numbers run to the right and up, and tags stand on their heads."""
    if "APRILTAG" not in name:
        return
    last = max(int(_trusted(lattice.ids).max()) for lattice in lattices)
    ratio = float(np.median([lattice.ratio for lattice in lattices]))
    ranked = []
    for columns in range(1, last + 2):
        row, column = np.divmod(np.arange(last + 1), columns)
        ranked.append((sum(_votes(lattice, -column, row) for lattice in lattices), -columns, columns))
    for votes, _, columns in sorted(ranked, reverse=True)[:2]:
        if votes < _LEAST_MARKERS:
            return
        rows = last // columns + 1
        try:
            yield Target("aprilgrid", columns, rows, square_m * ratio, square_m, name)
        except UsageError:
            continue


def _with_gap(rough: Target, seen: Detection) -> Target:
    """The AprilGrid with the gap between its tags measured at their fitted corners: the outlines of tags come out too small."""
    tags = np.array([tag for tag in np.unique(seen.ids // 4) if np.isin(4 * tag + np.arange(4), seen.ids).all()])
    if len(tags) < 2:
        return rough
    uv = seen.corners_uv[np.searchsorted(seen.ids, 4 * tags[:, None] + np.arange(4))]
    corners = rough.object_points()[:4, :2] / rough.marker_m
    H = homographies(np.broadcast_to(corners - corners.mean(0), (len(tags), 4, 2)), uv)
    # The middle of a tag is the image of its own origin, not the mean of its corners.
    middle = apply_homographies(H, np.zeros((len(tags), 1, 2)))[:, 0]
    offset = apply_homographies(np.asarray(np.linalg.inv(H), np.float64), np.broadcast_to(middle, (len(tags), len(tags), 2)))
    near = np.round(offset / (rough.square_m / rough.marker_m))
    pitch = np.abs(offset).max(-1)[np.abs(near).sum(-1) == 1]
    if not len(pitch):
        return rough
    gap = float(np.median(pitch)) - 1.0
    coarse = round(gap / 0.05) * 0.05
    gap = coarse if abs(gap - coarse) < _GAP_ERROR and coarse > 0.0 else round(gap, 3)
    return replace(rough, square_m=round(rough.marker_m * (1.0 + gap), 9))


def _trusted(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers without those that lie far from all others."""
    limit = 3 * np.median(ids) + 10
    return ids[ids <= limit]


def _votes(lattice: _Lattice, column: NDArray[np.int64], row: NDArray[np.int64]) -> int:
    """How many markers lie, up to one common shift, where a numbering has them."""
    known = lattice.ids < len(column)
    ids = lattice.ids[known]
    if not len(ids):
        return 0
    shifts = zip(lattice.column[known] - column[ids], lattice.row[known] - row[ids], strict=True)
    return Counter((int(a), int(b)) for a, b in shifts).most_common(1)[0][1]


def _rounded(length_m: float) -> float:
    """To half a millimetre, or for small markers to two digits."""
    step = 5e-4 if length_m > 0.01 else 1e-4
    return round(round(length_m / step) * step, 7)


def _chessboard(greys: Sequence[Image], square_m: float, deadline: float) -> Target | None:
    counts = Counter(size for grey in greys if (size := guess_chessboard(grey, deadline=deadline)) is not None)
    if not counts:
        return None
    (columns, rows), _ = counts.most_common(1)[0]
    return Target("chessboard", columns, rows, square_m)


def _circles(greys: Sequence[Image], flats: Sequence[Image], square_m: float, deadline: float) -> Target | None:
    """A grid whose product of columns and rows is the number of equal blobs in an image."""
    tried = 0
    for grey, flat in zip(greys, flats, strict=True):
        small, _ = resized(flat, working_scale(flat))
        for image in (small, 255 - small):
            if is_late(deadline):
                return None
            blobs = blob_detector(max(image.shape) / 3.0).detect(image)
            sizes = np.array([blob.size for blob in blobs])
            alike = (sizes > 0.4 * np.median(sizes)) & (sizes < 2.5 * np.median(sizes)) if len(sizes) else np.zeros(0, np.bool_)
            if not 9 <= alike.sum() <= _MOST_CIRCLES:
                continue
            places = np.array([blob.pt for blob in blobs], np.float64)[alike]
            tried += 1
            for kind, columns, rows in _products(len(places)):
                if grid_among(places, kind, columns, rows, deadline=deadline) is None:
                    continue
                target = Target(kind, columns, rows, square_m)
                if find_circles(grey, target, deadline=deadline).detection is not None:
                    return target
            if tried >= _MOST_IMAGES_WITH_CIRCLES:
                return None
    return None


def _products(count: int) -> Iterator[tuple[str, int, int]]:
    """Grids of so many circles, the squarest first."""
    pairs = [
        (count // rows, rows) for rows in range(int(count**0.5), 2, -1) if count % rows == 0 and count // rows <= _MOST_IN_A_ROW
    ]
    pairs = pairs[:_MOST_GRIDS]
    yield from (("circles", a, b) for a, b in pairs)
    for a, b in pairs:
        yield "acircles", b, a
        yield "acircles", a, b
