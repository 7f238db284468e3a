"""What `match` accepts, as one form: 8-bit grey images with masks, cut to the columns and rows that hold data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from calib.images import to_grey
from calib.rig import Image, Mask, RectifiedPair
from stereo.kernels.planes import Bytes

_STRETCH_PERCENTILES, _STRETCH_BYTES = (0.5, 99.5), (13, 242)


@dataclass(frozen=True, slots=True, eq=False)
class GreyPair:
    """Two grey images of one shape, (H, W) uint8, and their masks, (H, W) bool."""

    left: Bytes
    right: Bytes
    left_valid: Mask
    right_valid: Mask

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.left.shape
        return height, width


@dataclass(frozen=True, slots=True)
class Trim:
    """Where a trimmed pair stood: its first row, the first column of each image, and the columns that are each image's own."""

    y: int
    x_left: int
    x_right: int
    left_width: int
    right_width: int

    @property
    def shift(self) -> int:
        """Disparity of the trimmed pair = disparity - shift, px."""
        return self.x_left - self.x_right


def as_pair(left: RectifiedPair | Image, right: Image | None) -> RectifiedPair:
    """The pair that the arguments of `match` mean."""
    if isinstance(left, RectifiedPair):
        if right is not None:
            raise UsageError("match(pair) takes no second image; give either a RectifiedPair or two images")
        return left
    if any(isinstance(cast(object, image), str | Path) for image in (left, right)):
        raise UsageError("match takes images, not their paths; read them first: left, right = calib.read_pair(LEFT, RIGHT)")
    if right is None:
        raise UsageError("match needs two images, or one RectifiedPair")
    images = [np.asarray(left), np.asarray(right)]
    for name, image in zip(("left", "right"), images, strict=True):
        if image.ndim not in (2, 3):
            raise InputError(f"{name} has shape {image.shape}; use (H, W) grey or (H, W, 3) colour")
    valid = [_has_data(image) for image in images]
    return RectifiedPair(images[0], images[1], valid[0], valid[1])


def _has_data(image: Image) -> Mask:
    if image.dtype != np.float32:
        return np.ones(image.shape[:2], np.bool_)
    finite = np.isfinite(image)
    return np.asarray(finite if image.ndim == 2 else finite.all(-1))


def grey_pair(pair: RectifiedPair) -> GreyPair:
    """8-bit grey images. 16-bit and float ones are stretched, both alike: the 0.5th and 99.5th percentile of the pair become 13
    and 242, so that a few hot or dead pixels do not decide the contrast.
    """  # fmt: skip
    grey = [to_grey(image) for image in (pair.left, pair.right)]
    masks = pair.left_valid, pair.right_valid
    if grey[0].dtype == np.uint8:
        return GreyPair(cast(Bytes, grey[0]), cast(Bytes, grey[1]), *masks)
    known = np.concatenate([g[v] for g, v in zip(grey, masks, strict=True)])
    low, high = (float(v) for v in np.percentile(known, _STRETCH_PERCENTILES)) if len(known) else (0.0, 1.0)
    gain = (_STRETCH_BYTES[1] - _STRETCH_BYTES[0]) / (high - low) if high > low else 1.0
    left, right = (
        np.clip(np.rint((np.where(v, g, low).astype(np.float64) - low) * gain + _STRETCH_BYTES[0]), 0, 255).astype(np.uint8)
        for g, v in zip(grey, masks, strict=True)
    )
    return GreyPair(left, right, *masks)


def trim(pair: GreyPair, smallest: int) -> tuple[GreyPair, Trim]:
    """The pair without the rows and columns around it that hold no data, each image with its own columns.

    What follows then sees the same arrays however much nodata stands around an image, so that a shifted pair gives the same
    numbers. The narrower image is filled up with nodata on the right; at least `smallest` px remain on each side.
    """
    height, width = pair.shape
    if pair.left_valid.all() and pair.right_valid.all():
        return pair, Trim(0, 0, 0, width, width)
    rows = _span(np.any(pair.left_valid | pair.right_valid, axis=1), smallest)
    left, right = (_span(np.any(mask, axis=0), smallest) for mask in (pair.left_valid, pair.right_valid))
    size = max(left[1] - left[0], right[1] - right[0])
    place = Trim(rows[0], left[0], right[0], left[1] - left[0], right[1] - right[0])
    if rows == (0, height) and left[0] == right[0] == 0 and size == width:
        return pair, place
    return GreyPair(
        *(_cut(image, rows, columns, size) for image, columns in ((pair.left, left), (pair.right, right))),
        *(_cut(mask, rows, columns, size) for mask, columns in ((pair.left_valid, left), (pair.right_valid, right))),
    ), place


def _span(known: NDArray[Any], smallest: int) -> tuple[int, int]:
    """First and end index of what is known, at least `smallest` apart."""
    where = np.flatnonzero(known)
    first, end = (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 0)
    end = min(max(end, first + smallest), len(known))
    return max(min(first, end - smallest), 0), end


def _cut(array: NDArray[Any], rows: tuple[int, int], columns: tuple[int, int], size: int) -> NDArray[Any]:
    part = array[rows[0] : rows[1], columns[0] : columns[1]]
    out = np.zeros((len(part), size), array.dtype)
    out[:, : part.shape[1]] = part
    return out


def flipped(grey: GreyPair, widths: tuple[int, int] | None = None) -> GreyPair:
    """The mirror image of both: disparities change their sign. `widths`: the columns of each that are its own, not filled up."""
    left, right = (grey.shape[1],) * 2 if widths is None else widths
    return GreyPair(
        np.asarray(_mirrored(grey.left, left), np.uint8),
        np.asarray(_mirrored(grey.right, right), np.uint8),
        _mirrored(grey.left_valid.view(np.uint8), left).view(np.bool_),
        _mirrored(grey.right_valid.view(np.uint8), right).view(np.bool_),
    )


def _mirrored(array: NDArray[Any], width: int) -> NDArray[Any]:
    if width == array.shape[1]:
        return np.asarray(cv2.flip(array, 1))
    out = array.copy()
    out[:, :width] = array[:, :width][:, ::-1]
    return out


def is_mirrored(grey: GreyPair, widths: tuple[int, int] | None = None) -> bool:
    """True for one of each pair and its mirror image: the left image (else the right one) is heavier on its left side."""
    for image, width in zip((grey.left, grey.right), (grey.shape[1],) * 2 if widths is None else widths, strict=True):
        lever = 2 * np.arange(width, dtype=np.int64) - (width - 1)
        columns = cv2.reduce(image, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0, :width]
        moment = int((columns.astype(np.int64) * lever).sum())
        if moment:
            return moment < 0
    return False
