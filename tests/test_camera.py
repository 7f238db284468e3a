"""`Camera` against OpenCV's own projection, against itself backwards, and against the pixel conventions."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calib.camera import Camera
from calib.errors import CalibrationError

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
