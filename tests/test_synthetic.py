"""The renderer against closed forms, brute force and OpenCV's corner detectors: its truth is the ruler of all other tests."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib.camera import Camera
from calib.errors import UsageError
from calib.geometry import Array, compose, rotation_from_vector
from calib.images import read_image
from calib.rectification import plan_rectification
from calib.rig import StereoRig
from calib.rig_files import load_rig
from calib.synthetic import (
    Bricks,
    Checker,
    Chessboard,
    Flat,
    Material,
    Noise,
    Painting,
    Planks,
    Primitive,
    Quad,
    RenderedPair,
    Scene,
    Sphere,
    Stripes,
    Truth,
    Tube,
    board_corners,
    board_views,
    demo_rig,
    demo_scene,
    expose,
    is_visible,
    octaves,
    pixel_grid,
    render_board,
    render_board_pairs,
    render_light,
    render_pair,
    render_truth,
    seen_points,
    value_noise,
    views,
)
from calib.synthetic.texture import lattice

ROOT = Path(__file__).resolve().parents[1]
GREY = Flat((0.5, 0.5, 0.5))
CLOTH = Noise((0.1, 0.1, 0.2), (0.9, 0.9, 0.8), 0.2, 0.02, seed=3)
DISTORTED = Camera(160, 120, 150.0, 152.0, 81.3, 57.9, np.array([-0.15, 0.06, 1e-3, -8e-4, 0.01]))


def rectified_rig() -> StereoRig:
    left, right = (Camera(160, 120, 150.0, 150.0, cx, 60.0, np.zeros(0)) for cx in (70.0, 90.0))
    return StereoRig(left, right, np.eye(3), np.array([-0.3, 0.0, 0.0]))


def wall(z: float, material: Material = GREY, *, slope: tuple[float, float] = (0.0, 0.0)) -> Quad:
    return Quad(np.array([0.0, 0.0, z]), np.array([1.0, 0.0, slope[0]]), np.array([0.0, 1.0, slope[1]]), (60.0, 60.0), material)


def mixed_scene(material: Material = CLOTH) -> Scene:
    front = Quad(np.array([-0.4, -0.1, 1.6]), np.array([1.0, 0.0, -0.2]), np.array([0.0, 1.0, 0.1]), (0.5, 0.4), material)
    ball = Sphere(np.array([0.4, 0.2, 2.2]), 0.35, material)
    pole = Tube(np.array([0.1, 1.5, 1.9]), np.array([0.0, -1.5, 1.9]), 0.04, material)
    return Scene((wall(4.0, material, slope=(0.15, 0.05)), front, ball, pole), lamp_m=np.array([-5.0, -9.0, -5.0]))


def depth_in(camera: Camera, *primitives: Primitive) -> Array:
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.1, 0.0, 0.0]))
    return render_truth(rig, Scene(primitives)).depth_left_m


# ---------------------------------------------------------------------------------------------- closed forms


def test_plane_depth() -> None:
    """n . (Z ray) = n . centre, for a slanted plane behind a distorted lens."""
    plane = wall(3.0, slope=(0.4, -0.3))
    normal = np.cross(plane.right, plane.down)
    rays = DISTORTED.unproject(pixel_grid(DISTORTED))
    np.testing.assert_allclose(depth_in(DISTORTED, plane), 3.0 * normal[2] / (rays @ normal), rtol=1e-12)


def test_quad_ends_at_its_sides() -> None:
    camera = Camera(101, 81, 100.0, 100.0, 50.0, 40.0, np.zeros(0))
    quad = Quad(np.array([0.105, 0.0, 2.0]), np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]), (0.4, 0.2), GREY)
    seen = np.isfinite(depth_in(camera, quad))
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    # sides at x = -0.095 and 0.305, y = -0.1 and 0.1 m, at 50 px per metre
    assert (columns[0], columns[-1]) == (46, 65)
    assert (rows[0], rows[-1]) == (35, 45)
    assert seen.sum() == 20 * 11


def test_sphere_depth_and_rim() -> None:
    centre, radius = np.array([0.3, -0.2, 2.5]), 0.6
    depth = depth_in(DISTORTED, Sphere(centre, radius, GREY))
    rays = DISTORTED.unproject(pixel_grid(DISTORTED))
    units = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    closest = units @ centre  # along the ray to the foot of the perpendicular from the centre
    half_chord_2 = radius**2 - (centre @ centre - closest**2)
    with np.errstate(invalid="ignore"):
        expected = (closest - np.sqrt(half_chord_2)) * units[..., 2]
    np.testing.assert_array_equal(np.isfinite(depth), half_chord_2 > 0.0)
    np.testing.assert_allclose(depth, expected, rtol=1e-9)
    assert 500 < np.isfinite(depth).sum() < depth.size


def test_tube_depth() -> None:
    """An upright pole: the same depth in every row, Z of a circle of its radius."""
    camera = Camera(161, 81, 400.0, 400.0, 80.0, 40.0, np.zeros(0))
    depth = depth_in(camera, Tube(np.array([0.0, 1.0, 2.0]), np.array([0.0, -0.05, 2.0]), 0.1, GREY))
    x = (np.arange(161) - 80.0) / 400.0
    a, b, c = x * x + 1.0, -4.0, 2.0**2 - 0.1**2  # (x Z)^2 + (Z - 2)^2 = r^2
    with np.errstate(invalid="ignore"):
        expected = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
    np.testing.assert_allclose(depth[60], expected, rtol=1e-9)
    assert np.isfinite(depth[60]).sum() == 41
    assert np.isnan(depth[29]).all()  # above the upper end at y = -0.05: 0.05 / 1.9 * 400 = 10.5 px above row 40
    assert np.isfinite(depth[30]).any()


def test_camera_inside_a_sphere_sees_its_far_side() -> None:
    depth = depth_in(Camera(3, 3, 10.0, 10.0, 1.0, 1.0, np.zeros(0)), Sphere(np.zeros(3), 5.0, GREY))
    assert depth[1, 1] == pytest.approx(5.0)


def test_nearest_surface_wins_in_any_order() -> None:
    rig = rectified_rig()
    scene = mixed_scene()
    turned = Scene(scene.primitives[::-1])
    np.testing.assert_array_equal(render_truth(rig, scene).depth_left_m, render_truth(rig, turned).depth_left_m)


def test_cones_never_lose_a_surface(rng: np.random.Generator) -> None:
    """The bounding test of a bundle of rays against tracing every ray alone."""
    scene = mixed_scene()
    for width in (0.01, 0.1, 0.6):
        aim = rng.uniform([-0.6, -0.5, 1.0], [0.6, 0.5, 1.0])
        rays = (aim + np.concatenate([rng.uniform(-width, width, (300, 2)), np.zeros((300, 1))], 1)).T
        together, which = scene.cast(np.array([0.1, 0.0, 0.0]), rays)
        for i in range(300):
            alone, index = scene.cast(np.array([0.1, 0.0, 0.0]), rays[:, i : i + 1])
            assert alone[0] == pytest.approx(together[i], rel=1e-12)
            assert index[0] == which[i]


# ---------------------------------------------------------------------------------------------- truth


def test_disparities_are_those_of_projected_points() -> None:
    rig, scene = rectified_rig(), mixed_scene()
    truth = render_truth(rig, scene)
    left, right = views(rig)
    for here, there, disparity, sign in (
        (left, right, truth.disparity_left_px, 1.0),
        (right, left, truth.disparity_right_px, -1.0),
    ):
        assert disparity is not None
        grid = pixel_grid(here.camera)
        other = there.project(seen_points(here, scene, grid))
        np.testing.assert_allclose(grid[..., 0] - sign * disparity, other[..., 0], atol=1e-9)
        np.testing.assert_allclose(grid[..., 1], other[..., 1], atol=1e-9)
    assert truth.disparity_left_px is not None
    np.testing.assert_allclose(truth.disparity_left_px, 150.0 * 0.3 / truth.depth_left_m - 20.0, rtol=1e-12)


def test_left_and_right_truth_agree() -> None:
    """Where a left point is seen from the right, the right map holds the same disparity at the place it points to."""
    truth = render_truth(rectified_rig(), mixed_scene())
    left, right = truth.disparity_left_px, truth.disparity_right_px
    assert left is not None
    assert right is not None
    y, x = np.nonzero(~truth.occluded_left)
    to = x - left[y, x]
    low = np.clip(np.floor(to).astype(int), 0, 158)
    a, b = right[y, low], right[y, low + 1]
    smooth = (np.abs(a - b) < 0.5) & (to >= 0.0) & (to <= 159.0)
    between = a + (b - a) * (to - low)
    assert smooth.mean() > 0.9
    difference = np.abs(between - left[y, x])[smooth]
    assert np.median(difference) < 1e-3
    assert np.mean(difference < 0.3) > 0.99
    # and hidden points have something nearer in front: a larger disparity where they point to
    y, x = np.nonzero(truth.occluded_left)
    to = x - left[y, x]
    inside = (to >= 0.0) & (to <= 159.0)
    assert inside.sum() > 300
    there = np.maximum(right[y, np.clip(np.floor(to), 0, 159).astype(int)], right[y, np.clip(np.ceil(to), 0, 159).astype(int)])
    assert np.mean((there > left[y, x] + 0.5)[inside]) > 0.97


def test_occlusion_against_brute_force() -> None:
    """One ball and one quad before a wall: is the segment to the other camera cut? Formulas of their own, point by point."""
    rig = rectified_rig()
    ball = Sphere(np.array([0.3, 0.1, 1.8]), 0.3, GREY)
    card = Quad(np.array([-0.4, 0.0, 1.5]), np.array([1.0, 0.0, 0.3]), np.array([0.0, 1.0, 0.0]), (0.5, 0.6), GREY)
    scene = Scene((wall(3.0), ball, card))
    truth = render_truth(rig, scene)
    for here, there, hidden in zip(views(rig), views(rig)[::-1], (truth.occluded_left, truth.occluded_right), strict=True):
        points = seen_points(here, scene, pixel_grid(here.camera))
        expected = np.zeros_like(hidden)
        for index in [i for i in np.ndindex(hidden.shape) if i[0] % 2 == i[1] % 3 == 0]:
            p, c = points[index], there.centre_m
            x, y = there.camera.project(there.R_camera_scene @ (p - c))
            outside = not (-0.5 <= x <= 159.5 and -0.5 <= y <= 119.5)
            step = c - p
            s = float(np.clip((ball.centre_m - p) @ step / (step @ step), 0.0, 1.0))
            on_ball = abs(np.linalg.norm(p - ball.centre_m) - 0.3) < 1e-9
            if on_ball:
                cut = float((c - p) @ (p - ball.centre_m)) < 0.0  # leaves into the ball
            else:
                cut = float(np.linalg.norm(p + s * step - ball.centre_m)) < 0.3
            normal = np.cross(card.right, card.down)
            one, two = float((p - card.centre_m) @ normal), float((c - card.centre_m) @ normal)
            if abs(one) > 1e-9 and one * two < 0.0:
                q = p + step * (one / (one - two)) - card.centre_m
                cut |= bool(abs(q @ card.right) <= 0.25 and abs(q @ card.down) <= 0.3)
            expected[index] = outside or cut
        assert 0.05 < expected[::2, ::3].mean() < 0.6
        np.testing.assert_array_equal(expected[::2, ::3], hidden[::2, ::3])


def test_turned_frame_sees_the_same_points() -> None:
    """The rectified view, turned against the scene, looks along the same rays as the raw photo through its map."""
    rig = demo_rig().scale(0.25)
    plan = plan_rectification(rig)
    scene = demo_scene()
    raw, _ = views(rig)
    level, _ = views(plan.rig, R_left_scene=plan.R_rect_left)
    assert plan.left_map is not None
    at = plan.left_map[plan.left_valid][::17].astype(np.float64)
    pixels = pixel_grid(plan.rig.left)[plan.left_valid][::17]
    # float32 maps move a ray by 1e-5 px: nothing, but over the edge of a surface
    apart = np.linalg.norm(seen_points(raw, scene, at) - seen_points(level, scene, pixels), axis=-1)
    assert np.mean(apart < 1e-4) > 0.995
    truth = render_truth(plan.rig, scene, R_left_scene=plan.R_rect_left)
    depth = (seen_points(level, scene, pixel_grid(plan.rig.left)) @ plan.R_rect_left.T)[..., 2]
    np.testing.assert_allclose(truth.depth_left_m, depth, rtol=1e-12)


def test_raw_rig_has_depth_but_no_disparity() -> None:
    truth: Truth = render_truth(demo_rig().scale(0.1), demo_scene())
    assert truth.disparity_left_px is None
    assert truth.disparity_right_px is None
    assert np.isfinite(truth.depth_right_m).all()


def test_nothing_there_is_nan_and_occluded() -> None:
    rig = rectified_rig()
    scene = Scene((Sphere(np.array([0.0, 0.0, 2.0]), 0.3, GREY),))
    truth = render_truth(rig, scene)
    empty = np.isnan(truth.depth_left_m)
    assert empty.any()
    assert truth.occluded_left[empty].all()
    assert truth.disparity_left_px is not None
    assert np.isnan(truth.disparity_left_px[empty]).all()
    left, _ = views(rig)
    assert not is_visible(left, scene, np.full((2, 3), np.nan)).any()
    assert not is_visible(left, scene, np.array([[0.0, 0.0, -2.0]])).any()


# ---------------------------------------------------------------------------------------------- photos


def test_photos_agree_with_their_truth() -> None:
    """The right photo, brought to the left one by the true disparity, is the left photo; by a wrong one it is not."""
    rig, scene = rectified_rig(), mixed_scene()
    pair = render_pair(rig, scene, noise=0.0)
    truth = render_truth(rig, scene)
    assert truth.disparity_left_px is not None
    use = cv2.erode((~truth.occluded_left).astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=0) > 0

    def misfit(shift: float) -> float:
        assert truth.disparity_left_px is not None
        x = (pixel_grid(rig.left)[..., 0] - truth.disparity_left_px - shift).astype(np.float32)
        warped = cv2.remap(pair.right, x, pixel_grid(rig.left)[..., 1].astype(np.float32), cv2.INTER_LANCZOS4)
        return float(np.abs(warped.astype(float) - pair.left)[use].mean())

    assert misfit(0.0) < 3.0
    assert misfit(1.0) > 3.0 * misfit(0.0)
    assert min((-0.3, -0.1, 0.0, 0.1, 0.3), key=misfit) == 0.0


def test_one_ray_per_pixel_is_the_central_one() -> None:
    """A checker seen straight on: each pixel has the colour of the square that its centre falls into."""
    camera = Camera(60, 40, 100.0, 100.0, 30.25, 20.25, np.zeros(0))
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.1, 0.0, 0.0]))
    scene = Scene((wall(2.0, Checker((0.2, 0.2, 0.2), (1.0, 1.0, 1.0), 0.1)),), ambient=1.0)
    pair = render_pair(rig, scene, supersampling=1, noise=0.0)
    x, y = pixel_grid(camera)[..., 0] - 30.25, pixel_grid(camera)[..., 1] - 20.25
    light = (np.floor(x / 5.0) + np.floor(y / 5.0)) % 2 == 1
    np.testing.assert_array_equal(pair.left[..., 0], np.where(light, 255, 51))


def test_supersampling_converges_to_the_mean_over_a_tent() -> None:
    """A straight edge through pixels: the coverage under a tent two pixels wide, whatever the edge's place."""
    camera = Camera(40, 30, 100.0, 100.0, 20.0, 15.0, np.zeros(0))
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.1, 0.0, 0.0]))
    for place in (0.0, 0.2, 0.37):
        edge = Quad(
            np.array([5.0 + place / 100.0, 0.0, 1.0]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (10.0, 9.0), Flat((1, 1, 1))
        )
        scene = Scene((edge,), ambient=1.0, backdrop=(0.0, 0.0, 0.0))
        light = render_light(views(rig)[0], scene, supersampling=4)[15, :, 0]
        from_edge = np.clip(np.arange(40) - 20.0 - place, -1.0, 1.0)
        expected = 0.5 + from_edge - 0.5 * np.sign(from_edge) * from_edge**2
        assert np.abs(light - expected).max() < 0.04  # 16 levels
    with pytest.raises(UsageError, match="supersampling is 0"):
        render_pair(rig, scene, supersampling=0)


def test_noise_has_its_sigma_and_is_independent() -> None:
    camera = Camera(160, 120, 150.0, 150.0, 80.0, 60.0, np.zeros(0))
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.1, 0.0, 0.0]))
    scene = Scene((wall(2.0),), ambient=1.0)
    one, again, other = (render_pair(rig, scene, supersampling=1, noise=3.0, seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(one.left, again.left)
    noise = [image.astype(float) - 127.5 for image in (one.left, one.right, other.left)]
    for n in noise:
        assert n.std() == pytest.approx(np.hypot(3.0, 0.29), rel=0.02)
        assert abs(n.mean()) < 0.05
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noise[0].ravel(), noise[2].ravel())[0, 1]) < 0.02


def test_gain_and_gamma() -> None:
    light = np.full((4, 5, 3), 0.25, np.float32)
    assert (expose(light, noise=0.0) == 64).all()
    assert (expose(light, noise=0.0, gain=2.0) == 128).all()
    assert (expose(light, noise=0.0, gamma=0.5) == 128).all()
    assert (expose(light, noise=0.0, gain=9.0) == 255).all()
    rig, scene = rectified_rig(), mixed_scene()
    pair = render_pair(rig, scene, supersampling=1, noise=0.0, gain=(1.0, 0.5))
    assert pair.right.mean() < 0.6 * pair.left.mean()


def test_threads_do_not_matter() -> None:
    rig, scene = rectified_rig(), mixed_scene()
    one, two = (render_pair(rig, scene, supersampling=2, seed=3, threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one.left, two.left)
    np.testing.assert_array_equal(one.right, two.right)


def test_shade_is_lamberts_and_shadows_fall() -> None:
    """Flat grey under a lamp: ambient + (1 - ambient) cos(angle); where a card stands in the beam, ambient only."""
    lamp = np.array([-1.0, 0.0, 0.0])
    floor, card = wall(2.0), Quad(np.array([-0.5, 0.0, 1.0]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (0.2, 0.2), GREY)
    rays = np.array([[0.5, 0.3, 1.0], [0.0, 0.02, 1.0], [0.5, -0.3, 1.0]]).T  # the middle one is in the card's shadow
    colour = Scene((floor, card), lamp_m=lamp, ambient=0.4).shade(np.zeros(3), rays)
    for i, lit in enumerate((True, False, True)):
        point = 2.0 * rays[:, i]
        cosine = 2.0 / np.linalg.norm(point - lamp)
        assert colour[0, i] == pytest.approx(0.5 * (0.4 + 0.6 * cosine * lit), rel=1e-5)


def test_folded_lens_is_black() -> None:
    camera = Camera(60, 60, 20.0, 20.0, 29.5, 29.5, np.array([-0.3, 0.0, 0.0, 0.0]))
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.1, 0.0, 0.0]))
    scene = Scene((wall(2.0),), ambient=1.0)
    photo = render_pair(rig, scene, noise=0.0).left
    assert not photo[0, 0].any()
    assert photo[30, 30].all()
    assert np.isnan(render_truth(rig, scene).depth_left_m[0, 0])


def test_a_fisheye_sees_a_quad_where_its_rays_meet_it() -> None:
    camera = Camera(
        161, 121, 55.0, 56.0, 80.3, 59.8, np.array([-0.02, 0.005, -0.003, 0.0004]), "fisheye"
    )  # corners at 105 degrees
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.1, 0.0, 0.0]))
    quad = Quad(np.array([0.5, 0.3, 2.0]), np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]), (6.0, 4.0), GREY)
    rays = camera.unproject(pixel_grid(camera))
    with np.errstate(divide="ignore"):
        x, y = 2.0 * rays[..., 0] / rays[..., 2] - 0.5, 2.0 * rays[..., 1] / rays[..., 2] - 0.3
    inside = (rays[..., 2] > 0.0) & (np.abs(x) < 3.0) & (np.abs(y) < 2.0)
    photo = render_pair(rig, Scene((quad,), ambient=1.0), noise=0.0, supersampling=1).left[..., 0]
    np.testing.assert_array_equal(photo == photo[60, 80], inside)
    np.testing.assert_allclose(render_truth(rig, Scene((quad,))).depth_left_m, np.where(inside, 2.0, np.nan), rtol=1e-12)


def test_impossible_scenes_are_refused() -> None:
    with pytest.raises(UsageError, match="0 surfaces"):
        Scene(())
    with pytest.raises(UsageError, match="direction"):
        Quad(np.zeros(3), np.zeros(3), np.array([0.0, 1.0, 0.0]), (1.0, 1.0), GREY)
    thin = Camera(1, 40, 20.0, 20.0, 0.0, 20.0, np.zeros(0))
    with pytest.raises(UsageError, match="needs 2 px"):
        render_pair(StereoRig(thin, thin, np.eye(3), np.array([-0.1, 0.0, 0.0])), Scene((wall(2.0),)))


# ---------------------------------------------------------------------------------------------- textures


def test_hash_is_the_same_everywhere() -> None:
    cells = np.array([[0, 1, -1, 123456], [0, 0, 7, -987]], np.int32)
    np.testing.assert_allclose(lattice(cells, 5), [0.25709695, 0.17162454, 0.48273051, 0.90028739], atol=1e-7)
    assert (lattice(cells, 6) != lattice(cells, 5)).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_noise_passes_through_its_lattice(dims: int, rng: np.random.Generator) -> None:
    cells = rng.integers(-50, 50, (dims, 200)).astype(np.int32)
    np.testing.assert_allclose(value_noise(cells * 0.25, 0.25, seed=7), 2.0 * lattice(cells, 7) - 1.0, atol=1e-6)


def test_hash_is_uniform() -> None:
    grid = np.mgrid[-150:150, -150:150].reshape(2, -1).astype(np.int32)
    values = lattice(grid, 11)
    assert values.min() >= 0.0
    assert values.max() < 1.0
    counts = np.histogram(values, 20, (0.0, 1.0))[0]
    assert ((counts - 4500.0) ** 2 / 4500.0).sum() < 43.8  # chi squared with 19 degrees of freedom, 0.1 %
    field = values.reshape(300, 300) - 0.5
    for neighbour in (field[1:] * field[:-1], field[:, 1:] * field[:, :-1], field[1:, 1:] * field[:-1, :-1]):
        assert abs(neighbour.mean()) < 4.0 / 12.0 / 300.0


@pytest.mark.parametrize("dims", [2, 3])
def test_noise_is_band_limited(dims: int) -> None:
    """Almost no power beyond one cycle per cell, along any line; and no jumps."""
    cell, steps = 0.02, 16
    line = np.arange(8192) * cell / steps
    points = np.stack([line, *(0.013 * (i + 1) + 0.31 * line for i in range(dims - 1))])
    values = value_noise(points, cell, seed=9).astype(np.float64)
    assert np.abs(values).max() <= 1.0
    assert abs(values.mean()) < 0.1
    assert values.std() > 0.25
    power = np.abs(np.fft.rfft((values - values.mean()) * np.hanning(len(values)))) ** 2
    cycles_per_cell = np.fft.rfftfreq(len(values), 1.0 / steps)
    assert power[cycles_per_cell > 1.0].sum() < 0.015 * power.sum()
    assert power[cycles_per_cell > 2.0].sum() < 1e-4 * power.sum()
    assert np.abs(np.diff(values)).max() < 4.0 * 1.5 / steps


def test_octaves_stop_at_the_finest_cell() -> None:
    line = np.arange(8192) * 0.001
    values = octaves(np.stack([line, 0.37 * line]), 0.16, 0.04, seed=2).astype(np.float64)
    power = np.abs(np.fft.rfft((values - values.mean()) * np.hanning(len(values)))) ** 2
    assert power[np.fft.rfftfreq(len(values), 0.001) > 1.1 / 0.04].sum() < 0.01 * power.sum()


MATERIALS: list[Material] = [
    Flat((0.1, 0.5, 0.9)),
    CLOTH,
    Bricks((0.2, 0.3, 0.5), (0.4, 0.5, 0.8), (0.7, 0.7, 0.7), (0.4, 0.2), 0.02, 0.01, seed=1),
    Planks((0.2, 0.3, 0.5), (0.4, 0.6, 0.8), 0.2, 1.5, 0.01, 0.01, seed=1),
    Painting(((0.9, 0.1, 0.1), (0.1, 0.9, 0.1), (0.1, 0.1, 0.9)), 0.2, 0.005, seed=1),
    Stripes((0.1, 0.1, 0.1), (0.9, 0.9, 0.9), 0.1, 1, 0.01, seed=1),
    Checker((0.1, 0.1, 0.1), (0.9, 0.9, 0.9), 0.1),
]


@pytest.mark.parametrize("material", MATERIALS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("dims", [2, 3])
def test_materials(material: Material, dims: int, rng: np.random.Generator) -> None:
    """Colours in range, pointwise (a point's colour does not depend on its neighbours), and the same twice."""
    points = rng.uniform(-3.0, 3.0, (dims, 4000))
    colour = material.colour(points)
    assert colour.shape == (3, 4000)
    assert colour.dtype == np.float32
    assert colour.min() >= 0.0
    assert colour.max() <= 1.0
    np.testing.assert_array_equal(material.colour(np.ascontiguousarray(points[:, 1000:1100])), colour[:, 1000:1100])
    assert (colour.std() > 0.1) or isinstance(material, Flat | Noise | Bricks | Planks)
    if not isinstance(material, Flat):
        assert colour[0].std() > 0.02


# ---------------------------------------------------------------------------------------------- boards

BOARD = Chessboard(9, 6, 0.04)


def grey_levels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


@pytest.fixture(scope="module")
def poses() -> list[tuple[Array, Array]]:
    return board_views(demo_rig(), 6, BOARD, seed=0)


@pytest.fixture(scope="module")
def board_photos(poses: list[tuple[Array, Array]]) -> list[RenderedPair]:
    return render_board_pairs(demo_rig(), poses, BOARD, noise=1.0)


def test_corners_lie_where_they_are_said_to(poses: list[tuple[Array, Array]], board_photos: list[RenderedPair]) -> None:
    """OpenCV's saddle points, started at the truth, stay there: no bias, and scatter only from noise."""
    rig, errors = demo_rig(), []
    for (R, t), pair in zip(poses, board_photos, strict=True):
        right = compose(rig.R_right_left, rig.t_right_left_m, R, t)
        for camera, pose, image in ((rig.left, (R, t), pair.left), (rig.right, right, pair.right)):
            truth = board_corners(camera, *pose, BOARD)
            assert truth.shape == (54, 2)
            start = np.ascontiguousarray(truth, np.float32)
            criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 60, 1e-4)
            found = cv2.cornerSubPix(grey_levels(image), start.copy(), (4, 4), (-1, -1), criteria).reshape(-1, 2)
            errors.append(found - truth)
            assert np.abs((found - truth).mean(0)).max() < 0.03
    everything = np.concatenate(errors)
    assert np.abs(everything.mean(0)).max() < 0.01
    assert np.sqrt((everything**2).sum(1).mean()) < 0.08


def test_a_detector_finds_the_boards(poses: list[tuple[Array, Array]], board_photos: list[RenderedPair]) -> None:
    for (R, t), pair in zip(poses, board_photos, strict=True):
        found, corners = cv2.findChessboardCornersSB(grey_levels(pair.left), (9, 6), flags=cv2.CALIB_CB_ACCURACY)
        assert found
        truth = board_corners(demo_rig().left, R, t, BOARD)
        error = corners.reshape(-1, 2) - truth
        if np.abs(error).max() > 5.0:  # a detector may count from the other end
            error = corners.reshape(-1, 2)[::-1] - truth
        assert np.abs(error.mean(0)).max() < 0.05


def test_squares_and_rim_have_their_tones() -> None:
    """Straight on: black first square, white second, white rim, then the background."""
    camera = Camera(320, 240, 300.0, 300.0, 159.5, 119.5, np.zeros(0))
    t = np.array([-0.16, -0.10, 0.8])
    background = np.full((240, 320, 3), (10, 120, 200), np.uint8)
    photo = render_board(camera, np.eye(3), t, BOARD, background=background, noise=0.0)

    def at(u: float, v: float) -> NDArray[np.uint8]:
        x, y = camera.project(np.array([u * 0.04, v * 0.04, 0.0]) + t)
        return np.asarray(photo[round(float(y)), round(float(x))])

    assert at(-0.5, -0.5).max() < 30
    assert at(0.5, 0.5).max() < 30
    assert at(0.5, -0.5).min() > 180
    assert at(8.5, 5.5).min() > 180
    assert at(8.5, 4.5).max() < 30
    assert at(-1.4, 2.5).min() > 180
    assert at(9.4, 2.5).min() > 180
    assert at(-2.2, 2.5).tolist() == [10, 120, 200]
    assert at(2.5, 7.2).tolist() == [10, 120, 200]


def test_board_behind_or_beside_the_camera_is_not_seen() -> None:
    camera = Camera(64, 48, 60.0, 60.0, 31.5, 23.5, np.zeros(0))
    background = np.full((48, 64, 3), 77, np.uint8)
    for t in ([-0.16, -0.1, -0.8], [5.0, 0.0, 0.8]):
        photo = render_board(camera, np.eye(3), np.array(t), BOARD, background=background, noise=0.0)
        np.testing.assert_array_equal(photo, background)


def test_views_are_whole_tilted_and_cover_the_images() -> None:
    rig = demo_rig()
    chosen = board_views(rig, 13, BOARD, seed=1)
    cells = np.zeros((2, 4, 3), np.bool_)
    tilts, depths = [], []
    for R, t in chosen:
        tilts.append(np.degrees(np.arccos(R[2, 2])))
        depths.append(t[2])
        right = compose(rig.R_right_left, rig.t_right_left_m, R, t)
        for side, (camera, (R_c, t_c)) in enumerate(((rig.left, (R, t)), (rig.right, right))):
            squares = camera.project(BOARD.outline(0.3) @ R_c.T + t_c)
            assert (squares >= 0.0).all()
            assert (squares <= np.array(camera.size) - 1.0).all()
            column, row = (board_corners(camera, R_c, t_c, BOARD) / np.array(camera.size) * [4, 3]).astype(int).T
            cells[side, column, row] = True
    assert cells.all()
    assert max(tilts) < 35.5
    assert np.mean(np.array(tilts) > 17.0) > 0.9
    assert max(depths) > 1.5 * min(depths)
    again = board_views(rig, 13, BOARD, seed=1)
    assert all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(chosen, again, strict=True))


def test_impossible_boards_are_refused() -> None:
    camera = Camera(640, 480, 2500.0, 2500.0, 319.5, 239.5, np.zeros(0))
    apart = StereoRig(camera, camera, rotation_from_vector([0.0, 0.5, 0.0]), np.array([-0.3, 0.0, 0.0]))
    with pytest.raises(UsageError, match=r"9 x 6 corners of 40 mm"):
        board_views(apart, 3, BOARD)
    with pytest.raises(UsageError, match="count is 0"):
        board_views(demo_rig(), 0, BOARD)
    with pytest.raises(UsageError, match="1 x 6"):
        Chessboard(1, 6, 0.04)
    with pytest.raises(UsageError, match="square_m is nan"):
        Chessboard(9, 6, float("nan"))


# ---------------------------------------------------------------------------------------------- demo and bundled scene


def test_demo_has_both_signs_and_something_hidden() -> None:
    rig = demo_rig().scale(0.25)
    plan = plan_rectification(rig)
    truth = render_truth(plan.rig, demo_scene(), R_left_scene=plan.R_rect_left)
    disparity = truth.disparity_left_px
    assert disparity is not None
    assert np.isfinite(disparity).all()
    assert 1.1 < truth.depth_left_m.min() < 1.4
    assert 5.5 < truth.depth_left_m.max() < 7.0
    assert (disparity > 2.0).mean() > 0.05
    assert (disparity < -2.0).mean() > 0.3
    assert 0.03 < truth.occluded_left.mean() < 0.2


def _make_data() -> ModuleType:
    loader = SourceFileLoader("make_data", str(ROOT / "scripts" / "make_data"))
    spec = spec_from_loader("make_data", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_bundled_scene_is_what_the_script_makes(tmp_path: Path) -> None:
    stored = ROOT / "data" / "room"
    _make_data().main(tmp_path)
    assert sum(file.stat().st_size for file in stored.iterdir()) < 400_000
    for name in ("left.png", "right.png"):
        old, new = read_image(stored / name), read_image(tmp_path / name)
        assert old.shape == (180, 240, 3)
        # rounding of 8-bit noise may differ by a level between machines; on one machine the files are equal byte for byte
        assert np.abs(old.astype(int) - new.astype(int)).max() <= 1
    np.testing.assert_allclose(read_image(stored / "disparity.tiff"), read_image(tmp_path / "disparity.tiff"), atol=1e-4)
    np.testing.assert_array_equal(read_image(stored / "occluded.png"), read_image(tmp_path / "occluded.png"))
    assert (stored / "rig.yaml").read_text() == (tmp_path / "rig.yaml").read_text()


def test_bundled_truth_agrees_with_the_renderer() -> None:
    """The files alone: rig and disparity give the depths of the demo's room."""
    stored = ROOT / "data" / "room"
    rig = load_rig(stored / "rig.yaml")
    assert rig.is_rectified
    disparity = read_image(stored / "disparity.tiff")
    assert disparity.dtype == np.float32
    assert disparity.min() < -15.0
    assert disparity.max() > 10.0
    plan = _make_data().room()
    truth = render_truth(rig, demo_scene(), R_left_scene=plan.R_rect_left)
    np.testing.assert_allclose(rig.focal_px * rig.baseline_m / (disparity + rig.doffs_px), truth.depth_left_m, rtol=1e-5)
    np.testing.assert_array_equal(read_image(stored / "occluded.png") > 0, truth.occluded_left)
