"""Where the points of a printed board lie: flat and in their places, bowed, or anywhere near."""

from dataclasses import dataclass

import numpy as np

from calib.geometry import Array

_FREE_SHARE = 0.01  # of the distance of two points: how far they may easily be misplaced


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """The board's points, and how they may lie elsewhere: a few modes, by how much of each is an unknown."""

    points_m: Array
    """(N, 3) as they should be, flat"""
    modes: Array = None  # type: ignore[assignment]
    """(3 N, W) how each mode moves x, y, z of every point, per unit; default: none, a board that is what it should be"""
    prior: Array = None  # type: ignore[assignment]
    """(W,) information on each mode that is there before any picture, per square unit; default: none"""

    def __post_init__(self) -> None:
        modes = np.zeros((3 * len(self.points_m), 0)) if self.modes is None else self.modes
        object.__setattr__(self, "modes", modes)
        object.__setattr__(self, "prior", np.zeros(modes.shape[1]) if self.prior is None else self.prior)

    def bow(self) -> Array:
        """(N, 2) what a bow of 1 m along x and along y lifts each point by: 1 - u^2 and 1 - v^2, u and v from -1 to 1."""
        low, high = self.points_m[:, :2].min(0), self.points_m[:, :2].max(0)
        unit = (2.0 * self.points_m[:, :2] - low - high) / np.maximum(high - low, 1e-12)
        return np.asarray(1.0 - unit * unit)

    def shaped_m(self, shape: Array) -> Array:
        """(N, 3) the points for (W,) amounts of the modes."""
        return self.points_m + (self.modes @ shape).reshape(-1, 3)


def bowed_board(points_m: Array) -> Board:
    """A board that bows: z = warp_x (1 - u^2) + warp_y (1 - v^2), u and v from -1 to 1 over the board, in metres.

    As mrcal bends its boards ("The calibration-object model": two parabolas).
    """
    modes = np.zeros((len(points_m), 3, 2))
    modes[:, 2] = Board(points_m).bow()
    return Board(points_m, modes.reshape(-1, 2))


def free_board(points_m: Array) -> Board:
    """A board whose points may lie anywhere near their places: misprinted, wrinkled, bowed.

    Motions of the whole board are left to its poses, and its size, which no picture tells, to what it should be (least squares
    over all points). What is known beforehand: points miss their places by about a hundredth of the distance to the next one.
    (Strobl and Hirzinger, "More Accurate Pinhole Camera Calibration with Imperfect Planar Target", ICCV Workshops 2011.)
    """
    p = points_m - points_m.mean(0)
    rigid = [np.tile(axis, len(p)) for axis in np.eye(3)]
    rigid += [np.cross(axis, p).ravel() for axis in np.eye(3)]
    q, _ = np.linalg.qr(np.stack([*rigid, p.ravel()], -1), mode="complete")
    distance = np.linalg.norm(points_m[1:] - points_m[0], axis=1).min()
    modes = q[:, 7:]
    return Board(points_m, modes, np.full(modes.shape[1], 1.0 / (_FREE_SHARE * distance) ** 2))
