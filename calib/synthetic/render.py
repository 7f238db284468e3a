"""Photos of a scene by the cameras of a rig, and the truth behind every pixel, by casting rays."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib.camera import Camera
from calib.errors import UsageError
from calib.geometry import Array, frozen
from calib.rig import Mask, StereoRig
from calib.synthetic.scene import Scene
from calib.synthetic.texture import Float32

_TILE_PX = 64  # measured: smaller tiles pay numpy's overhead per call, larger ones leave the second-level cache
_ROWS = 32
_LEAST_FISHEYE_COSINE = 0.1736  # 80 degrees; nearer to 90 a pixel's rays are no longer linear in (x / z, y / z)
_SEEN_TOLERANCE = 1e-6  # of the distance: rounding of the hit point, not a gap between surfaces


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A camera that stands somewhere in a scene: x_camera = R_camera_scene (x_scene - centre_m)."""

    camera: Camera
    R_camera_scene: Array
    """(3, 3) rotation"""
    centre_m: Array
    """(3,) the camera's centre in the scene's frame, metres"""

    def directions(self, uv: ArrayLike) -> Array:
        """Rays through pixels, scene frame: (..., 2) px -> (..., 3); a pinhole's have z = 1, so that steps are depths."""
        return self.camera.unproject(uv) @ self.R_camera_scene

    def project(self, points_m: ArrayLike) -> Array:
        """Pixels of points of the scene: (..., 3) metres -> (..., 2) px, NaN behind the camera."""
        return self.camera.project((np.asarray(points_m, np.float64) - self.centre_m) @ self.R_camera_scene.T)


@dataclass(frozen=True, slots=True, eq=False)
class RenderedPair:
    """The two photos of a rig."""

    left: NDArray[np.uint8]
    """(H, W, 3) BGR"""
    right: NDArray[np.uint8]
    """(H, W, 3) BGR"""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What each pixel's central ray meets, exact to rounding; NaN where it meets nothing (or the camera sees nothing there)."""

    depth_left_m: Array
    """(H, W) metres along the left camera's optical axis"""
    depth_right_m: Array
    """(H, W) metres along the right camera's optical axis, at the right camera's pixels"""
    disparity_left_px: Array | None
    """(H, W) d = x_left - x_right at the left camera's pixels; None where the rig is not rectified"""
    disparity_right_px: Array | None
    """(H, W) d = x_left - x_right at the right camera's pixels"""
    occluded_left: Mask
    """(H, W) True where the point is hidden from the right camera, outside its image, or where there is no point"""
    occluded_right: Mask
    """(H, W) the same for the right camera's pixels"""


def views(rig: StereoRig, *, R_left_scene: ArrayLike | None = None) -> tuple[View, View]:
    """The two cameras of a rig in a scene: the left one at its origin, turned by `R_left_scene` (default: the scene's own axes).

    A rectified rig looks at the same scene as its source when `R_left_scene` is `Rectification.R_rect_left`.
    """
    R = np.eye(3) if R_left_scene is None else np.asarray(R_left_scene, np.float64)
    centre_right = R.T @ rig.centre_right_m
    return View(rig.left, R, np.zeros(3)), View(rig.right, rig.R_right_left @ R, centre_right)


def render_pair(
    rig: StereoRig,
    scene: Scene,
    *,
    supersampling: int = 3,
    noise: float = 2.0,
    seed: int = 0,
    gain: tuple[float, float] = (1.0, 1.0),
    gamma: tuple[float, float] = (1.0, 1.0),
    R_left_scene: ArrayLike | None = None,
    threads: int = 2,
) -> RenderedPair:
    """Photos of a scene by both cameras of a rig, distorted as their lenses are.

    Parameters
    ----------
    rig : StereoRig
        Raw or rectified.
    scene : Scene
        In the frame of the left camera (metres; x right, y down, z forward).
    supersampling : int
        n: each pixel is the mean of n x n rays, 1 to 16, spread over a tent two pixels wide (1: only the central ray).
    noise : float
        Standard deviation of Gaussian noise in grey levels of 0..255.
    seed : int
        Of the noise; the two images have independent noise.
    gain, gamma : (left, right)
        Grey level = 255 (gain * light) ** gamma.
    R_left_scene : (3, 3) array, optional
        See `views`.
    threads : int
        Worker threads; the images do not depend on it.

    Returns
    -------
    RenderedPair
        Black where a lens sees nothing (beyond the fold of its distortion).
    """
    both = views(rig, R_left_scene=R_left_scene)
    light = [render_light(view, scene, supersampling=supersampling, threads=threads) for view in both]
    photos = [expose(light[i], noise=noise, seed=2 * seed + i, gain=gain[i], gamma=gamma[i]) for i in (0, 1)]
    return RenderedPair(photos[0], photos[1])


def render_light(view: View, scene: Scene, *, supersampling: int = 3, threads: int = 2) -> Float32:
    """The light that reaches each pixel of a view: (H, W, 3) float32 BGR, 1 is white; exact noise-free base of a photo."""
    rays = RayGrid.of(view.camera, supersampling)
    image = np.zeros((view.camera.height, view.camera.width, 3), np.float32)

    def tile(corner: tuple[int, int]) -> None:
        window = np.s_[corner[0] : corner[0] + _TILE_PX, corner[1] : corner[1] + _TILE_PX]
        directions, blind = _without_nan(view.R_camera_scene.T @ rays.fan(window))
        colour = scene.shade(view.centre_m, directions)
        colour[:, blind] = 0.0
        target = image[window]
        target[...] = colour.reshape(3, *target.shape[:2], -1).mean(-1).transpose(1, 2, 0)

    corners = [(y, x) for y in range(0, image.shape[0], _TILE_PX) for x in range(0, image.shape[1], _TILE_PX)]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(tile, corners))
    return image


def expose(light: Float32, *, noise: float = 2.0, seed: int = 0, gain: float = 1.0, gamma: float = 1.0) -> NDArray[np.uint8]:
    """A photo: grey level = 255 (gain * light) ** gamma plus Gaussian noise of `noise` levels, rounded and clipped to 8 bits."""
    level = np.maximum(light * np.float32(gain), np.float32(0.0))
    if gamma != 1.0:
        level = level ** np.float32(gamma)
    level = level * np.float32(255.0)
    if noise > 0.0:
        level += np.float32(noise) * np.random.default_rng(seed).standard_normal(level.shape, np.float32)
    return np.asarray(np.clip(np.rint(level), 0.0, 255.0).astype(np.uint8))


def render_truth(rig: StereoRig, scene: Scene, *, R_left_scene: ArrayLike | None = None) -> Truth:
    """Depth, disparity and occlusion behind the centre of every pixel of both cameras.

    Parameters
    ----------
    rig : StereoRig
        Rectified for disparities; any other rig gives depth and occlusion.
    scene : Scene
    R_left_scene : (3, 3) array, optional
        See `views`: for the rectified rig of a `Rectification`, its `R_rect_left`.
    """
    both = views(rig, R_left_scene=R_left_scene)
    depth, hidden = zip(*(_depth_and_occlusion(both[i], both[1 - i], scene) for i in (0, 1)), strict=True)
    disparity: list[Array | None] = [None, None]
    if rig.is_rectified:
        disparity = [rig.focal_px * rig.baseline_m / z - rig.doffs_px for z in depth]
    return Truth(depth[0], depth[1], disparity[0], disparity[1], hidden[0], hidden[1])


def seen_points(view: View, scene: Scene, uv: ArrayLike) -> Array:
    """Points of the scene behind pixels: (..., 2) px -> (..., 3) metres in the scene's frame, NaN where nothing is seen."""
    directions = view.directions(uv)
    flat, blind = _without_nan(np.ascontiguousarray(directions.reshape(-1, 3).T))
    distance, _ = scene.cast(view.centre_m, flat)
    distance = np.where(np.isfinite(distance) & ~blind, distance, np.nan)
    return np.asarray((view.centre_m[:, None] + distance * flat).T.reshape(directions.shape))


def is_visible(view: View, scene: Scene, points_m: ArrayLike) -> Mask:
    """True for points of the scene, (..., 3) metres, that fall inside the view's image with nothing in front; False for NaN."""
    points = np.asarray(points_m, np.float64)
    uv = view.project(points)
    with np.errstate(invalid="ignore"):
        inside = (uv >= -0.5).all(-1) & (uv[..., 0] <= view.camera.width - 0.5) & (uv[..., 1] <= view.camera.height - 0.5)
    flat, seen = points.reshape(-1, 3), inside.reshape(-1).copy()
    chosen = np.flatnonzero(seen)
    if len(chosen):
        beam = np.ascontiguousarray((flat[chosen] - view.centre_m).T)
        distance, _ = scene.cast(view.centre_m, beam)
        seen[chosen] = distance > 1.0 - _SEEN_TOLERANCE
    return seen.reshape(inside.shape)


def pixel_grid(camera: Camera, rows: slice = slice(None)) -> Array:
    """(rows, W, 2) pixel centres of (some rows of) an image."""
    y, x = np.mgrid[0 : camera.height, 0 : camera.width][:, rows].astype(np.float64)
    return np.stack([x, y], -1)


@dataclass(frozen=True, slots=True, eq=False)
class RayGrid:
    """Rays of a camera's pixels (x, y, 1), and how they turn across a pixel, for several rays per pixel.

    The central rays are exact. Around them the rays are linear in the offset: a lens with k1 = -0.3 and a view of 80 degrees
    bends by 1e-3 px over a pixel. A fisheye is rendered up to 80 degrees from its axis, and black beyond.
    """

    x: Array
    """(H, W)"""
    y: Array
    """(H, W)"""
    slopes: Array
    """(4, H, W): dx/du, dx/dv, dy/du, dy/dv per px"""
    offsets: Array
    """(n * n, 2) px, positions around the pixel's centre, all of one weight"""

    @classmethod
    def of(cls, camera: Camera, supersampling: int) -> "RayGrid":
        """For n x n rays per pixel."""
        if not 1 <= supersampling <= 16:
            raise UsageError(f"supersampling is {supersampling}; use 1 to 16 (n x n rays per pixel)")
        rays = camera.unproject(pixel_grid(camera))
        if camera.is_fisheye:
            rays = rays / np.where(rays[..., 2:] > _LEAST_FISHEYE_COSINE, rays[..., 2:], np.nan)
        x, y = np.ascontiguousarray(rays[..., 0]), np.ascontiguousarray(rays[..., 1])
        slopes = np.stack([_slope(x, 1), _slope(x, 0), _slope(y, 1), _slope(y, 0)])
        offsets = _lattice_offsets(supersampling * supersampling)
        for array in (x, y, slopes, offsets):
            frozen(array)
        return cls(x, y, slopes, offsets)

    def fan(self, window: tuple[slice, slice]) -> Array:
        """(3, pixels * n * n) rays of a window of the image, those of a pixel side by side."""
        du, dv = self.offsets.T
        x_u, x_v, y_u, y_v = self.slopes[:, *window].reshape(4, -1, 1)
        x = self.x[window].reshape(-1, 1) + x_u * du + x_v * dv
        y = self.y[window].reshape(-1, 1) + y_u * du + y_v * dv
        return np.stack([x.ravel(), y.ravel(), np.ones(x.size)])


def _without_nan(directions: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Rays (3, N) with those that a lens cannot have replaced by any ray, and which (N,) these were."""
    blind: NDArray[np.bool_] = np.asarray(np.isnan(directions).any(0))
    if blind.any():
        directions = np.where(blind, np.array([[0.0], [0.0], [1.0]]), directions)
    return directions, blind


def _lattice_offsets(count: int) -> Array:
    """(count, 2) positions around a pixel's centre, px: the rank-1 lattice (i, k i mod count) whose points stay farthest apart.

    Every point has a row and a column of its own, so an edge along either has `count` levels; an upright n x n grid has n.
    The density is a tent two pixels wide: the pixel's own area, blurred by as much again, as a good lens does. Without that blur
    photos alias, and no interpolation between their pixels is right.
    """
    i = np.arange(count)

    def gap(k: int) -> float:
        apart = np.stack([i[1:], k * i[1:] % count])
        return float(np.hypot(*np.minimum(apart, count - apart)).min()) if count > 1 else 0.0

    best = max((k for k in range(1, max(count, 2)) if np.gcd(k, count) == 1), key=gap)
    square = (np.stack([i, best * i % count], -1) + 0.5) / count * 2.0 - 1.0
    return np.asarray(np.sign(square) * (1.0 - np.sqrt(1.0 - np.abs(square))))  # equal shares of a tent that spans -1 to 1


def _slope(values: Array, axis: int) -> Array:
    if values.shape[axis] < 2:
        raise UsageError(
            f"an image of {values.shape[1]} x {values.shape[0]} px cannot be rendered; it needs 2 px in each direction"
        )
    return np.asarray(np.gradient(values, axis=axis))


def _depth_and_occlusion(here: View, there: View, scene: Scene) -> tuple[Array, Mask]:
    height, width = here.camera.height, here.camera.width
    depth, hidden = np.empty((height, width)), np.empty((height, width), np.bool_)

    def band(first: int) -> None:
        rows = slice(first, min(first + _ROWS, height))
        points = seen_points(here, scene, pixel_grid(here.camera, rows))
        depth[rows] = (points - here.centre_m) @ here.R_camera_scene[2]
        hidden[rows] = ~is_visible(there, scene, points)

    work: Callable[[int], None] = band
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(0, height, _ROWS)))
    return depth, hidden
