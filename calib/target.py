"""The calibration board: `parse_target("chessboard:9x6:25mm")` and its points in metres.

============ ====================================== ================================================
kind         columns x rows                         text
============ ====================================== ================================================
`chessboard` inner corners                          chessboard:9x6:25mm
`charuco`    squares                                charuco:11x8:30mm:22mm:DICT_5X5_100[:legacy]
`aprilgrid`  tags                                   aprilgrid:6x6:88mm:0.3[:APRILTAG_36h11]
`circles`    circles                                circles:9x6:20mm
`acircles`   circles (asymmetric, as OpenCV's)      acircles:4x11:20mm
============ ====================================== ================================================
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib import markers
from calib.errors import ConfigError, UsageError
from calib.geometry import Array
from calib.kalibr_board import read_kalibr_board
from calib.units import parse_length_m

KINDS = ("chessboard", "charuco", "aprilgrid", "circles", "acircles")
APRILGRID_BORDER = 2
"""cells of black around the bits of a tag on Kalibr's boards (OpenCV's markers have 1)"""

_LIMITS_M = (1e-4, 10.0)
_MOST = 100
_LEAST = {"chessboard": (3, 3), "charuco": (3, 3), "aprilgrid": (1, 1), "circles": (3, 3), "acircles": (2, 3)}
_COUNTED = {"chessboard": "inner corners", "charuco": "squares", "aprilgrid": "tags"}  # others: circles
_ALIASES = {"checkerboard": "chessboard", "apriltag": "aprilgrid", "circlegrid": "circles", "asymmetric_circles": "acircles"}
_EXAMPLES = {
    "chessboard": "write e.g. chessboard:9x6:25mm (inner corners across x down, then the side of one square with its unit)",
    "charuco": "write e.g. charuco:11x8:30mm:22mm:DICT_5X5_100 (squares across x down, side of a square, side of a marker,"
    " dictionary; then :legacy for boards drawn for OpenCV before 4.6)",
    "aprilgrid": "write e.g. aprilgrid:6x6:88mm:0.3 (tags across x down, side of a tag, gap as a fraction of it) or"
    " aprilgrid:FILE.yaml with a board file of Kalibr",
    "circles": "write e.g. circles:9x6:20mm (circles across x down, distance of centres)",
    "acircles": "write e.g. acircles:4x11:20mm (circles in a row x rows, distance of rows, which is half the distance in a row)",
    "auto": "write e.g. auto:25mm (the side of one square)",
}


@dataclass(frozen=True, slots=True)
class AutoTarget:
    """A board whose kind and counts are to be found in the images; only the size of a square is known (text: `auto:25mm`)."""

    square_m: float
    """side of one square (distance of circles, side of a tag), metres"""

    def __post_init__(self) -> None:
        _check_length("square", self.square_m)

    def __str__(self) -> str:
        return f"auto:{_millimetres(self.square_m)}"


@dataclass(frozen=True, slots=True)
class Target:
    """A flat board with points that can be found in images.

    Its frame: origin at the top left point of the board as it is seen upright (of an aprilgrid: the top left corner of the top
    left tag), x to the right, y down, z into the board; metres. Points are counted row by row from the top left, except those
    of an aprilgrid: its point 4 * tag + corner belongs to the tag with that number in the dictionary. As on Kalibr's boards, tag
    0 stands bottom left and the numbers run to the right, then up. Its corners are counted as `cv2.aruco.ArucoDetector` gives
    them: clockwise, from the corner that is top left where OpenCV draws the marker. Kalibr prints tags turned by half a turn
    against OpenCV, so on the upright board corners 0 1 2 3 are bottom right, bottom left, top left, top right. (Kalibr itself
    counts a tag's corners counter-clockwise from the bottom left, and its y runs up.)

    Raises
    ------
    UsageError
        An unknown kind, an impossible count or length, an unknown dictionary or one with too few markers.
    """

    kind: str
    """one of `KINDS`"""
    columns: int
    """inner corners, squares (charuco), tags or circles along a row"""
    rows: int
    """the same along a column"""
    square_m: float
    """side of one square; pitch of the tags (tag + gap); distance of the circles (acircles: of its rows); metres"""
    marker_m: float = 0.0
    """side of a marker (charuco) or tag (aprilgrid), metres; else 0"""
    dictionary: str = ""
    """of the markers, e.g. "DICT_5X5_100" (charuco), "APRILTAG_36h11" (aprilgrid); else empty"""
    legacy: bool = False
    """charuco with an even count of rows, drawn for OpenCV before 4.6: its top left square is white"""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(
                f"target: unknown kind of board {self.kind!r} (known: {', '.join(KINDS)}); {_EXAMPLES['chessboard']}"
            )
        for name, least in zip(("columns", "rows"), _LEAST[self.kind], strict=True):
            count, counted = getattr(self, name), _COUNTED.get(self.kind, "circles")
            if not least <= count <= _MOST:
                raise UsageError(f"target: {count} {name} of {counted}; {least} to {_MOST} are possible")
        _check_length("square", self.square_m)
        if self.kind in ("charuco", "aprilgrid"):
            self._check_markers()
        elif self.marker_m != 0.0 or self.dictionary:
            raise UsageError(f"target: {self.kind}: this kind has no markers; leave out their size and dictionary")
        if self.legacy and self.kind != "charuco":
            raise UsageError(f"target: {self.kind}: this kind has no legacy layout; only charuco has")

    def _check_markers(self) -> None:
        _check_length("marker", self.marker_m)
        name = markers.dictionary_name(self.dictionary, what="target")
        object.__setattr__(self, "dictionary", name if self.kind == "charuco" else name.removeprefix("DICT_"))
        if self.marker_m >= self.square_m:
            limit = f"smaller than the {'square' if self.kind == 'charuco' else 'pitch'} of {_millimetres(self.square_m)}"
            raise UsageError(f"target: a marker of {_millimetres(self.marker_m)}; it must be {limit}")
        if self.kind == "aprilgrid" and not self.dictionary.startswith("APRILTAG"):
            raise UsageError(f"target: an aprilgrid with markers of {name}; its tags are of an APRILTAG dictionary")
        if self.marker_total > markers.marker_count(name):
            raise UsageError(
                f"target: {self.columns} x {self.rows} needs {self.marker_total} markers, but {name} has"
                f" {markers.marker_count(name)}; take a larger dictionary or fewer columns and rows"
            )

    def __str__(self) -> str:
        """The text that `parse_target` reads."""
        counts = f"{self.kind}:{self.columns}x{self.rows}"
        if self.kind == "charuco":
            legacy = ":legacy" if self.legacy else ""
            return f"{counts}:{_millimetres(self.square_m)}:{_millimetres(self.marker_m)}:{self.dictionary}{legacy}"
        if self.kind == "aprilgrid":
            family = "" if self.dictionary == "APRILTAG_36h11" else f":{self.dictionary}"
            return f"{counts}:{_millimetres(self.marker_m)}:{self.square_m / self.marker_m - 1.0:.9g}{family}"
        return f"{counts}:{_millimetres(self.square_m)}"

    @property
    def shape(self) -> tuple[int, int] | None:
        """(rows, columns) of the grid of points; None for an aprilgrid, whose points are those of its tags."""
        if self.kind == "aprilgrid":
            return None
        return (self.rows - 1, self.columns - 1) if self.kind == "charuco" else (self.rows, self.columns)

    @property
    def corner_count(self) -> int:
        """Number of points."""
        return 4 * self.columns * self.rows if self.shape is None else self.shape[0] * self.shape[1]

    @property
    def marker_total(self) -> int:
        """Number of markers or tags on the board; their numbers run from 0."""
        if self.kind == "charuco":
            return self.columns * self.rows // 2  # those on white squares; of an odd number of squares one more is black
        return self.columns * self.rows if self.kind == "aprilgrid" else 0

    @property
    def has_ids(self) -> bool:
        """True when every point can be told from its neighbours, so that a part of the board suffices."""
        return self.kind in ("charuco", "aprilgrid")

    @property
    def is_symmetric(self) -> bool:
        """True when the board turned by 180 degrees looks the same, so that no picture tells its first point from its last.

        A chessboard of columns x rows inner corners has (columns + 1) x (rows + 1) squares. Half a turn takes square (i, j) to
        (columns - i, rows - j), and the colour is that of the parity of i + j: it stays when columns + rows is even.
        Asymmetric circles lie where x + y is even, 0 <= x < 2 columns, 0 <= y < rows (in units of `square_m`); half a turn
        keeps that when 2 columns + rows is even.
        """
        if self.kind == "acircles":
            return self.rows % 2 == 0
        return self.kind == "circles" or (self.kind == "chessboard" and (self.columns + self.rows) % 2 == 0)

    def object_points(self) -> Array:
        """(N, 3) points in the board's frame, metres."""
        if self.shape is None:
            return self._tag_corners()
        y, x = np.mgrid[0 : self.shape[0], 0 : self.shape[1]]
        if self.kind == "acircles":
            x = 2 * x + y % 2
        return np.stack([x.ravel(), y.ravel(), np.zeros(self.corner_count)], -1) * self.square_m

    def _tag_corners(self) -> Array:
        up, x = np.divmod(np.arange(self.columns * self.rows), self.columns)
        origin = np.stack([x, self.rows - 1 - up, np.zeros(len(x))], -1) * self.square_m  # top left corner of each tag
        corners = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]]) * self.marker_m
        return np.asarray((origin[:, None] + corners).reshape(-1, 3))

    def outline_m(self) -> Array:
        """(4, 2) corners of all that is printed: top left, top right, bottom right, bottom left; board's frame, metres.

        The outer squares of a chessboard or charuco, the black squares beside the outer tags of an aprilgrid, the edges of the
        outer circles.
        """
        points = self.object_points()[:, :2]
        margin = {"aprilgrid": self.square_m - self.marker_m, "circles": self.radius_m, "acircles": self.radius_m}
        out = margin.get(self.kind, self.square_m)
        (left, top), (right, bottom) = points.min(0) - out, points.max(0) + out
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])

    @property
    def radius_m(self) -> float:
        """Radius of the circles as we draw them, half of the gap between them, metres; 0 for other boards."""
        return {"circles": 0.25, "acircles": 0.35}.get(self.kind, 0.0) * self.square_m

    def corner_orders(self) -> list[NDArray[np.intp]]:
        """Every order in which the points of this board may be read, the given one first.

        Returns
        -------
        list of (N,) arrays
            `points[order]` is as good a reading as `points`. One array for a board with one reading, two for a symmetric one,
            four for a square chessboard with even counts or a square grid of circles, which look the same after each quarter
            turn.
        """
        if not self.is_symmetric:
            return [np.arange(self.corner_count)]
        index = np.arange(self.corner_count).reshape(self.rows, self.columns)
        # A quarter turn of n x n corners takes square (i, j) to (j, n - i): the colour stays when n is even.
        is_square = self.columns == self.rows and (
            self.kind == "circles" or (self.kind == "chessboard" and self.columns % 2 == 0)
        )
        turns = [0, 1, 2, 3] if is_square else [0, 2]
        return [np.rot90(index, turn).ravel() for turn in turns]


def parse_target(text: str) -> Target | AutoTarget:
    """Read a board from words such as `chessboard:9x6:25mm`; the module's table lists the kinds.

    Parameters
    ----------
    text : str
        Lengths have units: mm, cm, m or in. `auto:25mm` leaves kind and counts to the images. `aprilgrid:FILE.yaml` (or just
        FILE.yaml) reads a board file of Kalibr, of any of its kinds.

    Returns
    -------
    Target or AutoTarget

    Raises
    ------
    UsageError
        With what is wrong and an example; a `ConfigError` for mistakes in a board file.
    InputError
        A board file that is missing or unreadable.
    """
    stripped = text.strip()
    head, _, rest = stripped.partition(":")
    if stripped.lower().endswith((".yaml", ".yml")):
        return _from_file(head.strip().lower(), rest.strip(), stripped)
    parts = [part.strip() for part in stripped.split(":")]
    kind = parts[0].lower()
    kind = _ALIASES.get(kind, kind)
    what, example = f"target {text!r}", _EXAMPLES.get(kind, _EXAMPLES["chessboard"])
    if kind not in (*KINDS, "auto"):
        if len(parts) != 3:
            raise UsageError(f"{what}: {_parts(parts)} instead of 3; {example}")
        raise UsageError(f"{what}: unknown kind of board {kind!r}{_suggest(kind)} (known: {', '.join(KINDS)}, auto); {example}")
    expected = {"charuco": (5, 6), "aprilgrid": (4, 5), "auto": (2,)}.get(kind, (3,))
    if len(parts) not in expected:
        raise UsageError(f"{what}: {_parts(parts)} instead of {' or '.join(map(str, expected))}; {example}")
    if kind == "auto":
        return AutoTarget(parse_length_m(parts[1], what=what, example=example))
    size = re.fullmatch(r"(\d{1,4})\s*x\s*(\d{1,4})", parts[1].lower())
    if size is None:
        raise UsageError(f"{what}: {parts[1]!r} is no count of {_COUNTED.get(kind, 'circles').split()[-1]}; {example}")
    columns, rows = int(size[1]), int(size[2])
    length_m = parse_length_m(parts[2], what=what, example=example)
    if kind == "charuco":
        if len(parts) == 6 and parts[5].lower() != "legacy":
            raise UsageError(f"{what}: {parts[5]!r} is not understood; only 'legacy' may follow the dictionary; {example}")
        marker_m = parse_length_m(parts[3], what=what, example=example)
        name = markers.dictionary_name(parts[4], what=what)
        return Target(kind, columns, rows, length_m, marker_m, name, legacy=len(parts) == 6)
    if kind == "aprilgrid":
        name = markers.dictionary_name(parts[4], what=what) if len(parts) == 5 else "DICT_APRILTAG_36h11"
        return Target(kind, columns, rows, length_m * (1.0 + _ratio(parts[3], what, example)), length_m, name)
    return Target(kind, columns, rows, length_m)


def _from_file(head: str, rest: str, whole: str) -> Target:
    """A board file of Kalibr, with or without words before its path."""
    kind = _ALIASES.get(head, head)
    path = Path(rest if kind in (*KINDS, "kalibr") else whole)
    try:
        target = Target(**read_kalibr_board(path))
    except ConfigError:
        raise
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    if kind in KINDS and kind not in ("aprilgrid", target.kind):
        raise UsageError(f"{path}: holds a board of kind {target.kind}, not {kind}; write kalibr:{path} to take it as it is")
    return target


def _ratio(text: str, what: str, example: str) -> float:
    if re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text.lower()) is None or not 0.0 < float(text) <= 10.0:
        raise UsageError(f"{what}: a gap of {text!r}; it must be a number without unit > 0, at most 10, times the tag; {example}")
    return float(text)


def _parts(parts: list[str]) -> str:
    return f"{len(parts)} part{'s' * (len(parts) != 1)}"


def _suggest(kind: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(kind, [*KINDS, "auto"], 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _millimetres(length_m: float) -> str:
    return f"{length_m * 1e3:.10g}mm"


def _check_length(name: str, length_m: float) -> None:
    if not _LIMITS_M[0] <= length_m <= _LIMITS_M[1]:  # False for NaN too
        raise UsageError(f"target: a {name} of {length_m:g} m; its side must lie between {_LIMITS_M[0]:g} and {_LIMITS_M[1]:g} m")
