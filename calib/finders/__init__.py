"""Find boards of every kind in images.

`find_board` looks for a given board; the kinds have a module each.
"""

import time

from calib.errors import InputError
from calib.finders.chessboard import find_chessboard
from calib.finders.circles import find_circles
from calib.finders.found import Found
from calib.finders.guess import guess_target
from calib.finders.marked import find_marked
from calib.finders.prepare import quickly_searched
from calib.images import Image, to_grey
from calib.target import Target

__all__ = ["Found", "find_board", "guess_target", "other_board"]

_TIME_LIMIT_S = 5.0


def find_board(image: Image, target: Target, *, deadline: float | None = None, strict: bool = False) -> Found:
    """The board in one image.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array in BGR order, uint8, uint16 or float32
    target : Target
    deadline : float, optional
        `time.monotonic()` after which no further attempt is made; what was not found by then is not found.
    strict : bool
        Look for just this board: not for other layouts, dictionaries, or columns and rows exchanged. Quicker where the board is
        known, e.g. after the first images.

    Returns
    -------
    Found
        `detection`, or None and the reason; `target`, the board as it turned out to be. Boards whose black and white are
        exchanged are found as well (`Detection.is_inverted`); a chessboard with one reading is then read from its other end.
    """
    grey = to_grey(image)
    if target.has_ids:
        return find_marked(grey, target, deadline=deadline, strict=strict)
    if target.kind == "chessboard":
        return find_chessboard(grey, target, deadline=deadline)
    return find_circles(grey, target, deadline=deadline)


def other_board(image: Image, target: Target, *, deadline: float | None = None) -> str:
    """What an image shows where the board asked for was not found, e.g. "shows a board of 8x6 inner corners"; "" if nothing.

    `deadline` is the `time.monotonic()` when it gives up, after 5 s by default.
    """
    end_s = time.monotonic() + _TIME_LIMIT_S if deadline is None else deadline
    try:
        guess = guess_target(
            [quickly_searched(image)], target.marker_m if target.kind == "aprilgrid" else target.square_m, deadline=end_s
        )
    except InputError:
        return ""
    if guess.kind == target.kind and {guess.columns, guess.rows} == {target.columns, target.rows}:
        return ""
    if guess.kind == "chessboard":
        size = f"{guess.columns}x{guess.rows}"
        return f"shows a board of {size} inner corners: try --target chessboard:{size}:..."
    counted = {"charuco": "squares", "aprilgrid": "tags"}.get(guess.kind, "circles")
    family = f", markers of {guess.dictionary}" if guess.dictionary else ""
    return f"shows a board of {guess.columns}x{guess.rows} {counted}{family}: try --target {guess} with its own lengths"
