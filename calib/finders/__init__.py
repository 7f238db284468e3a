"""Find boards of every kind in images.

`find_board` looks for a given board; the kinds have a module each.
"""

from calib.finders.chessboard import find_chessboard
from calib.finders.found import Found
from calib.images import Image, to_grey
from calib.target import Target

__all__ = ["Found", "find_board", "other_board"]


def find_board(image: Image, target: Target, *, deadline: float | None = None) -> Found:
    """The board in one image.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array in BGR order, uint8, uint16 or float32
    target : Target
    deadline : float, optional
        `time.monotonic()` after which no further attempt is made; what was not found by then is not found.

    Returns
    -------
    Found
        `detection`, or None and the reason; `target`, the board as it turned out to be.
    """
    return find_chessboard(to_grey(image), target, deadline=deadline)


def other_board(image: Image, target: Target) -> str:
    """What an image shows where the board asked for was not found, e.g. "shows a board of 8x6 inner corners"; "" if nothing."""
    from calib.finders.chessboard import guess_chessboard

    size = guess_chessboard(image)
    if size in (None, (target.columns, target.rows), (target.rows, target.columns)):
        return ""
    return f"shows a board of {size[0]}x{size[1]} inner corners: try --target chessboard:{size[0]}x{size[1]}:..."
