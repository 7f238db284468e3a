"""The adjustment against differences, truth and brute force."""

import numpy as np
import pytest

from calib.board_shape import bowed_board, free_board
from calib.bundle import Problem, Sight, State, adjust, normal_equations, residuals
from calib.errors import UsageError
from calib.geometry import Array, rotation_from_vector
from calib.lens import COEFFICIENTS, check_model, project
from calib.robust import Robust, invert_spd, robust_adjust
from calib.target import Target

TARGET = Target("chessboard", 5, 4, 0.03)
LEFT = np.array([500.0, 505.0, 322.0, 238.0, -0.2, 0.06, 1e-3, -5e-4])
RIGHT = np.array([510.0, 507.0, 317.0, 244.0, -0.22, 0.07, -8e-4, 3e-4])
MOMENTS = 8


def truth(warp_m: tuple[float, float] = (0.0, 0.0)) -> State:
    rng = np.random.default_rng(3)
    turns = [rotation_from_vector(rng.uniform(-0.5, 0.5, 3)) for _ in range(MOMENTS)]
    places = rng.uniform([-0.08, -0.06, 0.45], [0.05, 0.04, 0.8], (MOMENTS, 3))
    R = rotation_from_vector([0.01, 0.05, -0.02])
    return State((LEFT, RIGHT), R, np.array([-0.1, 0.002, 0.004]), np.array(warp_m), np.stack(turns), places)


def seen(state: State, noise_px: float, *, models: tuple[str, ...] = ("radtan4", "radtan4"), seed: int = 0) -> Problem:
    """All boards in both cameras; the first moment in the left one only, the second in the right one."""
    rng = np.random.default_rng(seed)
    board = bowed_board(TARGET.object_points())
    sights = []
    for side, model in enumerate(models):
        moments = [m for m in range(MOMENTS) if m != (1, 0)[side]]
        moment = np.repeat(moments, TARGET.corner_count)
        ids = np.tile(np.arange(TARGET.corner_count), len(moments))
        empty = Sight(model, moment, ids, np.zeros((len(ids), 2)), rng.uniform(0.5, 2.0, len(ids)))
        exact = -residuals(Problem(board, (empty,) if not side else (empty, empty), MOMENTS), state)[side]
        noise = noise_px * empty.sigma_px[:, None] * rng.standard_normal(exact.shape)
        sights.append(Sight(model, moment, ids, exact + noise, empty.sigma_px))
    return Problem(board, tuple(sights), MOMENTS)


def shared_of(state: State) -> Array:
    return np.concatenate([*state.intrinsics, np.zeros(3), state.t, state.shape])


@pytest.mark.parametrize("model", COEFFICIENTS)
def test_derivatives_of_lenses_are_those_of_differences(model: str) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal([0.0, 0.0, 1.2], 0.4, (40, 3))
    points[0] = 0.0, 0.0, 1.0  # on the axis
    p = np.concatenate([[500.0, 510.0, 320.0, 240.0], rng.normal(0.0, 0.02, COEFFICIENTS[model])])
    _, by_point, by_intrinsics = project(model, p, points)
    step = 1e-6
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        numeric = (project(model, p, points + shift)[0] - project(model, p, points - shift)[0]) / (2.0 * step)
        np.testing.assert_allclose(by_point[..., axis], numeric, atol=1e-6 * 500)
    for i in range(len(p)):
        shift = step * np.eye(len(p))[i]
        numeric = (project(model, p + shift, points)[0] - project(model, p - shift, points)[0]) / (2.0 * step)
        np.testing.assert_allclose(by_intrinsics[..., i], numeric, atol=1e-6 * 500)


def test_unknown_lenses_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown lens model 'brown'; known are radtan4, radtan5, radtan8, radtan12, fisheye"):
        check_model("brown")


def test_exact_corners_give_the_exact_state_from_afar() -> None:
    state = truth((0.0008, -0.0005))
    problem = seen(state, 0.0)
    rng = np.random.default_rng(1)
    start = State(
        tuple(p * [1.1, 1.1, 1.05, 0.95, 0, 0, 0, 0] for p in state.intrinsics),
        rotation_from_vector(rng.normal(0.0, 0.05, 3)) @ state.R,
        state.t * 1.2,
        np.zeros(2),
        np.stack([rotation_from_vector(rng.normal(0.0, 0.1, 3)) @ R for R in state.R_poses]),
        state.t_poses * 1.1,
    )
    found = adjust(Problem(problem.board, problem.sights, MOMENTS, fit_shape=True), start)
    assert max(np.abs(error).max() for error in residuals(problem, found)) < 1e-6
    np.testing.assert_allclose(shared_of(found), shared_of(state), atol=1e-5)
    np.testing.assert_allclose(found.R, state.R, atol=1e-8)
    np.testing.assert_allclose(found.shape, state.shape, atol=1e-8)


def test_fixed_parameters_stay() -> None:
    state = truth()
    problem = seen(state, 0.3)
    fixed = Problem(problem.board, problem.sights, MOMENTS, fixed=tuple(range(16)))
    found = adjust(fixed, state)
    np.testing.assert_array_equal(np.concatenate(found.intrinsics), np.concatenate(state.intrinsics))
    assert np.abs(found.t - state.t).max() > 1e-6
    np.testing.assert_array_equal(found.shape, state.shape)


def test_information_with_poses_eliminated_is_that_of_the_dense_problem() -> None:
    """The Schur complement against the inverse of the whole matrix, from numeric derivatives."""
    state = truth((0.0003, 0.0002))
    problem = seen(state, 0.2)
    problem = Problem(problem.board, problem.sights, MOMENTS, fit_shape=True)

    def errors(step: Array) -> Array:
        moved = State(
            (state.intrinsics[0] + step[:8], state.intrinsics[1] + step[8:16]),
            rotation_from_vector(step[16:19]) @ state.R,
            state.t + step[19:22],
            state.shape + step[22:24],
            np.stack([rotation_from_vector(w) @ R for w, R in zip(step[24:].reshape(-1, 6)[:, :3], state.R_poses, strict=True)]),
            state.t_poses + step[24:].reshape(-1, 6)[:, 3:],
        )
        found = residuals(problem, moved)
        return np.concatenate([(e / s.sigma_px[:, None]).ravel() for e, s in zip(found, problem.sights, strict=True)])

    count = 24 + 6 * MOMENTS
    sizes = np.concatenate([np.tile([1e-3] * 4 + [1e-6] * 4, 2), np.full(8 + 6 * MOMENTS, 1e-7)])
    J = np.stack([(errors(sizes[i] * e) - errors(-sizes[i] * e)) / (2.0 * sizes[i]) for i, e in enumerate(np.eye(count))], 1)
    dense = np.linalg.inv(J.T @ J)[:24, :24]
    ours = invert_spd(normal_equations(problem, state).shared)
    scale = np.sqrt(np.diag(dense))
    np.testing.assert_allclose(ours / np.outer(scale, scale), dense / np.outer(scale, scale), atol=2e-4)


def test_gross_errors_are_left_out_and_the_noise_is_measured() -> None:
    state = truth()
    problem = seen(state, 0.1)
    rng = np.random.default_rng(5)
    uv = problem.sights[0].uv.copy()
    bad = rng.choice(len(uv), 8, replace=False)
    uv[bad] += 15.0 * rng.choice([-1.0, 1.0], (8, 2))
    spoilt = Sight("radtan4", problem.sights[0].moment, problem.sights[0].ids, uv, problem.sights[0].sigma_px)
    found = robust_adjust(Problem(problem.board, (spoilt, problem.sights[1]), MOMENTS), state)
    assert set(np.flatnonzero(~found.kept[0])) == set(bad)
    assert found.kept[1].all()
    assert found.scale == pytest.approx(0.1, rel=0.1)


def test_sigmas_are_those_of_many_solutions() -> None:
    """Pulls of all shared parameters over 60 draws of the noise."""
    state = truth()
    pulls = []
    for seed in range(60):
        problem = seen(state, 0.15, seed=seed)
        solved = adjust(problem, state)
        sigma = np.sqrt(
            np.diag(Robust(solved, problem, tuple(np.ones(len(s.uv), bool) for s in problem.sights), 0.15).covariance())
        )
        off = shared_of(solved)[:-2] - shared_of(state)[:-2]
        turn = solved.R @ state.R.T
        off[16:19] = 0.5 * np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        pulls.append(off / sigma)
    spread = np.sqrt((np.array(pulls) ** 2).mean(0))
    assert np.sqrt((np.array(pulls) ** 2).mean()) == pytest.approx(1.0, abs=0.06)
    assert spread.min() > 0.7
    assert spread.max() < 1.35


def test_a_free_board_may_be_anything_but_moved_or_scaled() -> None:
    points = TARGET.object_points()
    board = free_board(points)
    assert board.modes.shape == (60, 53)
    np.testing.assert_allclose(board.modes.T @ board.modes, np.eye(53), atol=1e-12)
    arms = points - points.mean(0)
    for gauge in (*(np.tile(axis, (20, 1)) for axis in np.eye(3)), *(np.cross(axis, arms) for axis in np.eye(3)), arms):
        np.testing.assert_allclose(board.modes.T @ gauge.ravel(), 0.0, atol=1e-12)
