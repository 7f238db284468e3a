"""What a run's figures warn of, each in one line for people."""

import numpy as np

from calib.rig import StereoRig
from stereo.maps import DepthMap, DisparityMap, Reason
from stereo.search_range import SearchRange

_LARGEST_ROW_ERROR_PX = 1.0
_LARGEST_BEYOND_SHARE = 0.05
_LARGEST_END_SHARE = 0.01


def row_warnings(search: SearchRange, rig: StereoRig | None) -> tuple[str, ...]:
    """Rows that do not agree, where sparse matches told."""
    if not search.row_error_px > _LARGEST_ROW_ERROR_PX:  # NaN: not measured
        return ()
    cause = "the rig has moved since it was calibrated, or is another one"
    if rig is None:
        cause = "they are not rectified: give their --rig"
    return (
        f"rows of the two images disagree by {search.row_error_px:.1f} px (left minus right {search.row_offset_px:+.1f} px; up to"
        f" {_LARGEST_ROW_ERROR_PX:g} px is good); probably {cause}",
    )


def residual_warnings(disparity: DisparityMap) -> tuple[str, ...]:
    """Rows that were undone before matching, or could not be."""
    rows = disparity.rows
    if rows is None or (rows.trusted and not rows.applied):
        return ()
    return (rows.note,)


def end_warnings(disparity: DisparityMap) -> tuple[str, ...]:
    """Ends of the range that too many pixels chose: what lies beyond could not be found."""
    (low, high), d = disparity.search_range, disparity.disparity_px
    chosen = disparity.valid & (disparity.reason & np.uint16(Reason.RANGE_EDGE) != 0)
    middle = 0.5 * (low + high)
    warnings = []
    for end, where, word in ((low, chosen & (d < middle), "lower"), (high - 1, chosen & (d >= middle), "upper")):
        share = where.sum() / max(int(disparity.valid.sum()), 1)
        if share > _LARGEST_END_SHARE:
            warnings.append(
                f"{100.0 * share:.1f} % of the measured pixels chose the {word} end of the range, {end} px (up to"
                f" {100.0 * _LARGEST_END_SHARE:g} % is good); there is probably more beyond it: widen the range"
            )
    return tuple(warnings)


def beyond_warnings(depth: DepthMap | None) -> tuple[str, ...]:
    """Points behind infinity do not exist; many of them tell of swapped images or of another rig."""
    if depth is None:
        return ()
    answered = np.isfinite(depth.inverse_depth_per_m)
    share = float((depth.inverse_depth_per_m[answered] < 0.0).mean()) if answered.any() else 0.0
    if share <= _LARGEST_BEYOND_SHARE:
        return ()
    return (
        f"{100.0 * share:.1f} % of the measured pixels lie beyond infinity (up to {100.0 * _LARGEST_BEYOND_SHARE:g} % is noise):"
        " left and right are swapped, or this is not the rig of these photos",
    )
