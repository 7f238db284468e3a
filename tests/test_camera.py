"""`Camera` against OpenCV's own projection, against itself backwards, and against the pixel conventions."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calib.camera import Camera
from calib.errors import CalibrationError
from calib.kannala_brandt import distorted_angle, fold_angle_rad, undistorted_angle

DISTORTIONS = {
    0: [],
    4: [-0.31, 0.12, 0.0012, -0.0007],
    5: [-0.28, 0.09, 0.0005, 0.0011, -0.013],
    8: [0.21, -0.06, -0.0004, 0.0009, 0.02, 0.55, 0.03, 0.01],
    12: [-0.2, 0.05, 0.0003, -0.0006, -0.004, 0.01, 0.02, -0.001, 0.0021, -0.0004, -0.0013, 0.0005],
}


def camera(distortion: list[float] | None = None) -> Camera:
    return Camera(640, 480, 512.3, 509.8, 322.7, 236.4, np.array(distortion or []))


def grid(cam: Camera) -> NDArray[np.float64]:
    """Pixels all over the image, corners included, (N, 2)."""
    u, v = np.meshgrid(np.linspace(-0.5, cam.width - 0.5, 23), np.linspace(-0.5, cam.height - 0.5, 17))
    return np.stack([u.ravel(), v.ravel()], -1)


@pytest.mark.parametrize("count", DISTORTIONS)
def test_project_agrees_with_opencv(count: int, rng: np.random.Generator) -> None:
    cam = camera(DISTORTIONS[count])
    points = np.stack([rng.uniform(-0.6, 0.6, 500), rng.uniform(-0.5, 0.5, 500), np.ones(500)], -1) * rng.uniform(
        0.3, 9.0, (500, 1)
    )
    d = np.array(DISTORTIONS[count]) if count else None
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), cam.K, d)
    np.testing.assert_allclose(cam.project(points), expected.reshape(-1, 2), rtol=0, atol=1e-9)


@pytest.mark.parametrize("count", DISTORTIONS)
def test_unproject_inverts_project(count: int) -> None:
    cam = camera(DISTORTIONS[count])
    uv = grid(cam)
    rays = cam.unproject(uv)
    assert np.isfinite(rays).all()
    np.testing.assert_array_equal(rays[:, 2], 1.0)
    np.testing.assert_allclose(cam.project(rays * 3.7), uv, rtol=0, atol=1e-9)


def test_unproject_of_a_plain_pinhole_by_hand() -> None:
    cam = Camera(100, 80, 50.0, 40.0, 49.5, 39.5, np.array([]))
    np.testing.assert_allclose(cam.unproject([99.5, 19.5]), [1.0, -0.5, 1.0], atol=1e-15)
    np.testing.assert_allclose(cam.project([2.0, -1.0, 2.0]), [99.5, 19.5], atol=1e-12)


@given(
    k1=st.floats(-0.45, 0.3),
    k2=st.floats(-0.2, 0.4),
    p1=st.floats(-3e-3, 3e-3),
    p2=st.floats(-3e-3, 3e-3),
    k3=st.floats(-0.1, 0.1),
    x=st.floats(-1.2, 1.2),
    y=st.floats(-1.2, 1.2),
)
@settings(max_examples=300, deadline=None)
def test_round_trip_of_any_mild_lens(k1: float, k2: float, p1: float, p2: float, k3: float, x: float, y: float) -> None:
    """A point the lens sees comes back; one at the fold may be refused (NaN), but is never answered with another point."""
    cam = camera([k1, k2, p1, p2, k3])
    uv = cam.project([x, y, 1.0])
    if not np.isfinite(uv).all():
        return
    back = cam.unproject(uv)
    if np.hypot(x, y) < 0.9 * cam.fold_radius():
        np.testing.assert_allclose(back, [x, y, 1.0], atol=1e-7)
    elif np.isfinite(back).all():
        np.testing.assert_allclose(cam.project(back), uv, atol=1e-6)


def test_points_behind_the_camera_have_no_pixel() -> None:
    uv = camera().project([[0.1, 0.1, -1.0], [0.1, 0.1, 0.0], [np.nan, 0.0, 1.0], [0.1, 0.1, 1.0]])
    np.testing.assert_array_equal(np.isfinite(uv).all(-1), [False, False, False, True])


def test_fold_radius_is_where_the_radius_stops_growing() -> None:
    """r (1 + k1 r^2) has its maximum at r = 1 / sqrt(-3 k1)."""
    cam = camera([-0.3, 0.0, 0.0, 0.0])
    limit = 1.0 / np.sqrt(0.9)
    assert cam.fold_radius() == pytest.approx(limit, abs=1e-12)
    assert np.isfinite(cam.project([limit - 1e-6, 0.0, 1.0])).all()
    assert np.isnan(cam.project([limit + 1e-6, 0.0, 1.0])).all()
    farthest = cam.project([limit - 1e-9, 0.0, 1.0])[0]
    assert np.isnan(cam.unproject([farthest + 1.0, cam.centre_y_px])).all()  # no point of the world is seen there


@pytest.mark.parametrize("distortion", [[], [0.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.0, 0.0]])
def test_lenses_that_never_fold(distortion: list[float]) -> None:
    assert camera(distortion).fold_radius() == np.inf


def test_fold_radius_of_a_rational_lens_sees_its_pole() -> None:
    """1 + k4 r^2 vanishes at r = 2 for k4 = -1/4; the radius grows up to there."""
    assert camera([0.0, 0.0, 0.0, 0.0, 0.0, -0.25, 0.0, 0.0]).fold_radius() == pytest.approx(2.0, abs=1e-9)


@pytest.mark.parametrize("factor", [0.5, 0.25, 2.0, 1.3])
def test_scale_is_that_of_resized_pixels(factor: float) -> None:
    """The edges of the image stay its edges: (u + 0.5) is scaled, so u' = (u + 0.5) s - 0.5."""
    cam = camera(DISTORTIONS[5])
    points = cam.unproject(grid(cam))
    np.testing.assert_allclose(cam.scale(factor).project(points), (grid(cam) + 0.5) * factor - 0.5, atol=1e-9)
    assert cam.scale(factor).size == (round(640 * factor), round(480 * factor))


def test_scale_agrees_with_the_resizing_of_an_image() -> None:
    """Averaging 4 x 4 blocks of a ramp that is u + 1000 v moves the values as `scale` moves the principal point."""
    cam = Camera(64, 48, 50.0, 50.0, 20.0, 30.0, np.array([]))
    v, u = np.mgrid[0:48, 0:64].astype(np.float64)
    small = cv2.resize(u + 1000.0 * v, (16, 12), interpolation=cv2.INTER_AREA)
    scaled = cam.scale(0.25)
    at = np.array([scaled.centre_x_px, scaled.centre_y_px])  # the same ray in the small image
    value = small[0, 0] + at[0] * (small[0, 1] - small[0, 0]) + at[1] * (small[1, 0] - small[0, 0])
    assert value == pytest.approx(20.0 + 30000.0, abs=1e-9)


@pytest.mark.parametrize("factor", [0.5, 0.37, 1.7])
def test_scale_is_exact_where_sizes_are_rounded(factor: float) -> None:
    """The position of each pixel's content after `cv2.resize` to the size of the scaled camera, read off two ramps."""
    cam = Camera(741, 497, 600.0, 610.0, 350.0, 240.0, np.array([]))
    scaled = cam.scale(factor)
    assert scaled.size == (round(741 * factor), round(497 * factor))
    ramps = [np.ascontiguousarray(ramp, np.float64) for ramp in np.mgrid[0:497, 0:741][::-1]]
    u, v = (cv2.resize(ramp, scaled.size, interpolation=cv2.INTER_LINEAR) for ramp in ramps)  # source position of each pixel
    for x, y in ((5, 7), (scaled.width - 6, scaled.height - 9)):
        np.testing.assert_allclose(scaled.unproject([float(x), float(y)]), cam.unproject([u[y, x], v[y, x]]), rtol=0.0, atol=1e-7)


def test_crop_moves_the_principal_point() -> None:
    cam = camera(DISTORTIONS[8])
    window = cam.crop(37, -12, 300, 200)
    points = cam.unproject(grid(cam))
    np.testing.assert_allclose(window.project(points), grid(cam) - [37, -12], atol=1e-9)
    assert window.size == (300, 200)


def test_shapes_of_many_dimensions() -> None:
    cam = camera(DISTORTIONS[4])
    uv = grid(cam)[: 4 * 5].reshape(4, 5, 2)
    rays = cam.unproject(uv)
    assert rays.shape == (4, 5, 3)
    assert cam.project(rays).shape == (4, 5, 2)
    assert cam.unproject(np.zeros((0, 2))).shape == (0, 3)


def test_from_matrix_keeps_what_the_matrix_says() -> None:
    matrix = np.array([[500.0, 0, 320], [0, 501, 240], [0, 0, 1]])
    cam = Camera.from_matrix(matrix, [0.1, 0.2, 0, 0, 0, 0, 0], (640, 480))
    np.testing.assert_array_equal(cam.K, matrix)
    np.testing.assert_array_equal(cam.distortion, [0.1, 0.2, 0, 0, 0])  # seven values that end in zeros are five
    assert len(Camera.from_matrix(np.eye(3), np.zeros((1, 14)), (4, 4)).distortion) == 0


def test_distortion_is_read_only_and_a_copy() -> None:
    given_array = np.array(DISTORTIONS[4])
    cam = Camera(640, 480, 500.0, 500.0, 320.0, 240.0, given_array)
    given_array[0] = 9.0
    assert cam.distortion[0] == -0.31
    with pytest.raises(ValueError, match="read-only"):
        cam.distortion[0] = 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 0}, r"width is 0; it must be a whole number of pixels >= 1"),
        ({"height": 4.5}, r"height is 4.5"),
        ({"focal_x_px": 0.0}, r"focal_x_px is 0; a focal length must be > 0"),
        ({"focal_y_px": -3.0}, r"focal_y_px is -3"),
        ({"centre_x_px": float("nan")}, r"centre_x_px is nan; it must be a finite"),
        ({"focal_x_px": float("inf")}, r"focal_x_px is inf"),
        ({"distortion": np.zeros(6)}, r"6 distortion coefficients; a pinhole has 0, 4, 5, 8, 12"),
        ({"distortion": np.array([0.1, np.nan, 0, 0])}, r"every coefficient must be finite"),
        ({"distortion": np.array([0.1, 1e200, 0, 0])}, r"no coefficient may exceed 1e\+50"),
        ({"model": "kb4"}, r"model is 'kb4'; known lens models are radtan, fisheye"),
        ({"model": "fisheye", "distortion": np.zeros(5)}, r"5 distortion coefficients; a fisheye has exactly 4"),
        ({"model": "fisheye", "distortion": np.zeros(0)}, r"0 distortion coefficients; a fisheye has exactly 4"),
    ],
)
def test_impossible_cameras_are_refused(change: dict[str, object], words: str) -> None:
    good: dict[str, object] = {"width": 640, "height": 480, "focal_x_px": 500.0, "focal_y_px": 500.0}
    good |= {"centre_x_px": 320.0, "centre_y_px": 240.0, "distortion": np.zeros(4)}
    with pytest.raises(CalibrationError, match=words):
        Camera(**{**good, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[500.0, 1.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]], "a skew is not supported"),
        ([[500.0, 0, 320], [0, 500, 240], [0, 0, 2]], r"must be \[fx 0 cx"),
        ([[500.0, 0, 320], [0, 500, 240]], "must be 3 x 3 and finite"),
        ([[500.0, 0, np.nan], [0, 500, 240], [0, 0, 1]], "must be 3 x 3 and finite"),
    ],
)
def test_matrices_that_are_no_pinhole_are_refused(matrix: list[list[float]], words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        Camera.from_matrix(matrix, [], (640, 480))


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_scales_are_refused(factor: float) -> None:
    with pytest.raises(CalibrationError, match="scale factor"):
        camera().scale(factor)


# --- fisheye ---------------------------------------------------------------------------------------------------------

FISHEYES = {
    "equidistant": [0.0, 0.0, 0.0, 0.0],
    "real, 150 degrees": [-0.0216, 0.0048, -0.0031, 0.00042],
    "folds at 143 degrees": [0.1, -0.05, 0.02, -0.002],
    "folds at 92 degrees": [-0.3, 0.1, -0.02, 0.001],
    "folds at 60 degrees": [-0.32, 0.0, 0.0, 0.0],
}


def fisheye(k: list[float] | NDArray[np.float64]) -> Camera:
    return Camera(1280, 960, 320.0, 322.5, 640.3, 478.2, np.array(k), "fisheye")


def directions(theta: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)


@pytest.mark.parametrize("name", FISHEYES)
def test_fisheye_agrees_with_opencv(name: str, rng: np.random.Generator) -> None:
    cam = fisheye(FISHEYES[name])
    theta = np.append(rng.uniform(0.0, min(0.99 * cam.fold_angle_rad(), 1.55), 500), 0.0)  # OpenCV's ends at 90 degrees
    rays = directions(theta, rng.uniform(-np.pi, np.pi, 501))
    points = rays * rng.uniform(0.3, 9.0, (501, 1))
    k = np.array(FISHEYES[name])
    expected, _ = cv2.fisheye.projectPoints(points[:, None], np.zeros((3, 1)), np.zeros((3, 1)), cam.K, k)
    uv = cam.project(points)
    np.testing.assert_allclose(uv, expected[:, 0], rtol=0, atol=1e-9)
    inner = theta < 0.5 * cam.fold_angle_rad()  # where OpenCV's own inversion converges for all of them
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 200, 1e-15)
    back = cv2.fisheye.undistortPoints(uv[inner][:, None], cam.K, k, criteria=criteria)[:, 0]
    seen = cam.unproject(uv[inner])
    np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], back, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FISHEYES)
def test_fisheye_round_trip_up_to_the_fold(name: str, rng: np.random.Generator) -> None:
    """Every direction that the lens sees has a pixel, and that pixel's direction is it: to 1e-9 px, beyond 90 degrees too."""
    cam = fisheye(FISHEYES[name])
    theta = cam.fold_angle_rad() * np.append(rng.uniform(0.0, 1.0, 3000), [0.0, 1e-12, 1e-6, 0.5, 1.0 - 1e-6])
    rays = directions(theta, rng.uniform(-np.pi, np.pi, len(theta)))
    uv = cam.project(rays * rng.uniform(0.1, 50.0, (len(rays), 1)))
    back = cam.unproject(uv)
    assert np.isfinite(back).all()
    np.testing.assert_allclose(np.linalg.norm(back, axis=-1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(cam.project(back), uv, rtol=0, atol=1e-9)
    inner = theta < 0.98 * cam.fold_angle_rad()  # at the fold itself the angle is ill conditioned, as a square root is at 0
    np.testing.assert_allclose(back[inner], rays[inner], rtol=0, atol=1e-12)


def test_fisheye_by_hand() -> None:
    """theta_d = theta + k1 theta^3 with k1 = 0.1: at 90 degrees pi/2 + 0.1 (pi/2)^3."""
    cam = Camera(2000, 2000, 100.0, 200.0, 1000.0, 900.0, np.array([0.1, 0.0, 0.0, 0.0]), "fisheye")
    at_90 = np.pi / 2 + 0.1 * (np.pi / 2) ** 3
    at_135 = 0.75 * np.pi + 0.1 * (0.75 * np.pi) ** 3
    points = np.array([[2.0, 0.0, 0.0], [0.0, -3.0, 0.0], [0.0, 0.0, 5.0], [-1.0, 0.0, -1.0]])
    offsets = np.array([[100.0 * at_90, 0.0], [0.0, -200.0 * at_90], [0.0, 0.0], [-100.0 * at_135, 0.0]])
    expected = offsets + np.array([1000.0, 900.0])
    np.testing.assert_allclose(cam.project(points), expected, rtol=1e-14)
    np.testing.assert_allclose(cam.unproject(expected), points / np.linalg.norm(points, axis=1, keepdims=True), atol=1e-14)


def test_what_a_fisheye_does_not_see() -> None:
    cam = fisheye(FISHEYES["equidistant"])
    blind = [[0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [np.nan, 0.0, 1.0], [np.inf, 0.0, 1.0], [0.0, np.nan, np.nan]]
    assert np.isnan(cam.project(blind)).all()  # straight behind has no one pixel: it is a circle
    radius = 320.0 * np.pi
    assert np.isfinite(cam.unproject([640.3 + radius - 1e-6, 478.2])).all()
    assert np.isnan(cam.unproject([[640.3 + radius + 1e-6, 478.2], [np.nan, 3.0]])).all()


@pytest.mark.parametrize("k1", [-0.05, -0.32, -3.0])
def test_fisheye_fold_is_where_the_radius_stops_growing(k1: float) -> None:
    """theta (1 + k1 theta^2) has its maximum at 1 / sqrt(-3 k1)."""
    limit = 1.0 / np.sqrt(-3.0 * k1)
    cam = fisheye([k1, 0.0, 0.0, 0.0])
    assert cam.fold_angle_rad() == pytest.approx(limit, abs=1e-12)
    assert cam.fold_radius() == (pytest.approx(np.tan(limit), rel=1e-9) if limit < np.pi / 2 else np.inf)
    near, beyond = directions(limit + np.array([-1e-6, 1e-6]), np.array([0.3, 0.3]))
    assert np.isfinite(cam.project(near)).all()
    assert np.isnan(cam.project(beyond)).all()
    top = 320.0 * limit * (1.0 + k1 * limit * limit)
    assert np.isfinite(cam.unproject([640.3 + top - 1e-6, 478.2])).all()
    assert np.isnan(cam.unproject([640.3 + top + 1e-6, 478.2])).all()


def test_fold_angle_of_pinholes() -> None:
    assert camera().fold_angle_rad() == pytest.approx(np.pi / 2)
    assert camera([-0.3, 0.0, 0.0, 0.0]).fold_angle_rad() == pytest.approx(np.arctan(1.0 / np.sqrt(0.9)), abs=1e-12)
    assert fisheye(FISHEYES["equidistant"]).fold_angle_rad() == np.pi


coefficient = st.floats(-0.5, 0.5) | st.floats(-50.0, 50.0) | st.sampled_from([0.0, 1e-300, -1e-12])


@given(k=st.tuples(*[coefficient] * 4), share=st.floats(0.0, 1.0, exclude_max=True))
@settings(max_examples=400, deadline=None)
def test_any_fisheye_polynomial_grows_up_to_its_fold_and_is_inverted(k: tuple[float, ...], share: float) -> None:
    fold = fold_angle_rad(k)
    assert 0.0 < fold <= np.pi
    angles = distorted_angle(np.linspace(0.0, fold, 400), k)
    assert (np.diff(angles) > -1e-13 * angles[-1]).all()
    wanted = share * angles[-1]
    theta = undistorted_angle(wanted, k)
    assert 0.0 <= theta <= fold
    size = np.abs(np.array([1.0, *k]) * theta ** np.arange(1, 10, 2)).sum()  # rounding of a sum that cancels
    assert abs(distorted_angle(theta, k) - wanted) <= 4e-15 * size + 1e-300
    assert np.isnan(undistorted_angle(angles[-1] * (1.0 + 1e-9), k))


@given(
    k=st.tuples(st.floats(-0.1, 0.2), st.floats(-0.05, 0.05), st.floats(-0.02, 0.02), st.floats(-0.004, 0.004)),
    share=st.floats(0.0, 0.999),
    phi=st.floats(-np.pi, np.pi),
    metres=st.floats(1e-3, 1e3),
)
@settings(max_examples=300, deadline=None)
def test_round_trip_of_any_fisheye(k: tuple[float, ...], share: float, phi: float, metres: float) -> None:
    cam = fisheye(list(k))
    theta = share * cam.fold_angle_rad()
    uv = cam.project(metres * directions(np.array(theta), np.array(phi)))
    assert np.isfinite(uv).all()
    back = cam.unproject(uv)
    np.testing.assert_allclose(cam.project(back), uv, rtol=0, atol=1e-9)
    assert back[2] == pytest.approx(np.cos(theta), abs=1e-7)


def test_fisheye_is_kept_by_scale_crop_and_matrix() -> None:
    cam = fisheye(FISHEYES["real, 150 degrees"])
    rays = cam.unproject(grid(cam))
    assert (rays[:, 2] < 0.0).any()  # the corners lie beyond 90 degrees
    np.testing.assert_allclose(cam.scale(0.5).project(rays), (grid(cam) + 0.5) * 0.5 - 0.5, atol=1e-9)
    np.testing.assert_allclose(cam.crop(100, -20, 700, 600).project(rays), grid(cam) - [100, -20], atol=1e-9)
    again = Camera.from_matrix(cam.K, [0.0, 0.0, 0.0, 0.0], cam.size, "fisheye")
    assert again.coefficient_names == ("k1", "k2", "k3", "k4")
    assert again.is_fisheye
    with pytest.raises(CalibrationError, match="exactly 4"):
        Camera.from_matrix(cam.K, [0.1, 0.0], cam.size, "fisheye")


def test_coefficients_of_a_pinhole_have_names() -> None:
    assert camera(DISTORTIONS[5]).coefficient_names == ("k1", "k2", "p1", "p2", "k3")
    assert camera().coefficient_names == ()
    assert not camera().is_fisheye


def test_field_of_view_by_hand() -> None:
    pinhole = Camera(101, 201, 50.0, 100.0, 50.0, 100.0, np.zeros(0))
    np.testing.assert_allclose(pinhole.view_deg, [90.0, 90.0], atol=1e-12)
    aside = pinhole.crop(50, 0, 51, 201)  # from the axis to 45 degrees
    np.testing.assert_allclose(aside.view_deg, [45.0, 90.0], atol=1e-12)
    f = 100.0 / np.radians(110.0)  # equidistant: 100 px are 110 degrees
    wide = Camera(201, 101, f, f, 100.0, 50.0, np.zeros(4), "fisheye")
    np.testing.assert_allclose(wide.view_deg, [220.0, 110.0], atol=1e-12)
    folded = Camera(2001, 101, 100.0, 100.0, 1000.0, 50.0, np.array([-1.0 / 12.0, 0.0, 0.0, 0.0]), "fisheye")  # at 2 rad
    assert folded.view_deg[0] == pytest.approx(2.0 * np.degrees(2.0), abs=1e-9)
