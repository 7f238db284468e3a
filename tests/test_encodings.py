"""Files of disparities: every kind against numbers written by another library."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.errors import InputError, UsageError
from stereo.encodings import Encoding, read_disparity, read_mask, write_pfm

NAN = np.float32(np.nan)


@pytest.fixture
def disparity(rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    values = rng.uniform(-60.0, 60.0, (5, 7)).astype(np.float32)
    values[1, 2] = NAN
    values[2, 2] = 0.0
    return values


def test_pfm_round_trip_and_as_opencv_reads_it(
    tmp_path: Path, disparity: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    write_pfm(tmp_path / "d.pfm", disparity)
    np.testing.assert_array_equal(read_disparity(tmp_path / "d.pfm"), disparity)
    theirs = cv2.imread(str(tmp_path / "d.pfm"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(theirs, np.where(np.isnan(disparity), np.inf, disparity), "the first row is at the top")


def test_floats_mean_pixels_of_any_sign(tmp_path: Path, disparity: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    np.save(tmp_path / "d.npy", disparity.astype(np.float64))
    assert cv2.imwrite(str(tmp_path / "d.tiff"), disparity)
    assert cv2.imwrite(str(tmp_path / "d.pfm"), np.where(np.isnan(disparity), np.float32(np.inf), disparity))
    for name in ("d.npy", "d.tiff", "d.pfm"):
        np.testing.assert_array_equal(read_disparity(tmp_path / name), disparity, name)
        np.testing.assert_array_equal(read_disparity(tmp_path / name, Encoding("kitti")), disparity, "floats need no kind")


def test_whole_numbers(tmp_path: Path) -> None:
    stored = np.array([[0, 1, 384], [256, 65535, 20000]], np.uint16)
    assert cv2.imwrite(str(tmp_path / "k.png"), stored)
    expected = np.array([[NAN, 1 / 256, 1.5], [1.0, 65535 / 256, 78.125]], np.float32)
    np.testing.assert_array_equal(read_disparity(tmp_path / "k.png", Encoding("kitti")), expected)
    byte = np.array([[0, 3, 255]], np.uint8)
    assert cv2.imwrite(str(tmp_path / "m.png"), byte)
    assert cv2.imwrite(str(tmp_path / "m3.png"), np.repeat(byte[..., None], 3, 2))
    for name in ("m.png", "m3.png"):
        expected = np.array([[NAN, 0.75, 63.75]], np.float32)
        np.testing.assert_array_equal(read_disparity(tmp_path / name, Encoding("scaled", 4.0)), expected)


def test_sintel(tmp_path: Path) -> None:
    """d = 4 R + G / 64 + B / 16384; OpenCV writes B, G, R."""
    bgr = np.array([[[0, 0, 0], [0, 0, 3], [0, 32, 1], [128, 16, 200]]], np.uint8)
    assert cv2.imwrite(str(tmp_path / "s.png"), bgr)
    expected = np.array([[0.0, 12.0, 4.5, 800.2578125]], np.float32)
    np.testing.assert_array_equal(read_disparity(tmp_path / "s.png", Encoding("sintel")), expected)


@pytest.mark.parametrize("name", ["d.png", "d8.png", "d.npy", "d.tiff", "i.npy"])
def test_whole_numbers_are_not_guessed(tmp_path: Path, name: str) -> None:
    """OpenCV's raw int16 map, 16 times the disparity, would pass for pixels."""
    stored = np.array([[16, 32], [-16, 48]], np.int16)
    np.save(tmp_path / "d.npy", stored)
    np.save(tmp_path / "i.npy", stored.astype(">i4"))
    assert cv2.imwrite(str(tmp_path / "d.tiff"), stored)
    assert cv2.imwrite(str(tmp_path / "d.png"), stored.astype(np.uint16))
    assert cv2.imwrite(str(tmp_path / "d8.png"), stored.astype(np.uint8))
    for encoding in (None, Encoding()):
        with pytest.raises(UsageError, match="--kind kitti"):
            read_disparity(tmp_path / name, encoding)


def test_what_does_not_fit_its_kind(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "m.png"), np.full((2, 2), 9, np.uint8))
    assert cv2.imwrite(str(tmp_path / "c.png"), np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    np.save(tmp_path / "c.npy", np.ones((2, 2, 3), np.float32))
    for name, encoding, words in (
        ("m.png", Encoding("kitti"), "16-bit PNG"),
        ("m.png", Encoding("sintel"), "8-bit RGB"),
        ("c.png", Encoding("scaled", 8.0), "colour picture"),
        ("c.npy", None, "three channels"),
    ):
        with pytest.raises(InputError, match=words):
            read_disparity(tmp_path / name, encoding)


def test_masks(tmp_path: Path) -> None:
    values = np.array([[255, 128, 0, 255]], np.uint8)
    assert cv2.imwrite(str(tmp_path / "m.png"), np.repeat(values[..., None], 3, 2))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), [[True, False, False, True]])
    assert cv2.imwrite(str(tmp_path / "n.png"), values // 255)
    with pytest.raises(InputError, match="no pixel is 255"):
        read_mask(tmp_path / "n.png")


def test_refused_encodings() -> None:
    with pytest.raises(UsageError, match="'png' is not known"):
        Encoding("png")  # type: ignore[arg-type]
    for scale in (0.0, -4.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="must be > 0"):
            Encoding("scaled", scale)
    with pytest.raises(UsageError, match="only kind scaled"):
        Encoding("kitti", 4.0)
    with pytest.raises(UsageError, match="float32"):
        write_pfm("x.pfm", np.ones((2, 2)))  # type: ignore[arg-type]
