"""`RigCovariance`: how certain the numbers of a rig are, all of them together."""

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import ArrayLike

from calib.camera import Camera
from calib.errors import CalibrationError
from calib.geometry import Array, frozen

MOTION_NAMES = ("rotation_x_rad", "rotation_y_rad", "rotation_z_rad", "t_x_m", "t_y_m", "t_z_m")
"""R_true = exp([w]x) R_right_left with w = (rotation_x, rotation_y, rotation_z) in the right camera's frame; t_right_left_m"""
INTRINSIC_NAMES = ("focal_x_px", "focal_y_px", "centre_x_px", "centre_y_px")
MOST_PARAMETERS = 2 * (len(INTRINSIC_NAMES) + 12) + len(MOTION_NAMES)
_TOLERANCE = 1e-7  # of a correlation: what rounding may do to symmetry and eigenvalues


def camera_parameter_names(camera: Camera) -> tuple[str, ...]:
    """Names of the numbers of one camera: focal lengths, principal point, coefficients of its lens."""
    return (*INTRINSIC_NAMES, *camera.coefficient_names)


def parameter_names(left: Camera, right: Camera) -> tuple[str, ...]:
    """Names of all numbers of a rig, in the order of `RigCovariance` and `StereoRig.perturbed`.

    left.focal_x_px, left.focal_y_px, left.centre_x_px, left.centre_y_px, left.k1, ..., the same of the right camera,
    rotation_x_rad, rotation_y_rad, rotation_z_rad, t_x_m, t_y_m, t_z_m.
    """
    sides = (("left", left), ("right", right))
    return (*(f"{side}.{name}" for side, camera in sides for name in camera_parameter_names(camera)), *MOTION_NAMES)


@dataclass(frozen=True, slots=True, eq=False)
class RigCovariance:
    """Covariance matrix of the numbers of a rig; units are those of the names (px, rad, m; coefficients have none).

    A variance of 0 stands for a number that was given and not estimated.

    Raises
    ------
    CalibrationError
        Names given twice, another shape, or a matrix that is not finite, symmetric and positive semi-definite.
    """

    names: tuple[str, ...]
    """(P,) see `parameter_names`"""
    matrix: Array
    """(P, P)"""

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.names)
        matrix = np.array(self.matrix, np.float64)
        if not 1 <= len(names) <= MOST_PARAMETERS:
            raise CalibrationError(f"covariance: {len(names)} parameters; a rig has 1 to {MOST_PARAMETERS}")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise CalibrationError(f"covariance: {twice[0]} is named twice; each parameter may be named once")
        if matrix.shape != (len(names), len(names)):
            raise CalibrationError(
                f"covariance: the matrix has shape {matrix.shape}, but there are {len(names)} parameters; it must be"
                f" {len(names)} x {len(names)}"
            )
        matrix = _checked(names, matrix)
        frozen(matrix)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "matrix", matrix)

    def index(self, name: str) -> int:
        """Row of a parameter.

        Raises
        ------
        CalibrationError
            An unknown name.
        """
        if name in self.names:
            return self.names.index(name)
        close = get_close_matches(name, self.names, 1)
        advice = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(self.names)}"
        raise CalibrationError(f"covariance: there is no parameter {name!r}; {advice}")

    def sigma(self, name: str) -> float:
        """Standard deviation of a parameter, in the unit of its name; see `index` for errors."""
        i = self.index(name)
        return float(np.sqrt(self.matrix[i, i]))

    @property
    def sigmas(self) -> Array:
        """(P,) standard deviations, in the order of `names`."""
        return np.asarray(np.sqrt(np.diag(self.matrix)))

    def block(self, names: tuple[str, ...]) -> Array:
        """(len(names), len(names)) covariance of some parameters, in the order asked for; see `index` for errors."""
        rows = [self.index(name) for name in names]
        return self.matrix[np.ix_(rows, rows)]

    def scaled(self, factors: ArrayLike) -> "RigCovariance":
        """The covariance of the parameters multiplied by `factors`, (P,): D C D with D = diag(factors)."""
        f = np.asarray(factors, np.float64)
        if f.shape != (len(self.names),) or not np.isfinite(f).all():
            raise CalibrationError(f"covariance: factors of shape {f.shape}; {len(self.names)} finite numbers are needed")
        return RigCovariance(self.names, self.matrix * f[:, None] * f[None, :])


def _checked(names: tuple[str, ...], matrix: Array) -> Array:
    """The matrix, exactly symmetric; judged as correlations, because the parameters' sizes differ by many powers of ten."""
    if not np.isfinite(matrix).all():
        i, j = np.argwhere(~np.isfinite(matrix))[0]
        raise CalibrationError(f"covariance: the entry of {names[i]} and {names[j]} is {matrix[i, j]}; it must be finite")
    variance = np.diag(matrix)
    if (variance < 0.0).any():
        i = int(np.argmin(variance))
        raise CalibrationError(f"covariance: the variance of {names[i]} is {variance[i]:g}; it must be >= 0")
    sigma = np.sqrt(variance)
    size = sigma[:, None] * sigma[None, :]
    for wrong, words in (
        (np.abs(matrix - matrix.T) > _TOLERANCE * size, "is not the same in both halves; the matrix must be symmetric"),
        (np.abs(matrix) > (1.0 + _TOLERANCE) * size, "is larger than the product of the two standard deviations"),
    ):
        if wrong.any():
            i, j = sorted(np.argwhere(wrong)[0].tolist(), reverse=True)
            raise CalibrationError(f"covariance: the entry of {names[i]} and {names[j]} ({matrix[i, j]:g}) {words}")
    matrix = np.tril(matrix) + np.tril(matrix, -1).T  # an exact copy: no digit is lost between a file and its rig
    known = sigma > 0.0
    unit = 1.0 / sigma[known]
    correlation = matrix[np.ix_(known, known)] * unit[:, None] * unit[None, :]
    least = float(np.linalg.eigvalsh(correlation).min(initial=1.0))
    if least < -_TOLERANCE * len(names):
        raise CalibrationError(
            f"covariance: the matrix is not positive semi-definite: its correlations have the eigenvalue {least:.3g}; no set of"
            " measurements can lead to it"
        )
    return matrix
