"""The calibration board: `parse_target("chessboard:9x6:25mm")` and its corners in metres."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.errors import UsageError
from calib.geometry import Array
from calib.units import parse_length_m

_LIMITS_M = (1e-4, 10.0)
_LEAST_CORNERS, _MOST_CORNERS = 3, 100
_EXAMPLE = "write e.g. chessboard:9x6:25mm (inner corners across x down, then the side of one square with its unit)"


@dataclass(frozen=True, slots=True)
class Target:
    """A flat board with a regular grid of corners.

    Its frame: origin at the first corner, x along the columns, y along the rows, z = 0, metres.

    Raises
    ------
    UsageError
        An unknown kind, fewer than 3 or more than 100 corners along a side, or an impossible square.
    """

    kind: str
    """"chessboard" (the only kind so far)"""
    columns: int
    """inner corners along a row"""
    rows: int
    """inner corners along a column"""
    square_m: float
    """side of one square, metres"""

    def __post_init__(self) -> None:
        if self.kind != "chessboard":
            raise UsageError(f"target: unknown kind of board {self.kind!r} (known: chessboard); {_EXAMPLE}")
        for name in ("columns", "rows"):
            count = getattr(self, name)
            if not _LEAST_CORNERS <= count <= _MOST_CORNERS:
                raise UsageError(f"target: {count} {name} of inner corners; {_LEAST_CORNERS} to {_MOST_CORNERS} are possible")
        if not _LIMITS_M[0] <= self.square_m <= _LIMITS_M[1]:  # False for NaN too
            raise UsageError(
                f"target: a square of {self.square_m:g} m; its side must lie between {_LIMITS_M[0]:g} and {_LIMITS_M[1]:g} m"
            )

    def __str__(self) -> str:
        return f"{self.kind}:{self.columns}x{self.rows}:{self.square_m * 1e3:.10g}mm"

    @property
    def corner_count(self) -> int:
        """Number of corners, columns * rows."""
        return self.columns * self.rows

    @property
    def is_symmetric(self) -> bool:
        """True when the board turned by 180 degrees looks the same, so that no picture tells its first corner from its last.

        A board of columns x rows inner corners has (columns + 1) x (rows + 1) squares. Half a turn takes square (i, j) to
        (columns - i, rows - j), and the colour is that of the parity of i + j: it stays when columns + rows is even.
        """
        return (self.columns + self.rows) % 2 == 0

    def object_points(self) -> Array:
        """(columns * rows, 3) corners in the board's frame, metres, row by row."""
        y, x = np.mgrid[0 : self.rows, 0 : self.columns]
        return np.stack([x.ravel(), y.ravel(), np.zeros(self.corner_count)], -1) * self.square_m

    def corner_orders(self) -> list[NDArray[np.intp]]:
        """Every order in which the corners of this board may be read, the given one first.

        Returns
        -------
        list of (columns * rows,) arrays
            `corners[order]` is as good a reading as `corners`. One array for a board with one reading, two for a symmetric one,
            four for a square board with even counts, which looks the same after each quarter turn.
        """
        index = np.arange(self.corner_count).reshape(self.rows, self.columns)
        turns = [0]
        if self.is_symmetric:
            # A quarter turn of n x n corners takes square (i, j) to (j, n - i): the colour stays when n is even.
            turns = [0, 1, 2, 3] if self.columns == self.rows and self.columns % 2 == 0 else [0, 2]
        return [np.rot90(index, turn).ravel() for turn in turns]


def parse_target(text: str) -> Target:
    """Read a board from words such as `chessboard:9x6:25mm`.

    Parameters
    ----------
    text : str
        KIND:COLUMNSxROWS:LENGTH; inner corners; the length of one square with its unit: mm, cm, m or in.

    Returns
    -------
    Target

    Raises
    ------
    UsageError
        With what is wrong and an example.
    """
    parts = [part.strip() for part in text.strip().lower().split(":")]
    if len(parts) != 3:
        raise UsageError(f"target {text!r}: {len(parts)} part{'s' * (len(parts) != 1)} instead of 3; {_EXAMPLE}")
    kind, counts, length = parts
    size = re.fullmatch(r"(\d{1,4})\s*x\s*(\d{1,4})", counts)
    if size is None:
        raise UsageError(f"target {text!r}: {counts!r} is no count of corners; {_EXAMPLE}")
    square_m = parse_length_m(length, what=f"target {text!r}", example=_EXAMPLE)
    return Target("chessboard" if kind == "checkerboard" else kind, int(size[1]), int(size[2]), square_m)
