"""Rotations and motions against OpenCV, SciPy and their own laws."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from calib.geometry import (
    angle_deg,
    compose,
    frozen,
    invert,
    nearest_rotation,
    orthonormality_error,
    rotation_from_vector,
    skew,
    vector_from_rotation,
)

components = st.floats(-3.0, 3.0, allow_nan=False)
vectors = st.tuples(components, components, components).map(np.array)


@given(v=vectors)
def test_rotation_agrees_with_scipy_and_opencv(v: np.ndarray) -> None:
    R = rotation_from_vector(v)
    np.testing.assert_allclose(R, Rotation.from_rotvec(v).as_matrix(), atol=1e-14)
    np.testing.assert_allclose(R, cv2.Rodrigues(v)[0], atol=1e-14)
    assert orthonormality_error(R) < 1e-14


@given(v=vectors)
def test_vector_inverts_rotation(v: np.ndarray) -> None:
    R = rotation_from_vector(v)
    back = vector_from_rotation(R)
    assert np.linalg.norm(back) <= np.pi + 1e-12
    np.testing.assert_allclose(rotation_from_vector(back), R, atol=1e-13)
    if np.linalg.norm(v) < np.pi - 1e-6:
        np.testing.assert_allclose(back, v, atol=1e-9)


@pytest.mark.parametrize("axis", [[1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0], [0.6, 0.0, -0.8], [-1 / 3, 2 / 3, 2 / 3]])
@pytest.mark.parametrize("angle", [0.0, 1e-15, 1e-10, 1e-6, 0.5, np.pi - 1e-7, np.pi - 1e-12, np.pi])
def test_vector_is_accurate_near_zero_and_near_a_half_turn(axis: list[float], angle: float) -> None:
    v = np.array(axis) * angle
    back = vector_from_rotation(rotation_from_vector(v))
    if angle > 3.1 and back @ v < 0.0:
        back = -back  # at a half turn both signs of the axis are one rotation
    np.testing.assert_allclose(back, v, atol=1e-12 if angle < 3.1 else 1e-9)


def test_a_quarter_turn_by_hand() -> None:
    """A positive turn about z takes x to y."""
    R = rotation_from_vector([0.0, 0.0, np.pi / 2])
    np.testing.assert_allclose(R @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-15)
    assert angle_deg(R) == pytest.approx(90.0, abs=1e-12)


@given(v=vectors, w=vectors)
def test_skew_is_the_cross_product(v: np.ndarray, w: np.ndarray) -> None:
    np.testing.assert_allclose(skew(v) @ w, np.cross(v, w), atol=1e-12)


@given(v=vectors, w=vectors, t=vectors, s=vectors, x=vectors)
def test_compose_and_invert_move_points_rightly(
    v: np.ndarray, w: np.ndarray, t: np.ndarray, s: np.ndarray, x: np.ndarray
) -> None:
    R_b_a, R_c_b = rotation_from_vector(v), rotation_from_vector(w)
    R, u = compose(R_c_b, s, R_b_a, t)
    np.testing.assert_allclose(R @ x + u, R_c_b @ (R_b_a @ x + t) + s, atol=1e-12)
    R_a_b, t_a_b = invert(R_b_a, t)
    np.testing.assert_allclose(R_a_b @ (R_b_a @ x + t) + t_a_b, x, atol=1e-12)


def test_orthonormality_error_names_what_is_no_rotation() -> None:
    assert orthonormality_error(np.eye(3)) == 0.0
    assert orthonormality_error(np.eye(3) * 1.001) == pytest.approx(2.001e-3, rel=1e-9)
    for bad in (np.diag([1.0, 1.0, -1.0]), np.zeros((3, 3)), np.full((3, 3), np.nan), np.eye(2), np.eye(4)):
        assert orthonormality_error(bad) == float("inf")


def test_nearest_rotation_undoes_rounding_and_never_reflects(rng: np.random.Generator) -> None:
    for _ in range(50):
        R = rotation_from_vector(rng.normal(size=3))
        near = nearest_rotation(R + rng.normal(scale=1e-4, size=(3, 3)))
        assert orthonormality_error(near) < 1e-14
        assert np.abs(near - R).max() < 5e-4
    np.testing.assert_allclose(
        nearest_rotation(rotation_from_vector([0.1, 0.2, 0.3]) * 2.5), rotation_from_vector([0.1, 0.2, 0.3])
    )
    assert np.linalg.det(nearest_rotation(np.diag([1.0, 0.9, -0.2]))) == pytest.approx(1.0)


def test_nearest_rotation_is_the_nearest(rng: np.random.Generator) -> None:
    """No small turn away from it comes closer in the Frobenius norm."""
    m = rotation_from_vector([0.3, -0.2, 0.9]) + rng.normal(scale=0.2, size=(3, 3))
    near = nearest_rotation(m)
    best = np.linalg.norm(near - m)
    for step in rng.normal(scale=1e-3, size=(100, 3)):
        assert np.linalg.norm(rotation_from_vector(step) @ near - m) >= best


def test_frozen_arrays_cannot_be_changed() -> None:
    array = np.zeros(3)
    frozen(array)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0
