"""The words of each fault: figures in, `Fault` out."""

import numpy as np

from calib.detection import BoardViews
from calib.faults_corners import Cluster, Row
from calib.faults_kinds import Fault, name_list
from calib.faults_motion import Explained, Fine, Rough
from calib.geometry import Array
from calib.target import Target

# what the search for the board writes: (part of the text, name, severity, advice)
_NOTES = (
    ("identical images:", "identical-images", "refused", "give the left and the right image of each moment"),
    ("mixed resolutions:", "mixed-resolutions", "warning", "take all images of a camera at one size"),
    ("turned by 90 degrees", "turned-images", "warning", "use the pixels as the sensor gives them, without obeying EXIF"),
    ("missing pair:", "missing-partner", "mended", "look for the missing images, if pairs are wanted that they belong to"),
    ("duplicate images:", "duplicate-views", "mended", "take pairs with the board in other places"),
    ("its markers are of", "wrong-dictionary", "mended", "write this dictionary in --target"),
    ("columns and rows were exchanged", "rows-columns-swapped", "mended", "exchange the two counts in --target"),
    ("it has the old layout", "legacy-board", "mended", "write :legacy at the end of --target"),
    ("it has the new layout", "legacy-board", "mended", "leave out :legacy in --target"),
)

_SURE_PAIRS, _SURE_RATIO = 8, 1.5
"""least number of pairs, and of the joint error over each camera's own, at which nothing but time explains a disagreement"""


def too_few(pairs: int, least: int, good: int, grave: str) -> Fault:
    """Hardly any pair shows the board to both cameras."""
    return Fault(
        "too-few-pairs",
        grave,
        f"the board is seen by both cameras in {pairs} pairs (limit {least}, good: {good} to 20)",
        "take more pairs, the board held near and far, tilted by 20 to 40 degrees to all sides, in all image corners",
        {"pairs": float(pairs)},
    )


def not_found(views: BoardViews, both: int, lost: list[str], least: int) -> Fault:
    """There are pairs, but no board in them."""
    words = " ".join([*lost, *views.notes]).lower()
    text = max(set(lost), key=lost.count)
    return Fault(
        "wrong-dictionary"
        if views.target.has_ids and ("dictionary" in words or "markers are of" in words)
        else "board-not-found",
        "refused",
        f"the board {views.target} is found in both images of {both} of {len(views.pairs)} pairs (limit {least}): {text}",
        "compare --target with the text printed on the board: kind, counts and dictionary",
        {"pairs": float(both), "reason": text},
    )


def noted(views: BoardViews) -> list[Fault]:
    """What the search for the board said already."""
    found: dict[str, Fault] = {}
    for text in (*views.notes, *(pair.problem for pair in views.pairs)):
        for mark, name, severity, advice in _NOTES:
            if mark in text and name not in found:
                found[name] = Fault(name, severity, text, advice, {"note": text})
    return list(found.values())


def mirrored(camera: str, share: float) -> Fault:
    """One camera's images are mirrored."""
    return Fault(
        "mirrored-images",
        "refused",
        f"the {camera} images are mirrored ({share:.0%} of them): no place of a camera shows the board like that",
        f"flip the {camera} images left to right again (a webcam's mirror setting?), then calibrate",
        {"share": share, "camera": camera},
    )


def exchanged(camera: str, share: float, target: Target, is_mended: bool) -> Fault:
    """Rows and columns of the corners are swapped."""
    return Fault(
        "rows-columns-swapped",
        "mended" if is_mended else "refused",
        f"the corners of the {camera} images are listed column by column: {share:.0%} of them fit a grid only then",
        f"list them row by row, {target.columns} to a row, or exchange the two counts in --target",
        {"share": share, "camera": camera},
    )


def duplicates(views: BoardViews, same: list[tuple[int, int]]) -> Fault:
    """(first, later) pairs are equal."""
    later = tuple(j for _, j in same)
    distinct = len(views.pairs) - len(later)
    first, copy = (views.pairs[i].name.split(",")[0] for i in same[0])
    return Fault(
        "duplicate-views",
        "warning" if len(later) >= max(2, 0.1 * len(views.pairs)) else "mention",
        f"{len(later)} pairs repeat earlier ones exactly ({copy} shows what {first} shows): only {distinct} places of the board"
        " are seen, and the error bars would count each copy as news",
        "remove the copies and take pairs with the board in other places",
        {"copies": float(len(later)), "distinct": float(distinct)},
        later,
    )


def low_tilt(tilt_deg: float, limit_deg: float, grave: str) -> Fault:
    """Boards all held alike."""
    return Fault(
        "low-tilt",
        grave,
        f"the boards are held nearly alike: their tilts differ by {tilt_deg:.1f} degrees (limit {limit_deg:g}, good: 30 and"
        " more), so focal length and distance cannot be told apart",
        "take more pairs with the board tilted by 20 to 40 degrees to all sides",
        {"tilt_deg": tilt_deg},
    )


def resolution(camera: str, scale: float, size: tuple[int, int], grave: str) -> Fault:
    """Corners of images of another size than the declared one."""
    return Fault(
        "wrong-resolution",
        grave,
        f"the {camera} corners belong to images of about {size[0] * scale:.0f} x {size[1] * scale:.0f} px, but {size[0]} x"
        f" {size[1]} px are declared: the lens looks through the middle of the former",
        "find the corners in images of the declared size, the one at which you will measure",
        {"scale": scale, "camera": camera},
    )


def mixed(views: BoardViews, camera: str, scales: dict[int, float], grave: str) -> Fault:
    """Views of another resolution among one camera's: the factors that mend them."""
    usual = 1.0 / float(np.median(list(scales.values())))
    return Fault(
        "mixed-resolutions",
        grave,
        f"{len(scales)} of the {camera} views are of another resolution ({usual:.3g} times the others):"
        f" {name_list([views.pairs[moment].name for moment in scales])}",
        "take all images of a camera at one size, or scale these back",
        {"views": float(len(scales)), "scale": usual, "camera": camera},
        tuple(sorted(scales)),
    )


def lens(camera: str, kind: str, share: float, size_px: float) -> Fault:
    """A pattern fixed in the image."""
    return Fault(
        "wrong-lens-model",
        "warning",
        f"the {camera} lens is not what the model can say ({kind}): {share:.0%} of the errors' squares are a pattern fixed in"
        f" the image ({size_px:.2f} px rms; noise gives 0 %)",
        "let --model auto choose" if kind == "fisheye" else "use --model fisheye or auto; such a lens is wider than a pinhole",
        {"share": share, "pattern_px": size_px, "camera": camera, "model": kind},
    )


def parity(camera: str, share: float, sigmas: float, size_px: float) -> Fault:
    """Odd rows against even ones."""
    return Fault(
        "interlaced",
        "warning",
        f"in the {camera} images the odd rows are shifted against the even ones, by {size_px:.2f} px in the median view"
        f" ({share:.0%} of the errors' squares): they are interlaced, and the board moved between the two fields",
        "use a progressive mode, or one field of each image, or hold the board still",
        {"share": share, "sigmas": sigmas, "shift_px": size_px, "camera": camera},
    )


def bent(bow_m: Array, limit_m: float, is_mended: bool) -> Fault:
    """A board with a bow."""
    return Fault(
        "bent-board",
        "mended" if is_mended else "warning",
        f"the board is bent: it bows by {1e3 * bow_m[0]:+.2f} mm along its rows and {1e3 * bow_m[1]:+.2f} mm along its columns"
        f" (limit {1e3 * limit_m:.2f} mm); taken as flat it biases all distances",
        "its bow was taken into account; a stiff, flat board is better"
        if is_mended
        else "solve with its warp, or use a stiff board",
        {"bow_x_mm": 1e3 * float(bow_m[0]), "bow_y_mm": 1e3 * float(bow_m[1])},
    )


def blurred(views: BoardViews, blurry: set[int], count: int, width_px: float, limit_px: float, errors: str) -> Fault:
    """Views with wide edges."""
    return Fault(
        "blurred",
        "warning" if len(blurry) >= max(2.0, 0.1 * count) else "mention",
        f"{len(blurry)} of {count} pairs are blurred: edges {width_px:.1f} px wide (limit {limit_px:g}, sharp: 2){errors}"
        f" ({name_list([views.pairs[m].name for m in sorted(blurry)], 3)})",
        "focus the lenses, close the iris, expose shorter, or hold the board still",
        {"pairs": float(len(blurry)), "edge_px": width_px},
        tuple(sorted(blurry)),
    )


def glare(views: BoardViews, camera: str, cluster: Cluster) -> Fault:
    """Outliers side by side."""
    return Fault(
        "glare",
        "warning" if len(cluster.moments) > 1 else "mention",
        f"{cluster.corners} corners of the {camera} images miss in clusters, not one by one: something hides or shifts a part"
        f" of the board, such as a reflection ({name_list([views.pairs[m].name for m in cluster.moments])})",
        "move the lamp, or the board out of its reflection; such corners are left out",
        {"corners": float(cluster.corners), "sigmas": cluster.sigmas, "camera": camera},
        cluster.moments,
    )


def shifted_row(views: BoardViews, camera: str, rows: list[Row], limit: float) -> Fault:
    """A row of corners apart from its board."""
    row = max(rows, key=lambda one: one.chi2)
    return Fault(
        "shifted-row",
        "warning",
        f"{row.line} of the {camera} view of {views.pairs[row.moment].name} is shifted by {row.shift_px:.2f} px as a whole (chi"
        f" square {row.chi2:.0f}, limit {limit:g}), while its other corners are fine",
        "look at that image: something covers the board there, or a line was misread; leave the pair out",
        {"chi2": row.chi2, "shift_px": row.shift_px, "camera": camera, "line": row.line},
        tuple(sorted({one.moment for one in rows})),
    )


def swapped(centre_m: Array) -> Fault:
    """The right camera stands on the left."""
    return Fault(
        "left-right-swapped",
        "warning",
        f"the right camera stands {-1e3 * centre_m[0]:.0f} mm to the left of the left one: the two are exchanged, and"
        " disparities would be negative",
        "run again with left and right exchanged",
        {"centre_x_mm": 1e3 * float(centre_m[0])},
    )


def flipped(pairs: tuple[int, ...], names: dict[int, str], is_mended: bool) -> Fault:
    """Pairs read from the other end."""
    return Fault(
        "flipped-pairs",
        "mended" if is_mended else "refused",
        f"{len(pairs)} pair{'s' * (len(pairs) > 1)} ({name_list([names[m] for m in pairs])}) read from the other end of the"
        " board in one camera: turned by 180 degrees, the corners agree with all other pairs",
        "their corners were put in order; a board with an odd and an even count, or with markers, cannot flip"
        if is_mended
        else "reverse the order of these corners in one image, or use a board with an odd and an even count, or with markers",
        {"pairs": float(len(pairs))},
        tuple(pairs),
    )


def turned(cause: Explained, rough: Rough, names: dict[int, str], grave: str) -> Fault:
    """Images upside down against the others."""
    camera = cause.kind.split()[-1]
    return Fault(
        "turned-images",
        grave,
        f"{len(cause.pairs)} {camera} images are upside down against the others ({name_list([names[m] for m in cause.pairs])}):"
        " an orientation tag (EXIF) was obeyed, or a tool turned them",
        f"turn these {camera} images by 180 degrees, and use the pixels as the sensor gives them",
        {"agree_before": rough.share, "agree_after": cause.share, "camera": camera},
        cause.pairs,
    )


def shifted_pairs(cause: Explained, rough: Rough, names: dict[int, str], grave: str) -> Fault:
    """Pairs off by one or more."""
    where = f"{abs(cause.shift)} {'later' if cause.shift > 0 else 'earlier'}"
    short, long = ("left", "right") if cause.shift > 0 else ("right", "left")
    return Fault(
        "shifted-pairs",
        grave,
        f"{len(cause.pairs)} pairs contradict the others, but {cause.share:.0%} of all agree when their left images are paired"
        f" with the right ones {where}: {abs(cause.shift)} {short} image{'s' * (abs(cause.shift) > 1)} missing before"
        f" {names[cause.pairs[0]].split(',')[0]}",
        f"remove the {long} image that has no partner, so that both lists have one image for each moment",
        {"agree_before": rough.share, "agree_after": cause.share, "shift": float(cause.shift)},
        cause.pairs,
    )


def moved(fine: Fine, names: dict[int, str], grave: str) -> Fault:
    """Two motions, one after the other."""
    turn, shift = float(np.degrees(np.linalg.norm(fine.step[:3]))), 1e3 * float(np.linalg.norm(fine.step[3:]))
    first = names[int(fine.moments[fine.split])].split(",")[0]
    return Fault(
        "camera-moved",
        grave,
        f"the cameras moved against each other before {first}, by {turn:.2f} degrees and {shift:.1f} mm: before and after, the"
        f" pairs agree (chi square per degree of freedom {fine.scatter:.0f} with one motion, {fine.split_scatter:.1f} with two)",
        "tighten the mounts and calibrate anew, or use the pairs after that moment only",
        {"scatter": fine.scatter, "split_scatter": fine.split_scatter, "turn_deg": turn, "shift_mm": shift},
        tuple(int(m) for m in fine.moments[fine.split :]),
    )


def unsynchronised(late: list[int], rough: Rough, fine: Fine | None, names: dict[int, str], grave: str) -> Fault:
    """Pictures of a pair that are not of one moment, as far as so many pairs and so much of a disagreement can tell."""
    evidence: dict[str, float | str] = {"pairs": float(len(late)), "agree": rough.share}
    how = ""
    if fine is not None and fine.rms_ratio > 1.1:
        of_late = np.isin(fine.moments, late)
        shift_mm = 1e3 * float(np.median(np.linalg.norm(fine.off[of_late, 3:], axis=1))) if of_late.any() else 0.0
        evidence |= {"scatter": fine.scatter, "rms_ratio": fine.rms_ratio, "shift_mm": shift_mm}
        how = (
            f"; the board moves by about {shift_mm:.2g} mm between the two pictures of such a pair, and both cameras together"
            f" miss {fine.rms_ratio:.1f} times as much as each alone"
        )
    is_sure = len(rough.moments) >= _SURE_PAIRS and (fine is None or fine.rms_ratio >= _SURE_RATIO)
    advice = "trigger both cameras together, or rest the board on something for each pair"
    return Fault(
        "unsynchronised",
        grave,
        f"{len(late)} of {len(rough.moments)} pairs contradict the others by more than their noise"
        f" ({name_list([names[m] for m in late], 3)}){how}: their two pictures"
        f" {'are not' if is_sure else 'may not be'} of the same moment",
        advice
        if is_sure
        else f"{advice}; or else the board is not flat, or the lens model does not fit: check the board and --model",
        evidence,
        tuple(late),
    )


def invisible(target: Target) -> list[Fault]:
    """What no picture shows, with the checks that would."""
    return [
        Fault(
            "constant-lag",
            "mention",
            "a constant lag between the cameras while the board moves one way shifts the baseline and leaves no trace in the"
            " errors",
            "take a few pairs with the board at rest, or moved in both directions, and compare the baselines",
        ),
        Fault(
            "square-size",
            "mention",
            f"a wrong size of the squares ({1e3 * target.square_m:.10g} mm) scales every distance and leaves no trace in the"
            " errors",
            "measure over at least 5 squares with a calliper, and check a distance between two points with --known-length",
        ),
    ]
