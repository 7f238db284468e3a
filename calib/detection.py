"""What was seen of a board: corners in one image, in a pair, in a whole capture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError
from calib.geometry import Array, frozen
from calib.target import Target

USUAL_SIGMA_PX = 0.1
"""taken where nothing better is known"""


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """A board's corners in one image.

    Raises
    ------
    InputError
        Arrays of unequal length, corners that are not finite, or a corner twice.
    """

    corners_uv: Array
    """(M, 2) px"""
    detector: str
    """what found them, e.g. "classic", "sb", "charuco" """
    ids: NDArray[np.int64] = None  # type: ignore[assignment]
    """(M,) rows of `Target.object_points()`; default: 0 ... M - 1, a board seen whole (a symmetric one in one of its
    `corner_orders`)"""
    sigma_px: Array = None  # type: ignore[assignment]
    """(M,) expected standard deviation of each corner along each axis, px; their ratios weigh the corners; default 0.1"""
    is_inverted: bool = False
    """True where the board's black and white were exchanged"""
    blur_px: float = float("nan")
    """width of the edges (10 to 90 % of the step), px; NaN where unknown"""

    def __post_init__(self) -> None:
        uv = np.array(self.corners_uv, np.float64)
        if uv.ndim != 2 or uv.shape[1] != 2 or not np.isfinite(uv).all():
            raise InputError(f"detection: corners_uv has shape {uv.shape}; it must be (M, 2) finite pixels")
        ids = np.arange(len(uv)) if self.ids is None else np.array(self.ids, np.int64)
        sigma = np.full(len(uv), USUAL_SIGMA_PX) if self.sigma_px is None else np.array(self.sigma_px, np.float64)
        if ids.shape != (len(uv),) or sigma.shape != (len(uv),) or (ids < 0).any() or len(np.unique(ids)) != len(ids):
            raise InputError(f"detection: {len(uv)} corners with ids {ids.tolist()[:8]} ...; each corner needs an id of its own")
        if not ((sigma > 0.0) & np.isfinite(sigma)).all():
            raise InputError("detection: sigma_px must be finite and > 0")
        for name, array in (("corners_uv", uv), ("ids", ids), ("sigma_px", sigma)):
            frozen(array)
            object.__setattr__(self, name, array)


@dataclass(frozen=True, slots=True, eq=False)
class PairView:
    """What the two cameras saw of the board at one moment."""

    name: str
    """for messages, e.g. "left01.png, right01.png" """
    left: Detection | None
    right: Detection | None
    problem: str = ""
    """why a side is missing; empty when both images show the board"""


@dataclass(frozen=True, slots=True, eq=False)
class BoardViews:
    """A capture: what both cameras saw of one board."""

    pairs: Sequence[PairView]
    left_size: tuple[int, int]
    """(width, height) of the left images, px"""
    right_size: tuple[int, int]
    target: Target
    """the board as it turned out to be (kind and counts found, old or new layout)"""
    notes: Sequence[str] = ()
    """what was found out about board and images, in words"""
