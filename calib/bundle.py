"""Bundle adjustment of one or two cameras that look at a board: lenses, motion between the cameras, board and poses at once.

The poses appear in their own observations only, so they are eliminated block by block (Schur complement; Triggs et al., "Bundle
Adjustment - A Modern Synthesis", 2000, section 6.1); what remains are a few dozen shared parameters, solved densely by
Levenberg-Marquardt. Wrong corners are weighed down by Cauchy's loss (ibid., section 3.3).

The shared parameters stand in one vector: intrinsics of the first camera, of the second, rotation and translation between them
(a rotation is turned by exp([w]x) from the left), the shape of the board.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib.board_shape import Board
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
class State:
    """Values of all unknowns."""

    intrinsics: tuple[Array, ...]
    """one vector for each camera; see `calib.lens`"""
    R: Array
    """(3, 3) from the first camera to the second"""
    t: Array
    """(3,) m"""
    shape: Array
    """(W,) amounts of the board's modes"""
    R_poses: Array
    """(M, 3, 3) of the board in the first camera's frame"""
    t_poses: Array
    """(M, 3) m"""


@dataclass(frozen=True, slots=True, eq=False)
class Normal:
    """The normal equations with the poses eliminated."""

    shared: Array
    """(S, S) information on the free shared parameters"""
    gradient: Array
    """(S,)"""
    each: Array
    """(M, P, P) what each moment contributes to that on lenses and motion, the board's shape being as it is"""
    each_gradient: Array
    """(M, P)"""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What was seen, and what may move."""

    board: Board
    sights: tuple[Sight, ...]
    """of one or two cameras"""
    moments: int
    fit_shape: bool = False
    """whether the board's modes move"""
    fixed: tuple[int, ...] = ()
    """parameters of lenses and motion that stay as they are"""

    @property
    def rig_count(self) -> int:
        """Number of parameters of lenses and motion; fixed ones included."""
        return sum(4 + COEFFICIENTS[sight.model] for sight in self.sights) + 6 * (len(self.sights) - 1)

    @property
    def free_rig(self) -> Index:
        """Indices of the parameters of lenses and motion that move."""
        return np.setdiff1d(np.arange(self.rig_count), self.fixed)

    @property
    def free_count(self) -> int:
        """Number of shared parameters that move: of lenses and motion, then of the board."""
        return len(self.free_rig) + (self.board.modes.shape[1] if self.fit_shape else 0)

    @property
    def equations(self) -> int:
        """Number of measured coordinates."""
        return 2 * sum(len(sight.uv) for sight in self.sights)

    @property
    def freedom(self) -> int:
        """Coordinates less unknowns."""
        moments = len(np.unique(np.concatenate([sight.moment for sight in self.sights])))
        return self.equations - self.free_count - 6 * moments

    def only(self, masks: Sequence[Mask]) -> "Problem":
        """The same with the corners under the masks, one for each camera."""
        return replace(self, sights=tuple(sight.only(mask) for sight, mask in zip(self.sights, masks, strict=True)))


def residuals(problem: Problem, state: State) -> list[Array]:
    """(K, 2) seen - predicted for each camera, px; not finite where the formulas of the lens break down."""
    board = problem.board.shaped_m(state.shape)
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
    """The linearised problem at a state: lenses and motion (columns 0 ... P - 1), then x y z of every point of the board."""

    def __init__(self, problem: Problem, state: State, cauchy: float) -> None:
        self.problem, self.state = problem, state
        rig, moments = problem.rig_count, problem.moments
        points = 3 * len(problem.board.points_m) if problem.fit_shape else 0
        self.each = np.zeros((moments, rig, rig))
        self.each_g = np.zeros((moments, rig))
        self.A = np.zeros((rig + points, rig + points))
        self.g = np.zeros(rig + points)
        self.B = np.zeros((moments, rig + points, 6))
        self.C = np.zeros((moments, 6, 6))
        self.h = np.zeros((moments, 6))
        board = problem.board.shaped_m(state.shape)
        for side, sight in enumerate(problem.sights):
            self._add(side, sight, board, cauchy)
        self.A[:rig, :rig] += self.each.sum(0)
        self.g[:rig] += self.each_g.sum(0)
        self.seen = np.flatnonzero(np.einsum("mii->m", self.C) > 0.0)
        self._reduce(rig)

    def _add(self, side: int, sight: Sight, board: Array, cauchy: float) -> None:
        uv, by_point, by_intrinsics, in_first, in_camera = _predict(self.problem, self.state, board, side)
        error = (sight.uv - uv) / sight.sigma_px[:, None]
        root = np.sqrt(_weights(error, cauchy))
        weighted = error * root[:, None]
        scale = root / sight.sigma_px
        by_point = by_point * scale[:, None, None]
        rig, width = self.problem.rig_count, by_intrinsics.shape[2]
        first = sum(len(vector) for vector in self.state.intrinsics[:side])
        columns = [np.arange(first, first + width)]
        blocks = [by_intrinsics * scale[:, None, None]]
        to_first = by_point
        if side:
            blocks += [_cross(by_point, in_camera - self.state.t), by_point]
            columns.append(np.arange(rig - 6, rig))
            to_first = by_point @ self.state.R
        turned = in_first - self.state.t_poses[sight.moment]
        J = np.concatenate([*blocks, _cross(to_first, turned), to_first], -1)
        shared = np.concatenate(columns)
        s = len(shared)
        edges = np.searchsorted(sight.moment, np.arange(self.problem.moments + 1))
        for m in np.flatnonzero(np.diff(edges)):
            part, miss = J[edges[m] : edges[m + 1]].reshape(-1, s + 6), weighted[edges[m] : edges[m + 1]].ravel()
            square, slope = part.T @ part, part.T @ miss
            self.each[m][np.ix_(shared, shared)] += square[:s, :s]
            self.B[m][shared] += square[:s, s:]
            self.C[m] += square[s:, s:]
            self.each_g[m][shared] += slope[:s]
            self.h[m] += slope[s:]
        if self.problem.fit_shape:
            self._add_points(sight, to_first @ self.state.R_poses[sight.moment], J, shared, weighted)

    def _add_points(self, sight: Sight, G: Array, J: Array, shared: Index, weighted: Array) -> None:
        """The part of the board's points: each corner knows of one of them only."""
        rig, count = self.problem.rig_count, len(self.problem.board.points_m)
        own = np.zeros((count, 3, 3))
        np.add.at(own, sight.ids, np.einsum("kia,kib->kab", G, G))
        at = rig + 3 * np.arange(count)
        for a in range(3):
            for b in range(3):
                self.A[at + a, at + b] += own[:, a, b]
        slope = np.zeros((count, 3))
        np.add.at(slope, sight.ids, np.einsum("kia,ki->ka", G, weighted))
        self.g[rig:] += slope.ravel()
        cross = np.einsum("kia,kib->kab", G, J)
        with_rig = np.zeros((count, 3, len(shared)))
        np.add.at(with_rig, sight.ids, cross[:, :, : len(shared)])
        self.A[rig:, shared] += with_rig.reshape(-1, len(shared))
        self.A[shared, rig:] += with_rig.reshape(-1, len(shared)).T
        rows = rig + 3 * sight.ids[:, None] + np.arange(3)
        np.add.at(self.B, (sight.moment[:, None], rows), cross[:, :, len(shared) :])

    def _reduce(self, rig: int) -> None:
        """From points to modes, and to what moves."""
        free, modes = self.problem.free_rig, self.problem.board.modes
        if self.problem.fit_shape:
            prior = self.problem.board.prior
            to_modes = modes.T @ self.A[rig:, :rig]
            shape = modes.T @ self.A[rig:, rig:] @ modes + np.diag(prior)
            self.A = np.block([[self.A[:rig, :rig], to_modes.T], [to_modes, shape]])
            self.g = np.concatenate([self.g[:rig], modes.T @ self.g[rig:] - prior * self.state.shape])
            self.B = np.concatenate([self.B[:, :rig], modes.T @ self.B[:, rig:]], 1)
            free = np.concatenate([free, np.arange(rig, len(self.g))])
        self.A, self.g, self.B = self.A[np.ix_(free, free)], self.g[free], self.B[:, free]
        chosen = self.problem.free_rig
        self.each, self.each_g = self.each[:, chosen][:, :, chosen], self.each_g[:, chosen]

    def normal(self) -> Normal:
        seen, rig = self.seen, len(self.problem.free_rig)
        inverse = np.linalg.pinv(self.C[seen], hermitian=True)
        B = self.B[seen]
        A = self.A - (B @ inverse @ B.transpose(0, 2, 1)).sum(0)
        g = self.g - np.einsum("msa,mab,mb->s", B, inverse, self.h[seen])
        each, each_g, B = self.each.copy(), self.each_g.copy(), B[:, :rig]
        each[seen] -= B @ inverse @ B.transpose(0, 2, 1)
        each_g[seen] -= np.einsum("msa,mab,mb->ms", B, inverse, self.h[seen])
        return Normal(A, g, each, each_g)

    def step(self, damping: float) -> tuple[State | None, float]:
        """The state after a step, None where the equations have no solution, and the gain in cost that the step promises."""
        seen = self.seen
        A = self.A.copy()
        A[np.diag_indices(len(A))] *= 1.0 + damping
        C = self.C[seen].copy()
        C[:, np.arange(6), np.arange(6)] *= 1.0 + damping
        B, h = self.B[seen], self.h[seen]
        try:
            solved = np.linalg.solve(C, np.concatenate([B.transpose(0, 2, 1), h[:, :, None]], -1))
            S = A - (B @ solved[:, :, :-1]).sum(0)
            right = self.g - np.einsum("msa,ma->s", B, solved[:, :, -1])
            # a scale of its own for each parameter: focal lengths are thousands, coefficients thousandths
            size = 1.0 / np.sqrt(np.maximum(np.diagonal(A), 1e-300))
            shared = size * np.linalg.solve(S * size[:, None] * size, size * right)
        except np.linalg.LinAlgError:
            return None, np.inf
        poses = solved[:, :, -1] - np.einsum("mas,s->ma", solved[:, :, :-1], shared)
        if not (np.isfinite(shared).all() and np.isfinite(poses).all()):
            return None, np.inf
        gain = float(shared @ self.g + (poses * h).sum())
        return self._moved(shared, poses), max(gain, 0.0)

    def _moved(self, shared: Array, poses: Array) -> State:
        step = np.zeros(self.problem.rig_count)
        rig = len(self.problem.free_rig)
        step[self.problem.free_rig] = shared[:rig]
        state, at, intrinsics = self.state, 0, []
        for vector in state.intrinsics:
            intrinsics.append(vector + step[at : at + len(vector)])
            at += len(vector)
        R, t = state.R, state.t
        if len(state.intrinsics) > 1:
            R, t = rotation_from_vector(step[at : at + 3]) @ R, t + step[at + 3 : at + 6]
        shape = state.shape + shared[rig:] if self.problem.fit_shape else state.shape
        R_poses, t_poses = state.R_poses.copy(), state.t_poses.copy()
        R_poses[self.seen] = _rotations(poses[:, :3]) @ R_poses[self.seen]
        t_poses[self.seen] += poses[:, 3:]
        return State(tuple(intrinsics), R, t, shape, R_poses, t_poses)


def _predict(problem: Problem, state: State, board: Array, side: int) -> tuple[Array, Array, Array, Array, Array]:
    sight = problem.sights[side]
    in_first = np.einsum("kij,kj->ki", state.R_poses[sight.moment], board[sight.ids]) + state.t_poses[sight.moment]
    in_camera = in_first @ state.R.T + state.t if side else in_first
    with np.errstate(all="ignore"):  # a step too far: its cost is not finite, and it is refused
        uv, by_point, by_intrinsics = project(sight.model, state.intrinsics[side], in_camera)
    return uv, by_point, by_intrinsics, in_first, in_camera


def _cost(problem: Problem, state: State, cauchy: float) -> float:
    total = float((problem.board.prior * state.shape**2).sum())
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
