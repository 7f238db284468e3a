"""`RigCovariance`: what it refuses, and that it follows a rig through every change."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib.camera import Camera
from calib.covariance import MOST_PARAMETERS, RigCovariance, parameter_names
from calib.errors import CalibrationError, UsageError
from calib.geometry import Array, rotation_from_vector, vector_from_rotation
from calib.rectification import plan_rectification
from calib.rig import StereoRig

LEFT = Camera(641, 479, 300.0, 301.0, 318.2, 241.7, np.array([0.01, -0.002, 0.0003, 0.0]), "fisheye")
RIGHT = Camera(640, 480, 524.0, 523.0, 322.0, 238.0, np.array([-0.21, 0.06, 0.0, 1e-4, 0.01]))
RIG = StereoRig(LEFT, RIGHT, rotation_from_vector([0.01, 0.12, -0.02]), np.array([-0.15, 0.002, 0.01]))
PINHOLES = replace(RIG, left=replace(RIGHT, centre_x_px=318.0))
NAMES = RIG.parameter_names


def drawn(rig: StereoRig, seed: int = 0) -> StereoRig:
    """A rig with a dense covariance whose sigmas are of very different sizes."""
    rng = np.random.default_rng(seed)
    names = rig.parameter_names
    factor = rng.normal(size=(len(names), len(names) + 3)) * 10.0 ** rng.uniform(-6, 0, (len(names), 1))
    return replace(rig, covariance=RigCovariance(names, factor @ factor.T))


def test_names_are_in_the_agreed_order() -> None:
    of_both = ["focal_x_px", "focal_y_px", "centre_x_px", "centre_y_px"]
    left = [f"left.{name}" for name in (*of_both, "k1", "k2", "k3", "k4")]
    right = [f"right.{name}" for name in (*of_both, "k1", "k2", "p1", "p2", "k3")]
    motion = ["rotation_x_rad", "rotation_y_rad", "rotation_z_rad", "t_x_m", "t_y_m", "t_z_m"]
    assert parameter_names(LEFT, RIGHT) == (*left, *right, *motion)
    most = replace(RIGHT, distortion=np.ones(12))
    assert len(parameter_names(most, most)) == MOST_PARAMETERS == 38


def test_sigmas_by_hand() -> None:
    cov = RigCovariance(("a", "b"), np.array([[4.0, -3.0], [-3.0, 9.0]]))
    assert (cov.sigma("a"), cov.sigma("b")) == (2.0, 3.0)
    np.testing.assert_array_equal(cov.sigmas, [2.0, 3.0])
    np.testing.assert_array_equal(cov.block(("b", "a")), [[9.0, -3.0], [-3.0, 4.0]])
    np.testing.assert_array_equal(cov.scaled([0.5, 2.0]).matrix, [[1.0, -3.0], [-3.0, 36.0]])
    with pytest.raises(ValueError, match="read-only"):
        cov.matrix[0, 0] = 1.0
    with pytest.raises(CalibrationError, match=r"no parameter 'c'; known: a, b"):
        cov.sigma("c")
    with pytest.raises(CalibrationError, match=r"factors of shape \(1,\); 2 finite numbers"):
        cov.scaled([1.0])


@pytest.mark.parametrize(
    ("names", "matrix", "words"),
    [
        ((), np.zeros((0, 0)), "0 parameters; a rig has 1 to 38"),
        (tuple(map(str, range(39))), np.eye(39), "39 parameters; a rig has 1 to 38"),
        (("a", "a"), np.eye(2), "a is named twice"),
        (("a", "b"), np.eye(3), r"shape \(3, 3\), but there are 2 parameters"),
        (("a", "b"), [[1.0, np.nan], [0.0, 1.0]], "the entry of a and b is nan; it must be finite"),
        (("a", "b"), [[1.0, 0.0], [0.0, -1e-9]], "the variance of b is -1e-09; it must be >= 0"),
        (("a", "b"), [[1.0, 0.1], [0.2, 1.0]], r"the entry of b and a \(0.2\) is not the same in both halves"),
        (("a", "b"), [[1.0, 1.1], [1.1, 1.0]], r"the entry of b and a \(1.1\) is larger than the product"),
        (("a", "b"), [[0.0, 1e-9], [1e-9, 1.0]], "the entry of b and a .* is larger than the product"),
        (("a", "b", "c"), [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]], "not positive semi-definite: .* eigenvalue -0.8;"),
    ],
)
def test_impossible_covariances_are_refused(names: tuple[str, ...], matrix: Array, words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        RigCovariance(names, np.asarray(matrix))


def test_given_numbers_may_have_no_variance() -> None:
    cov = RigCovariance(("a", "b"), np.array([[0.0, 0.0], [0.0, 1e-30]]))
    assert (cov.sigma("a"), cov.sigma("b")) == (0.0, 1e-15)
    assert RigCovariance(("a", "b"), np.ones((2, 2))).sigma("b") == 1.0  # fully correlated


def test_a_covariance_of_other_numbers_is_refused() -> None:
    rig = drawn(RIG)
    assert rig.covariance is not None
    with pytest.raises(CalibrationError, match=r"has 23 parameters, and the rig has 22; not of this rig: right.k3; they must be"):
        replace(rig, right=replace(RIGHT, distortion=RIGHT.distortion[:4]))
    with pytest.raises(CalibrationError, match=r"missing: left\.p1, left\.p2; not of this rig: left\.k4"):
        replace(rig, left=replace(RIGHT))
    turned = RigCovariance(NAMES[::-1], rig.covariance.matrix)
    with pytest.raises(CalibrationError, match=r"their order differs; they must be left\.focal_x_px"):
        replace(rig, covariance=turned)


def test_sigma_of_a_rig() -> None:
    rig = drawn(RIG)
    assert rig.covariance is not None
    assert rig.sigma("t_y_m") == np.sqrt(rig.covariance.matrix[-2, -2])
    assert np.isnan(RIG.sigma("t_y_m"))
    for each in (rig, RIG):
        with pytest.raises(CalibrationError, match=r"no parameter 'left\.p1'"):
            each.sigma("left.p1")


def test_baseline_sigma_is_that_of_drawn_rigs() -> None:
    rig = drawn(RIG)
    assert rig.covariance is not None
    small = replace(rig, covariance=rig.covariance.scaled(np.full(len(NAMES), 1e-3)))  # where the length is linear
    assert small.covariance is not None
    steps = np.random.default_rng(1).multivariate_normal(np.zeros(len(NAMES)), small.covariance.matrix, 20_000)
    lengths = np.linalg.norm(small.t_right_left_m + steps[:, -3:], axis=1)
    assert small.baseline_sigma_m == pytest.approx(lengths.std(), rel=0.02)
    assert RIG.baseline_sigma_m is None


def test_perturbed_adds_each_step_where_its_name_says() -> None:
    """The numbers read back one by one; the rotation by exp([w]x), w in the right camera's frame."""
    for i, name in enumerate(NAMES):
        step = np.zeros(len(NAMES))
        step[i] = 1e-3
        moved = drawn(RIG).perturbed(step)
        assert moved.covariance is None
        assert moved.left.model == "fisheye"
        values, old = (_values(rig) for rig in (moved, RIG))
        np.testing.assert_allclose(values - old, step, atol=1e-15, err_msg=name)
    w = np.array([0.1, -0.2, 0.3])
    turned = RIG.perturbed(np.concatenate([np.zeros(len(NAMES) - 6), w, np.zeros(3)]))
    np.testing.assert_allclose(turned.R_right_left, rotation_from_vector(w) @ RIG.R_right_left, atol=1e-15)
    np.testing.assert_array_equal(turned.t_right_left_m, RIG.t_right_left_m)


def _values(rig: StereoRig) -> Array:
    w = vector_from_rotation(rig.R_right_left @ RIG.R_right_left.T)
    sides = [(c.focal_x_px, c.focal_y_px, c.centre_x_px, c.centre_y_px, *c.distortion) for c in (rig.left, rig.right)]
    return np.array([*sides[0], *sides[1], *w, *rig.t_right_left_m])


@pytest.mark.parametrize("step", [np.zeros(3), np.zeros((23, 1)), np.full(23, np.nan)])
def test_impossible_steps_are_refused(step: Array) -> None:
    with pytest.raises(UsageError, match=r"it must be 23 finite numbers: left\.focal_x_px"):
        RIG.perturbed(step)


@given(factor=st.floats(0.05, 8.0), seed=st.integers(0, 1000), x0=st.integers(-50, 50))
@settings(max_examples=40, deadline=None)
def test_scale_and_crop_carry_the_covariance(factor: float, seed: int, x0: int) -> None:
    """To perturb and then scale is to scale and then perturb by the scaled step: so the covariance of steps scales likewise."""
    rig = drawn(RIG, seed)
    assert rig.covariance is not None
    scaled = rig.scale(factor)
    assert scaled.covariance is not None
    step = np.random.default_rng(seed).normal(size=len(NAMES)) * 1e-3
    after, before = rig.perturbed(step).scale(factor), rig.scale(factor)
    ratio = (_values(after) - _values(before)) / step
    expected = rig.covariance.matrix * np.outer(ratio, ratio)
    sigma = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(scaled.covariance.matrix / np.outer(sigma, sigma), expected / np.outer(sigma, sigma), atol=1e-7)
    assert scaled.baseline_sigma_m == rig.baseline_sigma_m
    cropped = rig.crop(x0, 7, 300, 200, x0_right=-x0)
    assert cropped.covariance is rig.covariance


def test_scaling_there_and_back_gives_every_digit_again() -> None:
    rig = drawn(replace(RIG, left=replace(LEFT, width=640, height=480)))
    again = rig.scale(0.5).scale(2.0)
    assert rig.covariance is not None
    assert again.covariance is not None
    np.testing.assert_array_equal(again.covariance.matrix, rig.covariance.matrix)


def test_rectification_keeps_no_covariance_of_other_numbers() -> None:
    plan = plan_rectification(drawn(PINHOLES))
    assert plan.source.covariance is not None
    assert plan.rig.covariance is None
    flat = drawn(plan.rig)
    assert plan_rectification(flat).rig.covariance is flat.covariance  # rectified already: the same numbers
