"""What of a capture can be calibrated from: views that span an area, each once, of corners that the board has."""

from dataclasses import replace

import numpy as np

from calib.detection import BoardViews, Detection, PairView
from calib.errors import CalibrationError
from calib.geometry import Array
from calib.robust import spreads

LEAST_PAIRS = 3
_LEAST_EXTENT_PX = 2.0  # rms over the narrower side of a view: less is a line, or a point


def usable_views(views: BoardViews) -> BoardViews:
    """The capture without views that tell nothing, and without copies; pairs keep their places.

    Raises
    ------
    CalibrationError
        Corners that the board does not have, or fewer than three pairs that show it to both cameras.
    """
    board = views.target.object_points()
    pairs: list[PairView] = []
    check_numbers(views)
    for pair in views.pairs:
        for name, view in (("left", pair.left), ("right", pair.right)):
            if view is not None and not _tells(view, board):
                why = f"the {name} view tells nothing: its {len(view.ids)} corners span no area"
                pair = replace(pair, left=None, problem=why) if name == "left" else replace(pair, right=None, problem=why)
        twin = next((other for other in pairs if _same(pair, other)), None)
        pairs.append(pair if twin is None else replace(pair, left=None, right=None, problem=f"the same corners as {twin.name}"))
    whole = [pair for pair in pairs if pair.left is not None and pair.right is not None]
    if len(whole) < LEAST_PAIRS:
        problems = [pair.problem for pair in pairs if pair.problem]
        missing = "".join(f"; {problem}" for problem in problems[:3]) + ("; ..." if len(problems) > 3 else "")
        raise CalibrationError(
            f"the board {views.target} was found in both images of {len(whole)} of {len(pairs)} pairs; at least {LEAST_PAIRS} are"
            " needed, 10 or more are good: check the board's kind and counts, and take pictures that show it whole"
            f"{missing}"
        )
    said = [
        f"{new.name} left out: {new.problem}"
        for old, new in zip(views.pairs, pairs, strict=True)
        if new is not old and new.problem != old.problem
    ]
    return replace(views, pairs=tuple(pairs), notes=(*views.notes, *said))


def check_numbers(views: BoardViews) -> None:
    """Refuse corners that the board does not have.

    Raises
    ------
    CalibrationError
    """
    count = views.target.corner_count
    for pair in views.pairs:
        for view in (pair.left, pair.right):
            if view is not None and len(view.ids) and int(view.ids.max()) >= count:
                raise CalibrationError(
                    f"{pair.name}: a corner has the number {int(view.ids.max())}, but {views.target} has {count} corners"
                )


def _tells(view: Detection, board: Array) -> bool:
    if not spreads(board[view.ids]) or not spreads(view.corners_uv):
        return False
    extent = np.linalg.svd(view.corners_uv - view.corners_uv.mean(0), compute_uv=False) / np.sqrt(len(view.ids))
    return bool(extent[1] > _LEAST_EXTENT_PX)


def _same(a: PairView, b: PairView) -> bool:
    """Whether two pairs have the very same corners in both images: the same pictures twice."""
    if a.left is None or a.right is None or b.left is None or b.right is None:
        return False
    return np.array_equal(a.left.corners_uv, b.left.corners_uv) and np.array_equal(a.right.corners_uv, b.right.corners_uv)
