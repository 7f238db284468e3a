"""Rig files: known answers written out, exact round trips, and each mistake named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib import load_rig, save_rig
from calib.camera import Camera
from calib.covariance import MOST_PARAMETERS, RigCovariance, parameter_names
from calib.errors import CalibrationError, InputError, OutputError, StereoError, UsageError
from calib.geometry import rotation_from_vector
from calib.rig import StereoRig

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str, name: str = "rig.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def refused(path: Path, error: type[StereoError], words: str, **options: Any) -> None:
    with pytest.raises(error, match=words) as caught:
        load_rig(path, **options)
    assert str(path) in str(caught.value)


def same(a: StereoRig, b: StereoRig) -> None:
    for x, y in ((a.left, b.left), (a.right, b.right)):
        assert x.size == y.size
        np.testing.assert_array_equal(x.K, y.K)
        np.testing.assert_array_equal(x.distortion, y.distortion)
        assert x.model == y.model
    assert (a.covariance is None) == (b.covariance is None)
    if a.covariance is not None and b.covariance is not None:
        assert a.covariance.names == b.covariance.names
        np.testing.assert_array_equal(a.covariance.matrix, b.covariance.matrix)
    np.testing.assert_array_equal(a.R_right_left, b.R_right_left)
    np.testing.assert_array_equal(a.t_right_left_m, b.t_right_left_m)
    assert a.provenance == b.provenance


# --- the project's own format ----------------------------------------------------------------------------------------

NATIVE = """\
# A stereo rig
format: stereo-rig 1
unit: mm
left:
  image_size: [640, 480]
  focal_px: [500.5, 501]
  centre_px: [320.25, 240]
  distortion: [-0.25, 1e-2, 0, 1.5e-4]
right:
  image_size: [640, 480]
  focal_px: [502, 503]
  centre_px: [321, 241]
  distortion: []
R_right_left:
  - [0.0, 0.0, 1.0]
  - [1.0, 0.0, 0.0]
  - [0.0, 1.0, 0.0]
t_right_left: [-120, 0, 1.5]
provenance:
  tool: by hand
"""


def test_native_by_hand(write: Write) -> None:
    rig = load_rig(write(NATIVE))
    assert rig.left.size == (640, 480)
    assert (rig.left.focal_x_px, rig.left.focal_y_px, rig.left.centre_x_px, rig.left.centre_y_px) == (500.5, 501.0, 320.25, 240.0)
    assert rig.left.distortion.tolist() == [-0.25, 0.01, 0.0, 1.5e-4]
    assert rig.right.distortion.tolist() == []
    assert rig.right.focal_x_px == 502.0
    assert rig.R_right_left.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert rig.t_right_left_m.tolist() == [-0.12, 0.0, 0.0015]
    assert dict(rig.provenance) == {"tool": "by hand"}
    assert rig.left.model == "radtan"  # older files do not say
    assert rig.covariance is None


def test_the_written_file_explains_itself(tmp_path: Path, write: Write) -> None:
    save_rig(tmp_path / "out.yaml", load_rig(write(NATIVE)))
    text = (tmp_path / "out.yaml").read_text()
    first = next(line for line in text.splitlines() if not line.startswith("#"))
    assert first == "format: stereo-rig 1"
    assert "unit: m\n" in text
    assert "t_right_left: [-0.12, 0.0, 0.0015]" in text
    for words in ("R_right_left x + t_right_left", "width and height in pixels", "OpenCV's order", "unit of all lengths"):
        assert words in text


wide = st.floats(1e-3, 1e5)
signed = st.floats(-1e5, 1e5)
coefficients = st.sampled_from([0, 4, 5, 8, 12]).flatmap(lambda n: st.lists(st.floats(-10, 10), min_size=n, max_size=n))
pinholes = st.builds(
    Camera, st.integers(1, 20000), st.integers(1, 20000), wide, wide, signed, signed, coefficients.map(lambda d: np.array(d))
)
four = st.lists(st.floats(-10, 10), min_size=4, max_size=4).map(np.array)
fisheyes = st.builds(
    Camera, st.integers(1, 20000), st.integers(1, 20000), wide, wide, signed, signed, four, model=st.just("fisheye")
)
cameras = pinholes | fisheyes
rigs = st.builds(
    StereoRig,
    cameras,
    cameras,
    st.tuples(*[st.floats(-3, 3)] * 3).map(rotation_from_vector),
    st.tuples(*[st.floats(-1e3, 1e3)] * 3).filter(lambda t: np.linalg.norm(t) > 1e-8).map(np.array),
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])), max_size=3
    ),
)


def with_covariance(rig: StereoRig, seed: int) -> StereoRig:
    rng, names = np.random.default_rng(seed), parameter_names(rig.left, rig.right)
    factor = rng.normal(size=(len(names), len(names) + 2)) * 10.0 ** rng.uniform(-9, 2, (len(names), 1))
    return replace(rig, covariance=RigCovariance(names, factor @ factor.T))


@given(rig=rigs)
@settings(max_examples=100, deadline=None)
def test_round_trip_is_exact(tmp_path_factory: pytest.TempPathFactory, rig: StereoRig) -> None:
    path = tmp_path_factory.mktemp("rig") / "rig.yaml"
    save_rig(path, rig)
    same(load_rig(path), rig)
    certain = with_covariance(rig, rig.left.width)
    save_rig(path, certain)
    same(load_rig(path), certain)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("unit: mm\n", "", r"rig.yaml:2:1: unit: missing; expected one of m, cm, mm"),
        ("unit: mm", "unit: ft", r":3:7: unit: must be one of m, cm, mm, got 'ft'"),
        ("  image_size: [640, 480]\n", "", r"left.image_size: missing"),
        ("[640, 480]", "[640]", r":5:15: left.image_size: expected a list \[...\] of 2, each a whole number"),
        ("[640, 480]", "[640.5, 480]", r"left.image_size\[0\]: expected a whole number, got '640.5'"),
        ("[640, 480]", "[0, 480]", r"rig.yaml: left camera: width is 0"),
        ("[500.5, 501]", "[.nan, 501]", r":6:14: left.focal_px\[0\]: expected a number, got '.nan'; it must be finite"),
        ("[500.5, 501]", "[-500.5, 501]", r"left camera: focal_x_px is -500.5; a focal length must be > 0"),
        ("[-0.25, 1e-2, 0, 1.5e-4]", "[1, 2, 3]", r"left camera: 3 distortion coefficients"),
        ("  distortion: []\n", "", r"right.distortion: missing"),
        ("[-120, 0, 1.5]", "[0, 0, 0]", r"rig.yaml: rig: the baseline is 0 m"),
        ("[-120, 0, 1.5]", "[.nan, 0, 0]", r":18:16: t_right_left\[0\]: expected a number, got '.nan'"),
        ("[0.0, 0.0, 1.0]", "[0.0, 0.0, 1.1]", r"R_right_left is not a rotation"),
        ("[0.0, 0.0, 1.0]", "[0.0, 0.0, -1.0]", r"R_right_left is not a rotation: .*reflection"),
        ("stereo-rig 1", "stereo-rig 2", r":2:9: format: must be one of stereo-rig 1, got 'stereo-rig 2'"),
        ("centre_px", "center_px", r"left.center_px: unknown setting; did you mean 'left.centre_px'"),
        ("  distortion: [-", "  model: kb4\n  distortion: [-", r":8:10: left.model: must be one of radtan, fisheye, got 'kb4'"),
        (
            "  distortion: []",
            "  model: fisheye\n  distortion: []",
            r"right camera: 0 distortion coefficients; a fisheye has exac",
        ),
    ],
)
def test_native_mistakes_are_named(write: Write, old: str, new: str, words: str) -> None:
    assert old in NATIVE
    refused(write(NATIVE.replace(old, new, 1)), CalibrationError, words)


NATIVE_NAMES = [f"left.{name}" for name in ("focal_x_px", "focal_y_px", "centre_x_px", "centre_y_px", "k1", "k2", "p1", "p2")]
NATIVE_NAMES += [f"right.{name}" for name in ("focal_x_px", "focal_y_px", "centre_x_px", "centre_y_px")]
NATIVE_NAMES += ["rotation_x_rad", "rotation_y_rad", "rotation_z_rad", "t_x_m", "t_y_m", "t_z_m"]


def covariance_text(names: list[str], rows: list[list[float]]) -> str:
    """The lines of a covariance; the first is the 21st of the file."""
    listed = "".join(f"    - [{', '.join(map(str, row))}]\n" for row in rows)
    return f"covariance:\n  parameters: [{', '.join(names)}]\n  lower_triangle:\n{listed}"


def triangle(size: int) -> list[list[float]]:
    return [[0.0] * i + [i + 1.0] for i in range(size)]


def test_native_covariance_by_hand(write: Write) -> None:
    rows = triangle(18)
    rows[17][15] = -3.5  # t_z and t_x
    rig = load_rig(write(NATIVE + covariance_text(NATIVE_NAMES, rows)))
    assert rig.covariance is not None
    assert rig.covariance.names == tuple(NATIVE_NAMES)
    expected = np.diag(np.arange(1.0, 19.0))
    expected[17, 15] = expected[15, 17] = -3.5
    np.testing.assert_array_equal(rig.covariance.matrix, expected)
    assert rig.sigma("t_x_m") == 4.0  # metres, though the lengths of this file are in mm


@pytest.mark.parametrize(
    ("names", "rows", "words"),
    [
        (NATIVE_NAMES, triangle(17), r":22:3: covariance: lower_triangle has 17 rows for 18 parameters; each has one row"),
        (NATIVE_NAMES, [[1.0], [1.0]], r":24:5: covariance.lower_triangle: row 2 has 1 numbers, but must have 2: the lower tri"),
        (NATIVE_NAMES, [*triangle(17), ["x"] * 18], r":41:\d+: covariance.lower_triangle\[17\]\[0\]: expected a number, got 'x'"),
        (NATIVE_NAMES, [["nan"], *triangle(18)[1:]], r":24:8: covariance.lower_triangle\[0\]\[0\]: .* it must be finite"),
        (
            NATIVE_NAMES,
            [[-1.0], *triangle(18)[1:]],
            r":22:3: covariance: the variance of left.focal_x_px is -1; it must be >= 0",
        ),
        (NATIVE_NAMES, [[1.0], [5.0, 2.0], *triangle(18)[2:]], r"left.focal_y_px and left.focal_x_px \(5\) is larger than the"),
        ([*NATIVE_NAMES[:-1], "t_x_m"], triangle(18), r"t_x_m is named twice"),
        (
            [*NATIVE_NAMES[:-1], "t_z_mm"],
            triangle(18),
            r"rig.yaml: rig: the covariance .* missing: t_z_m; not of this rig: t_z_mm",
        ),
        (
            NATIVE_NAMES[:-1],
            triangle(17),
            r"covariance has 17 parameters, and the rig has 18; missing: t_z_m; they must be left.f",
        ),
        (
            [f"p{i}" for i in range(39)],
            triangle(39),
            r":22:15: covariance.parameters: a rig has 1 to 38 parameters, got a list of",
        ),
        (NATIVE_NAMES, [[0.0]] * 3000, r":24:5: covariance.lower_triangle: a rig has 1 to 38 parameters, one row for each, got"),
        ([], [], r"covariance.parameters: a rig has 1 to 38 parameters"),
    ],
)
def test_native_mistakes_in_a_covariance_are_named(write: Write, names: list[str], rows: list[list[float]], words: str) -> None:
    assert MOST_PARAMETERS == 38
    refused(write(NATIVE + covariance_text(names, rows)), CalibrationError, words)


def test_a_native_file_of_hostile_size_is_refused_at_once(write: Write) -> None:
    text = NATIVE + covariance_text(NATIVE_NAMES, [[0.0] * 2000] * 200)
    refused(write(text), InputError, r"characters; a stereo-rig file may have 1000000")


def test_all_native_mistakes_come_at_once(write: Write) -> None:
    text = NATIVE.replace("unit: mm\n", "").replace("[500.5, 501]", "[five, 501]").replace("-120", "x")
    with pytest.raises(CalibrationError) as caught:
        load_rig(write(text))
    assert len(str(caught.value).splitlines()) == 3


def test_what_the_file_states_cannot_be_given_otherwise(write: Write) -> None:
    path = write(NATIVE)
    refused(path, UsageError, r"states lengths in mm, but --unit \(unit\) is m", unit="m")
    refused(
        path, UsageError, r"states images of 640 x 480 px, but --image-size \(image_size\) is 320 x 240", image_size=(320, 240)
    )
    same(load_rig(path, unit="mm", image_size=(640, 480)), load_rig(path))


def test_an_unwritable_place(tmp_path: Path, write: Write) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        save_rig(tmp_path / "no" / "rig.yaml", load_rig(write(NATIVE)))


# --- OpenCV ----------------------------------------------------------------------------------------------------------

OPENCV = """\
%YAML:1.0
---
M1: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 5.3e+02, 0., 3.4e+02, 0., 5.31e+02, 2.35e+02, 0., 0., 1. ]
D1: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ -2.6e-01, -3.8e-02, 1.7e-03, -2.8e-04, 2.3e-01 ]
M2: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 5.4e+02, 0., 3.3e+02, 0., 5.41e+02, 2.45e+02, 0., 0., 1. ]
D2: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ -2.5e-01, 0., 0., 0., 0. ]
R: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 0., 0., 1., 1., 0., 0., 0., 1., 0. ]
T: !!opencv-matrix
   rows: 3
   cols: 1
   dt: d
   data: [ -3.3, 0.04, 1.1e-01 ]
"""
GIVEN: dict[str, Any] = {"image_size": (640, 480), "unit": "cm"}


def test_opencv_by_hand(write: Write) -> None:
    rig = load_rig(write(OPENCV), **GIVEN)
    assert rig.left.K.tolist() == [[530.0, 0.0, 340.0], [0.0, 531.0, 235.0], [0.0, 0.0, 1.0]]
    assert rig.right.K.tolist() == [[540.0, 0.0, 330.0], [0.0, 541.0, 245.0], [0.0, 0.0, 1.0]]
    assert rig.left.distortion.tolist() == [-0.26, -0.038, 0.0017, -0.00028, 0.23]
    assert rig.right.distortion.tolist() == [-0.25, 0, 0, 0, 0]
    assert rig.R_right_left.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    np.testing.assert_allclose(rig.t_right_left_m, [-0.033, 0.0004, 0.0011], rtol=1e-15)
    assert rig.left.size == rig.right.size == (640, 480)


def test_opencv_direction_is_that_of_stereo_calibrate(write: Write) -> None:
    """OpenCV projects object points through R, T: a point of the left frame lands in the right image where OpenCV says."""
    rig = load_rig(write(OPENCV), **GIVEN)
    point = np.array([[0.05, 0.4, 0.1]])
    rvec, _ = cv2.Rodrigues(rig.R_right_left)
    expected, _ = cv2.projectPoints(point, rvec, rig.t_right_left_m, rig.right.K, rig.right.distortion)
    ours = rig.right.project(point @ rig.R_right_left.T + rig.t_right_left_m)
    np.testing.assert_allclose(ours, expected.reshape(-1, 2), atol=1e-9)


@pytest.mark.parametrize("suffix", [".yml", ".xml", ".json"])
@pytest.mark.parametrize(
    "names",
    [
        ("M1", "D1", "M2", "D2", "R", "T"),
        ("K1", "D1", "K2", "D2", "R", "T"),
        ("cameraMatrix1", "distCoeffs1", "cameraMatrix2", "distCoeffs2", "R", "T"),
        ("camera_matrix_left", "distortion_coefficients_left", "camera_matrix_right", "distortion_coefficients_right", "R", "T"),
        ("left_camera_matrix", "left_dist", "right_camera_matrix", "right_dist", "rotation_matrix", "translation_vector"),
        ("CM1", "D1", "CM2", "D2", "R", "T"),
    ],
)
@pytest.mark.parametrize("is_flat", [True, False])
def test_what_opencv_writes_is_read_exactly(
    tmp_path: Path, rng: np.random.Generator, suffix: str, names: tuple[str, ...], is_flat: bool
) -> None:
    """All three notations, the names in use, and the headers of OpenCV 4 and 5 (one-dimensional arrays are `nd-matrix` in 5)."""
    K = [np.array([[rng.uniform(400, 600), 0, 320.1], [0, rng.uniform(400, 600), 240.2], [0, 0, 1]]) for _ in range(2)]
    D = [rng.normal(scale=0.05, size=5) for _ in range(2)]
    R, T = rotation_from_vector(rng.normal(scale=0.1, size=3)), rng.normal(size=3)
    path = tmp_path / f"stereo{suffix}"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    shape = (-1,) if is_flat else (1, -1)
    for name, value in zip(names, (K[0], D[0].reshape(shape), K[1], D[1].reshape(shape), R, T.reshape(shape)), strict=True):
        storage.write(name, value)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.release()
    rig = load_rig(path, unit="m")
    for camera, k, d in ((rig.left, K[0], D[0]), (rig.right, K[1], D[1])):
        np.testing.assert_allclose(camera.K, k, rtol=1e-15)
        np.testing.assert_allclose(camera.distortion, d, rtol=1e-14)
    np.testing.assert_allclose(rig.R_right_left, R, atol=1e-15)
    np.testing.assert_allclose(rig.t_right_left_m, T, rtol=1e-14)


@pytest.mark.parametrize("header", ["%YAML:1.0\n---\n", "%YAML 1.2\n---\n", "%YAML 1.0\n---\n", ""])
def test_all_headers(write: Write, header: str) -> None:
    assert load_rig(write(OPENCV.replace("%YAML:1.0\n---\n", header)), **GIVEN).left.focal_x_px == 530.0


@pytest.mark.parametrize(
    "size", ["image_width: 640\nimage_height: 480\n", "image_size: [ 640, 480 ]\n", "imageSize: [640, 480]\n"]
)
def test_opencv_with_a_size(write: Write, size: str) -> None:
    assert load_rig(write(OPENCV + size), unit="mm").left.size == (640, 480)
    refused(
        write(OPENCV + size), UsageError, r"640 x 480 px, but --image-size \(image_size\) is 4 x 3", unit="m", image_size=(4, 3)
    )


@pytest.mark.parametrize(
    "size", ["image_size: [ .nan, 480 ]\n", "image_size: [ 0, 480 ]\n", "image_width: .inf\nimage_height: 480\n"]
)
def test_opencv_with_an_impossible_size(write: Write, size: str) -> None:
    refused(write(OPENCV + size), CalibrationError, "must be whole numbers of pixels >= 1", unit="mm")


@pytest.mark.parametrize("size", ["image_size: [ a, b ]\n", "image_size: [[1, 2], 3]\n", "image_size: large\nimage_width: 3\n"])
def test_opencv_with_a_size_that_is_no_size_asks(write: Write, size: str) -> None:
    refused(write(OPENCV + size), UsageError, "states no image size", unit="mm")


def test_opencv_without_size_or_unit_asks(write: Write) -> None:
    path = write(OPENCV)
    refused(path, UsageError, r"no image size; how large .*\? give --image-size WxH \(in Python: image_size=", unit="m")
    refused(path, UsageError, r"no unit of length; in which .*\? give --unit with one of m, cm, mm, in \(", image_size=(640, 480))
    refused(path, UsageError, "unit 'inch' is not known", image_size=(640, 480), unit="inch")
    assert load_rig(write(OPENCV + 'unit: "mm"\n'), image_size=(640, 480)).t_right_left_m[0] == pytest.approx(-0.0033)


def test_intrinsics_and_extrinsics_beside_each_other(write: Write) -> None:
    at = OPENCV.index("R: ")
    intrinsics = write(OPENCV[:at], "my_intrinsics.yml")
    refused(
        intrinsics, CalibrationError, r"has no rotation R.*; its partner \(intrinsics / extrinsics\) is not beside it", **GIVEN
    )
    extrinsics = write("%YAML:1.0\n---\n" + OPENCV[at:], "my_extrinsics.yml")
    whole = load_rig(write(OPENCV), **GIVEN)
    for path in (intrinsics, extrinsics):
        rig = load_rig(path, **GIVEN)
        np.testing.assert_array_equal(rig.left.K, whole.left.K)
        np.testing.assert_array_equal(rig.t_right_left_m, whole.t_right_left_m)


def test_a_rotation_of_few_digits_is_made_orthonormal_and_said(write: Write) -> None:
    R = rotation_from_vector([0.02, -0.13, 0.01])
    text = OPENCV.replace("0., 0., 1., 1., 0., 0., 0., 1., 0. ]", ", ".join(f"{v:.4f}" for v in R.ravel()) + " ]")
    rig = load_rig(write(text), **GIVEN)
    np.testing.assert_allclose(rig.R_right_left, R, atol=1e-4)
    assert "made orthonormal again" in rig.provenance["rotation"]
    assert np.abs(rig.R_right_left @ rig.R_right_left.T - np.eye(3)).max() < 1e-15
    bad = OPENCV.replace("0., 0., 1., 1., 0., 0., 0., 1., 0. ]", "0., 0., 1.1, 1., 0., 0., 0., 1., 0. ]")
    refused(write(bad), CalibrationError, "not a rotation", **GIVEN)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("D2: ", "D3: ", "has no distortion: none of the names"),
        ("D2: ", "D2: [[1], [2, 3]]\nD3: ", "has no distortion: none of the names"),
        ("T: ", "X: ", "has no translation T"),
        ("M1: ", "camera_matrix: ", "holds one camera only"),
        ("rows: 3", "rows: 2", "m1 cannot be read as a matrix: its rows x cols must equal the count of its data"),
        ("5.3e+02", ".nan", "must be 3 x 3 and finite"),
        ("5.3e+02", "-5.3e+02", "focal_x_px is -530"),
        ("-3.3, 0.04, 1.1e-01", "0, 0, 0", "the baseline is 0 m"),
        ("-3.3, 0.04, 1.1e-01", ".inf, 0, 0", "three finite numbers"),
        ("data: [ 5.3e+02", "data: [ 5.3e+02 [", r"rig.yaml:\d+:\d+: is not valid YAML"),
        ("---", "---\nthe: [", r"rig.yaml:\d+:\d+: is not valid YAML"),
    ],
)
def test_opencv_mistakes_are_named(write: Write, old: str, new: str, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert old in OPENCV
    refused(write(OPENCV.replace(old, new, 1)), CalibrationError, words, **GIVEN)
    assert capfd.readouterr().err == ""


def test_fisheye_coefficients_are_not_taken_for_a_pinhole(write: Write) -> None:
    text = OPENCV.replace("cols: 5", "cols: 4").replace(
        "-2.6e-01, -3.8e-02, 1.7e-03, -2.8e-04, 2.3e-01", "-0.02, 0.01, -0.09, 0.04"
    )
    refused(
        write(text), CalibrationError, "look like the four .* of a fisheye lens; if they are, add .*_model: fisheye'", **GIVEN
    )


FOUR_EACH = OPENCV.replace("cols: 5", "cols: 4").replace("rows: 5", "rows: 4").replace(", -2.8e-04, 2.3e-01", ", -2.8e-04")
FOUR_EACH = FOUR_EACH.replace("-2.5e-01, 0., 0., 0., 0.", "-2.5e-01, 0., 0., 0.")


@pytest.mark.parametrize(
    ("stated", "models"),
    [
        ("distortion_model: equidistant\n", ["fisheye", "fisheye"]),
        ("distortion_model: plumb_bob\n", ["radtan", "radtan"]),
        ("distortion_model_left: fisheye\ndistortion_model_right: radtan\n", ["fisheye", "radtan"]),
        ("fisheye_model: 1\n", ["fisheye", "fisheye"]),
        ("fisheye_model: 0\n", ["radtan", "radtan"]),
        ("", ["radtan", "radtan"]),
    ],
)
def test_the_lens_model_that_an_opencv_file_states(write: Write, stated: str, models: list[str]) -> None:
    rig = load_rig(write(FOUR_EACH + stated), **GIVEN)
    assert [rig.left.model, rig.right.model] == models
    assert rig.left.distortion.tolist() == [-0.26, -0.038, 0.0017, -0.00028]
    doubt = "lens model" in rig.provenance  # never taken for a pinhole in silence
    assert doubt == ("distortion_model" not in stated and models[0] == "radtan")


def test_opencv_lens_models_that_cannot_be(write: Write) -> None:
    refused(write(OPENCV + "lens_model: omni\n"), CalibrationError, "lensmodel is 'omni'; known lens models are radtan", **GIVEN)
    refused(write(OPENCV + "lens_model: fisheye\n"), CalibrationError, "5 distortion coefficients; a fisheye has exac", **GIVEN)


# --- Middlebury and ETH3D --------------------------------------------------------------------------------------------

MIDDLEBURY = """\
cam0=[3979.911 0 1244.772; 0 3979.911 1019.507; 0 0 1]
cam1=[3979.911 0 1369.115; 0 3979.911 1019.507; 0 0 1]
doffs=124.343
baseline=193.001
width=2964
height=1988
ndisp=280
isint=0
vmin=31
vmax=257
dyavg=0.918
dymax=1.516
"""


def test_middlebury_by_hand(write: Write) -> None:
    """Figures of Motorcycle at full size; a disparity of 100 px is a depth of f B / (100 + doffs)."""
    rig = load_rig(write(MIDDLEBURY, "calib.txt"))
    assert rig.is_rectified
    assert rig.left.size == rig.right.size == (2964, 1988)
    assert rig.focal_px == 3979.911
    assert rig.baseline_m == 0.193001
    assert rig.doffs_px == pytest.approx(124.343, abs=1e-9)
    x = np.array([0.3, 0.1, 5.0])
    d = rig.left.project(x)[0] - rig.right.project(x + rig.t_right_left_m)[0]
    assert rig.focal_px * rig.baseline_m / (d + rig.doffs_px) == pytest.approx(5.0, rel=1e-12)


def test_middlebury_as_written_on_windows_without_doffs(write: Write) -> None:
    text = MIDDLEBURY.replace("doffs=124.343\n", "").replace("\n", "\r\n").replace("baseline=", "baseline = ")
    assert load_rig(write(text, "calib.txt")).doffs_px == pytest.approx(124.343, abs=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("doffs=124.343", "doffs=31.086", r"doffs is 31.086, but cx1 - cx0 is 124.343 px"),
        ("doffs=124.343", "doffs=nan", "doffs is nan, but"),
        ("baseline=193.001\n", "", "lacks baseline"),
        ("baseline=193.001", "baseline=0", "the baseline is 0 m"),
        ("baseline=193.001", "baseline=-5", "baseline is -5 mm; it must be > 0"),
        ("baseline=193.001", "baseline=nan", "three finite numbers"),
        ("baseline=193.001", "baseline=wide", "baseline is 'wide'; it must be a number"),
        ("width=2964", "width=0", "image size 0 x 1988"),
        ("width=2964", "width=nan", "image size nan x 1988"),
        ("width=2964", "width=2964.5", "must be whole numbers"),
        ("[3979.911 0 1244", "[3979.911 1244", "must be written|must be a 3 x 3"),
        ("cam1=[3979.911", "cam1=[3979.0", "focal_x_px is 3979.91 on the left but 3979 on the right"),
    ],
)
def test_middlebury_mistakes_are_named(write: Write, old: str, new: str, words: str) -> None:
    assert old in MIDDLEBURY
    refused(write(MIDDLEBURY.replace(old, new, 1), "calib.txt"), CalibrationError, words)


# --- KITTI -----------------------------------------------------------------------------------------------------------

KITTI = """\
P0: 7.215377e+02 0.000000e+00 6.095593e+02 0.000000e+00 0.000000e+00 7.215377e+02 1.728540e+02 0.000000e+00 0 0 1 0
P1: 7.215377e+02 0.000000e+00 6.095593e+02 -3.875744e+02 0.000000e+00 7.215377e+02 1.728540e+02 0.000000e+00 0 0 1 0
P2: 7.215377e+02 0.000000e+00 6.095593e+02 4.485728e+01 0.000000e+00 7.215377e+02 1.728540e+02 2.163791e-01 0 0 1 2.745884e-03
P3: 7.215377e+02 0.000000e+00 6.095593e+02 -3.395242e+02 0.000000e+00 7.215377e+02 1.728540e+02 2.199936e+00 0 0 1 2.729905e-03
R0_rect: 9.999239e-01 9.837760e-03 -7.445048e-03 -9.869795e-03 9.999421e-01 -4.278459e-03 7.402527e-03 4.351614e-03 9.999631e-01
Tr_velo_to_cam: 7.5e-03 -9.9e-01 -6.1e-04 -4.0e-03 1.4e-02 7.2e-04 -9.9e-01 -7.6e-02 9.9e-01 7.5e-03 1.4e-02 -2.7e-01

"""
SIZE: dict[str, Any] = {"image_size": (1242, 375)}


def test_kitti_colour_by_hand(write: Write) -> None:
    """The benchmark's well-known 0.5327 m; what is dropped is written down: its own t_y and t_z, solved from P = K [I | t]."""
    rig = load_rig(write(KITTI, "000000.txt"), **SIZE)
    assert rig.is_rectified
    assert rig.focal_px == 721.5377
    assert rig.doffs_px == 0.0
    assert rig.baseline_m == pytest.approx((44.85728 + 339.5242) / 721.5377, abs=2e-5)
    assert rig.provenance["dropped"] == "translation of 2.753 mm in y and -0.01598 mm in z"
    assert "cameras 2 and 3" in rig.provenance["source"]


def test_kitti_projection_agrees_with_the_matrices(write: Write) -> None:
    """A point of the left colour camera's frame lands, in x, where P3 puts it; in y it misses by the dropped f t_y / Z."""
    rig = load_rig(write(KITTI, "000000.txt"), **SIZE)
    P2, P3 = (np.array([float(word) for word in line.split()[1:]]).reshape(3, 4) for line in KITTI.splitlines()[2:4])
    point_2 = np.array([1.0, -0.5, 10.0])
    point_0 = point_2 - np.linalg.solve(P2[:, :3], P2[:, 3])
    for P, ours in ((P2, rig.left.project(point_2)), (P3, rig.right.project(point_2 + rig.t_right_left_m))):
        x, y, z = P @ [*point_0, 1.0]
        assert ours[0] == pytest.approx(x / z, abs=1e-3)
        assert ours[1] == pytest.approx(y / z, abs=0.21)


def test_kitti_grey(write: Write) -> None:
    rig = load_rig(write(KITTI, "000000.txt"), cameras="grey", **SIZE)
    assert rig.baseline_m == pytest.approx(387.5744 / 721.5377, rel=1e-12)
    assert "dropped" not in rig.provenance


def test_kitti_raw_states_its_size(write: Write) -> None:
    lines = KITTI.splitlines()
    raw = "calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.95e-02\n"
    for i in range(4):
        raw += f"S_{i:02d}: 1.392000e+03 5.120000e+02\nS_rect_{i:02d}: 1.242000e+03 3.750000e+02\n"
        raw += f"P_rect_{i:02d}: {lines[i].split(':')[1]}\n"
    rig = load_rig(write(raw, "calib_cam_to_cam.txt"))
    assert rig.left.size == (1242, 375)
    assert rig.baseline_m == load_rig(write(KITTI, "x.txt"), **SIZE).baseline_m
    other = raw.replace("S_rect_03: 1.242000e+03", "S_rect_03: 1.241000e+03")
    refused(write(other, "y.txt"), CalibrationError, "S_rect is .* they must agree")


def test_kitti_asks_and_refuses(write: Write) -> None:
    path = write(KITTI, "000000.txt")
    refused(path, UsageError, "states no image size; how large")
    refused(path, UsageError, r"states lengths in m, but --unit \(unit\) is mm", unit="mm", **SIZE)
    refused(path, UsageError, r"--cameras \(cameras\) is 'red'; KITTI has colour and grey", cameras="red", **SIZE)
    grey_only = "\n".join(KITTI.splitlines()[:2])
    refused(
        write(grey_only, "g.txt"), CalibrationError, r'has no P2 .* give --cameras grey \(in Python: cameras="grey"\)', **SIZE
    )
    refused(write(KITTI.replace("P2: 7.215377e+02", "P2:"), "a.txt"), CalibrationError, "P2 has 11 numbers", **SIZE)
    refused(
        write(KITTI.replace("P2: 7.215377e+02", "P2: x"), "b.txt"), CalibrationError, "P2 is 'x .* it must hold numbers", **SIZE
    )
    refused(write(KITTI.replace("P2: 7.215377e+02", "P2: nan"), "c.txt"), CalibrationError, "every number must be finite", **SIZE)
    swapped = KITTI.replace("P2:", "PX:").replace("P3:", "P2:").replace("PX:", "P3:")
    refused(write(swapped, "d.txt"), CalibrationError, "camera 3 stands -0.53.* m to the right of camera 2", **SIZE)


# --- all together ----------------------------------------------------------------------------------------------------


def test_unknown_files_are_refused_with_the_known_formats(tmp_path: Path, write: Write) -> None:
    for text in ("hello", "cam0:\n  camera_model: pinhole\n", "image_width: 640\ncamera_name: left\n"):
        refused(
            write(text), InputError, "in no rig format known here; known: stereo-rig YAML .*; OpenCV .*; Middlebury .*; KITTI"
        )
    (tmp_path / "binary").write_bytes(b"\x89PNG\xff\xfe")
    refused(tmp_path / "binary", InputError, "is not a text file; known rig formats")
    refused(tmp_path / "missing.yaml", InputError, "not found")
    refused(tmp_path, InputError, "is a folder")


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_files_are_refused_or_valid_never_a_crash(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([NATIVE, OPENCV, MIDDLEBURY, KITTI]))
    at = data.draw(st.integers(0, len(text) - 1))
    cut = data.draw(st.integers(0, 20))
    path = tmp_path_factory.mktemp("rig") / "rig.txt"
    path.write_text(text[:at] + data.draw(st.text("x[]{}:,-.1\n &*!", max_size=4)) + text[at + cut :])
    options: dict[str, Any] = {OPENCV: GIVEN, KITTI: SIZE}.get(text, {})
    try:
        rig = load_rig(path, **options)
    except StereoError:
        return
    assert np.isfinite(rig.t_right_left_m).all()
    assert rig.baseline_m > 0.0


@pytest.mark.realdata
def test_real_files(data_folder: Path) -> None:
    eth3d = load_rig(data_folder / "eth3d_pairs" / "delivery_area_1l" / "calib.txt")
    assert (eth3d.focal_px, eth3d.baseline_m, eth3d.doffs_px, eth3d.left.size) == (541.764, 0.0599101, 0.0, (942, 489))
    full = load_rig(data_folder / "mb2014" / "Adirondack-perfect-Q" / "calib_full.txt")
    quarter = full.scale(0.25)
    assert quarter.doffs_px == pytest.approx(209.059 / 4, abs=1e-9)
    assert quarter.left.size == (720, 497)
    one = data_folder / "calib_opencv_chess" / "left_intrinsics.yml"
    refused(one, CalibrationError, "holds one camera only")
