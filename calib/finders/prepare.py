"""Images as the detectors want them: 8 bits, of a size that is quickly searched, and the way back to the original's pixels."""

import cv2
import numpy as np

from calib.geometry import Array
from calib.images import Image, to_grey

_WORKING_SIDE_PX = 1280
"""longer images are searched at this size; the corners found are then refined in the full image"""
_HELD_SIDE_PX = 1920  # markers are searched larger than corners
_LEAST_SPREAD = 64  # grey levels; flatter images are stretched before the search


def working_scale(grey: Image) -> float:
    """The factor, at most 1, that makes an image small enough to be searched quickly."""
    return min(1.0, _WORKING_SIDE_PX / float(max(grey.shape)))


def quickly_searched(image: Image) -> Image:
    """The image in grey, no larger than it takes to tell what it shows: for holding many."""
    grey = to_grey(image)
    return resized(grey, min(1.0, _HELD_SIDE_PX / float(max(grey.shape))))[0]


def resized(image: Image, factor: float) -> tuple[Image, Array]:
    """The image resized, and the exact factors of x and y."""
    height, width = image.shape
    if factor == 1.0:
        return image, np.ones(2)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=method)), np.array([size[0] / width, size[1] / height])


def full_size(uv: Image, scale: Array) -> Array:
    """Pixels of a resized image to those of the original (pixel centres at integers)."""
    return np.asarray((np.asarray(uv, np.float64).reshape(-1, 2) + 0.5) / scale - 0.5)


def eight_bit(grey: Image) -> Image:
    """The image as the detectors want it; all but ordinary 8-bit images are stretched to their own range."""
    values = grey[np.isfinite(grey)] if grey.dtype == np.float32 else grey
    if not values.size:
        return np.zeros(grey.shape, np.uint8)
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    if grey.dtype == np.uint8 and high - low >= _LEAST_SPREAD:
        return grey
    stretched = (grey.astype(np.float32) - low) * (255.0 / max(high - low, 1e-30))
    return np.asarray(np.clip(np.nan_to_num(stretched, nan=0.0, posinf=255.0, neginf=0.0), 0.0, 255.0), np.uint8)
