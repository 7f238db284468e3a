"""`Camera`: a pinhole with radial, tangential and thin-prism distortion, or a fisheye lens (OpenCV's orders of coefficients)."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib import kannala_brandt
from calib.errors import CalibrationError
from calib.geometry import Array, frozen

COEFFICIENT_NAMES = {
    "radtan": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4"),
    "fisheye": ("k1", "k2", "k3", "k4"),
}
"""of each lens model: `radtan` is OpenCV's pinhole, `fisheye` that of Kannala and Brandt"""
COEFFICIENT_COUNTS = (0, 4, 5, 8, 12)
"""of a pinhole; a fisheye has four"""
_LARGEST_COEFFICIENT = 1e50  # products of them stay finite
_UNPROJECT_ITERATIONS = 50
_UNPROJECT_TOLERANCE = 1e-13
_BISECTIONS = 40
_WIDEST_TANGENT = 1e3  # 89.9 degrees from the axis


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """Intrinsics of one camera. Pixel centres are at integers: the top-left pixel is centred on (0, 0).

    Raises
    ------
    CalibrationError
        A value that is not finite, a focal length <= 0, a size below 1, an unknown model, or a coefficient count that the model
        does not have.
    """

    width: int
    """px"""
    height: int
    """px"""
    focal_x_px: float
    focal_y_px: float
    centre_x_px: float
    """principal point, px"""
    centre_y_px: float
    distortion: Array
    """in OpenCV's order; radtan (0 | 4 | 5 | 8 | 12,): k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4]]]; fisheye (4,): k1 k2 k3 k4"""
    model: str = "radtan"
    """lens model: "radtan" (pinhole with radial, tangential and thin-prism terms) or "fisheye" (`calib.kannala_brandt`)"""

    def __post_init__(self) -> None:
        distortion = np.array(self.distortion, np.float64).reshape(-1)
        frozen(distortion)
        object.__setattr__(self, "distortion", distortion)
        for name in ("width", "height"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise CalibrationError(f"camera: {name} is {value!r}; it must be a whole number of pixels >= 1")
            object.__setattr__(self, name, int(value))
        for name in ("focal_x_px", "focal_y_px", "centre_x_px", "centre_y_px"):
            value = float(getattr(self, name))
            if not np.isfinite(value):
                raise CalibrationError(f"camera: {name} is {value}; it must be a finite number of pixels")
            if name.startswith("focal") and value <= 0.0:
                raise CalibrationError(f"camera: {name} is {value:g}; a focal length must be > 0")
            object.__setattr__(self, name, value)
        if self.model not in COEFFICIENT_NAMES:
            raise CalibrationError(f"camera: model is {self.model!r}; known lens models are {', '.join(COEFFICIENT_NAMES)}")
        if self.is_fisheye and len(distortion) != 4:
            raise CalibrationError(f"camera: {len(distortion)} distortion coefficients; a fisheye has exactly 4: k1 k2 k3 k4")
        if not self.is_fisheye and len(distortion) not in COEFFICIENT_COUNTS:
            raise CalibrationError(
                f"camera: {len(distortion)} distortion coefficients; a pinhole has {', '.join(map(str, COEFFICIENT_COUNTS))}"
            )
        if not np.isfinite(distortion).all():
            raise CalibrationError(f"camera: distortion is {distortion.tolist()}; every coefficient must be finite")
        if np.abs(distortion).max(initial=0.0) > _LARGEST_COEFFICIENT:
            raise CalibrationError(
                f"camera: distortion is {distortion.tolist()}; no coefficient may exceed {_LARGEST_COEFFICIENT:g}"
            )

    @classmethod
    def from_matrix(cls, K: ArrayLike, distortion: ArrayLike, size: tuple[int, int], model: str = "radtan") -> "Camera":
        """From a 3 x 3 matrix, coefficients and (width, height); a skew is refused, a pinhole's needless zeros are dropped."""
        m = np.asarray(K, np.float64)
        if m.shape != (3, 3) or not np.isfinite(m).all():
            raise CalibrationError(f"camera matrix: shape {m.shape} with values {m.tolist()}; it must be 3 x 3 and finite")
        lower = np.array([m[1, 0], m[2, 0], m[2, 1], m[2, 2] - 1.0])
        if np.abs(lower).max() > 1e-9 or abs(m[0, 1]) > 1e-6 * abs(m[0, 0]):
            raise CalibrationError(f"camera matrix {m.tolist()}: must be [fx 0 cx; 0 fy cy; 0 0 1]; a skew is not supported")
        d = np.asarray(distortion, np.float64).reshape(-1)
        if model == "radtan":  # a fisheye with four zeros still bends: theta_d = theta
            while len(d) and d[-1] == 0.0 and len(d) not in COEFFICIENT_COUNTS:
                d = d[:-1]
            if not d.any():
                d = d[:0]
        return cls(size[0], size[1], m[0, 0], m[1, 1], m[0, 2], m[1, 2], d, model)

    @property
    def K(self) -> Array:
        """(3, 3) camera matrix, px."""
        return np.array([[self.focal_x_px, 0.0, self.centre_x_px], [0.0, self.focal_y_px, self.centre_y_px], [0.0, 0.0, 1.0]])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), px."""
        return self.width, self.height

    @property
    def is_fisheye(self) -> bool:
        """True for the model of Kannala and Brandt, which sees beyond 90 degrees from the axis."""
        return self.model == "fisheye"

    @property
    def coefficient_names(self) -> tuple[str, ...]:
        """Name of each entry of `distortion`."""
        return COEFFICIENT_NAMES[self.model][: len(self.distortion)]

    @property
    def view_deg(self) -> tuple[float, float]:
        """Width and height of the field of view along the row and the column of the principal point, degrees, up to 360.

        Where the image reaches beyond the lens's monotone range the view ends at `fold_angle_rad`.
        """
        u, v = self.centre_x_px, self.centre_y_px
        edges = np.array([[0.0, v], [self.width - 1.0, v], [u, 0.0], [u, self.height - 1.0]])
        rays = self.unproject(edges)
        angles = np.arctan2(rays[[0, 1, 2, 3], [0, 0, 1, 1]], rays[:, 2])
        sides = np.sign([edges[0, 0] - u, edges[1, 0] - u, edges[2, 1] - v, edges[3, 1] - v])
        left, right, top, bottom = np.degrees(np.where(np.isfinite(angles), angles, sides * self.fold_angle_rad())).tolist()
        return right - left, bottom - top

    def project(self, points_xyz: ArrayLike) -> Array:
        """Pixels of points in the camera's frame (x right, y down, z forward; any unit).

        Parameters
        ----------
        points_xyz : (..., 3) array

        Returns
        -------
        (..., 2) array, px; NaN where the lens cannot see a point: beyond the fold of its distortion (`fold_angle_rad`), which
        for a pinhole leaves out z <= 0. (OpenCV, "Camera Calibration and 3D Reconstruction", detailed description; for the
        fisheye see `calib.kannala_brandt`.)
        """
        p = np.asarray(points_xyz, np.float64)
        xy = kannala_brandt.project(p, self.distortion) if self.is_fisheye else self._pinhole_project(p)
        return np.stack([self.focal_x_px * xy[..., 0] + self.centre_x_px, self.focal_y_px * xy[..., 1] + self.centre_y_px], -1)

    def unproject(self, uv: ArrayLike) -> Array:
        """Directions seen by pixels: the inverse of `project`, by Newton's method on the distortion.

        Parameters
        ----------
        uv : (..., 2) array, px

        Returns
        -------
        (..., 3) array: (x, y, 1) for a pinhole, unit vectors for a fisheye, whose z may be negative; NaN where the distortion
        cannot be inverted (outside the lens's monotone range).
        """
        q = np.asarray(uv, np.float64)
        target = np.stack(
            [(q[..., 0] - self.centre_x_px) / self.focal_x_px, (q[..., 1] - self.centre_y_px) / self.focal_y_px], -1
        )
        if self.is_fisheye:
            return kannala_brandt.unproject(target, self.distortion)
        xy = target.copy()
        if len(self.distortion):
            xy = self._undistort(target)
        return np.concatenate([xy, np.where(np.isfinite(xy).all(-1, keepdims=True), 1.0, np.nan)], -1)

    def fold_angle_rad(self) -> float:
        """Angle from the axis at which the image radius stops growing: the lens sees what lies within it, and nothing beyond.

        At most pi / 2 for a pinhole and pi for a fisheye. Tangential and thin-prism terms are left out.
        """
        if self.is_fisheye:
            return kannala_brandt.fold_angle_rad(self.distortion)
        return float(np.arctan(self.fold_radius()))

    def fold_radius(self) -> float:
        """Tangent of the angle at which the radial distortion stops growing; infinite where it never does before 90 degrees.

        Of a pinhole: the smallest positive root of d/dr [r N(r^2) / D(r^2)], or of D itself. `fold_angle_rad` tells the fold of
        a fisheye beyond 90 degrees too.
        """
        if self.is_fisheye:
            angle = self.fold_angle_rad()
            return float(np.tan(angle)) if angle < np.arctan(_WIDEST_TANGENT) else float("inf")
        if not len(self.distortion):
            return float("inf")
        k1, k2, _, _, k3, k4, k5, k6, *_ = self._coefficients()
        u = np.polynomial.Polynomial([0.0, 1.0])  # u = r^2
        n, d = np.polynomial.Polynomial([1.0, k1, k2, k3]), np.polynomial.Polynomial([1.0, k4, k5, k6])
        slope = (n + 2.0 * u * n.deriv()) * d - 2.0 * u * n * d.deriv()
        # Both begin with 1, so that in w = 1 / u they are monic: the largest w, the fold, is well conditioned even when the last
        # coefficients are tiny.
        w = np.concatenate([np.polynomial.Polynomial(each.coef[::-1]).roots() for each in (slope, d)])
        real = w[np.abs(w.imag) < 1e-9 * np.maximum(np.abs(w), 1.0)].real
        radius = 1.0 / np.sqrt(real.max(initial=1e-300))
        return float(radius) if radius < _WIDEST_TANGENT else float("inf")  # beyond that a root is rounding

    def scale(self, factor: float) -> "Camera":
        """The camera of images resized by about `factor`, exactly as `cv2.resize(image, camera.scale(factor).size)` does it.

        Sizes are whole pixels: 741 x 500 by 0.5 is 370 x 250, which is 0.4993 in x and 0.5 in y. Each axis is scaled by its own
        quotient s of new and old size: f' = f s, c' = (c + 0.5) s - 0.5.
        """
        if not (np.isfinite(factor) and factor > 0.0):
            raise CalibrationError(f"scale factor {factor}; it must be a finite number > 0")
        width, height = (max(1, round(n * factor)) for n in self.size)
        sx, sy = width / self.width, height / self.height
        fx, fy = self.focal_x_px * sx, self.focal_y_px * sy
        cx, cy = (self.centre_x_px + 0.5) * sx - 0.5, (self.centre_y_px + 0.5) * sy - 0.5
        return Camera(width, height, fx, fy, cx, cy, self.distortion, self.model)

    def crop(self, x0: int, y0: int, width: int, height: int) -> "Camera":
        """The camera of the window [x0, x0 + width) x [y0, y0 + height); the window may lie partly outside (padding)."""
        return replace(self, width=width, height=height, centre_x_px=self.centre_x_px - x0, centre_y_px=self.centre_y_px - y0)

    def _pinhole_project(self, p: Array) -> Array:
        z = np.where(p[..., 2] > 0.0, p[..., 2], np.nan)
        xy = p[..., :2] / z[..., None]
        limit = self.fold_radius()
        if np.isfinite(limit):
            xy = np.where((xy * xy).sum(-1, keepdims=True) < limit * limit, xy, np.nan)
        return self._distort(xy)

    def _coefficients(self) -> list[float]:
        d = np.zeros(12)
        d[: len(self.distortion)] = self.distortion
        return [float(v) for v in d]

    def _distort(self, xy: Array) -> Array:
        if not len(self.distortion):
            return xy
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = self._coefficients()
        x, y = xy[..., 0], xy[..., 1]
        r2 = x * x + y * y
        radial = (1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1.0 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        xd = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x) + r2 * (s1 + r2 * s2)
        yd = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y + r2 * (s3 + r2 * s4)
        return np.stack([xd, yd], -1)

    def _jacobian(self, xy: Array) -> Array:
        """d(distorted) / d(undistorted), (..., 2, 2)."""
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = self._coefficients()
        x, y = xy[..., 0], xy[..., 1]
        r2 = x * x + y * y
        num, den = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1.0 + r2 * (k4 + r2 * (k5 + r2 * k6))
        radial = num / den
        d_radial = ((k1 + r2 * (2.0 * k2 + 3.0 * r2 * k3)) - radial * (k4 + r2 * (2.0 * k5 + 3.0 * r2 * k6))) / den
        gx, gy = 2.0 * x, 2.0 * y  # gradient of r2
        jxx = radial + x * d_radial * gx + 2.0 * p1 * y + p2 * (gx + 4.0 * x) + gx * (s1 + 2.0 * r2 * s2)
        jxy = x * d_radial * gy + 2.0 * p1 * x + p2 * gy + gy * (s1 + 2.0 * r2 * s2)
        jyx = y * d_radial * gx + p1 * gx + 2.0 * p2 * y + gx * (s3 + 2.0 * r2 * s4)
        jyy = radial + y * d_radial * gy + p1 * (gy + 4.0 * y) + 2.0 * p2 * x + gy * (s3 + 2.0 * r2 * s4)
        return np.stack([np.stack([jxx, jxy], -1), np.stack([jyx, jyy], -1)], -2)

    def _undistort(self, target: Array) -> Array:
        flat = target.reshape(-1, 2)
        xy = self._newton(flat, flat)
        fold = self.fold_radius()
        failed = np.isfinite(flat).all(-1) & ~((xy * xy).sum(-1) < fold * fold)
        if failed.any():  # Newton left the range in which the radius grows; a start on the right radius keeps it there
            xy[failed] = self._newton(flat[failed], self._radial_guess(flat[failed], fold))
        xy[~((xy * xy).sum(-1) < fold * fold)] = np.nan  # a solution behind the fold, which the lens cannot see
        return xy.reshape(target.shape)

    def _radial_guess(self, target: Array, fold: float) -> Array:
        """Undistorted positions by the radial terms alone: bisection on the radius, which grows up to the fold."""
        k1, k2, _, _, k3, k4, k5, k6, *_ = self._coefficients()
        wanted = np.linalg.norm(target, axis=-1)
        low, high = np.zeros_like(wanted), np.full_like(wanted, min(fold, _WIDEST_TANGENT))
        for _ in range(_BISECTIONS):
            r = 0.5 * (low + high)
            u = r * r
            is_short = r * (1.0 + u * (k1 + u * (k2 + u * k3))) / (1.0 + u * (k4 + u * (k5 + u * k6))) < wanted
            low, high = np.where(is_short, r, low), np.where(is_short, high, r)
        return np.asarray(target * (low / np.maximum(wanted, 1e-300))[:, None])

    def _newton(self, target: Array, start: Array) -> Array:
        """Positions whose distortion is `target`, (N, 2); NaN where the iteration does not arrive."""
        xy = start.copy()
        active: NDArray[np.int64] = np.flatnonzero(np.isfinite(target).all(-1))
        for _ in range(_UNPROJECT_ITERATIONS):
            residual = self._distort(xy[active]) - target[active]
            unsolved = np.abs(residual).max(-1, initial=0.0) > _UNPROJECT_TOLERANCE
            active, residual = active[unsolved], residual[unsolved]
            if not len(active):
                break
            j = self._jacobian(xy[active])
            det = j[:, 0, 0] * j[:, 1, 1] - j[:, 0, 1] * j[:, 1, 0]
            det = np.where(det > 1e-9, det, np.nan)  # folded: no inverse here
            step_x = (j[:, 1, 1] * residual[:, 0] - j[:, 0, 1] * residual[:, 1]) / det
            step_y = (j[:, 0, 0] * residual[:, 1] - j[:, 1, 0] * residual[:, 0]) / det
            step = np.stack([step_x, step_y], -1)
            length = np.linalg.norm(step, axis=-1, keepdims=True)
            step *= np.minimum(1.0, 0.5 / np.maximum(length, 1e-300))  # no leap across the fold
            xy[active] -= step
            active = active[np.isfinite(xy[active]).all(-1)]
        if len(active):
            residual = self._distort(xy[active]) - target[active]
            xy[active[np.abs(residual).max(-1) > 1e-9]] = np.nan
        return xy
