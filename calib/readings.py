"""Which corner is which: boards that look alike after a turn are read the same way in all pairs, exchanged rows are found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib.corner_order import CornerOrder, agree_on_order
from calib.detection import Detection, PairView
from calib.errors import CalibrationError
from calib.fit import CameraFit
from calib.target import Target

Order = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Pairs whose corners are numbered alike."""

    pairs: tuple[PairView, ...]
    agreed: CornerOrder
    both: tuple[int, ...]
    """the pairs that `agreed` judged: both cameras could place the board"""
    repaired: dict[int, str]


def agree(pairs: Sequence[PairView], target: Target, mono: tuple[CameraFit, CameraFit]) -> Read:
    """Number the right corners of each pair so that all pairs tell the same motion between the cameras.

    Boards without ids may come back from the other end; those whose colours forbid it are tried, too, for corners may come from
    elsewhere.

    Raises
    ------
    CalibrationError
        No pair in which both cameras could place the board.
    """
    poses = [(left, right) for left, right in zip(mono[0].poses, mono[1].poses, strict=True)]
    both = tuple(i for i, (left, right) in enumerate(poses) if left is not None and right is not None)
    if not both:
        raise CalibrationError("there is no pair in which both cameras see the board")
    orders = orders_of(target)
    left = [poses[i][0] for i in both]
    right = [poses[i][1] for i in both]
    agreed = agree_on_order(target.object_points(), left, right, orders)  # type: ignore[arg-type]
    changed = dict(zip(both, agreed.choice, strict=True))
    why = "the board was read from different ends in its two images; corner order repaired"
    renumbered = tuple(
        replace(pair, right=reread(pair.right, orders[changed[i]])) if changed.get(i) else pair for i, pair in enumerate(pairs)
    )
    return Read(renumbered, agreed, both, {i: why for i, choice in changed.items() if choice})


def orders_of(target: Target) -> list[Order]:
    """The orders in which corners may come: as given, turned by half a turn, and by quarter turns where the grid is square."""
    orders = [np.asarray(order) for order in target.corner_orders()]
    if target.shape is None or target.has_ids:
        return orders
    index = np.arange(target.corner_count).reshape(target.shape)
    turns = (0, 1, 2, 3) if target.shape[0] == target.shape[1] else (0, 2)
    for order in (np.rot90(index, turn).ravel() for turn in turns):
        if not any((order == known).all() for known in orders) and _is_motion(target, order):
            orders.append(order)
    return orders


def exchanged(target: Target) -> Order | None:
    """The order of corners that were listed column by column; None for boards that number their corners."""
    if target.shape is None or target.has_ids:
        return None
    rows, columns = target.shape
    return np.arange(rows * columns).reshape(columns, rows).T.ravel()


def reread(view: Detection | None, order: Order) -> Detection | None:
    """The view with point n of the board at what was read as point order[n]."""
    if view is None:
        return None
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    return replace(view, ids=number[view.ids])


def _is_motion(target: Target, order: Order) -> bool:
    """Whether the board's points may be turned onto each other in this order (asymmetric circles may not)."""
    points = target.object_points()[:, :2]
    a, b = points - points.mean(0), points[order] - points.mean(0)
    u, _, vt = np.linalg.svd(b.T @ a)
    return bool(np.abs(a @ (u @ vt).T - b).max() < 1e-6 * np.abs(a).max() and np.linalg.det(u @ vt) > 0.0)
