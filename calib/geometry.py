"""Rotations and rigid motions in plain numpy. Names say target_source: `R_right_left` takes left coordinates to right ones."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def frozen(array: NDArray[np.generic]) -> None:
    """Mark an array read-only (in place)."""
    array.setflags(write=False)


def rotation_from_vector(rotation_vector: ArrayLike) -> Array:
    """Rotation matrix of a rotation vector (axis times angle in radians): Rodrigues' formula.

    Parameters
    ----------
    rotation_vector : (3,) array

    Returns
    -------
    (3, 3) array
    """
    v = np.asarray(rotation_vector, np.float64).reshape(3)
    angle = float(np.linalg.norm(v))
    if angle < 1e-12:
        return np.eye(3) + skew(v)
    k = skew(v / angle)
    return np.asarray(np.eye(3) + np.sin(angle) * k + (1.0 - np.cos(angle)) * (k @ k))


def vector_from_rotation(R: ArrayLike) -> Array:
    """Rotation vector (axis times angle in radians, angle in [0, pi]) of a rotation matrix.

    Goes through the unit quaternion (Shepperd's method), which stays accurate near 0 and near pi.
    """
    m = np.asarray(R, np.float64)
    trace = float(np.trace(m))
    q = np.empty(4)
    choices = np.array([trace, m[0, 0], m[1, 1], m[2, 2]])
    i = int(np.argmax(choices))
    if i == 0:
        q[:] = 1.0 + trace, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    else:
        a, b, c = i - 1, i % 3, (i + 1) % 3
        q[0] = m[c, b] - m[b, c]
        q[1 + a] = 1.0 + m[a, a] - m[b, b] - m[c, c]
        q[1 + b] = m[a, b] + m[b, a]
        q[1 + c] = m[a, c] + m[c, a]
    q /= np.linalg.norm(q)
    if q[0] < 0.0:
        q = -q
    sine = float(np.linalg.norm(q[1:]))
    if sine < 1e-12:
        return np.asarray(2.0 * q[1:])
    return np.asarray(q[1:] * (2.0 * np.arctan2(sine, q[0]) / sine))


def skew(v: ArrayLike) -> Array:
    """Matrix [v]x with [v]x w = v x w."""
    x, y, z = np.asarray(v, np.float64).reshape(3)
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def angle_deg(R: ArrayLike) -> float:
    """Angle of a rotation in degrees, in [0, 180]."""
    return float(np.degrees(np.linalg.norm(vector_from_rotation(R))))


def compose(R_c_b: Array, t_c_b: Array, R_b_a: Array, t_b_a: Array) -> tuple[Array, Array]:
    """The motion a -> c from b -> c after a -> b (x_b = R_b_a x_a + t_b_a)."""
    return R_c_b @ R_b_a, R_c_b @ t_b_a + t_c_b


def invert(R_b_a: Array, t_b_a: Array) -> tuple[Array, Array]:
    """The motion b -> a of a -> b."""
    return R_b_a.T, -R_b_a.T @ t_b_a


def orthonormality_error(R: ArrayLike) -> float:
    """Largest entry of R R^T - I in absolute value; infinite for a reflection or anything not finite."""
    m = np.asarray(R, np.float64)
    if m.shape != (3, 3) or not np.isfinite(m).all() or np.linalg.det(m) <= 0.0:
        return float("inf")
    return float(np.abs(m @ m.T - np.eye(3)).max())


def nearest_rotation(m: ArrayLike) -> Array:
    """The rotation closest to a 3 x 3 matrix in the Frobenius norm (SVD; Kabsch 1976)."""
    u, _, vt = np.linalg.svd(np.asarray(m, np.float64))
    return np.asarray(u @ np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)))]) @ vt)
