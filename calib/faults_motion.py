"""Do the pairs agree on where the right camera stands? And if not, what would make them agree?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.faults_evidence import Mask, Seen, Side, inverse_of
from calib.geometry import Array, skew, vector_from_rotation

_NEAR_RAD = 0.03  # two motions that differ by less, seen from the right camera, may be one
_HALF_TURN = np.diag([-1.0, -1.0, 1.0])
_MIRROR = np.diag([-1.0, 1.0, 1.0])
_SHIFTS = (1, -1, 2, -2, 3, -3)
_ROUNDS = 12
_LEAST_GROUP = 3

# The outer points are the board's corners 00, 10, 01, 11 and its middle.
_TURNED = [3, 2, 1, 0, 4]
_SAME, _COLUMNS_MIRRORED, _ROWS_MIRRORED = [0, 1, 2, 3, 4], [1, 0, 3, 2, 4], [2, 3, 0, 1, 4]


@dataclass(frozen=True, slots=True, eq=False)
class Rough:
    """The motion on which most pairs agree, to within an angle of 0.03."""

    R: Array
    t_m: Array
    agrees: Mask
    """(M,)"""
    moments: NDArray[np.int64]
    """(M,)"""

    @property
    def share(self) -> float:
        """Of the pairs that agree."""
        return float(self.agrees.mean())


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """What makes more pairs agree."""

    kind: str
    """"flipped" | "mirrored left" | "mirrored right" | "turned left" | "turned right" | "shifted" """
    pairs: tuple[int, ...]
    """moments of the pairs that it mends"""
    share: float
    """of all pairs that agree then"""
    shift: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Fine:
    """How far each pair is from one motion, by the noise of its corners; lenses may move as far as their own views allow."""

    moments: NDArray[np.int64]
    chi2: Array
    """(M,) of 6 degrees of freedom each, against the motion on which most pairs gather"""
    off: Array
    """(M, 6) turn (rad) and shift of the board's middle (m) between the two pictures, right camera's frame"""
    corners: float
    """corners in a pair, both images, on average"""
    cost: float
    """chi square of one motion for all"""
    split: int
    """the first pair (index into `moments`) of the second motion where two are allowed, one after the other"""
    split_cost: float
    step: Array
    """(6,) turn and shift from the first motion to the second"""

    @property
    def scatter(self) -> float:
        """Chi square over degrees of freedom."""
        return self.cost / max(6.0 * (len(self.moments) - 1), 1.0)

    @property
    def split_scatter(self) -> float:
        """The same with two motions."""
        return self.split_cost / max(6.0 * (len(self.moments) - 2), 1.0)

    @property
    def rms_ratio(self) -> float:
        """Error of both cameras together over that of each alone."""
        freedom = 2.0 * self.corners - 12.0
        return float(np.sqrt(1.0 + self.cost / len(self.moments) / max(freedom, 1.0)))


def rough_motion(left: Side, right: Side) -> Rough | None:
    """The motion on which most pairs agree; None for fewer than two pairs seen by both."""
    moments = np.array(sorted(set(left.views) & set(right.views)), np.int64)
    if len(moments) < 2:
        return None
    a, b = _points(left, moments), _points(right, moments)
    R, t, agrees = _consensus(a, b[:, None])
    return Rough(R, t, agrees[:, 0], moments)


def explain(left: Side, right: Side, rough: Rough) -> Explained | None:
    """What would make (nearly) all pairs agree; None where nothing known does."""
    moments = rough.moments
    a, b = _points(left, moments), _points(right, moments)
    n = len(moments)
    found: list[Explained] = []

    def add(kind: str, first: Array, second: Array, everywhere: bool, shift: int = 0) -> None:
        """Judge alternatives (M, K, 5, 3) of both sides; column 0 is as it was."""
        _, _, agrees = _consensus_of(first, second)
        fine = agrees[:, 1:].any(1)
        mended = fine if everywhere else fine & ~agrees[:, 0]
        good = fine if everywhere else agrees.any(1)
        found.append(Explained(kind, tuple(int(m) for m in moments[mended]), float(good.mean()), shift))

    add("flipped", np.stack([a, a], 1), np.stack([b, b[:, _TURNED]], 1), False)
    add("turned right", np.stack([a, a, a], 1), np.stack([b, b @ _HALF_TURN, b[:, _TURNED] @ _HALF_TURN], 1), False)
    add("turned left", np.stack([a, a @ _HALF_TURN, a[:, _TURNED] @ _HALF_TURN], 1), np.stack([b, b, b], 1), False)
    nowhere = np.full_like(a, np.nan)
    for mirror in (_SAME, _COLUMNS_MIRRORED, _ROWS_MIRRORED):
        add("mirrored right", np.stack([nowhere, a], 1), np.stack([nowhere, b[:, mirror] @ _MIRROR], 1), True)
        add("mirrored left", np.stack([nowhere, a[:, mirror] @ _MIRROR], 1), np.stack([nowhere, b], 1), True)
    for shift in _SHIFTS:
        partner = np.array([right.views.get(int(m) + shift) is not None for m in moments])
        shifted = np.full_like(b, np.nan)
        if partner.sum() >= _LEAST_GROUP:
            shifted[partner] = _points(right, moments[partner] + shift)
            add("shifted", np.stack([a, a], 1), np.stack([b, shifted], 1), False, shift)
    needed = max(2, round(0.5 * (n - rough.agrees.sum())))
    good = [one for one in found if one.share >= max(0.75, rough.share + 0.03) and len(one.pairs) >= min(needed, n)]
    good += [
        one
        for one in found
        if one.kind in ("flipped", "turned left", "turned right") and one.share > rough.share and rough.share > 0.6
    ]
    return max(good, key=lambda one: (one.share, -len(one.pairs))) if good else None


def fine_motion(left: Side, right: Side, rough: Rough) -> Fine | None:
    """Weigh the pairs that agree roughly; None for fewer than four."""
    moments = rough.moments[rough.agrees]
    if len(moments) < 4:
        return None
    R, t = rough.R, rough.t_m
    turn = np.zeros((6, 6))
    turn[:3, :3] = turn[3:, 3:] = R
    count = left.information.shape[0] - 2, right.information.shape[0] - 2
    size = sum(count)
    off, weight, by_lens, by_rig = [], [], [], []
    for moment in moments:
        a, b = left.views[int(moment)], right.views[int(moment)]
        cov_a, lens_a = _pose_error(left, a)
        cov_b, lens_b = _pose_error(right, b)
        seen_at = R @ a.middle + t
        off.append(np.concatenate([vector_from_rotation(b.R @ (R @ a.R).T), b.middle - seen_at]))
        weight.append(inverse_of(cov_b + turn @ cov_a @ turn.T))
        by_lens.append(np.hstack([turn @ lens_a, -lens_b]))
        rig = np.eye(6)
        rig[3:, :3] = -skew(R @ a.middle)
        by_rig.append(-rig)
    d, w, jl, jr = np.array(off), np.array(weight), np.array(by_lens), np.array(by_rig)
    prior = np.zeros((size, size))
    prior[: count[0], : count[0]] = left.information[:-2, :-2] / left.noise_px**2
    prior[count[0] :, count[0] :] = right.information[:-2, :-2] / right.noise_px**2

    def solve(groups: NDArray[np.int64], trust: Array) -> tuple[float, Array, Array, Array]:
        """Least squares, weighted by trust, with one motion for each group: (cost, chi2, what remains, motions)."""
        kinds = int(groups.max()) + 1
        j = np.zeros((len(d), 6, size + 6 * kinds))
        j[:, :, :size] = jl
        for i, group in enumerate(groups):
            j[i, :, size + 6 * group : size + 6 * group + 6] = jr[i]
        wj = (trust[:, None, None] * w @ j).reshape(-1, j.shape[2])
        normal = wj.T @ j.reshape(-1, j.shape[2])
        normal[:size, :size] += prior
        scale = 1.0 / np.sqrt(np.maximum(np.diag(normal), 1e-30))
        right_side = -(wj.T @ d.ravel()) * scale
        x = scale * (inverse_of(normal * scale * scale[:, None] + 1e-12 * np.eye(len(normal))) @ right_side)
        left_over = d + j @ x
        chi2 = np.einsum("ni,nij,nj->n", left_over, w, left_over)
        return float(chi2.sum() + x[:size] @ prior @ x[:size]), chi2, left_over, x[size:].reshape(kinds, 6)

    one, alike = np.zeros(len(d), np.int64), np.ones(len(d))
    cost, chi2, left_over, _ = solve(one, alike)
    best = (0, cost, np.zeros(6))
    for split in range(_LEAST_GROUP, len(d) - _LEAST_GROUP + 1):
        split_cost, _, _, motions = solve((np.arange(len(d)) >= split).astype(np.int64), alike)
        if split_cost < best[1]:
            step = motions[1] - motions[0]
            best = (split, split_cost, step)
    for _ in range(_ROUNDS):  # which pairs to blame: those far from where the others gather
        _, chi2, left_over, _ = solve(one, 1.0 / (1.0 + chi2 / max(6.0, 2.0 * float(np.quantile(chi2, 0.25)))))
    corners = float(np.mean([left.views[int(m)].good.sum() + right.views[int(m)].good.sum() for m in moments]))
    return Fine(moments, chi2, left_over, corners, cost, *best)


def _pose_error(side: Side, view: Seen) -> tuple[Array, Array]:
    """Covariance (6, 6) of a view's pose and how it follows the lens (6, P), with the sign of "true - found"."""
    rows = view.rows
    p, j = view.by_pose[rows], view.by_lens[rows]
    inverse = inverse_of(p.T @ p)
    noise = max(side.noise_px, view.rms_px)
    return inverse * noise**2, inverse @ (p.T @ j)


def _points(side: Side, moments: Sequence[int] | NDArray[np.int64]) -> Array:
    """(M, 5, 3) the board's corners and middle in the camera's frame."""
    low, high = side.board_m.min(0), side.board_m.max(0)
    x, y = [low[0], high[0], low[0], high[0]], [low[1], low[1], high[1], high[1]]
    four = np.stack([x, y, np.zeros(4)], -1)
    outer = np.concatenate([four, four.mean(0, keepdims=True)])
    views: Mapping[int, Seen] = side.views
    return np.stack([outer @ views[int(m)].R.T + views[int(m)].t for m in moments])


def _consensus(a: Array, b: Array) -> tuple[Array, Array, Mask]:
    return _consensus_of(np.repeat(a[:, None], b.shape[1], 1), b)


def _consensus_of(a: Array, b: Array) -> tuple[Array, Array, Mask]:
    """The motion that brings most of a (M, K, 5, 3) to b, and which agree (M, K)."""
    best = (-1.0, np.eye(3), np.zeros(3), np.zeros(a.shape[:2], np.bool_))
    usable = np.isfinite(a).all((2, 3)) & np.isfinite(b).all((2, 3))
    for i, k in np.argwhere(usable):
        R, t = _motion(a[i, k], b[i, k])
        distance = _angles(a @ R.T + t, b)
        agrees = distance < _NEAR_RAD
        # the more pairs the better; equal counts by how many are as they were, and by how near they are
        score = float(agrees.any(1).sum() + 0.5 * agrees[:, 0].mean() - 0.4 * np.minimum(distance.min(1) / _NEAR_RAD, 1.0).mean())
        if score > best[0]:
            best = (score, R, t, agrees)
    return best[1], best[2], best[3]


def _motion(a: Array, b: Array) -> tuple[Array, Array]:
    """The rigid motion from points a (5, 3) to b (Kabsch 1976)."""
    ma, mb = a.mean(0), b.mean(0)
    u, _, vt = np.linalg.svd((b - mb).T @ (a - ma))
    R = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return np.asarray(R, np.float64), np.asarray(mb - R @ ma, np.float64)


def _angles(predicted: Array, seen: Array) -> Array:
    """(M, K) rms angle between points, seen from the right camera."""
    p = predicted / np.linalg.norm(predicted, axis=-1, keepdims=True)
    q = seen / np.linalg.norm(seen, axis=-1, keepdims=True)
    return np.asarray(np.nan_to_num(np.sqrt(((p - q) ** 2).sum(-1).mean(-1)), nan=10.0))
