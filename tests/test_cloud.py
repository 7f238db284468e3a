"""Clouds: every point stands where its pixel looks, and knows that pixel."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calib.camera import Camera
from calib.errors import InputError, UsageError
from calib.rig import StereoRig
from stereo.cloud import as_grid, to_cloud
from stereo.depth import to_depth
from stereo.maps import DepthMap, DisparityMap

WIDTH, HEIGHT = 12, 8


def depth_map(d: NDArray[Any], *, sigma: float = 0.2) -> DepthMap:
    """f B = 60 px m."""
    left = Camera(WIDTH, HEIGHT, 500.0, 520.0, 5.3, 3.1, np.zeros(0))
    rig = StereoRig(left, left, np.eye(3), np.array([-0.12, 0.0, 0.0]))
    values = np.asarray(d, np.float32)
    missing = np.isnan(values)
    sigmas = np.where(missing, np.nan, sigma).astype(np.float32)
    return to_depth(DisparityMap(values, sigmas, missing.astype(np.uint16), (-10, 100), rig))


@pytest.fixture
def holed(rng: np.random.Generator) -> NDArray[Any]:
    d = rng.uniform(5.0, 60.0, (HEIGHT, WIDTH))
    d[0, :4] = np.nan, 0.0, -2.0, 30.0  # nothing, infinity, beyond it, 2 m
    return d


def test_points_project_onto_their_pixels(holed: NDArray[Any]) -> None:
    depth = depth_map(holed)
    cloud = to_cloud(depth)
    assert len(cloud.points_xyz_m) == WIDTH * HEIGHT - 3
    np.testing.assert_allclose(depth.rig.left.project(cloud.points_xyz_m), cloud.pixel_uv, atol=1e-4)
    u, v = cloud.pixel_uv.T
    np.testing.assert_array_equal(cloud.points_xyz_m[:, 2], depth.depth_m[v, u])
    np.testing.assert_array_equal(cloud.sigma_m, depth.depth_sigma_m[v, u])
    assert cloud.colour_bgr is None
    assert (np.diff(v.astype(int) * WIDTH + u) > 0).all()  # row order


def test_grid_and_cloud_are_one(holed: NDArray[Any]) -> None:
    cloud = to_cloud(depth_map(holed))
    grid = as_grid(cloud)
    assert grid.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(np.isnan(grid[..., 2]), ~(holed > 0.0))
    np.testing.assert_array_equal(grid[np.isfinite(grid[..., 2])], cloud.points_xyz_m)


def test_limits_of_depth_are_included() -> None:
    d = np.full((HEIGHT, WIDTH), 30.0)
    d[0, :3] = 60.0, 15.0, 12.0  # 1, 4 and 5 m; the rest at 2 m
    cloud = to_cloud(depth_map(d), min_depth_m=2.0, max_depth_m=4.0)
    assert sorted(set(cloud.points_xyz_m[:, 2].tolist())) == [2.0, 4.0]


def test_points_that_cannot_be_told_from_infinity_are_dropped() -> None:
    """sigma_Z / Z = sigma_px / (d + doffs): with 0.2 px the default limit of 1/3 lies at 0.6 px."""
    d = np.full((HEIGHT, WIDTH), 30.0)
    d[0, :4] = 0.59, 0.61, 0.3, 1.0
    kept = {tuple(uv) for uv in to_cloud(depth_map(d)).pixel_uv.tolist()}
    assert {(0, 0), (2, 0)}.isdisjoint(kept)
    assert {(1, 0), (3, 0)} <= kept
    assert len(to_cloud(depth_map(d), max_relative_sigma=None).points_xyz_m) == WIDTH * HEIGHT
    assert len(to_cloud(depth_map(d), max_relative_sigma=0.01).points_xyz_m) == WIDTH * HEIGHT - 4


def test_points_without_an_error_bar_are_kept() -> None:
    assert len(to_cloud(depth_map(np.full((HEIGHT, WIDTH), 3.0), sigma=np.nan)).points_xyz_m) == WIDTH * HEIGHT


def test_colours_follow_their_pixels(holed: NDArray[Any], rng: np.random.Generator) -> None:
    colour = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    cloud = to_cloud(depth_map(holed), colour=colour)
    u, v = cloud.pixel_uv.T
    np.testing.assert_array_equal(cloud.colour_bgr, colour[v, u])
    grey = to_cloud(depth_map(holed), colour=colour[..., 0]).colour_bgr
    assert grey is not None
    np.testing.assert_array_equal(grey, np.repeat(colour[v, u, :1], 3, -1))


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_colours_of_many_bits_fill_8(kind: type[Any], holed: NDArray[Any], rng: np.random.Generator) -> None:
    colours = to_cloud(depth_map(holed), colour=rng.integers(0, 4096, (HEIGHT, WIDTH)).astype(kind)).colour_bgr
    assert colours is not None
    assert colours.dtype == np.uint8
    assert colours.max() > 200


def test_an_empty_cloud_is_no_error() -> None:
    cloud = to_cloud(depth_map(np.full((HEIGHT, WIDTH), np.nan)), colour=np.zeros((HEIGHT, WIDTH), np.uint8))
    assert cloud.points_xyz_m.shape == (0, 3)
    assert np.isnan(as_grid(cloud)).all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"colour": np.zeros((HEIGHT, WIDTH + 1), np.uint8)}, InputError, "12 x 8 px.*pair.left"),
        ({"colour": np.zeros((HEIGHT, WIDTH), np.float64)}, InputError, "float64"),
        ({"colour": np.zeros((HEIGHT, WIDTH, 4), np.uint8)}, InputError, "shape"),
        ({"min_depth_m": 3.0, "max_depth_m": 3.0}, UsageError, "3 m to 3 m leave no room"),
        ({"min_depth_m": -1.0}, UsageError, "leave no room"),
        ({"max_depth_m": float("nan")}, UsageError, "leave no room"),
        ({"max_relative_sigma": 0.0}, UsageError, "must be > 0"),
        ({"max_relative_sigma": float("nan")}, UsageError, "must be > 0"),
    ],
)
def test_refusals(options: dict[str, Any], error: type[Exception], words: str, holed: NDArray[Any]) -> None:
    with pytest.raises(error, match=words):
        to_cloud(depth_map(holed), **options)
