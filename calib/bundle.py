"""Bundle adjustment of one or two cameras that look at a board: intrinsics, motion between the cameras, bow and poses at once.

The poses appear in their own observations only, so they are eliminated block by block (Schur complement; Triggs et al., "Bundle
Adjustment - A Modern Synthesis", 2000, section 6.1); what remains are a few dozen shared parameters, solved densely by
Levenberg-Marquardt. Wrong corners are weighed down by Cauchy's loss (ibid., section 3.3).

The shared parameters stand in one vector: intrinsics of the first camera, of the second, rotation and translation between them
(a rotation is turned by exp([w]x) from the left), bow along x and y.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib.geometry import Array, rotation_from_vector
from calib.lens import COEFFICIENTS, project

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

_STEPS = 60
_DONE = 1e-7  # expected gain of a step in units of chi square: parameters then move by less than 1e-3 of their sigma
_DONE_SHARE = 1e-9  # the same as a share of the cost
_DAMPING = (1e-4, 1e-12, 1e10)  # first, least, most


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """All corners that one camera saw, sorted by moment."""

    model: str
    moment: Index
    """(K,)"""
    ids: Index
    """(K,) rows of the board's points"""
    uv: Array
    """(K, 2) px"""
    sigma_px: Array
    """(K,) as stated by the detector"""

    def only(self, mask: Mask) -> "Sight":
        """The corners under a mask."""
        return replace(self, moment=self.moment[mask], ids=self.ids[mask], uv=self.uv[mask], sigma_px=self.sigma_px[mask])


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """The board's points, and how they may bow: z = warp_x (1 - u^2) + warp_y (1 - v^2), u and v from -1 to 1 over the board.

    As mrcal bends its boards ("The calibration-object model": two parabolas).
    """

    points_m: Array
    """(N, 3), flat"""

    def bow(self) -> Array:
        """(N, 2) what a bow of 1 m along x and along y lifts each point by."""
        low, high = self.points_m[:, :2].min(0), self.points_m[:, :2].max(0)
        unit = (2.0 * self.points_m[:, :2] - low - high) / np.maximum(high - low, 1e-12)
        return np.asarray(1.0 - unit * unit)

    def bent_m(self, warp_m: Array) -> Array:
        """(N, 3) the points of a bowed board."""
        points = self.points_m.copy()
        points[:, 2] += self.bow() @ warp_m
        return points


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Values of all unknowns."""

    intrinsics: tuple[Array, ...]
    """one vector for each camera; see `calib.lens`"""
    R: Array
    """(3, 3) from the first camera to the second"""
    t: Array
    """(3,) m"""
    warp_m: Array
    """(2,)"""
    R_poses: Array
    """(M, 3, 3) of the board in the first camera's frame"""
    t_poses: Array
    """(M, 3) m"""


@dataclass(frozen=True, slots=True, eq=False)
class Normal:
    """The normal equations with the poses eliminated, moment by moment."""

    shared: Array
    """(S, S) information on the shared parameters"""
    gradient: Array
    """(S,)"""
    each: Array
    """(M, S, S) what each moment contributes to `shared`"""
    each_gradient: Array
    """(M, S)"""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What was seen, and what may move."""

    board: Board
    sights: tuple[Sight, ...]
    """of one or two cameras"""
    moments: int
    fit_warp: bool = False
    fixed: tuple[int, ...] = ()
    """shared parameters that stay as they are"""

    @property
    def shared_count(self) -> int:
        """Number of shared parameters, fixed ones included."""
        cameras = sum(4 + COEFFICIENTS[sight.model] for sight in self.sights)
        return cameras + 6 * (len(self.sights) - 1) + 2

    @property
    def free(self) -> Index:
        """Indices of the shared parameters that move."""
        count = self.shared_count
        fixed = set(self.fixed) | (set() if self.fit_warp else {count - 2, count - 1})
        return np.array([i for i in range(count) if i not in fixed], np.int64)

    @property
    def equations(self) -> int:
        """Number of measured coordinates."""
        return 2 * sum(len(sight.uv) for sight in self.sights)

    @property
    def freedom(self) -> int:
        """Coordinates less unknowns."""
        moments = len(np.unique(np.concatenate([sight.moment for sight in self.sights])))
        return self.equations - len(self.free) - 6 * moments

    def only(self, masks: Sequence[Mask]) -> "Problem":
        """The same with the corners under the masks, one for each camera."""
        return replace(self, sights=tuple(sight.only(mask) for sight, mask in zip(self.sights, masks, strict=True)))


def residuals(problem: Problem, state: State) -> list[Array]:
    """(K, 2) seen - predicted for each camera, px; not finite where the formulas of the lens break down."""
    board = problem.board.bent_m(state.warp_m)
    return [sight.uv - _predict(problem, state, board, side)[0] for side, sight in enumerate(problem.sights)]


def adjust(problem: Problem, start: State, *, cauchy: float = 0.0, steps: int = _STEPS) -> State:
    """The state that fits best.

    Parameters
    ----------
    problem : Problem
    start : State
    cauchy : float
        Scale of Cauchy's loss in the corners' sigmas: corners that miss by more count less and less. 0: least squares.
    steps : int
        At most so many.

    Returns
    -------
    State
        Also when it has not converged: the caller judges the errors that remain.
    """
    state, damping, growth = start, _DAMPING[0], 4.0
    cost = _cost(problem, state, cauchy)
    for _ in range(steps):
        system = _System(problem, state, cauchy)
        while damping < _DAMPING[2]:
            moved, gain = system.step(damping)
            if moved is not None:
                new_cost = _cost(problem, moved, cauchy)
                if np.isfinite(new_cost) and new_cost <= cost:
                    break
            damping, growth = damping * growth, growth * 2.0
            if gain < _DONE + _DONE_SHARE * cost:
                return state
        else:
            return state
        done = gain < _DONE + _DONE_SHARE * cost
        state, cost = moved, new_cost
        damping, growth = max(damping * 0.1, _DAMPING[1]), 4.0
        if done:
            break
    return state


def normal_equations(problem: Problem, state: State) -> Normal:
    """What each moment says of the free shared parameters when its pose may follow; in units of the stated sigmas."""
    return _System(problem, state, 0.0).normal()


class _System:
    """The linearised problem at a state."""

    def __init__(self, problem: Problem, state: State, cauchy: float) -> None:
        self.problem, self.state = problem, state
        self.free = problem.free
        count, moments = problem.shared_count, problem.moments
        self.A = np.zeros((moments, count, count))
        self.B = np.zeros((moments, count, 6))
        self.C = np.zeros((moments, 6, 6))
        self.g = np.zeros((moments, count))
        self.h = np.zeros((moments, 6))
        board, bow = problem.board.bent_m(state.warp_m), problem.board.bow()
        for side, sight in enumerate(problem.sights):
            self._add(side, sight, board, bow, cauchy)
        self.seen = np.flatnonzero(np.einsum("mii->m", self.C) > 0.0)

    def _add(self, side: int, sight: Sight, board: Array, bow: Array, cauchy: float) -> None:
        uv, by_point, by_intrinsics, in_first, in_camera = _predict(self.problem, self.state, board, side)
        error = (sight.uv - uv) / sight.sigma_px[:, None]
        scale = np.sqrt(_weights(error, cauchy)) / sight.sigma_px
        weighted = error * (scale * sight.sigma_px)[:, None]
        by_point = by_point * scale[:, None, None]
        width = by_intrinsics.shape[2]
        first = sum(len(vector) for vector in self.state.intrinsics[:side])
        count = self.problem.shared_count
        columns = [np.arange(first, first + width)]
        blocks = [by_intrinsics * scale[:, None, None]]
        R = self.state.R_poses[sight.moment]
        turned = in_first - self.state.t_poses[sight.moment]
        to_first = by_point
        if side:
            arm = in_camera - self.state.t
            blocks += [_cross(by_point, arm), by_point]
            columns.append(np.arange(count - 8, count - 2))
            to_first = by_point @ self.state.R
        if self.problem.fit_warp:
            lift = np.einsum("kij,kj->ki", to_first, R[:, :, 2])
            blocks.append(lift[:, :, None] * bow[sight.ids][:, None, :])
            columns.append(np.arange(count - 2, count))
        pose = [_cross(to_first, turned), to_first]
        J = np.concatenate(blocks + pose, -1)
        shared = np.concatenate(columns)
        s = len(shared)
        edges = np.searchsorted(sight.moment, np.arange(self.problem.moments + 1))
        for m in np.flatnonzero(np.diff(edges)):
            low, high = edges[m], edges[m + 1]
            part = J[low:high].reshape(-1, s + 6)
            square, slope = part.T @ part, part.T @ weighted[low:high].ravel()
            self.A[m][np.ix_(shared, shared)] += square[:s, :s]
            self.B[m][shared] += square[:s, s:]
            self.C[m] += square[s:, s:]
            self.g[m][shared] += slope[:s]
            self.h[m] += slope[s:]

    def normal(self) -> Normal:
        free, seen = self.free, self.seen
        A = self.A[:, free][:, :, free].copy()
        g = self.g[:, free].copy()
        B = self.B[seen][:, free]
        inverse = np.linalg.pinv(self.C[seen], hermitian=True)
        A[seen] -= B @ inverse @ B.transpose(0, 2, 1)
        g[seen] -= np.einsum("msa,mab,mb->ms", B, inverse, self.h[seen])
        return Normal(A.sum(0), g.sum(0), A, g)

    def step(self, damping: float) -> tuple[State | None, float]:
        """The state after a step, None where the equations have no solution, and the gain in cost that the step promises."""
        free, seen = self.free, self.seen
        A = self.A.sum(0)[np.ix_(free, free)]
        A[np.diag_indices(len(free))] *= 1.0 + damping
        C = self.C[seen].copy()
        C[:, np.arange(6), np.arange(6)] *= 1.0 + damping
        B, h = self.B[seen][:, free], self.h[seen]
        try:
            solved = np.linalg.solve(C, np.concatenate([B.transpose(0, 2, 1), h[:, :, None]], -1))
            S = A - (B @ solved[:, :, :-1]).sum(0)
            right = self.g.sum(0)[free] - np.einsum("msa,ma->s", B, solved[:, :, -1])
            # a scale of its own for each parameter: focal lengths are thousands, coefficients thousandths
            size = 1.0 / np.sqrt(np.maximum(np.diagonal(A), 1e-300))
            shared = size * np.linalg.solve(S * size[:, None] * size, size * right)
        except np.linalg.LinAlgError:
            return None, np.inf
        poses = solved[:, :, -1] - np.einsum("mas,s->ma", solved[:, :, :-1], shared)
        if not (np.isfinite(shared).all() and np.isfinite(poses).all()):
            return None, np.inf
        gain = float(shared @ self.g.sum(0)[free] + (poses * h).sum())
        return self._moved(shared, poses), max(gain, 0.0)

    def _moved(self, shared: Array, poses: Array) -> State:
        step = np.zeros(self.problem.shared_count)
        step[self.free] = shared
        state, at, intrinsics = self.state, 0, []
        for vector in state.intrinsics:
            intrinsics.append(vector + step[at : at + len(vector)])
            at += len(vector)
        R, t = state.R, state.t
        if len(state.intrinsics) > 1:
            R, t = rotation_from_vector(step[at : at + 3]) @ R, t + step[at + 3 : at + 6]
        R_poses, t_poses = state.R_poses.copy(), state.t_poses.copy()
        R_poses[self.seen] = _rotations(poses[:, :3]) @ R_poses[self.seen]
        t_poses[self.seen] += poses[:, 3:]
        return State(tuple(intrinsics), R, t, state.warp_m + step[-2:], R_poses, t_poses)


def _predict(problem: Problem, state: State, board: Array, side: int) -> tuple[Array, Array, Array, Array, Array]:
    sight = problem.sights[side]
    in_first = np.einsum("kij,kj->ki", state.R_poses[sight.moment], board[sight.ids]) + state.t_poses[sight.moment]
    in_camera = in_first @ state.R.T + state.t if side else in_first
    with np.errstate(all="ignore"):  # a step too far: its cost is not finite, and it is refused
        uv, by_point, by_intrinsics = project(sight.model, state.intrinsics[side], in_camera)
    return uv, by_point, by_intrinsics, in_first, in_camera


def _cost(problem: Problem, state: State, cauchy: float) -> float:
    total = 0.0
    for sight, error in zip(problem.sights, residuals(problem, state), strict=True):
        with np.errstate(all="ignore"):
            squared = (error * error).sum(1) / (sight.sigma_px * sight.sigma_px)
            total += float((cauchy * cauchy * np.log1p(squared / (cauchy * cauchy))).sum() if cauchy else squared.sum())
    return total


def _weights(error: Array, cauchy: float) -> Array:
    if not cauchy:
        return np.ones(len(error))
    with np.errstate(all="ignore"):
        return np.asarray(1.0 / (1.0 + (error * error).sum(1) / (cauchy * cauchy)))


def _cross(slopes: Array, arm: Array) -> Array:
    """Derivatives by a rotation exp([w]x) of `arm` from those by the point: slopes @ -[arm]x."""
    return np.asarray(np.cross(arm[:, None, :], slopes))


def _rotations(vectors: Array) -> Array:
    """(M, 3, 3) of rotation vectors (M, 3): Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=1)
    x, y, z = (vectors / np.maximum(angle, 1e-300)[:, None]).T
    k = np.stack([0.0 * x, -z, y, z, 0.0 * x, -x, -y, x, 0.0 * x], -1).reshape(-1, 3, 3)
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.asarray(np.eye(3) + sine * k + (1.0 - cosine) * (k @ k))
