"""The seams of `stereo`: `DisparityMap`, `DepthMap`, `PointCloud` and the `Reason` flags. Frozen, arrays read-only."""

from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from calib.errors import InputError, UsageError
from calib.rig import StereoRig

Float32 = NDArray[np.float32]


class Reason(IntFlag):
    """Why a pixel has no value, and what is to be known of one that has; several bits may be set.

    A bit invalidates (there is no measured value) or informs (`INFORMING` lists these): a measured pixel has at most informing
    ones. A filled pixel keeps the bits that say why it was not measured, and has one of the two `FILLED_...` beside them.
    """

    NONE = 0
    LEFT_NODATA = 1
    """invalidates: the left image holds no data here (outside the camera's view, or NaN)"""
    NO_CANDIDATE = 2
    """invalidates: every candidate lies outside the right image or on its nodata"""
    OUTSIDE_RIGHT = 4
    """invalidates: the best candidate lies outside the right image (nodata columns at its sides count as outside)"""
    AMBIGUOUS = 8
    """invalidates: another candidate is nearly as good (uniqueness)"""
    LEFT_RIGHT = 16
    """invalidates: the right image's best match points elsewhere; `OCCLUDED` or `MISMATCHED` says which of the two"""
    SPECKLE = 32
    """invalidates: part of a small isolated patch"""
    RANGE_EDGE = 64
    """informs: the best candidate is the first or last of the search range: the truth may lie beyond it"""
    BEYOND_INFINITY = 128
    """informs: d + doffs < 0: a point behind infinity; inverse depth is kept, depth is NaN"""
    OCCLUDED = 256
    """informs, beside `LEFT_RIGHT`: no pixel of the right image has its match here: probably hidden from the right camera"""
    MISMATCHED = 512
    """informs, beside `LEFT_RIGHT`: another pixel of the right image has its match here: a wrong match, no occlusion"""
    RIGHT_NODATA = 1024
    """invalidates: the best candidate lies on nodata inside the right image"""
    CUT_RANGE = 2048
    """informs: some candidates lie outside the right image or on its nodata: the best was chosen among fewer"""
    LOW_CONFIDENCE = 4096
    """invalidates: the disparity is too likely wrong by more than 1 px (`DisparityMap.confidence`)"""
    FILLED_OCCLUSION = 8192
    """informs: not measured but filled, where the right camera does not see it (hidden, or outside its image)"""
    FILLED_MISMATCH = 16384
    """informs: not measured but filled, where the match failed"""
    UNSUPPORTED = 32768
    """invalidates: too few of the pixels around, or of those that look like it, lie on the same surface (mostly at edges)"""


FILLED = Reason.FILLED_OCCLUSION | Reason.FILLED_MISMATCH
"""bits of values that were not measured"""
INFORMING = Reason.RANGE_EDGE | Reason.BEYOND_INFINITY | Reason.OCCLUDED | Reason.MISMATCHED | Reason.CUT_RANGE | FILLED
"""bits that take no value away; all others do"""


@dataclass(frozen=True, slots=True)
class RowResidual:
    """How well the rows of a pair agree, its rectification quality: v(x, y) px with L(x, y) = R(x - d, y + v).

    v = c0 + c1 u + c2 w + c3 u^2 + c4 u w + c5 w^2, with u = (x - (W - 1) / 2) / W and w = (y - (H - 1) / 2) / H of the right
    image, of W x H px once rows and columns without any data are cut off around it.
    """

    coefficients_px: tuple[float, float, float, float, float, float]
    """c0 ... c5, px; u and w run from about -1/2 to 1/2 over the image. All 0 where nothing could be measured"""
    rms_px: float
    """root mean square of v over the image; NaN where nothing could be measured"""
    largest_px: float
    """largest |v| in the image; NaN where nothing could be measured"""
    applied: bool
    """True: large and sure enough, so that the right image was resampled before matching"""
    trusted: bool
    """False: not measured, not settled, or so large that the rectification itself is in doubt"""
    note: str
    """one line for people"""

    def flipped(self) -> "RowResidual":
        """That of the mirror image of the pair."""
        c = self.coefficients_px
        return replace(self, coefficients_px=(c[0], 0.0 - c[1], c[2], c[3], 0.0 - c[4], c[5]))

    def field_px(self, height: int, width: int) -> Float32:
        """The residual v of every pixel of the right image, (H, W) px."""
        u, w = ((np.arange(n) - (n - 1) / 2) / n for n in (width, height))
        c, w = self.coefficients_px, w[:, None]
        return np.asarray(c[0] + c[1] * u + c[2] * w + c[3] * u * u + c[4] * u * w + c[5] * w * w, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class DisparityMap:
    """Signed disparity d = x_left - x_right of the left image's pixels, with an error bar and a reason for each."""

    disparity_px: Float32
    """(H, W) px; NaN is the only "no answer"; 0 and negative values are measurements"""
    sigma_px: Float32
    """(H, W) px, one standard deviation of `disparity_px`; NaN where that is NaN"""
    reason: NDArray[np.uint16]
    """(H, W) bits of `Reason`"""
    search_range: tuple[int, int]
    """[min, max) of the candidates, px"""
    rig: StereoRig | None = None
    """the rectified rig; None when the pair came without one"""
    confidence: Float32 | None = None
    """(H, W) 0 ... 1: estimated probability that `disparity_px` is right within 1 px, 0 where that is NaN; None where unknown"""
    rows: RowResidual | None = None
    """how well the rows of the two images agree; None where it was not measured"""

    def __post_init__(self) -> None:
        shape = np.shape(self.disparity_px)
        if len(shape) != 2:
            raise InputError(f"disparity_px has shape {shape}; it must be (H, W)")
        _check(self, "disparity_px", np.float32, shape)
        if np.isinf(self.disparity_px).any():
            raise InputError(
                f"disparity_px holds {int(np.isinf(self.disparity_px).sum())} infinite values; the only mark for no answer is NaN"
            )
        _check(self, "sigma_px", np.float32, shape)
        _check(self, "reason", np.uint16, shape)
        if self.confidence is not None:
            _check(self, "confidence", np.float32, shape)
            if self.confidence.size and not (self.confidence.min() >= 0.0 and self.confidence.max() <= 1.0):
                raise InputError(
                    f"confidence runs from {self.confidence.min():g} to {self.confidence.max():g}; it must be in 0 ... 1"
                )
        low, high = self.search_range
        if low >= high:
            raise UsageError(f"search range {low}:{high} is empty; the range is [MIN, MAX) with MIN < MAX")
        _check_rig(self.rig, shape)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W) bool: pixels that have a disparity, measured or filled."""
        return np.isfinite(self.disparity_px)

    @property
    def filled(self) -> NDArray[np.bool_]:
        """(H, W) bool: pixels whose disparity was not measured but taken from neighbours (`stereo.fill`)."""
        return np.asarray((self.reason & np.uint16(FILLED)) != 0)


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """Metric depth along the optical axis of the rectified left camera, and its inverse, which is finite for every disparity."""

    depth_m: Float32
    """(H, W) metres; +inf at d + doffs = 0 (valid, "far"); NaN where there is no answer or d + doffs < 0"""
    inverse_depth_per_m: Float32
    """(H, W) 1 / metres; negative beyond infinity; NaN where there is no disparity"""
    inverse_depth_sigma_per_m: Float32
    """(H, W) 1 / metres, one standard deviation: the matcher's part, sigma_px / (f B)"""
    reason: NDArray[np.uint16]
    """(H, W) bits of `Reason`"""
    rig: StereoRig
    """the rectified rig"""

    def __post_init__(self) -> None:
        shape = np.shape(self.depth_m)
        if len(shape) != 2:
            raise InputError(f"depth_m has shape {shape}; it must be (H, W)")
        for name in ("depth_m", "inverse_depth_per_m", "inverse_depth_sigma_per_m"):
            _check(self, name, np.float32, shape)
        _check(self, "reason", np.uint16, shape)
        _check_rig(self.rig, shape)

    @property
    def depth_sigma_m(self) -> Float32:
        """(H, W) metres: sigma_Z = Z^2 sigma(1/Z), first order; NaN where depth is not finite."""
        with np.errstate(invalid="ignore", over="ignore"):
            sigma = (self.depth_m * self.depth_m * self.inverse_depth_sigma_per_m).astype(np.float32)
        sigma[~np.isfinite(self.depth_m)] = np.nan
        return sigma


@dataclass(frozen=True, slots=True, eq=False)
class PointCloud:
    """Points in the frame of the rectified left camera (x right, y down, z forward), in the image's row order."""

    points_xyz_m: Float32
    """(N, 3) metres, all finite"""
    pixel_uv: NDArray[np.int32]
    """(N, 2) column and row of each point in the left image: with `image_size` the cloud stays organised"""
    image_size: tuple[int, int]
    """(width, height) of that image, px"""
    colour_bgr: NDArray[np.uint8] | None = None
    """(N, 3), or None"""
    sigma_m: Float32 | None = None
    """(N,) metres, one standard deviation of the depth, or None"""

    def __post_init__(self) -> None:
        n = len(self.points_xyz_m)
        _check(self, "points_xyz_m", np.float32, (n, 3))
        if not np.isfinite(self.points_xyz_m).all():
            raise InputError("points_xyz_m holds values that are not finite; drop those points first")
        _check(self, "pixel_uv", np.int32, (n, 2))
        width, height = self.image_size
        if n and ((self.pixel_uv < 0).any() or (self.pixel_uv >= (width, height)).any()):
            low, high = self.pixel_uv.min(0).tolist(), self.pixel_uv.max(0).tolist()
            raise InputError(f"pixel_uv runs from {low} to {high}; it must lie inside the image of {width} x {height} px")
        if self.colour_bgr is not None:
            _check(self, "colour_bgr", np.uint8, (n, 3))
        if self.sigma_m is not None:
            _check(self, "sigma_m", np.float32, (n,))


def _check(owner: Any, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    """Shape and type of one field; the field becomes C-contiguous and read-only."""
    array = np.asarray(getattr(owner, name))
    if array.dtype != dtype or array.shape != shape:
        raise InputError(
            f"{type(owner).__name__}.{name}: {array.dtype} of shape {array.shape}; it must be {np.dtype(dtype)} of shape {shape}"
        )
    view = np.ascontiguousarray(array).view()
    view.setflags(write=False)
    object.__setattr__(owner, name, view)


def _check_rig(rig: StereoRig | None, shape: tuple[int, ...]) -> None:
    if rig is not None and rig.left.size != (shape[1], shape[0]):
        raise InputError(f"the map is {shape[1]} x {shape[0]} px but its rig is {rig.left.width} x {rig.left.height} px")
